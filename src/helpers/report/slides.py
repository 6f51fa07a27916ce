"""A lesson as slides: one HTML file with everything inside, made from the same cells as the lesson.

Jupyter's own slide types say which cells are shown. "slide" (or "subslide") begins a slide, at the cell's first heading if
it has one; each further heading begins another. "fragment" continues a slide, up to the cell's first heading. A cell
without a type is not shown. Texts and types come from the course's notebooks, outputs from a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import pages
from .findings import count
from .lessons import choose

BEGIN, JOIN = ("slide", "subslide"), "fragment"
CODE_LINES = 4  # longer code is left out, and all code of a picture: a slide is for what it shows
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)


def write(
    folder: Path, to: Path, menu: pages.Menu = (), lessons: str | None = None, say: Callable = print
) -> list[Path]:
    """One deck for each lesson that the run in `folder` has executed, and index.html, which lists them; the decks' paths.

    `lessons`: numbers such as "01,03"; None for all. UserError if there is no slide to write.
    """
    decks = {}
    for notebook in choose(lessons):
        executed = folder / "lessons" / notebook.name
        if not executed.is_file() or not (slides := cut(notebook, executed)):
            continue
        to.mkdir(parents=True, exist_ok=True)
        title, made = pages.title_of(notebook), to / f"{notebook.stem}.html"
        shown = [(section, _html(slide, folder)) for section, slide in slides]
        made.write_text(
            pages.render("slides", title=title, slides=shown, colours=pages.code_colours()), encoding="utf-8"
        )
        decks[made] = f"{title}: {count(len(slides), 'slide')}"
        say(f"{made.name}: {count(len(slides), 'slide')}")
    if not decks:
        raise UserError(
            f"no slides: {folder} holds no executed lesson with a cell that has a slide type; run the lessons first"
        )
    keys = "Arrow keys turn the slides. Home and End lead to the first and the last."
    entries = {made.name: called for made, called in decks.items()}
    (to / "index.html").write_text(pages.index("Slides", keys, entries, "slides/index.html", menu), encoding="utf-8")
    return list(decks)


def _html(slide: Any, folder: Path) -> str:
    """A slide without links to other pages of the course, since it is one file."""
    html = pages.relinked(pages.notebook_html(slide, folder), lambda link: None)
    return pages.HEADING.sub(r"<h\1>\2</h\1>", html)


def cut(notebook: Path, executed: Path) -> list[tuple[str, Any]]:
    """The slides of a lesson, each a small notebook, with the heading of the section that it stands in ("" if it has its own)."""
    import nbformat

    source, outputs = nbformat.read(notebook, as_version=4), {}
    for cell in nbformat.read(executed, as_version=4).cells:
        outputs[cell.id] = cell.get("outputs", [])
    slides: list[tuple[str, Any]] = []
    section = ""
    for cell in source.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        parts = _parts(cell)
        named = [part for part in parts if HEADING.match(part.source)] if cell.cell_type == "markdown" else []
        if kind in BEGIN:
            for part in named or parts:
                slides.append(("" if named else section, nbformat.v4.new_notebook(metadata=source.metadata)))
                slides[-1][1].cells.append(part)
        elif kind == JOIN and slides:
            slides[-1][1].cells += [part for part in parts[:1] if part not in named]
        if named:
            section = re.sub(r"[*`]", "", HEADING.match(named[-1].source)[1])
        if cell.cell_type == "code":
            _show(cell, outputs.get(cell.id, []))
    return slides


def _parts(cell: Any) -> list[Any]:
    """A cell of text cut before its headings; any other cell as it is."""
    if cell.cell_type != "markdown":
        return [cell]
    parts = []
    for text in filter(str.strip, re.split(r"^(?=#{1,3} )", cell.source, flags=re.MULTILINE)):
        parts.append(deepcopy(cell))
        parts[-1].source = text
    return parts


def _show(cell: Any, outputs: list[Any]) -> None:
    """Give a cell of code its outputs; a picture or a drawing is shown alone."""
    pictures = [
        one for one in outputs if "image/png" in (data := one.get("data", {})) or "<svg" in data.get("text/html", "")
    ]
    cell.outputs = pictures or outputs
    hidden = bool(pictures) or (bool(outputs) and cell.source.count("\n") >= CODE_LINES)
    cell.metadata["transient"] = {"remove_source": hidden}
