"""StrategyQA (Geva et al., 2021) in BIG-bench's copy: yes or no, by steps that the question does not name.

>>> row = {"input": "Could a snail cross a football pitch within a minute?", "target_scores": {"Yes": 0, "No": 1}}
>>> question(row), gold(row)
('Could a snail cross a football pitch within a minute?', 'no')
>>> extract(" No. A snail needs hours for a hundred metres.")
'no'
>>> reply = "Some would say yes, but a snail is slow. So the answer is no."
>>> extract(reply), extract(reply, rule="declared")  # the first one said, the one declared
('yes', 'no')
"""

from __future__ import annotations

import re

from . import common

NAME = "strategyqa"
STAGE2 = "\nTherefore, the answer (Yes or No) is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 2,290 questions in file order."""
    hub = (f"{common.BIG_BENCH}/StrategyQA/task.json",)
    local = "strategyqa/bigbench_task_examples.jsonl"
    return common.read(source, NAME, local, hub, ("input", "target_scores"), _texts)[:limit]


def _texts(row: common.Row) -> list[str]:
    return [row["input"], gold(row)]


def question(row: common.Row) -> str:
    return row["input"].strip()


def gold(row: common.Row) -> str:
    return max(row["target_scores"], key=row["target_scores"].get).lower()


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.5


def extract(text: str, rule: str = "kojima", row: common.Row | None = None) -> str | None:
    """ "yes" or "no": whichever is said first (kojima), or which one is declared."""
    return common.apply(rule, _first, _declared, text)


def correct(row: common.Row, text: str, rule: str = "kojima") -> bool:
    return extract(text, rule, row) == gold(row)


def _first(text: str) -> str | None:
    match = re.search(r"\b(yes|no)\b", text.lower().replace("(yes or no)", ""))  # the question of stage 2, repeated
    return match[1] if match else None


_HALF = re.compile(
    r"\byes[,/]? ?(?:and|or|/) ?no\b|\bno or yes\b|(?:\bnot|n't)(?: an?| simple| clear| definite)* (?:yes|no)\b(?! (?:it|that))"
)
_NOUN = r"(?! (?:one|evidence|doubt|such|known|matter|single|longer|more|idea|way|information|person|record|human|reason|proof|clear)\b)"
_SAID = [
    re.compile(r"\banswer\b[^.\n]{0,40}?(?:\b(?:is|be)\b|[:=])[\s:\"'(-]*(?:definitely |clearly |probably |most likely |likely |a |an |simply |still |therefore )*"
               rf"(yes|no)\b{_NOUN}"),
    re.compile(rf"^[\s\"'.:(-]*(?:well, |so, )?(yes|no)\b{_NOUN}"),
    re.compile(r"\b(?:so|therefore|thus|hence|i(?:'d| would) say|in short|in conclusion)[,:]? \"?(yes|no)(?=\s*(?:[.,;:!\")]|-|$))"),
    re.compile(r"\n[\s\"'(]*(yes|no)[\s.!\")]*$"),
]  # fmt: skip


def _declared(text: str) -> str | None:
    text = _HALF.sub(" ", text.lower())
    if found := [(m.end(), m[1]) for pattern in _SAID for m in pattern.finditer(text)]:
        return max(found)[1]
    alone = set(re.findall(r"\b(yes|no)\b(?=\s*(?:[.,;:!?\")]|$))", text))  # "no" before a noun is no answer
    return alone.pop() if len(alone) == 1 else None
