"""A prompting strategy is data: the pipeline annotates, trains and scores step-back as it does role-play."""

from __future__ import annotations

import inspect
import json
import re

import pytest
import tiny
import training
from fakes import FakeChat

from helpers import annotate, finetune, roles, score, strategies
from helpers.chat import Completion, journal
from helpers.data import SAMPLES, lima, write_jsonl
from helpers.errors import UserError
from helpers.finetune import encode, trainer
from helpers.strategies import ROLE_PLAY, STEP_BACK, STRATEGIES

pytestmark = pytest.mark.usefixtures("one_thread")

MINI = lima.dialogues("packaged")
REPLIES = {r["id"]: r["reply"] for r in journal.read(SAMPLES / STEP_BACK.packaged)}
FORM = "A: Step back: What keeps a body in orbit? Principle: Gravity bends a fast motion."
READ = {"question": "What keeps a body in orbit?", "principle": "Gravity bends a fast motion"}
quiet = {"say": lambda *_: None}


class Annotator(FakeChat):
    """Answers in form, and counts what it was asked. A question about "weather" gets a reply out of form."""

    name = "annotator"

    def __init__(self):
        self.asked = []

    def complete(self, conversations, max_tokens, **_):
        for i, conversation in enumerate(conversations):
            self.asked.append(conversation[0]["content"])
            yield i, Completion("No." if "weather" in self.asked[-1] else FORM, "stop", 10, 10)


def dialogue(id: str, question: str = "Why do things fall?") -> lima.Dialogue:
    return lima.Dialogue(id, "test", (question, "They attract one another."))


# --- our annotations ------------------------------------------------------------------------------


def test_every_question_of_lima_mini_has_a_step_back_in_form_of_its_own():
    assert list(REPLIES) == [d.id for d in MINI] and len(REPLIES) == 120
    read = [STEP_BACK.read(reply) for reply in REPLIES.values()]
    assert all(read)
    assert len({r["question"] for r in read}) == len({r["principle"] for r in read}) == 120
    for r in read:
        assert 4 <= len(r["question"].split()) <= 20 and 5 <= len(r["principle"].split()) <= 30


def test_a_step_back_is_more_general_than_its_question():
    """No proper name and no number of the question is in it."""
    for d in MINI:
        names = set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{3,}|\d{2,}", d.question))
        assert not names & set(re.findall(r"\w+", REPLIES[d.id])), d.id


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_a_strategy_writes_it_takes_off_again_and_reads_back(name):
    strategy = STRATEGIES[name]
    found = 0
    for record in journal.read(SAMPLES / strategy.packaged):
        if annotation := strategy.read(record["reply"]):
            opening = strategy.render(annotation, 8)
            assert strategy.strip(f" {opening} The answer is (B).") == (opening, "The answer is (B).")
            assert strategy.parse(opening) == annotation
            found += 1
    assert found >= 116


# --- reading and stripping --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply", [FORM, FORM[3:], f"\n {FORM} ", FORM.replace(" Principle", "\n\nPrinciple"), FORM.removesuffix(".")]
)
def test_a_reply_in_form_is_read_whatever_its_white_space(reply):
    assert STEP_BACK.read(reply) == READ


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "A:",
        "No.",
        FORM.replace("?", "."),
        FORM.split(" Principle")[0],
        f"Sure! {FORM}",
        f"{FORM} Principle: Masses attract.",
        FORM.replace("Principle: ", "Principle: Principle: "),
        FORM.replace("Gravity", "[Gravity]"),
        FORM.replace("What", "what"),
        f"{FORM} Is that right?",
    ],
)
def test_a_reply_out_of_form_is_not_guessed_at(reply):
    assert STEP_BACK.read(reply) is None


def test_an_opening_that_was_cut_anywhere_leaves_no_answer():
    opening = STEP_BACK.render(READ)
    for end in range(1, len(opening)):
        assert STEP_BACK.strip(opening[:end])[1] == ""
        assert STEP_BACK.parse(STEP_BACK.strip(opening[:end])[0]) is None


def test_a_reply_without_an_opening_is_all_answer_and_a_missing_opening_is_not_well_formed():
    assert strategies.strip(" It falls. [1]", "step_back") == (None, "It falls. [1]")
    assert strategies.strip("", "step_back") == (None, "")
    for nothing in (None, "", float("nan"), "Step back: What? Principle: That."):
        assert STEP_BACK.parse(nothing) is None


def test_each_arm_is_stripped_of_its_own_opening_only():
    step_back, role = STEP_BACK.render(READ), roles.DECLINED.text()
    assert strategies.strip(f"{step_back} B", "step_back") == (step_back, "B")
    assert strategies.strip(f"{role} B", "step_back")[0] is None
    for arm in ("role", "lima", "base", "Mistral-7B"):
        assert strategies.strip(f"{role} B", arm) == (role, "B")


# --- annotation -----------------------------------------------------------------------------------


def test_the_packaged_replies_are_replayed_and_nobody_is_asked(tmp_path):
    rows = annotate.annotate_with(STEP_BACK, MINI, tmp_path, **quiet)
    assert [r["id"] for r in rows] == [d.id for d in MINI]
    assert {r["id"]: r["step_back"] for r in rows} == {i: STEP_BACK.read(reply) for i, reply in REPLIES.items()}
    assert [r["key"] for r in journal.read(tmp_path / "step_back.jsonl")] == [
        r["key"] for r in journal.read(SAMPLES / STEP_BACK.packaged)
    ]


