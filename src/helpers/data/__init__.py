"""Where rows come from: a local folder (SPT_DATA), the hub, or the packaged samples.

The one idea: every reader yields plain dicts in the layout of the original data file, so the same
code reads a real benchmark and our own sample of it.
"""

from __future__ import annotations

import codecs
import gzip
import json
import os
import random
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Unusable:
    """Stands in the place of what cannot be used, and says why: "not valid JSON"."""

    why: str


def read_lines(path: Path) -> list[tuple[int, bytes]]:
    """(number from 1 on, line) of a text file, gzipped or not, without a byte-order mark and without blank lines."""
    if not path.is_file():
        shown = f"{path.parent.name}/{path.name}".lstrip("/")
        raise UserError(f"missing data file {shown}: see docs/DATA.md for where it belongs")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            lines = file.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except (EOFError, OSError, zlib.error):
        raise UserError(f"{path.name} is damaged or incomplete: fetch it again") from None
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def parsed(text: bytes) -> Any:
    """What a JSON text holds, or why it cannot be read."""
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError:
        return Unusable("not UTF-8")
    except (ValueError, RecursionError):
        return Unusable("not valid JSON")


def numbered_rows(path: Path, required: tuple[str, ...] = ()) -> list[tuple[int, dict[str, Any]]]:
    """(line, row) of a .jsonl or .jsonl.gz file; UserError names the file and line of the first damaged one."""
    rows = []
    for number, line in read_lines(path):
        row = parsed(line)
        missing = [name for name in required if name not in row] if isinstance(row, dict) else ["an object"]
        if missing:
            why = row.why if isinstance(row, Unusable) else f"no {missing[0]!r}"
            raise UserError(f"{path.name}, line {number}: {why}; repair or remove the line")
        rows.append((number, row))
    return rows


def read_jsonl(path: Path, required: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """All rows of a .jsonl or .jsonl.gz file, as `numbered_rows` finds them."""
    return [row for _, row in numbered_rows(path, required)]


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
