"""A finished LIMA-Role as a data set of the hub: its card, its files, the upload.

What is uploaded holds LIMA's dialogues, so LIMA's own terms hold for it: the card says so, and the
data set is private unless you say otherwise.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import roles
from ..data import numbered_rows
from ..data.hub import check_name, readme, upload
from ..data.lima import load_rows
from ..errors import UserError

FILES = ["README.md", "train.jsonl"]  # what is uploaded, whatever else lies in the folder


def card(rows: Sequence[dict[str, Any]]) -> str:
    """The README.md of the data set, front matter included, computed from the rows."""
    described = [roles.role_noun(r["role"]["role_description"]) for r in rows if r.get("outcome") == "parsed"]
    return readme(
        Path(__file__).with_name("card.md.jinja"),
        rows=rows,
        several=sum(len(row["messages"]) > 2 for row in rows),
        outcomes=Counter(row.get("outcome", "unknown") for row in rows),
        nouns=Counter(filter(None, described)).most_common(10),
        annotators=Counter(row.get("annotator", "unknown") for row in rows).most_common(),
    )


def push_to_hub(path: Path, repo: str, private: bool = True, dry_run: bool = False, say: Callable = print) -> Path:
    """Upload a lima_role.jsonl with its card; the folder that holds what is (or would be) uploaded.

    The folder, `hub/` beside the rows, can be read with `datasets.load_dataset` before and after.
    """
    check_name(repo)
    rows = load_rows(path)
    for number, row in numbered_rows(path):
        role = row.get("role")
        if not isinstance(role, dict) or not role.get("text") or not role.get("role_description"):
            raise UserError(f"{path.name}, line {number}: no role; run annotate to the end first")
    folder = path.parent / "hub"
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(card(rows), encoding="utf-8")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    look = f"; read {folder.name}/README.md beside the rows"
    upload(folder, repo, "dataset", private, FILES, "LIMA-Role", f"{len(rows):,} rows", look, dry_run, say)
    return folder
