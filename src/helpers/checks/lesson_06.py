"""Checks of lesson 06: two orders make one result, position bias from the journal, length as a judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from . import check, close, expect, numbers, solved

_SAYS = {
    "A": "Answer A is significantly better.",
    "B": "Answer B is significantly better.",
    "neither": "Neither is significantly better.",
    None: "I find both answers charming.",
}


def _record(shown: tuple[str, str], verdict: str | None, id: str = "q") -> dict[str, Any]:
    return {"id": id, "shown": list(shown), "reply": _SAYS[verdict]}


def _pair(one: str | None, other: str | None, names: tuple[str, str] = ("lima", "role"), id: str = "q") -> list[dict]:
    """Two records of a pair: the verdict with the first name shown first, and with the second name shown first."""
    return [_record(names, one, id), _record(names[::-1], other, id)]


@check
def result(student: Callable[[list[dict[str, Any]]], str]) -> str:
    """The winner's name, "tie" or "unparsed", from the two records of a pair."""

    def says(*case: Any) -> Any:
        return solved(student(_pair(*case)))

    first = says("A", "B")
    expect(
        first != "tie",
        '"A" with LIMA first and "B" with LIMA second are the *same* choice: LIMA, twice. '
        'Translate each letter into the arm in "shown" before you compare.',
    )
    expect(
        first not in ("A", "B", "a", "b"),
        f'Return the arm\'s name as it stands in "shown", not {first!r}: a letter means another arm in each order.',
    )
    expect(first == "lima", f'LIMA is chosen in both orders, so the result is "lima"; you return {first!r}.')
    expect(says("B", "A") == "role", 'LIMA-Role is chosen in both orders: the result is "role".')
    for letter in "AB":
        same = says(letter, letter)
        expect(
            same == "tie",
            f'Twice "{letter}" is the same *place* and two different arms, so it is a tie; you return {same!r}. '
            "Did you compare letters?",
        )
    for case in (("A", "neither"), ("neither", "B"), ("neither", "A"), ("B", "neither")):
        mixed = says(*case)
        expect(
            mixed == "tie",
            f'"{case[0]}" in one order and "{case[1]}" in the other is a tie: an arm must be chosen twice. You return {mixed!r}.',
        )
    expect(says("neither", "neither") == "tie", 'Twice "neither" is a tie.')
    for case in ((None, "A"), ("B", None), (None, "neither"), (None, None)):
        unread = says(*case)
        expect(
            unread != "tie",
            'A verdict that cannot be read is not a tie: judge.parse gives None, the result is "unparsed".',
        )
        expect(unread == "unparsed", f'If one verdict cannot be read the result is "unparsed"; you return {unread!r}.')
    turned = solved(student(_pair("A", "B")[::-1]))
    expect(
        turned == "lima",
        'With the two records in the other sequence your result changes: read who was shown first from "shown", '
        "not from the position in the list.",
    )
    expect(
        says("A", "B", ("base", "lima")) == "base",
        'Right for LIMA and LIMA-Role only: take the names from "shown" instead of writing them into the code.',
    )
    short = [record | {"reply": letter} for record, letter in zip(_pair("A", "B"), "AB")]
    expect(
        student(short) == "lima",
        'A judge may answer "A" without a sentence around it: read every verdict with `judge.parse`.',
    )
    return "an arm wins only if it is chosen in both places; what cannot be read stays apart"


