"""Roles counted: every share has its denominator, and diversity is compared at equal size with exact p-values."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from helpers import roles, score
from helpers.analyse import nouns
from helpers.data import REFERENCE


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return score.read_csv(REFERENCE / "answers.csv")


def role(description: str) -> str:
    return roles.render("This question is a law problem involving contracts.", description)


def answers(texts: list, group: str = "law", seed: int = 0) -> pd.DataFrame:
    known = {"arm": "role", "seed": seed, "benchmark": "mmlu", "group": group}
    return pd.DataFrame([known | {"question_id": f"{group}{i}", "role": t} for i, t in enumerate(texts)])


LAW = [
    role("a judge who reads"),
    role("a judge who waits"),
    role("a Judge who reads"),
    role("lawyers"),
    role("a poet")[:-1],
    None,
]


def test_every_answer_is_well_formed_malformed_or_missing():
    lines = nouns.read(answers(LAW))
    assert list(lines.condition) == ["well-formed"] * 4 + ["malformed", "missing"]
    assert list(lines.noun[:4]) == ["judge", "judge", "judge", "lawyer"] and lines.noun[4:].isna().all()
    rates = nouns.rates(lines, "arm", ["role", "lima"])
    assert rates.loc["role", ["n", "well-formed", "malformed", "missing"]].tolist() == [6, 4 / 6, 1 / 6, 1 / 6]
    assert rates.low["role"] < 4 / 6 < rates.high["role"]
    assert rates.n["lima"] == 0 and rates.loc["lima", "well-formed":].isna().all()


def test_two_seeds_of_a_question_are_one_question_in_the_interval():
    one, two = answers(LAW), pd.concat([answers(LAW), answers(LAW, seed=1)])
    pd.testing.assert_frame_equal(*(nouns.rates(nouns.read(a), "arm", ["role"]) for a in (one, two)))


def test_counts_are_of_roles_and_shares_of_their_group():
    lines = nouns.read(pd.concat([answers(LAW), answers([None, "[x]"], "history")]))
    counts = nouns.counts(lines, ["history", "law", "math"])
    assert {g: dict(c) for g, c in counts.items()} == {"history": {}, "law": {"judge": 3, "lawyer": 1}}
    table = nouns.table(counts)
    assert table.to_numpy().tolist() == [["law", "judge", 3, 0.75], ["law", "lawyer", 1, 0.25]]
    overview = nouns.overview(lines, counts).set_index("group")
    assert overview.loc["law"].tolist() == [6, 4, 0.75, 2, "judge 3, lawyer 1"]  # "Judge" reads what "judge" reads
    assert overview.loc["history", ["answers", "roles", "most frequent"]].tolist() == [2, 0, "–"]
    assert pd.isna(overview.distinct["history"])


def test_equally_frequent_nouns_stand_in_alphabetical_order_whatever_came_first():
    texts = [role(f"a {noun}") for noun in ("zoologist", "chemist", "poet", "poet")]
    for order in (texts, texts[::-1]):
        assert list(nouns.counts(nouns.read(answers(order)), ["law"])["law"]) == ["poet", "chemist", "zoologist"]


@pytest.mark.parametrize("words", ["aabc", "aaaa", "abcdef", "aabbbc"])
def test_expected_distinct_words_are_the_mean_over_all_draws(words):
    for size in range(len(words) + 1):
        every = [len(set(draw)) for draw in combinations(words, size)]
        assert nouns.expected_distinct(words, size) == pytest.approx(np.mean(every))


def test_equal_compositions_have_exactly_equal_diversity_and_more_words_than_there_are_cannot_be_drawn():
    words = "aaabbcdefgh"  # a rank correlation would break a tie of 1e-16
    assert len({nouns.expected_distinct(order, 7) for order in (words, words[::-1], words[4:] + words[:4])}) == 1
    with pytest.raises(ValueError, match="cannot draw 5 of 4"):
        nouns.expected_distinct("aabc", 5)


def test_the_exact_correlation_agrees_with_scipys():
    rng = np.random.default_rng(1)
    for n in (4, 5, 6):
        x, y = rng.integers(0, 4, n), rng.normal(size=n)
        rho, p = nouns.correlation(x, y)
        every = np.array([spearmanr(x, order).statistic for order in permutations(y)])
        assert rho == pytest.approx(spearmanr(x, y).statistic)
        assert p == pytest.approx(np.mean(abs(every) >= abs(rho) - 1e-9))
    assert nouns.correlation(range(5), range(5)) == (pytest.approx(1), pytest.approx(2 / 120))


def test_the_smallest_correlation_that_lesson_05_calls_significant_is_so():
    """Eight benchmarks: 0.74 by the exact distribution; seven: 0.79."""
    for n, needed in ((8, 0.74), (7, 0.79)):
        rng = np.random.default_rng(0)
        found = {nouns.correlation(range(n), rng.permutation(n)) for _ in range(40)}
        assert all((p < 0.05) == (abs(rho) > needed - 0.02) for rho, p in found if abs(abs(rho) - needed) > 0.03)
        assert any(p < 0.05 for _, p in found)


@pytest.mark.parametrize(
    "x, y",
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 1, 1, 1], [1, 2, 3, 4]),
        ([1, 2, 3, 4], [0, 0, 0, 0]),
        ([1, 2, 3, 4], [1, 2, 3, np.nan]),
    ],
)
def test_nothing_is_correlated_with_too_few_equal_or_missing_values(x, y):
    assert all(np.isnan(nouns.correlation(x, y)))


def test_groups_that_lie_apart_get_the_smallest_p_that_there_is():
    apart, p = nouns.groups_differ([9, 8, 7, 6, 5, 1, 2, 3], [True] * 5 + [False] * 3)
    assert apart == 5 and p == 1 / 56
    x, first = [3.0, 1, 4, 1, 5, 9], [True, False, True, False, False, True]
    seen, p = nouns.groups_differ(x, first)
    values = np.array(x)
    every = [abs(2 * sum(chosen) - values.sum()) / 3 for chosen in combinations(values, 3)]
    assert p == pytest.approx(np.mean(np.array(every) >= abs(seen) - 1e-9)) and seen == pytest.approx(16 / 3 - 7 / 3)
    assert nouns.groups_differ([3, 1, 2], [True, False, False]) == (1.5, 2 / 3)  # a group of one
    assert all(np.isnan(nouns.groups_differ([1, 2], [True, True])))
    assert all(np.isnan(nouns.groups_differ([], [])))
    with pytest.raises(ValueError, match="more than 8 values"):
        nouns.groups_differ(range(9), [True] * 4 + [False] * 5)


def test_diversity_is_compared_at_the_size_of_the_smallest_benchmark(reference):
    table = nouns.diversity(reference)
    assert "humaneval" not in set(table.benchmark) and len(table) == 7  # one role of four answers
    size = table.roles.min()
    assert (table["nouns at equal n"] <= size).all() and (table["nouns at equal n"] <= table.nouns).all()
    smallest = table[table.roles == size]
    assert (smallest["nouns at equal n"] == smallest.nouns).all()
    mmlu = table.set_index("benchmark").loc["mmlu"]
    right = reference[reference.benchmark == "mmlu"].groupby("arm").correct.mean()
    assert mmlu.gain == pytest.approx(100 * (right["role"] - right["lima"])) and mmlu.low < mmlu.gain < mmlu.high
    assert mmlu["paper's gain"] == pytest.approx(2.8)


def test_roles_without_a_control_or_with_many_failures_are_told():
    bad = nouns.cannot_say(answers([*LAW, None]))
    assert any("43% of the role prompts are malformed or missing" in s for s in bad)
    assert any("no answers of the base model and LIMA" in s for s in bad)
    assert nouns.cannot_say(answers(LAW).assign(arm="lima")) == ["no answers of LIMA-Role: there are no roles to count"]
    many = pd.concat([answers([LAW[0]] * 30, seed=s) for s in (0, 1)])
    controls = [many.assign(arm=arm) for arm in ("base", "lima")]
    assert nouns.cannot_say(pd.concat([many, *controls])) == []


def test_nouns_that_are_equally_frequent_are_counted_and_never_cut_by_the_alphabet():
    from collections import Counter

    assert nouns.leading(Counter(judge=3, poet=1, lawyer=1), 1) == "judge 3"
    assert nouns.leading(Counter(judge=3, poet=1, lawyer=1), 2) == "judge 3, 2 nouns 1 each"
    assert nouns.leading(Counter(judge=3, poet=1, lawyer=1), 3) == "judge 3, lawyer 1, poet 1"
    assert nouns.leading(Counter("abcd")) == "4 nouns 1 each" and nouns.leading(Counter()) == "–"


def test_a_noun_stands_beside_how_often_the_model_was_trained_on_it():
    from collections import Counter

    table = nouns.copied(Counter(judge=3, poet=1), ["a judge who reads", "the Judge of a town", "a chemist"])
    assert table.to_numpy().tolist() == [["judge", 3, 2], ["poet", 1, 0]]
