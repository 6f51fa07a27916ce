"""Does *this* role help *this* answer? (lesson 08): how likely a reference answer is after different openings.

The one idea: right and wrong are two values, a likelihood is a number. It is measured in nats per token: the mean of
-log p over the tokens of a reference answer. Lower means that the model expected this answer more. It does not mean
that the model would write it, nor that it is right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import annotate, finetune, models, roles, stats
from ..chat import Request, ask, frame, journal, user
from ..data import REFERENCE, lima
from ..errors import UserError

if TYPE_CHECKING:
    from ..run import Run

OPENINGS = {  # condition -> what stands before the reference answer
    "own": "the role prompt that the model wrote for this question",
    "swapped": "the role prompt that it wrote for another question",
    "detail": "its own role prompt with an irrelevant detail",
    "none": "no role prompt",
    "annotator": "the annotator's role prompt",
    "lima": "no role prompt, and the LIMA arm instead",
}
DETAIL = " who owns a blue bicycle"
BATCH = 8  # texts in one forward pass


def unseen(run: Run, n: int, say: Callable = print) -> list[dict[str, Any]]:
    """`n` dialogues of one turn with a role, that neither arm was trained on: those with the shortest answers.

    The shortest, because a pass takes time in proportion to the text. A run on LIMA has seen all of it: there it is our
    own 120 dialogues. UserError if every dialogue was trained on.
    """
    if run.profile.source == "packaged":
        rows, free = (
            run.annotated(say=say),
            set.intersection(*(set(run.tuned(a)["dialogues_unseen"]) for a in finetune.ARMS)),
        )
    else:
        rows = annotate.annotate(lima.dialogues("packaged"), run.folder / "when_it_pays", say=say)
        free = {row["id"] for row in rows}
    fresh = [row for row in rows if row["id"] in free and len(row["messages"]) == 2 and row.get("role")]
    if len(fresh) < 2:
        raise UserError("hardly a dialogue is left that was not trained on: lower max_steps, or give more dialogues")
    return sorted(fresh, key=lambda row: (len(row["messages"][1]["content"]), row["id"]))[:n]


def openings(rows: Sequence[Mapping[str, Any]], own: Sequence[str | None]) -> dict[str, list[str]]:
    """The texts of the role arm's conditions, a list as long as `rows` each. `own`: its role prompts, all well-formed.

    "swapped" gives each row the prompt of the row after it.
    """
    read = [roles.parse(text) for text in own]
    if len(own) < 2 or not all(read):
        raise UserError("two or more well-formed role prompts are needed: is this the role arm?")
    return {
        "own": list(own),
        "swapped": [*own[1:], own[0]],
        "detail": [roles.render(r.question_description, r.role_description + DETAIL) for r in read],
        "none": [""] * len(own),
        "annotator": [
            roles.render(row["role"]["question_description"], row["role"]["role_description"]) for row in rows
        ],
    }


def nats(chat: Any, rows: Sequence[Mapping[str, Any]], before: Sequence[str]) -> np.ndarray:
    """Mean nats per token of each row's reference answer and its end token, after the opening in `before`; [len(rows)].

    Only the answer's tokens count; question and opening are given. They are the same tokens after every opening.
    """
    import torch

    tokenizer, found = chat.tokenizer, np.zeros(len(rows))
    texts = []
    for row, opening in zip(rows, before, strict=True):
        question, answer = (message["content"] for message in row["messages"][:2])
        given = frame(user(question)) + (f" {opening}" if opening else "")
        read = tokenizer(given).input_ids
        texts.append(
            (read, [*tokenizer(f" {answer.strip()}", add_special_tokens=False).input_ids, tokenizer.eos_token_id])
        )
    order = sorted(range(len(rows)), key=lambda i: sum(map(len, texts[i])))
    for first in range(0, len(order), BATCH):
        group = order[first : first + BATCH]
        width = max(sum(map(len, texts[i])) for i in group)
        ids = torch.full((len(group), width), tokenizer.eos_token_id, device=chat.model.device)
        mask = torch.zeros_like(ids)
        for k, i in enumerate(group):
            whole = [*texts[i][0], *texts[i][1]]
            ids[k, : len(whole)] = torch.tensor(whole)
            mask[k, : len(whole)] = 1
        keep = width - min(len(texts[i][0]) for i in group) + 1  # logits from before the first answer token on
        with torch.inference_mode():
            logits = chat.model(input_ids=ids, attention_mask=mask, logits_to_keep=keep).logits.float()
        for k, i in enumerate(group):
            start, stop = len(texts[i][0]), sum(map(len, texts[i]))
            scores = logits[k, start - 1 - (width - keep) : stop - 1 - (width - keep)].log_softmax(-1)
            found[i] = -scores.gather(1, ids[k, start:stop, None]).mean().item()
    return found


def measured(run: Run, n: int, say: Callable = print) -> pd.DataFrame:
    """Nats per token by condition: columns id, role (the role arm's own prompt), and one for each of OPENINGS.

    Rows whose own role prompt is not well-formed are left out, and counted aloud. What was measured before with the same
    models is read from `when_it_pays/`.
    """
    rows, home = unseen(run, n, say), run.folder / "when_it_pays"
    arms = [models.fingerprint(str(run.model_folder(arm))) for arm in finetune.ARMS]
    identity = hashlib.sha256(json.dumps([arms, [row["id"] for row in rows]]).encode()).hexdigest()[:12]
    kept = home / f"nats-{identity}.csv"
    if kept.is_file():
        return pd.read_csv(kept, float_precision="round_trip")
    chat = run.chat("role", say=say)
    own = _own(chat, rows, run.profile.opening_tokens, home / "openings.jsonl", say)
    formed = [i for i, text in enumerate(own) if roles.parse(text)]
    say(f"{len(formed)} of {len(rows)} role prompts are well-formed: the dialogues to measure on")
    rows, own = [rows[i] for i in formed], [own[i] for i in formed]
    columns = {name: nats(chat, rows, before) for name, before in openings(rows, own).items()}
    del chat
    models.release_memory()
    chat = run.chat("lima", say=say)
    columns["lima"] = nats(chat, rows, [""] * len(rows))
    del chat
    models.release_memory()
    table = pd.DataFrame({"id": [row["id"] for row in rows], "role": own} | columns)
    table.to_csv(kept.with_suffix(".tmp"), index=False, lineterminator="\n")
    kept.with_suffix(".tmp").replace(kept)
    return table


def _own(chat: Any, rows: Sequence[Mapping[str, Any]], room: int, path: Path, say: Callable) -> list[str | None]:
    """The opening that the model writes for each row's question."""
    asked = [user(row["messages"][0]["content"]) for row in rows]
    keys = [
        journal.key(chat.name, {"max_tokens": 1, "opening_tokens": room}, chat.text(messages)) for messages in asked
    ]
    requests = [
        Request(key, messages, 1, 1, {"id": row["id"]}, opening_tokens=room)
        for key, messages, row in zip(keys, asked, rows)
    ]
    records = ask({path: requests}, chat, what="role prompts", say=say)
    return [roles.strip(records[key]["reply"])[0] for key in keys]


def packaged() -> pd.DataFrame:
    """The table of `measured` from the packaged reference run."""
    return pd.read_csv(REFERENCE / "nats.csv", float_precision="round_trip")


def differences(table: pd.DataFrame, against: str = "own") -> pd.DataFrame:
    """Each condition minus `against`, paired by dialogue: nats per token with a 95 % bootstrap interval over dialogues."""
    lines = []
    for name in (c for c in OPENINGS if c in table and c != against):
        lines.append((f"{name} − {against}", len(table), *stats.paired(table[against], table[name])))
    return pd.DataFrame(lines, columns=["difference", "n", "nats", "low", "high"])