@check
def position_bias(student: Callable[[list[dict[str, Any]]], tuple[float, float]]) -> str:
    """(share of the first-shown among choices, share of pairs judged alike in both orders)."""
    verdicts = [
        ("A", "A"),
        ("A", "A"),
        ("A", "A"),
        ("A", "B"),
        ("B", "A"),
        ("neither", "neither"),
        ("A", "neither"),
        (None, "B"),
    ]
    records = [r for n, case in enumerate(verdicts) for r in _pair(*case, id=f"q{n}")]
    # 12 choices, 9 of them "A" (7 of them for lima); of 7 pairs with two verdicts 3 are judged alike (2 with a winner)
    value = solved(student(records))
    found = numbers(value, 2)
    expect(
        found and np.isfinite(found).all(),
        f"Return two numbers, (share of the first, share alike), not {value!r:.60}.",
    )
    first, alike = found
    expect(
        not close(first, 9 / 15) and not close(first, 9 / 16),
        'Leave "neither" and what cannot be read out of the first share: they choose no place.',
    )
    expect(not close(first, 75), "Return shares (0.75), not percent.")
    expect(not close(first, 3 / 12), "That is the share of the answer shown *second*.")
    expect(
        not close(first, 7 / 12) and not close(first, 5 / 12),
        "That is the share of one *arm* among the choices. The first place is the letter A, whoever stands there.",
    )
    expect(
        not close(first, 5 / 6) and not close(first, 4 / 6),
        "You read only one order of each pair: both records of a pair count among the choices.",
    )
    expect(
        not close(first, 3 / 7) and not close(first, 3 / 8),
        "The first share is about single choices, not about pairs: count every letter.",
    )
    expect(not close(first, 9), "That is a count: divide it by the number of choices.")
    expect(
        not close(first, 9 / 3),
        "That is the ratio of first to second. A share divides by *all* choices, first and second.",
    )
    expect(
        not close(first, 9 / 8) and not close(first, 9 / 7),
        "You divide by the number of pairs. A pair has two verdicts: divide by the number of choices.",
    )
    expect(
        not close(first, 6 / 12), "That is the first minus the second. The share is the first alone, of all choices."
    )
    expect(
        not any(close(first, share) for share in (9 / 11, 8 / 11, 8 / 10)),
        "You leave out whole pairs. Leave out only the verdicts that choose no place; the other verdict of the pair "
        "is a choice.",
    )
    expect(close(first, 0.75), f"9 of the 12 choices are for the answer shown first (0.75); you say {first:.3f}.")
    expect(
        not close(alike, 4 / 7) and not close(alike, 4 / 8) and not close(alike, 3 / 5),
        "You compare letters. Twice the same *letter* is the same place; alike means the same arm, or twice neither. "
        "(Or is it the share of pairs that *differ*?)",
    )
    expect(
        not close(alike, 3 / 8),
        "A pair with a verdict that cannot be read is neither alike nor different: leave it out of the second share.",
    )
    expect(
        not any(close(alike, 2 / n) for n in (5, 6, 7, 8)),
        'Twice "neither" is the same verdict twice, too: it belongs to the pairs that are judged alike.',
    )
    expect(not close(alike, 3), "That is a count: divide it by the number of pairs with two verdicts.")
    expect(
        not any(close(alike, 3 / n) for n in (14, 15, 16)),
        "You divide by a number of records. The second share is about pairs: divide by the pairs with two verdicts.",
    )
    expect(not close(alike, 2 / 12), "You count pairs and divide by choices. Divide by the pairs with two verdicts.")
    expect(
        close(alike, 3 / 7) or not any(close(alike, round(3 / 7, n)) for n in range(1, 6)),
        "Right, but rounded: return the share as it is.",
    )
    expect(not close(alike, 300 / 7), "Return shares (0.43), not percent.")
    expect(close(alike, 3 / 7), f"3 of the 7 pairs with two verdicts are judged alike (0.429); you say {alike:.3f}.")

    twice = [r for n, case in enumerate([("A", "B"), ("B", "A"), ("A", "A")]) for r in _pair(*case, id=f"p{n}")]
    expect(
        close(numbers(student(twice), 2), (4 / 6, 2 / 3)),
        'Right by luck: in other pairs your numbers differ. "A" then "B" is the same arm, so alike; twice "A" is not. '
        "Did you compare letters?",
    )
    shuffled = [records[i] for i in np.random.default_rng(1).permutation(len(records))]
    expect(
        close(numbers(student(shuffled), 2), (0.75, 3 / 7)),
        "With the same records in another sequence your numbers change: bring the two records of a pair together by id.",
    )
    lonely = [*records, _record(("lima", "role"), "B", "alone")]
    expect(
        close(numbers(student(lonely), 2), (9 / 13, 3 / 7)),
        "A pair of which only one order is judged yet counts among the choices, but cannot be alike or different.",
    )
    others = [r | {"shown": [{"lima": "base", "role": "chat"}[name] for name in r["shown"]]} for r in records]
    expect(
        close(numbers(student(others), 2), (0.75, 3 / 7)),
        'Right for LIMA and LIMA-Role only: take the names from "shown" instead of writing them into the code.',
    )
    return "the first share is about places, the second about pairs: a judge may look fair in one and fail in the other"


