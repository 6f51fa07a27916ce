"""The command line over the course's steps: `python -m helpers --help`.

A mistake of the user is one line on stderr and exit code 2; a failure in the work is exit code 1.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .classroom import commands
from .errors import UserError
from .options import BaseUrl, Concurrency, DryRun, MaxCost, Model, Out, Price, Profile_, Timeout, Unsandboxed, Yes
from .report import commands as publishing

if TYPE_CHECKING:
    from .chat.money import Bill

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def course(
    debug: Annotated[
        bool, typer.Option("--debug", help="show the whole traceback of an error; it may stand anywhere")
    ] = False,
) -> None:
    """Start with `doctor`, then `run`. Every command is a step of the course.

    A mistake of yours is one line and exit code 2. A failure in the work is one line and exit code 1.
    """


@app.command()
def doctor(line: Annotated[bool, typer.Option("--line", help="one line to send to the instructor")] = False) -> None:
    """What this machine can run, line by line."""
    from .machine import doctor as doctor_

    raise typer.Exit(1 if (doctor_.preflight if line else doctor_.report)(doctor_.lines()) else 0)


@app.command("run")
def run_(
    profile: Profile_ = "cpu",
    lessons: Annotated[str | None, typer.Option(help="numbers, such as 01,03")] = None,
    out: Out = None,
    unsandboxed: Unsandboxed = False,
) -> None:
    """Execute lessons and write the report.

    A lesson that stops ends the run: the report shows what is there and says what is missing.
    """
    from . import models, profiles
    from .machine.places import seen_from
    from .report.lessons import choose, run_lessons
    from .run import open_run

    _tell_unsandboxed(unsandboxed)
    notebooks = choose(lessons)  # a wrong number is found before a folder is made
    models.need_device(profiles.get(profile))
    report = run_lessons(open_run(profile, out), notebooks)
    print(f"open {seen_from(report)} in a browser")


def _tell_unsandboxed(unsandboxed: bool) -> None:
    from .benchmarks import sandbox

    if unsandboxed:
        print(sandbox.allow_unsandboxed(), file=sys.stderr)


@app.command()
def prefetch(
    to: Annotated[Path, typer.Option("--to", help="folder to fill")],
    profile: Profile_ = "cpu",
    packages: Annotated[bool, typer.Option("--packages", help="the Python packages for this system, too")] = False,
    systems: Annotated[str, typer.Option("--for", help="and for other systems of the room: windows,macos")] = "",
) -> None:
    """Fetch the profile's model and data into a folder, for a room without internet; say how to get the packages."""
    from .machine import prefetch as prefetch_

    prefetch_.prefetch(profile, to, packages, [s.strip() for s in systems.split(",") if s.strip()])


@app.command()
def annotate(
    out: Annotated[Path, typer.Option("--out", help="folder for the results")],
    data: Annotated[
        str, typer.Option("--data", help="lima, packaged, hub:NAME, or a file or folder of dialogues (docs/DATA.md)")
    ] = "lima",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without rows that cannot be used")] = False,
    annotator: Annotated[
        str, typer.Option(help="packaged: our annotations where we have them; server: ask for all")
    ] = "packaged",
    base_url: BaseUrl = None,
    model: Model = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = 120.0,
    price: Price = None,
    max_cost: MaxCost = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Write LIMA-Role: our own annotations for questions we know, a server for the others."""
    from . import annotate as annotate_
    from .chat import EndpointChat
    from .data import lima, source_for

    if annotator not in ("packaged", "server"):
        raise UserError(f"unknown annotator {annotator!r}: choose packaged or server")
    if annotator == "server" and not model:
        raise UserError("--annotator server needs --model, the annotator's name")
    packaged = annotator == "packaged"
    dialogues = lima.dialogues(source_for("hub") if data == "lima" else data, skip_bad)
    chat = EndpointChat(model, base_url, concurrency, timeout, price=_price(price), max_usd=max_cost) if model else None
    if dry_run:
        print(annotate_.plan(dialogues, out, chat, packaged=packaged))
        return
    annotate_.annotate(dialogues, out, chat, packaged=packaged, approve=_approval(yes))


def _approval(yes: bool) -> Callable[[Bill], None]:
    """Asks whoever sits there to agree to a bill, unless `--yes` has."""

    def approve(bill: Bill) -> None:
        if not bill.usd_at_most or yes:
            return
        if not sys.stdin.isatty():
            raise UserError(
                f"this may cost up to {bill.usd_at_most:.2f} USD: add --yes to agree (and --max-cost for a cap)"
            )
        typer.confirm("ask?", abort=True)

    return approve


def _price(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
        if not (0 <= read < float("inf") and 0 <= written < float("inf")):
            raise ValueError
    except ValueError:
        raise UserError(f"--price {text!r}: give two numbers, READ,WRITTEN, in USD per million tokens") from None
    return read, written


@app.command()
def audit(
    rows: Annotated[Path, typer.Option(help="a lima_role.jsonl")],
    sheet: Annotated[Path, typer.Option(help="the CSV to tick")] = Path("audit.csv"),
    n: Annotated[int, typer.Option(min=1, help="rows to draw")] = 100,
    seed: int = 0,
) -> None:
    """Draw a sheet of rows to audit; once a person has ticked it, print the result beside the paper's."""
    from . import annotate as annotate_
    from . import paper, stats
    from .data.lima import load_rows

    if not sheet.exists():
        drawn = annotate_.audit_sheet(load_rows(rows), n, sheet, seed)
        print(f"{sheet.name}: {len(drawn)} rows; write yes or no under description_ok and role_ok, then run this again")
        return
    for aspect, (right, ticked) in annotate_.audit_result(sheet).items():
        if not ticked:
            print(f"{aspect:22} nothing ticked yet")
            continue
        share, low, high = stats.wilson(right, ticked)
        print(
            f"{aspect:22} {right:3} of {ticked:3} right, {100 * share:5.1f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}] · paper {paper.AUDIT[aspect]} of 100"
        )


@app.command()
def push(
    repo: Annotated[str, typer.Option(help="the name on the hub, user/name")],
    rows: Annotated[Path | None, typer.Option(help="a finished lima_role.jsonl, to upload as a data set")] = None,
    model: Annotated[Path | None, typer.Option(help="a tuned model's folder, to upload as a model")] = None,
    public: Annotated[bool, typer.Option("--public", help="for everyone to read; the default is private")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="make card and files, upload nothing")] = False,
) -> None:
    """Upload a finished LIMA-Role, or a tuned model, to the hub, with a card that states where it comes from."""
    from .annotate import publish as data_set
    from .finetune import card

    if (rows is None) == (model is None):
        raise UserError("say what to upload: --rows FILE or --model DIR")
    if rows:
        data_set.push_to_hub(rows, repo, private=not public, dry_run=dry_run)
    else:
        card.push_model(model, repo, private=not public, dry_run=dry_run)


