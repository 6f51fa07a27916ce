"""Checks of lesson 04: paired difference, the domains that may be named, the trap of ten comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from . import Mistake, check, close, expect, numbers, solved


def _numbers(value: Any, names: tuple[str, ...]) -> tuple[float, ...]:
    """The student's tuple, or a Mistake that says what should be in it."""
    found = numbers(value, len(names))
    expect(found, f"Return {len(names)} numbers ({', '.join(names)}), not {value!r:.80}.")
    for name, number in zip(names, found):
        expect(
            math.isfinite(number),
            f"Your {name} is {number}: did you divide by a count of zero, or keep missing values?",
        )
    return found


def _answers(lima: dict[str, int], role: dict[str, int], shuffle: int | None = None) -> pd.DataFrame:
    """Lines of both arms and, to be ignored, of the base model."""
    base = {q: 1 - v for q, v in lima.items()}
    lines = [(arm, q, v) for arm, part in (("base", base), ("lima", lima), ("role", role)) for q, v in part.items()]
    frame = pd.DataFrame(lines, columns=["arm", "question_id", "correct"])
    return frame if shuffle is None else frame.sample(frac=1, random_state=shuffle).reset_index(drop=True)


@check
def paired(student: Callable[[pd.DataFrame], tuple[int, int, float]]) -> str:
    """(gained, lost, difference) over the questions that both arms answered."""
    names = ("gained", "lost", "difference")
    lima = dict(zip("abcdefgh", (1, 1, 0, 0, 0, 0, 1, 0)))
    role = dict(zip("abcdefgh", (1, 0, 1, 1, 1, 0, 1, 0)))  # gained 3, lost 1, n 8
    gained, lost, difference = _numbers(solved(student(_answers(lima, role))), names)
    if (gained, lost) == (1, 3) or close(difference, -0.25):
        raise Mistake(
            "The sign is turned round: gained, and a positive difference, mean that `role` is right where `lima` is wrong."
        )
    expect(
        (gained, lost) != (5, 3),
        "You count all right answers of each arm. Gained are those of `role` that `lima` got wrong, and vice versa.",
    )
    expect(
        (gained, lost) == (3, 1),
        f"Of 8 questions `role` alone is right on 3, `lima` alone on 1; you say {gained:g} and {lost:g}.",
    )
    expect(
        not close(difference, 25), "The counts are right, the difference is in percent: return a share (0.25, not 25)."
    )
    expect(not close(difference, 2), "The difference is an accuracy: divide gained − lost by the number of questions.")
    expect(
        not close(difference, 0.5),
        "You divide by the questions that differ. The difference of two accuracies is divided by the number of *all* common questions.",
    )
    expect(close(difference, 0.25), f"(3 − 1) of 8 questions is 0.25; you say {difference:g}.")

    backwards = _answers(lima, dict(reversed(role.items())))
    for frame in (backwards, _answers(lima, role, shuffle=4)):
        gained, lost, _ = _numbers(solved(student(frame)), names)
        expect(
            (gained, lost) == (3, 1),
            "With the same lines in another order your counts change: you pair the first line with the first line. "
            "Pair by question_id (pivot does).",
        )

    some = _answers({q: v for q, v in lima.items() if q != "a"}, {q: v for q, v in role.items() if q not in "cd"}, 1)
    gained, lost, difference = _numbers(solved(student(some)), names)  # common: b e f g h; gained 1, lost 1
    expect(
        (gained, lost) == (1, 1),
        "You count a question that is missing in one arm. Nothing is known about it: leave it out.",
    )
    expect(
        close(difference, 0.0),
        "When questions are missing in one arm, each arm's accuracy is over other questions: "
        f"over the common ones the difference is 0, you say {difference:+.3f}.",
    )
    uneven = _answers(dict(zip("abcd", (0, 1, 1, 0))), dict(zip("abc", (1, 1, 1))))
    difference = _numbers(solved(student(uneven)), names)[2]
    expect(close(difference, 1 / 3), f"Divide by the number of *common* questions: 1 of 3, you say {difference:.3f}.")
    return "paired by question, in any order, over the common questions only"


@check
def named(student: Callable[[dict[str, tuple[int, int]]], list[str]]) -> str:
    """Names of the domains that are ahead with p below 0.05 after Holm's correction, from {domain: (gained, lost)}."""
    for counts, wanted, mistake in _NAMED:
        answer = solved(student(dict(counts)))
        expect(
            not isinstance(answer, (str, bytes, Real)) and np.iterable(answer),
            f"Return a list of names, also if it holds one name or none; yours is {answer!r:.60}.",
        )
        names = [str(name) for name in answer]
        strange = [name for name in names if name not in counts]
        expect(not strange, f"Your list holds {strange[:1]}: return the names of domains, the keys of `counts`.")
        found = f" (Yours: {', '.join(names) or 'none'}. Right: {', '.join(sorted(wanted)) or 'none'}.)"
        expect(set(names) == wanted, mistake + found)
        expect(len(names) == len(wanted), "A name stands twice in your list." + found)
    return "you name only domains that are ahead, after each p has paid for every domain that you looked at"


