"""Checks of lesson 04: paired difference, balanced average, the trap of ten comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
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
        raise Mistake("The sign is turned round: gained and positive mean that `role` is right where `lima` is wrong.")
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
        "You divide by the questions that differ. The difference of two accuracies has *all* common questions below the line.",
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
        "When a question is missing in one arm you count it all the same. Nothing is known about it: leave it out.",
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
def balanced(student: Callable[[pd.DataFrame], float]) -> str:
    """Macro average: mean of the domains' accuracies."""
    groups = {"law": (1, 0, 0, 0, 0, 0, 0, 0), "math": (1, 1), "history": (1, 0, 0, 1)}  # 1/8, 1, 1/2; micro 5/14
    frame = pd.DataFrame([(g, c) for g, part in groups.items() for c in part], columns=["group", "correct"])
    value = solved(student(frame.sample(frac=1, random_state=0)))
    expect(
        numbers(value),
        f"Return one number; this is a {type(value).__name__}. If it holds the accuracy of every domain, take their mean.",
    )
    value = float(value)
    macro = (1 / 8 + 1 + 1 / 2) / 3
    expect(
        not close(value, 5 / 14),
        "That is the micro average: every question weighs the same, so law with its 8 questions decides. "
        "Take the mean within each domain first.",
    )
    expect(not close(value, 100 * macro), "Return a share (0.54), not percent.")
    expect(not close(value, 3 * macro), "You add the domains' accuracies up: divide by the number of domains.")
    expect(
        not close(value, 5 / 3),
        "You average the *counts* of right answers: turn each domain's count into a share first.",
    )
    expect(not close(value, 1 / 2), "That is the median of the domains; the macro average is their mean.")
    expect(
        close(value, macro), f"Domains with accuracies 1/8, 1 and 1/2 have the mean {macro:.4f}; you say {value:.4f}."
    )
    more = pd.DataFrame({"group": ["a", "a", "b"], "correct": [1, 0, 0]})
    expect(
        close(float(student(more)), 0.25), "Right for three domains, wrong for two: did you write the 3 into the code?"
    )
    return "every domain has one vote, however many questions it has"


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
    expect(close(corrected, 0.2), f"Below 0.05 / 4 = 0.0125 lies one of the 5 experiments; you say {corrected:g}.")

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
