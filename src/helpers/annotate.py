"""LIMA -> LIMA-Role: ask an annotator for a role, keep every raw reply, take the reply apart afterwards.

Paper, section 3.1. Asking costs money and goes through the journal; parsing is free and can be
repeated. Without a key the packaged journal answers: it goes through the very code that would ask
a server, which is why lesson 01 calls it a *replay*.
"""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import journal, roles
from .chat import EndpointChat, user
from .data import SAMPLES
from .data.lima import Dialogue
from .errors import UserError

PACKAGED_JOURNAL = SAMPLES / "annotations.jsonl"
PACKAGED_ANNOTATOR = "course-authors"  # who wrote the packaged replies
PARAMS = {"max_tokens": 160, "temperature": 0}
ATTEMPTS = 3  # a reply out of form is asked again this often in all
_DECLINES = re.compile(r"\b(?:can(?:no|['’])t|won['’]t|unable to|not able to|decline|sorry)\b", re.IGNORECASE)


def key(annotator: str, question: str, attempt: int = 1) -> str:
    """The journal key of one question to one annotator."""
    params = PARAMS if attempt == 1 else {**PARAMS, "attempt": attempt}
    return journal.key(annotator, params, roles.annotation_prompt(question))


def annotate(
    dialogues: Sequence[Dialogue], out: Path, chat: EndpointChat | None = None, say=print
) -> list[dict[str, Any]]:
    """Ask for every dialogue what the journal does not hold yet; write and return the rows of LIMA-Role.

    Files in `out`: annotations.jsonl (raw replies) and lima_role.jsonl (rows as docs/DATA.md says).
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "annotations.jsonl"
    if not path.exists():
        shutil.copyfile(PACKAGED_JOURNAL, path)
    with journal.Journal(path) as answers:
        for attempt in range(1, ATTEMPTS + 1):
            asked = [d for d in dialogues if _needs_asking(answers, d, chat, attempt)]
            if not asked:
                continue
            if chat is None:
                raise UserError(
                    f"{len(asked)} of {len(dialogues)} questions have no annotation yet and no annotator is at hand: "
                    "set OPENAI_API_KEY, or give --base-url and --model"
                )
            _ask(asked, answers, chat, attempt, say)
        names = [PACKAGED_ANNOTATOR, *([chat.name] if chat else [])]
        answers.sort(key(n, d.question, a) for d in dialogues for n in names for a in range(1, ATTEMPTS + 1))
        rows = [_row(d, answers, chat) for d in dialogues]
    temporary = out / "lima_role.jsonl.tmp"
    temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    temporary.replace(out / "lima_role.jsonl")
    counts = Counter(r["outcome"] for r in rows)
    say(f"LIMA-Role: {len(rows)} dialogues, " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    return rows


def _ask(dialogues: Sequence[Dialogue], answers: journal.Journal, chat: EndpointChat, attempt: int, say) -> None:
    say(f"asking {chat.name} for {len(dialogues)} role prompts (attempt {attempt})")
    conversations = [user(roles.annotation_prompt(d.question)) for d in dialogues]
    for n, (i, reply) in enumerate(chat.complete(conversations, PARAMS["max_tokens"]), 1):
        answers.add(
            {
                "key": key(chat.name, dialogues[i].question, attempt),
                "annotator": chat.name,
                "id": dialogues[i].id,
                "reply": reply.text,
                "finish": reply.finish,
                "tokens": [reply.prompt_tokens, reply.tokens],
            }
        )
        if n % 50 == 0 or n == len(dialogues):
            say(f"  {n} of {len(dialogues)}")


def _find(answers: journal.Journal, dialogue: Dialogue, chat: EndpointChat | None) -> dict[str, Any] | None:
    """The record to use: the packaged one, else the last attempt of the annotator at hand."""
    if record := answers.get(key(PACKAGED_ANNOTATOR, dialogue.question)):
        return record
    found = None
    for attempt in range(1, ATTEMPTS + 1):
        if chat and (record := answers.get(key(chat.name, dialogue.question, attempt))):
            found = record
    return found


def _needs_asking(answers: journal.Journal, dialogue: Dialogue, chat: EndpointChat | None, attempt: int) -> bool:
    """Whether this attempt is still to be made: the first where nothing is known, a later one after a malformed reply."""
    if answers.get(key(PACKAGED_ANNOTATOR, dialogue.question)):
        return False
    if chat is None:
        return True
    if answers.get(key(chat.name, dialogue.question, attempt)):
        return False
    before = answers.get(key(chat.name, dialogue.question, attempt - 1)) if attempt > 1 else None
    return attempt == 1 or (before is not None and outcome(before) == "malformed")


def outcome(record: dict[str, Any]) -> str:
    """ "parsed", "declined", "cut off" or "malformed"."""
    if roles.parse_annotation(record["reply"]):
        return "parsed"
    if record["finish"] in ("refusal", "content_filter") or _DECLINES.search(record["reply"][:120]):
        return "declined"
    return "cut off" if record["finish"] == "length" else "malformed"


def _row(dialogue: Dialogue, answers: journal.Journal, chat: EndpointChat | None) -> dict[str, Any]:
    record = _find(answers, dialogue, chat)
    if record is None:
        raise UserError(f"no annotation for dialogue {dialogue.id}: run annotate again")
    what = outcome(record)  # declined: the hand-written "AI assistant"; out of form: the same, of an unknown question
    fallback = roles.DECLINED if what == "declined" else roles.UNKNOWN
    role = roles.parse_annotation(record["reply"]) or fallback
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


def audit_sheet(rows: Sequence[dict[str, Any]], n: int, path: Path, seed: int = 0) -> list[dict[str, Any]]:
    """A seeded sample of `n` rows as a CSV to be ticked by a person (paper, section 3.1: 100 rows).

    "format" is checked by program (the two descriptions were found, or the annotator declined);
    "description_ok" and "role_ok" are left empty for the reader.
    """
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