def test_role_play_as_a_strategy_gives_the_roles_of_lesson_01(tmp_path):
    rows = {r["id"]: r["role"] for r in annotate.annotate_with(ROLE_PLAY, MINI, tmp_path / "a", **quiet)}
    usual = {r["id"]: r for r in annotate.annotate(MINI, tmp_path / "b", **quiet)}
    assert len(rows) == 116
    for id, role in rows.items():
        assert role == {k: v for k, v in usual[id]["role"].items() if k != "text"}


def test_only_unknown_questions_are_asked_and_none_twice(tmp_path):
    chat, new = Annotator(), dialogue("new")
    rows = annotate.annotate_with(STEP_BACK, [MINI[0], new], tmp_path, chat, **quiet)
    assert [r["annotator"] for r in rows] == ["course-authors", "annotator"] and rows[1]["step_back"] == READ
    assert chat.asked == [STEP_BACK.prompt(new.question)] and "Why do things fall?" in chat.asked[0]
    assert annotate.annotate_with(STEP_BACK, [MINI[0], new], tmp_path, chat, **quiet) == rows and len(chat.asked) == 1
    assert annotate.unknown(STEP_BACK, [new], tmp_path) == 0
    assert annotate.annotate_with(STEP_BACK, [new], tmp_path, **quiet) == rows[1:]  # from the journal, without the chat


def test_a_reply_out_of_form_is_left_out_by_name(tmp_path):
    told = []
    rows = annotate.annotate_with(
        STEP_BACK, [dialogue("a"), dialogue("b", "What weather comes?")], tmp_path, Annotator(), say=told.append
    )
    assert [r["id"] for r in rows] == ["a"]
    assert "2 dialogues, 1 annotations in form" in told[-2] and told[-1].endswith("left out: b")


def test_without_anybody_to_ask_an_unknown_question_is_an_error_in_one_line(tmp_path):
    assert annotate.unknown(STEP_BACK, [MINI[0], dialogue("new")], tmp_path) == 1
    with pytest.raises(UserError, match=r"^1 of 2 questions have no step_back annotation: give a chat$"):
        annotate.annotate_with(STEP_BACK, [MINI[0], dialogue("new")], tmp_path, **quiet)


# --- training and scoring ---------------------------------------------------------------------------


def test_only_the_data_changes_no_module_of_the_pipeline_names_the_strategy():
    for module in (annotate, encode, trainer, finetune, score):
        assert "step_back" not in inspect.getsource(module).lower(), module.__name__


def test_the_opening_is_trained_on_and_nothing_else_of_the_row_changes():
    row = tiny.ROWS[1] | {"step_back": READ}
    plain, stepped = encode.segments(row, "lima"), encode.segments(row, "step_back")
    assert stepped[2] == (f" {STEP_BACK.render(READ)}{plain[2][0]}", True)
    assert [s for i, s in enumerate(stepped) if i != 2] == [s for i, s in enumerate(plain) if i != 2]


def test_rows_of_a_strategy_train_from_a_file_and_rows_without_are_refused(base, tmp_path):
    rows = [row | {"step_back": READ} for row in tiny.ROWS]
    loaded = lima.load_rows(write_jsonl(rows, tmp_path / "rows.jsonl"))
    assert loaded == rows
    made = training.tune(training.settings(base, max_steps=1), tmp_path / "model", loaded, arm="step_back")
    assert made["arm"] == "step_back" and score.arm_of(str(tmp_path / "model")) == ("step_back", 0)
    with pytest.raises(UserError, match=r"^dialogue a has no step_back annotation"):
        training.tune(training.settings(base), tmp_path / "other", tiny.ROWS, arm="step_back")


def test_the_command_trains_a_strategy(base, tmp_path, monkeypatch):
    from helpers.__main__ import main

    seen = []
    monkeypatch.setattr(finetune, "finetune", lambda profile, arm, rows, *_, **__: seen.append((arm, len(rows))))
    rows = write_jsonl([row | {"step_back": READ} for row in tiny.ROWS], tmp_path / "rows.jsonl")
    assert main(["finetune", "--arm", "step_back", "--rows", str(rows), "--out", str(tmp_path / "model")]) == 0
    assert seen == [("step_back", len(tiny.ROWS))]


def test_letters_in_an_opening_are_not_read_as_the_answer():
    from helpers.benchmarks import BENCHMARKS

    rows = {"openbookqa": BENCHMARKS["openbookqa"].rows("packaged", 1)}
    reply = "[Step back: What is (B)? Principle: The answer is (B).]"
    record = {"stage1": f"{reply} I cannot tell.", "stage2": " not clear.", "tokens": [1, 1], "finish": "stop"}
    line = score.grade("step_back", 0, rows, {"openbookqa": [record]}).iloc[0]
    assert line.role == reply and line.prediction is None
    again = record | {"stage2": f" {reply}"}
    assert score.grade("step_back", 0, rows, {"openbookqa": [again]}).iloc[0].prediction is None


def test_watching_a_training_changes_nothing_in_it(base, tmp_path):
    seen = []

    def watch(step, model, tokenizer):
        seen.append((step, model.training, tokenizer.eos_token_id))

    settings = training.settings(base, attention_dropout=0.25)
    watched = training.tune(settings, tmp_path / "watched", watch=watch)
    alone = training.tune(settings, tmp_path / "alone")
    assert seen == [(1, False, 1), (2, False, 1), (3, False, 1)]
    assert watched["losses"] == alone["losses"]
    assert json.loads((tmp_path / "watched" / "manifest.json").read_text())["steps"] == 3
