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

    In this order: the last "answer is (B)"; a letter right at the start ("(B).", "B) mall", "B"); the only
    bracketed letter; the only lone capital. The article in "A bank", the first letter of "B-cells" and a
    letter that is only ruled out ("not A", "neither A nor B") are not answers.
    """
    text = re.sub(r"(?i)among A through [A-F]", "", text)  # the question of stage 2, repeated
    one = rf"(?<![\w'’+-])\(?([{letters}])\)?(?![\w'’+-])"
    article = r"(?:(?<!A)|(?! (?!because|since|as )\w))"  # "A bank" is a bank, "A because ..." is an answer
    if declared := re.findall(
        rf"(?i:\banswer(?: is)?)[\s:*\"']*(?:\(([{letters}])\)|([{letters}])(?![\w'’+-]){article})", text
    ):
        return "".join(declared[-1])
    if re.search(rf"(?i:\b(?:not|neither|nor|except)) (?:option )?{one}", text):
        return None
    start = r"[\s:*\"'.,-]*(?:[Oo]ption )?"
    if match := re.match(
        rf"{start}(?:\(?([{letters}])[).:,;]|([{letters}])(?=\s*$|\n)|([{letters.replace('A', '')}]) )", text
    ):
        return "".join(filter(None, match.groups()))
    for pattern in (rf"\(([{letters}])\)", one + article):
        found = set(re.findall(pattern, text))
        if len(found) == 1:
            return found.pop()
        if found:
            return None
    return None
