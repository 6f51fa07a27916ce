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
from ..data.hub import check_name, upload
from ..data.lima import load_rows
from ..errors import UserError

FILES = ["README.md", "train.jsonl"]  # what is uploaded, whatever else lies in the folder
CARD = """\
# LIMA-Role

Dialogues of [LIMA](https://huggingface.co/datasets/GAIR/lima), each with a role prompt for its first question, as in
*Self-Prompt Tuning* (arXiv 2407.08995, section 3.1). A model fine-tuned on them writes a fitting role prompt for
itself before it answers.

## Contents

{counts}

A row: `id`, `source`, `messages` (role, content), `role` (`question_description`, `role_description`, and `text`, the
two in the paper's prompt design 8), `annotator`, `outcome`. {fallback} rows have no role of their own (the annotator declined,
or its reply stayed out of form) and carry a hand-written "AI assistant" role.

The most frequent role nouns: {nouns}.

## Source, annotator, licence

- Dialogues: LIMA (Zhou et al. 2023), unchanged. Its licence is non-commercial (CC BY-NC-SA, or stricter where a
  dialogue's own source is stricter), and holds for this data set too.
- Roles written by: {annotators}.
- Not checked by the makers of LIMA or of the paper. Audit a sample before you rely on it.
"""


def card(rows: Sequence[dict[str, Any]]) -> str:
    """The README.md of the data set, front matter included, computed from the rows."""
    from huggingface_hub import DatasetCardData

    outcomes = Counter(row.get("outcome", "unknown") for row in rows)
    annotators = Counter(row.get("annotator", "unknown") for row in rows)
    described = [roles.role_noun(r["role"]["role_description"]) for r in rows if r.get("outcome") == "parsed"]
    nouns = Counter(noun for noun in described if noun)
    several = sum(len(row["messages"]) > 2 for row in rows)
    lines = [f"| dialogues | {len(rows):,} |", "|---|---|", f"| of several turns | {several:,} |"]
    lines += [f"| role {what} | {n:,} |" for what, n in outcomes.most_common()]
    data = DatasetCardData(
        license="other",
        license_name="lima-non-commercial",
        license_link="https://huggingface.co/datasets/GAIR/lima",
        language="en",
        size_categories="1K<n<10K" if len(rows) >= 1000 else "n<1K",
        task_categories=["text-generation"],
        source_datasets=["GAIR/lima"],
        pretty_name="LIMA-Role",
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}],
    )
    text = CARD.format(
        counts="\n".join(lines),
        fallback=f"{len(rows) - outcomes['parsed']:,}",
        nouns=", ".join(f"{noun} ({n})" for noun, n in nouns.most_common(10)),
        annotators=", ".join(f"{name} ({n:,})" for name, n in annotators.most_common()),
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def push_to_hub(path: Path, repo: str, private: bool = True, dry_run: bool = False, say: Callable = print) -> Path:
    """Upload a lima_role.jsonl with its card; the folder that holds what is (or would be) uploaded.

    The folder, `hub/` beside the rows, is first read back with `datasets`, so that what is uploaded can be loaded.
    """
    check_name(repo)
    rows = load_rows(path)
    for number, row in enumerate(rows, 1):
        role = row.get("role")
        if not isinstance(role, dict) or not role.get("text") or not role.get("role_description"):
            raise UserError(f"{path.name}, line {number}: no role; run annotate to the end first")
    if not rows:
        raise UserError(f"{path.name} has no rows: run annotate first")
    folder = path.parent / "hub"
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(card(rows), encoding="utf-8")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    loaded = _loaded(folder)
    megabytes = sum((folder / name).stat().st_size for name in FILES) / 1e6
    what = f"{loaded:,} rows, {megabytes:.1f} MB, {'private' if private else 'PUBLIC'}"
    if dry_run:
        say(f"dry run: {repo} would get {what}; read {folder.name}/README.md beside the rows; nothing was uploaded")
    else:
        upload(folder, repo, "dataset", private, FILES, "LIMA-Role")
        say(f"uploaded {repo}: {what}")
    return folder


def _loaded(folder: Path) -> int:
    """How many rows `datasets` reads from the folder, by way of its card."""
    import tempfile

    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        return len(load_dataset(str(folder), split="train", cache_dir=cache))
