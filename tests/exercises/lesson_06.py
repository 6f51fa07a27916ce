"""Answers to the exercises of lesson 06: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import numpy as np
import pandas as pd
from exercises.common import table

from helpers import judge
from helpers.checks import lesson_06

EXERCISES, answers = table()


# --- lesson 06: two orders, one result -----------------------------------------------------------


def chosen(record):
    first, second = record["shown"]
    verdict = judge.parse(record["reply"])
    return {"A": first, "B": second, "neither": "tie", None: "unparsed"}[verdict]


def letter(record):
    return judge.parse(record["reply"])


def of_sentence(record):
    (first, second), words = record["shown"], record["reply"]
    return {"Answer A": first, "Answer B": second, "Neither": "tie"}.get(words.split(" is ")[0], "unparsed")


def result(records, read=chosen):
    one, other = map(read, records)
    return "unparsed" if {one, other} & {"unparsed", None} else one if one == other else "tie"


def by_letter(records):
    return {"A": "lima", "B": "role"}.get(result(records, letter), "tie")


def one_is_enough(records):
    wins = {chosen(r) for r in records} - {"tie"}
    return "unparsed" if "unparsed" in wins else wins.pop() if len(wins) == 1 else "tie"


def unread_left_out(records):
    read = {chosen(r) for r in records} - {"unparsed"}
    return "unparsed" if not read else read.pop() if len(read) == 1 else "tie"


def by_position(records):
    one, other = map(letter, records)
    return "unparsed" if None in (one, other) else {"AB": "lima", "BA": "role"}.get(f"{one}{other}", "tie")


answers(
    lesson_06.result,
    result,
    (by_letter, "are the *same* choice"),
    (lambda r: letter(r[0]) if result(r) == "lima" else result(r), "Return the arm's name"),
    (lambda r: chosen(r[0]), 'Twice "A" is the same *place*'),
    (one_is_enough, "an arm must be chosen twice"),
    (lambda r: "tie" if result(r) == "unparsed" else result(r), "is not a tie"),
    (unread_left_out, 'the result is "unparsed"'),
    (by_position, 'read who was shown first from "shown"'),
    (lambda r: "tie" if (found := result(r)) == "base" else found, "Right for LIMA and LIMA-Role only"),
    (lambda r: "draw", 'the result is "lima"'),
    (lambda r: r["shown"], "your code stopped with TypeError"),
    (lambda r: "unparsed" if "tie" in map(chosen, r) else result(r), "an arm must be chosen twice"),
    (lambda r: result(r, of_sentence), "read every verdict with `judge.parse`"),
    also=[
        lambda r: np.str_(result(r)),
        lambda r: result(sorted(r, key=lambda record: record["shown"])),
        lambda r: (lambda said: "unparsed" if "unparsed" in said else said.pop() if len(said) == 1 else "tie")(
            {chosen(x) for x in r}
        ),
        lambda r: "unparsed" if None in map(letter, r) else chosen(r[0]) if chosen(r[0]) == chosen(r[1]) else "tie",
    ],
)


# --- position bias ---------------------------------------------------------------------------------------


def of_places(records, chose=("A", "B"), read=letter):
    said = [read(r) for r in records]
    return said.count(chose[0]) / sum(said.count(c) for c in chose)


def alike(records, counts=lambda said: len(said) == 2 and "unparsed" not in said, read=chosen, but=None):
    pairs = {}
    for record in records:
        pairs.setdefault(record["id"], []).append(read(record))
    judged = [said for said in pairs.values() if counts(said)]
    return sum(len(set(said)) == 1 and but not in said for said in judged) / len(judged)


def right(records, **wrong):
    return of_places(records), alike(records, **wrong)


def count(records, verdict):
    return [letter(r) for r in records].count(verdict)


def without_pairs(records, verdict):
    out = {r["id"] for r in records if letter(r) == verdict}
    return [r for r in records if r["id"] not in out]


def of_lima_and_role(record):
    first = "lima" if record["shown"][0] == "lima" else "role"
    second = "role" if first == "lima" else "lima"
    return {"A": first, "B": second, "neither": "tie", None: "unparsed"}[letter(record)]


def by_frame(records):
    table = pd.DataFrame([{"id": r["id"], "letter": letter(r) or "?", "arm": chosen(r)} for r in records])
    arms = table[table.arm != "unparsed"].groupby("id").arm.agg(read="size", different="nunique")
    return (table.letter.loc[table.letter.isin(["A", "B"])] == "A").mean(), (
        arms[arms["read"] == 2].different == 1
    ).mean()


def by_neighbours(records):
    renamed = [{**r, "id": n // 2} for n, r in enumerate(records)]
    return of_places(records), alike(renamed)


answers(
    lesson_06.position_bias,
    right,
    (of_places, "Return two numbers"),
    (lambda r: (of_places(r, ("A", "B", "neither")), alike(r)), 'Leave "neither"'),
    (lambda r: (of_places(r, ("A", "B", "neither", None)), alike(r)), 'Leave "neither"'),
    (lambda r: (100 * of_places(r), 100 * alike(r)), "not percent"),
    (lambda r: (of_places(r), 100 * alike(r)), "not percent"),
    (lambda r: (1 - of_places(r), alike(r)), "shown *second*"),
    (lambda r: (of_places(r, ("lima", "role"), chosen), alike(r)), "share of one *arm*"),
    (lambda r: (0.6180, alike(r)), "9 of the 12 choices"),
    (lambda r: right(r, read=letter, counts=lambda said: None not in said), "You compare letters"),
    (lambda r: right(r, counts=bool), "leave it out of the second share"),
    (lambda r: right(r, but="tie"), 'Twice "neither" is the same verdict twice'),
    (lambda r: (of_places(r), 0.9), "3 of the 7 pairs"),
    (lambda r: (of_places(r[::2]), alike(r)), "only one order of each pair"),
    (lambda r: (of_places(r[1::2]), alike(r)), "only one order of each pair"),
    (lambda r: (alike(r), alike(r)), "not about pairs"),
    (lambda r: (9, alike(r)), "That is a count"),
    (lambda r: (of_places(r), 1 - alike(r)), "pairs that *differ*"),
    (lambda r: (count(r, "A") / count(r, "B"), alike(r)), "ratio of first to second"),
    (lambda r: (count(r, "A") / len({x["id"] for x in r}), alike(r)), "divide by the number of pairs"),
    (lambda r: (2 * of_places(r) - 1, alike(r)), "first minus the second"),
    (lambda r: (of_places(without_pairs(r, None)), alike(r)), "You leave out whole pairs"),
    (lambda r: (of_places(without_pairs(r, "neither")), alike(r)), "You leave out whole pairs"),
    (lambda r: (of_places(r), alike(r) / 2), "divide by a number of records"),
    (lambda r: (of_places(r), 2 / 12), "count pairs and divide by choices"),
    (lambda r: (of_places(r), round(alike(r), 2)), "rounded"),
    (lambda r: right(r, read=of_lima_and_role), "Right for LIMA and LIMA-Role only"),
    (
        lambda r: right(r, read=letter, counts=lambda said: len(said) == 2 and None not in said, but="neither"),
        "Right by luck",
    ),
    (by_neighbours, "bring the two records of a pair together by id"),
    (lambda r: right(r, counts=lambda said: "unparsed" not in said), "only one order is judged yet"),
    also=[
        lambda r: list(right(r)),
        lambda r: iter(right(r)),
        lambda r: (share for share in right(r)),
        by_frame,
        lambda r: np.array(right(r)),
        lambda r: np.array(right(r), dtype="float32"),
        lambda r: tuple(map(np.float64, right(list(reversed(r))))),
    ],
)


# --- length ------------------------------------------------------------------------------------------------


def won(table):
    return table[table.result.isin(["a", "b"]) & (table.words_a != table.words_b)]


def by_length(table):
    return ((table.words_b > table.words_a) == (table.result == "b")).mean()


def longer_wins(table):
    return by_length(won(table))


answers(
    lesson_06.longer_wins,
    longer_wins,
    (lambda t: won(t), "Return one number"),
    (lambda t: by_length(won(t)) * len(won(t)) / len(t), "Leave out what no arm has won"),
    (lambda t: by_length(t[t.result.isin(["a", "b"])]), "the same length"),
    (lambda t: 100 * by_length(won(t)), "not percent"),
    (lambda t: 1 - by_length(won(t)), "won by the *shorter*"),
    (lambda t: (won(t)[won(t).words_b > won(t).words_a].result == "b").mean(), "one arm only"),
    (lambda t: won(t)[won(t).result == "a"].eval("words_a > words_b").mean(), "the wins of both arms"),
    (lambda t: won(t)[won(t).result == "b"].eval("words_b > words_a").mean(), "one arm only"),
    (lambda t: (t[t.result.isin(["a", "b"])].result == "b").mean(), "share of b's wins"),
    (lambda t: by_length(won(t)) * len(won(t)), "That is a count"),
    (by_length, "lines without a winner"),
    (lambda t: by_length(t[t.words_a != t.words_b]), "lines without a winner"),
    (lambda t: (3 + 0.5) / 5, "Do not count a half"),
    (lambda t: (w := t[t.result.isin(["a", "b"])]).words_a.sum() / (w.words_a + w.words_b).sum(), "You add words"),
    (lambda t: np.corrcoef(won(t).words_b > won(t).words_a, won(t).result == "b")[0, 1], "That is a correlation"),
    (lambda t: (won(t).words_b > won(t).words_a).mean(), "not at who won"),
    (
        lambda t: by_length(t[~t.result.isin(["tie", "unparsed"]) & (t.words_a != t.words_b)]),
        'keep the lines with "a" or "b"',
    ),
    (lambda t: str(longer_wins(t)), "Return one number"),
    (lambda t: 0.9, "it won 3"),
    (lambda t: 0.75, "changed round"),
    also=[
        lambda t: np.float32(longer_wins(t)),
        lambda t: np.array(longer_wins(t)),
        lambda t: np.mean(np.sign(won(t).words_a - won(t).words_b) == np.where(won(t).result == "a", 1, -1)),
        lambda t: won(t).eval("(words_a > words_b) == (result == 'a')").mean(),
    ],
)
