"""`python -m helpers chat`: a person, or a pipe, talks to an arm of a run."""

from __future__ import annotations

import io

import pytest
import tiny
from fakes import FakeChat

from helpers import profiles
from helpers.__main__ import main
from helpers.chat import Completion, frame, practice, talk
from helpers.errors import UserError

ROLE = "[This question is a physics problem. From now on, I will think like a physicist who drops things.]"


@pytest.fixture
def spoken(monkeypatch, capsys, tmp_path):
    """Type lines; what is printed after the greeting, and the conversations that the model read."""

    def spoken(*lines, reply=lambda question, before: f"{ROLE} It falls.", **options):
        fakes = {}

        def load(profile, run, name, base_url):
            if name == "missing":
                raise UserError("no such model")
            return fakes.setdefault(name, FakeChat(reply))

        monkeypatch.setattr(talk, "_load", load)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        talk.talk(profiles.get("cpu"), tmp_path, "role")
        return capsys.readouterr().out.splitlines()[1:], fakes

    return spoken


def test_the_role_prompt_stands_on_its_own_line_and_the_answer_below_it(spoken):
    assert spoken("Why?")[0] == [ROLE, "It falls."]


def test_only_the_first_turn_of_the_history_keeps_its_role_prompt(spoken):
    _, fakes = spoken("Why?", "", "And now?", "Sure?")
    assert frame(fakes["role"].sent[-1]).splitlines()[1:] == [
        *("USER: Why?", f"ASSISTANT: {ROLE} It falls.", "USER: And now?", "ASSISTANT: It falls."),
        *("USER: Sure?", "ASSISTANT:"),
    ]


def test_new_and_another_arm_forget_what_was_said(spoken):
    shown, fakes = spoken("Why?", "/new", "How?", "/arm lima", "Who?", "/arm missing", "When?")
    assert [len(c) for c in fakes["role"].sent] == [1, 1] and [len(c) for c in fakes["lima"].sent] == [1, 3]
    assert "LIMA answers; what was said is forgotten" in shown and "no such model" in shown


def test_quit_ends_it_and_an_unknown_command_shows_the_commands_and_reaches_no_model(spoken):
    shown, fakes = spoken("/armes", "/arm", "/help", "/quit", "Why?")
    assert shown == [talk.HELP] * 3 and not fakes["role"].sent


def test_a_conversation_that_no_longer_fits_says_so_in_one_line_and_can_begin_afresh(spoken):
    def reply(question, before):
        return Completion("", "too long", 9, 0) if question == "Long." else "Well."

    shown, fakes = spoken("Hello.", "Long.", "Again.", reply=reply)
    assert len(shown) == 3 and "/new begins afresh" in shown[1]
    assert [m["content"] for m in fakes["role"].sent[-1]] == ["Hello.", "Well.", "Again."]


def test_an_answer_that_was_cut_and_a_role_without_an_answer_are_shown_as_such(spoken):
    assert spoken("Why?", reply=lambda *_: Completion("It", "length", 9, 1))[0] == ["It …"]
    assert spoken("Why?", reply=lambda *_: ROLE)[0] == [ROLE, "(no answer)"]


def piped(monkeypatch, capsys, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    capsys.readouterr()  # what saving a tiny model has shown
    code = main(["chat", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("profile", ["cpu", "qlora", "a100"])
def test_a_pipe_talks_to_a_model_of_a_run_and_no_profile_needs_a_gpu(monkeypatch, capsys, tmp_path, profile):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(talk, "TOKENS", 6)
    tiny.save(tmp_path / "models" / "role-seed0")
    code, out, err = piped(monkeypatch, capsys, "Why?\nHow?", "--out", tmp_path, "--profile", profile)
    assert code == 0 and err == "" and out.startswith("LIMA-Role answers" if profile == "cpu" else "no GPU here")
    assert len(out.splitlines()) >= 3 and [p.name for p in tmp_path.iterdir()] == ["models"]


def test_an_arm_that_was_not_trained_is_one_line_that_says_what_to_run(monkeypatch, capsys, tmp_path):
    tiny.save(tmp_path / "models" / "role-seed0")
    code, out, err = piped(monkeypatch, capsys, "/arm lima\n", "--out", tmp_path)
    assert code == 0 and "run --lessons 02 --profile cpu --out" in out.splitlines()[1]
    code, out, err = piped(monkeypatch, capsys, "", "--model", "lima", "--out", tmp_path)
    assert (code, out) == (2, "") and len(err.splitlines()) == 1 and "run --lessons 02" in err


def test_a_name_that_is_no_model_is_one_line_with_the_arms(monkeypatch, capsys, tmp_path):
    code, out, err = piped(monkeypatch, capsys, "", "--model", "roll", "--out", tmp_path)
    assert (code, out) == (2, "") and "choose base, lima, role" in err and len(err.splitlines()) == 1


def test_a_server_answers_too(monkeypatch, capsys, tmp_path):
    with practice.PracticeServer() as server:
        code, out, err = piped(monkeypatch, capsys, "Why?\n", "--model", "m", "--base-url", server.url)
    assert code == 0 and len(out.splitlines()) == 2 and err == ""
