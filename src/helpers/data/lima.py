"""LIMA and LIMA-Role: GAIR/lima from the hub, a local file, our own `lima_mini`, and the rows that annotate writes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import SAMPLES, local_folder, numbered_rows, tables
from . import dialogues as dialogues_
from .dialogues import Dialogue


def dialogues(source: str, skip_bad: bool = False) -> list[Dialogue]:
    """Training dialogues. `source`: "packaged" (120 of ours), "local" (SPT_DATA/lima/train.jsonl), "hub" (LIMA), or your
    own: a file, a folder, or "hub:NAME", in any layout of docs/DATA.md.

    A last user turn without an answer (LIMA has one such dialogue) is cut off. `skip_bad`: go on without rows that
    cannot be used; otherwise they are counted in a UserError.
    """
    if source == "packaged":
        source = str(SAMPLES / "lima_mini.jsonl")
    elif source in ("local", "hub", "hub:GAIR/lima"):
        source = str(file(source.split(":")[0], "train.jsonl"))
    return dialogues_.dialogues(tables.read(source), skip_bad)


def file(source: str, name: str) -> Path:
    """LIMA's train.jsonl or test.jsonl in SPT_DATA ("local") or from the hub ("hub"); else the JSONL file `source` itself."""
    if source == "local":
        return local_folder() / "lima" / name
    return _from_hub(name) if source == "hub" else Path(source)


def question_key(question: str) -> str:
    """sha256 of a question, in Unicode's composed form and with single spaces: what the shipped roles are keyed by."""
    return hashlib.sha256(" ".join(unicodedata.normalize("NFC", question).split()).encode()).hexdigest()


def load_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that annotate wrote, checked: turns alternate, nothing is empty, a role has both descriptions."""
    rows = []
    for number, row in numbered_rows(path):
        if why := _flaw(row):
            raise UserError(f"{path.name}, line {number}: {why}; repair or remove the row, or run annotate again")
        rows.append(row)
    if not rows:
        raise UserError(f"{path.name} has no rows: run annotate first")
    return rows


def _flaw(row: dict[str, Any]) -> str | None:
    """Why a row of LIMA-Role cannot be used, if it cannot."""
    messages, role = row.get("messages"), row.get("role")
    if messages is None:
        return "no 'messages', so annotate has not written this"
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        return "'messages' must be a list of objects with role and content"
    if not messages or [m.get("role") for m in messages] != ["user", "assistant"] * (len(messages) // 2):
        return "turns must go user, assistant, user, assistant"
    if not all(isinstance(m.get("content"), str) for m in messages):
        return "a turn that is not text"
    if not all(m["content"].strip() for m in messages):
        return "an empty turn"
    names = ("question_description", "role_description")
    described = [role.get(name) for name in names] if isinstance(role, dict) else [None]
    if role and not all(isinstance(text, str) and text.strip() for text in described):
        return f"a role without {' or '.join(names)}"
    return None


def openings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose dialogues end after the first sentence of the first answer: what a role prompt needs, in few tokens."""
    short = []
    for row in rows:
        question, answer = row["messages"][:2]
        sentence = re.split(r"(?<=[.!?:])\s", answer["content"].strip(), maxsplit=1)[0]
        short.append(row | {"messages": [question, answer | {"content": sentence}]})
    return short


def open_questions(source: str) -> list[dict[str, Any]]:
    """Open-ended questions, {"id", "question"}: LIMA's 300 test prompts ("local", "hub"), 24 of ours, or a JSONL file's."""
    path = SAMPLES / "open_questions.jsonl" if source == "packaged" else file(source, "test.jsonl")
    questions = []
    for number, row in numbered_rows(path, required=("conversations",)):
        turns = row["conversations"]
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], str) or not turns[0].strip():
            raise UserError(f"{path.name}, line {number}: 'conversations' must be a list that begins with the question")
        questions.append({"id": row.get("id") or f"open-{number:03}", "question": turns[0]})
    return questions


def _from_hub(filename: str) -> Path:
    """LIMA's repository carries a loading script, which current `datasets` refuses: fetch the JSONL file itself."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download("GAIR/lima", filename, repo_type="dataset"))
    except HfHubHTTPError as error:
        if getattr(error.response, "status_code", None) not in (401, 403, 404):  # 404: hidden from the unknown
            raise UserError("the hub is in trouble: run again later, or set SPT_DATA to a local copy") from None
        raise UserError(
            "GAIR/lima is gated: (1) open its page on the hub, log in and accept the licence (non-commercial), "
            "(2) make a read token in your settings, (3) run `hf auth login`; or set SPT_DATA to a local copy"
        ) from None
    except Exception:  # no network, offline mode, a full disk: the library has many ways to say so
        raise UserError(
            "could not reach the hub for GAIR/lima: check the network (and HF_HUB_OFFLINE), or set SPT_DATA to a local copy"
        ) from None
