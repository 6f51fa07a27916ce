"""The course's targets, with nothing but Python: `python tasks.py course` (Windows: `py tasks.py course`).

    python tasks.py                 lists the targets
    python tasks.py course          sets everything up in .venv if that is missing, and runs all lessons
    python tasks.py setup --gpu     Linux: PyTorch for NVIDIA cards instead of the small build for processors

`make course` is the same. Runs on any Python 3.8 or newer, so that an old one gets one clear line and not a traceback.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))
from helpers.machine import pytorch  # noqa: E402  needs nothing installed

VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
READY = VENV / ".ready"  # newer than what was installed from; holds "gpu" if PyTorch for NVIDIA cards was asked for

TARGETS = {  # name -> (one line of help, commands of the environment's Python)
    "course": ("run all ten lessons (profile cpu) and write runs/cpu/index.html", ["-m helpers run --profile cpu"]),
    "test": (
        "everything CI runs: style, unit tests, and every lesson for real",
        [
            "-m ruff check src tests notebooks tasks.py",
            "-m pytest -n auto --dist loadfile -m 'not lessons'",
            "-m pytest -m lessons",
        ],
    ),
    "short": (
        "the suites that need no Linux, lesson 00, and lesson 02 with two steps (CI on Windows and macOS)",
        [
            "-m pytest -n auto --dist loadfile -m 'not lessons' tests/test_roles.py tests/test_stats.py tests/test_journal.py "
            "tests/test_benchmarks.py tests/test_checks.py tests/test_data.py tests/test_ask.py tests/test_tasks.py",
            "-m helpers run --lessons 00 --out runs/short",
            "-m papermill notebooks/02_finetune_with_trl.ipynb runs/short/02.ipynb --cwd notebooks "
            "-p RUN ../runs/short-02 -y '{OVERRIDES: {max_steps: 2, max_tokens: 384}}'",
        ],
    ),
    "lab": (
        "open the course in JupyterLab at lesson 00; runs/ is in its file list",
        ["-m jupyterlab --notebook-dir=. notebooks/00_check_your_setup.ipynb"],
    ),
    "student": ("write the lessons without solutions to student/ (another folder: --to DIR)", ["-m helpers student"]),
    "site": ("write the static site of a finished run to site/ (another run: --run DIR)", ["-m helpers site"]),
    "slides": ("write the lessons of a finished run as slides to slides/", ["-m helpers slides"]),
    "doctor": ("say what this machine can run", ["-m helpers doctor"]),
    "lint": (
        "format and check the code",
        ["-m ruff format src tests tasks.py", "-m ruff check --fix src tests tasks.py"],
    ),
    "setup": ("install what is missing, and nothing else", []),
}
DEFAULTS = {"student": ["--to", "student"], "site": ["--run", "runs/cpu"], "slides": ["--run", "runs/cpu"]}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tasks.py", description="The course's targets, without make.")
    parser.add_argument("target", nargs="?", choices=[*TARGETS, "help"], default="help", metavar="target")
    parser.add_argument("--gpu", action="store_true", help="Linux: install PyTorch for NVIDIA cards (2.7 GB)")
    options, more = parser.parse_known_args()
    if options.target == "help":
        print("\n".join(f"  {name:8} {says}" for name, (says, _) in TARGETS.items()))
        return 0
    if code := setup(options.gpu, [word for word in more if word == "--line"]):
        return code
    for command in TARGETS[options.target][1]:
        words = shlex.split(command)
        extra = more or DEFAULTS.get(options.target, [])
        if code := subprocess.call([str(PYTHON), *words, *extra], cwd=ROOT):
            return code
    return 0


def setup(gpu: bool = False, line: Sequence[str] = ()) -> int:
    """Install the locked versions into .venv, unless that was done since the lock or the package's description changed.

    `gpu`: PyTorch for NVIDIA cards. An environment with the other build is made anew then; without `gpu`, it keeps its build.
    `line`: ["--line"] if a machine that cannot run the course has to say so in one line, too.
    """
    made_from = [ROOT / "requirements.lock", ROOT / "pyproject.toml"]
    has_gpu = READY.is_file() and READY.read_text(encoding="utf-8") == "gpu"
    fresh = READY.is_file() and READY.stat().st_mtime >= max(path.stat().st_mtime for path in made_from)
    if fresh and (has_gpu or not gpu):
        return 0
    doctor = ROOT / "src" / "helpers" / "machine" / "doctor.py"
    if code := subprocess.call([sys.executable, str(doctor), *line], cwd=ROOT):
        return code
    where, size = pytorch.source(gpu or has_gpu)
    print(f"setting up {VENV.name} (once, a few minutes; {size}) ...", flush=True)
    if (gpu and not has_gpu) or not _new_enough(PYTHON):
        venv.create(VENV, clear=True, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for what in (["-r", "requirements.lock", *where], ["--no-deps", "--no-build-isolation", "-e", "."]):
        if code := subprocess.call([*pip, *what], cwd=ROOT):
            return code
    READY.write_text("gpu" if gpu or has_gpu else "", encoding="utf-8")
    return 0


def _new_enough(python: Path) -> bool:
    code = "import sys; sys.path.insert(0, 'src'); from helpers.machine.doctor import OLDEST; sys.exit(sys.version_info < OLDEST)"
    try:
        return subprocess.run([str(python), "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
