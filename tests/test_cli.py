"""A mistake on the command line is one line that says what to do, exit code 2, and no file written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import tiny

from helpers import models, profiles, run
from helpers.__main__ import main
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
    assert "unknown profile 'gpu': choose one of cpu, qlora, a100" in refused(*command, "--profile", "gpu")


def test_an_unknown_lesson_is_told_with_the_known_ones(refused):
    assert "unknown lesson '07': choose from 00, 01" in refused("run", "--lessons", "01,7")


def test_lessons_are_looked_for_in_the_courses_folder(refused, course):
    shutil.rmtree(course / "notebooks")
    assert "run this from the course's folder" in refused("run")


def test_an_unknown_benchmark_is_told_with_the_known_ones(refused):
    line = refused(*SCORE, "--model", "x", "--benchmarks", "gsm8k,mmul")
    assert "unknown benchmark 'mmul': choose from mmlu, commonsense_qa" in line


def test_an_unknown_arm_is_told_before_anything_is_annotated(refused):
    assert "unknown arm 'lama': choose lima or role" in refused(*FINETUNE, "--arm", "lama")


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


def test_a_model_on_a_server_without_a_key_is_told(refused, course):
    (course / "mine.jsonl").write_text('{"conversations": ["Is this question new?", "Yes."]}\n')
    line = refused("annotate", "--data", "mine.jsonl", "--out", "out", "--model", "gpt-x")
    assert "no API key: set OPENAI_API_KEY" in line


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
    assert capsys.readouterr().out == "LIMA-Role: 120 dialogues, 116 parsed, 4 declined\n"
    assert len((course / "out" / "lima_role.jsonl").read_text(encoding="utf-8").splitlines()) == 120


def test_scoring_a_folder_writes_the_table_that_it_shows(course, capsys):
    tiny.save(course / "tiny")
    assert main([*SCORE, "--model", "./tiny", "--benchmarks", "gsm8k,strategyqa", "--limit", "2"]) == 0
    lines = (course / "out" / "scores.csv").read_text().splitlines()
    assert lines[0].startswith("arm,seed,benchmark,n,correct,accuracy,unparsed,low,high,random")
    assert sorted(tuple(line.split(",")[:4]) for line in lines[1:]) == [
        ("base", "0", "gsm8k", "2"),
        ("base", "0", "strategyqa", "2"),
    ]
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("gsm8k", "strategyqa"))


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
