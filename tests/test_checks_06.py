"""Wrong answers to the exercises of lesson 06: each gets the message that names its mistake.

That the lesson's own solutions pass is in test_repository.py.
"""

from __future__ import annotations

import pytest

from helpers import judge
from helpers.checks import lesson_06


def chosen(record):
    first, second = record["shown"]
    verdict = judge.parse(record["reply"])
    return {"A": first, "B": second, "neither": "tie", None: "unparsed"}[verdict]


def letters(records):
    return [judge.parse(record["reply"]) for record in records]


# --- two orders, one result --------------------------------------------------------------------------


def result(records):
    one, other = map(chosen, records)
    if "unparsed" in (one, other):
        return "unparsed"
    return one if one == other else "tie"


def by_letter(records):
    one, other = letters(records)
    return {"A": "lima", "B": "role"}.get(one, "tie") if one == other else "tie"


def letter_back(records):
    return letters(records)[0] if result(records) == "lima" else result(records)


def by_the_first_order(records):
    return chosen(records[0])


def one_is_enough(records):
    wins = {chosen(r) for r in records} - {"tie"}
    return "unparsed" if "unparsed" in wins else wins.pop() if len(wins) == 1 else "tie"


def unread_as_tie(records):
    return "tie" if result(records) == "unparsed" else result(records)


def unread_left_out(records):
    read = {chosen(r) for r in records} - {"unparsed"}
    return "unparsed" if not read else read.pop() if len(read) == 1 else "tie"


def by_position(records):
    one, other = letters(records)
    if None in (one, other):
        return "unparsed"
    return {"AB": "lima", "BA": "role"}.get(f"{one}{other}", "tie")


def with_fixed_names(records):
    found = result(records)
    return found if found in ("lima", "role", "unparsed") else "tie"


@pytest.mark.parametrize(
    "wrong, named",
    [
        (by_letter, "are the *same* choice"),
        (letter_back, "Return the arm's name"),
        (by_the_first_order, 'Twice "A" is the same *place*'),
        (one_is_enough, "an arm must be chosen twice"),
        (unread_as_tie, "is not a tie"),
        (unread_left_out, 'the result is "unparsed"'),
        (by_position, 'read who was shown first from "shown"'),
        (with_fixed_names, "Right for LIMA and LIMA-Role only"),
        (lambda records: "draw", 'the result is "lima"'),
        (lambda records: records["shown"], "your code stopped with TypeError"),
    ],
)
def test_wrong_results_of_two_orders_are_named(wrong, named):
    verdict = lesson_06.result(wrong)
    assert verdict.status == "not quite"
    assert named in verdict.message, verdict.message


def test_the_right_result_passes_however_it_is_written():
    assert lesson_06.result(result).passed


# --- position bias ---------------------------------------------------------------------------------------


def by_pair(records):
    pairs = {}
    for record in records:
        pairs.setdefault(record["id"], []).append(chosen(record))
    return pairs


def alike(records):
    judged = [arms for arms in by_pair(records).values() if len(arms) == 2 and "unparsed" not in arms]
    return sum(one == other for one, other in judged) / len(judged)


def first(records):
    said = letters(records)
    return said.count("A") / (said.count("A") + said.count("B"))


def right(records):
    return first(records), alike(records)


def first_of_parsed(records):
    said = letters(records)
    return said.count("A") / (len(said) - said.count(None)), alike(records)


def share_of_lima(records):
    arms = [chosen(r) for r in records]
    return arms.count("lima") / (arms.count("lima") + arms.count("role")), alike(records)


def alike_by_letter(records):
    pairs = {}
    for record in records:
        pairs.setdefault(record["id"], []).append(judge.parse(record["reply"]))
    judged = [said for said in pairs.values() if None not in said]
    return first(records), sum(len(set(said)) == 1 for said in judged) / len(judged)


def alike_of_all(records):
    pairs = by_pair(records).values()
    return first(records), sum(len(set(arms)) == 1 for arms in pairs) / len(pairs)


def alike_winners_only(records):
    judged = [arms for arms in by_pair(records).values() if "unparsed" not in arms]
    return first(records), sum(len(set(arms)) == 1 and "tie" not in arms for arms in judged) / len(judged)


def alike_by_neighbours(records):
    judged = [(chosen(a), chosen(b)) for a, b in zip(records[::2], records[1::2])]
    judged = [arms for arms in judged if "unparsed" not in arms]
    return first(records), sum(one == other for one, other in judged) / len(judged)


def alike_when_alone(records):
    judged = [arms for arms in by_pair(records).values() if "unparsed" not in arms]
    return first(records), sum(len(set(arms)) == 1 for arms in judged) / len(judged)


@pytest.mark.parametrize(
    "wrong, named",
    [
        (first, "Return two numbers"),
        (first_of_parsed, 'Leave "neither"'),
        (lambda r: (letters(r).count("A") / len(r), alike(r)), 'Leave "neither"'),
        (lambda r: (100 * first(r), 100 * alike(r)), "not percent"),
        (lambda r: (first(r), 100 * alike(r)), "not percent"),
        (lambda r: (1 - first(r), alike(r)), "shown *second*"),
        (share_of_lima, "share of one *arm*"),
        (lambda r: (0.6180, alike(r)), "9 of the 12 choices"),
        (alike_by_letter, "You compare letters"),
        (alike_of_all, "leave it out of the second share"),
        (alike_winners_only, 'Twice "neither" is the same verdict twice'),
        (lambda r: (first(r), 0.9), "3 of the 7 pairs"),
        (alike_by_neighbours, "bring the two records of a pair together by id"),
        (alike_when_alone, "only one order is judged yet"),
    ],
)
def test_wrong_ways_to_see_position_bias_are_named(wrong, named):
    verdict = lesson_06.position_bias(wrong)
    assert verdict.status == "not quite" and named in verdict.message, verdict.message


def test_the_right_shares_pass():
    assert lesson_06.position_bias(right).passed


# --- length ------------------------------------------------------------------------------------------------


def won(table):
    return table[table.result.isin(["a", "b"]) & (table.words_a != table.words_b)]


def by_length(table):
    return ((table.words_b > table.words_a) == (table.result == "b")).mean()


@pytest.mark.parametrize(
    "wrong, named",
    [
        (lambda t: won(t), "Return one number"),
        (lambda t: by_length(won(t)) * len(won(t)) / len(t), "Leave out what no arm has won"),
        (lambda t: by_length(t[t.result.isin(["a", "b"])]), "the same length"),
        (lambda t: 100 * by_length(won(t)), "not percent"),
        (lambda t: 1 - by_length(won(t)), "won by the *shorter*"),
        (lambda t: (won(t)[won(t).words_b > won(t).words_a].result == "b").mean(), "one arm only"),
        (lambda t: 0.9, "it won 3"),
        (lambda t: 0.75, "changed round"),
    ],
)
def test_wrong_ways_to_count_the_longer_answer_are_named(wrong, named):
    verdict = lesson_06.longer_wins(wrong)
    assert verdict.status == "not quite" and named in verdict.message, verdict.message


def test_the_right_share_of_longer_winners_passes():
    assert lesson_06.longer_wins(lambda t: by_length(won(t))).passed
