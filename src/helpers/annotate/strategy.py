"""Annotating by any strategy: the same asking, another form (lesson 08).

Dialogues whose reply is out of form are left out: there is no hand-written stand-in as roles have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .. import chat as chat_
from ..chat import ROOM_TO_THINK, Canary, Request, journal, money, user
from ..data import SAMPLES
from ..data.lima import Dialogue
from ..errors import UserError
from ..strategies import Strategy
from .lima_role import PACKAGED_ANNOTATOR, PARAMS, TYPICAL_REPLY


def annotate_with(
    strategy: Strategy,
    dialogues: Sequence[Dialogue],
    out: Path,
    chat: Any = None,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> list[dict[str, Any]]:
    """Rows to train on: dialogues with the strategy's annotation under its name. Raw replies stay in <strategy>.jsonl.

    The course's own replies are replayed where it has them, and replies of an earlier annotator count; `chat` is asked
    about the other questions, after its bill was shown (`approve` raises to stop there). Dialogues whose reply is out
    of form are left out, and named.
    """
    asked = _questions(strategy, dialogues, out, chat)
    replay = _replies(strategy)
    if chat is None and (missing := chat_.unanswered(asked, replay)):
        raise UserError(f"{missing} of {len(dialogues)} questions have no {strategy.name} annotation: give a chat")
    chat = chat or chat_.Nobody(PACKAGED_ANNOTATOR, "there is nobody to ask")
    what = f"{strategy.name} annotations"
    advice = f"Read the replies in {strategy.name}.jsonl, then choose another model"
    canary = Canary(8, lambda record: strategy.read(record["reply"]) is not None, "is in form", advice)
    records = chat_.ask(asked, chat, replay=replay, canary=canary, approve=approve, what=what, say=say)
    found = {d: records[request.key] for d, request in zip(dialogues, *asked.values())}
    read = {d: strategy.read(record["reply"]) for d, record in found.items()}
    say(f"{strategy.name}: {len(read):,} dialogues, {sum(a is not None for a in read.values()):,} annotations in form")
    if bad := [d.id for d, annotation in read.items() if annotation is None]:
        say(f"  out of form, left out: {', '.join(bad)}")
    return [
        {"id": d.id, "source": d.source, "messages": d.messages(), strategy.name: a, "annotator": found[d]["annotator"]}
        for d, a in read.items()
        if a is not None
    ]


def unknown(strategy: Strategy, dialogues: Sequence[Dialogue], out: Path) -> int:
    """How many dialogues have no reply yet, neither packaged nor in the journal in `out`."""
    return chat_.unanswered(_questions(strategy, dialogues, out), _replies(strategy))


def _questions(strategy: Strategy, dialogues: Sequence[Dialogue], out: Path, chat: Any = None) -> dict:
    """A request for each dialogue: under the name of ours, of whoever was asked before, or of `chat`."""
    path = out / f"{strategy.name}.jsonl"
    before = {r["key"]: r for r in journal.read(path)}
    known = before | _replies(strategy)
    earlier = sorted({r["annotator"] for r in before.values()} - {PACKAGED_ANNOTATOR})
    names = [PACKAGED_ANNOTATOR, *earlier, chat.name if chat else PACKAGED_ANNOTATOR]
    requests = []
    for d in dialogues:
        prompt = strategy.prompt(d.question)
        keys = {name: journal.key(name, PARAMS, prompt) for name in names}
        name = next((n for n, k in keys.items() if k in known), names[-1])
        kept = {"annotator": name, "id": d.id}
        room = {"max_tokens": PARAMS["max_tokens"], "thinking_tokens": ROOM_TO_THINK}
        requests.append(Request(keys[name], user(prompt), typical=TYPICAL_REPLY, kept=kept, **room))
    return {path: requests}


@cache
def _replies(strategy: Strategy) -> dict[str, dict[str, Any]]:
    return {record["key"]: record for record in journal.read(SAMPLES / strategy.packaged)}
