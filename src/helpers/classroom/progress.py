"""Which exercises are solved, from a student's own notebooks.

Every notebook is read from disk and its exercises are run in a process of their own, with a time limit for each. Copies
of a lesson count together: an exercise is solved if one of them solves it.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from ..errors import UserError
from ..machine.places import root
from . import exercises as exercises_
from .edition import read
from .exercises import calls, of_lesson, rank, sources

START = 300.0  # seconds for the imports: PyTorch on a cold disk, with a virus scanner


def progress(where: Sequence[Path] = (), seconds: float = 30.0, say: Callable = print) -> dict[str, Any]:
    """Say one line a lesson, and return all of it for a JSON file.

    `where`: a folder (its notebooks/, or the notebooks in it), or notebooks; () for the course's. `seconds`: for each
    exercise. Returns {"made", "lessons": {"02": {"files", "saved", "solved", "of", "exercises": {"labels":
    {"status", "message"}}}}, "left_out": {file name: reason}}, without a path or a user's name. A status is "solved",
    "not quite", "not solved yet" or "not found".
    """
    copies: dict[str, list[tuple[Path, list[str], dict[str, list[str]]]]] = {}
    left_out: dict[str, str] = {}
    for path in notebooks(where):
        try:
            cells = sources(json.loads(path.read_text(encoding="utf-8-sig")))
        except Exception as error:  # half a file, another format: whatever it is, the other notebooks count
            reason = f"it cannot be read ({type(error).__name__}): open it in JupyterLab and save it again"
            left_out[path.name] = reason
            continue
        number, exercises = _exercises(path, cells)
        if exercises:
            copies.setdefault(number, []).append((path, cells, exercises))
        else:
            left_out[path.name] = "no cell calls a check of this course: it is not a lesson, or of another edition"
    lessons = {}
    for number, same in sorted(copies.items()):
        lessons[number] = _lesson(same, seconds)
        say(_line(number, lessons[number]))
    for name, reason in left_out.items():
        say(f"{name}: {reason}")
    made = datetime.now().astimezone().isoformat(timespec="minutes")
    return {"made": made, "lessons": lessons, "left_out": left_out}


def _lesson(copies: list[tuple[Path, list[str], dict[str, list[str]]]], seconds: float) -> dict[str, Any]:
    """What the copies of one lesson solve together."""
    best: dict[str, tuple[str, str]] = {}
    for path, cells, exercises in copies:
        left = {name: arguments for name, arguments in exercises.items() if best.get(name, ("",))[0] != "solved"}
        for name, found in _run(path.parent, cells, left, seconds).items():
            best[name] = max(best.get(name, found), found, key=rank)
    return {
        "files": [path.name for path, _, _ in copies],
        "saved": f"{datetime.fromtimestamp(max(path.stat().st_mtime for path, _, _ in copies)):%Y-%m-%d %H:%M}",
        "solved": sum(status == "solved" for status, _ in best.values()),
        "of": len(best),
        "exercises": {name[3:]: {"status": status, "message": message} for name, (status, message) in best.items()},
    }


def notebooks(where: Sequence[Path]) -> list[Path]:
    """The notebooks that `where` names. JupyterLab's checkpoints are older copies in a hidden folder, and stay out."""
    for path in where:
        if not path.exists():
            raise UserError(f"there is no {path.name}: name a folder with notebooks, or notebooks")
        if path.is_dir() and len(where) > 1:
            raise UserError(
                "name one folder, or notebooks: several folders are several students, so ask for each alone"
            )
    if where and where[0].is_file():
        return list(where)
    folder = where[0] if where else root()
    inside = folder / "notebooks" if (folder / "notebooks").is_dir() else folder
    if not (found := sorted(inside.glob("[!.]*.ipynb"))):
        raise UserError(f"no notebooks in {inside.resolve().name}: name the folder of your lessons")
    return found


def _exercises(path: Path, cells: list[str]) -> tuple[str, dict[str, list[str]]]:
    """(lesson, {"02.labels": arguments}): the exercises of a notebook, and how its edition or itself calls their checks.

    The lesson is the one whose checks are called most; a notebook without any is known by the number in its name.
    """
    own = calls(cells)
    numbers = [name[:2] for name in own] or re.findall(r"^\d\d(?=_)", path.name) or [""]
    number = max(numbers, key=numbers.count)
    first = next((found for folder in path.resolve().parents[:2] if (found := read(folder).get("checks"))), {})
    return number, {name: list(dict.fromkeys([*first.get(name, []), *own.get(name, [])])) for name in of_lesson(number)}


def _run(folder: Path, cells: list[str], exercises: dict[str, list[str]], seconds: float) -> dict[str, tuple[str, str]]:
    """{"02.labels": (status, message)}. Code that never ends, or ends Python, costs its own exercise only."""
    found: dict[str, tuple[str, str]] = {}
    while left := {name: arguments for name, arguments in exercises.items() if name not in found}:
        with _process({"folder": str(folder.resolve()), "cells": cells, "checks": left}) as answers:
            _, trouble = _next(answers, START, "its imports")
            if trouble:
                return found | dict.fromkeys(left, ("not quite", trouble))
            for name in left:
                answer, trouble = _next(answers, seconds, "your code")
                found[name] = ("not quite", trouble) if trouble else (answer["status"], answer["message"])
                if trouble:
                    break  # the exercises that are left get a new process
    return found


@contextmanager
def _process(task: dict[str, Any]) -> Iterator[queue.Queue[bytes]]:
    """The lines that `exercises` writes, as they come, then b""; it and all that it started are ended afterwards."""
    command = [sys.executable, "-m", exercises_.__name__]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines: queue.Queue[bytes] = queue.Queue()

    def forward() -> None:
        for line in child.stdout:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=forward, daemon=True).start()
    try:
        with suppress(OSError):  # it ended at once: its first line says so by being empty
            child.stdin.write(json.dumps(task).encode())
            child.stdin.close()
        yield lines
    finally:
        with suppress(psutil.Error):
            for process in (*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)):
                with suppress(psutil.Error):
                    process.kill()
        child.wait()


def _next(lines: queue.Queue[bytes], seconds: float, what: str) -> tuple[dict[str, str], str]:
    """(the next record, "") or ({}, what went wrong)."""
    try:
        line = lines.get(timeout=seconds)
    except queue.Empty:
        return {}, f"{what} ran for more than {seconds:g} seconds: does a loop never end?"
    return (json.loads(line), "") if line else ({}, f"{what} ended Python itself: no exit() in an exercise")


def _line(number: str, lesson: dict[str, Any]) -> str:
    rest = [f"{name}: {e['status']}" for name, e in lesson["exercises"].items() if e["status"] != "solved"]
    line = f"lesson {number}  {lesson['solved']} of {lesson['of']} solved, saved {lesson['saved']}"
    return f"{line} · {', '.join(rest)}" if rest else line
