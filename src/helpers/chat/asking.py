"""One way to ask: requests in, journalled records out.

The one idea: annotator, scorer, judge and experiment all make *requests* and read *records*. `ask` stands in between.
It knows what the journal holds, prints the bill, asks for a yes, asks the chat, shows progress, and keeps every raw
reply before anything else happens. So cap, restart and dry run are the same for all, and live in one place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import journal, money, thinking
from .canary import Canary
from .messages import Completion, Messages, frame, user
from .wishes import TYPICAL_THOUGHT

ENOUGH = 32  # answers that tell how long the others will take
STAGE2_REPLY = 16  # tokens of a typical stage 2, for the bill
ROOM_TO_THINK = 4096  # tokens that a model which thinks may spend on that in one call, at most
OPENING_CALLS = 3  # with which a server may be asked to continue after a long opening, at most
NO_SECOND_TURN = ("too long", "content_filter", "refusal", "empty")  # finishes after which nothing more is asked

Record = dict[str, Any]  # one line of a journal
Asked = Mapping[Path | None, Sequence["Request"]]  # journal file -> its requests; None: kept in memory only


@dataclass(frozen=True)
class Request:
    """One question to a model, and what its record holds beside the reply."""

    key: str  # of its record in the journal
    messages: Messages
    max_tokens: int
    typical: int  # tokens of a usual reply, for the bill
    kept: Record = field(default_factory=dict)
    temperature: float = 0.0
    then: str | None = None  # the text with which stage 2 begins; None: one stage
    then_tokens: int = 0
    opening_tokens: int = 0  # that an opening may have on top of `max_tokens`
    thinking_tokens: int = 0  # that the thinking of a model behind a server may have on top, at most
    turn: bool = False  # stage 2 is a new turn of the user, and a call of its own
    first: Record | None = None  # the record that this request completes: it is the second turn
    again: tuple[Request, ...] = ()  # what is asked instead, one after the other, while the record is not good


def as_record(request: Request, reply: Completion) -> Record:
    """The usual record: key, what the request keeps, reply, finish, and tokens as [read, written]."""
    tokens = [reply.prompt_tokens, reply.tokens]
    return {"key": request.key, **request.kept, "reply": reply.text, "finish": reply.finish, "tokens": tokens}


def ask(
    asked: Asked,
    chat: Any,
    *,
    replay: Mapping[str, Record] | None = None,
    good: Callable[[Record], bool] = lambda record: True,
    record: Callable[[Request, Completion], Record] = as_record,
    canary: Canary | None = None,
    approve: Callable[[money.Bill], None] | None = None,
    what: str = "questions",
    say: Callable = print,
) -> dict[str, Record]:
    """Ask for every record that the journals do not hold yet; the last record of each request, by the request's key.

    `replay`: records that are known without asking, by key. `good`: whether a record may stay; where it may not, the
    request's `again` follows. `record` makes the line of the journal. `canary`: what must come of the first questions to
    a server before others are asked (a model in this process costs nothing, and has none). `approve` sees the bill
    before the first call, and raises to stop there. Killed at any moment and started again, it asks for nothing twice,
    and the files end the same.
    """
    money.need_price(chat.meter.price, chat.name)  # said before anything is written
    with ExitStack() as stack:
        files = {p: stack.enter_context(journal.Journal(p) if p else journal.Scratch()) for p in asked}
        for path, requests in asked.items():
            known = [(replay or {}).get(request.key) for request in requests]
            files[path].extend(r for r in known if r and files[path].get(r["key"]) is None)
        canary = canary if chat.meter.shown else None
        first, trial = _open(asked, files, good), _trial(canary, asked, replay or {}, files, chat)
        if first and chat.meter.shown:
            bill = _bill([request for _, request in first], chat)
            say(bill)
            if approve:
                approve(bill)
        odd: set[str] = set()  # what was said of the server already
        now, left = trial or first, None
        while now and now != left:  # a chat that leaves an answer out is not asked for ever
            left = now
            for group in _alike(now):
                _complete(group, files, chat, record, what, say, odd)
            now = _trial(canary, asked, replay or {}, files, chat, say) or _open(asked, files, good)
        if first and chat.meter.shown:
            say(f"asked {chat.name}: {chat.meter}")
        if now:
            raise RuntimeError(f"{chat.name} left {len(now):,} {what} without an answer: run again for them")
        found = {}
        for path, requests in asked.items():
            files[path].sort(r.key for request in requests for r in (request, *request.again))
            found |= {request.key: _last(request, files[path]) for request in requests}
        return found


def plan(
    asked: Asked, chat: Any, *, replay: Mapping[str, Record] | None = None, good: Callable = lambda record: True
) -> money.Bill:
    """The bill of `ask` with the same arguments. Asks nobody and writes nothing."""
    return _bill([request for _, request in _open(asked, _read(asked, replay), good)], chat)


def unanswered(asked: Asked, replay: Mapping[str, Record] | None = None) -> int:
    """How many requests have no record yet, neither in `replay` nor in the journals."""
    files = _read(asked, replay)
    return sum(files[path].get(request.key) is None for path, requests in asked.items() for request in requests)


def remarks(records: Iterable[Record]) -> Record:
    """What a manifest says of how these were answered: {"answered_as": names, "cut_prompts": n, "thinking_tokens": n}.

    Only what there is.
    """
    records = list(records)
    found = {
        "answered_as": sorted({r["answered_as"] for r in records if r.get("answered_as")}),
        "cut_prompts": sum(bool(r.get("sent_tokens")) for r in records),
        "thinking_tokens": sum(r.get("thinking_tokens", 0) + r.get("stage2_thinking_tokens", 0) for r in records),
    }
    return {name: value for name, value in found.items() if value}


class Nobody:
    """Stands where a model was: what it answered is read from the journal, and nothing new can be asked."""

    prompt, turns, continues = "frame", True, True

    def __init__(self, name: str, advice: str) -> None:
        self.name, self.advice, self.meter = name, advice, money.free()

    def complete(self, *_: Any, **__: Any) -> Iterator[tuple[int, Completion]]:
        raise UserError(self.advice)

    def text(self, messages: Messages) -> str:
        return frame(messages)


# --- what is open, and what it costs ---------------------------------------------------------------

Open = list[tuple[Path | None, Request]]


def _read(asked: Asked, replay: Mapping[str, Record] | None) -> dict[Path | None, dict[str, Record]]:
    """The records that are known already, by file and key; nothing is locked or repaired."""
    return {p: dict(replay or {}) | {r["key"]: r for r in (journal.read(p) if p else ())} for p in asked}


def _open(asked: Asked, files: Mapping[Path | None, Any], good: Callable[[Record], bool]) -> Open:
    """What is to be asked now, each key once: a request, its second turn, or its next attempt."""
    found = {}
    for path, requests in asked.items():
        for request in requests:
            following = _next(request, files[path], good)
            if following:
                found.setdefault((path, following.key), following)
    return [(path, request) for (path, _), request in found.items()]


def _trial(
    canary: Canary | None, asked: Asked, replay: Mapping, files: Mapping, chat: Any, say: Callable | None = None
) -> Open:
    """What is asked before all else: none once a record is of use. NothingOfUse if enough were asked and none is.

    Records that were known without asking say nothing of this model.
    """
    if canary is None:
        return []
    own = {r.key: (path, r) for path, requests in asked.items() for r in requests if r.key not in replay}
    new = [(path, r) for path, r in own.values() if files[path].get(r.key) is None]
    tried = [known for path, r in own.values() for a in (r, *r.again) if (known := files[path].get(a.key))]
    if any(map(canary.of_use, tried)):
        return []
    asked_before = len(own) - len(new)
    if tried and (asked_before >= canary.n or not new):
        if say:
            say(f"asked {chat.name}: {chat.meter}")
        raise canary.stop(tried[-1], asked_before, chat.name)
    return new[: canary.n - asked_before]


def _next(request: Request, known: Any, good: Callable[[Record], bool]) -> Request | None:
    for n, attempt in enumerate((request, *request.again)):
        record = known.get(attempt.key)
        if record is None:
            return replace(attempt, again=request.again[n:])
        if attempt.turn and "stage2" not in record:
            return _second_turn(attempt, record)
        if good(record):
            return None
    return None


def _second_turn(request: Request, record: Record) -> Request:
    said = {"role": "assistant", "content": record["stage1"]}
    turns = [*request.messages, said, *user(request.then.strip())]
    asked_on = replace(request, messages=turns, max_tokens=request.then_tokens, typical=STAGE2_REPLY)
    return replace(asked_on, then=None, then_tokens=0, turn=False, first=record)


def _last(request: Request, known: Any) -> Record:
    """The record to use: the last attempt's."""
    return next(r for a in reversed((request, *request.again)) if (r := known.get(a.key)))


