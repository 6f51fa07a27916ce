"""Answers to the exercises of lesson 03: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import hashlib
import math
import random
import re
import zlib
from decimal import Decimal

import numpy as np
import pandas as pd
from exercises.common import table
from scipy.stats import binomtest

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


def rotated_by_digest(rows, seed=0):
    def turned(row):
        k = zlib.crc32(f"{seed}{row['question']}".encode()) % len(row["choices"])
        return row["choices"][k:] + row["choices"][:k]

    return [lettered(turned(row), row) for row in rows]


def reseeds_numpy(rows, seed=0):
    def pair(row):
        np.random.seed((zlib.crc32(row["question"].encode()) + seed) % 2**32)
        return lettered(list(np.random.permutation(row["choices"])), row)

    return [pair(row) for row in rows]


def permuted(rows, seed=0):
    pairs = []
    for row in rows:
        dice = np.random.default_rng([seed, *row["question"].encode()])
        pairs.append(lettered([row["choices"][i] for i in dice.permutation(len(row["choices"]))], row))
    return pairs


def by_digest(rows, seed=0):
    """No generator at all: each choice is placed by its fingerprint."""

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()

    return [lettered(sorted(r["choices"], key=lambda c: digest(f"{seed}|{r['question']}|{c}")), r) for r in rows]


def sampled(rows, seed=0):
    draw = [random.Random(f"{r['question']}#{seed}").sample(r["choices"], len(r["choices"])) for r in rows]
    return [lettered(order, row) for order, row in zip(draw, rows)]


def sorted_by_key(rows, seed=0):
    def pair(row):
        dice = random.Random(zlib.crc32(row["question"].encode()) * 1_000 + seed)
        return lettered(sorted(row["choices"], key=lambda _: dice.random()), row)

    return list(map(pair, rows))


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
    (
        lambda rows, seed=0: by_question(sorted(rows, key=lambda r: r["question"], reverse=True), seed),
        "Your options are not",
    ),
    (rotated_by_digest, "you rotate them"),
    (reseeds_numpy, "(Python's or numpy's)"),
    (
        lambda rows, seed=0: [lettered(list(np.random.permutation(row["choices"])), row) for row in rows],
        "so does np.random.shuffle",
    ),
    (lambda rows, seed=0: len(by_question(rows, seed)), "one pair (options, gold letter) for each row"),
    also=[lambda rows, seed=0: iter(by_question(rows, seed)), permuted, by_digest, sampled, sorted_by_key],
)


# --- extract ------------------------------------------------------------------------------------


NUMBER = r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"


def number(text, pattern=NUMBER, which=0, plain=None):
    found = re.findall(pattern, text)
    if not found:
        return None
    value = found[which].replace(",", "")
    if plain or "." not in value:
        return plain(value) if plain else value
    return value.replace("-.", "-0.", 1).rstrip("0").rstrip(".") if value[0] != "." else "0" + value.rstrip("0")


def by_decimal(text):
    found = next(re.finditer(NUMBER, text), None)
    return found and format(Decimal(found[0].replace(",", "")).normalize(), "f")


def by_float(text):
    found = re.search(NUMBER, text)
    value = float(found[0].replace(",", "")) if found else None
    return found and (str(int(value)) if value == int(value) else str(value))


def by_hand(text):
    """Letter by letter, without a pattern."""
    start = next((i for i, c in enumerate(text) if c.isdigit()), None)
    if start is None:
        return None
    end = start
    while end < len(text) and (text[end].isdigit() or text[end] in ",."):
        end += 1
    start -= text[start - 1 : start] == "."
    value = text[start:end].rstrip(".,").replace(",", "")
    value = "0" + value if value.startswith(".") else value
    if "." in value:
        value = value.rstrip("0").rstrip(".")
    return ("-" if text[start - 1 : start] == "-" else "") + value


def next_number(text):
    series = pd.Series([text]).str.extract(f"({NUMBER})")[0].str.replace(",", "")
    return None if series.isna()[0] else np.format_float_positional(float(series[0]), trim="-")


def to_cents(text):
    return number(text, plain=lambda v: f"{float(v):.2f}".rstrip("0").rstrip("."))


def with_the_full_stop(text):
    found = re.search(r"-?\.?\d[\d,.]*", text)
    value = found[0].replace(",", "") if found else None
    return value and (value.rstrip("0").rstrip(".") if "." in value else value)


answers(
    lesson_03.extract,
    number,
    (lambda t: (found := number(t)) and float(found), "the gold answers are text"),
    (lambda t: (m := re.search(r"-?\d[\d,]*", t)) and m[0], "keeps its comma"),
    (lambda t: number(t, r"-?\d+(?:\.\d+)?"), "stops at the comma"),
    (lambda t: number(t.replace(",", " "), which=-1), "last digit group"),
    (lambda t: number(t, plain=lambda v: v.rstrip("0").rstrip(".")), "strip zeros only after"),
    (lambda t: (m := re.search(r"\$?-?\d[\d,]*", t)) and m[0].replace(",", ""), "dollar sign"),
    (lambda t: re.search(r"-?\d[\d,]*", t)[0].replace(",", ""), "stops with TypeError"),
    (lambda t: number(t) or "", "yours gives ''"),
    (lambda t: number(t, plain=lambda v: v), "18.00 and 18 are the same"),
    (lambda t: (found := number(t)) and found.split(".")[0], "rounds a wrong answer into a right one"),
    (lambda t: number(t, which=-1), "You took the last number"),
    (lambda t: number(t, r"\d[\d,]*(?:\.\d+)?"), "minus belongs to the number"),
    (lambda t: number(t, r"-?[\d,]+(?:\.\d+)?"), "a comma is not a number"),
    (lambda t: number(t, which=0, plain=lambda v: str(float(v))), "' 18' should give '18', yours gives '18.0'"),
    (lambda t: "".join(c for c in t if c.isdigit()) or None, "yours gives '1800'"),
    (lambda t: number(t, r"-?\d[\d,]*(?:\.\d+)?"), "the point may come first"),
    (lambda t: number(t, plain=lambda v: str(round(float(v)))), "'3.50' should give '3.5'"),
    (lambda t: number(t) if t[0] else None, "An empty reply should give None"),
    (lambda t: number(t.replace("$", "")), "directly before the digits"),
    (with_the_full_stop, "the last point ends the sentence"),
    (lambda t: to_cents(t) if "." in t else number(t), "round nothing"),
    also=[by_decimal, by_float, by_hand, next_number],
)


# --- choice -------------------------------------------------------------------------------------


def decided(up, down, p, level=0.05):
    return "cannot say" if p >= level else "declared" if up > down else "kojima"


def chosen(replies, by="said", level=0.05):
    ways = [(r["declared"] == r[by]) - (r["kojima"] == r[by]) for r in replies]
    up, down, _, p = stats.sign_test(ways)
    return decided(up, down, p, level)


def counted(replies):
    declared = sum(r["declared"] == r["said"] for r in replies)
    return declared, sum(r["kojima"] == r["said"] for r in replies)


def apart(replies):
    return [r for r in replies if r["declared"] != r["kojima"]]


def by_coin(replies, **how):
    """scipy's binomial test, as somebody would use it who does not know `stats`."""
    up = sum(r["declared"] == r["said"] != r["kojima"] for r in replies)
    down = sum(r["kojima"] == r["said"] != r["declared"] for r in replies)
    return decided(up, down, binomtest(up, up + down, **how).pvalue if up + down else 1.0)


