"""The roles that a model gave itself, counted: which are well-formed, by which noun they go, how diverse they are.

The numbers of lesson 05; `plots` draws them. A role is counted by its head noun (`roles.role_noun`). All shares
are in 0..1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import comb

import numpy as np
import pandas as pd
from scipy.stats import permutation_test, rankdata

from .. import paper, roles, stats
from ..benchmarks import BENCHMARKS, MULTI_DOMAIN
from ..stats import share_of_questions
from .domains import FEW, NAMES, grids, in_both, one_seed

NONE = "(none)"  # a well-formed role whose description has no noun
CONDITIONS = ("well-formed", "malformed", "missing")
FEWEST = 4  # roles; the diversity of fewer says nothing


def read(answers: pd.DataFrame) -> pd.DataFrame:
    """Lines of answers.csv with three more columns: condition (`roles.condition`), description and noun of the role.

    The last two are None where the role is not well-formed.
    """
    parsed = [roles.parse(text) for text in answers.role]
    return answers.assign(
        condition=[roles.condition(text) for text in answers.role],
        description=pd.Series([p and p.role_description for p in parsed], index=answers.index, dtype=object),
        noun=pd.Series(
            [p and (roles.role_noun(p.role_description) or NONE) for p in parsed], index=answers.index, dtype=object
        ),
    )


def rates(lines: pd.DataFrame, by: str, names: Sequence[str]) -> pd.DataFrame:
    """Of the lines of `read`, by arm, benchmark or group: n (questions), the shares of CONDITIONS, and Wilson's
    interval `low`, `high` of the first. A name without lines has n = 0 and empty shares."""
    result = {}
    for name in names:
        part = lines[lines[by] == name]
        n = len(part.drop_duplicates(["benchmark", "question_id"]))
        shares = [float((part.condition == c).mean()) for c in CONDITIONS]
        interval = share_of_questions(shares[0], n)[1:] if n else (float("nan"),) * 2
        result[name] = (n, *shares, *interval)
    table = pd.DataFrame.from_dict(result, orient="index", columns=["n", *CONDITIONS, "low", "high"])
    return table.astype({"n": int})


def counts(lines: pd.DataFrame, names: Iterable[str]) -> dict[str, Counter]:
    """How often each noun occurs in each of the groups `names` that have lines, the most frequent first."""
    present = set(lines.group)
    found = {name: Counter(lines[lines.group == name].noun.dropna()) for name in names if name in present}
    return {name: Counter(dict(ranked(counter))) for name, counter in found.items()}


def ranked(counter: Counter) -> list[tuple[str, int]]:
    """(noun, count), the most frequent first, equally frequent ones by the alphabet: the same order every time."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def leading(counter: Counter, top: int = 1) -> str:
    """The `top` most frequent nouns with their counts. Nouns that are equally frequent are never cut by the alphabet."""
    if not counter:
        return "–"
    order = ranked(counter)
    least = order[min(top, len(order)) - 1][1]
    tied = [noun for noun, k in order if k == least]
    above = [f"{noun} {k}" for noun, k in order if k > least]
    if len(above) + len(tied) <= top:
        return ", ".join([*above, *(f"{noun} {least}" for noun in tied)])
    return ", ".join([*above, f"{len(tied)} nouns {least} each"])


def copied(counter: Counter, trained: Iterable[str]) -> pd.DataFrame:
    """A line a noun that the model wrote: count, and `trained`, how often it stands in the role prompts it was trained on.

    `trained`: the role descriptions of those rows.
    """
    known = Counter(filter(None, map(roles.role_noun, trained)))
    lines = [(noun, k, known[noun]) for noun, k in ranked(counter)]
    return pd.DataFrame(lines, columns=["noun", "count", "trained"])


def table(by_group: dict[str, Counter]) -> pd.DataFrame:
    """The numbers behind bars and clouds, a line a noun: group, noun, count, share of the group's roles."""
    lines = [(g, noun, k, k / c.total()) for g, c in by_group.items() for noun, k in ranked(c)]
    return pd.DataFrame(lines, columns=["group", "noun", "count", "share"]).round({"share": 4})


def overview(lines: pd.DataFrame, by_group: dict[str, Counter], top: int = 3) -> pd.DataFrame:
    """A line a group: answers; roles; `distinct`, the number of different role descriptions / roles; nouns (different
    ones); and the `top` most frequent ones with their counts."""
    result = []
    for group, counter in by_group.items():
        part = lines[lines.group == group]
        texts = part.description.dropna()
        distinct = texts.str.lower().nunique() / len(texts) if len(texts) else None
        result.append((group, len(part), len(texts), distinct, len(counter), leading(counter, top)))
    return pd.DataFrame(result, columns=["group", "answers", "roles", "distinct", "nouns", "most frequent"])


# --- diversity ------------------------------------------------------------------------------------


def expected_distinct(words: Sequence[str], size: int) -> float:
    """Mean number of different words in `size` of `words`, drawn without replacement,
    over all possible draws.

    A word that occurs k times in N is missed by comb(N - k, size) of the comb(N, size)
    draws. Ecologists call this rarefaction (Hurlbert 1971): it compares the species of
    samples of unequal size.
    """
    n = len(words)
    if not 0 <= size <= n:
        raise ValueError(f"cannot draw {size} of {n} words")
    missed = [comb(n - k, size) / comb(n, size) for k in Counter(words).values()]
    return round(float(len(missed) - sum(missed)), 9)  # equal is equal, for a ranking


