"""tasks.py: the course's targets on any system, and what is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from http.client import HTTPException
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import tasks  # noqa: E402
from helpers.machine import pytorch  # noqa: E402


def run(*command, **more):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no make")
def test_make_and_tasks_have_the_same_targets_and_each_is_listed_with_a_line_of_help():
    listed = run(sys.executable, "tasks.py").stdout
    assert listed == run("make", "PYTHON=" + sys.executable, "--no-print-directory").stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, (says, _) in tasks.TARGETS.items():
        assert f"  {name:8} {says}\n" in listed
        assert f" {name} " in makefile.split(".PHONY:")[1].splitlines()[0] + " "
    assert run(sys.executable, "tasks.py", "curse").returncode == 2


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The commands that are run, in a course folder whose environment is not ready yet."""
    made = []
    monkeypatch.setattr(tasks.subprocess, "call", lambda command, **_: (made.append([str(c) for c in command]), 0)[1])
    monkeypatch.setattr(tasks, "READY", tmp_path / ".ready")
    monkeypatch.setattr(tasks, "_new_enough", lambda _: True)
    monkeypatch.setattr(tasks.venv, "create", lambda *_, **__: made.append(["a new environment"]))
    monkeypatch.setattr(pytorch.urllib.request, "urlopen", lambda *_, **__: nullcontext())
    monkeypatch.setattr(pytorch.platform, "system", lambda: "Linux")
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    return made


def test_nothing_is_installed_twice_and_a_new_lock_is_installed(calls):
    assert tasks.setup() == 0 and len(calls) == 3  # the doctor, the lock, the course itself
    assert tasks.setup() == 0 and len(calls) == 3
    os.utime(tasks.READY, (1, 1))
    assert tasks.setup() == 0 and len(calls) == 6


def test_a_machine_that_cannot_run_the_course_is_told_before_anything_is_downloaded(calls, monkeypatch):
    monkeypatch.setattr(tasks.subprocess, "call", lambda command, **_: (calls.append(command), 1)[1])
    assert tasks.setup() == 1
    assert len(calls) == 1 and calls[0][-1].endswith("doctor.py") and not tasks.READY.exists()


@pytest.mark.parametrize(
    ("system", "gpu", "index"), [("Linux", False, True), ("Linux", True, False), ("Windows", False, False)]
)
def test_linux_gets_pytorch_without_cuda_unless_a_gpu_is_asked_for(calls, monkeypatch, capsys, system, gpu, index):
    monkeypatch.setattr(pytorch.platform, "system", lambda: system)
    tasks.setup(gpu)
    (lock,) = (call for call in calls if "requirements.lock" in call)
    assert (pytorch.CPU_INDEX in lock) is index
    assert ("2.7 GB" in capsys.readouterr().out) is gpu


def test_a_gpu_that_is_asked_for_later_gets_a_new_environment_and_a_new_lock_keeps_its_build(calls):
    tasks.setup()
    assert ["a new environment"] not in calls
    tasks.setup(gpu=True)
    assert calls.count(["a new environment"]) == 1  # pip would keep the other build: its version is the same
    done = len(calls)
    assert tasks.setup(gpu=True) == 0 and tasks.setup() == 0 and len(calls) == done
    os.utime(tasks.READY, (1, 1))
    tasks.setup()
    assert calls.count(["a new environment"]) == 1 and pytorch.CPU_INDEX not in calls[-2]


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("an odd proxy"), HTTPException("an odd answer")])
def test_an_index_that_cannot_be_reached_costs_a_line_with_the_size_and_nothing_else(calls, monkeypatch, capsys, error):
    def unreachable(*_, **__):
        raise error

    monkeypatch.setattr(pytorch.urllib.request, "urlopen", unreachable)
    assert tasks.setup() == 0 and pytorch.CPU_INDEX not in calls[1]
    assert "cannot be reached, so up to 2.7 GB" in capsys.readouterr().out


@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
def test_a_room_without_internet_is_told_that_its_own_folder_is_used(calls, monkeypatch, capsys, system):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(pytorch.platform, "system", lambda: system)
    assert tasks.setup() == 0 and pytorch.CPU_INDEX not in calls[1]
    said = capsys.readouterr().out
    assert "your own folder" in said and "GB" not in said


def test_a_participant_whose_machine_cannot_run_the_course_still_has_one_line_to_send_back(calls, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tasks.py", "doctor", "--line"])
    tasks.main()
    doctor, *words = calls[0][1:]
    code = f"import runpy, sys; sys.version_info = (3, 9, 1); sys.argv[:1] = []; runpy.run_path({doctor!r}, None, '__main__')"
    said = run(sys.executable, "-c", code, "doctor", *words)
    last = said.stdout.splitlines()[-1]
    assert said.returncode == 1 and last.startswith("NOT READY | ") and "3.11.5 or newer is needed" in last


def test_the_environments_python_is_made_anew_if_it_is_too_old(monkeypatch):
    assert tasks._new_enough(Path(sys.executable)) and not tasks._new_enough(ROOT / "no such python")
