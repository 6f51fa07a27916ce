"""An interval says how much a number from n questions may be trusted, and a verdict is seldom wrong.

python tests/test_stats.py coverage|verdict    simulates again the figures that the docstrings give (minutes)
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ttest_rel

from helpers import stats

# --- one share -----------------------------------------------------------------------------------

# (k, n) -> Wilson's 95 % interval as printed in Newcombe (1998), Table I, and three worked by hand.
PUBLISHED = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
    (10, 20): (0.2993, 0.7007),
    (5, 10): (0.2366, 0.7634),
    (20, 20): (0.8389, 1.0),
}


@pytest.mark.parametrize("k, n", PUBLISHED)
def test_wilson_gives_the_published_interval(k, n):
    estimate, low, high = stats.wilson(k, n)
    assert estimate == k / n
    assert (low, high) == pytest.approx(PUBLISHED[k, n], abs=6e-5)


@pytest.mark.parametrize("n", [164, 369, 2290])
def test_wilson_covers_the_truth_in_93_to_97_percent_whatever_the_share(n):
    intervals = [stats.wilson(k, n) for k in range(n + 1)]
    low, high = np.array([i.low for i in intervals]), np.array([i.high for i in intervals])
    for share in np.linspace(0.05, 0.95, 91):  # exact: sums the binomial over all k
        covered = binom.pmf(np.arange(n + 1), n, share)[(low <= share) & (share <= high)].sum()
        assert 0.936 < covered < 0.960, share


@pytest.mark.parametrize("k, n", [(5, 3), (-1, 3), (1, 0)])
def test_more_correct_than_asked_is_an_error_and_no_questions_say_nothing(k, n):
    with pytest.raises(ValueError, match="impossible"):
        stats.wilson(k, n)
    assert math.isnan(stats.wilson(0, 0).estimate) and stats.wilson(0, 0)[1:] == (0.0, 1.0)


# --- two arms: the bootstrap ---------------------------------------------------------------------


def test_a_better_second_arm_is_a_positive_difference():
    a, b = [0] * 30 + [1] * 20, [0] * 10 + [1] * 40
    better, worse = stats.paired(a, b, draws=500), stats.paired(b, a, draws=500)
    assert stats.paired(a, a, draws=200) == (0.0, 0.0, 0.0)
    assert better.estimate == pytest.approx(0.4) and better.low > 0
    assert worse.estimate == pytest.approx(-0.4) and worse.high < 0


def test_the_questions_are_compared_one_by_one():
    """Two arms that are right on the same hard and easy questions: far less uncertain than two separate samples."""
    rng = np.random.default_rng(0)
    a = (rng.random(200) < 0.5).astype(int)
    b = a.copy()
    b[:10] = 1
    paired = stats.paired(a, b, draws=500)
    assert paired.high - paired.low < 0.1  # unpaired: about 0.2


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    rng = np.random.default_rng(1)
    a, b = rng.random(40), rng.random(40)
    assert stats.paired(a, b, draws=300, seed=3) == stats.paired(a, b, draws=300, seed=3)
    assert stats.paired(a, b, draws=300, seed=3) != stats.paired(a, b, draws=300, seed=4)


def test_training_runs_that_disagree_widen_the_interval():
    same = np.zeros((4, 100))
    disagree = np.repeat([[-0.3], [-0.1], [0.1], [0.3]], 100, axis=1)
    width = np.subtract(*stats.paired(same, disagree, draws=500)[:0:-1])
    assert width > 0.3  # questions alone would say 0


@pytest.mark.parametrize("answers", ["right or wrong", "graded"])
def test_the_fast_bootstrap_draws_what_a_loop_over_draws_would(answers):
    """Seeds, then questions, one draw at a time: the same quantiles up to the noise of 4,000 draws."""
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 3, 150))
    if answers == "right or wrong":
        a, b = (a < 0.4).astype(int), (b < 0.5).astype(int)
    difference, plain = b - a, []
    for _ in range(4000):
        seeds, questions = rng.integers(3, size=3), rng.integers(150, size=150)
        plain.append(difference[seeds][:, questions].mean())
    fast = stats.paired(a, b, draws=4000)
    assert fast[1:] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.06 * (fast.high - fast.low))


def test_subjects_of_unequal_size_weigh_by_their_questions():
    """One draw at a time: the questions of the drawn subjects pooled, so the size of a draw varies too."""
    rng = np.random.default_rng(16)
    subject = np.repeat(np.arange(12), [5] * 6 + [10] * 4 + [60, 120])
    b = rng.normal(subject / 4, 1)
    sums, sizes = np.bincount(subject, b), np.bincount(subject)
    picks = rng.integers(12, size=(4000, 12))
    plain = np.quantile(sums[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])
    fast = stats.paired(np.zeros(len(b)), b, draws=4000, clusters=subject)
    assert fast.estimate == pytest.approx(b.mean())
    assert fast[1:] == pytest.approx(plain, abs=0.06 * (fast.high - fast.low))


def test_every_benchmark_counts_the_same_in_the_macro_average():
    """By hand: +0.5 on 4 questions and -0.1 on 400 is a macro average of +0.2; its spread is that of the small one."""
    a = {"small": np.zeros((2, 4)), "large": np.zeros((2, 400))}
    b = {"small": np.tile([1, 1, 0, 0], (2, 1)), "large": np.full((2, 400), -0.1)}
    interval = stats.paired(a, b, draws=2000)
    assert interval.estimate == pytest.approx(0.2)
    alone = stats.paired(a["small"], b["small"], draws=2000)
    assert interval.high - interval.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


def test_the_seeds_of_a_macro_average_are_the_same_models_in_all_benchmarks():
    """A run that is better everywhere stays a better run: two benchmarks do not halve its variance."""
    runs = np.repeat([[-0.3], [-0.1], [0.1], [0.3]], 50, axis=1)
    a, b = {k: np.zeros((4, 50)) for k in "xy"}, {k: runs for k in "xy"}
    both, one = stats.paired(a, b, draws=2000), stats.paired(a["x"], b["x"], draws=2000)
    assert both.high - both.low == pytest.approx(one.high - one.low, rel=0.1)


# --- two arms: tests -----------------------------------------------------------------------------


@pytest.mark.parametrize(  # statsmodels 0.15.0: multipletests(p, method="holm")[1]; R's p.adjust gives the first one too
    "p, adjusted",
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([1e-4, 0.5, 0.2, 0.013, 0.013, 0.9, 0.049, 0.02], [8e-4, 1, 0.6, 0.091, 0.091, 1, 0.196, 0.1]),
        ([0.04], [0.04]),
    ],
)
def test_holm_gives_the_reference_values_in_the_order_given(p, adjusted):
    assert stats.holm(p) == pytest.approx(adjusted)


def test_holm_finds_something_among_ten_nothings_in_at_most_5_percent():
    rng = np.random.default_rng(10)
    found = np.mean([stats.holm(rng.random(10)).min() < 0.05 for _ in range(4000)])
    assert 0.035 < found <= 0.055  # unadjusted: 40 %


@pytest.mark.parametrize(  # the paper's MMLU domains and subjects; by hand 2 * (1 + 7) / 2**7; nothing but ties
    "up, down, ties, p", [(9, 1, 0, 0.0215), (28, 6, 0, 0.0002), (6, 1, 1, 0.125), (0, 0, 3, 1.0)]
)
def test_the_sign_test_counts_ups_against_downs(up, down, ties, p):
    result = stats.sign_test([0.1] * up + [-2.0] * down + [0.0] * ties)
    assert result[:3] == (up, down, ties)
    assert result.p == pytest.approx(p, abs=5e-5)


# --- two models on the same questions -------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 24])
def test_the_interval_of_two_models_leaves_out_0_exactly_where_the_exact_test_is_significant(n):
    for gained, lost in itertools.product(range(n + 1), repeat=2):
        if gained + lost <= n:
            found, p = stats.exact(gained, lost, n), stats.sign_test([1.0] * gained + [-1.0] * lost + [0.0]).p
            assert -1 <= found.low <= (gained - lost) / n == found.estimate <= found.high <= 1
            assert (p < 0.05) == (not found.low <= 0 <= found.high), (gained, lost)
            assert found.low < found.high, "no certainty, not even where the arms never differ"


def test_the_interval_of_two_models_covers_the_truth():
    rng, held, exact = np.random.default_rng(3), {}, cache(stats.exact)
    for n, apart, up in itertools.product((12, 70), (0.05, 0.3), (0.5, 0.75, 1.0)):
        parted = rng.binomial(n, apart, 400)
        intervals = [exact(int(k), int(m - k), n) for m, k in zip(parted, rng.binomial(parted, up))]
        held[n, apart, up] = np.mean([i.low <= apart * (2 * up - 1) + 1e-12 <= i.high + 1e-9 for i in intervals])
    assert min(held.values()) > 0.88 and np.mean(list(held.values())) > 0.95, held


def test_five_questions_gained_and_none_lost_cannot_name_a_winner_and_six_can():
    a = np.zeros(12)
    five, six = (np.r_[np.ones(k), np.zeros(12 - k)] for k in (5, 6))
    assert stats.paired(a, five).low > 0, "the bootstrap alone is too sure of it"
    assert stats.matched(a, five)[:4] == (12, 5, 0, 0.0625) and stats.matched(a, five).verdict == "cannot say"
    assert stats.matched(a, six).verdict == "ahead" and stats.matched(six, a).verdict == "behind"
    assert stats.matched(a, six, level=0.99).verdict == "cannot say"


def test_two_seeds_of_a_question_are_one_question_and_seeds_that_cancel_out_are_level():
    a, b = np.zeros((2, 12)), np.tile([1] * 5 + [0] * 7, (2, 1))
    found = stats.matched(a, b)
    assert found[:4] == (12, 5, 0, 0.0625) and found.difference == stats.paired(a, b)
    assert stats.matched([[0, 1]], [[1, 0]])[:3] == (2, 1, 1)
    assert stats.matched([[0, 1], [1, 0]], [[1, 0], [0, 1]])[:3] == (2, 0, 0)


# --- power ---------------------------------------------------------------------------------------


def test_the_smallest_detectable_difference_is_the_research_notes():
    """MMLU at the paper's size: 3.1 points if the arms correlate by 0.5; (1.960 + 0.842) sqrt(0.2464 / 2000) by hand."""
    assert stats.detectable(2000, 0.2464) == pytest.approx(0.0311, abs=5e-5)
    assert stats.detectable(1, 1.0) == 1.0


