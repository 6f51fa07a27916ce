"""LIMA -> LIMA-Role: ask an annotator for a role, keep every raw reply, take the reply apart afterwards.

Paper, section 3.1. Asking costs money and goes through the journal; parsing is free and can be
repeated. Questions that the course has annotated itself (LIMA's 1,030 and our own 120) are answered
from the packaged replies, through the very code that would ask a server: a *replay*.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from .. import roles
from ..chat import EndpointChat, journal, money, told, user
from ..chat.batch import BatchChat
from ..data import SAMPLES, read_jsonl
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
    chat: EndpointChat | BatchChat | None = None,
    *,
    packaged: bool = True,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> list[dict[str, Any]]:
    """Ask for every dialogue what the journal does not hold yet; write and return the rows of LIMA-Role.

    Files in `out`: annotations.jsonl (raw replies) and lima_role.jsonl (rows as docs/DATA.md says).
    `packaged`: use the course's own annotations where it has them; False asks `chat` for every dialogue.
    `approve` is shown the bill before the first call and raises to stop there.
    """
    if chat is None or chat.meter.price is None:
        plan(dialogues, out, chat, packaged=packaged)  # what cannot be asked is told before anything is written
    out.mkdir(parents=True, exist_ok=True)
    with journal.Journal(out / "annotations.jsonl") as answers:
        if packaged:
            known = (_packaged(d) for d in dialogues)
            answers.extend(r for r in known if r and answers.get(r["key"]) is None)
        names = _names(chat, packaged)
        missing = _missing(answers, names, dialogues)
        if missing:
            bill = _bill(missing, len(dialogues), chat)
            say(bill)
            if approve:
                approve(bill)
        for attempt in range(1, ATTEMPTS + 1):
            if asked := [d for d in missing if _next_attempt(answers, names, d) == attempt]:
                _ask(asked, answers, chat, attempt, say)
        if missing:
            say(f"asked {chat.name}: {chat.meter}")
        answers.sort(key(n, d.question, a) for d in dialogues for n in names for a in range(1, ATTEMPTS + 1))
        rows = [_row(d, _find(answers, names, d)) for d in dialogues]
    temporary = out / "lima_role.jsonl.tmp"
    temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    temporary.replace(out / "lima_role.jsonl")
    report(rows, say)
    return rows


def plan(
    dialogues: Sequence[Dialogue], out: Path, chat: EndpointChat | BatchChat | None, *, packaged: bool = True
) -> money.Bill:
    """The bill of `annotate` with the same arguments. Asks nobody and writes nothing."""
    answers = {r["key"]: r for r in journal.read(out / "annotations.jsonl")}
    if packaged:
        answers |= {r["key"]: r for r in map(_packaged, dialogues) if r}
    names = _names(chat, packaged)
    return _bill(_missing(answers, names, dialogues), len(dialogues), chat)


def report(rows: Sequence[dict[str, Any]], say: Callable = print) -> None:
    """Count the outcomes, and list every dialogue that has no role of its own."""
    counts = Counter(r["outcome"] for r in rows)
    say(f"LIMA-Role: {len(rows):,} dialogues, " + ", ".join(f"{n:,} {what}" for what, n in counts.most_common()))
    for what in ("declined", "malformed", "cut off"):
        if ids := [r["id"] for r in rows if r["outcome"] == what]:
            say(f"  {what}, given the AI assistant's role: {', '.join(ids)}")


def outcome(record: dict[str, Any]) -> str:
    """ "parsed", "declined" (by the annotator, or with the hand-written role), "cut off" or "malformed"."""
    if role := roles.parse_annotation(record["reply"]):
        return "declined" if role.role_description == roles.DECLINED_ROLE else "parsed"
    if record["finish"] in ("refusal", "content_filter") or _DECLINES.search(record["reply"][:120]):
        return "declined"
    return "cut off" if record["finish"] == "length" else "malformed"


def packaged_roles() -> list[roles.Role]:
    """The shipped roles of LIMA's 1,030 first questions, in LIMA's order."""
    return [roles.Role(row["question_description"], row["role_description"]) for row in _lima_roles()]


def _names(chat: EndpointChat | BatchChat | None, packaged: bool) -> list[str]:
    """Whose replies count, in order."""
    return [name for name in (PACKAGED_ANNOTATOR if packaged else None, chat and chat.name) if name]


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


def _find(answers: Any, names: Sequence[str], dialogue: Dialogue) -> dict[str, Any] | None:
    """The record to use: of the first name that answered, its last attempt."""
    for name in names:
        for attempt in range(ATTEMPTS, 0, -1):
            if record := answers.get(key(name, dialogue.question, attempt)):
                return record
    return None


def _next_attempt(answers: Any, names: Sequence[str], dialogue: Dialogue) -> int:
    """Which attempt is still to be made: 1 where nothing is known, a later one after a reply out of form; 0 for none."""
    for name in names:
        for attempt in range(ATTEMPTS, 0, -1):
            if record := answers.get(key(name, dialogue.question, attempt)):
                again = name != PACKAGED_ANNOTATOR and outcome(record) in ("malformed", "cut off")
                return attempt + 1 if again and attempt < ATTEMPTS else 0
    return 1


def _missing(answers: Any, names: Sequence[str], dialogues: Sequence[Dialogue]) -> dict[Dialogue, int]:
    """Dialogues to ask about, with the attempt to make; of those that share a question, the first."""
    once = {d.question.strip(): d for d in reversed(dialogues)}
    attempts = {d: _next_attempt(answers, names, d) for d in dialogues if once[d.question.strip()] is d}
    return {d: attempt for d, attempt in attempts.items() if attempt}


def _bill(missing: dict[Dialogue, int], n: int, chat: EndpointChat | BatchChat | None) -> money.Bill:
    if missing and chat is None:
        raise UserError(
            f"{len(missing)} of {n} questions have no annotation yet and no annotator is at hand: "
            "set OPENAI_API_KEY and give --model, or give --base-url and --model"
        )
    if chat is None:
        return money.Bill("nobody", 0, 0, 0, 0.0, 0.0, None, (0.0, 0.0))
    price = money.need_price(chat.meter.price, chat.name)
    under_way = chat.under_way() if isinstance(chat, BatchChat) else set()
    prompts = {d: user(roles.annotation_prompt(d.question)) for d in missing}
    if under_way:
        prompts = {d: p for d, p in prompts.items() if chat.request_id(p, **params(missing[d])) not in under_way}
    texts = [p[0]["content"] for p in prompts.values()]
    read, written = sum(map(money.tokens_in, texts)), TYPICAL_REPLY * len(texts)
    limits = [params(attempt)["max_tokens"] for attempt in range(1, ATTEMPTS + 1)]
    worst = sum(money.cost(price, money.at_most(texts), limit * len(texts)) for limit in limits)
    usd = money.cost(price, read, written)
    return money.Bill(chat.name, len(texts), read, written, usd, worst, chat.meter.max_usd, price)


def _ask(
    dialogues: Sequence[Dialogue], answers: journal.Journal, chat: EndpointChat | BatchChat, attempt: int, say: Callable
) -> None:
    """Journal the raw reply to every dialogue's question, as the replies come."""
    if attempt > 1:
        say(f"asking {chat.name} again for {len(dialogues):,} out of form or cut off (attempt {attempt} of {ATTEMPTS})")
    conversations = [user(roles.annotation_prompt(d.question)) for d in dialogues]
    replies = chat.complete(conversations, **params(attempt))
    for i, reply in told(replies, len(dialogues), "questions", say, chat.meter):
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


def _row(dialogue: Dialogue, record: dict[str, Any]) -> dict[str, Any]:
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
