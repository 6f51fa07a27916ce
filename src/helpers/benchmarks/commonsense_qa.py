"""CommonsenseQA (Talmor et al., 2019), validation split: five options.

>>> row = {"question": "Where would you keep milk cold?", "answerKey": "C",
...        "choices": {"label": list("ABCDE"), "text": ["oven", "shelf", "fridge", "sink", "car"]}}
>>> question(row)
'Where would you keep milk cold? Answer Choices: (A) oven (B) shelf (C) fridge (D) sink (E) car'
>>> gold(row), extract("A fridge is cold, so I would choose C.")
('C', 'C')
>>> extract("A fridge is cold, so I would choose C.", rule="kojima")  # the first capital: that of "A fridge"
'A'
"""

from __future__ import annotations

from . import common, letters

NAME = "commonsense_qa"
STAGE2 = "\nTherefore, among A through E, the answer is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 1,221 validation questions in file order (the test split has no public answers)."""
    required = ("question", "choices", "answerKey")
    hub = ("tau/commonsense_qa", None, "validation", "94630fe30dad47192a8546eb75f094926d47e155")
    return common.read(source, NAME, "commonsense_qa/validation.jsonl", hub, required, _texts)[:limit]


def _texts(row: common.Row) -> list[str]:
    letters_, texts = row["choices"]["label"], row["choices"]["text"]
    return [row["question"], texts[letters_.index(gold(row))], *letters_, *texts]


def question(row: common.Row) -> str:
    """Kojima's rendering: "stem Answer Choices: (A) ... (E) ..."; 27.8 words on average, as in Table 2."""
    options = common.render_options(dict(zip(row["choices"]["label"], row["choices"]["text"])))
    return f"{row['question'].strip()} Answer Choices: {options}"


def gold(row: common.Row) -> str:
    return row["answerKey"]


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 1 / len(row["choices"]["label"])


def extract(text: str, rule: str = "declared", row: common.Row | None = None) -> str | None:
    return letters.letter(text, "ABCDE", rule)


def correct(row: common.Row, text: str, rule: str = "declared") -> bool:
    return extract(text, rule, row) == gold(row)
