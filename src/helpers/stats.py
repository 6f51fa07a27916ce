"""Intervals and paired comparisons: what a number from n questions can say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest


class Interval(NamedTuple):
    estimate: float
    low: float
    high: float


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Share k/n with Wilson's score interval (Wilson 1927; `scipy.stats.binomtest`). All shares in 0..1.

    Unlike the textbook p +- 1.96 se it stays inside [0, 1] and holds for small n.
    n = 0 gives (nan, 0, 1): nothing was asked, nothing is known.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} correct of {n} is impossible")
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0)
    interval = binomtest(k, n).proportion_ci(level, method="wilson")
    return Interval(k / n, float(interval.low), float(interval.high))


def paired(a, b, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean of b - a on the same questions, with a bootstrap interval.

    `a`, `b`: 0/1 (or scores) of shape [questions] or [seeds, questions], the same questions in the same
    order. Seeds are drawn first, then questions (two-way bootstrap); with one seed only the questions
    vary, so the interval says nothing about another training run.
    """
    a, b = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if a.shape != b.shape:
        raise ValueError(f"paired needs the same questions in both arms, found {a.shape} and {b.shape}")
    difference = b - a  # [seeds, questions]
    seeds, questions = difference.shape
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for i in range(draws):
        over_seeds = difference[rng.integers(seeds, size=seeds)].mean(0)
        means[i] = over_seeds[rng.integers(questions, size=questions)].mean()
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(difference.mean()), float(low), float(high))
