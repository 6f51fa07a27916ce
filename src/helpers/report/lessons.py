"""Run the lessons unattended with papermill.

`run_lessons` executes the very notebooks a student opens, one after the other, into a run folder.
Then the report is written, and last the manifest: if it exists, the run is complete.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import benchmarks, models, score
from ..data import REFERENCE
from ..errors import UserError
from ..machine import provenance
from ..machine.places import root, seen_from
from ..profiles import DEFAULT_MODEL
from . import pipeline
from .page import readme_table, write_report
from .pictures import PICTURES

if TYPE_CHECKING:
    from ..run import Run

THUMB = 360  # pixels: the width of a small picture for README.md, one a lesson from 01 on
THUMBS = (
    "annotated_roles",
    "learning",
    "benchmarks",
    "mmlu_domains",
    "role_clouds",
    "judge",
    "designs",
    "recorder",
    "learning_curve",
)
TABLE_BEGINS, TABLE_ENDS = "<!-- scores -->", "<!-- end of scores -->"  # in README.md


def choose(wanted: str | None = None) -> list[Path]:
    """The notebooks to run, in order. `wanted`: numbers such as "01,03"; None for all."""
    every = {p.name[:2]: p for p in sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if not every:
        raise UserError("no lessons here: run this from the course's folder (the one with notebooks/)")
    if wanted is None:
        return list(every.values())
    numbers = [w.strip().zfill(2) for w in wanted.split(",") if w.strip()]
    for number in numbers:
        if number not in every:
            raise UserError(f"unknown lesson {number!r}: choose from {', '.join(every)}")
    return [every[n] for n in sorted(set(numbers))]


class LessonStopped(Exception):
    """A lesson did not reach its end. The text names the lesson, the cell by JupyterLab's count, and the reason."""


def run_lessons(this: Run, notebooks: Sequence[Path], say: Callable = print) -> Path:
    """Execute lessons (of `choose`) into the run's folder and return its report, index.html.

    A lesson that stops, by an error, a dead kernel or Ctrl-C, ends the run: the report shows what is there and says
    what is missing, there is no manifest, and the error is raised (LessonStopped, UserError, KeyboardInterrupt).
    """
    models.need_device(this.profile)
    this.dialogues()  # bad data is reported now, not after minutes of training
    score.questions(this.profile, list(benchmarks.BENCHMARKS))
    (this.folder / "manifest.json").unlink(missing_ok=True)  # an unfinished run has none
    began = time.time()
    if this.profile.model == DEFAULT_MODEL:
        models.fetch_default(say)
    fetched = time.time()
    minutes, peak, failure, stopped = {}, 0.0, None, {}
    for n, notebook in enumerate(notebooks, 1):
        progress = Progress(f"[{n}/{len(notebooks)}] {notebook.stem}", say)
        try:
            with progress:
                execute(notebook, this, progress)
        except BaseException as error:
            failure, by_hand = error, f"{notebook.stem}, {progress.where()}: stopped by hand (Ctrl-C)"
            stopped = {"lesson": notebook.stem, "why": str(error) if isinstance(error, Exception) else by_hand}
        peak = max(peak, progress.peak_gib)
        minutes[notebook.stem] = round(progress.minutes(), 2)
        if failure:
            break
    manifest = {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "profile": this.profile.describe(),
        "overrides": this.overrides,
        "seeds": list(this.profile.seeds),
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "processor": platform.machine()},
        "lessons": list(minutes),
        "minutes": minutes,
        "minutes_total": round((time.time() - fetched) / 60, 2),
        "minutes_fetching_the_model": round((fetched - began) / 60, 2),
        "peak_memory_gib": round(peak, 2),
        "finished": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    if failure:
        stopped["left"] = [notebook.stem for notebook in notebooks[len(minutes) :]]
        with suppress(Exception):  # half a file, after a kill: what stopped the lesson is the news
            say(f"what is there is in {os.path.relpath(write_report(this, manifest | {'stopped': stopped}))}")
        raise failure
    report = write_report(this, manifest)
    write_json(this.folder / "manifest.json", manifest)
    say(f"{len(minutes)} lessons in {manifest['minutes_total']:.1f} minutes, peak memory {peak:.1f} GiB")
    return report


