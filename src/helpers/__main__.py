"""The command line over the course's steps: `python -m helpers --help`.

A mistake of the user is one line on stderr and exit code 2; a failure in the work is exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Profile_ = Annotated[str, typer.Option("--profile", help="cpu, qlora or a100")]
Out = Annotated[Path | None, typer.Option("--out", help="folder for the results")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="an OpenAI-compatible server")]
Model = Annotated[str | None, typer.Option("--model", help="a model's name or folder")]


@app.command()
def doctor() -> None:
    """What this machine can run, line by line."""
    from . import doctor as doctor_

    raise typer.Exit(0 if doctor_.report() else 1)


@app.command("run")
def run_(
    profile: Profile_ = "cpu",
    lessons: Annotated[str | None, typer.Option(help="numbers, such as 01,03")] = None,
    out: Out = None,
) -> None:
    """Execute lessons with papermill and write the report."""
    from . import course

    report = course.run_lessons(profile, lessons, out)
    print(f"open {os.path.relpath(report)} in a browser")


@app.command()
def prefetch(
    to: Annotated[Path, typer.Option("--to", help="folder to fill")],
    profile: Profile_ = "cpu",
) -> None:
    """Fetch the profile's model and data into a folder, for a room without internet."""
    from . import prefetch as prefetch_

    prefetch_.prefetch(profile, to)


@app.command()
def annotate(
    data: Annotated[Path, typer.Option("--data", help="a JSONL file of dialogues")],
    out: Annotated[Path, typer.Option("--out", help="folder for the results")],
    base_url: BaseUrl = None,
    model: Model = None,
    concurrency: Annotated[int, typer.Option(min=1)] = 8,
) -> None:
    """Write LIMA-Role for a file of dialogues: packaged annotations first, a server for the rest."""
    from . import annotate as annotate_
    from .chat import EndpointChat
    from .data.lima import dialogues

    chat = EndpointChat(model, base_url, concurrency) if model else None
    annotate_.annotate(dialogues(str(data)), out, chat)


@app.command()
def finetune(
    arm: Annotated[str, typer.Option(help="lima or role")],
    out: Annotated[Path, typer.Option("--out", help="folder for the model")],
    seed: int = 0,
    profile: Profile_ = "cpu",
    rows: Annotated[Path | None, typer.Option(help="a lima_role.jsonl; default: annotate the profile's data")] = None,
) -> None:
    """Tune the profile's model on LIMA or LIMA-Role."""
    from . import finetune as finetune_
    from . import models, profiles
    from .data import source_for
    from .run import Run

    settings = profiles.get(profile)
    models.need_device(settings)
    source_for(settings.source)
    if arm not in finetune_.ARMS:
        raise UserError(f"unknown arm {arm!r}: choose lima or role")
    data = finetune_.load_rows(rows) if rows else Run(settings, out.parent).annotated()
    finetune_.finetune(settings, arm, data, out, seed)


@app.command()
def score(
    model: Annotated[str, typer.Option(help="a tuned model's folder, a hub name, or a name the server knows")],
    benchmarks: Annotated[str, typer.Option(help="names, such as mmlu,gsm8k, or all")],
    out: Annotated[Path, typer.Option("--out", help="folder for the results")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="questions a benchmark; default: the profile's number")
    ] = None,
    profile: Profile_ = "cpu",
    base_url: BaseUrl = None,
) -> None:
    """Score a model on benchmarks; the table goes to the screen and to scores.csv."""
    from . import benchmarks as benchmarks_
    from . import profiles
    from . import score as score_
    from .chat import EndpointChat

    names = list(benchmarks_.BENCHMARKS) if benchmarks == "all" else [b.strip() for b in benchmarks.split(",")]
    settings = profiles.get(profile)
    for name in names:
        benchmarks_.get(name)
    score_.questions(settings, names, limit)  # bad data is told before a model is loaded
    chat = EndpointChat(model, base_url) if base_url else score_.local_chat(settings, model)
    arm, seed = score_.arm_of(model)
    out.mkdir(parents=True, exist_ok=True)
    table = score_.score(settings, chat, out, arm, seed, names, limit)
    print(table.to_string(index=False))


@app.command(hidden=True)
def publish(folder: Path) -> None:
    """For maintainers: a finished run's pictures to figures/, its tables to the packaged reference run."""
    from . import course

    course.publish(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"] or ["--help"]
    try:
        return app(arguments, standalone_mode=False) or 0
    except UserError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return 2
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        if hasattr(error, "format_message"):  # wrong options or arguments
            print(f"{error.format_message()} (see python -m helpers --help)", file=sys.stderr)
            return 2
        print(f"{type(error).__name__}: {error} (run with --debug for the details)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
