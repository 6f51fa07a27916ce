"""A table of answers to exercises: at least four right ones, at least ten wrong ones, for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    check: Callable  # of helpers.checks
    right: tuple[Any, ...]  # answers in several styles; the first is plain Python
    wrong: tuple[tuple[Any, str], ...]  # (answer, words of the message that names its mistake)


def table() -> tuple[list[Exercise], Callable[..., None]]:
    """An empty table, and the function that adds to it: answers(check, right, *wrong, also=more right ones)."""
    exercises: list[Exercise] = []

    def answers(check: Callable, right: Any, *wrong: tuple[Any, str], also: Sequence[Any] = ()) -> None:
        exercises.append(Exercise(check, (right, *also), wrong))

    return exercises, answers
