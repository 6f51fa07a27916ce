"""One rule for every folder that a person names, so that a lesson and the command line mean the same one."""

from __future__ import annotations

import os
from pathlib import Path

EDITION = "edition.json"  # marks a student edition, which has no pyproject.toml


def root() -> Path:
    """The course's folder: the first one upwards from here with notebooks/ and pyproject.toml or edition.json, else this."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        marked = any((folder / mark).is_file() for mark in ("pyproject.toml", EDITION))
        if marked and (folder / "notebooks").is_dir():
            return folder
    return here


def place(named: str | Path) -> Path:
    """The folder that SPT_DATA, SPT_CACHE or `--to` names: an absolute one, or one below the course's folder.

    So a relative name means the same in a lesson, whose kernel works in notebooks/, and anywhere in a terminal.
    """
    return root() / Path(named).expanduser()


def shown(named: str | Path) -> str:
    """What `place` makes of a name, for a message: an absolute name as it is, else below the name of the course's folder."""
    return named if os.path.isabs(os.path.expanduser(named)) else f"{root().name}/{Path(named).as_posix()}"


def seen_from(path: str | Path, start: str | Path | None = None) -> str:
    """`path` relative to `start` (default: the current folder); absolute if it is on another drive of Windows."""
    try:
        return os.path.relpath(path, start)
    except ValueError:  # no relative path leads from C: to D:
        return os.path.abspath(path)
