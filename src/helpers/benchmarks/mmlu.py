"""MMLU (Hendrycks et al., 2021): four options, 35 subjects in 10 domains, as in the paper's Figure 3.

>>> row = {"question": "Which planet is nearest to the Sun?", "subject": "astronomy",
...        "choices": ["Venus", "Mercury", "Mars", "Earth"], "answer": 1}
>>> question(row), gold(row)
('Which planet is nearest to the Sun? (A) Venus (B) Mercury (C) Mars (D) Earth', 'B')
>>> extract("Venus (A) is the hottest, but the nearest is Mercury, so the answer is (B).")
'B'
>>> extract("It is hard to say.") is None  # unparsed: counted, never guessed
True

The paper samples 2,000 questions "balanced across 10 categories (35 subcategories)" without
printing the list or the draw. The list here follows Hendrycks' own grouping and gives 10 and 35; the
draw takes 200 questions from each domain, every subject in proportion to its size. Both are proposals,
not the authors'. They fit Table 2's mean of 79.4 words:

- Were all questions of these 35 subjects asked, each domain counting the same, the mean would be 78.7.
- 200 drawn from a domain's pool without regard to subject scatter about that by 1.1 words, because
  questions on prehistory have 42 words and on European history 272. In proportion it is 0.8, and
  the draw of seed 0 has 78.0; no seed was searched for.
- The same number from each subject would give 73.0, which does not fit.
"""

from __future__ import annotations

import hashlib
from itertools import chain, zip_longest

from ..paper import DOMAINS
from . import common, letters

NAME = "mmlu"
STAGE2 = "\nTherefore, among A through D, the answer is"
DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects.split()}


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """Questions of the 35 subjects, one domain after the other in turn, so that any limit is balanced.

    The draw depends on `seed` and the words of the questions, not on the order of the file.
    """
    required = ("question", "subject", "choices", "answer")
    hub = ("cais/mmlu", "all", "test", "c30699e8356da336a370243923dbaf21066bb9fe")
    all_rows = common.read(source, NAME, "mmlu/test.jsonl.gz", hub, required, _texts)
    by_domain = [_in_proportion([r for r in all_rows if r["subject"] in s.split()], seed) for s in DOMAINS.values()]
    in_turn = [r for r in chain.from_iterable(zip_longest(*by_domain)) if r is not None]
    return [{**row, "domain": DOMAIN_OF[row["subject"]]} for row in in_turn[:limit]]


def _in_proportion(rows: list[common.Row], seed: int) -> list[common.Row]:
    """The rows of a domain in an order of which every beginning holds each subject in proportion to its size."""
    subjects: dict[str, list[common.Row]] = {}
    for row in sorted(rows, key=lambda r: hashlib.sha256(f"{seed}:{question(r)}".encode()).digest()):
        subjects.setdefault(row["subject"], []).append(row)
    placed = [((i + 0.5) / len(own), s, row) for s, own in subjects.items() for i, row in enumerate(own)]
    return [row for *_, row in sorted(placed, key=lambda p: p[:2])]


def _texts(row: common.Row) -> list[str]:
    return [row["question"], row["subject"], gold(row), row["choices"][row["answer"]], *row["choices"]]


def question(row: common.Row) -> str:
    return f"{row['question']} {common.render_options(dict(zip('ABCD', row['choices'])))}"


def gold(row: common.Row) -> str:
    return "ABCD"[row["answer"]]


def group(row: common.Row) -> str:
    return row["domain"]


def chance(row: common.Row) -> float:
    return 1 / len(row["choices"])


def extract(text: str, rule: str = "declared", row: common.Row | None = None) -> str | None:
    return letters.letter(text, "ABCD", rule)


def correct(row: common.Row, text: str, rule: str = "declared") -> bool:
    return extract(text, rule, row) == gold(row)
