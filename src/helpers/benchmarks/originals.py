"""Which data files are the paper's: a damaged or re-ordered copy is refused before a question is asked.

Order matters: Date's letters come from one shuffle through the whole file, any limit takes the first
rows, and a question's id is its place. So we pin what each original holds, in its order: the number of
rows, a sha256, and twenty of its questions. A file with none of the twenty is somebody's own data and is
read as it is (so is a piece from between two of them: less than a tenth of the original). A split of the
hub may differ in a blank: only its number of rows is required, and that those of the twenty which it has
stand in their places. SPT_UNCHECKED=1 checks nothing.
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

# benchmark -> fields, number of rows, sha256 of all fields of all rows, the marks of the questions at `places`
PINS: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "mmlu": (
        ("question", "subject", "choices", "answer"),
        14042,
        "8e34ce4231f5820ed90a76c8b2388b5bacc9f114fe223241b4e5ea9980d0cb7e",
        "77ac9a83 623cabcc 65da94c0 33717eb7 640147e5 020af20a 3b601b96 b12c942f 570dd8c6 c417729d 48a596d5 "
        "0207cef0 95d82cab e013ef12 2d4b90d9 d0898648 93570f33 c10eb39b f567feb0 5f8fc5dd 9d80d356",
    ),
    "commonsense_qa": (
        ("question", "choices", "answerKey"),
        1221,
        "3a38c18c754a7fff58dfd1ded6de16dbb60ad7138cafe7721a2a2e4e342ca5de",
        "4e75c86f 70bb1f11 4429f4ac f290cb29 6938b05e c714670f 9a55c16e e69cd206 f12ec679 f553a46c f2170d4b "
        "118060ca 63bc71ce 6d9940a0 74b16b6d 53986b6b 0c957abb 49fb8510 f541f874 e6a703be 3fc5ae4d",
    ),
    "strategyqa": (
        ("input", "target_scores"),
        2290,
        "a12b552ab8d0fb3118bd4d7442afec7a74c38f3300ecbcf2cbfba0286a081ba7",
        "abe3bd9a 498a4d27 09e5829e 614b3331 cd3b08cc e4cec486 99629fc6 0ecf2301 3fb444a8 fe69a655 6751f522 "
        "2dfde382 47ca2d0d 4a9ba684 998106d9 a30ef5ce 45b6475b 9630cfd4 7de62118 698b1026 be4e5bc3",
    ),
    "truthful_qa": (
        ("question", "mc1_targets"),
        817,
        "1817c22409096b61180c1ebcba9d2b9e9774f75550b40acf7aa91bf41b660d1e",
        "9c1b034f 05682414 b0e09457 c1b45e5c a6965fef f4ee17e8 e3067193 33134cee 8a8416dd 5dde010b 9b5e5d99 "
        "e0fdc6b5 a946dfca e9089c32 29e85d8f e7cf08ee bc723f36 99cb604e 80495816 7a84de18 8731630f",
    ),
    "openbookqa": (
        ("question_stem", "choices", "answerKey"),
        500,
        "2b24202001f280d4ae6967555e9eade9ed4539cabde1e7873ac12085c5c81f69",
        "6cb709a6 3be7e0b5 ee536da0 c18ac7b9 58296ac8 26fc8292 1e36111d f1b05dd3 6966a55d 594e4d03 c6d6ba50 "
        "b659accf f2d84d63 cc7ed018 0b554bf4 0d60f4b3 ef239137 e3c36ae7 3ffcce63 207697fc 78200e06",
    ),
    "gsm8k": (
        ("question", "answer"),
        1319,
        "5b736e25f3d1e6cdeef6b3d89e3dc71a7e3c20288f93f1bda635f6fbeb4f41b5",
        "2b2e3f96 08acf5ba 0f494281 b41cc7b7 ae51d9df ad6ac817 b9cb8545 b8c462ea 0f4d92e8 59c1f5c9 ef88a9e1 "
        "661e0315 1fef7632 636a57be c40d9b81 742a117b 18c6439b 91182e3e 3f46ac8d ee808165 d633d02d",
    ),
    "date": (
        ("input", "target_scores"),
        369,
        "a3f77d709a61a9313d650745a785bdaad824d3ca7bfa03368d5ad14f0f104389",
        "8a7b814a 8a7b814a f91692ce d997b5a0 dd38a4c8 422ca544 261c8a13 74f1c2e6 5a20f3c9 0aae8532 a794de29 "
        "fa24b7fa eb993554 2466cd50 5164b810 c35f091b f8c270dc 3c981d25 acf33d33 87cb91cb 248a20eb",
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
    """A short name of a question, by its words."""
    return hashlib.sha256(" ".join(str(row[fields[0]]).split()).encode()).hexdigest()[:8]


def places(n: int) -> list[int]:
    """Where the marks of a file of n rows stand, first to last; denser at its beginning, which is what people cut off."""
    return [i * i * (n - 1) // 400 for i in range(21)]


def check(name: str, rows: list[dict[str, Any]], where: str, exact: bool = True) -> None:
    """Nothing, or UserError where `rows` are a damaged, changed, cut or re-ordered copy of the original."""
    if name not in PINS or os.environ.get("SPT_UNCHECKED"):
        return
    fields, n, sha, pinned = PINS[name]
    found = [mark(row, fields) for row in rows]
    known = set(pinned.split()) & set(found)
    if not known or (len(rows) == n and digest(rows, fields) == sha):
        return
    if len(rows) != n:
        wrong = f"{len(rows):,} rows instead of {n:,}"
    elif any(m in known and m != found[place] for place, m in zip(places(n), pinned.split())):
        wrong = "rows in another order"
    elif exact:
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