@app.command()
def finetune(
    arm: Annotated[str, typer.Option(help="lima, role or record")],
    out: Annotated[Path, typer.Option("--out", help="folder for the model")],
    seed: int = 0,
    profile: Profile_ = "cpu",
    rows: Annotated[Path | None, typer.Option(help="a lima_role.jsonl; default: annotate the profile's data")] = None,
    model: Annotated[str | None, typer.Option(help="another model than the profile's: a hub name or a folder")] = None,
    report_to: Annotated[str, typer.Option(help="tensorboard, wandb, trackio or none")] = "none",
) -> None:
    """Tune the profile's model on LIMA or LIMA-Role."""
    from . import finetune as finetune_
    from . import models, profiles
    from .data import lima, source_for
    from .run import Run

    settings = profiles.get(profile, **({"model": model} if model else {}))
    models.need_device(settings)
    source_for(settings.source)
    if arm not in (known := dict.fromkeys((*finetune_.ARMS, *finetune_.STRATEGIES))):
        raise UserError(f"unknown arm {arm!r}: choose {', '.join(known)}")
    own = out.parent / "lima_role.jsonl"
    if rows or own.is_file():
        data = lima.load_rows(rows or own)
    else:
        with tempfile.TemporaryDirectory() as folder:  # beside the model nothing is written
            data = Run(settings, Path(folder)).annotated()
    finetune_.finetune(settings, arm, data, out, seed, report_to=report_to)


@app.command()
def merge(
    adapter: Annotated[Path, typer.Option("--model", help="a model tuned with LoRA or QLoRA")],
    out: Annotated[Path, typer.Option("--out", help="folder for the plain model")],
    profile: Profile_ = "cpu",
) -> None:
    """Fold an adapter into its base model."""
    from . import finetune as finetune_
    from . import profiles

    finetune_.merge(profiles.get(profile), adapter, out)
    print(f"{out.name}: a plain model, ready to score")


