"""Lessons 04 and 05 on answers that a real run may well give: they say what cannot be concluded, and go on to the end.

The lessons' own cells are run, on an answers.csv made from the packaged reference run (or, for real MMLU, from ids).
"""

from __future__ import annotations

import json
import random

import cells
import pandas as pd
import pytest

from helpers import score, stats
from helpers.benchmarks import BENCHMARKS, mmlu
from helpers.data import REFERENCE

pytestmark = pytest.mark.usefixtures("agg")
THIS = " answers from this run"


@pytest.fixture
def agg(monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(cells.NOTEBOOKS)


@pytest.fixture
def lesson(tmp_path):
    """Run a lesson on these answers: what it shows, its variables, its numbers in metrics.json."""

    def run(number: str, answers: pd.DataFrame, **parameters):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        answers.to_csv(folder / "answers.csv", index=False)
        text, space = cells.run(number, RUN=str(folder), **parameters)
        return text, space, json.loads((folder / "metrics.json").read_text())[number]

    return run


def reference() -> pd.DataFrame:
    return score.read_csv(REFERENCE / "answers.csv")


def test_one_seed_is_told_and_two_seeds_are_not_complained_about(lesson):
    one = reference()
    other = one.assign(seed=1, correct=[c if i % 3 else 1 - c for i, c in enumerate(one.correct)])
    for number in ("04", "05"):
        text, _, numbers = lesson(number, one)
        assert THIS in text and "one seed: the intervals" in text
        assert any("one seed" in sentence for sentence in numbers["cannot_say"])
        text, _, numbers = lesson(number, pd.concat([one, other]))
        assert THIS in text and not any("one seed" in sentence for sentence in numbers["cannot_say"])
    text, _, _ = lesson("04", one)
    assert "training with roles: cannot say" in text


def test_without_the_lima_arm_lesson_04_says_so_tells_what_there_is_and_goes_on_with_the_reference(lesson):
    text, space, numbers = lesson("04", reference().query("arm != 'lima'"))
    assert "no MMLU answers of LIMA: it cannot say whether role prompts help" in text
    there = reference().query("arm == 'role' and benchmark == 'mmlu'").correct
    share = stats.wilson(int(there.sum()), len(there))
    told = f"LIMA-Role {share.estimate:.1%} of 70 questions, interval {share.low:.1%} to {share.high:.1%}"
    assert len(there) == 70 and told in text
    assert numbers["origin"] == "the packaged reference run" and len(space["by_domain"]) == 10


def test_without_the_lima_arm_lesson_05_counts_roles_and_correlates_nothing(lesson):
    text, _, numbers = lesson("05", reference().query("arm == 'role'"))
    assert THIS in text and "no answers of the base model and LIMA: no control" in text
    assert "our diversity, gain: too few benchmarks to say" in text
    assert numbers["origin"] == "this run" and numbers["well_formed_role"] > 0.9 and "well_formed_lima" not in numbers


@pytest.mark.parametrize(
    "number, arm, said",
    [
        ("04", "lima", "answered no MMLU question in common"),
        ("05", "role", "no MMLU answers of LIMA-Role: it says nothing about them"),
    ],
)
def test_answers_that_leave_nothing_to_look_at_are_replaced_by_the_reference(lesson, number, arm, said):
    answers = reference()
    if arm == "role":
        answers = answers[answers.arm != arm]
    else:  # other questions than the other arms
        answers.question_id = answers.question_id.where(answers.arm != arm, answers.question_id + "x")
    text, _, numbers = lesson(number, answers)
    assert said in text and numbers["origin"] == "the packaged reference run"


@pytest.mark.parametrize("arms", [["lima"], ["lima", "role"]], ids=["one arm", "both arms"])
def test_zero_parsed_answers_are_no_zero_knowledge(lesson, arms):
    answers = reference()
    unread = answers.arm.isin(arms)
    answers = answers.assign(prediction=answers.prediction.mask(unread), correct=answers.correct.mask(unread, 0))
    text, _, numbers = lesson("04", answers)
    assert THIS in text and "no reply of LIMA could be read: its 0 %" in text
    assert ("no reply of LIMA-Role" in text) == (len(arms) == 2)
    if len(arms) == 2:
        assert "the arms are right on the same questions: these cannot tell them apart" in text
        assert numbers["difference"] == 0 and numbers["low"] < 0 < numbers["high"]
        assert numbers["domains_tied"] == 10
    lesson("05", answers)


def test_a_domain_of_three_questions_is_named_and_drawn(lesson):
    answers = reference()
    chemistry = answers.question_id[answers.group == "chemistry"].unique()
    text, space, _ = lesson("04", answers[~answers.question_id.isin(chemistry[3:])], DOMAIN="chemistry")
    assert "chemistry has 3, so one more right answer moves it by 33 points" in text
    assert space["by_domain"].n["chemistry"] == 3
    drawn = pd.read_csv(space["run"].folder / "figures" / "mmlu_domains.csv", index_col=0)
    assert drawn.n["chemistry"] == 3 and len(drawn) == 10
    # with three, another domain may have as few well-formed roles
    two = answers[~answers.question_id.isin(chemistry[2:])]
    text, _, _ = lesson("05", two, DOMAIN="chemistry")
    assert "the fewest: chemistry, 2" in text and "chemistry, 2 roles" in text


def test_a_single_domain_is_enough_to_go_on(lesson):
    answers = reference()
    only = answers[(answers.benchmark != "mmlu") | (answers.group == "law")]
    text, _, numbers = lesson("04", only)
    assert "no questions of math, physics" in text and "looking at 'law' instead" in text and numbers["n"] == 6
    assert lesson("05", only)[2]["top_nouns"] == {"law": "lawyer 5"}


@pytest.mark.parametrize("role", [None, "[This question is a math problem"], ids=["empty role list", "all malformed"])
def test_no_readable_role_is_told_and_every_picture_is_still_drawn(lesson, role):
    text, space, numbers = lesson("05", reference().assign(role=role))
    asked = (reference().arm == "role").sum()
    assert THIS in text and f"not one well-formed role prompt in {asked} answers" in text
    assert "no well-formed role, so nothing to judge" in text and "too few benchmarks to say" in text
    assert numbers["distinct_nouns"] == 0 and numbers["well_formed_role"] == 0
    assert numbers["missing" if role is None else "malformed"] == 1
    for name in ("role_nouns", "role_clouds", "role_diversity"):
        assert (space["run"].folder / "figures" / f"{name}.png").stat().st_size > 5_000
        assert list(pd.read_csv(space["run"].folder / "figures" / f"{name}.csv").columns)


def test_answers_to_other_questions_lose_their_subjects_and_nothing_else(lesson):
    answers = reference()
    one = answers.question_id == "mmlu-00005"
    wrong = answers.assign(gold=answers.gold.mask(one, "B" if answers.gold[one].iloc[0] == "A" else "A"))
    text, space, numbers = lesson("04", wrong)
    assert "no data set here fits: no subjects" in text
    assert numbers["subjects"] == {"ahead": 0, "level": 0, "behind": 0} and len(space["by_domain"]) == 10


# --- real MMLU ------------------------------------------------------------------------------------


def answers_to(rows: list[dict]) -> pd.DataFrame:
    """answers.csv of three arms to these MMLU rows as a model might have left it: ids and letters, none of their words."""
    draw, lines = random.Random(5), []
    for arm in ("base", "lima", "role"):
        for row in rows:
            gold = mmlu.gold(row)
            said = draw.choice(["A", "B", "C", "D", gold, None])
            noun = draw.choice([f"{row['domain'].split()[0]} teacher", "historian", "x" * draw.randint(2, 60) + "er"])
            text = f"[This question is a {row['domain']} problem involving terms. From now on, I will think like a "
            text += f"{noun} who {' and '.join(['weighs evidence'] * draw.randint(1, 40))}.]"
            text = draw.choice([text] * 8 + [text[: draw.randint(20, 90)], None]) if arm == "role" else None
            lines.append((arm, 0, "mmlu", row["question_id"], row["domain"], said, gold, int(said == gold), text))
    return pd.DataFrame(lines, columns=score.ANSWERS[:9])


def test_both_lessons_take_500_real_mmlu_questions(lesson, real_data):
    rows = mmlu.rows("local", 500)
    answers = answers_to(rows)
    text, space, numbers = lesson("04", answers, DOMAIN="math")
    assert f"all {2 * 500} gold letters agree" in text and numbers["n"] == 500
    assert list(space["by_domain"].n) == [50] * 10 and "fewer than 30" not in text
    assert sum(numbers["subjects"].values()) == 35 and "if whole subjects are drawn" in text
    text, space, numbers = lesson("05", answers, DOMAIN="math")
    assert numbers["n"] == 500 and 0 < numbers["missing"] < 0.2 and 0 < numbers["malformed"] < 0.2
    table = pd.read_csv(space["run"].folder / "figures" / "role_clouds.csv")
    assert table.groupby("group")["count"].sum().sum() == len(space["formed"]) and table.group.nunique() == 10
    assert set(BENCHMARKS) - set(space["diversity"].benchmark) == set(BENCHMARKS) - {"mmlu"}
