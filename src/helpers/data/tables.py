"""Rows of a file, a folder or a data set of the hub, in whatever format they are kept.

The one idea: each row comes with the number by which a person finds it. `pandas` and `datasets` read every format but
JSON: there one damaged line must not cost the others, and must be named by its own number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import Unusable, parsed, read_lines

TABLES = (".csv", ".tsv", ".parquet")  # every other file is read as JSON
INSIDE = ("data", "train", "rows", "examples", "instances")  # fields of one JSON object that hold all rows
FILES = (*TABLES, ".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class Table:
    """`rows`: (number from 1 on, row); `unit`: what the number counts, "line" or "row"."""

    name: str
    unit: str
    rows: list[tuple[int, dict[str, Any] | Unusable]]


def read(source: str) -> list[Table]:
    """The tables of a file, of a folder (of files, or saved by `save_to_disk`), or of "hub:NAME", "hub:NAME:SPLIT" and
    "hub:NAME:CONFIG:SPLIT". Without a split it is "train", or the only one.

    UserError where there is no such thing, or it cannot be opened.
    """
    if source.startswith("hub:"):
        return [_from_hub(*source.split(":")[1:])]
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    kind = next((s.lower() for s in path.suffixes[-2:] if s.lower() in TABLES), None)  # also of a .csv.gz
    return [_cells(path, kind) if kind and path.is_file() else _json(path)]


def _numbered(name: str, rows: Iterable[Any]) -> Table:
    return Table(name, "row", [(n, _object(row)) for n, row in enumerate(rows, 1)])


def _object(row: Any) -> dict[str, Any] | Unusable:
    return row if isinstance(row, dict | Unusable) else Unusable("not a JSON object")


# --- one file ------------------------------------------------------------------------------------


def _json(path: Path) -> Table:
    """JSON lines, or one JSON text: a list of rows, or an object with that list in one of INSIDE."""
    lines = read_lines(path)
    first = parsed(lines[0][1]) if lines else None
    if not isinstance(first, dict) or len(lines) == 1:
        whole = parsed(b"\n".join(line for _, line in lines))
        if isinstance(whole, dict):
            inside = next((whole[name] for name in INSIDE if isinstance(whole.get(name), list)), None)
            if inside and isinstance(inside[0], dict) and not {"role", "from"} & set(inside[0]):
                whole = inside
            elif len(lines) > 1:
                whole = [whole]
        if isinstance(whole, list):
            return _numbered(path.name, whole)
        if isinstance(first, Unusable) and lines[0][1].lstrip().startswith(b"["):
            raise UserError(f"{path.name} is a JSON list, but {whole.why}: fetch it again, or save it anew as UTF-8")
    return Table(path.name, "line", [(n, _object(parsed(line))) for n, line in lines])


def _cells(path: Path, kind: str) -> Table:
    """A table of texts, or of Arrow's types; a text that is a list in JSON becomes that list."""
    import pandas as pd

    try:
        if kind == ".parquet":
            frame = pd.read_parquet(path, dtype_backend="pyarrow")  # whose lists and structs are Python's
        else:
            text = {"dtype": object, "keep_default_na": False, "encoding": "utf-8-sig"}
            separator = "\t" if kind == ".tsv" else ","
            frame = pd.read_csv(path, sep=separator, encoding_errors="surrogateescape", **text)
    except Exception as error:  # each library has its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise UserError(f"{path.name} cannot be read ({reason}): save it again, as UTF-8") from None
    return _numbered(path.name, map(_unpacked, frame.to_dict("records")))


def _unpacked(row: dict[str, Any]) -> dict[str, Any] | Unusable:
    import pandas as pd

    row = {name: None if value is pd.NA else value for name, value in row.items()}
    for name, value in row.items():
        if isinstance(value, str) and value.lstrip().startswith("["):
            found = parsed(value.encode(errors="surrogateescape"))
            row[name] = found if isinstance(found, list) else value
    try:
        "".join(value for value in row.values() if isinstance(value, str)).encode()
    except UnicodeEncodeError:  # what `surrogateescape` has kept
        return Unusable("not UTF-8")
    return row


# --- many files, and the hub ---------------------------------------------------------------------


def _folder(path: Path) -> list[Table]:
    import datasets

    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        kept = datasets.load_from_disk(str(path))
        if isinstance(kept, dict):
            kept = kept[_split(list(kept), path.name, "give the folder of one")]
        return [_numbered(path.name, kept)]
    try:  # the library knows which files are data, and of which split
        files = datasets.load_dataset_builder(str(path)).config.data_files
    except Exception:
        raise UserError(f"{path.name} holds no data files: give a folder with {', '.join(FILES)} files") from None
    found = {Path(file).resolve() for split in files.values() for file in split}
    there = {f.resolve() for f in path.rglob("*") if {s.lower() for s in f.suffixes[-2:]} & set(FILES)}
    if left := sorted(f.name for f in there - found):
        raise UserError(f"{path.name} holds files of several kinds (also {left[0]}): give one file")
    split = _split(list(files), path.name, "give one file")
    return [table for file in sorted(files[split]) for table in read(str(file))]


def _from_hub(name: str, *config_and_split: str) -> Table:
    import datasets

    *config, split = config_and_split or (None,)
    try:
        split = split or _split(
            datasets.get_dataset_split_names(name, *config), name, f"choose one, as hub:{name}:SPLIT"
        )
        return _numbered(name, datasets.load_dataset(name, *config, split=split))
    except UserError:
        raise
    except Exception as error:  # offline, gated, renamed, several configurations: the library has many ways to say so
        reason = " ".join((str(error).strip() or type(error).__name__).split())[:200]
        raise UserError(
            f"could not load {name} from the hub ({reason}): check its name (hub:NAME, hub:NAME:SPLIT or "
            "hub:NAME:CONFIG:SPLIT) and the network, or run `hf auth login`"
        ) from None


def _split(names: list[str], where: str, otherwise: str) -> str:
    if "train" in names or len(names) == 1:
        return "train" if "train" in names else str(names[0])
    raise UserError(f"{where} has the splits {', '.join(map(str, names))} and no train: {otherwise}")
