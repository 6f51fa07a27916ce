"""Intervals, paired comparisons, power: what a number from n questions and a few training runs can say.

Two things are drawn by chance: the questions of a benchmark and the seeds of the training runs. An interval speaks
only of what it draws again. All shares and differences are in 0..1; `a` is the first arm, `b` the second, and a
difference is always b - a. Answers are 0/1 (or any score) of shape [questions] or [seeds, questions]: the same
questions in the same order in both arms, seed k of one arm beside seed k of the other. A dict
{benchmark: answers} stands for the macro average, in which every benchmark counts the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest, norm, ttest_1samp

Answers = ArrayLike | Mapping[str, ArrayLike]
CHUNK = 500_000  # question draws held in memory at a time
PARTED = 6  # fewer questions with a difference cannot reach p < 0.05, even if all point one way: 2 * 0.5**5 > 0.05


class Interval(NamedTuple):
    estimate: float
    low: float
    high: float


class SignTest(NamedTuple):
    up: int
    down: int
    ties: int
    p: float


class Matched(NamedTuple):
    n: int  # questions
    gained: int  # on which the second arm is better
    lost: int  # on which it is worse
    p: float
    difference: Interval
    verdict: str  # "ahead" (the second arm), "behind", "cannot say"


class Verdict(NamedTuple):
    answer: str  # "yes", "no", "cannot say"
    reason: str
    difference: Interval


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Share k/n with Wilson's score interval (Wilson 1927; `scipy.stats.binomtest`). All shares in 0..1.

    Unlike the textbook p +- 1.96 se it stays inside [0, 1] and holds for small n: at the sizes of our benchmarks (164
    to 2,290) it covers 93.6 to 95.9 % at every true share from 0.05 to 0.95 (enumerated, not simulated). n counts
    *questions*: the same question answered by four seeds is not four questions.
    n = 0 gives (nan, 0, 1): nothing was asked, nothing is known.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} correct of {n} is impossible")
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0)
    interval = binomtest(k, n).proportion_ci(level, method="wilson")
    return Interval(k / n, float(interval.low), float(interval.high))


def share_of_questions(mean: float, n: int) -> Interval:
    """A share over n questions, each perhaps a mean over seeds, with Wilson's interval for n questions.

    Four seeds' answers to one question are nearly copies: to count them as four questions would halve the interval.
    n = 0 gives (nan, 0, 1).
    """
    return wilson(round(mean * n), n)._replace(estimate=mean) if n else wilson(0, 0)


def over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Lines of scores.csv with several seeds as one: index (arm, benchmark), columns n, accuracy (mean), low, high.

    The interval is that of `share_of_questions`, as everywhere in the course.
    """
    lines = []
    for (arm, name), part in scores.groupby(["arm", "benchmark"], sort=False):
        n = int(part.n.max())
        lines.append((arm, name, n, *share_of_questions(float(part.accuracy.mean()), n)))
    columns = ["arm", "benchmark", "n", "accuracy", "low", "high"]
    return pd.DataFrame(lines, columns=columns).set_index(["arm", "benchmark"])


def shares(marks: Mapping[str, Iterable[bool]]) -> pd.DataFrame:
    """k, n, share, low, high of each named list of marks, with Wilson's 95 % interval; the share of nothing is empty."""
    lines = []
    for name, values in marks.items():
        values = [bool(v) for v in values]
        lines.append((name, sum(values), len(values), *wilson(sum(values), len(values))))
    return pd.DataFrame(lines, columns=["", "k", "n", "share", "low", "high"]).set_index("")


