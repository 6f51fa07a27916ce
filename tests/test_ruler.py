"""The same replies read again, the same questions asked again, the same study repeated."""

from __future__ import annotations

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import tiny
from fakes import FakeChat
from matplotlib.colors import to_rgba

from helpers import benchmarks, profiles, score
from helpers.chat import Completion
from helpers.report import plots
from helpers.score import readings

ROLE = "[This question is a Biology problem involving cells. From now on, I will think like a biologist who counts.]"


class Fake(FakeChat):
    name = "fake"

    def __init__(self, stage1, stage2):
        self.stage1, self.stage2 = stage1, stage2

    def complete(self, conversations, max_tokens, then=None, then_tokens=0, opening_tokens=0):
        for i, _ in enumerate(conversations):
            yield i, Completion(self.stage1, "stop", 5, 3, self.stage2 if then(i, self.stage1) else "")


@pytest.fixture
def scored(tmp_path):
    """scored({arm: (stage 1, stage 2)}, names): the answers of these arms, each reply the same, and the rows."""

    def make(arms, names, limit=6):
        profile = profiles.get("cpu")
        for arm, texts in arms.items():
            score.score(profile, Fake(*texts), tmp_path, arm, 0, names, limit, say=lambda _: None)
        return score.read_csv(tmp_path / "answers.csv"), score.questions(profile, names, limit)

    return make


# --- read again ---------------------------------------------------------------------------------


def test_an_answer_gets_its_raw_texts_back_and_one_without_a_record_is_left_out(scored, tmp_path):
    answers, _ = scored({"role": (ROLE + " Cells.", " (B)."), "lima": ("Cells.", " (C).")}, ["mmlu", "gsm8k"])
    (tmp_path / "generations" / "lima-seed0" / "gsm8k.jsonl").unlink()
    found = readings.replies(answers, tmp_path)
    sizes = found.groupby(["arm", "benchmark"]).size().to_dict()
    assert sizes == dict.fromkeys([("lima", "mmlu"), ("role", "mmlu"), ("role", "gsm8k")], 6)
    assert set(found[found.arm == "role"].stage1) == {ROLE + " Cells."} and set(found.stage2) == {" (B).", " (C)."}
    assert list(found.columns) == [*score.ANSWERS, "stage1", "stage2"]
    assert readings.replies(answers, tmp_path / "elsewhere").empty


def test_a_reading_differs_from_another_only_by_stage_rule_and_stripping(scored, tmp_path):
    arms = {"role": (ROLE + " I like (C).", " A bank, so (D)."), "lima": ("I like (C).", " A bank, so (D).")}
    answers, rows = scored(arms, ["mmlu"], limit=20)
    lines = readings.readings(readings.replies(answers, tmp_path), rows).set_index("reading")
    golds = [benchmarks.get("mmlu").gold(row) for row in rows["mmlu"]]
    share = {letter: golds.count(letter) / 20 for letter in "ABCD"}
    assert len(set(share.values())) == 4  # else a wrong letter could pass below
    expected = {  # (lima, role)
        "stage 2, declared": (share["D"], share["D"]),
        "stage 2, kojima": (share["A"], share["A"]),
        "stage 1 only, kojima": (share["C"], share["C"]),
        "stage 1 only, kojima, role prompt left in": (share["C"], share["B"]),  # of "Biology"
    }
    for title, (lima, role) in expected.items():
        assert (lines.lima[title], lines.role[title]) == pytest.approx((lima, role)), title
        assert lines["role - lima"][title] == pytest.approx(role - lima)
    assert lines.base.isna().all() and set(lines.replies) == {40}


def test_a_role_prompt_left_in_makes_silence_an_answer(scored, tmp_path):
    answers, rows = scored({"role": (ROLE, " I cannot tell."), "lima": ("I cannot tell.", " I cannot tell.")}, ["date"])
    lines = readings.readings(readings.replies(answers, tmp_path), rows).set_index("reading")
    assert set(lines["unparsed lima"]) == {1.0}
    assert list(lines["unparsed role"]) == [1.0, 1.0, 1.0, 0.0]


