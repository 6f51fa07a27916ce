"""One real question of a run with the answers of all three arms, for the first screen of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from .. import roles, score
from ..arms import LABELS
from ..chat import journal
from ..errors import UserError

BENCHMARK = "mmlu"
TURNS = ("USER: ", "\nASSISTANT:")  # what stands around the question in the frame of Figure 2
LONGEST = 160  # characters of an answer that the page shows


def example(folder: Path, answers: pd.DataFrame) -> dict[str, Any] | None:
    """The question whose text and answers are shortest, so that they fit on a screen; who is right has no say in it.

    {question, gold, replies: [{arm, label, role, text, cut, said, right}]}, or None if the arms share no such question.
    All arms must have written something before they were asked for the letter, and the role arm a role prompt.
    """
    answers = answers[answers.benchmark == BENCHMARK]
    if set(score.ARMS) - set(answers.arm):
        return None
    read, graded = {}, {}
    for arm in score.ARMS:
        seed = int(answers.seed[answers.arm == arm].min())
        read[arm] = _replies(score.generations(folder, arm, seed) / f"{BENCHMARK}.jsonl")
        part = answers[(answers.arm == arm) & (answers.seed == seed)]
        graded[arm] = part.set_index("question_id").to_dict("index")
    fit = {}
    for name in set.intersection(*(set(part) & set(graded[arm]) for arm, part in read.items())):
        replies = {arm: roles.strip(read[arm][name]["stage1"]) for arm in score.ARMS}
        if all(text for _, text in replies.values()) and roles.parse(replies["role"][0]) is not None:
            fit[len(_question(read["role"][name])) + sum(len(text) for _, text in replies.values()), name] = replies
    if not fit:
        return None
    (_, name), replies = min(fit.items())
    shown = []
    for arm, (role, text) in replies.items():
        line = graded[arm][name]
        said = "no letter could be read" if pd.isna(line["prediction"]) else f"answers {line['prediction']}"
        cut = len(text) > LONGEST or read[arm][name]["finish"] == "length"
        shown.append({"arm": arm, "label": LABELS[arm], "role": role, "text": text[:LONGEST].strip(), "cut": cut})
        shown[-1] |= {"said": said, "right": bool(line["correct"])}
    return {"question": _question(read["role"][name]), "gold": graded["role"][name]["gold"], "replies": shown}


def _replies(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return {line["question_id"]: line for line in journal.read(path)} if path.is_file() else {}
    except (KeyError, UserError):  # a damaged journal: the lessons say so, the page does without
        return {}


def _question(record: dict[str, Any]) -> str:
    return record["prompt"].partition(TURNS[0])[2].rpartition(TURNS[1])[0].strip()
