"""Checks of lesson 03: letters that stay, a number from a reply, which rule to trust."""

from __future__ import annotations

import builtins
import random
from collections import Counter
from numbers import Real

import numpy as np

from .. import stats
from ..benchmarks import common, gsm8k
from . import check, expect, solved

LETTERS = "ABCDEF"


@check
def shuffle(my_letters) -> str:
    """`my_letters(rows, seed) -> [(options, gold letter), ...]`; in a row the right choice comes in first."""
    state, numpys = random.getstate(), np.random.get_state()
    try:
        return _shuffle(my_letters)
    finally:
        random.setstate(state)
        np.random.set_state(numpys)


def _listed(my_letters):
    """The same function, whose answer is a list of pairs: a generator, an array or lists as pairs are fine, too."""

    def asked(rows, seed):
        pairs = solved(my_letters(rows, seed))
        expect(
            np.iterable(pairs) and not isinstance(pairs, (str, dict)),
            f"Return a list with one pair (options, gold letter) for each row; yours is a {type(pairs).__name__}.",
        )
        return [tuple(pair) if isinstance(pair, (list, np.ndarray)) else pair for pair in pairs]

    return asked


def _shuffle(student) -> str:
    my_letters, given = _listed(student), _quiz(6)
    result = my_letters(given, 0)
    expect(
        len(result) == 6,
        "Return a list with one pair (options, gold letter) for each row, in the order of the rows.",
    )
    expect(
        all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], dict) for pair in result),
        "Each pair is (options, gold): the options as a dict (letter -> text), and the letter of the right one.",
    )
    expect(given == _quiz(6), "You shuffled the row's own list: shuffle a copy, the row is read again later.")
    _options_and_gold(my_letters)
    _own_generator(my_letters)
    _no_neighbours(my_letters)
    _no_salted_hash(my_letters)
    many = my_letters(_quiz(400), 0)
    golds = Counter(gold for _, gold in many)
    expect(len(golds) > 1, f"All 400 test questions have gold {next(iter(golds))}: does the seed hold the question?")
    expect(
        set(golds) == set("ABCD") and min(golds.values()) > 60,
        f"Over 400 questions the gold letters are {dict(sorted(golds.items()))}: each should come up about 100 times.",
    )
    orders = {tuple(text[-1] if text[0] == "w" else "0" for text in options.values()) for options, _ in many}
    expect(
        len(orders) > 12,
        f"Over 400 questions the choices come in {len(orders)} of 24 possible orders: you rotate them, or move only the "
        "right one. Shuffle all choices.",
    )
    expect(
        my_letters(_quiz(20), 0) != my_letters(_quiz(20), 1),
        "Seeds 0 and 1 give the same letters for 20 questions: your function ignores the seed.",
    )
    ours = [common.shuffled(row["choices"], row["question"], 3) for row in _quiz(5)]
    same = [list(options.values()) for options, _ in my_letters(_quiz(5), 3)] == ours
    return "the letters depend on the question and the seed, and on nothing else" + (
        "; they are the very letters that helpers would give." if same else "."
    )


def _quiz(n: int, options: int = 4) -> list[dict]:
    """Rows whose right choice comes first."""
    return [
        {"question": f"Question {i}?", "choices": [f"right {i}", *(f"wrong {i}.{k}" for k in range(1, options))]}
        for i in range(n)
    ]


def _options_and_gold(my_letters) -> None:
    for n in (2, 4, 5, 6):
        rows = _quiz(5, n)
        pairs = my_letters(rows, 0)
        for row, (options, gold) in zip(rows, pairs):
            expect(
                set(options.values()) <= set(row["choices"]),
                "Your options are not those of the row: return the pairs in the order of the rows, texts unchanged.",
            )
            expect(
                sorted(options.values()) == sorted(row["choices"]),
                f"Of {n} choices your options keep {len(set(options.values()))}: enough letters, and each choice once?",
            )
            expect(list(options) == list(LETTERS[:n]), f"{n} choices need the letters {LETTERS[:n]} in this order.")
            expect(gold in options, f"The gold is {gold!r}: return the letter, not the text or the index.")
            expect(
                options[gold] == row["choices"][0],
                "Your gold letter points at a wrong choice: it has to move with the right text. Look for the right text after the shuffle.",
            )
    expect(
        {gold for _, gold in my_letters(_quiz(60), 0)} != {"A"},
        "The gold is always A: the options are still in the file's order, the right one first.",
    )


def _own_generator(my_letters) -> None:
    def states():
        return random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]

    before = states()
    first = my_letters(_quiz(20), 0)
    touched = states() != before
    again = [my_letters(_quiz(20), 0) for _ in range(3)]
    if any(other != first for other in again):
        expect(
            not touched,
            "The same rows get other letters when asked again: random.shuffle draws from the global generator "
            "(so does np.random.shuffle). Make one of your own: random.Random(...).",
        )
        expect(False, "The same rows get other letters when asked again: make the generator inside the function.")
    expect(
        not touched,
        "Stable, but you drew from or reseeded the global generator (Python's or numpy's), which others use too: "
        "make your own with random.Random(...).",
    )


