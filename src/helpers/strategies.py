"""Prompting strategies that a model can learn to write for itself; role-play is one of them.

The one idea: a strategy is data. Self-prompt tuning needs five things of it: how to ask an annotator about a question, how
to read the reply, how to write the annotation as the opening of an answer, how to take an opening off a reply, and how to
read the annotation back. Annotation, training and scoring are the same for all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import annotate as annotate_
from . import roles
from .chat import journal, money, told, user
from .data import SAMPLES
from .data.lima import Dialogue
from .errors import UserError

Annotation = dict[str, str]  # what an annotator says of one question, by field


@dataclass(frozen=True)
class Strategy:
    name: str  # the arm; a row keeps its annotation under this key
    prompt: Callable[[str], str]  # question -> what the annotator is asked
    read: Callable[[str], Annotation | None]  # the annotator's reply -> annotation; None where it is out of form
    render: Callable[..., str]  # (annotation, design) -> the opening of the answer that is trained on
    strip: Callable[[str], tuple[str | None, str]]  # a model's reply -> (opening or None, answer)
    parse: Callable[[Any], Annotation | None]  # an opening -> annotation; None where it is missing or not well-formed
    packaged: Path  # the course's own replies to our 120 questions, a journal


# --- role-play, as the paper has it ---------------------------------------------------------------


def _plain(role: roles.Role | None) -> Annotation | None:
    return asdict(role) if role else None


ROLE_PLAY = Strategy(
    name="role",
    prompt=roles.annotation_prompt,
    read=lambda reply: _plain(roles.parse_annotation(reply)),
    render=lambda a, design=8: roles.render(a["question_description"], a["role_description"], design),
    strip=roles.strip,
    parse=lambda opening: _plain(roles.parse(opening)),
    packaged=annotate_.PACKAGED_JOURNAL,
)

# --- step-back prompting (Zheng et al. 2023, arXiv 2310.06117) ------------------------------------

STEP_BACK_PROMPT = """\
Next, I will provide you with a question. Take a step back from it: ask a more general question about the concept or \
principle behind it, and answer that more general question in one sentence.
No need to actually answer the question itself.

Please format your response as follows:
A: Step back: []? Principle: [].

Here is an example:
Q: {example_question}
A: Step back: How do equal groups and a remainder combine? Principle: Multiply the groups by their size first, and \
take away afterwards.

Here is the question I need you to deal with:
Q: {question}"""

_STEP_BACK = re.compile(
    r"Step back: (?P<question>[A-Z][^\[\]?]*\?) Principle: (?P<principle>(?!Principle:)[A-Z](?:(?!Principle:)[^\[\]?])*?)\.?"
)
_BRACKET = re.compile(r"\s*\[(Step back:[^\[\]]*)\]")
_BEGINS = "[Step back:"


def _read_step_back(reply: str) -> Annotation | None:
    """The general question and the principle in an annotator's reply; None unless it is exactly in form."""
    match = _STEP_BACK.fullmatch(" ".join(reply.split()).removeprefix("A:").lstrip())
    return match.groupdict() if match else None


def _strip_step_back(text: str) -> tuple[str | None, str]:
    """As `roles.strip`: an opening that never closes leaves the answer empty."""
    if match := _BRACKET.match(text):
        return f"[{match[1]}]", text[match.end() :].strip()
    start = text.lstrip()
    if start and (start.startswith(_BEGINS) or _BEGINS.startswith(start)):
        return text.strip(), ""
    return None, text.strip()


def _parse_step_back(opening: Any) -> Annotation | None:
    if not isinstance(opening, str) or not (opening.startswith("[") and opening.endswith("]")):
        return None
    return _read_step_back(opening[1:-1])


STEP_BACK = Strategy(
    name="step_back",
    prompt=lambda q: STEP_BACK_PROMPT.format(example_question=roles.EXAMPLE_QUESTION, question=q.strip()),
    read=_read_step_back,
    render=lambda a, design=None: f"[Step back: {a['question']} Principle: {a['principle']}.]",
    strip=_strip_step_back,
    parse=_parse_step_back,
    packaged=SAMPLES / "beyond" / "step_back.jsonl",
)

STRATEGIES = {s.name: s for s in (ROLE_PLAY, STEP_BACK)}