@pytest.mark.parametrize("n, disagree", [(500, 0.25), (2290, 0.2)])
def test_a_detectable_difference_is_detected_in_80_percent(n, disagree):
    delta = stats.detectable(n, disagree)
    up = (disagree + delta) / 2
    rng, found = np.random.default_rng(11), 0
    for _ in range(1000):
        only_b, only_a, _ = rng.multinomial(n, [up, disagree - up, 1 - disagree])
        difference = np.r_[np.ones(only_b), -np.ones(only_a), np.zeros(n - only_a - only_b)]
        found += abs(difference.mean()) > 1.96 * difference.std() / math.sqrt(n)
    assert 0.77 < found / 1000 < 0.84


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("a, b", [([0, 1, 1], [0, 1]), ([[0, 1], [1, 1]], [0, 1]), ([[0, 1]], [[0], [1]])])
@pytest.mark.parametrize("function", [stats.paired, stats.verdict])
def test_arms_with_other_questions_or_seeds_are_refused(function, a, b):
    with pytest.raises(ValueError, match="same questions"):
        function(a, b)


@pytest.mark.parametrize(
    "a, b, options, message",
    [
        ([], [], {}, "not empty"),
        (np.zeros((0, 4)), np.zeros((0, 4)), {}, "not empty"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), {}, r"\[seeds, questions\]"),
        ([0, float("nan"), 1], [0, 1, 1], {}, "1 of 3 questions lack an answer"),
        ([0, 1], [1, 1], {"clusters": ["law"]}, "one label for each of 2"),
        ([0, 1], [1, 1], {"clusters": ["law", "law"]}, "one cluster only"),
        ([0, 1], [1, 1], {"clusters": ["law", None]}, "no cluster"),
        ([0, 1], [1, 1], {"clusters": ["law", float("nan")]}, "no cluster"),
        ([0, 1], [1, 1], {"draws": 0}, "one draw or more"),
        ([0, 1], [1, 1], {"level": 95}, "a level in 0..1"),
        ({"mmlu": [0, 1]}, {"date": [0, 1]}, {}, "same benchmarks"),
        ({"mmlu": [0, 1]}, [0, 1], {}, "same benchmarks"),
        ({}, {}, {}, "same benchmarks"),
        ({"x": [0, 1], "y": [[0], [1]]}, {"x": [0, 1], "y": [[0], [1]]}, {}, "same seeds"),
        ({"x": [0, 1]}, {"x": [0, 1]}, {"clusters": {"y": [0, 1]}}, "not answered"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        stats.paired(a, b, **options)


@pytest.mark.parametrize("call", [lambda: stats.holm([]), lambda: stats.holm([0.1, float("nan")]), lambda: stats.holm([1.2]),
                                  lambda: stats.sign_test([]), lambda: stats.sign_test([float("nan")]),
                                  lambda: stats.detectable(0, 0.2), lambda: stats.detectable(100, 20)])  # fmt: skip
def test_missing_and_impossible_numbers_are_refused(call):
    with pytest.raises(ValueError):
        call()


# --- simulations ---------------------------------------------------------------------------------

# (seeds, n, sd) -> how often, in percent, the 95 % interval of `paired` held the truth, as its docstring prints it: 1,000
# simulations without a difference and 1,000 with one of 4 points.
COVERAGE = {
    (int(seeds), n, sd): float(percent)
    for seeds, *row in re.findall(r"^ +([248])" + 9 * r" +(\d\d\.\d)" + "$", stats.paired.__doc__, re.MULTILINE)
    for (n, sd), percent in zip(itertools.product((164, 817, 2290), (0, 0.01, 0.03)), row)
}


def answers(rng, n, seeds, delta=0.0, sd=0.0, agreement=0.7, middle=0.5):
    """0/1 answers of two arms, [seeds, n], whose true accuracies differ by exactly `delta` over all questions and runs.

    A question has a difficulty and an effect of its own on the difference (uniform; standard deviation 10 points). A
    pair of runs moves the difference by a normal with standard deviation `sd`. On a share `agreement` of the answers
    a run does what all runs of its arm do on the question, on the rest it tosses its own coin; half of the questions
    are lucky or unlucky for both arms alike.
    """
    own = rng.uniform(-1, 1, n) * 0.1 * math.sqrt(3) + delta
    middle = middle + rng.uniform(-0.2, 0.2, n)
    both = rng.random(n)
    arms = []
    for sign in (-1, 1):
        chance = middle + sign * own / 2 + rng.normal(0, sd / math.sqrt(2), (seeds, 1))
        luck = np.where(rng.random(n) < 0.5, both, rng.random(n))
        luck = np.where(rng.random((seeds, n)) < agreement, luck, rng.random((seeds, n)))
        arms.append((luck < chance).astype(int))
    return arms


def coverage(times, n, seeds, delta, sd, interval=stats.paired, **options):
    rng, covered = np.random.default_rng(12), 0
    for k in range(times):
        a, b = answers(rng, n, seeds, delta, sd)
        _, low, high = interval(a, b, **options, seed=k)
        covered += low <= delta <= high
    return covered / times


def wrong_verdicts(times, n, seeds, sd, agreement):
    """How often arms that differ by nothing get a "yes", and how often a "no"."""
    rng = np.random.default_rng(13)
    said = [stats.verdict(*answers(rng, n, seeds, 0.0, sd, agreement), draws=400, seed=k).answer for k in range(times)]
    return said.count("yes") / times, said.count("no") / times


@pytest.mark.parametrize(
    "seeds, n, sd, delta",
    [(2, 164, 0, 0.0), (2, 164, 0, 0.04), (8, 164, 0.03, 0.0), (4, 817, 0.01, 0.04), (2, 2290, 0.03, 0.04),
     (4, 2290, 0.03, 0.0), (8, 2290, 0, 0.04)],
)  # fmt: skip
def test_the_bootstrap_covers_the_truth_as_often_as_its_docstring_says(seeds, n, sd, delta):
    found, expected = 100 * coverage(300, n, seeds, delta, sd, draws=300), COVERAGE[seeds, n, sd]
    assert found == pytest.approx(expected, abs=3 * math.sqrt(expected * (100 - expected) / 300))


FEW_CLUSTERS = {5: 83, 10: 88, 35: 94}  # coverage in percent, one seed


@pytest.mark.parametrize("k", FEW_CLUSTERS)
def test_few_clusters_cover_the_truth_as_seldom_as_the_docstring_says(k):
    """Clusters of 20 questions that rise and fall together by 10 points; the true difference is 0."""
    rng, labels, held = np.random.default_rng(17), np.repeat(np.arange(k), 20), 0
    for seed in range(600):
        b = rng.normal(0, 0.1, k)[labels] + rng.normal(0, 0.5, 20 * k)
        _, low, high = stats.paired(np.zeros(20 * k), b, draws=300, seed=seed, clusters=labels)
        held += low <= 0 <= high
    expected = FEW_CLUSTERS[k]
    assert 100 * held / 600 == pytest.approx(expected, abs=3 * math.sqrt(expected * (100 - expected) / 600))
    assert f"{expected} %" in stats.paired.__doc__.split("Few clusters")[1]


# --- the verdict ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n, seeds, sd, agreement",
    [(20, 2, 0, 1), (20, 4, 0.01, 0.7), (70, 3, 0, 0.7), (164, 8, 0, 1), (817, 4, 0.03, 0.7), (2290, 2, 0.03, 0.7),
     (817, 8, 0.03, 0.7)],
)  # fmt: skip
def test_arms_that_do_not_differ_get_a_false_yes_in_at_most_5_percent_and_a_false_no_as_seldom(n, seeds, sd, agreement):
    yes, no = wrong_verdicts(200, n, seeds, sd, agreement)
    assert yes <= 0.05 and no <= 0.05 and yes + no <= 0.09  # a winner of either kind: 5 %, and the noise of 200


def t_over_seeds(a, b, seed):
    return 0, *ttest_rel(b.mean(1), a.mean(1)).confidence_interval()


def test_the_reason_gives_scipys_p_over_the_seeds_and_no_p_of_nothing_where_they_agree():
    a, b = np.random.default_rng(9).random((2, 4, 50))
    assert f"(paired t: p = {ttest_rel(b.mean(1), a.mean(1)).pvalue:.3f})" in stats.verdict(a, b).reason
    a, b = np.tile([0, 1], (2, 20)), np.tile([1, 1], (2, 20))
    assert "seeds +50.0, +50.0 (paired t: p < 0.001)" in stats.verdict(a, b).reason


def test_neither_half_of_the_verdict_would_do_alone():
    """Arms that do not differ: the docstring's 18 % and 42 % of winners where there is none."""
    alone = 1 - coverage(200, 2290, 2, 0.0, 0.03, draws=300)
    assert alone == pytest.approx(0.18, abs=0.08)
    over_seeds = 1 - coverage(200, 164, 8, 0.0, 0.0, interval=t_over_seeds)
    assert over_seeds == pytest.approx(0.42, abs=0.1)


def test_a_difference_of_the_papers_size_is_found_with_its_four_seeds():
    """CommonsenseQA, Mistral: +7.2 points on 1,221 questions."""
    rng = np.random.default_rng(15)
    said = [stats.verdict(*answers(rng, 1221, 4, 0.072, 0.01), draws=400, seed=k).answer for k in range(100)]
    assert said.count("yes") > 80 and "no" not in said


def clear(seeds, n=200, gain=40):
    a = np.tile([1, 0], (seeds, n // 2))
    b = a.copy()
    for k, row in enumerate(b):
        row[1 : 2 * (gain + k) : 2] = 1
    return a, b


def test_the_verdict_names_the_winner():
    a, b = clear(3)
    yes, no = stats.verdict(a, b), stats.verdict(b, a, names=("design 8", "design 4"))
    assert yes.answer == "yes" and yes.reason.startswith("Role is ahead: +20.5 points, 95 % interval +")
    assert no.answer == "no" and no.reason.startswith("design 8 is ahead: -20.5 points")
    assert yes.difference == stats.paired(a, b)
    assert ", 99.69 % interval" in stats.verdict(a, b, level=1 - 0.05 / 16).reason  # 16 verdicts at once: not "100 %"


@pytest.mark.parametrize(
    "a, b, reason",
    [
        (*clear(1), "one seed only"),
        (np.zeros((3, 90)), np.tile([1] * 5 + [0] * 85, (3, 1)), "the arms differ on 5 questions (clusters) only"),
        (np.zeros((2, 90)), np.zeros((2, 90)), "the arms differ on 0 questions"),
        (np.tile([0, 1, 1], (3, 10)), np.tile([1, 0, 1], (3, 10)), "no evidence either way: only gaps above about"),
        (np.zeros((3, 60)), [[1] * 40 + [0] * 20, [1] * 4 + [0] * 56, [1] * 16 + [0] * 44], "3 seeds differ too much"),
    ],
)
def test_cannot_say_comes_with_its_reason(a, b, reason):
    answer, said, _ = stats.verdict(a, b)
    assert answer == "cannot say" and said.startswith(reason)


def test_the_verdict_over_several_benchmarks_is_on_their_macro_average():
    (a, b), (c, d) = clear(3), clear(3, n=60, gain=3)
    both = stats.verdict({"mmlu": a, "date": c}, {"mmlu": b, "date": d}, clusters={"mmlu": np.arange(200) // 4})
    assert both.answer == "yes"
    assert both.difference.estimate == pytest.approx(((b - a).mean() + (d - c).mean()) / 2)


if __name__ == "__main__":
    if sys.argv[1] == "coverage":
        for seeds, n, sd in itertools.product((2, 4, 8), (164, 817, 2290), (0, 0.01, 0.03)):
            found = np.mean([coverage(1000, n, seeds, delta, sd, draws=500) for delta in (0, 0.04)])
            print(f"    ({seeds}, {n}, {sd}): {100 * found:.1f},", flush=True)
    else:
        for setting in itertools.product((20, 164, 2290), (2, 4, 8), (0, 0.01, 0.03), (0, 0.7, 1)):
            print(*setting, *wrong_verdicts(600, *setting), flush=True)


def test_several_seeds_have_one_interval_rule_in_table_picture_and_domains():
    """Four seeds of 50 questions are 50 questions, and the mean of the seeds' own intervals is not their interval."""
    right = [20, 24, 26, 30]
    scores = pd.DataFrame(
        {"arm": "role", "benchmark": "date", "seed": range(4), "n": 50, "accuracy": [k / 50 for k in right]}
    )
    found = stats.over_seeds(scores).loc[("role", "date")]
    assert tuple(found) == (50, 0.5, *stats.wilson(25, 50)[1:])
    assert found.high - found.low > 1.5 * (stats.wilson(100, 200).high - stats.wilson(100, 200).low)
    one = stats.over_seeds(scores[:1]).iloc[0]
    assert tuple(one) == (50, *stats.wilson(20, 50))
