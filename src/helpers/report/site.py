"""The static site of a finished run: the course's front page and documents, the executed lessons, the results, the slides.

It is made of relative links only, so it works from a disk, a web server or a subfolder of one, and needs no network.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import profiles
from ..errors import UserError
from ..machine.places import place, root, shown
from . import pages, slides
from .page import report

MARK = ".nojekyll"  # tells GitHub to serve the files as they are, and us that a folder is a site of ours
MENU = (
    ("Course", "index.html"),
    ("Results", "results.html"),
    ("Slides", "slides/index.html"),
    ("Documents", "docs/index.html"),
    ("Glossary", "docs/GLOSSARY.html"),
)
BESIDE = (
    "*.csv",
    "metrics.json",
    "manifest.json",
    "figures/*",
    "lessons/*.ipynb",
)  # files of a run that its report links


def finished(folder: Path) -> dict[str, Any]:
    """The manifest of a finished run; UserError for any other folder."""
    try:
        return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{folder} holds no finished run (no manifest.json): run the lessons first, make course"
        ) from None


def write(folder: Path, to: Path, say: Callable = print) -> Path:
    """Write the site of the run in `folder` to `to`; a site that is there already is made anew. Returns its index.html."""
    manifest, target = finished(folder), place(to)
    if target.exists() and any(target.iterdir()) and not (target / MARK).is_file():
        raise UserError(f"{shown(to)} holds other files: choose an empty folder with --to")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / MARK).touch()
    texts = [p.relative_to(root()).as_posix() for p in (*root().glob("*.md"), *sorted(root().glob("docs/*.md")))]
    known = pages.sources(folder, texts)
    pages.write(folder, target, known, MENU, copy=True)
    documents = {f"../{known[name][1]}": pages.title_of(root() / name) for name in texts if name != "README.md"}
    listed = pages.index(
        "Documents", "What belongs to the course, beside its lessons.", documents, "docs/index.html", MENU
    )
    (target / "docs" / "index.html").write_text(listed, encoding="utf-8")
    profile = profiles.get(manifest["profile"]["name"], **manifest["overrides"])
    (target / "results.html").write_text(report(folder, profile, manifest, MENU), encoding="utf-8")
    for path in (path for pattern in BESIDE for path in folder.glob(pattern)):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
    decks = slides.write(folder, target / "slides", MENU, say=lambda text: None)
    say(f"{len(known)} pages, the results and {len(decks)} decks: open {shown(to)}/index.html in a browser")
    return target / "index.html"
