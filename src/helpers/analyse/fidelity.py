"""Playing a given character: questions to it, and the score of a reply (after the ROLEPL-AI report)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import roles, stats
from ..data import read_jsonl
from ..errors import UserError
from .robustness import PACKAGED, says

# --- (c) role fidelity --------------------------------------------------------------------------------

PROMPT = """{profile}

You are {name}. Answer as {first} would, in one or two sentences. {first} is a human being with limited knowledge.
{question}"""


def characters(path: str | Path = PACKAGED / "characters.jsonl") -> list[dict[str, Any]]:
    """Our characters, or those of your own file; UserError names the question that is damaged.

    One JSON object a line: "id", "name", "profile" and "questions": "id", "kind" (RK, UQR or CRI), "question", and three
    patterns: "right", "wrong" and, if there is one, "trap" (see `fidelity`). "gold" is the expected answer in words.
    """
    path = Path(path)
    people = read_jsonl(path, required=("id", "name", "profile", "questions"))
    for question in (q for person in people for q in person["questions"]):
        where = f"{path.name}, {question.get('id', 'a question without id')}"
        if missing := [k for k in ("id", "kind", "question", "right", "wrong") if k not in question]:
            raise UserError(f"{where}: no {missing[0]!r}")
        if question["kind"] not in ("RK", "UQR", "CRI"):
            raise UserError(f"{where}: kind {question['kind']!r}, not RK, UQR or CRI")
        for name in ("right", "wrong", "trap"):
            try:
                re.compile(question.get(name, ""))
            except (re.error, TypeError):
                raise UserError(f"{where}: {name!r} is no pattern: {question[name]!r}") from None
    return people


def interview(character: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A character's questions as the model is asked them: profile first, each question on its own."""
    first = character["name"].split()[0]
    known = {"profile": character["profile"], "name": character["name"], "first": first}
    return [
        q | {"question": PROMPT.format(question=q["question"], **known), "asked": q["question"], "character": first}
        for q in character["questions"]
    ]


_UNKNOWN = re.compile(
    r"\b(?:(?:do not|don['’]t|cannot|can['’]t|could not|couldn['’]t|would not|wouldn['’]t) (?:really )?(?:know|say|tell|answer|remember|"
    r"understand)|never (?:heard|seen|met|been|learn)|no idea|not sure|not know|unknown to me)",
    re.IGNORECASE,
)
_ASKS = re.compile(r"\bwhat (?:is|are) (?:a|an|that|those)\b[^.?]*\?\W*$", re.IGNORECASE)  # and says nothing behind it
_BREAK = re.compile(
    r"\b(?:an? (?:AI|artificial|language model|assistant|chatbot|computer program)|language model|as an AI|AI assistant|"
    r"the (?:profile|text|passage|description)|not mentioned|my training)\b",
    re.IGNORECASE,
)


def admits(answer: str) -> bool:
    """Whether an answer says that its speaker does not know, or only asks back."""
    return bool(_UNKNOWN.search(answer) or _ASKS.search(answer))


def breaks(answer: str) -> bool:
    """Whether an answer steps out of character: speaks as a machine, or of the profile as a text. "I am no AI" does not."""
    return says(_BREAK, answer)


def fidelity(question: Mapping[str, Any], reply: str) -> int | None:
    """-1, 0 or +1 for a reply to a question of a character (ROLEPL-AI report, section 5.2), by rule; None if it is empty.

    RK, Role Knowledge: +1 the expected words are there, -1 a wrong answer, 0 vague, or admits not to know.
    UQR, Unknown Question Rejection: +1 admits not to know, 0 steps out of character, -1 answers. The
    report also gives 0 to an answer with a convincing reason for knowing; no pattern hears that, so here it is -1.
    CRI, Consistent Role Identity: +1 fits the profile, -1 speaks as a machine or contradicts the profile, 0 neither.

    `right` words win over `wrong` ones ("twelve, one for each month"); a `trap` wins over both ("my sons are Tom and Rose").
    """
    answer = roles.strip(reply)[1]
    if not re.search(r"\w", answer):
        return None
    if question["kind"] == "UQR":
        return 0 if breaks(answer) else 1 if admits(answer) else -1
    trap, right, wrong = (
        bool(pattern) and bool(re.search(pattern, answer, re.IGNORECASE))
        for pattern in (question.get("trap"), question["right"], question["wrong"])
    )
    if trap or (question["kind"] == "CRI" and breaks(answer)):
        return -1
    return 1 if right else -1 if wrong else 0


def scored(table: pd.DataFrame, asked: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The replies to the questions `asked` (of `interview`), each with its `score` by `fidelity`; none if it is empty."""
    known = {q["id"]: q for q in asked}
    part = table[table.question_id.isin(list(known))]
    scores = [fidelity(known[i], reply) for i, reply in zip(part.question_id, part.reply)]
    return part.assign(score=pd.Series(scores, index=part.index, dtype="Int64")).reset_index(drop=True)


def mean(scores: Sequence[int]) -> stats.Interval:
    """Mean of -1/0/+1 scores with a bootstrap interval over the questions; nothing asked is nothing known."""
    if len(scores) == 0:
        return stats.Interval(float("nan"), -1.0, 1.0)
    return stats.paired([0] * len(scores), list(scores))


def fidelity_table(scored: pd.DataFrame) -> pd.DataFrame:
    """By arm and kind of question: n scored, how often +1, 0 and -1, the mean with its interval (-1 to 1), none: empty answers."""
    lines = []
    for (arm, kind), part in scored.groupby(["arm", "kind"], sort=False):
        counts = [int((part.score == s).sum()) for s in (1, 0, -1)]
        given = part.score.dropna().tolist()
        lines.append((arm, kind, *mean(given), len(given), *counts, len(part) - len(given)))
    return pd.DataFrame(lines, columns=["arm", "kind", "mean", "low", "high", "n", "+1", "0", "-1", "none"])