def _bill(requests: Sequence[Request], chat: Any) -> money.Bill:
    """What these requests cost: as a rule, and if every reply is as long as it may be and every attempt is needed."""
    price = money.need_price(chat.meter.price, chat.name)
    wishes = getattr(chat, "wishes", None)
    calls = read = written = 0
    worst = 0.0
    for request in requests:
        text = chat.text(request.messages)
        thought = TYPICAL_THOUGHT if wishes and wishes.reasons and request.thinking_tokens else 0
        calls, read, written = calls + 1, read + money.tokens_in(text), written + request.typical + thought
        if request.then:
            reads = money.tokens_in(text + request.then) + request.typical
            calls, read, written = calls + 1, read + reads, written + min(STAGE2_REPLY, request.then_tokens) + thought
        for attempt in (request, *request.again):
            thinks = attempt.thinking_tokens if wishes and wishes.thinks is not False else 0
            room = attempt.max_tokens + attempt.opening_tokens + thinks
            calls_at_most = 1 + (OPENING_CALLS if attempt.opening_tokens else 0)
            worst += money.cost(price, money.tokens_bound([text]) * calls_at_most + room * (calls_at_most - 1), room)
            if attempt.then:
                longest = money.tokens_bound([text + attempt.then]) + room
                worst += money.cost(price, longest, attempt.then_tokens + thinks)
    usd = money.cost(price, read, written)
    return money.Bill(chat.name, calls, read, written, usd, worst, chat.meter.max_usd, price)


