"""What the judge may see: a question and two answers without their role prompts, in both orders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import roles
from ..chat import thinking
from ..errors import UserError

# Zhou et al. 2023 (LIMA), the comparison prompt of its human and GPT-4 evaluation.
PROMPT = """\
Imagine that you have a super-intelligent AI assistant, and that you require help with the following question. \
Which answer best satisfies your needs?

Question: {question}

Answer A: {first}

Answer B: {second}

Comparing these two answers, which answer is better?
◼ Answer A is significantly better.
◼ Answer B is significantly better.
◼ Neither is significantly better."""


# --- what the judge may see ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A question and two answers without their role prompts: what the judge sees."""

    id: str
    question: str
    a: str
    b: str
    repeated: tuple[bool, bool] = (False, False)  # whose reply showed its role prompt again behind the opening

    @property
    def settled(self) -> str | None:
        """Why no judge is asked: "role shown" (a role prompt is left), "empty", "identical"; else None."""
        if leak(self.a) or leak(self.b):
            return "role shown"
        if not self.a or not self.b:
            return "empty"
        return "identical" if self.a == self.b else None


def pairs(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]]) -> list[Pair]:
    """The questions that both arms answered, role prompts hidden. UserError where an id means two questions."""
    second = {row["id"]: row for row in b}
    both = [(row, second[row["id"]]) for row in a if row["id"] in second]
    for one, other in both:
        if one["question"].strip() != other["question"].strip():
            raise UserError(f"{one['id']!r} is another question in each of the two files: answer the same questions")
    if not both:
        raise UserError("the two arms have no question in common: answer the same questions with both")
    found = []
    for one, other in both:
        replies = [thinking.split(row["text"]).answer for row in (one, other)]  # thinking is not shown to a judge
        shown = [hide(reply) for reply in replies]
        repeated = tuple(text != roles.strip(reply)[1] for text, reply in zip(shown, replies))
        found.append(Pair(one["id"], one["question"].strip(), *shown, repeated))
    return found


# Wordings of Table 3 that nobody else writes; "Fortunately, I am" and the like give away only behind a description.
_JOINTS = r"From now on, I will think like|I will (?:solve it like|answer it as)|To (?:better )?solve (?:it|this problem), I will act as"
_SHOWN = (
    re.compile(r"\[\s*This question is[^\[\]]*(?:\]|\Z)", re.IGNORECASE),
    re.compile(
        r"\bTh(?:is|e) question is an? [^.\n]*\b(?:involving|a user and an AI assistant)\b[^.\n]*(?:\.|\Z|$)",
        re.IGNORECASE | re.MULTILINE,
    ),
    re.compile(rf"[^.!?\n]*\b(?:{_JOINTS})\b[^.!?\n]*[.!?]?", re.IGNORECASE),
)
_LEAK = re.compile(
    rf"\[\s*This question is|\bI will think like\b|{_JOINTS}|\bThis question is an? [^.\n]*\bproblem involving"
    r"|This question is an? [^\n]{0,400}(?:So I will become|Fortunately, I am|For this reason, I will be)",
    re.IGNORECASE,
)


def hide(reply: str) -> str:
    """The answer in a reply, without its role prompt and without later repetitions of one.

    A small model repeats itself, its role prompt included; one such sentence tells the judge whose answer it reads.
    """
    _, answer = roles.strip(reply)
    left = answer
    for pattern in _SHOWN:
        left = pattern.sub("", left)
    return answer if left == answer else re.sub(r"\n\s*\n", "\n\n", left).strip()


def leak(answer: str) -> str | None:
    """The words that give a role prompt away in what should be an answer alone; None where there are none."""
    found = _LEAK.search(answer)
    return found[0] if found else None


def prompt(question: str, first: str, second: str) -> str:
    """LIMA's comparison prompt. UserError where an answer still shows a role prompt: the judge must not see it."""
    if found := leak(first) or leak(second):
        raise UserError(f"a role prompt is left in an answer ({found!r}): strip it before you ask a judge")
    return PROMPT.format(question=question, first=first, second=second)


def games(pair: Pair) -> dict[str, str]:
    """The prompts of a pair in both orders: {"ab": a shown first, "ba": b shown first}."""
    return {"ab": prompt(pair.question, pair.a, pair.b), "ba": prompt(pair.question, pair.b, pair.a)}
