"""Which data files are the paper's: a damaged or re-ordered copy is refused before a question is asked.

Order matters: Date's letters come from one shuffle through the whole file, any limit takes the first
rows, and a question's id is its place. So we pin what each original holds, in its order: the number of
rows, a sha256, and three of its questions. A file with none of the three is somebody's own data and is
read as it is. A split of the hub may differ in a blank: only its number of rows is required.
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

# benchmark -> fields, number of rows, sha256 of all fields of all rows, its first, middle and last question
PINS: dict[str, tuple[tuple[str, ...], int, str, tuple[str, ...]]] = {
    "mmlu": (
        ("question", "subject", "choices", "answer"),
        14042,
        "8e34ce4231f5820ed90a76c8b2388b5bacc9f114fe223241b4e5ea9980d0cb7e",
        ("77ac9a83a7b1", "aece1168584d", "9d80d3566fd1"),
    ),
    "commonsense_qa": (
        ("question", "choices", "answerKey"),
        1221,
        "3a38c18c754a7fff58dfd1ded6de16dbb60ad7138cafe7721a2a2e4e342ca5de",
        ("4e75c86f4b9e", "c8b2e9d7a297", "3fc5ae4d2e46"),
    ),
    "strategyqa": (
        ("input", "target_scores"),
        2290,
        "a12b552ab8d0fb3118bd4d7442afec7a74c38f3300ecbcf2cbfba0286a081ba7",
        ("abe3bd9a1b3b", "7a74934b9eb7", "be4e5bc349d2"),
    ),
    "truthful_qa": (
        ("question", "mc1_targets"),
        817,
        "1817c22409096b61180c1ebcba9d2b9e9774f75550b40acf7aa91bf41b660d1e",
        ("9c1b034fbe85", "91b15b8aca43", "8731630f5c32"),
    ),
    "openbookqa": (
        ("question_stem", "choices", "answerKey"),
        500,
        "2b24202001f280d4ae6967555e9eade9ed4539cabde1e7873ac12085c5c81f69",
        ("6cb709a6a155", "e5c800e8af11", "78200e062f20"),
    ),
    "gsm8k": (
        ("question", "answer"),
        1319,
        "5b736e25f3d1e6cdeef6b3d89e3dc71a7e3c20288f93f1bda635f6fbeb4f41b5",
        ("2b2e3f9639f6", "718af669641a", "d633d02dadf2"),
    ),
    "date": (
        ("input", "target_scores"),
        369,
        "a3f77d709a61a9313d650745a785bdaad824d3ca7bfa03368d5ad14f0f104389",
        ("8a7b814aeb96", "6d511d51d0d8", "248a20ebe89a"),
    ),
}


def digest(rows: list[dict[str, Any]], fields: tuple[str, ...]) -> str:
    """sha256 over the fields of all rows in order; of a dict of options ("target_scores") the order counts, too."""
    sha = hashlib.sha256()
    for row in rows:
        kept = [row[f] for f in fields]
        sha.update(json.dumps(kept, sort_keys="target_scores" not in fields).encode() + b"\n")
    return sha.hexdigest()


def mark(row: dict[str, Any], fields: tuple[str, ...]) -> str:
    """A short name of a question, by its text."""
    return hashlib.sha256(row[fields[0]].strip().encode()).hexdigest()[:12]


def check(name: str, rows: list[dict[str, Any]], where: str, exact: bool = True) -> None:
    """Nothing, or UserError where `rows` are a damaged, changed, cut or re-ordered copy of the original."""
    if name not in PINS:
        return
    fields, n, sha, marks = PINS[name]
    if os.environ.get("SPT_UNCHECKED") or not {mark(row, fields) for row in rows} & set(marks):
        return
    if len(rows) == n and digest(rows, fields) == sha:
        return
    found = "rows changed or in another order" if len(rows) == n else f"{len(rows):,} rows instead of {n:,}"
    if not exact and len(rows) == n:
        print(f"note: {where} on the hub is not word for word the copy that this course pins", file=sys.stderr)
        return
    raise UserError(
        f"{where} is not the original ({found}): fetch it again (docs/DATA.md says from where), "
        "or set SPT_UNCHECKED=1 to score your own version of it"
    )


def download(address: str) -> list[dict[str, Any]]:
    """The "examples" of an original BIG-bench task file; kept in the hub's cache, so that a prefetch holds it, too."""
    from datasets import config

    kept = Path(config.HF_DATASETS_CACHE) / "originals" / hashlib.sha256(address.encode()).hexdigest()
    try:
        if not kept.is_file():
            with urllib.request.urlopen(address, timeout=60) as reply:
                content = reply.read()
            json.loads(content)["examples"]
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(content)
            part.replace(kept)
        return json.loads(kept.read_bytes())["examples"]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise UserError(f"could not load {address}: check the network, or set SPT_DATA to a local copy") from error
