"""The commands that publish a finished run, beside those of `helpers.__main__`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Option("--run", help="the folder of a finished run")]


def site(
    run: Run = Path("runs/cpu"), to: Annotated[Path, typer.Option("--to", help="folder to fill")] = Path("site")
) -> None:
    """Write the static site of a finished run: lessons, results, documents and slides."""
    from .site import write

    write(run, to)


def slides(
    run: Run = Path("runs/cpu"),
    to: Annotated[Path, typer.Option("--to", help="folder to fill")] = Path("slides"),
    lessons: Annotated[str | None, typer.Option(help="numbers, such as 01,03")] = None,
) -> None:
    """Write each lesson of a finished run as slides, one HTML file a lesson that needs nothing else."""
    from ..machine.places import place, shown
    from .slides import write

    decks = write(run, place(to), lessons=lessons)
    print(f"open {shown(to)}/{decks[0].name} in a browser; the arrow keys turn the slides")