def _no_neighbours(my_letters) -> None:
    rows = _quiz(20)
    alone = my_letters(rows, 0)
    shorter = [{**rows[0], "choices": rows[0]["choices"][:2]}, *rows[1:]]
    expect(
        my_letters(shorter, 0)[1:] == alone[1:],
        "The first question got fewer options, and the letters of the others moved: one generator runs through all rows. "
        "Make a new one for each question.",
    )
    expect(
        my_letters(rows[1:], 0) == alone[1:],
        "Without the first row all other questions get other letters: the seed holds the row's place, as hers does. "
        "Seed with what the question says.",
    )
    expect(my_letters(rows[::-1], 0)[::-1] == alone, "Sort the rows in another way and the letters of a question move.")


def _no_salted_hash(my_letters) -> None:
    """Python salts `hash` for texts, by process: two other salts must change nothing."""
    original, results = builtins.hash, []
    try:
        for salt in (0x5EED, 0xC0FFEE):
            builtins.hash = lambda value, salt=salt: original(value) ^ salt
            results.append(my_letters(_quiz(20), 0))
    finally:
        builtins.hash = original
    expect(
        results[0] == results[1],
        "You use hash(): Python salts it, so the next process gets other letters. Seed with the text itself.",
    )


@check
def extract(my_extract) -> str:
    """`my_extract(text) -> str | None` for GSM8K: the first number of a stage 2 reply, in plain form."""
    first = solved(my_extract(" 18"))
    expect(
        not isinstance(first, Real),
        f"You return the number {first!r}: the gold answers are text, and '18' == 18 is False in Python.",
    )
    expect(first == "18", f"' 18' should give '18', yours gives {first!r}.")
    comma = my_extract(" 1,080 metres.")
    expect(
        comma != "1,080", "'1,080' keeps its comma: the gold answer is '1080', so a right reply would count as wrong."
    )
    expect(comma != "1", "Your pattern stops at the comma: '1,080' became '1'.")
    expect(comma not in ("080", "80"), "'1,080' became its last digit group: a comma can stand inside a number.")
    expect(comma != "108", "'1,080' lost its last zero: strip zeros only after a decimal point.")
    expect(comma == "1080", f"' 1,080 metres.' should give '1080', yours gives {comma!r}.")
    money = my_extract(" $1,080 a month")
    expect("$" not in str(money), "The dollar sign came along: keep the number only.")
    expect(money == "1080", f"' $1,080 a month' should give '1080', yours gives {money!r}.")
    for text, kind in ((" I cannot tell.", "A reply without a number"), ("", "An empty reply")):
        try:
            nothing = my_extract(text)
        except Exception as error:
            nothing = error
        expect(
            nothing is None,
            f"{kind} should give None (unparsed, counted), "
            + (
                f"yours stops with {type(nothing).__name__}."
                if isinstance(nothing, Exception)
                else f"yours gives {nothing!r}."
            ),
        )
    expect(
        my_extract(" 18.") == "18", f"' 18.' ends a sentence, its number is '18'; yours gives {my_extract(' 18.')!r}."
    )
    cents = my_extract(" $18.00")
    expect(cents == "18", f"'$18.00' should give '18', yours gives {cents!r}: 18.00 and 18 are the same answer.")
    ends = my_extract(" $18.00.")
    expect(
        ends == "18",
        f"' $18.00.' should give '18', yours gives {ends!r}: the last point ends the sentence. Is it off before you strip zeros?",
    )
    comma_first = my_extract(" Well, 18")
    expect(comma_first == "18", f"' Well, 18' should give '18', yours gives {comma_first!r}: a comma is not a number.")
    half = my_extract(" 3.50 hours")
    expect(half != "3", "'3.50' became '3': that rounds a wrong answer into a right one.")
    expect(half == "3.5", f"'3.50' should give '3.5', yours gives {half!r}.")
    expect(my_extract(" 100") == "100", "'100' lost its zeros: strip them only after a decimal point.")
    order = my_extract(" 12 apples, because 3 were eaten")
    expect(order != "3", "You took the last number: stage 2 says the answer first and explains after.")
    expect(order == "12", f"' 12 apples, because 3 were eaten' should give '12', yours gives {order!r}.")
    expect(
        my_extract(" -4 degrees") == "-4",
        f"The minus belongs to the number: '-4', yours gives {my_extract(' -4 degrees')!r}.",
    )
    debt = my_extract(" -$5")
    expect(
        debt == "5",
        f"' -$5' should give '5', yours gives {debt!r}: only a minus directly before the digits belongs to the number.",
    )
    eighth = my_extract(" 0.125 litres")
    expect(
        eighth == "0.125",
        f"' 0.125 litres' should give '0.125', yours gives {eighth!r}: strip zeros only, and round nothing.",
    )
    point = my_extract(" .5 litres")
    expect(point == "0.5", f"' .5 litres' should give '0.5', yours gives {point!r}: the point may come first.")
    for text in (
        " 0",
        " 0.0",
        " 1,080.50 dollars",
        "**72**",
        "(5)",
        " 0.5 litres",
        " 2,125,000.",
        " none",
        " 7 + 8 = 15",
        " 10.0",
    ):
        want, got = gsm8k.extract(text), my_extract(text)
        expect(got == want, f"{text!r} should give {want!r}, yours gives {got!r}.")
    return "the same text as gsm8k.extract in every case."