def diversity(answers: pd.DataFrame, first: str = "lima", second: str = "role") -> pd.DataFrame:
    """A line for each benchmark with at least FEWEST roles of the arm `second`.

    Columns: benchmark; kind (multi-domain or single-domain, as in the paper); roles; nouns; `nouns at equal n`, at
    the number of roles of the smallest benchmark; gain (`second` minus `first`, points) with the interval of
    `stats.matched` low, high, empty where the arms share no question; the paper's gain (Mistral).
    """
    lines = read(answers[answers.arm == second])
    words = {name: list(lines[lines.benchmark == name].noun.dropna()) for name in BENCHMARKS}
    words = {name: nouns for name, nouns in words.items() if len(nouns) >= FEWEST}
    size = min(map(len, words.values()), default=0)
    printed = [paper.TABLE1[paper.ARM_ROWS[arm]] for arm in (first, second)]
    result = []
    for name, nouns in words.items():
        kind = "multi-domain" if name in MULTI_DOMAIN else "single-domain"
        known = (name, kind, len(nouns), len(set(nouns)), expected_distinct(nouns, size))
        result.append((*known, *_gain(answers, name, (first, second)), printed[1][name] - printed[0][name]))
    columns = ["benchmark", "kind", "roles", "nouns", "nouns at equal n", "gain", "low", "high", "paper's gain"]
    return pd.DataFrame(result, columns=columns).sort_values("nouns at equal n", ascending=False, kind="stable")


def _gain(answers: pd.DataFrame, benchmark: str, arms: Sequence[str]) -> tuple[float, ...]:
    both = in_both(answers, arms, benchmark)
    if both.empty:
        return (float("nan"),) * 3
    first, second = grids(both, arms).values()
    return tuple(100 * x for x in stats.matched(first, second).difference)


def correlation(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """(Spearman's rank correlation, its two-sided p) for 4 to 8 pairs; p is exact, over all orders of `y`.

    (nan, nan) with fewer pairs, where all of x or of y are equal, or where one of them is missing (NaN).
    """
    if len(x) < 4 or len(set(x)) == 1 or len(set(y)) == 1 or np.isnan([*x, *y]).any():
        return float("nan"), float("nan")
    a, b = (rankdata(v) - (len(x) + 1) / 2 for v in (x, y))
    weights = a / np.sqrt((a**2).sum() * (b**2).sum())
    return float(b @ weights), _exact(b, weights)


def groups_differ(x: Sequence[float], in_first: Sequence[bool]) -> tuple[float, float]:
    """(mean of the first group minus mean of the second, its two-sided p) for up to 8 values in both; p is exact, over
    all ways to form groups of these sizes. (nan, nan) where a group is empty."""
    in_first = np.asarray(in_first, bool)
    x, k, n = np.asarray(x, float), int(in_first.sum()), len(in_first)
    if k in (0, n):
        return float("nan"), float("nan")
    return float(x[in_first].mean() - x[~in_first].mean()), _exact(x, in_first / k - ~in_first / (n - k))


def _exact(values: np.ndarray, weights: np.ndarray) -> float:
    """The share of all orders of `values` for which `values @ weights` is at least as far from zero."""
    if len(values) > 8:
        raise ValueError("more than 8 values have too many orders to go through: use scipy.stats.permutation_test")
    how = {"permutation_type": "pairings", "vectorized": True, "n_resamples": np.inf, "alternative": "greater"}
    return float(permutation_test((values,), lambda orders, axis: abs(orders @ weights), **how).pvalue)


# --- what cannot be concluded ---------------------------------------------------------------------


def cannot_say(answers: pd.DataFrame) -> list[str]:
    """What the roles in these answers cannot show, a sentence each, to be read before any count."""
    lines = read(answers[answers.arm == "role"])
    if lines.empty:
        return ["no answers of LIMA-Role: there are no roles to count"]
    found = one_seed(lines)
    bad = (lines.condition != "well-formed").mean()
    if bad == 1:
        found.append(
            f"not one well-formed role prompt in {len(lines)} answers: nothing can be counted, drawn or judged, and the "
            "model may have been trained on another prompt design, or on none"
        )
    elif bad >= 0.2:
        found.append(f"{bad:.0%} of the role prompts are malformed or missing: the counts describe the others")
    if lacking := [NAMES[arm] for arm in ("base", "lima") if arm not in set(answers.arm)]:
        found.append(f"no answers of {' and '.join(lacking)}: no control of that kind")
    formed = lines[(lines.benchmark == "mmlu") & (lines.condition == "well-formed")].groupby("group").size()
    if len(formed) and formed.min() < FEW:
        found.append(
            f"{(formed < FEW).sum()} of {len(formed)} MMLU domains have fewer than {FEW} roles (the fewest: "
            f"{formed.idxmin()}, {formed.min()}): their most frequent noun may be an accident"
        )
    return found
