"""A mistake on the command line is one line that says what to do, exit code 2, and no file written."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import tiny
from test_annotate import tick

from helpers import models, profiles, run
from helpers.__main__ import main
from helpers.chat.practice import PracticeServer
from helpers.data import SAMPLES
from helpers.errors import UserError


@pytest.fixture
def course(tmp_path, monkeypatch):
    """An empty course folder with two lessons, as the current folder."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    for name in ("00_first.ipynb", "01_second.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "fetch_default", no_model)
    return tmp_path


def no_model(*_):
    raise AssertionError("a command that should have been refused went on to load the real model")


@pytest.fixture
def no_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def refused(course, capsys):
    """Run a command that must be refused; the line it says."""

    def refused(*arguments):
        before = files(course), sorted(course.rglob("*"))
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert code == 2
        assert len(err.splitlines()) == 1 and err.strip()
        assert "Traceback" not in err and str(course) not in err
        assert out == ""
        assert (files(course), sorted(course.rglob("*"))) == before
        return err

    return refused


# --- names --------------------------------------------------------------------------------------

SCORE = ("score", "--out", "out")
FINETUNE = ("finetune", "--out", "out/model")


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        (*FINETUNE, "--arm", "role"),
        (*SCORE, "--model", "x", "--benchmarks", "gsm8k"),
        ("prefetch", "--to", "out"),
    ],
    ids=lambda c: c[0],
)
def test_an_unknown_profile_is_told_with_the_known_ones(refused, command):
    assert "unknown profile 'gpu': choose one of cpu, small, qlora, a100" in refused(*command, "--profile", "gpu")


def test_an_unknown_lesson_is_told_with_the_known_ones(refused):
    assert "unknown lesson '07': choose from 00, 01" in refused("run", "--lessons", "01,7")


def test_lessons_are_looked_for_in_the_courses_folder(refused, course):
    shutil.rmtree(course / "notebooks")
    assert "run this from the course's folder" in refused("run")


def test_an_unknown_benchmark_is_told_with_the_known_ones(refused):
    line = refused(*SCORE, "--model", "x", "--benchmarks", "gsm8k,mmul")
    assert "unknown benchmark 'mmul': choose from mmlu, commonsense_qa" in line


def test_an_unknown_arm_is_told_before_anything_is_annotated(refused):
    assert "unknown arm 'lama': choose lima, role, record" in refused(*FINETUNE, "--arm", "lama")


@pytest.mark.parametrize(
    "command, told",
    [
        ((*SCORE, "--modell", "x", "--benchmarks", "gsm8k"), "--modell"),
        ((*SCORE, "--model", "x"), "--benchmarks"),
        ((*SCORE, "--model", "x", "--benchmarks", "gsm8k", "--limit", "many"), "--limit"),
        ((*SCORE, "--model", "x", "--benchmarks", "gsm8k", "--limit", "0"), "--limit"),
        (("annotate", "--data"), "--data"),
        (("scor",), "scor"),
    ],
    ids=["misspelt option", "missing option", "no number", "no question", "no value", "misspelt command"],
)
def test_a_wrong_option_is_told_by_name(refused, command, told):
    line = refused(*command)
    assert told in line and "--help" in line


def test_no_command_at_all_shows_what_there_is(course, capsys):
    main([])
    out, err = capsys.readouterr()
    assert all(name in out + err for name in ("doctor", "run", "annotate", "finetune", "score"))
    assert not err.strip().startswith("(see")


def test_help_names_every_command_and_succeeds(course, capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("doctor", "run", "prefetch", "annotate", "finetune", "score"))


# --- files and machines -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [(*SCORE, "--model", "x", "--benchmarks", "gsm8k"), (*FINETUNE, "--arm", "lima")],
    ids=lambda c: c[0],
)
def test_a_data_folder_that_does_not_exist_is_told(refused, monkeypatch, command):
    monkeypatch.setenv("SPT_DATA", "no-such-folder")
    assert "SPT_DATA names 'no-such-folder', which is not a folder" in refused(*command)


def test_a_damaged_row_is_told_before_a_model_is_loaded(refused, course, monkeypatch):
    lines = (SAMPLES / "benchmarks" / "gsm8k.jsonl").read_text(encoding="utf-8").splitlines()
    (course / "data" / "gsm8k").mkdir(parents=True)
    (course / "data" / "gsm8k" / "test.jsonl").write_text("\n".join([*lines[:4], lines[4][:40], *lines[5:]]))
    monkeypatch.setenv("SPT_DATA", str(course / "data"))
    line = refused(*SCORE, "--model", "/no/such/model", "--benchmarks", "gsm8k")
    assert line.startswith("test.jsonl, line 5: ")


