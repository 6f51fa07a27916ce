"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Profile_ = Annotated[str, typer.Option("--profile", help="cpu, small, qlora or a100")]
Out = Annotated[Path | None, typer.Option("--out", help="folder for the results")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="an OpenAI-compatible server")]
Model = Annotated[str | None, typer.Option("--model", help="a model's name or folder")]
Unsandboxed = Annotated[
    bool, typer.Option("--unsandboxed", help="where no sandbox works, run HumanEval's programs with your own rights")
]

Concurrency = Annotated[int, typer.Option(min=1, help="requests at the same time")]
Timeout = Annotated[float, typer.Option(min=1, help="seconds that a request may be silent")]
Price = Annotated[str | None, typer.Option(help="READ,WRITTEN in USD per million tokens; goes before our table")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="USD this call of the command may spend")]
Yes = Annotated[bool, typer.Option("--yes", help="agree to the price where nobody can type")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what it would cost, ask nobody, write nothing")]