@check
def choice(my_choice) -> str:
    """`my_choice(replies) -> "kojima" | "declared" | "cannot say"`: which rule reads better, by the exact sign test."""
    for replies, wanted, mistake in _CHOICES:
        answer = solved(my_choice([dict(reply) for reply in replies]))
        expect(
            isinstance(answer, str) and answer in ("kojima", "declared", "cannot say"),
            f'Return one of the texts "kojima", "declared", "cannot say"; yours gives {answer!r:.60}.',
        )
        expect(answer == wanted, mistake + f" (Yours says {answer!r}, the right choice is {wanted!r}.)")
    return (
        "you trust a rule only if it reads what the replies say, and only if a coin would hardly do the same. "
        f"For the 71 published replies of section 3, 66 against 5, p is {stats.sign_test([1] * 66 + [-1] * 5).p:.0e}."
    )


def _replies(kojima=0, declared=0, both=0, neither=0, wrong=0, gold: str = "said") -> list[dict]:
    """Replies that only one rule, both, or neither reads as they are meant.

    `neither`: the two read different wrong letters; `wrong`: the same one.

    `gold`: the benchmark's answer is what the reply says ("said"), or what one of the rules read.
    """
    kinds = {"A A C": kojima, "A B A": declared, "A A A": both, "A B C": neither, "A B B": wrong}
    found = []
    for kind, n in kinds.items():
        reply = dict(zip(("said", "kojima", "declared"), kind.split()))
        found += [reply | {"gold": reply[gold]}] * n
    return found


_EVASIONS = [{"said": None, "kojima": "A", "declared": None, "gold": "B"}] * 8
_CHOICES = (
    (
        _replies(1, 9),
        "declared",
        "Only kojima reads 1 reply correctly, only declared reads 9: p = 0.021 is below 0.05, and declared has more.",
    ),
    (
        _replies(9, 1),
        "kojima",
        "Only kojima reads 9 replies correctly, only declared reads 1: p = 0.021. Do you look at both directions?",
    ),
    (
        _replies(1, 9, 10, gold="kojima"),
        "declared",
        "You compare with `gold`: a rule that scores higher may read right answers into wrong replies. "
        "Compare with `said`, what the reply really says.",
    ),
    (
        _EVASIONS,
        "declared",
        "Eight replies give no answer (`said` is None). declared reads None, which is correct, and kojima invents a letter. "
        "Do you leave such replies out, or does your code make None a NaN, which equals nothing?",
    ),
    (
        _replies(0, 5, 20),
        "cannot say",
        "Five replies all for one rule: a coin does that in 1 of 16 cases, p = 0.0625 (one-sided 0.031). "
        "More right readings are not yet evidence, and you did not know before which rule would win.",
    ),
    (
        _replies(2, 14, both=60, wrong=60),
        "declared",
        "Only the replies that exactly one rule reads correctly carry information: 2 against 14, p = 0.004. "
        "Over all replies, or as two separate intervals, the difference is hidden.",
    ),
    (_replies(0, 6, 20), "declared", "Six replies all for one rule: p = 0.031, which is below 0.05."),
    (
        _replies(1, 7),
        "cannot say",
        "1 against 7 has p = 0.070: a fixed lead, here of six, is not a test.",
    ),
    (
        _replies(1, 9, neither=30),
        "declared",
        "On 30 replies the rules differ and both are wrong: no rule is better there. Count where *exactly one* is correct.",
    ),
    (
        _replies(40, 60),
        "cannot say",
        "40 against 60 has p = 0.057 by the exact test. A normal approximation is too sure.",
    ),
    (
        _replies(4, 13),
        "declared",
        "4 against 13 has p = 0.049 by the exact test. The chi-square test with its correction is too careful here.",
    ),
    (_replies(0, 0, both=30, neither=5), "cannot say", "The rules never differ in being correct: that is no evidence."),
)
