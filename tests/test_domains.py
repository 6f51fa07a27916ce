"""MMLU answers of two arms: only the same questions are compared, and a seed more is no question more."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers import score, stats
from helpers.analyse import domains
from helpers.benchmarks import mmlu
from helpers.data import REFERENCE


def lines(arm: str, seed: int, correct: dict[str, int], group: str = "law", benchmark: str = "mmlu") -> pd.DataFrame:
    known = {"arm": arm, "seed": seed, "benchmark": benchmark, "group": group, "prediction": "A", "gold": "A"}
    return pd.DataFrame([known | {"question_id": q, "correct": c} for q, c in correct.items()])


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return score.read_csv(REFERENCE / "answers.csv")


def test_only_questions_of_both_arms_and_all_seeds_are_compared():
    answers = pd.concat(
        [
            lines("lima", 0, {"a": 1, "b": 0, "c": 1}),
            lines("role", 0, {"c": 1, "b": 1, "d": 0}),
            lines("lima", 1, {"a": 1, "b": 0}),
            lines("role", 1, {"b": 1, "c": 0}),
            lines("role", 2, {"b": 1}),  # a seed that the other arm never trained
            lines("base", 0, {"b": 1}),
            lines("lima", 0, {"b": 1}, benchmark="date"),
        ]
    )
    pairs = domains.in_both(answers)
    assert set(pairs.question_id) == {"b"} and set(pairs.seed) == {0, 1} and len(pairs) == 4


def test_questions_that_a_second_seed_lacks_are_told():
    """Seed 1 stopped after 3 of 100 questions: 3 are left, and 97 are not dropped in silence."""
    hundred, three = ({str(q): q % 2 for q in range(n)} for n in (100, 3))
    answers = pd.concat([lines(arm, k, c) for arm in domains.ARMS for k, c in enumerate((hundred, three))])
    said = domains.cannot_say(domains.in_both(answers), answers=answers)
    assert "97 of 100 questions are left out: not every arm and seed answered them" in said
    whole = answers[answers.seed == 0]
    assert not any("left out" in s for s in domains.cannot_say(domains.in_both(whole), answers=whole))


def test_a_domain_on_whose_questions_the_arms_agree_is_named():
    alike, apart = {f"h{q}": q % 2 for q in range(40)}, {f"l{q}": q % 2 for q in range(40)}
    parts = [lines(arm, 0, alike, "history") for arm in domains.ARMS]
    parts += [lines("lima", 0, apart, "law"), lines("role", 0, apart | {"l0": 1}, "law")]
    said = domains.cannot_say(pd.concat(parts))
    assert "no question of history tells the arms apart: a difference of 0 there is no information" in said


def test_the_table_is_what_one_computes_by_hand():
    lima = {"a": 1, "b": 1, "c": 0, "d": 0}
    role = {"d": 1, "c": 1, "b": 0, "a": 1}  # another order
    other = {"x": 1, "y": 0}
    pairs = pd.concat(
        [lines("lima", 0, lima), lines("role", 0, role)] + [lines(arm, 0, other, "history") for arm in ("lima", "role")]
    )
    table = domains.table(pairs)
    law = table.loc["law"]
    assert (law.n, law.lima, law.role, law.difference, law.gained, law.lost) == (4, 0.5, 0.75, 0.25, 2, 1)
    assert (law.lima_low, law.lima_high) == stats.wilson(2, 4)[1:]
    assert law.low < 0.25 < law.high
    assert law.p == stats.sign_test([0, -1, 1, 1]).p
    assert list(table.index) == ["law", "history"]  # the larger difference first
    assert table.loc["history", ["gained", "lost", "p"]].tolist() == [0, 0, 1]


def test_four_copies_of_a_seed_make_no_interval_narrower(reference):
    one = domains.in_both(reference)
    four = pd.concat([one.assign(seed=k) for k in range(4)])
    for column in ("n", "lima", "lima_low", "lima_high", "role", "role_low", "role_high", "difference", "gained", "p"):
        pd.testing.assert_series_equal(domains.table(one)[column], domains.table(four)[column])


def test_arms_that_are_level_over_the_seeds_are_level_in_the_signs():
    a, b = {"a": 1, "b": 0}, {"a": 0, "b": 1}
    seeds = [(a, b), (b, a), (a, a)]  # each question right in two of three seeds of both arms, in another order
    pairs = pd.concat([lines(arm, k, s[i]) for k, s in enumerate(seeds) for i, arm in enumerate(("lima", "role"))])
    law = domains.table(pairs).loc["law"]
    assert (law.gained, law.lost, law.p) == (0, 0, 1)


def test_subjects_are_looked_up_only_where_every_gold_letter_agrees(reference):
    pairs = domains.in_both(reference)
    named, questions = domains.with_subjects(pairs, ["packaged"])
    assert (named.subject.map(mmlu.DOMAIN_OF) == named.group).all() and len(questions) >= 70
    wrong = pairs.assign(gold=["B" if g == "A" else g for g in pairs.gold])
    missing = pairs.assign(question_id=pairs.question_id.where(pairs.index != pairs.index[0], "mmlu-99999"))
    for other in (wrong, missing):
        unnamed, questions = domains.with_subjects(other, ["packaged"])
        assert unnamed.subject.isna().all() and questions.empty
        assert domains.table(unnamed, by="subject").empty


def test_the_second_source_is_taken_where_the_first_does_not_fit(reference, real_data):
    named, _ = domains.with_subjects(domains.in_both(reference), ["local", "packaged"])
    assert (named.subject.map(mmlu.DOMAIN_OF) == named.group).all()


def test_a_full_run_is_complained_about_in_nothing():
    draw = {q: int(q % 3 == 0) for q in range(400)}
    pairs = pd.concat(
        [
            lines(arm, seed, {f"{d}{q}": c if arm == "lima" or q % 5 else 1 - c for q, c in draw.items()}, d)
            for d in mmlu.DOMAINS
            for arm in ("lima", "role")
            for seed in (0, 1)
        ]
    )
    assert domains.cannot_say(pairs) == []
    assert domains.cannot_say(pairs.iloc[:0]) == ["no question was answered by both arms: nothing can be compared"]
    quarter = pairs.assign(prediction=pairs.prediction.where((pairs.arm == "lima") | (pairs.index % 4 > 0)))
    assert domains.cannot_say(quarter) == ["25% of the replies of LIMA-Role could not be read and count as wrong"]


def test_the_letters_that_an_arm_names_stand_beside_what_always_naming_one_would_score():
    golds, said = "AABD", {"lima": "ABCD", "role": "DDD-"}
    lines = [
        ("mmlu", 0, "law", arm, f"q{i}", None if s == "-" else s, g, int(s == g))
        for arm, letters in said.items()
        for i, (s, g) in enumerate(zip(letters, golds))
    ]
    columns = ["benchmark", "seed", "group", "arm", "question_id", "prediction", "gold", "correct"]
    pairs = pd.DataFrame(lines, columns=columns)
    table = domains.letters(pairs)
    assert table.loc["role"].tolist() == [0, 0, 0, 0.75, 0.25, 0] and table.loc["lima", "accuracy"] == 0.5
    assert table.loc["always this letter", list("ABCD")].tolist() == [0.5, 0.25, 0, 0.25]
    letter, share = domains.favourite(pairs, "role")
    assert (letter, share.to_dict()) == ("D", {"law": 0.25})