def test_a_damaged_dialogue_is_told(refused, course):
    (course / "mine.jsonl").write_text('{"conversations": ["Why?", "So."]}\n{"conversations": ["Why?"]}\n')
    assert refused("annotate", "--data", "mine.jsonl", "--out", "out").startswith("mine.jsonl, line 2: ")


def test_a_missing_file_of_dialogues_is_told_as_it_was_named(refused):
    assert " mine.jsonl" in refused("annotate", "--data", "mine.jsonl", "--out", "out")


def test_dialogues_without_a_server_to_annotate_them_are_told(course, capsys):
    (course / "mine.jsonl").write_text('{"conversations": ["Is this question new?", "Yes."]}\n')
    assert main(["annotate", "--data", "mine.jsonl", "--out", "out"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("1 of 1 questions have no annotation yet") and len(err.splitlines()) == 1
    assert not (course / "out" / "lima_role.jsonl").exists()


@pytest.fixture
def mine(course):
    """A file with six dialogues that nobody has annotated yet; the command that asks for their roles."""
    rows = ({"conversations": [f"Is question {i} new?", "Yes."]} for i in range(6))
    (course / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "annotate", "--data", "mine.jsonl", "--out", "out"


def test_a_model_on_a_server_without_a_key_is_told(mine, course, capsys):
    assert main([*mine, "--model", "gpt-4o-mini", "--yes"]) == 2
    assert "no API key: set OPENAI_API_KEY" in one_line(capsys.readouterr().err)
    assert not (course / "out" / "lima_role.jsonl").exists()


def test_a_model_of_unknown_price_is_refused_before_a_folder_is_made(refused, mine):
    assert "no price is known for 'gpt-x' on that server: give --price READ,WRITTEN" in refused(
        *mine, "--model", "gpt-x"
    )


@pytest.mark.parametrize("price", ["1", "1,2,3", "one,two", "1;2", "-1,2", "1,", ""])
def test_a_price_that_is_not_two_numbers_is_told(refused, mine, price):
    line = refused(*mine, "--model", "m", "--price", price)
    assert line.startswith(f"--price {price!r}: give two numbers, READ,WRITTEN")


@pytest.mark.parametrize("price", ["nan,1", "1,inf"])
def test_a_price_that_is_no_amount_of_money_is_told(refused, mine, price):
    assert refused(*mine, "--model", "m", "--price", price).startswith(f"--price {price!r}: ")


def test_asking_a_server_needs_the_name_of_its_model(refused, mine):
    line = refused(*mine, "--annotator", "server", "--base-url", "http://127.0.0.1:1/v1")
    assert "--annotator server needs --model" in line


def test_an_unknown_annotator_is_told_with_the_known_ones(refused, mine):
    assert "unknown annotator 'gpt-4': choose packaged or server" in refused(*mine, "--annotator", "gpt-4")


@pytest.mark.parametrize(
    "option, value",
    [("--max-cost", "-1"), ("--concurrency", "0"), ("--timeout", "0"), ("--rpm", "0"), ("--tpm", "0")],
    ids=lambda v: v.strip("-"),
)
def test_a_limit_that_allows_nothing_is_told_by_name(refused, mine, option, value):
    assert option in refused(*mine, "--model", "m", option, value)


@pytest.mark.parametrize("arm", ["lima", "role"])
def test_tuning_for_a_gpu_is_refused_where_there_is_none(refused, no_gpu, arm):
    line = refused(*FINETUNE, "--arm", arm, "--profile", "qlora")
    assert "needs one GPU with 12 to 24 GB and finds no GPU: use --profile cpu" in line


def test_a_run_for_a_gpu_leaves_no_folder_where_there_is_none(refused, no_gpu):
    assert "finds no GPU" in refused("run", "--profile", "qlora")


@pytest.mark.parametrize("name", ["/no/such/model", "./models/role-seed0", "runs/cpu/models/role-seed0"])
def test_a_model_folder_that_does_not_exist_is_told(refused, name):
    assert f"no model at {name!r}" in refused(*SCORE, "--model", name, "--benchmarks", "gsm8k")


def test_rows_to_tune_on_that_are_not_there_are_told(refused):
    assert "lima_role.jsonl" in refused(*FINETUNE, "--arm", "role", "--rows", "lima_role.jsonl")


# --- what annotating costs ----------------------------------------------------------------------

DEAR = ("--price", "1000,1000")  # USD per million tokens: the practice server's replies cost 0.34 each


def one_line(text):
    assert len(text.splitlines()) == 1 and "Traceback" not in text
    return text


@pytest.mark.parametrize(
    "more, cost",
    [
        (("--model", "gpt-4o-mini", "--max-cost", "3"), "cap 3 USD"),
        (("--model", "gpt-4o-mini-2024-07-18", "--yes"), "0.15 and 0.6 USD per million"),
        (("--model", "m", "--price", "2,8", "--annotator", "server"), "2 and 8 USD per million"),
    ],
    ids=["a paid model", "a dated name", "a given price"],
)
def test_a_dry_run_says_what_it_would_cost_asks_nobody_and_writes_nothing(mine, course, capsys, more, cost):
    before = files(course), sorted(course.rglob("*"))
    with PracticeServer() as server:
        for address in ((), ("--base-url", server.url)) if "--price" in more else ((),):
            assert main([*mine, *more, *address, "--dry-run"]) == 0
            out, err = capsys.readouterr()
            assert err == ""
            assert cost in one_line(out)
            assert "6 calls" in out and "tokens to read" in out and f"to ask of {more[1]}" in out
    assert server.asked.total() == 0
    assert (files(course), sorted(course.rglob("*"))) == before


def test_a_dry_run_on_a_server_of_ones_own_costs_nothing(mine, course, capsys):
    with PracticeServer() as server:
        assert main([*mine, "--model", "m", "--base-url", server.url, "--dry-run"]) == 0
        assert "price 0" in one_line(capsys.readouterr().out)
    assert server.asked.total() == 0 and not (course / "out").exists()


def test_a_dry_run_without_an_annotator_for_new_questions_is_refused(refused, mine):
    assert refused(*mine, "--dry-run").startswith("6 of 6 questions have no annotation yet")


def test_a_dry_run_of_known_questions_needs_no_server(course, capsys):
    assert main(["annotate", "--data", "packaged", "--out", "out", "--dry-run"]) == 0
    assert "0 calls" in one_line(capsys.readouterr().out)
    assert not (course / "out").exists()


def test_a_paid_model_is_not_asked_where_nobody_can_agree_to_its_price(mine, course, capsys):
    with PracticeServer() as server:
        command = [*mine, "--model", "m", "--base-url", server.url, *DEAR]
        assert main(command) == 2
        line = one_line(capsys.readouterr().err)
        assert line.startswith("this may cost up to ") and "add --yes to agree" in line and "--max-cost" in line
        assert server.asked.total() == 0
        assert not (course / "out" / "lima_role.jsonl").exists()
        assert main([*command, "--yes"]) == 0
        assert server.asked.total() == 6


@pytest.mark.parametrize("answer, asked", [("y", 6), ("n", 0)])
def test_at_a_terminal_the_price_is_agreed_to_by_hand(mine, course, capsys, monkeypatch, answer, asked):
    terminal = io.StringIO(f"{answer}\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    with PracticeServer() as server:
        code = main([*mine, "--model", "m", "--base-url", server.url, *DEAR])
    out = capsys.readouterr().out
    assert (code, server.asked.total()) == (int(not asked), asked)
    assert out.index("to ask of m: 6 calls") < out.index("ask? [y/N]")


def test_a_server_of_ones_own_needs_no_agreement(mine, course, capsys):
    with PracticeServer() as server:
        assert main([*mine, "--model", "m", "--base-url", server.url]) == 0
    assert "LIMA-Role: 6 dialogues, 6 parsed" in capsys.readouterr().out


def test_the_cap_ends_the_command_with_one_line_and_what_was_answered_is_kept(mine, course, capsys):
    with PracticeServer() as server:
        command = [*mine, "--model", "m", "--base-url", server.url, *DEAR, "--yes", "--max-cost"]
        assert main([*command, "4"]) == 2
        line = one_line(capsys.readouterr().err)
        assert "of at most 4 USD" in line and "run again with a larger --max-cost" in line
        answered = server.asked.total()
        assert 0 < answered < 6 and answered * 0.34 <= 4
        assert len((course / "out" / "annotations.jsonl").read_text().splitlines()) == answered
        assert not (course / "out" / "lima_role.jsonl").exists()
        assert main([*command, "9"]) == 0
        assert set(server.asked.values()) == {1} and len(server.asked) == 6


# --- the audit ----------------------------------------------------------------------------------


@pytest.fixture
def audit(course, capsys):
    """A finished lima_role.jsonl; the command that audits 20 of its rows."""
    assert main(["annotate", "--data", str(SAMPLES / "lima_mini.jsonl"), "--out", "out"]) == 0
    capsys.readouterr()
    return ["audit", "--rows", "out/lima_role.jsonl", "--n", "20"]


def test_an_audit_draws_a_sheet_and_then_prints_the_result_beside_the_papers(audit, course, capsys):
    assert main(audit) == 0
    assert one_line(capsys.readouterr().out).startswith("audit.csv: 20 rows; write yes or no under description_ok")
    ticks = [("yes", "yes")] * 9 + [("yes", "no")] + [("yes", "")] * 8 + [("no", "")] * 2
    tick(course / "audit.csv", ticks)
    before = (course / "audit.csv").read_bytes()
    assert main(audit) == 0
    formats, descriptions, role_lines = capsys.readouterr().out.splitlines()
    for line, start, result in (
        (formats, "format ", "20 of  20 right, 100.0 % [83.9, 100.0] · paper 100 of 100"),
        (descriptions, "question description ", "18 of  20 right,  90.0 % [69.9, 97.2] · paper 96 of 100"),
        (role_lines, "role description ", " 9 of  10 right,  90.0 % [59.6, 98.2] · paper 97 of 100"),
    ):
        assert line.startswith(start) and line.endswith(result)
    assert (course / "audit.csv").read_bytes() == before


def test_a_sheet_that_is_there_already_is_not_drawn_again(audit, course, capsys):
    assert main(audit) == 0
    tick(course / "audit.csv", [("yes", "no")])
    before = (course / "audit.csv").read_bytes()
    assert main([*audit, "--seed", "1"]) == 0
    assert (course / "audit.csv").read_bytes() == before


def test_a_sheet_that_nobody_has_ticked_is_not_taken_for_a_result(audit, course, capsys):
    assert main(audit) == 0
    capsys.readouterr()
    main(audit)
    out, err = capsys.readouterr()
    assert "nan" not in out + err


def test_a_bad_cell_of_a_sheet_is_told_with_its_line(audit, course, capsys):
    assert main(audit) == 0
    tick(course / "audit.csv", [("yes", "yes"), ("yes", "yes"), ("perhaps", "yes")])
    capsys.readouterr()
    assert main(audit) == 2
    line = one_line(capsys.readouterr().err)
    assert line.startswith("audit.csv, line 4: description_ok is 'perhaps'; write yes or no, or leave it empty")


@pytest.mark.parametrize("rows", [None, "", '{"messages": []}\n'], ids=["missing", "empty", "no turns"])
def test_rows_that_cannot_be_audited_are_told_and_no_sheet_is_made(refused, course, rows):
    if rows is not None:
        (course / "lima_role.jsonl").write_text(rows)
    assert "lima_role.jsonl" in refused("audit", "--rows", "lima_role.jsonl")


# --- the process itself -------------------------------------------------------------------------


def test_a_mistake_ends_the_process_with_code_2_and_one_line(course):
    command = [sys.executable, "-m", "helpers", *SCORE, "--model", "x", "--benchmarks", "mmul"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=course)
    assert done.returncode == 2
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("unknown benchmark 'mmul'")


def test_debug_shows_where_it_happened(course):
    with pytest.raises(UserError, match="mmul"):
        main([*SCORE, "--model", "x", "--benchmarks", "mmul", "--debug"])


def test_a_failure_in_the_work_is_one_line_and_code_1(course, capsys, monkeypatch):
    from helpers import score

    def fails(*_):
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(score, "local_chat", fails)
    assert main([*SCORE, "--model", "x", "--benchmarks", "gsm8k"]) == 1
    assert capsys.readouterr().err == "RuntimeError: the disk is on fire (run with --debug for the details)\n"


def test_annotating_the_samples_needs_no_server(course, capsys):
    assert main(["annotate", "--data", str(SAMPLES / "lima_mini.jsonl"), "--out", "out"]) == 0
    assert capsys.readouterr().out.startswith("LIMA-Role: 120 dialogues, 116 parsed, 4 declined\n")
    assert len((course / "out" / "lima_role.jsonl").read_text(encoding="utf-8").splitlines()) == 120


def test_scoring_a_folder_writes_the_table_that_it_shows(course, capsys):
    tiny.save(course / "tiny")
    assert main([*SCORE, "--model", "./tiny", "--benchmarks", "gsm8k,strategyqa", "--limit", "2"]) == 0
    lines = (course / "out" / "scores.csv").read_text().splitlines()
    assert lines[0].startswith("arm,seed,benchmark,n,correct,accuracy,unparsed,low,high,random")
    assert sorted(tuple(line.split(",")[:4]) for line in lines[1:]) == [
        ("tiny", "0", "gsm8k", "2"),
        ("tiny", "0", "strategyqa", "2"),
    ]
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("gsm8k", "strategyqa"))


@pytest.mark.parametrize("gone", [("tokenizer.json",), ("tokenizer.json", "tokenizer_config.json")])
def test_a_model_without_a_tokenizer_is_told(refused, course, capsys, gone):
    tiny.save(course / "tiny")
    capsys.readouterr()
    for name in gone:
        (course / "tiny" / name).unlink()
    line = refused(*SCORE, "--model", "./tiny", "--benchmarks", "gsm8k", "--limit", "2")
    assert line.startswith("tiny holds no tokenizer that can be read: copy the tokenizer files of its base model there")


@pytest.mark.parametrize("damage", ["changed", "re-ordered"])
def test_a_damaged_data_file_is_told_before_a_model_is_loaded(refused, course, monkeypatch, real_data, damage):
    lines = (real_data / "gsm8k" / "test.jsonl").read_text().splitlines()
    lines = [lines[0].replace("16", "17", 1), *lines[1:]] if damage == "changed" else lines[::-1]
    (course / "data" / "gsm8k").mkdir(parents=True)
    (course / "data" / "gsm8k" / "test.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("SPT_DATA", str(course / "data"))
    assert "gsm8k/test.jsonl" in refused(*SCORE, "--model", "no/such/model", "--benchmarks", "gsm8k", "--limit", "2")


# --- the folder of a run ------------------------------------------------------------------------


def line_of(call):
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_is_opened_again_by_its_own_profile_and_refused_to_another(course):
    first = run.open_run("cpu")
    assert first.folder == course / "runs" / "cpu"
    assert run.open_run("cpu").profile == first.profile == profiles.get("cpu")
    before = files(course)
    line = line_of(lambda: run.open_run("qlora", "runs/cpu"))
    assert "belongs to profile 'cpu'" in line and "not 'qlora'" in line and "--out" in line
    assert files(course) == before


def test_a_run_with_other_settings_is_refused(course):
    run.open_run("cpu", "mine", max_steps=4)
    assert run.open_run("cpu", "mine", max_steps=4).profile.max_steps == 4
    for others in ({}, {"max_steps": 5}, {"max_steps": 4, "epochs": 2.0}):
        assert "mine belongs to profile 'cpu'" in line_of(lambda others=others: run.open_run("cpu", "mine", **others))


def test_settings_given_as_tuples_are_the_same_when_the_run_is_opened_again(course):
    run.open_run("cpu", "mine", seeds=(0, 1))
    assert run.open_run("cpu", "mine", seeds=(0, 1)).profile.seeds == (0, 1)


def test_an_unknown_setting_is_told_with_the_known_ones_and_nothing_is_written(course):
    before = files(course)
    line = line_of(lambda: run.open_run("cpu", max_step=4))
    assert "unknown setting 'max_step'" in line and "max_steps" in line
    assert files(course) == before


def test_a_full_disk_is_told_before_the_work_begins(course, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 2**40 - 2**20, 2**20))
    line = line_of(lambda: run.open_run("cpu", "far/away"))
    assert "no room for a run in away: 1 MB free" in line
    assert not (course / "far").exists()


def test_a_file_in_the_place_of_the_folder_is_told(course):
    (course / "mine").write_text("precious")
    assert "mine" in line_of(lambda: run.open_run("cpu", "mine"))
    assert (course / "mine").read_text() == "precious"


def test_a_damaged_marker_is_told(course):
    run.open_run("cpu", "mine")
    (course / "mine" / "profile.json").write_text('{"profile": ')
    assert "profile.json" in line_of(lambda: run.open_run("cpu", "mine"))


def test_the_marker_says_what_the_run_is(course):
    run.open_run("cpu", "mine", max_steps=4)
    assert json.loads((course / "mine" / "profile.json").read_text()) == {
        "profile": "cpu",
        "overrides": {"max_steps": 4},
    }
