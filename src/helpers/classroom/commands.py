"""The commands of a class, beside those of `helpers.__main__`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError


def student(
    to: Annotated[Path, typer.Option("--to", help="folder for the student edition")],
    lessons: Annotated[str | None, typer.Option(help="numbers, such as 01,03")] = None,
    force: Annotated[bool, typer.Option("--force", help="keep students' work there under another name")] = False,
) -> None:
    """Write the lessons without their solutions; what a student has worked in is never overwritten."""
    from . import edition

    edition.write(to, lessons, force)


def progress(
    where: Annotated[list[Path] | None, typer.Argument(help="a folder or notebooks; default: the course's")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="also write all of it to this file")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="time for one exercise")] = 30.0,
) -> None:
    """Which exercises are solved in saved notebooks; it runs the code of the exercises, and nothing else of a lesson."""
    from .progress import progress as progress_

    if json_ and not json_.absolute().parent.is_dir():
        raise UserError(f"there is no folder for {json_}: make it first")
    found = progress_(where or (), seconds)
    if json_:
        json_.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
