"""The paper's eight benchmarks, one small module each, with the same functions:

rows(source, limit=None, seed=0)   the questions; source "packaged", "local" (SPT_DATA) or "hub"
question(row), gold(row)           what is asked, and the right answer as `extract` would give it
extract(text, rule, row=None)      the answer a reply gives, or None: unparsed, counted, never guessed
correct(row, text, rule)           whether the reply is right
group(row), chance(row)            MMLU's domain (else the name); the expected score of random guessing
STAGE2                             Kojima's trigger for the second stage, or None

Two rules find the answer in a reply: "kojima", the paper's, takes the first match; "declared" takes what the
reply declares (`common.py`). Left out, a number, a yes or no, and code are read by the first, a letter by the
second: Kojima's letters would turn the A of "Answer: C" into an answer.
"""

from __future__ import annotations

from types import ModuleType

from ..errors import UserError
from . import commonsense_qa, date, gsm8k, humaneval, mmlu, openbookqa, strategyqa, truthful_qa

BENCHMARKS: dict[str, ModuleType] = {
    "mmlu": mmlu,
    "commonsense_qa": commonsense_qa,
    "strategyqa": strategyqa,
    "truthful_qa": truthful_qa,
    "openbookqa": openbookqa,
    "humaneval": humaneval,
    "gsm8k": gsm8k,
    "date": date,
}
MULTI_DOMAIN = ("mmlu", "commonsense_qa", "strategyqa", "truthful_qa", "openbookqa")  # the paper's MDQA
SINGLE_DOMAIN = ("humaneval", "gsm8k", "date")  # the paper's SDTask


KOJIMAS = ("commonsense_qa", "strategyqa", "gsm8k", "date")  # read, and measured, by Kojima's reader


def words(name: str, question: str) -> int:
    """The words of a question as Table 2 counts them: Kojima's reader parts at each blank, so that a line break parts nothing."""
    return len(question.split(" ") if name in KOJIMAS else question.split())


def get(name: str) -> ModuleType:
    if name not in BENCHMARKS:
        raise UserError(f"unknown benchmark {name!r}: choose from {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
