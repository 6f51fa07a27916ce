"""OpenBookQA (Mihaylov et al., 2018), test split: four options, no book given.

>>> row = {"question_stem": "What melts an ice cube fastest?", "answerKey": "D",
...        "choices": {"label": list("ABCD"), "text": ["a fridge", "a cellar", "snow", "a hot pan"]}}
>>> question(row)
'What melts an ice cube fastest? (A) a fridge (B) a cellar (C) snow (D) a hot pan'
>>> gold(row), extract("Heat melts ice, therefore (D) a hot pan.")
('D', 'D')
"""

from __future__ import annotations

from . import common, letters

NAME = "openbookqa"
STAGE2 = "\nTherefore, among A through D, the answer is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 500 test questions in file order."""
    required = ("question_stem", "choices", "answerKey")
    hub = ("allenai/openbookqa", "main", "test", "388097ea7776314e93a529163e0fea805b8a6454")
    return common.read(source, NAME, "openbookqa/test.jsonl", hub, required, _texts)[:limit]


def _texts(row: common.Row) -> list[str]:
    letters_, texts = row["choices"]["label"], row["choices"]["text"]
    return [row["question_stem"], texts[letters_.index(gold(row))], *letters_, *texts]


def question(row: common.Row) -> str:
    """ "stem (A) ... (D) ...": without "Answer Choices:", which is what gives Table 2's 26.5 words."""
    return f"{row['question_stem']} {common.render_options(dict(zip(row['choices']['label'], row['choices']['text'])))}"


def gold(row: common.Row) -> str:
    return row["answerKey"]


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 1 / len(row["choices"]["label"])


def extract(text: str, rule: str = "declared", row: common.Row | None = None) -> str | None:
    return letters.letter(text, "ABCD", rule)


def correct(row: common.Row, text: str, rule: str = "declared") -> bool:
    return extract(text, rule, row) == gold(row)
