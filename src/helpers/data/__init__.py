"""Where rows come from: a local folder (SPT_DATA), the hub, or the packaged samples.

The one idea: every reader yields plain dicts in the layout of the original data file, so the same
code reads a real benchmark and our own sample of it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..machine.places import place, shown

SAMPLES = Path(__file__).parent / "samples"
REFERENCE = SAMPLES / "reference"  # the CSV files of a real `cpu` run, for lessons taught alone


def source_for(preferred: str) -> str:
    """The source to read: SPT_DATA goes before whatever the profile prefers; a wrong SPT_DATA is told at once."""
    if not os.environ.get("SPT_DATA"):
        return preferred
    local_folder()
    return "local"


def local_folder() -> Path:
    """The folder that SPT_DATA names, absolute or below the course's folder (layout: docs/DATA.md)."""
    value = os.environ.get("SPT_DATA")
    if not value:
        raise UserError("no local data: set SPT_DATA to a folder laid out as docs/DATA.md says")
    folder = place(value)
    if not folder.is_dir():
        raise UserError(
            f"SPT_DATA names {value!r}, which is not a folder (there is no {shown(value)}): "
            "correct it, or unset it for the samples"
        )
    return folder


def read_jsonl(path: Path, required: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """All rows of a .jsonl or .jsonl.gz file; UserError names the file and line of the first damaged one."""
    if not path.is_file():
        shown = f"{path.parent.name}/{path.name}".lstrip("/")
        raise UserError(f"missing data file {shown}: see docs/DATA.md for where it belongs")
    rows = []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        lines = enumerate(file, 1)
        while True:
            try:
                number, line = next(lines)
            except StopIteration:
                return rows
            except (EOFError, OSError, zlib.error):
                raise UserError(f"{path.name} is damaged or incomplete: fetch it again") from None
            try:
                row = json.loads(line)
            except ValueError:
                raise UserError(f"{path.name}, line {number}: not valid JSON; repair or remove the line") from None
            missing = [name for name in required if name not in row] if isinstance(row, dict) else ["an object"]
            if missing:
                raise UserError(f"{path.name}, line {number}: no {missing[0]!r}; repair or remove the line")
            rows.append(row)


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> Path:
    """Rows as a .jsonl or .jsonl.gz file, under a temporary name first: the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with (gzip.open if path.suffix == ".gz" else open)(temporary, "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    temporary.replace(path)
    return path


def hub_rows(repo: str, config: str | None, split: str, revision: str | None = None) -> list[dict[str, Any]]:
    """A split of a hub data set as a list of dicts, through `datasets`."""
    from datasets import load_dataset

    try:
        return list(load_dataset(repo, config, split=split, revision=revision))
    except Exception as error:  # offline, gated, renamed: the library has many ways to say so
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise UserError(
            f"could not load {repo} from the hub ({reason}): log in, or set SPT_DATA to a local copy"
        ) from error


def shuffle(items: list, rng: random.Random) -> None:
    """`rng.shuffle(items)` as Python 3.11 does it, written out: other versions ask the same questions and train in the same order.

    Python keeps the generator's numbers for a seed from version to version, but does not promise `shuffle`.
    """
    for i in range(len(items) - 1, 0, -1):
        j = rng.getrandbits((i + 1).bit_length())
        while j > i:
            j = rng.getrandbits((i + 1).bit_length())
        items[i], items[j] = items[j], items[i]
