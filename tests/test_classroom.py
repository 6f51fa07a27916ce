"""A class gets lessons without solutions, loses no student's work, and sees what each student has solved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers import checks, run
from helpers.__main__ import main
from helpers.classroom import edition, exercises, progress
from helpers.errors import UserError
from helpers.machine import places

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SETUP = "import helpers\nfrom helpers import chat, checks"
STUB, CHECK = "def my_ramp(layers, last=0.25):\n    ...", "checks.lesson_02.ramp(my_ramp)"
RIGHT = "def my_ramp(layers, last=0.25):\n    return [last * i / max(layers - 1, 1) if layers > 1 else last for i in range(layers)]"
WRONG = "def my_ramp(layers, last=0.25):\n    return [last] * layers"


def cells(path: Path, tag: str) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if tag in c["metadata"].get("tags", [])]


def written(path: Path, *sources: str) -> Path:
    made = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None} for s in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    return path


@pytest.fixture
def room(tmp_path, monkeypatch) -> Path:
    """A student edition of all lessons."""
    monkeypatch.chdir(ROOT)
    return edition.write(tmp_path / "room", say=lambda _: None)


@pytest.fixture
def at_once(monkeypatch):
    """Exercises run in this process: their answers are the same, and it has imported everything already."""

    def run(folder, cells, left, seconds):
        return {n: exercises.verdict(cells, exercises.of_lesson(n[:2])[n], arguments) for n, arguments in left.items()}

    monkeypatch.setattr(progress, "_run", run)


def found(*where: Path, **options) -> dict[str, str]:
    """{"02.ramp": status}"""
    lessons = progress.progress(where, say=lambda _: None, **options)["lessons"]
    return {f"{n}.{name}": e["status"] for n, lesson in lessons.items() for name, e in lesson["exercises"].items()}


# --- the student edition --------------------------------------------------------------------------


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_solution_is_a_cell_of_its_own_with_a_tag_and_every_exercise_has_one(path):
    exercise, solutions = cells(path, "exercise"), cells(path, "solution")
    assert all(s.startswith("<details><summary>") and s.endswith("</details>") for s in solutions)
    assert (
        sum("```python" in s for s in solutions) == len(cells(path, "check")) == len(exercise)
        and 2 <= len(exercise) <= 4
    )
    for cell in edition.without_solutions(json.loads(path.read_text(encoding="utf-8")))["cells"]:
        assert not re.search(r"<summary>[^<]*(solution|answer)", "".join(cell["source"]), re.IGNORECASE)


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_calls_every_check_that_the_course_has_for_it(path):
    called = exercises.calls(cells(path, "check"))
    assert set(called) == set(exercises.of_lesson(path.name[:2]))


def test_the_student_edition_is_the_lesson_without_its_solutions_and_nothing_else(room):
    for path in LESSONS:
        whole, given = (
            json.loads((p / path.name).read_text(encoding="utf-8")) for p in (ROOT / "notebooks", room / "notebooks")
        )
        left = [c for c in whole["cells"] if c not in given["cells"]]
        assert given["cells"] == [c for c in whole["cells"] if c not in left] and given["metadata"] == whole["metadata"]
        assert left and all(c["metadata"]["tags"] == ["solution"] for c in left)


def test_every_exercise_of_the_edition_waits_and_passes_with_its_solution_put_back(room, at_once):
    statuses = found(room)
    assert len(statuses) == sum(len(cells(path, "exercise")) for path in LESSONS) and set(statuses.values()) == {
        "not solved yet"
    }
    for path in LESSONS:
        text = json.loads((room / "notebooks" / path.name).read_text(encoding="utf-8"))
        solutions = [
            re.search(r"```python\n(.*?)```", s, re.DOTALL)[1] for s in cells(path, "solution") if "```python" in s
        ]
        for cell in text["cells"]:
            if "exercise" in cell["metadata"].get("tags", []):
                cell["source"] = solutions.pop(0)
        (room / "notebooks" / path.name).write_text(json.dumps(text), encoding="utf-8")
    assert {name: status for name, status in found(room).items() if status != "solved"} == {}


def test_the_edition_is_a_course_folder_of_its_own(room, monkeypatch):
    monkeypatch.chdir(room / "notebooks")  # where a kernel works
    assert places.root() == room
    assert run.open_run("cpu").folder == room / "runs" / "cpu"
    assert (room / "docs" / "GLOSSARY.md").is_file()  # the lessons link to it


def test_an_edition_written_again_brings_only_untouched_notebooks_up_to_date(room, capsys):
    worked_in, untouched, there = (room / "notebooks" / LESSONS[n].name for n in (2, 3, 4))
    written(worked_in, RIGHT, CHECK)
    old = written(untouched, "print('last week')").read_bytes()
    marker = json.loads((room / "edition.json").read_text())
    marker["notebooks"][untouched.name] = edition._digest(untouched)  # as last week's edition wrote it
    (room / "edition.json").write_text(json.dumps(marker))
    there.unlink()

    assert main(["student", "--to", str(room)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert worked_in.name in line and untouched.name not in line and "--force" in line
    assert untouched.read_bytes() == old and not there.exists()  # nothing was written

    assert main(["student", "--to", str(room), "--lessons", "03,04"]) == 0  # the others may be written
    assert untouched.read_bytes() != old and there.exists()
    assert json.loads(worked_in.read_text(encoding="utf-8"))["cells"][0]["source"] == RIGHT


def test_force_keeps_a_students_work_under_another_name_each_time(room, capsys):
    mine = room / "notebooks" / LESSONS[2].name
    works = []
    for text in ("first", "second"):
        works.append(written(mine, f"print('{text}')").read_bytes())
        assert main(["student", "--to", str(room), "--force"]) == 0
        assert "kept" in capsys.readouterr().out
    kept = sorted(mine.parent.glob(f"{mine.stem}-kept*.ipynb"))
    assert sorted(p.read_bytes() for p in kept) == sorted(works)
    assert cells(mine, "exercise") == cells(LESSONS[2], "exercise")
    assert main(["student", "--to", str(room)]) == 0  # and now nothing is in the way


@pytest.mark.parametrize("folder", [ROOT, ROOT / "notebooks" / ".."])
def test_the_courses_own_folder_is_never_written_to(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="choose another one"):
        edition.write(folder, force=True)


# --- progress -------------------------------------------------------------------------------------

SOLVED = {
    "a copy of the stub below the solution": [RIGHT, STUB, CHECK],
    "the solution below the stub": [STUB, CHECK, RIGHT],
    "an older wrong attempt kept": [WRONG, RIGHT, CHECK, CHECK],
    "a line that needs the lesson's model": [f"print(run.chat('role'))\n{RIGHT}\nprint(my_ramp(rows))", CHECK],
    "magics and shell commands": [f"%matplotlib inline\n!pip list\n%%time\n{RIGHT}", f"%time\n{CHECK}", CHECK],
    "a helper and a constant in other cells": [
        "import numpy as np\nFIRST = 0.0",
        "def line(a, b, n):\n    return list(np.linspace(a, b, n)) if n > 1 else [b]",
        "my_ramp = lambda layers, last: line(FIRST, last, layers)",
        CHECK,
    ],
    "a cell that Python cannot read": ["def broken(:", RIGHT, CHECK],
    "imports that another edition had": [
        "from helpers import checks, no_such_room",
        "from helpers import finetune, another",
        "def my_ramp(layers, last=0.25):\n    return finetune.dropout_ramp(layers, last)",
        CHECK,
    ],
    "a check whose verdict is kept": [RIGHT, f"verdict = {CHECK}\nverdict"],
    "two names for it": [RIGHT, "second_try = my_ramp", "checks.lesson_02.ramp(second_try)"],
}  # fmt: skip


@pytest.mark.parametrize("sources", SOLVED.values(), ids=SOLVED)
def test_a_solved_exercise_is_found_however_the_notebook_was_treated(sources, at_once, tmp_path):
    assert found(written(tmp_path / "renamed by me.ipynb", SETUP, *sources))["02.ramp"] == "solved"


OPEN = {
    "stub": ([STUB, CHECK], "not solved yet", "fill in"),
    "stub deleted": ([CHECK], "not found", "no cell makes my_ramp"),
    "check deleted": ([RIGHT, "checks.lesson_02.labels(my_labels)"], "not found", "no cell calls this check"),
    "wrong": ([STUB, WRONG, STUB, CHECK], "not quite", "All your layers have the same p"),
    "syntax": (["def my_ramp(layers, last:\n    return 1", CHECK], "not quite", "SyntaxError"),
    "raises when it is made": (["my_ramp = ...", "my_ramp = 1 / 0", CHECK], "not quite", "ZeroDivisionError"),
    "raises when it is called": (["def my_ramp(layers, last):\n    raise OSError", CHECK], "not quite", "OSError"),
    "asks": (["def my_ramp(layers, last):\n    exit()", CHECK], "not quite", "your code stopped with"),
    "needs the lesson": (["def my_ramp(layers, last):\n    return rows", CHECK], "not quite", "not the lesson"),
}


@pytest.mark.parametrize(("sources", "status", "says"), OPEN.values(), ids=OPEN)
def test_an_exercise_that_is_not_solved_says_why(sources, status, says, at_once, tmp_path):
    path = written(tmp_path / "02_mine.ipynb", SETUP, *sources)
    ramp = progress.progress([path], say=lambda _: None)["lessons"]["02"]["exercises"]["ramp"]
    assert ramp["status"] == status and says in ramp["message"]


def test_with_its_edition_at_hand_a_deleted_check_is_run_all_the_same(room, at_once):
    written(room / "notebooks" / LESSONS[2].name, SETUP, RIGHT)
    assert found(room)["02.ramp"] == "solved"


def test_copies_count_together_and_checkpoints_and_damaged_files_do_not(at_once, tmp_path, capsys):
    written(tmp_path / "02_a.ipynb", SETUP, STUB, CHECK)
    written(tmp_path / "02_a-Copy1.ipynb", SETUP, RIGHT, CHECK)
    written(tmp_path / ".ipynb_checkpoints" / "00-checkpoint.ipynb", SETUP, "checks.lesson_00.frame(my_frame)")
    written(tmp_path / "shopping.ipynb", "print('milk')")
    written(tmp_path / "12_next_year.ipynb", "checks.lesson_12.tools(my_tools)")
    (tmp_path / "half.ipynb").write_text('{"cells": [')
    (tmp_path / "other.ipynb").write_text("[1, 2]")
    target = tmp_path / "anna.json"
    assert main(["progress", str(tmp_path), "--json", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].startswith("lesson 02  1 of 3 solved, saved 20")
    collected = json.loads(target.read_text(encoding="utf-8"))
    assert collected["lessons"]["02"]["files"] == ["02_a-Copy1.ipynb", "02_a.ipynb"]
    assert set(collected["left_out"]) == {"shopping.ipynb", "12_next_year.ipynb", "half.ipynb", "other.ipynb"}
    assert str(tmp_path) not in target.read_text() and str(Path.home()) not in target.read_text()


def test_code_that_never_ends_or_ends_python_costs_its_own_exercise_only(tmp_path):
    """In real processes: a right solution, a loop that catches everything, and one that leaves Python at once."""
    right = "def my_accumulation(batch, each, devices):\n    if batch % (each * devices):\n        raise ValueError"
    right += "\n    return batch // (each * devices)"
    loop = "def my_labels(pieces, eos_id):\n    while True:\n        try:\n            input()"
    loop += "\n        except BaseException:\n            pass"
    leave = "def my_ramp(layers, last):\n    print('solved' * 9999)\n    import os\n    os._exit(0)"
    lesson = exercises.calls([f"checks.lesson_02.{name}(my_{name})" for name in ("accumulation", "labels", "ramp")])
    answers = progress._run(tmp_path, [SETUP, right, loop, leave], lesson, 3.0)
    assert [status for status, _ in answers.values()] == ["solved", "not quite", "not quite"]
    assert "more than 3 seconds" in answers["02.labels"][1] and "ended Python" in answers["02.ramp"][1]


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["."], [".", "."], [".", "--json", "no/such/folder.json"]], ids=lambda a: " ".join(a)
)
def test_a_folder_that_holds_no_lessons_is_told_in_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["progress", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_check_is_known_by_its_name_and_what_is_not_a_check_is_not():
    assert exercises.of_lesson("05").keys() == {"05.role_noun", "05.agreement", "05.on_topic"}
    assert exercises.of_lesson("02")["02.ramp"] is checks.lesson_02.ramp and exercises.of_lesson("77") == {}