def paired(a: Answers, b: Answers, level: float = 0.95, draws: int = 10_000, seed: int = 0, clusters=None) -> Interval:
    """Mean of b - a with a percentile bootstrap interval: seeds are drawn first, then questions, both with replacement.

    `clusters`: one label a question (MMLU: its subject); whole clusters are drawn instead of questions. With dicts,
    seeds are drawn once for all benchmarks (it is the same model), questions inside each, and `clusters` is a dict too.
    The interval of a single number a question (a judge's +1, 0, -1; one arm's accuracy) is `paired(zeros, scores)`.

    This is Owen's pigeonhole bootstrap (Ann. Appl. Stat. 1, 2007). No bootstrap of a seeds x questions table has exactly
    the right spread (McCullagh, Bernoulli 6, 2000); this one errs to the wide side (Owen and Eckles, arXiv 1106.2125)
    unless few seeds vary much. How often a 95 % interval held the truth in simulations, in percent (simulated again in
    tests/test_stats.py; "sd" is how far the true difference moves from one pair of runs to the next):

             n = 164               n = 817               n = 2,290
    seeds    sd 0   1 pt   3 pt    sd 0   1 pt   3 pt    sd 0   1 pt   3 pt
    2        98.1   98.0   96.8    98.2   96.7   91.1    97.6   95.2   81.9
    4        97.3   97.0   96.0    96.8   97.0   94.8    96.6   96.0   91.0
    8        97.4   97.4   96.6    97.2   97.5   96.0    96.6   96.8   94.3
    With one seed only the questions vary: the interval says nothing about another training run.
    Few clusters make it too narrow: with one seed it held the truth in 83 % of simulations with 5 clusters, 88 % with
    10, 94 % with 35 (MMLU has 35 subjects, one of its domains 2 to 6).
    Raises ValueError for arms of different shape, nothing to compare, or a missing answer (NaN).
    """
    return _bootstrap(_strata(a, b, clusters), level, draws, seed)


def sign_test(differences: Sequence[float]) -> SignTest:
    """Do more benchmarks (domains, ...) go up than down? Exact, two-sided, without ties (Dixon and Mood, JASA 41, 1946).

    Each counts once, whatever its size, and they must be independent, which the subjects of one domain are not.
    """
    values = _finite(differences, "difference")
    up, down = int((values > 0).sum()), int((values < 0).sum())
    return SignTest(up, down, len(values) - up - down, float(binomtest(up, up + down).pvalue) if up + down else 1.0)