# --- asking ----------------------------------------------------------------------------------------


def _alike(requests: Open) -> list[Open]:
    """The requests in groups that one call of `complete` can take, in order."""
    groups: dict[tuple, Open] = {}
    for path, request in requests:
        continued = 0 if request.turn else request.then_tokens  # also of those that have no stage 2 to continue with
        room = (request.max_tokens, request.opening_tokens, request.thinking_tokens, continued)
        kind = (*room, request.temperature, request.first is not None)
        groups.setdefault(kind, []).append((path, request))
    return list(groups.values())


def _complete(
    group: Open, files: Mapping, chat: Any, record: Callable, what: str, say: Callable, odd: set[str]
) -> None:
    """Journal the reply to each of these requests, as the replies come; its thinking stands beside it."""
    requests = [request for _, request in group]
    one = requests[0]
    options: dict[str, Any] = {"temperature": one.temperature} if one.temperature else {}
    if one.opening_tokens:
        options |= {"opening_tokens": one.opening_tokens}
    if one.thinking_tokens and hasattr(chat, "wishes"):
        options |= {"thinking_tokens": one.thinking_tokens}
    if one.then_tokens and not one.turn:  # what ends inside its thinking has nothing to be continued

        def then(i: int, reply: str) -> str | None:
            return requests[i].then if thinking.split(reply).closed else None

        options |= {"then": then, "then_tokens": one.then_tokens}
    if one.temperature:  # only later attempts have some
        say(f"asking {chat.name} again for {len(requests):,} out of form or cut off")
    replies = chat.complete([request.messages for request in requests], one.max_tokens, **options)
    what = "second turns" if one.first else what
    for i, reply in with_progress(replies, len(requests), what, say, chat.meter):
        path, request = group[i]
        reply = thinking.apart(reply)
        files[path].add(record(request, reply) | _beside(request, reply))
        for line in set(_oddities(chat.name, reply)) - odd:
            odd.add(line)
            say(line)


def _beside(request: Request, reply: Completion) -> Record:
    """What every record keeps beside the reply, if there is any: thinking, and what is odd about the server."""
    stage = "stage2_" if request.first else ""
    thought = {f"{stage}thinking": reply.thinking, f"{stage}thinking_tokens": reply.thought}
    found = thought | {"answered_as": reply.answered_as, "sent_tokens": reply.sent}
    return {name: value for name, value in found.items() if value}


def _oddities(name: str, reply: Completion) -> Iterator[str]:
    """One line for each thing that makes these replies other ones than were asked for."""
    if reply.answered_as:
        yield f"note: asked for {name}, the server answers as {reply.answered_as}: every record says so"
    if reply.sent:
        yield (
            "note: the server reads less than was sent, so it cuts the prompt (for Ollama, raise num_ctx); "
            "the records say where"
        )


def with_progress(
    replies: Iterable[tuple[int, Completion]], n: int, what: str, say: Callable, meter: money.Meter | None = None
) -> Iterator[tuple[int, Completion]]:
    """The replies, with a line every few seconds: how many of `n`, how fast, the time left, and what they cost so far.

    The first reply of a batch comes when most of the batch is nearly done: it says nothing yet of the time left.
    """
    began = last = time.monotonic()
    for done, reply in enumerate(replies, 1):
        yield reply  # first kept by the caller, then counted
        now = time.monotonic()
        if now - last > 5 or done == n:
            last, rate = now, done / max(now - began, 1e-9)
            left = f", {(n - done) / rate:.0f} s left" if min(ENOUGH, n / 4) <= done < n else ""
            spent = f", {meter.spent:.4f} USD" if meter and meter.spent else ""
            say(f"  {done:,} of {n:,} {what}, {rate:.1f}/s{left}{spent}")
