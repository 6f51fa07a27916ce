"""GSM8K (Cobbe et al., 2021), test split: grade-school word problems with an integer result."""

from __future__ import annotations

import re
from decimal import Decimal

from . import common

NAME = "gsm8k"
STAGE2 = "\nTherefore, the answer (arabic numerals) is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 1,319 test problems in file order."""
    hub = ("openai/gsm8k", "main", "test")
    return common.read(source, NAME, "gsm8k/test.jsonl", hub, ("question", "answer"))[:limit]


def question(row: common.Row) -> str:
    return row["question"]


def gold(row: common.Row) -> str:
    return _plain(row["answer"].split("####")[1])


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.0


def extract(text: str) -> str | None:
    """The first number, without thousands separators, unit or trailing zeros: "$1,080.00" -> "1080"."""
    match = re.search(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)", text)
    return _plain(match[0]) if match else None


def _plain(number: str) -> str:
    exact = format(Decimal(number.strip().replace(",", "")), "f")
    return (exact.rstrip("0").rstrip(".") if "." in exact else exact) or "0"


def correct(row: common.Row, text: str) -> bool:
    return extract(text) == gold(row)