def test_the_first_reading_gives_the_scores_of_the_run_and_the_second_the_papers_rule(scored, tmp_path):
    names = ["mmlu", "strategyqa", "gsm8k", "date"]
    answers, rows = scored({"role": ("x", " No, B, 7"), "lima": ("x", " (A) or yes")}, names, limit=12)
    lines = readings.readings(readings.replies(answers, tmp_path), rows).set_index("reading")
    for arm, part in answers.groupby("arm"):
        assert lines[arm]["stage 2, declared"] == pytest.approx(part.correct.mean())
        assert lines[arm]["stage 2, kojima"] == pytest.approx(part.kojima_correct.mean())


def test_a_run_of_one_stage_is_read_from_that_stage_and_without_any_reply_the_table_is_empty():
    record = {"benchmark": "mmlu", "stage1": "The answer is (D).", "stage2": None}
    assert readings.read(record, {}, "stage2", "declared") == "D"
    assert readings.read(record | {"stage2": float("nan")}, {}, "stage2", "declared") == "D"  # as pandas keeps None
    nothing = pd.DataFrame(columns=[*score.ANSWERS, "stage1", "stage2"])
    lines = readings.readings(nothing, {"mmlu": benchmarks.get("mmlu").rows("packaged", 2)})
    assert len(lines) == len(readings.READINGS) and set(lines.replies) == {0}
    assert lines.drop(columns=["reading", "replies"]).isna().all(axis=None)


def test_the_counts_of_kongs_logs_give_their_published_accuracies():
    logs = readings.KONG
    assert list((100 * logs.correct / logs.n).round(1)) == [67.8, 69.9, 74.5, 77.2, 66.0, 67.0]
    assert list((100 * logs.correct / (logs.n - logs.unparsed)).round(1)) == [77.2, 71.5, 76.4, 77.4, 70.4, 70.0]


# --- ask again ----------------------------------------------------------------------------------


def test_in_float32_a_batch_changes_no_reply_and_replies_come_in_the_order_of_the_questions(tmp_path):
    tiny.save(tmp_path / "model")
    profile = profiles.get("cpu", model=str(tmp_path / "model"))
    few = [(name, row) for name in ("mmlu", "gsm8k", "humaneval") for row in benchmarks.get(name).rows("packaged", 3)]
    same = readings.ask_again(profile, few, "float32", (1, 4, 16), tokens=8, then_tokens=4)
    assert list(same) == [("float32", 1), ("float32", 4), ("float32", 16)]
    assert max(c["tokens"][1] for c in same["float32", 1]) == 8
    short = readings.ask_again(replace(profile, stage1_tokens=3), few, "float32", (4,))
    assert max(c["tokens"][1] for c in short["float32", 4]) == 3  # a profile's limit is never passed
    for other in (4, 16):
        assert readings.flips(few, same["float32", 1], same["float32", other])["other text"] == 0
    longest = max(few, key=lambda asked: len(benchmarks.get(asked[0]).question(asked[1])))
    tokens = [c["tokens"][0] for c in same["float32", 16]]
    assert tokens.index(max(tokens)) == few.index(longest)
    assert all(bool(c["stage2"]) <= bool(benchmarks.get(name).STAGE2) for c, (name, _) in zip(same["float32", 1], few))


def test_flips_are_counted_by_text_and_by_answer():
    few = [("mmlu", row) for row in benchmarks.get("mmlu").rows("packaged", 4)]
    first = [{"stage1": "x", "stage2": " (A)."}] * 4
    second = [first[0], {"stage1": "y", "stage2": " (A)."}, {"stage1": "x", "stage2": " A"}, first[0]]
    found = readings.flips(few, first, second)
    assert (found["n"], found["other text"], found["other answer"]) == (4, 2, 0)
    found = readings.flips(few, first, [{"stage1": "x", "stage2": " none"}, *first[1:]])
    assert (found["other text"], found["other answer"]) == (1, 1) and 0 < found["low"] < 0.25 < found["high"] < 1
    nothing = readings.flips([], [], [])
    assert (nothing["n"], nothing["low"], nothing["high"]) == (0, 0, 1)


