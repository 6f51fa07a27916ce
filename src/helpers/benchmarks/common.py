"""What the benchmarks share: reading rows, lettering options, finding a letter in a reply."""

from __future__ import annotations

import random
import re
from typing import Any

from ..data import SAMPLES, hub_rows, local_folder, read_jsonl
from ..errors import UserError

Row = dict[str, Any]


def read(source: str, name: str, local: str, hub: tuple[str, str | None, str], required: tuple[str, ...]) -> list[Row]:
    """All rows of a benchmark in file order: our sample, a file below SPT_DATA, or a hub split.

    Every row gains "question_id", unique within the benchmark.
    """
    if source == "packaged":
        rows = read_jsonl(SAMPLES / "benchmarks" / f"{name}.jsonl", required)
    elif source == "local":
        rows = read_jsonl(local_folder() / local, required)
    elif source == "hub":
        rows = hub_rows(*hub)
    else:
        raise UserError(f"unknown source {source!r}: choose packaged, local or hub")
    return [{**row, "question_id": f"{name}-{i:05}"} for i, row in enumerate(rows)]


def render_options(options: dict[str, str]) -> str:
    """{"A": "bank", "B": "mall"} -> "(A) bank (B) mall"."""
    return " ".join(f"({letter}) {text}" for letter, text in options.items())


def shuffled(items: list[str], row_key: str, seed: int) -> list[str]:
    """A shuffle that depends on the seed and the question alone: not on order, process or platform."""
    items = list(items)
    random.Random(f"{seed}:{row_key}").shuffle(items)
    return items


def letter(text: str, letters: str) -> str | None:
    """The option a reply declares, or None.

    In this order: a letter right at the start ("(B).", "B) mall", "B"), "answer is (B)", the only
    bracketed letter, the only lone capital. The article in "A bank" is not an answer.
    """
    option = rf"\(?([{letters}])\)?(?![\w'’])(?! [a-z])"
    for pattern in (rf"[\s:*\"'.,-]*(?:option\s+)?{option}", rf".*?\banswer(?: is)?[\s:*\"']*{option}"):
        if match := re.match(pattern, text, re.DOTALL | re.IGNORECASE if "answer" in pattern else re.DOTALL):
            return match[1].upper()
    for pattern in (rf"\(([{letters}])\)", rf"(?<![\w'’]){option}"):
        found = set(re.findall(pattern, text))
        if len(found) == 1:
            return found.pop()
    return None