def by_enumeration(replies):
    up = sum(1 for r in iter(replies) if r["declared"] == r["said"] and r["kojima"] != r["said"])
    down = sum(1 for r in iter(replies) if r["kojima"] == r["said"] and r["declared"] != r["said"])
    tail = sum(math.comb(up + down, k) for k in range(min(up, down) + 1)) / 2 ** (up + down)
    return decided(up, down, min(1, 2 * tail))


def by_pandas(replies):
    frame = pd.DataFrame(replies, columns=["said", "kojima", "declared"], dtype=object).fillna("none")
    right = frame[["kojima", "declared"]].eq(frame.said, axis=0)
    counts = (right.declared.astype(int) - right.kojima.astype(int)).value_counts()
    up, down = counts.get(1, 0), counts.get(-1, 0)
    return decided(up, down, binomtest(int(up), int(up + down)).pvalue if up + down else 1.0)


def by_numpy(replies):
    said, kojima, declared = (np.array([r[k] for r in replies], dtype=object) for k in ("said", "kojima", "declared"))
    found = stats.sign_test(np.float32(declared == said) - np.float32(kojima == said))
    return np.str_(decided(found.up, found.down, np.float32(found.p)))


def by_matched(replies):
    if not replies:
        return "cannot say"
    found = stats.matched(*([int(r[rule] == r["said"]) for r in replies] for rule in ("kojima", "declared")))
    return {"ahead": "declared", "behind": "kojima"}.get(found.verdict, "cannot say")