def matched(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Matched:
    """Two arms on the same questions: which of these trained models is better? Arguments as for `paired`, no clusters.

    The one rule for a row of the course's tables. Only questions on which the arms differ can tell, and p is their exact
    sign test (one seed: McNemar's test). A bootstrap of a handful of such questions is too sure: with 5 of 12 gained and
    none lost it leaves out 0, and p is 0.0625. With one seed of right and wrong the interval is `exact`; else `paired`
    gives it. "ahead" or "behind" needs p < 1 - level and an interval without 0.
    """
    differences = _difference(a, b)
    seeds, n = differences.shape
    gained, lost, _, p = sign_test(differences.mean(0).round(9))
    whole = seeds == 1 and np.isin(differences, (-1, 0, 1)).all()
    difference = exact(gained, lost, n, level) if whole else paired(a, b, level)
    known = p < 1 - level and not difference.low <= 0 <= difference.high
    verdict = ("ahead" if difference.estimate > 0 else "behind") if known else "cannot say"
    return Matched(n, gained, lost, p, difference, verdict)


def exact(gained: int, lost: int, n: int, level: float = 0.95) -> Interval:
    """The difference (gained - lost) / n of one pair of models, with an interval that agrees with the exact test.

    Two shares make the difference: on how many of the n questions the arms differ (Wilson's interval), and how those are
    divided (Clopper and Pearson's). Their errors are combined by square-and-add (Newcombe, Statist. Med. 17, 1998). It
    leaves out 0 exactly where the sign test's p is below 1 - level, and has a width where the arms never differ. In
    simulations (n from 4 to 500) it held the truth in 97.8 % on average, in 91 % at worst.
    """
    apart = wilson(gained + lost, n, level)
    if not gained + lost:
        return Interval(0.0, -apart.high, apart.high)
    split = binomtest(gained, gained + lost).proportion_ci(level, method="exact")
    way, low, high = (gained - lost) / (gained + lost), 2 * float(split.low) - 1, 2 * float(split.high) - 1
    few, many = (apart.low, apart.high) if way > 0 else (apart.high, apart.low)
    share, estimate = apart.estimate, (gained - lost) / n
    below = estimate - math.hypot(share * (way - low), way * (share - few))
    above = estimate + math.hypot(share * (high - way), way * (many - share))
    below = max(below, low * apart.low) if low > 0 else max(below, -1.0)
    above = min(above, high * apart.low) if high < 0 else min(above, 1.0)
    return Interval(estimate, below, above)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values adjusted for being several, in the order given (Holm, Scand. J. Statist. 6, 1979).

    Those still under 0.05 hold together: the chance of even one false finding among them stays below 5 %.
    """
    p = _finite(p_values, "p-value")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"a p-value lies in 0..1, found {p.min():g} to {p.max():g}")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(steps, 1)[np.argsort(order)]


def detectable(n: int, disagree: float, power: float = 0.8, level: float = 0.95) -> float:
    """Smallest true difference that n questions show with this power, by a two-sided paired test of two models.

    (z_{1-alpha/2} + z_power) sqrt(disagree / n): the sample size formula of Miller, "Adding Error Bars to Evals" (arXiv
    2411.00640), with the variance of one question's difference at its largest: `disagree`, the share of questions that
    exactly one model gets right (from a pilot run, or `paper.apart`). Seeds that vary need more. At most 1.
    """
    if n < 1 or not 0 <= disagree <= 1 or not 0 < power < 1 or not 0 < level < 1:
        raise ValueError(f"need n >= 1 and shares in 0..1, found n={n}, {disagree=}, {power=}, {level=}")
    return min(1.0, _deviations(power, level) * math.sqrt(disagree / n))


def verdict(
    a: Answers,
    b: Answers,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    clusters=None,
    names: Sequence[str] = ("LIMA", "Role"),
) -> Verdict:
    """Does b beat a? "yes", "no" (a is ahead) or "cannot say", with the reason in words. Arguments as for `paired`.

    A winner takes three things: two seeds or more, an exact sign test over the questions (clusters) on which the arms
    differ (as in `matched`), and 0 outside *both* intervals, the bootstrap's (new questions and seeds) and the t test's
    over seeds. Each stops what the others let through: where the arms do not differ, the bootstrap alone names a winner in 18 % of simulations (2 seeds, sd 3
    points, n = 2,290), the t test alone in 42 % (8 seeds, sd 0, n = 164). Together they say a false "yes" in 4.5 % at
    most (600 simulations in each of 81 settings: 2 to 8 seeds, n from 20 to 2,290, sd 0 to 3 points), and a false "no"
    as seldom: a winner of either kind in about 5 %.
    For m verdicts at once use level = 1 - 0.05 / m. A "cannot say" is no evidence that the arms are equal.
    """
    strata = _strata(a, b, clusters)
    difference, runs = _bootstrap(strata, level, draws, seed), _by_seed(strata)
    estimate, low, high = map(_points, difference)
    said, doubts = f"{estimate} points, {100 * level:.4g} % interval {low} to {high}", []
    signs = sign_test(np.concatenate([sums.sum(0).round(9) for sums, _ in strata]))
    parted = signs.up + signs.down
    if parted < PARTED:
        doubts.append(
            f"the arms differ on {parted} questions (clusters) only: fewer than {PARTED} cannot show a winner"
        )
    elif difference.low <= 0 <= difference.high:
        shows = 100 * _deviations(0.8, level) * (difference.high - difference.low) / 2 / norm.ppf((1 + level) / 2)
        doubts.append(f"no evidence either way: only gaps above about {shows:.0f} points would show")
    elif signs.p >= 1 - level:
        doubts.append(
            f"of the questions (clusters) that differ {signs.up} go up and {signs.down} down, p = {signs.p:.2f}"
        )
    if len(runs) < 2:
        doubts.append("one seed only: another training run may give another difference")
    else:
        low_t, high_t, p_t = _t_over_seeds(runs, level)
        p = f"p = {p_t:.3f}" if p_t >= 0.001 else "p < 0.001"
        said += f", seeds {', '.join(map(_points, runs))} (paired t: {p})"
        if low_t <= 0 <= high_t:
            doubts.append(f"{len(runs)} seeds differ too much")
    if doubts:
        return Verdict("cannot say", f"{'; '.join(doubts)} ({said})", difference)
    answer, ahead = ("yes", names[1]) if difference.estimate > 0 else ("no", names[0])
    return Verdict(answer, f"{ahead} is ahead: {said}", difference)


def _strata(a: Answers, b: Answers, clusters) -> list[tuple[np.ndarray, np.ndarray]]:
    """A benchmark at a time: sum of differences [seeds, clusters] and questions [clusters]; a question is a cluster of 1."""
    if not isinstance(a, Mapping) and not isinstance(b, Mapping):
        a, b, clusters = {"": a}, {"": b}, {"": clusters}
    if not isinstance(a, Mapping) or not isinstance(b, Mapping) or set(a) != set(b) or not a:
        raise ValueError("a macro average needs the same benchmarks in both arms, as two dicts {benchmark: answers}")
    if not set(clusters or {}) <= set(a):
        raise ValueError(f"clusters for a benchmark that was not answered: {sorted(set(clusters) - set(a))}")
    strata = [_clustered(_difference(a[k], b[k]), (clusters or {}).get(k)) for k in a]
    if len({len(sums) for sums, _ in strata}) > 1:
        raise ValueError(f"every benchmark needs the same seeds, found {[len(sums) for sums, _ in strata]}")
    return strata


def _difference(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """b - a, [seeds, questions], or a ValueError that says what does not fit."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"paired needs the same questions in both arms, found {a.shape} and {b.shape}")
    if a.ndim not in (1, 2) or not a.size:
        raise ValueError(f"answers must be [questions] or [seeds, questions] and not empty, found shape {a.shape}")
    difference = np.atleast_2d(b - a)
    missing = int((~np.isfinite(difference)).any(0).sum())
    if missing:
        raise ValueError(f"{missing} of {a.shape[-1]} questions lack an answer (NaN): leave them out of both arms")
    return difference


def _clustered(difference: np.ndarray, clusters) -> tuple[np.ndarray, np.ndarray]:
    n = difference.shape[1]
    if clusters is None:
        return difference, np.ones(n)
    labels = np.asarray(clusters).astype(str)
    if labels.shape != (n,):
        raise ValueError(f"clusters needs one label for each of {n} questions, found shape {labels.shape}")
    names, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if {"nan", "None", "<NA>"} & set(names):
        raise ValueError("a question has no cluster (NaN or None)")
    if len(names) < 2:
        raise ValueError(f"one cluster only ({names[0]}): nothing to draw")
    return np.stack([np.bincount(index, row) for row in difference]), sizes.astype(float)


def _by_seed(strata) -> np.ndarray:
    """The (macro average) difference of each seed, [seeds]."""
    return np.mean([sums.sum(1) / sizes.sum() for sums, sizes in strata], axis=0)


def _bootstrap(strata, level: float, draws: int, seed: int) -> Interval:
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"need one draw or more and a level in 0..1, found {draws} and {level}")
    rng = np.random.default_rng(seed)
    runs = _by_seed(strata)
    seeds = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=draws) / len(runs)  # [draws, seeds]
    means = np.zeros(draws)
    for sums, sizes in strata:
        # Questions with the same outcome in every seed are interchangeable: 4 seeds of 0/1 know 81 kinds, not 9,000.
        kinds, count = np.unique(np.vstack([sums, sizes]), axis=1, return_counts=True)
        step = max(1, CHUNK // len(sizes))
        for start in range(0, draws, step):
            rows = slice(start, min(start + step, draws))
            times = _times_drawn(rng, count, rows.stop - start)
            means[rows] += ((times @ kinds[:-1].T) * seeds[rows]).sum(1) / (times @ kinds[-1]) / len(strata)
    return Interval(float(runs.mean()), *map(float, np.quantile(means, [(1 - level) / 2, (1 + level) / 2])))


def _times_drawn(rng: np.random.Generator, count: np.ndarray, draws: int) -> np.ndarray:
    """How often each kind comes up when all sum(count) are drawn again with replacement, [draws, kinds]."""
    n, kinds = int(count.sum()), len(count)
    if 8 * kinds < n:  # else one by one is faster
        return rng.multinomial(n, count / n, size=draws).astype(float)
    picks = np.repeat(np.arange(kinds), count)[rng.integers(n, size=(draws, n))] + kinds * np.arange(draws)[:, None]
    return np.bincount(picks.ravel(), minlength=draws * kinds).reshape(draws, kinds).astype(float)


def _t_over_seeds(runs: np.ndarray, level: float) -> tuple[float, float, float]:
    """(low, high, p) of the differences of two seeds or more by Student's t, which is undefined where all are the same."""
    if np.ptp(runs) < 1e-12:
        return float(runs.mean()), float(runs.mean()), float(abs(runs.mean()) <= 1e-12)
    test = ttest_1samp(runs, 0)
    return *map(float, test.confidence_interval(level)), float(test.pvalue)


def _deviations(power: float, level: float) -> float:
    """How many standard errors a difference must have to be found with this power: 2.80 for 80 % and 95 %."""
    return float(norm.ppf((1 + level) / 2) + norm.ppf(power))


def _finite(values: Sequence[float], what: str) -> np.ndarray:
    array = np.asarray(list(values), float)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"need at least one {what} and no missing one, found {list(values)}")
    return array


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
