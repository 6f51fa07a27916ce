"""Run the lessons unattended with papermill.

`run_lessons` executes the very notebooks a student opens, one after the other, into a run folder.
Then the report is written, and last the manifest: where it exists, the run is complete.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import benchmarks, models, score
from ..data import REFERENCE
from ..errors import UserError
from ..machine import provenance
from ..machine.places import root, seen_from
from ..profiles import DEFAULT_MODEL
from .page import readme_table, write_report
from .pictures import PICTURES

if TYPE_CHECKING:
    from ..run import Run

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


def run_lessons(this: Run, notebooks: Sequence[Path], say: Callable = print) -> Path:
    """Execute lessons (of `choose`) into the run's folder and return its report, index.html."""
    models.need_device(this.profile)
    this.dialogues()  # bad data is told now, not after minutes of training
    score.questions(this.profile, list(benchmarks.BENCHMARKS))
    (this.folder / "manifest.json").unlink(missing_ok=True)  # an unfinished run has none
    began = time.time()
    if this.profile.model == DEFAULT_MODEL:
        models.fetch_default(say)
    fetched = time.time()
    minutes, peak = {}, 0.0
    for n, notebook in enumerate(notebooks, 1):
        started = time.time()
        with Progress(f"[{n}/{len(notebooks)}] {notebook.stem}", say) as progress:
            execute(notebook, this, progress)
        peak = max(peak, progress.peak_gib)
        minutes[notebook.stem] = round((time.time() - started) / 60, 2)
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
    report = write_report(this, manifest)
    write_json(this.folder / "manifest.json", manifest)
    say(f"{len(minutes)} lessons in {manifest['minutes_total']:.1f} minutes, peak memory {peak:.1f} GiB")
    return report


def execute(notebook: Path, this: Run, progress: Progress | None = None) -> None:
    """Execute one lesson into <run>/lessons. RuntimeError names the cell that failed."""
    import papermill

    target = this.folder / "lessons" / notebook.name
    target.parent.mkdir(parents=True, exist_ok=True)
    parameters = {
        "PROFILE": this.profile.name,
        "RUN": seen_from(this.folder, notebook.parent),  # a relative path: nothing personal in the output
        "OVERRIDES": this.overrides,
    }
    # For papermill an unknown parameter is only a warning; a lesson that ignores its profile must not pass.
    if unknown := sorted(set(parameters) - set(papermill.inspect_notebook(str(notebook)))):
        raise RuntimeError(f"{notebook.name} has no parameter {unknown[0]}")
    try:
        result = papermill.execute_notebook(
            str(notebook),
            str(target),
            parameters,
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            stdout_file=progress,
            engine_name=_engine(progress),
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "UserError":
            raise UserError(f"{notebook.stem}: {error.evalue}") from error
        raise RuntimeError(f"{notebook.name}, cell {error.exec_count}: {error.ename}: {error.evalue}") from error
    code = [c for c in result.cells if c.cell_type == "code" and c.source.strip()]
    if any(c.execution_count is None for c in code):  # papermill passes a lesson that calls sys.exit(0)
        raise RuntimeError(f"{notebook.name} stopped before its last cell")
    _publish(target)


def _engine(progress: Progress | None) -> str:
    """papermill's own engine, telling `progress` which cell it is at."""
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets.config import Config

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            start = nb_man.cell_start
            if progress:
                progress.cells = len(nb_man.nb.cells)  # with the one that papermill puts in for the parameters

            def cell_start(cell, cell_index=None, **more):
                if progress:
                    progress.cell = (cell_index or 0) + 1
                return start(cell, cell_index, **more)

            nb_man.cell_start = cell_start
            if (
                os.name == "posix"
            ):  # sockets in files: a kernel on a TCP port can be reached by everybody on the machine
                kwargs["config"] = Config({"KernelManager": {"transport": "ipc"}})
            return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)

    papermill_engines.register("course", Engine)
    return "course"


ELSEWHERE = re.compile(r'<script[^>]*\ssrc="https?:[^"]*"[^>]*>\s*</script>')  # a script that another server holds


def _publish(path: Path) -> None:
    """Drop papermill's notes of local paths from an executed lesson, and render it as a page beside it."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    exporter = HTMLExporter(template_name="lab", exclude_input_prompt=True, exclude_output_prompt=True)
    page = exporter.from_notebook_node(notebook)[0]
    page = ELSEWHERE.sub("", page)  # it works offline: neither RequireJS nor MathJax, which our lessons do not need
    path.with_suffix(".html").write_text(page, encoding="utf-8")


class Progress:
    """Says which lesson, which cell, how many minutes and the last line printed; watches memory meanwhile.

    On a terminal the line is rewritten every second, elsewhere printed every half minute.
    """

    def __init__(self, label: str, say: Callable = print) -> None:
        self.label, self.say, self.cell, self.cells, self.last, self.peak_gib = label, say, 0, 0, "", 0.0
        self._stop = threading.Event()
        self._live = say is print and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Receive what the lesson prints."""
        self.last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), self.last)

    def flush(self) -> None:
        pass

    def __enter__(self) -> Progress:
        self._began = time.time()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stop.set()
        self._thread.join()
        end = "failed" if kind else "done"
        self.say(("\r\x1b[K" if self._live else "") + f"{self.label}  {end}, {self._minutes():.1f} min")

    def _minutes(self) -> float:
        return (time.time() - self._began) / 60

    def _watch(self) -> None:
        ticks = 0
        while not self._stop.wait(1):
            ticks += 1
            self.peak_gib = max(self.peak_gib, _tree_memory() / 2**30)
            line = f"{self.label}  cell {self.cell}/{self.cells}  {self._minutes():.1f} min  {self.last}"
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
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it ended meanwhile
            continue
    return total


def write_json(path: Path, data: Any) -> None:
    """Write JSON under a temporary name and rename."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(json.dumps(data, indent=1))
    temporary.replace(path)


def _stamp(picture: Path) -> str:
    """What a picture says it was computed from (`Run.figure` writes it into the file, too)."""
    from PIL import Image

    with Image.open(picture) as image:
        return image.text["Description"]


def publish(folder: Path, pictures: Sequence[str] = tuple(PICTURES)) -> None:
    """For maintainers: copy a finished run's pictures to figures/ and its CSV files to the packaged reference run."""
    manifest_path = folder / "manifest.json"
    if not manifest_path.is_file():
        raise UserError(f"{folder.name} holds no finished run (no manifest.json): run all lessons first")
    manifest = json.loads(manifest_path.read_text())
    scores = score.read_csv(folder / "scores.csv")
    target = root() / "figures"
    target.mkdir(exist_ok=True)
    for name in pictures:
        shutil.copyfile(folder / "figures" / f"{name}.png", target / f"{name}.png")
    about = {
        "profile": manifest["profile"]["name"],
        "model": manifest["profile"]["model"],
        "commit": manifest["commit"],
    }
    write_json(target / "figures.json", {name: about | {"stamp": _stamp(target / f"{name}.png")} for name in pictures})
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in ("scores.csv", "answers.csv", "designs.csv", "beyond.csv"):
        shutil.copyfile(folder / name, REFERENCE / name)
    write_json(REFERENCE / "about.json", about | {"minutes": manifest["minutes_total"]})
    readme = root() / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(TABLE_BEGINS)
    after = rest.split(TABLE_ENDS)[1]
    middle = f"\n\n{readme_table(scores)}\n\n"
    readme.write_text(before + TABLE_BEGINS + middle + TABLE_ENDS + after, encoding="utf-8")
