"""StrategyQA (Geva et al., 2021) in BIG-bench's copy: yes or no, by steps that the question does not name."""

from __future__ import annotations

import re

from . import common

NAME = "strategyqa"
STAGE2 = "\nTherefore, the answer (Yes or No) is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 2,290 questions in file order."""
    hub = ("tasksource/bigbench", "strategyqa", "train")
    rows_ = common.read(source, NAME, "strategyqa/bigbench_task_examples.jsonl", hub, ("input", "target_scores"))
    return [_original_layout(row) for row in rows_[:limit]]


def _original_layout(row: common.Row) -> common.Row:
    if "inputs" in row:
        scores = dict(zip(row["multiple_choice_targets"], row["multiple_choice_scores"]))
        return {**row, "input": row["inputs"], "target_scores": scores}
    return row


def question(row: common.Row) -> str:
    return row["input"]


def gold(row: common.Row) -> str:
    return max(row["target_scores"], key=row["target_scores"].get).lower()


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.5


def extract(text: str) -> str | None:
    """ "yes" or "no", whichever is said first."""
    match = re.search(r"\b(yes|no)\b", text.lower().replace("(yes or no)", ""))  # the question of stage 2, repeated
    return match[1] if match else None


def correct(row: common.Row, text: str) -> bool:
    return extract(text) == gold(row)
