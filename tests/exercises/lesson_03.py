"""Answers to the exercises of lesson 03: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import math
import random
import re

from exercises.common import table

from helpers import stats
from helpers.checks import lesson_03

EXERCISES, answers = table()


# --- lesson 03: shuffle ---------------------------------------------------------------------------


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


by_question = by_seed(lambda row, seed, place: random.Random(f"{seed}:{row['question']}"))


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
    return [(options, "A") for options, _ in by_question(rows, seed)]


def file_order(rows, seed=0):
    return [lettered(list(row["choices"]), row) for row in rows]


def four_letters(rows, seed=0):
    return [({k: v for k, v in options.items() if k in "ABCD"}, gold) for options, gold in by_question(rows, seed)]


def rotated_by_length(rows, seed=0):
    pairs = []
    for row in rows:
        k = (len(row["question"]) + seed) % len(row["choices"])
        pairs.append(lettered(row["choices"][k:] + row["choices"][:k], row))
    return pairs


answers(
    lesson_03.shuffle,
    by_question,
    (
        by_seed(lambda row, seed, place: random.Random(f"{seed}:{place}")),
        "the seed holds the row's place",
    ),
    (one_generator, "one generator runs through all rows"),
    (by_seed(lambda row, seed, place: random), "draws from the global generator"),
    (reseeded, "drew from or reseeded the global generator"),
    (by_seed(lambda row, seed, place: random.Random(hash(row["question"]) + seed)), "Python salts it"),
    (by_seed(lambda row, seed, place: random.Random(row["question"])), "ignores the seed"),
    (by_seed(lambda row, seed, place: random.Random(seed)), "does the seed hold the question"),
    (in_place, "shuffle a copy"),
    (gold_stays, "it has to move with the right text"),
    (file_order, "The gold is always A"),
    (four_letters, "enough letters"),
    (rotated_by_length, "each should come up about 100 times"),
    (
        lambda rows, seed=0: [(o, o[g]) for o, g in by_question(rows, seed)],
        "return the letter, not the text or the index",
    ),
    (lambda rows, seed=0: by_question(rows, seed)[0], "one pair"),
    (lambda rows, seed=0: [(list(o.values()), g) for o, g in by_question(rows, seed)], "as a dict"),
    (lambda rows, seed=0: rows[0]["options"], "stopped with KeyError"),
)


# --- extract ------------------------------------------------------------------------------------


def number(text, pattern=r"-?\d[\d,]*(?:\.\d+)?", which=0, plain=None):
    found = re.findall(pattern, text)
    if not found:
        return None
    value = found[which].replace(",", "")
    return plain(value) if plain else (value.rstrip("0").rstrip(".") if "." in value else value)


answers(
    lesson_03.extract,
    number,
    (lambda t: (found := number(t)) and float(found), "the gold answers are text"),
    (lambda t: (m := re.search(r"-?\d[\d,]*", t)) and m[0], "keeps its comma"),
    (lambda t: number(t, r"-?\d+(?:\.\d+)?"), "stops at the comma"),
    (lambda t: number(t.replace(",", " "), which=-1), "last digit group"),
    (lambda t: number(t, plain=lambda v: v.rstrip("0").rstrip(".")), "strip zeros only behind"),
    (lambda t: (m := re.search(r"\$?-?\d[\d,]*", t)) and m[0].replace(",", ""), "dollar sign"),
    (lambda t: re.search(r"-?\d[\d,]*", t)[0].replace(",", ""), "stops with TypeError"),
    (lambda t: number(t) or "", "yours gives ''"),
    (lambda t: number(t, plain=lambda v: v), "18.00 and 18 are the same"),
    (lambda t: (found := number(t)) and found.split(".")[0], "rounds a wrong answer into a right one"),
    (lambda t: number(t, which=-1), "You took the last number"),
    (lambda t: number(t, r"\d[\d,]*(?:\.\d+)?"), "minus belongs to the number"),
)


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


answers(
    lesson_03.wilson,
    interval,
    (textbook, "textbook p ± 1.96·se"),
    (lambda k, n: interval(k, n, factor=100), "percent is for the table"),
    (lambda k, n: interval(k, n)[::-1], "is above the high end"),
    (lambda k, n: interval(k, n, z=1.645), "90 % interval"),
    (lambda k, n: interval(k, n, z=2.576), "99 % interval"),
    (lambda k, n: interval(k, n, scale=False), "division by 1 + z²/n is missing"),
    (no_zero, "0 of 20 stops with ValueError"),
    (lambda k, n: (k / n, k / n) if k in (0, n) else interval(k, n), "cannot make you certain"),
    (lambda k, n: k / n, "Return two numbers"),
    (lambda k, n: stats.wilson(k, n), "Return two numbers"),
    (lambda k, n: (max(interval(k, n)[0], 0.01), interval(k, n)[1]), "should give"),
)
