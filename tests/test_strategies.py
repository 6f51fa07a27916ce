"""A prompting strategy is data: the pipeline trains and scores a record as it does role-play."""

from __future__ import annotations

import inspect
import json

import pytest
import tiny
import training

from helpers import annotate, finetune, roles, score, strategies
from helpers.data import lima, write_jsonl
from helpers.errors import UserError
from helpers.finetune import encode, trainer
from helpers.strategies import RECORD

pytestmark = pytest.mark.usefixtures("one_thread")

READ = {"record": "Tom flips heads to tails. Ann leaves tails."}
OPENING = "[Tom flips heads to tails. Ann leaves tails.]"


# --- the form of a record --------------------------------------------------------------------------


def test_a_record_is_rendered_stripped_and_read_back():
    assert RECORD.render(READ) == OPENING and RECORD.parse(OPENING) == READ
    assert RECORD.strip(f" {OPENING} tails.") == (OPENING, "tails.")


def test_a_record_that_was_cut_off_leaves_no_answer():
    for end in range(1, len(OPENING)):
        opening, answer = RECORD.strip(OPENING[:end])
        assert (opening, answer) == (OPENING[:end].strip(), "") and RECORD.parse(opening) is None


@pytest.mark.parametrize("text", ["", "tails.", "[1, 2, 3] is the list.", "[see note 4]. Yes.", "It is. [Tom: a.]"])
def test_what_is_not_a_record_stays_in_the_answer(text):
    assert strategies.strip(text, "record") == (None, text) and strategies.opening(text) is None


@pytest.mark.parametrize(
    "nothing", [None, "", float("nan"), "tails.", "[Tom flips]", "[This question is a puzzle.]", f"{OPENING} x"]
)
def test_what_is_not_a_record_is_not_read_as_one(nothing):
    assert RECORD.parse(nothing) is None


def test_each_arm_is_read_by_its_own_strategy_and_an_opening_by_any():
    role = roles.DECLINED.text()
    assert strategies.strip(f"{OPENING} B", "record") == (OPENING, "B")
    assert strategies.strip(f"{role} B", "record")[0] is None
    for arm in ("base", "lima", "role"):
        assert strategies.strip(f"{role} B", arm) == (role, "B")
    assert strategies.opening(f"{OPENING} B") == OPENING and strategies.opening(f"{role} B") == role


# --- training and scoring ---------------------------------------------------------------------------


def test_only_the_data_changes_no_module_of_the_pipeline_names_the_strategy():
    for module in (annotate, encode, trainer, finetune, score):
        assert "RECORD" not in inspect.getsource(module), module.__name__


def test_the_opening_is_trained_on_and_nothing_else_of_the_row_changes():
    row = tiny.ROWS[1] | {"record": READ}
    plain, recorded = encode.segments(row, "lima"), encode.segments(row, "record")
    assert recorded[2] == (f" {RECORD.render(READ)}{plain[2][0]}", True)
    assert [s for i, s in enumerate(recorded) if i != 2] == [s for i, s in enumerate(plain) if i != 2]


def test_rows_of_a_strategy_train_from_a_file_and_rows_without_are_refused(base, tmp_path):
    rows = [row | {"record": READ} for row in tiny.ROWS]
    loaded = lima.load_rows(write_jsonl(rows, tmp_path / "rows.jsonl"))
    assert loaded == rows
    made = training.tune(training.settings(base, max_steps=1), tmp_path / "model", loaded, arm="record")
    assert made["arm"] == "record" and score.arm_of(str(tmp_path / "model")) == ("record", 0)
    with pytest.raises(UserError, match=r"^dialogue a has no record annotation"):
        training.tune(training.settings(base), tmp_path / "other", tiny.ROWS, arm="record")


def test_the_command_trains_a_strategy(base, tmp_path, monkeypatch):
    from helpers.__main__ import main

    seen = []
    monkeypatch.setattr(finetune, "finetune", lambda profile, arm, rows, *_, **__: seen.append((arm, len(rows))))
    rows = write_jsonl([row | {"record": READ} for row in tiny.ROWS], tmp_path / "rows.jsonl")
    assert main(["finetune", "--arm", "record", "--rows", str(rows), "--out", str(tmp_path / "model")]) == 0
    assert seen == [("record", len(tiny.ROWS))]


def test_letters_in_an_opening_are_not_read_as_the_answer():
    from helpers.benchmarks import BENCHMARKS

    rows = {"openbookqa": BENCHMARKS["openbookqa"].rows("packaged", 1)}
    reply = "[Tom is asked: (B). The answer is: (B).]"
    record = {"stage1": f"{reply} I cannot tell.", "stage2": " not clear.", "tokens": [1, 1], "finish": "stop"}
    line = score.grade("record", 0, rows, {"openbookqa": [record]}).iloc[0]
    assert line.role == reply and line.prediction is None
    again = record | {"stage2": f" {reply}"}
    assert score.grade("record", 0, rows, {"openbookqa": [again]}).iloc[0].prediction is None


def test_watching_a_training_changes_nothing_in_it(base, tmp_path):
    seen = []

    def watch(step, model, tokenizer):
        seen.append((step, model.training, tokenizer.eos_token_id))

    settings = training.settings(base, attention_dropout=0.25)
    watched = training.tune(settings, tmp_path / "watched", watch=watch)
    alone = training.tune(settings, tmp_path / "alone")
    assert seen == [(step, False, 1) for step in range(4)]
    assert watched["losses"] == alone["losses"]
    assert json.loads((tmp_path / "watched" / "manifest.json").read_text())["steps"] == 3


@pytest.mark.parametrize("end", ["", "[", "]", "x[y", ". ]"])
def test_a_long_loop_that_never_closes_is_read_at_once(end):
    """A pattern with two ways to read a blank would try 2 to the power of 400 of them."""
    text = "[" + "Tom flips heads to tails. " * 400 + end
    found = strategies.opening(text)
    assert found is None or found.startswith("[Tom")
    assert strategies.RECORD.parse(text + "[") is None
