"""Score a model on the benchmarks (paper, section 4.2): ask in two stages, grade, tabulate."""

from ..arms import ARMS
from ..chat import endpoint_chat, local_chat
from .asking import (
    ANSWERS,
    CUT,
    SCORES,
    Question,
    answer,
    arm_of,
    asked,
    generations,
    grade,
    paper_row,
    plan,
    protocol,
    questions,
    read_csv,
    score,
    shown,
    table,
)

__all__ = [
    "ANSWERS",
    "ARMS",
    "CUT",
    "SCORES",
    "Question",
    "answer",
    "arm_of",
    "asked",
    "endpoint_chat",
    "generations",
    "grade",
    "local_chat",
    "paper_row",
    "plan",
    "protocol",
    "questions",
    "read_csv",
    "score",
    "shown",
    "table",
]
