"""Which data files are the paper's: a damaged or re-ordered copy is refused before a question is asked.

Order matters: Date's letters come from one shuffle through the whole file, any limit takes the first
rows, and a question's id is its place. So we pin how many rows each original has, a sha256 of them in their
order, and its first and last question. A file with neither of the two questions is somebody's own data and is
read as it is (so is a piece from the middle). A split of the hub may differ in a blank: only its number of rows is required, and that it
begins and ends with these questions. SPT_UNCHECKED=1 checks nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from ..errors import UserError

# benchmark -> fields, number of rows, marks of the first and the last question, the sha256 of all rows (16 digits of it)
PINS: dict[str, tuple[str, int, str, str]] = {
    "mmlu": ("question subject choices answer", 14042, "77ac9a83 9d80d356", "8e34ce4231f5820e"),
    "commonsense_qa": ("question choices answerKey", 1221, "4e75c86f 3fc5ae4d", "3a38c18c754a7fff"),
    "strategyqa": ("input target_scores", 2290, "abe3bd9a be4e5bc3", "a12b552ab8d0fb31"),
    "truthful_qa": ("question mc1_targets", 817, "9c1b034f 8731630f", "1817c22409096b61"),
    "openbookqa": ("question_stem choices answerKey", 500, "6cb709a6 78200e06", "2b24202001f280d4"),
    "gsm8k": ("question answer", 1319, "2b2e3f96 d633d02d", "5b736e25f3d1e6cd"),
    "date": ("input target_scores", 369, "8a7b814a 248a20eb", "a3f77d709a61a931"),
}


def digest(rows: list[dict[str, Any]], fields: list[str]) -> str:
    """sha256 over the fields of all rows in order; of a dict of options ("target_scores") the order counts, too."""
    sha = hashlib.sha256()
    for row in rows:
        kept = [row[f] for f in fields]
        sha.update(json.dumps(kept, sort_keys="target_scores" not in fields).encode() + b"\n")
    return sha.hexdigest()[:16]


def mark(question: Any) -> str:
    """A short name of a question, by its words."""
    return hashlib.sha256(" ".join(str(question).split()).encode()).hexdigest()[:8]


def check(name: str, rows: list[dict[str, Any]], where: str, exact: bool = True) -> None:
    """Nothing, or UserError where `rows` are a damaged, changed, cut or re-ordered copy of the original."""
    if name not in PINS or os.environ.get("SPT_UNCHECKED"):
        return
    names, n, ends, sha = PINS[name]
    fields = names.split()
    found = [mark(row[fields[0]]) for row in rows]
    if not set(ends.split()) & set(found) or (len(rows) == n and digest(rows, fields) == sha):
        return
    if len(rows) != n:
        wrong = f"{len(rows):,} rows instead of {n:,}"
    elif exact or ends != f"{found[0]} {found[-1]}":
        wrong = "rows changed or in another order"
    else:
        print(f"note: {where} on the hub is not word for word the copy that this course pins", file=sys.stderr)
        return
    raise UserError(
        f"{where} is not the original ({wrong}): fetch it again (docs/DATA.md says from where), "
        "or set SPT_UNCHECKED=1 to score your own version of it"
    )


def download(name: str, address: str) -> list[dict[str, Any]]:
    """The "examples" of an original BIG-bench task file, checked; kept in the hub's cache, so that a prefetch holds it, too."""
    from datasets import config

    kept = Path(config.HF_DATASETS_CACHE) / "originals" / hashlib.sha256(address.encode()).hexdigest()
    try:
        fetched = None if kept.is_file() else _fetch(address)
        rows = json.loads(fetched or kept.read_bytes())["examples"]
        check(name, rows, address)
        if fetched and not os.environ.get("SPT_UNCHECKED"):  # what was not checked is not kept either
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(fetched)
            part.replace(kept)
        return rows
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise UserError(f"could not load {address}: check the network, or set SPT_DATA to a local copy") from error


def _fetch(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as reply:
        return reply.read()
