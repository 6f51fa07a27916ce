"""LIMA dialogues: GAIR/lima from the hub, a local file in its layout, or our own `lima_mini`."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import SAMPLES, local_folder, read_jsonl


@dataclass(frozen=True)
class Dialogue:
    id: str
    source: str
    turns: tuple[str, ...]  # user, assistant, user, assistant, ...

    @property
    def question(self) -> str:
        """The first user turn: the only one that is annotated (paper, section 3.1)."""
        return self.turns[0]

    def messages(self) -> list[dict[str, str]]:
        return [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(self.turns)]


def dialogues(source: str) -> list[Dialogue]:
    """Training dialogues. `source`: "packaged" (120 of ours), "local" (SPT_DATA/lima/train.jsonl), "hub", or a JSONL file.

    A last user turn without an answer (LIMA has one such dialogue) is cut off.
    """
    path = SAMPLES / "lima_mini.jsonl" if source == "packaged" else file(source, "train.jsonl")
    return [_dialogue(row, path.name, number) for number, row in enumerate(read_jsonl(path), 1)]


def file(source: str, name: str) -> Path:
    """LIMA's train.jsonl or test.jsonl in SPT_DATA ("local") or from the hub ("hub"); else the JSONL file `source` itself."""
    if source == "local":
        return local_folder() / "lima" / name
    return _from_hub(name) if source == "hub" else Path(source)


def question_key(question: str) -> str:
    """sha256 of a question, in Unicode's composed form and with single spaces: what the shipped roles are keyed by."""
    return hashlib.sha256(" ".join(unicodedata.normalize("NFC", question).split()).encode()).hexdigest()


def load_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that annotate wrote, checked: turns alternate, nothing is empty."""
    rows = read_jsonl(path, required=("messages",))
    for number, row in enumerate(rows, 1):
        expected = ["user", "assistant"] * (len(row["messages"]) // 2)
        if not expected or [m["role"] for m in row["messages"]] != expected:
            raise UserError(f"{path.name}, line {number}: turns must go user, assistant, user, assistant")
        if not all(m["content"].strip() for m in row["messages"]):
            raise UserError(f"{path.name}, line {number}: an empty turn; repair or remove the row")
    return rows


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
    for number, row in enumerate(read_jsonl(path, required=("conversations",)), 1):
        turns = row["conversations"]
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], str) or not turns[0].strip():
            raise UserError(f"{path.name}, line {number}: 'conversations' must be a list that begins with the question")
        questions.append({"id": row.get("id") or f"open-{number:03}", "question": turns[0]})
    return questions


def _dialogue(row: dict[str, Any], name: str, number: int) -> Dialogue:
    turns = row.get("conversations")
    if turns is None and "messages" in row:
        turns = _contents(row["messages"])
    if not isinstance(turns, list) or len(turns) < 2 or not all(isinstance(t, str) and t.strip() for t in turns):
        raise UserError(
            f"{name}, line {number}: a dialogue needs a question and an answer, in turn, "
            "in 'conversations' (texts) or 'messages' (role and content)"
        )
    turns = turns[: len(turns) // 2 * 2]
    return Dialogue(str(row.get("id") or f"{number - 1:04}"), str(row.get("source") or "lima"), tuple(turns))


def _contents(messages: Any) -> list[Any] | None:
    """The texts of chat messages behind a system turn; None unless user and assistant take turns."""
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        return None
    spoken = [m for m in messages if m.get("role") != "system"]
    expected = ["assistant" if i % 2 else "user" for i in range(len(spoken))]
    return [m.get("content") for m in spoken] if [m.get("role") for m in spoken] == expected else None


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
