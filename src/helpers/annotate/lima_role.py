"""LIMA -> LIMA-Role: ask an annotator for a role, keep every raw reply, take the reply apart afterwards.

Paper, section 3.1. Asking costs money and goes through the journal; parsing is free and can be
repeated. Questions that the course has annotated itself (LIMA's 1,030 and our own 120) are answered
from the packaged replies, through the very code that would ask a server: a *replay*.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from .. import chat as chat_
from .. import roles
from ..chat import ROOM_TO_THINK, Canary, EndpointChat, Request, journal, money, user
from ..data import SAMPLES, read_jsonl, write_jsonl
from ..data.lima import Dialogue, question_key
from ..errors import UserError

PACKAGED_JOURNAL = SAMPLES / "annotations.jsonl"  # raw replies for lima_mini
PACKAGED_ROLES = SAMPLES / "lima_roles.jsonl"  # roles for LIMA's own questions, without the questions
PACKAGED_AUDIT = SAMPLES / "lima_roles_audit.csv"  # 100 of them, read by somebody who had not written them
PACKAGED_ANNOTATOR = "course-authors"  # who wrote them
PARAMS = {"max_tokens": 160, "temperature": 0}
TYPICAL_REPLY = 45  # tokens, for the bill: the packaged replies have 35 words on average
ATTEMPTS = 3  # a reply out of form, or cut off, is asked again this often in all
_DECLINES = re.compile(r"\b(?:can(?:no|['’])t|won['’]t|unable to|not able to|decline|sorry)\b", re.IGNORECASE)


def params(attempt: int = 1) -> dict[str, float]:
    """Sampling parameters of an attempt: asked again, a model gets more room and is less sure of itself."""
    return (
        PARAMS if attempt == 1 else {"max_tokens": PARAMS["max_tokens"] * attempt, "temperature": 0.5 * (attempt - 1)}
    )


@lru_cache(maxsize=10_000)
def key(annotator: str, question: str, attempt: int = 1) -> str:
    """The journal key of one question to one annotator."""
    return journal.key(annotator, params(attempt), roles.annotation_prompt(question))


def annotate(
    dialogues: Sequence[Dialogue],
    out: Path,
    chat: EndpointChat | None = None,
    *,
    packaged: bool = True,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> list[dict[str, Any]]:
    """Ask for every dialogue what the journal does not hold yet; write and return the rows of LIMA-Role.

    Files in `out`: annotations.jsonl (raw replies), lima_role.jsonl (rows as docs/DATA.md says) and annotated.json (who
    annotated how many, and what was odd about it).
    `packaged`: use the course's own annotations where it has them; False asks `chat` for every dialogue.
    `approve` is shown the bill before the first call and raises to stop there.
    """
    asked, options, chat = _questions(dialogues, out, chat, packaged)
    records = chat_.ask(asked, chat, **options, canary=CANARY, approve=approve, say=say)
    rows = [_row(d, records[request.key]) for d, request in zip(dialogues, *asked.values())]
    write_jsonl(rows, out / "lima_role.jsonl")
    (out / "annotated.json").write_text(json.dumps(_manifest(rows, records.values()), indent=1) + "\n")
    report(rows, say)
    return rows


def plan(dialogues: Sequence[Dialogue], out: Path, chat: EndpointChat | None, *, packaged: bool = True) -> money.Bill:
    """The bill of `annotate` with the same arguments. Asks nobody and writes nothing."""
    asked, options, chat = _questions(dialogues, out, chat, packaged)
    return chat_.plan(asked, chat, **options)


def report(rows: Sequence[dict[str, Any]], say: Callable = print) -> None:
    """Count the outcomes, and list every dialogue that has no role of its own."""
    counts = Counter(r["outcome"] for r in rows)
    say(f"LIMA-Role: {len(rows):,} dialogues, " + ", ".join(f"{n:,} {what}" for what, n in counts.most_common()))
    for what in ("declined", "malformed", "cut off"):
        if ids := [r["id"] for r in rows if r["outcome"] == what]:
            say(f"  {what}, given the AI assistant's role: {', '.join(ids)}")


def outcome(record: dict[str, Any]) -> str:
    """ "parsed", "declined" (by the annotator, or with the hand-written role), "cut off" or "malformed"."""
    cut = record["finish"] == "length"
    role = roles.parse_annotation(record["reply"])
    if role and not (cut and record["reply"].endswith(role.role_description)):  # the role may lack its end
        return "declined" if role.role_description == roles.DECLINED_ROLE else "parsed"
    if record["finish"] in ("refusal", "content_filter") or _DECLINES.search(record["reply"][:120]):
        return "declined"
    return "cut off" if cut else "malformed"


def packaged_roles() -> list[roles.Role]:
    """The shipped roles of LIMA's 1,030 first questions, in LIMA's order."""
    return [roles.Role(row["question_description"], row["role_description"]) for row in _lima_roles()]


# --- what is asked -------------------------------------------------------------------------------


def _questions(dialogues: Sequence[Dialogue], out: Path, chat: EndpointChat | None, packaged: bool) -> tuple:
    """({journal: a request for each dialogue}, options of `ask`, the chat). UserError where nobody can answer."""
    replay = {d: r for d in dialogues if packaged and (r := _packaged(d))}
    name = chat.name if chat else PACKAGED_ANNOTATOR
    requests = [Request(replay[d]["key"], [], 0, 0) if d in replay else _request(d, name) for d in dialogues]
    asked = {out / "annotations.jsonl": requests}
    known = {record["key"]: record for record in replay.values()}
    if chat is None:
        if missing := chat_.unanswered(asked, known):
            raise UserError(
                f"{missing} of {len(dialogues)} questions have no annotation yet and no annotator is at hand: "
                "set OPENAI_API_KEY and give --model, or give --base-url and --model"
            )
        chat = chat_.Nobody("nobody", "no annotator is at hand")
    return asked, {"replay": known, "good": _in_form}, chat


def _request(dialogue: Dialogue, annotator: str) -> Request:
    """The first attempt, and those that follow where the reply is out of form or cut off."""
    kept = {"annotator": annotator, "id": dialogue.id}
    question, room = user(roles.annotation_prompt(dialogue.question)), {"thinking_tokens": ROOM_TO_THINK}
    first, *again = (
        Request(key(annotator, dialogue.question, n), question, typical=TYPICAL_REPLY, kept=kept, **room, **params(n))
        for n in range(1, ATTEMPTS + 1)
    )
    return replace(first, again=tuple(again))


def _in_form(record: dict[str, Any]) -> bool:
    return record["annotator"] == PACKAGED_ANNOTATOR or outcome(record) not in ("malformed", "cut off")


CANARY = Canary(8, _in_form, "is in form", "Read the replies in annotations.jsonl, then choose another --model")


# --- what is known, and what is to be asked ------------------------------------------------------


@cache
def _lima_roles() -> list[dict[str, Any]]:
    return read_jsonl(PACKAGED_ROLES, required=("question", "question_description", "role_description"))


@cache
def _packaged_replies() -> dict[str, dict[str, Any]]:
    """The course's own annotations by `question_key`, or by journal key where the raw reply is kept."""
    known = {record["key"]: record for record in journal.read(PACKAGED_JOURNAL)}
    return known | {row["question"]: row for row in _lima_roles()}


