"""Date Understanding (BIG-bench): which date is meant, five or six options.

>>> row = {"input": "Today is May 2, 2021. What is the date tomorrow in MM/DD/YYYY?",
...        "options": {"A": "05/01/2021", "B": "05/03/2021"}, "gold": "B"}  # lettered, as `rows` does
>>> question(row)
'Today is May 2, 2021. What is the date tomorrow in MM/DD/YYYY? Answer Choices: (A) 05/01/2021 (B) 05/03/2021'
>>> gold(row), extract("Tomorrow is May 3, so the answer is (B).", row=row)
('B', 'B')
>>> extract("(F)"), extract("(F)", row=row)  # a letter that this row does not offer is not an answer
('F', None)

The trap: the right date comes first in 364 of 369 rows. Kojima et al. shuffle the whole file with
`random.seed(1)`; doing the same fixes the letters of all 369 questions.
"""

from __future__ import annotations

import random

from ..errors import UserError
from . import common, letters

NAME = "date"
STAGE2 = "\nTherefore, among A through F, the answer is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The questions with "options" (letter -> date) and "gold". The shuffle is Kojima's whatever the `seed`."""
    hub = (f"{common.BIG_BENCH}/Bigbench_Date/task.json",)
    local = "date_understanding/bigbench_task_examples.jsonl"
    rng = random.Random(1)
    lettered = []
    for row in common.read(source, NAME, local, hub, ("input", "target_scores"), _texts):
        dates = list(row["target_scores"])
        if not 1 <= len(dates) <= 6:
            raise UserError(f"{row['question_id']}: {len(dates)} options in target_scores; A to F letter one to six")
        for _ in range(3):  # Kojima's reader shuffles three times; the draws must match to match its letters
            common.shuffle(dates, rng)
        options = dict(zip("ABCDEF", dates))
        right = max(row["target_scores"], key=row["target_scores"].get)
        lettered.append({**row, "options": options, "gold": next(k for k, v in options.items() if v == right)})
    return lettered[:limit]  # cut after the shuffle, which runs through the whole file


def _texts(row: common.Row) -> list[str]:
    return [row["input"], *row["target_scores"], f"{max(row['target_scores'].values(), default=0)}"]


def question(row: common.Row) -> str:
    return f"{row['input'].strip()} Answer Choices: {common.render_options(row['options'])}"


def gold(row: common.Row) -> str:
    return row["gold"]


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 1 / len(row["options"])


def extract(text: str, rule: str = "declared", row: common.Row | None = None) -> str | None:
    """The letter, if the row (where it is given) has an option of that letter."""
    return letters.letter(text, "".join(row["options"]) if row and rule == "declared" else "ABCDEF", rule)


def correct(row: common.Row, text: str, rule: str = "declared") -> bool:
    return extract(text, rule, row) == gold(row)