@app.command()
def score(
    model: Annotated[
        str, typer.Option(help="base, a folder (tuned or not), a hub name, or the name that the server knows it by")
    ],
    benchmarks: Annotated[str, typer.Option(help="names, such as mmlu,gsm8k, or all")],
    out: Annotated[Path, typer.Option("--out", help="folder for the results")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="questions a benchmark; default: the profile's number")
    ] = None,
    profile: Profile_ = "cpu",
    arm: Annotated[
        str | None, typer.Option(help="its name in the table; default: the tuned arm, base, or the model's short name")
    ] = None,
    stage2: Annotated[
        str | None, typer.Option(help="continue (the same turn), turn (a new one of the user), or none")
    ] = None,
    base_url: BaseUrl = None,
    prompt: Annotated[
        str, typer.Option(help="frame (the paper's prompt, as in training) or chat (the model's own chat template)")
    ] = "frame",
    concurrency: Concurrency = 8,
    timeout: Timeout = 120.0,
    price: Price = None,
    max_cost: MaxCost = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    unsandboxed: Unsandboxed = False,
) -> None:
    """Score a model on benchmarks; the table goes to the screen and to scores.csv."""
    from . import benchmarks as benchmarks_
    from . import profiles
    from . import score as score_
    from .benchmarks import sandbox

    _tell_unsandboxed(unsandboxed)
    names = list(benchmarks_.BENCHMARKS) if benchmarks == "all" else [b.strip() for b in benchmarks.split(",")]
    settings = profiles.get(profile, **({"stage2": stage2} if stage2 else {}))
    for name in names:
        benchmarks_.get(name)
    if prompt not in ("frame", "chat"):
        raise UserError(f"unknown --prompt {prompt!r}: choose frame or chat")
    if arm and not re.fullmatch(r"[\w.+-]+", arm):
        raise UserError(f"--arm {arm!r} is to name a folder: use letters, digits, dots and dashes")
    model = settings.model if model == "base" else model
    own_arm, seed = score_.arm_of(model, settings)
    own_arm += "_chat" if prompt == "chat" and not base_url else ""  # two rows of one model
    folder = score_.generations(out, arm or own_arm, seed)
    if "humaneval" in names and benchmarks != "all" and not sandbox.permitted():
        raise sandbox.SandboxMissing  # asked for by name, it is refused rather than left out
    rows = score_.questions(settings, names, limit)  # bad data is told before a model is loaded
    if base_url:
        options = {"base_url": base_url, "prompt": prompt, "concurrency": concurrency, "timeout": timeout}
        chat = score_.endpoint_chat(model, **options, price=_price(price), max_usd=max_cost)
        bill = score_.plan(settings, chat, rows, folder)
        if dry_run:
            print(bill)
            return
    elif dry_run:
        print(f"{model}: {sum(map(len, rows.values())):,} questions, asked on this machine")
        return
    else:
        chat = score_.local_chat(settings, model, prompt)
    out.mkdir(parents=True, exist_ok=True)
    table = score_.score(settings, chat, out, arm or own_arm, seed, names, limit, approve=_approval(yes))
    print(score_.shown(table, settings))


@app.command()
def judge(
    a: Annotated[str, typer.Option("--a", help="the first arm: a model's folder, or a JSONL file of its answers")],
    b: Annotated[str, typer.Option("--b", help="the second arm, likewise")],
    out: Annotated[Path, typer.Option("--out", help="folder for the results: a run's, or any other")],
    base_url: BaseUrl = None,
    model: Annotated[str | None, typer.Option(help="the judge: a name the server knows, or a local folder")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="questions; default: all")] = None,
    profile: Profile_ = "cpu",
    concurrency: Concurrency = 8,
    timeout: Timeout = 120.0,
    price: Price = None,
    max_cost: MaxCost = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Let a model judge which of two arms answers open questions better, each pair in both orders."""
    from . import judge as judge_
    from . import profiles, score
    from .chat import EndpointChat
    from .data import source_for
    from .judge import verdicts

    if not model:
        raise UserError("give --model, the judge's name (and --base-url for a server other than OpenAI's)")
    settings = profiles.get(profile)
    asked = judge_.questions(source_for(settings.source))[:limit]
    arms = [judge_.answers_of(where, settings, asked, out, estimate=True) for where in (a, b)]  # is there anything?
    if base_url is None and (Path(model).is_dir() or model == settings.model):
        chat = score.local_chat(settings, model)
    else:
        chat = EndpointChat(model, base_url, concurrency, timeout, price=_price(price), max_usd=max_cost)
        if not dry_run:
            chat.client  # noqa: B018  a missing key is told before a model answers for minutes
    if dry_run:
        print(judge_.plan(judge_.pairs(arms[0][1], arms[1][1])[:limit], out, chat))
        return
    (first, rows_a), (second, rows_b) = (judge_.answers_of(where, settings, asked, out) for where in (a, b))
    names = (first, second) if first != second else (f"{first} (a)", f"{second} (b)")
    pairs = judge_.pairs(rows_a, rows_b)[:limit]
    comparison = judge_.judge(pairs, names, out, chat, approve=_approval(yes))
    print("\n".join(verdicts.lines(comparison)))


@app.command("chat")
def chat_(
    model: Annotated[str, typer.Option(help="base, lima, role, a folder, or the name that the server knows")] = "role",
    profile: Profile_ = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="the run whose arms answer; default runs/PROFILE")] = None,
    base_url: BaseUrl = None,
) -> None:
    """Talk to a model in the terminal: any arm of a run, its role prompt apart from its answer."""
    from . import profiles
    from .chat.talk import talk

    talk(profiles.get(profile), out, model, base_url)


app.command()(commands.student)
app.command()(commands.progress)
app.command()(publishing.site)
app.command()(publishing.slides)


@app.command(hidden=True)
def publish(folder: Path) -> None:
    """For maintainers: a finished run's pictures to figures/, its tables to the packaged reference run."""
    from .report.lessons import publish as publish_

    publish_(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments  # in any position, so typer only lists it
    arguments = [a for a in arguments if a != "--debug"] or ["--help"]
    try:
        code = app(arguments, standalone_mode=False) or 0
        if code == 130:  # how typer hands on Ctrl-C
            raise KeyboardInterrupt
        return code
    except UserError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return error.exit_code
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
