"""The checks of lesson 03 pass right answers and name the mistake in wrong ones."""

from __future__ import annotations

import math
import random
import re

import pytest

from helpers import stats
from helpers.benchmarks import gsm8k
from helpers.checks import lesson_03

# --- shuffle ------------------------------------------------------------------------------------


def lettered(order, row):
    options = dict(zip("ABCDEF", order))
    return options, "ABCDEF"[order.index(row["choices"][0])]


def by_seed(make):
    """`my_letters` that shuffles each row by the generator `make(row, seed, place)`."""

    def my_letters(rows, seed=0):
        pairs = []
        for place, row in enumerate(rows):
            order = list(row["choices"])
            make(row, seed, place).shuffle(order)
            pairs.append(lettered(order, row))
        return pairs

    return my_letters


right = by_seed(lambda row, seed, place: random.Random(f"{seed}:{row['question']}"))


def one_generator(rows, seed=0):
    dice = random.Random(seed)
    return by_seed(lambda row, seed, place: dice)(rows, seed)


def reseeded(rows, seed=0):
    def global_(row, seed, place):
        random.seed(f"{seed}:{row['question']}")
        return random

    return by_seed(global_)(rows, seed)


def in_place(rows, seed=0):
    pairs = []
    for row in rows:
        truth = row["choices"][0]
        random.Random(f"{seed}:{row['question']}").shuffle(row["choices"])
        options = dict(zip("ABCDEF", row["choices"]))
        pairs.append((options, next(k for k, v in options.items() if v == truth)))
    return pairs


def gold_stays(rows, seed=0):
    return [(options, "A") for options, _ in right(rows, seed)]


def file_order(rows, seed=0):
    return [lettered(list(row["choices"]), row) for row in rows]


def four_letters(rows, seed=0):
    return [({k: v for k, v in options.items() if k in "ABCD"}, gold) for options, gold in right(rows, seed)]


def rotated_by_length(rows, seed=0):
    pairs = []
    for row in rows:
        k = (len(row["question"]) + seed) % len(row["choices"])
        pairs.append(lettered(row["choices"][k:] + row["choices"][:k], row))
    return pairs


WRONG_SHUFFLES = {
    "the row's place": (
        by_seed(lambda row, seed, place: random.Random(f"{seed}:{place}")),
        "the seed holds the row's place",
    ),
    "one generator for all": (one_generator, "one generator runs through all rows"),
    "the global generator": (by_seed(lambda row, seed, place: random), "draws from the global generator"),
    "the global one, reseeded": (reseeded, "drew from or reseeded the global generator"),
    "hash": (by_seed(lambda row, seed, place: random.Random(hash(row["question"]) + seed)), "Python salts it"),
    "no seed": (by_seed(lambda row, seed, place: random.Random(row["question"])), "ignores the seed"),
    "no question": (by_seed(lambda row, seed, place: random.Random(seed)), "does the seed hold the question"),
    "in place": (in_place, "shuffle a copy"),
    "the gold letter stays": (gold_stays, "it has to move with the right text"),
    "no shuffle": (file_order, "The gold is always A"),
    "too few letters": (four_letters, "enough letters"),
    "not spread": (rotated_by_length, "each should come up about 100 times"),
    "the text as gold": (
        lambda rows, seed=0: [(o, o[g]) for o, g in right(rows, seed)],
        "return the letter, not the text or the index",
    ),
    "one row only": (lambda rows, seed=0: right(rows, seed)[0], "one pair"),
    "options as a list": (lambda rows, seed=0: [(list(o.values()), g) for o, g in right(rows, seed)], "as a dict"),
    "stops": (lambda rows, seed=0: rows[0]["options"], "stopped with KeyError"),
}


@pytest.mark.parametrize("mistake", WRONG_SHUFFLES)
def test_a_wrong_shuffle_is_told_what_is_wrong_with_it(mistake):
    wrong, message = WRONG_SHUFFLES[mistake]
    verdict = lesson_03.shuffle(wrong)
    assert verdict.status == "not quite" and message in verdict.message, verdict


@pytest.mark.parametrize("seeding", ["{seed}:{row[question]}", "{row[question]}/{seed}", "{seed}{row[choices]}"])
def test_any_shuffle_that_depends_on_the_row_and_the_seed_alone_passes(seeding):
    verdict = lesson_03.shuffle(by_seed(lambda row, seed, place: random.Random(seeding.format(row=row, seed=seed))))
    assert verdict.passed, verdict
    assert ("the very letters" in verdict.message) == (seeding == "{seed}:{row[question]}")


def test_the_checks_leave_the_global_generator_and_hash_as_they_were():
    before, salted = random.getstate(), hash("a")
    for wrong, _ in WRONG_SHUFFLES.values():
        lesson_03.shuffle(wrong)
        assert random.getstate() == before and hash("a") == salted


