"""An interval says how much a number from n questions may be trusted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from helpers import stats

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


def test_a_lower_level_gives_a_narrower_interval():
    wide, narrow = stats.wilson(10, 20), stats.wilson(10, 20, level=0.5)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_no_questions_say_nothing():
    interval = stats.wilson(0, 0)
    assert math.isnan(interval.estimate)
    assert (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("k, n", [(5, 3), (-1, 3), (1, 0)])
def test_more_correct_than_asked_is_an_error(k, n):
    with pytest.raises(ValueError, match="impossible"):
        stats.wilson(k, n)


def test_a_better_second_arm_is_a_positive_difference():
    a, b = [0] * 30 + [1] * 20, [0] * 10 + [1] * 40
    better, worse = stats.paired(a, b, draws=500), stats.paired(b, a, draws=500)
    assert better.estimate == pytest.approx(0.4) and better.low > 0
    assert worse.estimate == pytest.approx(-0.4) and worse.high < 0


def test_equal_arms_differ_by_exactly_nothing():
    assert stats.paired([0, 1, 1, 0, 1], [0, 1, 1, 0, 1], draws=200) == (0.0, 0.0, 0.0)


def test_the_questions_are_compared_one_by_one():
    """Two arms that are right on the same hard and easy questions: far less uncertain than two separate samples."""
    rng = np.random.default_rng(0)
    a = (rng.random(200) < 0.5).astype(int)
    b = a.copy()
    b[:10] = 1
    paired = stats.paired(a, b, draws=500)
    assert paired.high - paired.low < 0.1  # unpaired: about 0.2


@pytest.mark.parametrize("a, b", [([0, 1, 1], [0, 1]), ([[0, 1], [1, 1]], [0, 1]), ([[0, 1]], [[0], [1]])])
def test_arms_with_other_questions_or_seeds_are_refused(a, b):
    with pytest.raises(ValueError, match="same questions"):
        stats.paired(a, b)


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


def test_the_interval_holds_the_truth_about_as_often_as_it_says_and_is_no_wider_than_needed():
    rng = np.random.default_rng(2)
    covered, widths, n = 0, [], 80
    for _ in range(60):
        a = (rng.random(n) < 0.4).astype(int)
        b = (rng.random(n) < 0.6).astype(int)  # the truth: 0.2
        _, low, high = stats.paired(a, b, draws=300)
        covered += low <= 0.2 <= high
        widths.append(high - low)
    assert 52 <= covered <= 60
    assert np.mean(widths) == pytest.approx(2 * 1.96 * math.sqrt(0.48 / n), rel=0.15)
