"""The student edition: the lessons without their solutions, in a folder of its own.

A solution is a cell with the tag "solution". The folder holds `notebooks/` and `edition.json`, which marks it as a
course's folder: its lessons run on the installed package, and their files go to `runs/` beside `notebooks/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..machine.files import rename
from ..machine.places import EDITION, place, root, shown
from ..report.lessons import choose
from .exercises import calls, sources


def write(to: Path, lessons: str | None = None, force: bool = False, say: Callable = print) -> Path:
    """Write the student edition to `to` (a relative one lies below the course's folder) and return that folder.

    `lessons`: numbers such as "01,03"; None for all. A notebook that nobody has touched is brought up to date. One
    that a student has worked in stops everything (UserError); with `force` it is kept under another name.
    """
    folder, made, exercises = place(to), {}, {}
    if folder.resolve() == root().resolve():
        raise UserError("--to names the folder that the lessons come from: choose another one")
    for path in choose(lessons):
        notebook = without_solutions(json.loads(path.read_text(encoding="utf-8")))
        made[path.name] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        exercises |= calls(sources(notebook))
    known = read(folder)
    changed = [
        name for name, text in made.items() if _digest(folder / "notebooks" / name) not in _ours(known, name, text)
    ]
    if changed and not force:
        raise UserError(
            f"{shown(to)} holds work in {', '.join(changed)}, so nothing was written: choose another folder, "
            "or add --force to keep that work under another name"
        )
    try:
        (folder / "notebooks").mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            target = folder / "notebooks" / name
            if name in changed:
                say(f"kept {name} as {_set_aside(target).name}")
            _replace(target, text)
        digests = {name: _digest(folder / "notebooks" / name) for name in made}
        if (glossary := root() / "docs" / "GLOSSARY.md").is_file():  # the lessons link to it
            (folder / "docs").mkdir(exist_ok=True)
            _replace(folder / "docs" / glossary.name, glossary.read_text(encoding="utf-8"))
        merged = {"notebooks": known.get("notebooks", {}) | digests, "checks": known.get("checks", {}) | exercises}
        _replace(folder / EDITION, json.dumps(merged, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write to {shown(to)} ({error.strerror}): choose another folder with --to") from None
    say(f"{len(made)} lessons without solutions in {shown(to)}; there: jupyter lab {'notebooks/' + min(made)}")
    return folder


def without_solutions(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook without its cells tagged "solution"; everything else stays as it is."""
    kept = [cell for cell in notebook["cells"] if "solution" not in cell["metadata"].get("tags", [])]
    return notebook | {"cells": kept}


def read(folder: Path) -> dict[str, Any]:
    """What edition.json says: {"notebooks": {name: sha256 as written}, "checks": {check: arguments}}, or {} without one."""
    try:
        found = json.loads((folder / EDITION).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _ours(known: dict[str, Any], name: str, text: str) -> tuple[str | None, ...]:
    """The digests that a file may have without being a student's work: none, what was written, what will be."""
    return None, known.get("notebooks", {}).get(name), hashlib.sha256(text.encode()).hexdigest()


def _set_aside(path: Path) -> Path:
    """Rename a student's notebook to the first free name of `02_…-kept.ipynb`, `02_…-kept-2.ipynb`."""
    for n in range(1, 1000):
        kept = path.with_name(f"{path.stem}-kept{f'-{n}' if n > 1 else ''}.ipynb")
        if not kept.exists():
            break
    rename(path, kept)
    return kept


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(text.encode())  # not write_text: the same bytes on Windows
    rename(temporary, path)
