"""Lesson 08: its problems, arms, edits and likelihoods are what the lesson says, and its cells carry any result."""

from __future__ import annotations

import json

import cells
import matplotlib
import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from exercises.lesson_08 import grey
from fakes import FakeChat

from helpers import finetune, models, profiles, roles, run
from helpers.analyse import likelihood, recorder
from helpers.chat import LocalChat, frame, user
from helpers.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")
quiet = {"say": lambda *_: None}

# --- problems and arms ----------------------------------------------------------------------------


def test_the_states_of_a_problem_are_those_of_a_coin():
    problem = recorder.Problem("x", "heads", ("Tom", "Ann", "Max"), (True, False, True))
    assert problem.states == ["tails", "tails", "heads"] and problem.answer == "heads"
    assert problem.record() == "Tom flips heads to tails. Ann leaves tails. Max flips tails to heads."
    assert problem.question == "A coin shows heads. Tom flips it. Ann leaves it. Max flips it. What does it show?"


def test_no_pattern_of_the_tests_is_trained_on_and_half_of_the_answers_are_heads():
    def patterns(problems):
        return {(p.start, p.flips) for p in problems}

    trained = patterns(p for seed in range(5) for p in recorder.draw(320, recorder.LENGTHS, seed, held_out=False))
    tested = recorder.tests(50)
    assert not trained & patterns(tested)
    for people in (*recorder.LENGTHS, recorder.LONGER):
        part = [p for p in tested if len(p.people) == people]
        assert len(part) == 50 and sum(p.answer == "heads" for p in part) == 25
        assert sum(p.start == p.answer for p in part) not in (0, 50), "the start alone must not give the answer"
    assert all(len(set(p.people)) == len(p.people) for p in tested)
    assert len({p.id for p in tested}) == len(tested)


def test_all_arms_have_the_same_questions_and_answers_and_only_the_opening_differs():
    rows = {arm: recorder.rows(arm, 12, seed=3) for arm in recorder.ARMS}
    assert all([r["messages"] for r in part] == [r["messages"] for r in rows["direct"]] for part in rows.values())
    texts = {}
    for arm, part in rows.items():
        learned = recorder.strategy(arm)
        texts[arm] = [finetune.segments(r, learned.name if learned else "lima")[2][0] for r in part]
        answers = [r["messages"][1]["content"] for r in part]
        assert all(text.endswith(f" {answer}") for text, answer in zip(texts[arm], answers))
        if learned:
            assert all(learned.parse(learned.strip(text)[0]) for text in texts[arm])
    assert texts["scrambled"] != texts["record"]
    assert [t.replace("heads", "tails") for t in texts["scrambled"]] == [
        t.replace("heads", "tails") for t in texts["record"]
    ], "a scrambled record is a record but for its states"
    assert len({recorder.strategy("role").strip(t)[0] for t in texts["role"]}) == 1


def test_an_unknown_arm_is_named():
    with pytest.raises(UserError, match="unknown arm 'poem': choose direct, role"):
        recorder.rows("poem", 1, 0)


def test_replies_are_marked_by_their_answer_and_their_record():
    (problem,) = recorder.draw(1, [2], 3002, held_out=True)
    right, wrong = f"[{problem.record()}] {problem.answer}.", f"[{problem.record()}] {recorder.OTHER[problem.answer]}."
    lines = [("record", right), ("record", wrong), ("record", f"[{problem.record()}"), ("direct", f"{problem.answer}.")]
    lines += [("direct", "heads or tails."), ("role", f"{recorder.ROLE.text()} {problem.answer}."), ("direct", "")]
    table = pd.DataFrame([(arm, 0, 2, problem.id, reply) for arm, reply in lines], columns=recorder.REPLIES)
    marks = recorder.marked(table)
    assert marks.right.tolist() == [1, 0, 0, 1, 0, 1, 0]
    assert marks.true_record.tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert recorder.table(marks).k.sum() == 3 and recorder.table(marks).arm.tolist() == ["direct", "role", "record"]


