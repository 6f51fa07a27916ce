"""`python -m helpers run`: what it says and leaves when a lesson stops, and what two lessons at once record."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
import time
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import models, run
from helpers.__main__ import main
from helpers.report import lessons

PARAMETERS = new_code_cell("PROFILE = 'cpu'\nRUN = None\nOVERRIDES = {}", metadata={"tags": ["parameters"]})
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
KILLED = "import os, pathlib, time\npathlib.Path('here').write_text(str(time.time()))\nos.kill(os.getpid(), 9)"
WAITS = "import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(60)"


def write_lessons(source: str) -> None:
    """A course of four lessons here; in the second this cell is number 3 of the 4 that JupyterLab counts."""
    Path("notebooks").mkdir(exist_ok=True)
    Path("pyproject.toml").touch()
    for number, body in (("00", "1"), ("01", source), ("02", "2"), ("03", "3")):
        cells = [new_markdown_cell(f"# {number} · Title"), PARAMETERS, new_markdown_cell("a text"), new_code_cell("")]
        cells += [new_code_cell("PROFILE"), new_code_cell(body), new_code_cell("'the last cell'")]
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), f"notebooks/{number}_lesson.ipynb")


@pytest.fixture
def course(tmp_path, monkeypatch, capsys):
    """Run lessons of which 01 has this cell: (exit code, error, text of index.html, executed copy of lesson 01)."""

    def run_(source: str, numbers: str):
        write_lessons(source)
        code = main(["run", "--out", "out", "--lessons", numbers])
        page = unescape(re.sub(r"<[^>]+>", " ", Path("out/index.html").read_text(encoding="utf-8")))
        copy = nbformat.read("out/lessons/01_lesson.ipynb", as_version=4)
        return code, capsys.readouterr().err, " ".join(page.split()), copy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "fetch_default", lambda say: None)
    return run_


def test_a_killed_kernel_ends_the_run_within_seconds_and_the_report_says_what_is_missing(course):
    code, error, page, copy = course(KILLED, "00,01,03")
    assert time.time() - float(Path("notebooks/here").read_text()) < 20
    assert code == 1 and "01_lesson, cell [3] of 4: its kernel was killed, most often because memory ran out" in error
    assert "This run is not finished. It stopped in 01_lesson, cell [3] of 4: its kernel was killed" in page
    assert "Not run: 03_lesson." in page and "01 · Title" in page and "the run stopped in this lesson" in page
    assert not Path("out/manifest.json").exists() and "manifest.json" not in page
    assert "'the last cell'" in copy.cells[-1].source and copy.cells[-1].execution_count is None
    assert [Path(f"out/lessons/{n}_lesson.html").is_file() for n in ("00", "01", "03")] == [True, True, False]


@pytest.mark.parametrize(
    "source, code, reason",
    [
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("from helpers.errors import UserError\nraise UserError('choose another folder')", 2, "choose another folder"),
        ("import sys\nsys.exit(0)", 1, "it ended itself with sys.exit"),
    ],
    ids=["an error", "a user's mistake", "sys.exit"],
)
def test_a_lesson_that_stops_is_named_with_the_cell_as_jupyterlab_counts_it(course, source, code, reason):
    found, error, page, copy = course(source, "01")
    assert found == code and f"01_lesson, cell [3] of 4: {reason}" in error and str(Path.cwd()) not in error
    assert f"It stopped in 01_lesson, cell [3] of 4: {reason}. (JupyterLab shows this number" in page
    position = next(i for i, cell in enumerate(copy.cells) if cell.source == source)
    assert copy.cells[position].execution_count == 3 and copy.cells[position + 1].cell_type == "markdown"
    assert copy.cells[position + 1].source == "**The lesson stopped here, in cell [3] of 4.**"
    assert "stopped here, in cell [3] of 4" in Path("out/lessons/01_lesson.html").read_text(encoding="utf-8")


def test_ctrl_c_in_a_lesson_leaves_a_report_of_what_is_there(course):
    here = Path("notebooks/here").absolute()  # papermill changes the folder while a lesson runs

    def press():
        while not here.exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    code, error, page, _ = course(WAITS, "01,02")
    assert code == 1 and error.splitlines()[-1].startswith("stopped; run the same command again")
    assert "It stopped in 01_lesson, cell [3] of 4: stopped by hand (Ctrl-C)." in page and "Not run: 02_lesson." in page


def test_an_earlier_page_of_a_lesson_that_was_not_run_again_is_named_so(course):
    Path("out/lessons").mkdir(parents=True)
    Path("out/lessons/02_lesson.html").touch()
    Path("out/profile.json").write_text('{"profile": "cpu", "overrides": {}}')
    Path("out/metrics.json").write_text('{"01": {"finding": "Found earlier."}, "02": {"finding": "This stays."}}')
    _, _, page, _ = course("1 / 0", "01,02")
    assert "02 · Title notebook not run this time: this page is an earlier one This stays." in page
    assert "Found earlier" not in page


@pytest.mark.usefixtures("course")
def test_a_lesson_runs_with_the_settings_of_its_run():
    write_lessons("assert OVERRIDES == {'max_steps': 4}")
    this = run.open_run("cpu", "changed", max_steps=4)
    lessons.run_lessons(this, lessons.choose("00,01"))
    assert json.loads(Path("changed/manifest.json").read_text())["lessons"] == ["00_lesson", "01_lesson"]
    assert "max_steps = 4" in Path("changed/index.html").read_text(encoding="utf-8")


def test_two_lessons_that_record_at_once_lose_no_number(tmp_path):
    this = run.open_run("cpu", tmp_path / "run")
    fork = multiprocessing.get_context("fork")
    both = fork.Barrier(2)

    def record(name):
        both.wait()
        for k in range(50):
            this.record(f"{name}{k}", value=k)

    processes = [fork.Process(target=record, args=(name,)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len(json.loads((this.folder / "metrics.json").read_text())) == 100


# --- the help -----------------------------------------------------------------------------------


def test_the_help_begins_with_how_to_start_and_lists_debug(capsys):
    assert main(["--help"]) == 0
    help_ = capsys.readouterr().out
    assert help_.index("Start with `doctor`, then `run`.") < help_.index("exit code")
    assert re.search(r"--debug .*traceback", help_)


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_debug_shows_the_traceback_wherever_it_stands(position, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--profile", "no-such-profile"]
    assert main(arguments) == 2
    with pytest.raises(Exception, match="no lessons here"):
        main([*arguments[:position], "--debug", *arguments[position:]])