def _packaged(dialogue: Dialogue) -> dict[str, Any] | None:
    """The packaged reply to a dialogue's question as a journal record, if there is one."""
    known, k = _packaged_replies(), key(PACKAGED_ANNOTATOR, dialogue.question)
    if record := known.get(k):
        return record
    if (row := known.get(question_key(dialogue.question))) is None:
        return None
    role = roles.Role(row["question_description"], row["role_description"])
    return {
        "key": k,
        "annotator": PACKAGED_ANNOTATOR,
        "id": dialogue.id,
        "reply": roles.annotation(role),
        "finish": "stop",
        "tokens": [0, 0],
    }


def _row(dialogue: Dialogue, record: dict[str, Any]) -> dict[str, Any]:
    what = outcome(record)  # declined: the hand-written "AI assistant"; out of form: the same, of an unknown question
    fallback = roles.DECLINED if what == "declined" else roles.UNKNOWN
    role = (what in ("parsed", "declined") and roles.parse_annotation(record["reply"])) or fallback
    return {
        "id": dialogue.id,
        "source": dialogue.source,
        "messages": dialogue.messages(),
        "role": {
            "question_description": role.question_description,
            "role_description": role.role_description,
            "text": role.text(),
        },
        "annotator": record["annotator"],
        "outcome": what,
    }


def _manifest(rows: Sequence[dict[str, Any]], records: Collection[dict[str, Any]]) -> dict[str, Any]:
    """What is in lima_role.jsonl: who annotated it, what became of it, and what was odd about the server."""
    counts = {name: dict(Counter(row[name] for row in rows)) for name in ("annotator", "outcome")}
    return {"dialogues": len(rows), **counts, **chat_.remarks(records)}
