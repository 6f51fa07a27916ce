"""Checks for the exercises: `checks.lesson_02.mask(my_mask)` says what is right or which mistake it looks like.

A check never raises: an unsolved stub is "not solved yet" and the lesson runs on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dis import get_instructions
from functools import wraps
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a check found; a notebook shows it as its message."""

    status: str  # "solved", "not solved yet" or "not quite"
    message: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "solved"

    def __repr__(self) -> str:
        mark = {"solved": "✅", "not solved yet": "✏️ ", "not quite": "❌"}[self.status]
        return f"{mark} {self.status}{': ' if self.message else ''}{self.message}"


RETURN = "your function returned None: end it with `return` and the value; `print` only shows a value"


class Mistake(Exception):
    """Raised inside a check with the message for the student."""


def expect(condition: Any, message: str) -> None:
    """Go on if `condition` holds, else tell the student `message`."""
    if not condition:
        raise Mistake(message)


def check(function: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that returns a word of praise, or raises Mistake, into a check.

    A stub says it is unsolved by returning `...` or None, or by raising NotImplementedError; use
    `solved(value)` inside a check on everything the student's code returns. A function that computes something and
    returns None has most often a `print` where a `return` should stand, and is told so.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Verdict:
        try:
            return Verdict("solved", function(*args, **kwargs))
        except Mistake as mistake:
            return Verdict("not quite", str(mistake))
        except NotImplementedError as unsolved:
            if isinstance(unsolved, _Nothing) and any(map(_does_something, args)):
                return Verdict("not quite", RETURN)
            return Verdict("not solved yet", "fill in the cell above, run it, then run this one again")
        except Exception as error:
            return Verdict("not quite", f"your code stopped with {type(error).__name__}: {error}")

    return run


def solved(value: Any) -> Any:
    """The student's value; `...` or None mean that the stub is still as it was."""
    if value is None:
        raise _Nothing
    if value is ...:
        raise NotImplementedError
    return value


class _Nothing(NotImplementedError):
    """The student's code returned None."""


def _stub():
    """What a stub looks like."""
    ...


def _does_something(value: Any) -> bool:
    """Whether `value` is a function with more in it than a stub has."""
    if not hasattr(value, "__code__"):
        return False
    mine, stub = ({step.opname for step in get_instructions(function)} for function in (value, _stub))
    return not mine <= stub


def numbers(value: Any, n: int = 1) -> tuple[float, ...]:
    """`value` as n floats (a list, tuple or array of them; n = 1: a number), or () if it is something else."""
    try:
        found = tuple(float(x) for x in ((value,) if n == 1 else value))
    except (TypeError, ValueError):
        return ()
    return found if len(found) == n else ()


def close(mine: Any, right: Any, tolerance: float = 1e-6) -> bool:
    """Whether numbers, or lists, tuples and arrays of them, are equal up to rounding, also that of numpy's float32."""
    try:
        mine, right = np.asarray(mine, float), np.asarray(right, float)
    except (TypeError, ValueError):
        return False
    return mine.shape == right.shape and bool(np.allclose(mine, right, rtol=tolerance, atol=tolerance))


from . import (  # noqa: E402
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
)

__all__ = [
    "Verdict",
    "lesson_00",
    "lesson_01",
    "lesson_02",
    "lesson_03",
    "lesson_04",
    "lesson_05",
    "lesson_06",
    "lesson_07",
    "lesson_08",
    "lesson_09",
]
