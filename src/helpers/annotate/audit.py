"""A sample of LIMA-Role to be ticked by a person, and what the ticks say (paper, section 3.1)."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError

# --- the audit -------------------------------------------------------------------------------------

ASPECTS = {"format": "format", "description_ok": "question description", "role_ok": "role description"}
_YES, _NO = ("1", "y", "yes", "ok", "x", "true"), ("0", "n", "no", "wrong", "false")


def audit_sheet(rows: Sequence[dict[str, Any]], n: int, path: Path, seed: int = 0) -> list[dict[str, Any]]:
    """A seeded sample of `n` rows as a CSV to be ticked by a person (paper, section 3.1: 100 rows).

    "format" is checked by program (the two descriptions were found, or the annotator declined);
    "description_ok" and "role_ok" are left empty for the reader. A sheet that has ticks already is not overwritten.
    """
    if path.exists() and any(line["description_ok"] or line["role_ok"] for line in _read_sheet(path)):
        raise UserError(f"{path.name} has ticks in it: move it away before you draw a new sheet")
    if not rows:
        raise UserError("no rows to audit in lima_role.jsonl")
    sample = random.Random(seed).sample(list(rows), min(n, len(rows)))
    sheet = [
        {
            "id": row["id"],
            "question": row["messages"][0]["content"],
            "question_description": row["role"]["question_description"],
            "role_description": row["role"]["role_description"],
            "format": "ok" if row["outcome"] in ("parsed", "declined") else row["outcome"],
            "description_ok": "",
            "role_ok": "",
        }
        for row in sample
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(sheet[0]))
        writer.writeheader()
        writer.writerows(sheet)
    return sheet


def audit_result(path: Path) -> dict[str, tuple[int, int]]:
    """A ticked sheet's (right, ticked) for the paper's three aspects; a cell that is neither yes nor no is an error."""
    counts = dict.fromkeys(ASPECTS.values(), (0, 0))
    for number, line in enumerate(_read_sheet(path), 2):
        for column, aspect in ASPECTS.items():
            cell = (line.get(column) or "").strip().lower()
            if column == "format":
                right = cell == "ok"
            elif cell in _YES or cell in _NO:
                right = cell in _YES
            elif not cell:
                continue
            else:
                raise UserError(f"{path.name}, line {number}: {column} is {cell!r}; write yes or no, or leave it empty")
            k, n = counts[aspect]
            counts[aspect] = (k + right, n + 1)
    return counts


def _read_sheet(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except OSError:
        raise UserError(f"no audit sheet {path.name}: draw one first (python -m helpers audit)") from None
    if lines and not set(ASPECTS) <= set(lines[0]):
        raise UserError(f"{path.name} is no audit sheet: it needs the columns {', '.join(ASPECTS)}")
    return lines