_SMALL = {"health": (2, 1), "history": (0, 0), "psychology": (1, 3), "politics": (2, 2), "business": (1, 0)}
_NAMED = (  # counts, the domains that may be named, what it means if they are not
    (
        {"law": (12, 0), "math": (4, 3), "physics": (3, 5), "chemistry": (2, 2), "philosophy": (5, 0), **_SMALL},
        {"law"},
        "Law has 12 gained and none lost: p stays below 0.05 after the correction. No other p is below 0.05 before it: "
        "philosophy has 5 gained and none lost, p = 0.0625.",
    ),
    (
        {"law": (12, 0), "math": (0, 12), "physics": (3, 5), "chemistry": (2, 2), "philosophy": (0, 3), **_SMALL},
        {"law"},
        "In math LIMA-Role lost 12 and gained none. A small p says that the arms differ, not which is ahead: look at the sign.",
    ),
    (
        {"law": (7, 0), "math": (4, 3), "physics": (3, 5), "chemistry": (2, 2), "philosophy": (8, 1), **_SMALL},
        set(),
        "Law (7 to 0) has p = 0.016, philosophy (8 to 1) p = 0.039. You looked at ten domains: times ten, times nine, and "
        "neither is below 0.05.",
    ),
    ({"law": (5, 0)}, set(), "5 to 0 has p = 0.0625; yours looks like the one-sided p, 0.031. The test must be two-sided."),
    (
        {"law": (8, 0)} | {name: (0, 0) for name in ("math", "physics", "chemistry", "philosophy", *_SMALL)},
        set(),
        "Law (8 to 0) has p = 0.0078, times ten 0.078. Domains in which no question differs count: you looked at them, too.",
    ),
    (
        {"law": (8, 0)} | {name: (1, 3) for name in ("math", "physics", "chemistry", "philosophy", *_SMALL)},
        set(),
        "Law (8 to 0) has p = 0.0078, times ten 0.078. Domains in which LIMA-Role is behind count: you looked at them, too.",
    ),
    (
        {"law": (12, 0), "math": (0, 12), "physics": (0, 12), "chemistry": (0, 12), "philosophy": (8, 0), **_SMALL},
        {"law", "philosophy"},
        "Philosophy (8 to 0) has p = 0.0078, the fifth smallest, so Holm multiplies it by 6: 0.047. Do you multiply every p "
        "by ten? That is Bonferroni.",
    ),
    ({"law": (6, 0), "math": (7, 0)}, {"law", "math"}, "Here are two domains, so p is multiplied by two and by one, not by ten."),
    (
        {"law": (6, 0), "math": (6, 0)},
        set(),
        "Both have p = 0.031; times two the first is 0.0625. The second is multiplied by one, but no corrected p may be "
        "smaller than the one before.",
    ),
    ({"law": (40, 60), "math": (60, 40)}, set(), "60 to 40 has p = 0.057: use the exact test, not the normal approximation."),
    ({"law": (3, 20)}, set(), "3 gained and 20 lost: LIMA-Role is behind."),
    ({"law": (0, 0)}, set(), "No question differs in any domain: nothing may be named."),
)  # fmt: skip


@check
def false_alarms(student: Callable[..., tuple[float, float]]) -> str:
    """Shares of experiments with at least one p below level, plain and with Bonferroni's correction."""
    names = ("plain", "corrected")
    p = np.array([[0.04, 0.20, 0.50, 0.90], [0.04, 0.03, 0.01, 0.60], [0.30, 0.30, 0.30, 0.30], [0.60, 0.70, 0.80, 0.90],
                  [0.02, 0.50, 0.02, 0.50]])  # fmt: skip
    # rows with one below 0.05: 3 of 5; below 0.0125: 1 of 5
    plain, corrected = _numbers(solved(student(p.copy())), names)
    below = p < 0.05
    expect(
        not close(plain, below.mean()),
        "That is the share of single p-values, which stays near the level however many domains there are. "
        "Ask of each experiment whether *any* of its domains is below.",
    )
    expect(
        not close(plain, below.any(axis=0).mean()), "You went along the wrong axis: experiments are the rows (axis=1)."
    )
    expect(not close(plain, 3), "You count experiments: divide by their number.")
    expect(not close(plain, 60), "Return shares (0.6), not percent.")
    expect(
        not close(plain, below.all(axis=1).mean()),
        "You ask that *all* domains are below; one is enough to fool a reader.",
    )
    expect(
        not close(plain, 1 - 0.95**4) and not close(plain, 1 - 0.95**10),
        "That is the formula for independent tests. It is a good check, but count what the array says.",
    )
    expect(close(plain, 0.6), f"3 of the 5 experiments have a p-value below 0.05; you say {plain:g}.")
    expect(
        not close(corrected, plain),
        "Your corrected share equals the plain one: with 4 domains a p-value must be below 0.05 / 4 = 0.0125.",
    )
    expect(
        not close(corrected, plain / 4),
        "You divide the *share* by the number of domains. Bonferroni divides the level, then counts again.",
    )
    expect(
        close(corrected, 0.2), f"One of the 5 experiments has a p-value below 0.05 / 4 = 0.0125; you say {corrected:g}."
    )

    wider = np.hstack([p, np.ones((5, 6))])  # ten domains: 0.005
    expect(
        close(_numbers(solved(student(wider)), names), (0.6, 0.0)),
        "Right for 4 domains, wrong for 10: take the number of domains from the array's shape.",
    )
    strict = _numbers(solved(student(p.copy(), 0.025)), names)
    expect(close(strict[0], 0.4), "At level=0.025 the result does not change as it should: use `level`, not 0.05.")

    simulated = student(np.random.default_rng(0).uniform(size=(20_000, 10)))
    return (
        f"without any effect {simulated[0]:.0%} of 20,000 simulated studies of ten domains find a significant one "
        f"(formula: {1 - 0.95**10:.0%}); with Bonferroni's correction {simulated[1]:.1%}"
    )