def strip(text: str, arm: str) -> tuple[str | None, str]:
    """(opening or None, answer) of a reply of any arm. An arm that learned no strategy is read as the role arm is."""
    return STRATEGIES.get(arm, ROLE_PLAY).strip(text)


# --- annotation -----------------------------------------------------------------------------------


def annotate(
    strategy: Strategy,
    dialogues: Sequence[Dialogue],
    out: Path,
    chat: Any = None,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> list[dict[str, Any]]:
    """Rows to train on: dialogues with the strategy's annotation under its name. Raw replies stay in <strategy>.jsonl.

    The course's own replies are replayed where it has them; `chat` is asked about the other questions, through the
    journal, with its bill told first (`approve` raises to stop there). Dialogues whose reply is out of form are left
    out, and named: there is no hand-written stand-in as roles have one.
    """
    out.mkdir(parents=True, exist_ok=True)
    keys = _keys(strategy, dialogues, out, chat)
    with journal.Journal(out / f"{strategy.name}.jsonl") as answers:
        packaged = _replies(strategy.packaged)
        own = [packaged[k[0]] for k in keys.values() if k[0] in packaged]
        answers.extend(r for r in own if answers.get(r["key"]) is None)
        missing = [d for d, known in keys.items() if not any(map(answers.get, known))]
        if missing and chat is None:
            raise UserError(
                f"{len(missing)} of {len(dialogues)} questions have no {strategy.name} annotation: give a chat"
            )
        if missing:
            _ask(strategy, missing, [keys[d][-1] for d in missing], chat, answers, approve, say)
        answers.sort(k for known in keys.values() for k in known)
        found = {d: next(r for r in map(answers.get, known) if r) for d, known in keys.items()}
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
    known = _replies(strategy.packaged) | {r["key"]: r for r in journal.read(out / f"{strategy.name}.jsonl")}
    return sum(not any(k in known for k in keys) for keys in _keys(strategy, dialogues, out).values())


def _keys(strategy: Strategy, dialogues: Sequence[Dialogue], out: Path, chat: Any = None) -> dict[Dialogue, list[str]]:
    """The journal keys that a dialogue's reply may have: of ours first, of whoever was asked before, of `chat` last."""
    before = {r["annotator"] for r in journal.read(out / f"{strategy.name}.jsonl")} - {annotate_.PACKAGED_ANNOTATOR}
    names = [annotate_.PACKAGED_ANNOTATOR, *sorted(before - {chat and chat.name}), *([chat.name] if chat else [])]
    return {d: [journal.key(n, annotate_.PARAMS, strategy.prompt(d.question)) for n in names] for d in dialogues}


def _ask(strategy: Strategy, missing: list, keys: list, chat: Any, answers: Any, approve: Any, say: Callable) -> None:
    """Journal the chat's reply to every missing question. A server's price comes first; a model in this process is free."""
    conversations = [user(strategy.prompt(d.question)) for d in missing]
    options = {"max_tokens": annotate_.PARAMS["max_tokens"]}
    if meter := getattr(chat, "meter", None):
        texts = [c[0]["content"] for c in conversations]
        price, room = money.need_price(meter.price, chat.name), options["max_tokens"] * len(texts)
        read, written = sum(map(money.tokens_in, texts)), annotate_.TYPICAL_REPLY * len(texts)
        worst = money.cost(price, money.at_most(texts), room)
        usd = money.cost(price, read, written)
        bill = money.Bill(chat.name, len(texts), read, written, usd, worst, meter.max_usd, price)
        say(bill)
        if approve:
            approve(bill)
    replies = chat.complete(conversations, **options)
    for i, reply in told(replies, len(missing), f"{strategy.name} annotations", say, meter):
        record = {"key": keys[i], "annotator": chat.name, "id": missing[i].id, "reply": reply.text}
        answers.add(record | {"finish": reply.finish, "tokens": [reply.prompt_tokens, reply.tokens]})


@cache
def _replies(path: Path) -> dict[str, dict[str, Any]]:
    return {record["key"]: record for record in journal.read(path)}


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Rows as JSONL, for `python -m helpers finetune --rows`; all or nothing."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    temporary.replace(path)
    return path