def execute(notebook: Path, this: Run, progress: Progress) -> None:
    """Execute one lesson into <run>/lessons. LessonStopped, or the lesson's own UserError, names the cell."""
    import papermill
    from traitlets.config import Config

    target = this.folder / "lessons" / notebook.name
    target.parent.mkdir(parents=True, exist_ok=True)
    for earlier in (target, target.with_suffix(".html")):
        earlier.unlink(missing_ok=True)
    parameters = {
        "PROFILE": this.profile.name,
        "RUN": seen_from(this.folder, notebook.parent),  # a relative path: nothing personal in the output
        "OVERRIDES": this.overrides,
    }
    # Sockets in files: a kernel on a TCP port can be reached by everybody on the machine.
    transport = {"KernelManager": {"transport": "ipc"}} if os.name == "posix" else {}
    for library in ("asyncio", "papermill"):  # why a lesson stopped is said once, by us
        logging.getLogger(library).setLevel(logging.CRITICAL)
    finished = False
    try:
        # For papermill an unknown parameter is only a warning; a lesson that ignores its profile must not pass.
        if unknown := sorted(set(parameters) - set(papermill.inspect_notebook(str(notebook)))):
            raise LessonStopped(f"it has no parameter {unknown[0]}")
        result = papermill.execute_notebook(
            str(notebook),
            str(target),
            parameters,
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            stdout_file=progress,
            config=Config(transport),
            extra_arguments=["--IPKernelApp.log_level=50"],
            on_notebook_start=progress.notebook_starts,
            on_cell_execute=progress.cell_starts,
        )
        if any(c.cell_type == "code" and c.source.strip() and not c.execution_count for c in result.cells):
            raise LessonStopped("it ended itself with sys.exit")  # which papermill passes
        finished = True
    except Exception as error:
        kind = UserError if getattr(error, "ename", "") == "UserError" else LessonStopped
        raise kind(f"{notebook.stem}, {progress.where()}: {_reason(error)}") from error
    finally:
        try:
            _clean(target, "" if finished else f"The lesson stopped here, in {progress.where()}.", progress.index)
        except (OSError, ValueError):  # not begun, or Ctrl-C fell into its writing
            target.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Why a lesson stopped, in one line without a path of this machine."""
    name, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    if name == "DeadKernelError":  # nbclient looks every second whether the kernel lives
        return "its kernel was killed, most often because memory ran out: close other programs, then run it again"
    text = (text.strip().splitlines() or [""])[0].replace(f"{root()}{os.sep}", "").replace(str(Path.home()), "~")
    return text if name in ("UserError", "LessonStopped") else f"{name}: {text}"


def _clean(path: Path, note: str, index: int) -> None:
    """Drop papermill's notes of local paths from an executed lesson. `note`: what to say below the cell at `index`."""
    import nbformat
    from papermill.execute import remove_error_markers

    notebook = remove_error_markers(nbformat.read(path, as_version=4))
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    if note:
        notebook.cells.insert(index + 1, nbformat.v4.new_markdown_cell(f"**{note}**"))
    nbformat.write(notebook, path)