# --- repeat -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [200, 2000])
def test_repeated_studies_scatter_about_the_truth_and_their_intervals_hold_it(n):
    studies = readings.repeat(n, 0.03, 0.3)
    assert len(studies) == 4_000 and set(studies.n) == {n}
    assert studies.difference.mean() == pytest.approx(0.03, abs=4 * math.sqrt(0.3 / n / 4_000))
    assert ((studies.low <= 0.03) & (studies.high >= 0.03)).mean() == pytest.approx(0.95, abs=0.02)


def test_the_formula_of_the_lesson_is_the_difference_that_four_in_five_studies_find():
    n, apart = 500, 0.3
    studies = readings.repeat(n, 2.8 * math.sqrt(apart / n), apart)
    assert (studies.low > 0).mean() == pytest.approx(0.8, abs=0.03)


def test_a_study_is_repeated_to_the_digit_and_an_impossible_gain_is_refused():
    assert readings.repeat(20, 0.03, 0.3, 50).equals(readings.repeat(20, 0.03, 0.3, 50))
    assert not readings.repeat(20, 0.03, 0.3, 50).equals(readings.repeat(20, 0.03, 0.3, 50, seed=1))
    with pytest.raises(ValueError, match="must differ on at least so many questions"):
        readings.repeat(20, 0.3, 0.1)


def test_the_picture_colours_the_studies_that_found_something_and_only_those():
    studies = pd.concat([readings.repeat(n, 0.03, 0.3, 60) for n in (20, 2000)], ignore_index=True)
    figure = plots.repetitions(studies, 0.03)
    titles = [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes]
    assert titles == ["20 questions", "2,000 questions"]
    found = to_rgba(plots.FOUND)
    for axis, n in zip(figure.axes, (20, 2000)):
        part = studies[studies.n == n]
        drawn = sum(tuple(colour) == found for colour in axis.collections[0].get_edgecolors())
        assert drawn == ((part.low > 0) | (part.high < 0)).sum()
    plt.close(figure)


# --- a shared limit, and what carries a sum --------------------------------------------------------


def test_cutting_the_same_replies_to_a_shared_limit_takes_words_from_the_role_arm_alone(scored, tmp_path):
    arms = {"role": (ROLE + " I think it is (C).", " (C)."), "lima": ("I think it is (C).", " (C).")}
    answers, rows = scored(arms, ["mmlu", "humaneval"], limit=4)
    table = readings.limits(readings.replies(answers, tmp_path), rows, tiny.tokenizer(), len(ROLE) + 4)
    assert set(table.n) == {4}  # programs are not read again
    whole, cut = table.loc["the answer's own"], table.loc[f"{len(ROLE) + 4} in all"]
    assert whole.loc["role"].tolist() == whole.loc["lima"].tolist() == cut.loc["lima"].tolist()
    assert cut.answer["role"] == 2 and (cut.unparsed["role"], cut.unparsed["lima"]) == (1, 0)  # " I t" is left
    shorter = readings.limits(readings.replies(answers, tmp_path), rows, tiny.tokenizer(), 30)
    assert shorter.loc[("30 in all", "role"), "empty"] == 1


def test_each_benchmark_adds_its_points_to_the_pooled_difference_and_one_may_carry_it():
    known = [(arm, 0, name, f"{name}{q}", int(arm == "role" and name == "date" and q < 6))
             for arm in ("lima", "role", "base") for name, n in (("mmlu", 20), ("date", 10)) for q in range(n)]  # fmt: skip
    answers = pd.DataFrame(known, columns=["arm", "seed", "benchmark", "question_id", "correct"])
    table = readings.carried(answers, ["mmlu", "date", "gsm8k"])
    assert list(table.index) == ["mmlu", "date", "all of them"]
    assert table.loc["date", ["n", "gained", "lost", "p", "verdict"]].tolist() == [10, 6, 0, 0.03125, "ahead"]
    assert table.loc["mmlu", ["gained", "points", "verdict"]].tolist() == [0, 0, "cannot say"]
    assert table.points["all of them"] == pytest.approx(0.2) == pytest.approx(table.points[:2].sum())
    assert table.without["date"] == 0 and table.without["mmlu"] == pytest.approx(0.6)
    assert readings.carried(answers, ["gsm8k"]).empty