@check
def longer_wins(student: Callable[[pd.DataFrame], float]) -> str:
    """Of the questions won by an arm, the share won by the longer answer."""
    rows = [
        (10, 20, "b"),
        (30, 20, "a"),
        (10, 20, "a"),
        (5, 6, "b"),
        (20, 10, "tie"),
        (10, 20, "tie"),
        (7, 7, "a"),
        (1, 9, "unparsed"),
    ]
    table = pd.DataFrame(rows, columns=["words_a", "words_b", "result"])
    value = solved(student(table.copy()))
    found = numbers(value)
    expect(
        found and np.isfinite(found).all() and not isinstance(value, (str, bool, np.bool_)),
        f"Return one number, not {value!r:.60}.",
    )
    (share,) = found
    expect(
        not any(close(share, wrong) for wrong in (5 / 8, 4 / 7, 5 / 6)),
        "You compare lengths in lines without a winner, too. First leave out every line whose result is not a or b.",
    )
    expect(
        not close(share, 3.5 / 5) and not close(share, 4.5 / 7),
        "Do not count a half for an undecided question: leave it out.",
    )
    expect(
        not any(close(share, wrong) for wrong in (62 / 135, 73 / 135, 55 / 121, 66 / 121, 93 / 205, 112 / 205)),
        "You add words. Count questions: each has the same weight, however long its answers are.",
    )
    expect(
        not close(share, 1 / 3**0.5),
        "That is a correlation. The share counts: how many of the questions did the longer answer win?",
    )
    expect(
        not any(close(share, 3 / n) for n in (6, 7, 8)),
        "Leave out what no arm has won: a tie and an unread verdict say nothing for or against length. "
        "And look at the wins of both arms.",
    )
    expect(
        not close(share, 3 / 5) and not close(share, 4 / 5),
        "Two answers of the same length: neither is the longer one, so leave that question out.",
    )
    expect(not close(share, 75), "Return a share (0.75), not percent.")
    expect(not close(share, 1 / 4), "That is the share won by the *shorter* answer.")
    expect(not close(share, 3), "That is a count: divide it by the number of questions that count.")
    expect(not close(share, 2 / 5), "That is the share of b's wins. Compare the winner with the longer answer.")
    expect(
        not any(close(share, wrong) for wrong in (2 / 3, 2 / 4, 1)),
        "You look at one arm only. The longer answer may be a's or b's: compare the winner with the longer one.",
    )
    expect(
        close(share, 0.75), f"Of 4 questions with a winner and a longer answer it won 3 (0.75); you say {share:.3f}."
    )
    swapped = table.rename(columns={"words_a": "words_b", "words_b": "words_a"})
    expect(
        close(float(student(swapped)), 0.25), "With the two columns of words changed round it should be 1 of 4 (0.25)."
    )
    turned = table.assign(result=table.result.replace({"a": "b", "b": "a"}))
    expect(
        close(float(student(turned)), 0.25),
        "With the winners changed round it should be 1 of 4 (0.25): you look at the lengths, but not at who won.",
    )
    unnamed = table.assign(result=table.result.replace({"tie": "role shown", "unparsed": None}))
    expect(
        close(float(student(unnamed)), 0.75),
        'Anything but "a" and "b" means that no arm won, not only "tie" and "unparsed": keep the lines with "a" or "b".',
    )
    return "now compare it with one half: what a judge without any taste for length would give"