class Progress:
    """Says which lesson, which cell, how many minutes and the last line printed; watches memory meanwhile.

    On a terminal the line is rewritten every second, elsewhere printed every half minute.
    """

    def __init__(self, label: str, say: Callable = print) -> None:
        self.label, self.say, self.last, self.peak_gib = label, say, "", 0.0
        self.cell = self.cells = self.index = 0  # code cells begun and in all; the position among all cells
        self._began, self._stop = time.time(), threading.Event()
        self._live = say is print and sys.stdout.isatty()

    def notebook_starts(self, notebook: Any) -> None:
        """Make papermill's cell of parameters a part of the lesson's own, so that JupyterLab's count is ours."""
        cells = notebook.cells
        own = next(i for i, cell in enumerate(cells) if "injected-parameters" in cell.metadata.tags) - 1
        cells[own].source += "\n\n" + cells.pop(own + 1).source
        self.cells = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in cells)

    def cell_starts(self, cell: Any, cell_index: int) -> None:
        self.cell, self.index = self.cell + 1, cell_index

    def where(self) -> str:
        """The code cell by the number that JupyterLab shows beside it after Run All Cells."""
        return f"cell [{self.cell}] of {self.cells}" if self.cell else "before its first cell"

    def write(self, text: str) -> None:
        """Receive what the lesson prints."""
        self.last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), self.last)

    def flush(self) -> None:
        pass

    def __enter__(self) -> Progress:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stop.set()
        self._thread.join()
        end = "failed" if kind else "done"
        self.say(("\r\x1b[K" if self._live else "") + f"{self.label}  {end}, {self.minutes():.1f} min")

    def minutes(self) -> float:
        return (time.time() - self._began) / 60

    def _watch(self) -> None:
        ticks = 0
        while not self._stop.wait(1):
            ticks += 1
            self.peak_gib = max(self.peak_gib, _tree_memory() / 2**30)
            line = f"{self.label}  {self.where()}  {self.minutes():.1f} min  {self.last}"
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{line[:width]}", end="", flush=True)
            elif ticks % 30 == 0:
                self.say(line[:160])


def _tree_memory() -> int:
    """Resident bytes of everything this process started: the kernel of the lesson and what it runs."""
    import psutil

    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            total += process.memory_info().rss
    return total


def write_json(path: Path, data: Any) -> None:
    """Write JSON under a temporary name and rename."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(json.dumps(data, indent=1))
    temporary.replace(path)


def publish(folder: Path, pictures: Sequence[str] = tuple(PICTURES)) -> None:
    """For maintainers: copy a finished run's pictures to figures/ and its CSV files to the packaged reference run."""
    from PIL import Image

    if not (folder / "manifest.json").is_file():
        raise UserError(f"{folder.name} holds no finished run (no manifest.json): run all lessons first")
    manifest = json.loads((folder / "manifest.json").read_text())
    profile, stamps = manifest["profile"], {}
    about = {"profile": profile["name"], "model": profile["model"], "commit": manifest["commit"]}
    for name in pictures:
        shutil.copyfile(folder / "figures" / f"{name}.png", root() / "figures" / f"{name}.png")
        with Image.open(folder / "figures" / f"{name}.png") as image:
            stamps[name] = about | {"stamp": image.text["Description"]}  # `Run.figure` wrote it into the file
            small = image.convert("RGB").resize((THUMB, round(image.height * THUMB / image.width)))
        if name in THUMBS:
            card = Image.new("RGB", (THUMB, THUMB * 2 // 3), "white")
            card.paste(small)  # what is taller is cut below
            card.save(root() / "figures" / "thumbs" / f"{name}.png", optimize=True)
    (root() / "figures" / "pipeline.svg").write_text(pipeline.picture(), encoding="utf-8")
    write_json(root() / "figures" / "figures.json", stamps)
    for name in ("scores.csv", "answers.csv", "designs.csv", "beyond.csv"):
        shutil.copyfile(folder / name, REFERENCE / name)
    (nats,) = (folder / "when_it_pays").glob("nats-*.csv")  # recorder.csv has all arms: tests/perf/recorder_seeds.py
    shutil.copyfile(nats, REFERENCE / "nats.csv")
    write_json(REFERENCE / "about.json", about | {"minutes": manifest["minutes_total"]})
    readme = root() / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(TABLE_BEGINS)
    table = f"{TABLE_BEGINS}\n\n{readme_table(score.read_csv(folder / 'scores.csv'))}\n\n{TABLE_ENDS}"
    readme.write_text(before + table + rest.split(TABLE_ENDS)[1], encoding="utf-8")