def test_an_arm_is_trained_once_and_asked_once(base, tmp_path, monkeypatch):
    this = run.open_run("cpu", tmp_path, model=str(base))
    short = {"max_steps": 1, "batch_size": 2, "device_batch_size": 2, "max_tokens": 1000, "learning_rate": 1e-3}
    this.profile = profiles.replace(this.profile, recorder=profiles.RECORDER | short)
    first = recorder.asked(this, ["direct", "record"], 1, **quiet)
    assert len(first) == 8 and first.arm.value_counts().tolist() == [4, 4]
    monkeypatch.setattr(finetune.tune, "_finetune", lambda *_: pytest.fail("trained twice"))
    monkeypatch.setattr(LocalChat, "complete", lambda *_, **__: pytest.fail("asked twice"))
    assert recorder.asked(this, ["direct", "record"], 1, **quiet).equals(first)


def test_pieces_of_ones_own_change_the_training_and_keep_the_arms_model(base, tmp_path):
    this = run.open_run("cpu", tmp_path, model=str(base))
    short = {"max_steps": 1, "batch_size": 2, "device_batch_size": 2, "max_tokens": 1000}
    this.profile = profiles.replace(this.profile, recorder=profiles.RECORDER | short)
    recorder.tuned(this, "record", **quiet)
    recorder.tuned(this, "record", pieces=grey, **quiet)
    trained = {
        name: json.loads((tmp_path / "models" / f"recorder-{name}-seed0" / "manifest.json").read_text())[
            "trained_tokens"
        ]
        for name in ("record", "record-mine")
    }
    assert 0 < trained["record-mine"] < trained["record"] / 2


# --- cause ----------------------------------------------------------------------------------------


class Believer(FakeChat):
    """Continues a record from the state that stands there; `knows`: gives the true answer whatever stands there."""

    def __init__(self, problems, knows=False):
        super().__init__()
        self.problems, self.knows = {p.question: p for p in problems}, knows

    def text(self, messages):
        return frame(messages)

    def complete(self, conversations, max_tokens, **_):
        for i, (question, begun) in enumerate(conversations):
            problem, done = self.problems[question["content"]], begun["content"].count(".")
            state, steps = begun["content"].rstrip(".").rsplit(" ", 1)[1], []
            for action, flip in list(zip(problem.actions, problem.flips))[done:]:
                after = recorder.OTHER[state] if flip else state
                steps.append(f"{action} {state} to {after}." if flip else f"{action} {after}.")
                state = after
            answer = problem.answer if self.knows else state
            yield i, recorder_completion(f"{' '.join(steps)}] {answer}.")


def recorder_completion(text):
    from helpers.chat import Completion

    return Completion(text, "stop", 1, 1)


@pytest.mark.parametrize("knows", [False, True], ids=["reads the record", "knows the answer anyway"])
def test_an_edited_record_tells_a_model_that_reads_it_from_one_that_does_not(knows):
    problems = recorder.tests(20, recorder.LENGTHS)
    changed = recorder.intervene(Believer(problems, knows), problems)
    assert len(changed) == 60 and changed.true.mean() == knows and changed.follows.mean() == (not knows)
    assert set(changed.step) == {0, 1, 2, 3}
    assert all(recorder.strategies.RECORD.parse(reply.split("] ")[0] + "]") for reply in changed.reply)


def test_an_open_turn_of_the_assistant_is_continued():
    messages = [*user("Q?"), {"role": "assistant", "content": "[Tom flips heads to tails."}]
    assert frame(messages, "</s>") == f"{roles.SYSTEM}\nUSER: Q?\nASSISTANT: [Tom flips heads to tails."
    assert frame([*messages, *user("And?")], "</s>").endswith("tails.</s>\nUSER: And?\nASSISTANT:")


# --- likelihood -----------------------------------------------------------------------------------


def test_nats_are_those_of_the_model_and_do_not_depend_on_the_batch(monkeypatch):
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny")
    rows = [tiny.row(str(i), "Why? " * (i + 1), "Because of that. " * (3 * i + 1)) for i in range(5)]
    before = ["", "[A role.]", "", "[Another, longer role.]", ""]
    together = likelihood.nats(chat, rows, before)
    monkeypatch.setattr(likelihood, "BATCH", 1)
    assert np.allclose(together, likelihood.nats(chat, rows, before), atol=1e-5)
    question, answer = (m["content"].strip() for m in rows[1]["messages"])
    ids = [*chat.tokenizer(f"{frame(user(question))} [A role.] {answer}").input_ids, chat.tokenizer.eos_token_id]
    n = len(chat.tokenizer(f" {answer}").input_ids) + 1
    logits = chat.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = -np.mean([logits[k - 1, ids[k]].item() for k in range(len(ids) - n, len(ids))])
    assert together[1] == pytest.approx(expected, abs=1e-5)