def by_nan(replies):
    frame = pd.DataFrame(replies, columns=["said", "kojima", "declared"]).astype(float, errors="ignore")
    frame = frame.where(frame.notna(), np.nan)
    return decided(
        *(t := stats.sign_test((frame.declared == frame.said) * 1 - (frame.kojima == frame.said) * 1))[:2], t.p
    )


def one_sided(replies):
    declared, kojima = counted(apart(replies))
    n = declared + kojima
    p = binomtest(max(declared, kojima), n, alternative="greater").pvalue if n else 1.0
    return decided(declared, kojima, p)


def lead_of_six(replies):
    lead = sum((r["declared"] == r["said"]) - (r["kojima"] == r["said"]) for r in replies)
    return decided(lead, 0, 0 if abs(lead) >= 6 else 1)


def overlap(replies):
    declared, kojima = (stats.wilson(k, len(replies)) for k in counted(replies))
    return "declared" if declared.low > kojima.high else "kojima" if kojima.low > declared.high else "cannot say"


def differing_as_throws(replies):
    different = apart(replies)
    up = counted(different)[0]
    return decided(up, len(different) - up, binomtest(up, len(different)).pvalue if different else 1.0)


def approximate(replies):
    ways = [(r["declared"] == r["said"]) - (r["kojima"] == r["said"]) for r in replies]
    n = sum(map(abs, ways))
    z = abs(sum(ways)) / math.sqrt(n) if n > 16 else 1.959964 * (stats.sign_test(ways).p < 0.05)
    return "cannot say" if z < 1.95 else "declared" if sum(ways) > 0 else "kojima"


def chi_square(replies):
    """McNemar's test with the correction of Edwards, as textbooks print it."""
    ways = [(r["declared"] == r["said"]) - (r["kojima"] == r["said"]) for r in replies]
    n, lead = sum(map(abs, ways)), sum(ways)
    return decided(lead, 0, 0 if n and max(abs(lead) - 1, 0) ** 2 / n > 3.841459 else 1)


def higher(replies, by="said"):
    declared, kojima = (sum(r[rule] == r[by] for r in replies) for rule in ("declared", "kojima"))
    return "declared" if declared > kojima else "kojima" if kojima > declared else "cannot say"


def turned(replies):
    return {"declared": "kojima", "kojima": "declared"}.get(chosen(replies), "cannot say")


answers(
    lesson_03.choice,
    chosen,
    (lambda r: chosen(r, by="gold"), "You compare with `gold`"),
    (lambda r: higher(r, by="gold"), "You compare with `gold`"),
    (higher, "More right readings are not yet evidence"),
    (turned, "declared has more"),
    (lambda r: "declared", "Do you look at both directions"),
    (lambda r: "cannot say", "p = 0.021 is below 0.05"),
    (lambda r: by_coin([x for x in r if x["said"]]), "Do you leave such replies out"),
    (lambda r: by_coin([x for x in r if x["declared"] and x["kojima"]]), "Do you leave such replies out"),
    (by_nan, "NaN, which equals nothing"),
    (lambda r: chosen(r, level=0.1), "p = 0.0625"),
    (lambda r: chosen(r, level=0.03), "p = 0.031, which is below 0.05"),
    (lambda r: chosen(r, level=0.01), "p = 0.021 is below 0.05"),
    (lambda r: by_coin(r, alternative="greater"), "Do you look at both directions"),
    (one_sided, "one-sided 0.031"),
    (lead_of_six, "a fixed lead"),
    (overlap, "as two separate intervals"),
    (differing_as_throws, "no rule is better there"),
    (approximate, "A normal approximation"),
    (chi_square, "with its correction"),
    (lambda r: chosen([x["reply"] for x in r]), "stopped with KeyError"),
    (
        lambda r: stats.sign_test([(x["declared"] == x["said"]) - (x["kojima"] == x["said"]) for x in r]).p,
        "one of the texts",
    ),
    (lambda r: chosen(r).upper(), "one of the texts"),
    (lambda r: chosen(r) == "declared", "one of the texts"),
    also=[by_coin, by_enumeration, by_pandas, by_numpy, by_matched],
)
