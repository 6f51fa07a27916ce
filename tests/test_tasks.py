"""tasks.py: the course's targets on any system, and what is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import tasks  # noqa: E402


def run(*command, **more):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)


def test_make_and_tasks_have_the_same_targets_and_each_is_listed_with_a_line_of_help():
    listed = run(sys.executable, "tasks.py").stdout
    assert listed == run("make", "PYTHON=" + sys.executable, "--no-print-directory").stdout
    makefile = (ROOT / "Makefile").read_text()
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
    monkeypatch.setattr(tasks.urllib.request, "urlopen", lambda *_, **__: nullcontext())
    monkeypatch.setattr(tasks.platform, "system", lambda: "Linux")
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
    monkeypatch.setattr(tasks.platform, "system", lambda: system)
    tasks.setup(gpu)
    assert (tasks.CPU_INDEX in calls[1]) is index
    assert ("2.7 GB" in capsys.readouterr().out) is gpu


def test_an_index_that_cannot_be_reached_costs_a_line_with_the_size_and_nothing_else(calls, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(tasks.urllib.request, "urlopen", unreachable)
    assert tasks.setup() == 0 and tasks.CPU_INDEX not in calls[1]
    assert "cannot be reached, so up to 2.7 GB" in capsys.readouterr().out
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # a room without internet
    tasks.READY.unlink()
    assert tasks.setup() == 0 and "your own folder" in capsys.readouterr().out


def test_the_environments_python_is_made_anew_if_it_is_too_old(monkeypatch):
    assert tasks._new_enough(Path(sys.executable)) and not tasks._new_enough(ROOT / "no such python")