def test_openings_swap_each_role_with_another_and_add_one_detail():
    own = [roles.render(f"This question is about {x}", f"an expert of {x}") for x in ("bees", "rain", "law")]
    rows = [tiny.ROWS[0]] * 3
    found = likelihood.openings(rows, own)
    assert found["own"] == own and sorted(found["swapped"]) == sorted(own)
    assert all(a != b for a, b in zip(found["own"], found["swapped"]))
    assert all("blue bicycle" in text and roles.parse(text) for text in found["detail"])
    assert set(found) | {"lima"} == set(likelihood.OPENINGS)
    with pytest.raises(UserError, match="is this the role arm"):
        likelihood.openings(rows, [own[0], "[cut", own[1]])


def test_likelihood_is_measured_on_dialogues_that_no_arm_has_seen(base, tmp_path, monkeypatch):
    this = run.open_run("cpu", tmp_path, model=str(base), max_steps=3, max_tokens=2048)
    role = roles.DECLINED.text()
    monkeypatch.setattr(LocalChat, "complete", lambda self, asked, *_, **__: (
        (i, recorder_completion(f"{role} Yes." if i else "No.")) for i in range(len(asked))
    ))  # fmt: skip
    told = []
    table = likelihood.measured(this, 5, say=told.append)
    seen = {
        arm: set(json.loads((this.model_folder(arm) / "manifest.json").read_text())["dialogues_unseen"])
        for arm in ("lima", "role")
    }
    assert len(seen["lima"]) == 117 and seen["lima"] == seen["role"] and set(table.id) <= seen["role"]
    assert len(table) == 4 and any("4 of 5 role prompts are well-formed" in str(line) for line in told)
    assert (table[list(likelihood.OPENINGS)] > 0).all(axis=None)
    gaps = likelihood.differences(table)
    assert (
        gaps.difference.tolist()[0] == "swapped − own"
        and (gaps.low <= gaps.nats).all()
        and (gaps.nats <= gaps.high).all()
    )
    models.release_memory()


# --- the lesson -----------------------------------------------------------------------------------


def made_up(arm: str, n: int, good: bool) -> pd.DataFrame:
    lines = []
    for k, p in enumerate(recorder.tests(n)):
        right = (good and len(p.people) != recorder.LONGER) or k % 2 == 0
        answer = p.answer if right else recorder.OTHER[p.answer]
        opening = f"[{p.record()}] " if arm == "record" else ""
        lines.append((arm, 0, len(p.people), p.id, f"{opening}{answer}."))
    return pd.DataFrame(lines, columns=recorder.REPLIES)


@pytest.mark.parametrize("good", [True, False], ids=["record works", "nothing works"])
def test_the_lesson_reports_what_its_replies_say(tmp_path, monkeypatch, good):
    matplotlib.use("Agg")
    monkeypatch.chdir(cells.NOTEBOOKS)
    problems = recorder.tests(6, recorder.LENGTHS)
    monkeypatch.setattr(
        recorder, "asked", lambda _, arms, n, *__: pd.concat([made_up(a, n, good and a == "record") for a in arms])
    )
    monkeypatch.setattr(recorder, "packaged", lambda arms, n, *_: pd.concat([made_up(a, n, False) for a in arms]))
    monkeypatch.setattr(recorder, "tuned", lambda *_, **__: Believer(problems))
    nats = pd.DataFrame(
        {name: [3.0 + 0.1 * i, 3.2, 3.1] for i, name in enumerate(likelihood.OPENINGS)} | {"id": ["a", "b", "c"]}
    )
    monkeypatch.setattr(likelihood, "packaged", lambda: nats)
    text, _ = cells.run("08", RUN=str(tmp_path / "run"), N=6)
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())["08"]
    assert set(recorder.ARMS) <= set(numbers) and numbers["n_problems"] == 18
    assert numbers["record"] == (1.0 if good else 0.5) and numbers["direct"] == 0.5 and numbers["follows"] == 1.0
    assert numbers["swap_low"] <= numbers["swap_nats"] <= numbers["swap_high"] and numbers[
        "swap_nats"
    ] == pytest.approx(0.0333, abs=1e-4)
    assert numbers["trained_here"] == ["record"] and "0 of the 3 tasks above are among them" in text
    assert all((tmp_path / "run" / "figures" / f"{name}.png").is_file() for name in ("recorder", "role_likelihood"))