# --- extract ------------------------------------------------------------------------------------


def number(text, pattern=r"-?\d[\d,]*(?:\.\d+)?", which=0, plain=None):
    found = re.findall(pattern, text)
    if not found:
        return None
    value = found[which].replace(",", "")
    return plain(value) if plain else (value.rstrip("0").rstrip(".") if "." in value else value)


WRONG_EXTRACTS = {
    "a number": (lambda t: (found := number(t)) and float(found), "the gold answers are text"),
    "keeps commas": (lambda t: (m := re.search(r"-?\d[\d,]*", t)) and m[0], "keeps its comma"),
    "stops at the comma": (lambda t: number(t, r"-?\d+(?:\.\d+)?"), "stops at the comma"),
    "last digit group": (lambda t: number(t.replace(",", " "), which=-1), "last digit group"),
    "strips every zero": (lambda t: number(t, plain=lambda v: v.rstrip("0").rstrip(".")), "strip zeros only behind"),
    "keeps the dollar": (lambda t: (m := re.search(r"\$?-?\d[\d,]*", t)) and m[0].replace(",", ""), "dollar sign"),
    "stops without a number": (lambda t: re.search(r"-?\d[\d,]*", t)[0].replace(",", ""), "stops with TypeError"),
    "empty text": (lambda t: number(t) or "", "yours gives ''"),
    "keeps the cents": (lambda t: number(t, plain=lambda v: v), "18.00 and 18 are the same"),
    "rounds down": (lambda t: (found := number(t)) and found.split(".")[0], "rounds a wrong answer into a right one"),
    "the last number": (lambda t: number(t, which=-1), "You took the last number"),
    "no minus": (lambda t: number(t, r"\d[\d,]*(?:\.\d+)?"), "minus belongs to the number"),
}


@pytest.mark.parametrize("mistake", WRONG_EXTRACTS)
def test_a_wrong_extract_is_told_what_is_wrong_with_it(mistake):
    wrong, message = WRONG_EXTRACTS[mistake]
    verdict = lesson_03.extract(wrong)
    assert verdict.status == "not quite" and message in verdict.message, verdict


@pytest.mark.parametrize("right", [number, gsm8k.extract])
def test_a_right_extract_passes(right):
    assert lesson_03.extract(right).passed


# --- wilson -------------------------------------------------------------------------------------


def interval(k, n, z=1.96, scale=True, factor=1.0, level=None):
    p = k / n
    centre, spread = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    by = 1 + z**2 / n if scale else 1
    return factor * (centre - spread) / by, factor * (centre + spread) / by


def textbook(k, n):
    p, reach = k / n, 1.96 * math.sqrt(k / n * (1 - k / n) / n)
    return max(0, p - reach), min(1, p + reach)


def no_zero(k, n):
    if k in (0, n):
        raise ValueError("nothing to say")
    return interval(k, n)


WRONG_WILSONS = {
    "the textbook's": (textbook, "textbook p ± 1.96·se"),
    "percent": (lambda k, n: interval(k, n, factor=100), "percent is for the table"),
    "turned round": (lambda k, n: interval(k, n)[::-1], "is above the high end"),
    "90 %": (lambda k, n: interval(k, n, z=1.645), "90 % interval"),
    "99 %": (lambda k, n: interval(k, n, z=2.576), "99 % interval"),
    "not divided": (lambda k, n: interval(k, n, scale=False), "division by 1 + z²/n is missing"),
    "stops at 0": (no_zero, "0 of 20 stops with ValueError"),
    "certain at 0": (lambda k, n: (k / n, k / n) if k in (0, n) else interval(k, n), "cannot make you certain"),
    "one number": (lambda k, n: k / n, "Return two numbers"),
    "three numbers": (lambda k, n: stats.wilson(k, n), "Return two numbers"),
    "clipped": (lambda k, n: (max(interval(k, n)[0], 0.01), interval(k, n)[1]), "should give"),
}


@pytest.mark.parametrize("mistake", WRONG_WILSONS)
def test_a_wrong_interval_is_told_what_is_wrong_with_it(mistake):
    wrong, message = WRONG_WILSONS[mistake]
    verdict = lesson_03.wilson(wrong)
    assert verdict.status == "not quite" and message in verdict.message, verdict


def test_a_right_interval_passes():
    assert lesson_03.wilson(interval).passed


@pytest.mark.parametrize("check", [lesson_03.shuffle, lesson_03.extract, lesson_03.wilson])
@pytest.mark.parametrize("stub", [lambda *_: ..., lambda *_: None])
def test_a_stub_waits(check, stub):
    assert check(stub).status == "not solved yet"
