"""JupyterLab in a real browser: a student opens lesson 00, runs cells with the keyboard, and a check turns green."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browser import Browser, needs_browser

ROOT = Path(__file__).parents[1]
LESSON = "00_check_your_setup.ipynb"
TOKEN = "a-token-of-the-tests"


@pytest.fixture
def lab(tmp_path):
    """The address of JupyterLab over a copy of the course's folder with lesson 00."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()  # marks the course's folder
    (tmp_path / "notebooks" / LESSON).write_bytes((ROOT / "notebooks" / LESSON).read_bytes())
    state = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("RUNTIME", "CONFIG", "DATA")}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ServerApp.port=0", "--allow-root"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url=None"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | state, stdout=log, stderr=log)
    try:
        for _ in range(600):
            if about := list((tmp_path / "RUNTIME").glob("jpserver-*.json")):
                break
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield json.loads(about[0].read_text())["url"] + f"lab/tree/notebooks/{LESSON}?token={TOKEN}"
    finally:
        server.terminate()
        server.wait(30)


@needs_browser
def test_a_student_runs_lesson_00_with_the_keyboard_alone_until_a_check_turns_green(lab):
    cells = json.loads((ROOT / "notebooks" / LESSON).read_text(encoding="utf-8"))["cells"]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    exercise, set_up = next(i for i, t in enumerate(tags) if "exercise" in t), tags.index(["parameters"]) + 2
    solution = next("".join(c["source"]) for c, t in zip(cells, tags) if "solution" in t)
    code = re.search(r"```python\n(.*?)```", solution, re.DOTALL)[1]
    with Browser() as browser:
        browser.open(lab)
        browser.wait("document.activeElement.closest('.jp-Notebook')", 60)  # JupyterLab itself puts the keyboard there
        browser.wait("fetch('/api/kernels').then(r => r.json()).then(all => all.some(k => k.connections))", 60)
        browser.wait("document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status == 'idle'")
        browser.press("Escape")
        for _ in range(set_up):
            browser.press("Enter", shift=True)
        browser.wait("document.querySelector('.jp-Notebook').innerText.includes('files in runs/cpu')", 60)
        for _ in range(exercise - set_up):
            browser.press("ArrowDown")
        assert "def my_frame" in browser.js("document.querySelector('.jp-Cell.jp-mod-active').innerText")
        browser.press("Enter", shift=True)  # the stub as it is
        browser.press("Enter", shift=True)
        browser.wait("document.querySelector('.jp-Notebook').innerText.includes('not solved yet')")
        browser.press("ArrowUp")
        browser.press("ArrowUp")
        browser.press("Enter")
        browser.press("a", control=True)
        browser.type(code)
        browser.press("Enter", shift=True)
        browser.press("Enter", shift=True)
        browser.wait("document.querySelector('.jp-Notebook').innerText.includes('✅ solved')")
        assert "not solved yet" not in browser.js("document.querySelector('.jp-Notebook').innerText")
        here = lab.partition("/lab")[0]
        assert [url for url in browser.requests if not url.startswith((here, "data:", "blob:"))] == []
