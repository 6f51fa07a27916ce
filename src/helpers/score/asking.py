"""Ask a model the benchmarks: stage 1 the free answer, stage 2 "Therefore, ... the answer is".

The protocol is Kojima et al.'s, as the paper says (section 4.2): zero-shot, greedy. What the paper leaves open is a
setting (`profile.stage2`):

continue   stage 2 continues the assistant's own turn, the literal reading of Kojima et al.
turn       stage 2 is a new user turn, as in Kong et al.'s code for ChatGPT, and all that a chat server can do
none       one stage: the free answer itself is read
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import benchmarks
from .. import chat as chat_
from ..benchmarks import sandbox
from ..chat import ROOM_TO_THINK, Completion, Request, journal, money, spoken, user
from ..chat.asking import NO_SECOND_TURN
from ..data import source_for
from ..errors import UserError
from ..machine.files import read_json
from ..profiles import Profile

TYPICAL_REPLY = 150  # tokens of stage 1, for a bill: what ChatGPT writes to a question with options


def arm_of(model: str, profile: Profile | None = None) -> tuple[str, int]:
    """(arm, seed) by which a model's lines are told apart: of a folder that finetune wrote, those of its manifest.

    The profile's own model is the arm "base", any other the last part of its name: "Mistral-7B-Instruct-v0.2". A
    server's name such as "role-seed2" is read as arm and seed.
    """
    manifest = Path(model) / "manifest.json"
    if manifest.is_file():
        made = read_json(manifest, "arm", "seed")
        return made["arm"], made["seed"]
    short = re.sub(r"[^\w.+-]", "-", Path(model).name)
    if profile and short == Path(profile.model).name:
        return "base", 0
    seeded = re.fullmatch(r"(.+)-seed(\d+)", short)
    return (seeded[1], int(seeded[2])) if seeded else (short, 0)


def questions(profile: Profile, names: Sequence[str], limit: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rows to score of each benchmark: `limit` of them, else the profile's number, else all.

    HumanEval is left out where no sandbox works and nobody said `--unsandboxed`: see `sandbox.py`.
    """
    source = source_for(profile.source)
    rows = {}
    for name in names:
        if name == "humaneval" and not sandbox.permitted():
            print("humaneval is left out: no sandbox on this machine (on Linux, install bubblewrap; or --unsandboxed)")
            continue
        wanted = profile.questions.get(name) if limit is None else limit
        rows[name] = benchmarks.get(name).rows(source, wanted)
    return rows


# --- asking -------------------------------------------------------------------------------------


def protocol(profile: Profile, chat: Any) -> str:
    """The stage 2 that is possible: a server that is asked through its chat template cannot continue its own turn."""
    if profile.stage2 == "turn" and not chat.turns:
        raise UserError(
            "only the model's tokenizer knows how a turn ends: on a server, use --prompt chat for two turns"
        )
    return "turn" if profile.stage2 == "continue" and not chat.continues else profile.stage2


def requests(profile: Profile, chat: Any, rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[Request]]:
    """What is asked for these rows. The key of an answer holds the model and all that could change the answer."""
    stage2 = protocol(profile, chat)
    turn = stage2 == "turn"
    room = (
        profile.stage1_tokens if turn else profile.stage2_tokens
    )  # in a new turn a tuned model may write a role again
    every: dict[str, list[Request]] = {}
    for name, benchmark_rows in rows.items():
        trigger = None if stage2 == "none" else benchmarks.get(name).STAGE2
        params = {"stage1_tokens": profile.stage1_tokens, "stage2_tokens": profile.stage2_tokens, "stage2": trigger}
        params |= {"opening_tokens": profile.opening_tokens} if profile.opening_tokens else {}
        params |= {} if chat.prompt == "frame" else {"prompt": chat.prompt}
        params |= {"turn": True} if trigger and turn else {}
        texts = [benchmarks.get(name).question(row) for row in benchmark_rows]
        every[name] = [
            Request(
                key=journal.key(chat.name, params, text),
                messages=user(text),
                max_tokens=profile.stage1_tokens,
                typical=min(TYPICAL_REPLY, profile.stage1_tokens),
                kept={"question_id": row["question_id"], "prompt": chat.text(user(text))},
                opening_tokens=profile.opening_tokens,
                thinking_tokens=ROOM_TO_THINK,
                then=trigger,
                then_tokens=room if trigger or not turn else 0,
                turn=bool(trigger) and turn,
            )
            for row, text in zip(benchmark_rows, texts)
        ]
    return every


def plan(profile: Profile, chat: Any, rows: dict[str, list[dict[str, Any]]], folder: Path) -> money.Bill:
    """The bill of `answer` with the same arguments. Asks nobody and writes nothing."""
    return chat_.plan(_by_file(folder, requests(profile, chat, rows)), chat)


def answer(
    profile: Profile,
    chat: Any,
    rows: dict[str, list[dict[str, Any]]],
    folder: Path | None,
    say: Callable = print,
    approve: Callable[[money.Bill], None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Ask every question through the journals in `folder` (one a benchmark); the records in the order of `rows`.

    Without a folder nothing is kept, and everything is asked anew.
    With stage 2 as a turn, an answer is in the journal after its first stage, and completed by the second.
    """
    if folder:
        _same_model(folder, chat.name)
    every = requests(profile, chat, rows)

    def record(request: Request, reply: Completion) -> dict[str, Any]:
        if folder:
            _note_model(folder, chat.name)
        return _record(request, reply)

    found = chat_.ask(_by_file(folder, every), chat, record=record, canary=spoken(), approve=approve, say=say)
    if folder and (odd := chat_.remarks(found.values())):
        _note_model(folder, chat.name, odd)
    return {name: [found[request.key] for request in asked] for name, asked in every.items()}


def _by_file(folder: Path | None, every: dict[str, list[Request]]) -> dict[Path | None, list[Request]]:
    if folder is None:
        return {None: [request for asked in every.values() for request in asked]}
    return {folder / f"{name}.jsonl": asked for name, asked in every.items()}


def _record(request: Request, reply: Completion) -> dict[str, Any]:
    if request.first:  # the second turn completes the record of the first
        finish = reply.finish if reply.finish == "too long" else request.first["finish"]
        return request.first | {"stage2": reply.text, "finish": finish}
    tokens = [reply.prompt_tokens, reply.tokens]
    record = {"key": request.key, **request.kept, "stage1": reply.text, "finish": reply.finish, "tokens": tokens}
    record |= {"opening": reply.opening} if request.opening_tokens else {}
    if request.turn and reply.finish not in NO_SECOND_TURN and (reply.text or not reply.thinking):
        return record
    return record | {"stage2": reply.continued if request.then else None}


def _same_model(folder: Path, name: str) -> None:
    """Refuse a folder that holds the answers of another model: the two would stand in one line of the table."""
    marker = folder / "model.json"
    if marker.is_file() and (theirs := read_json(marker, "model")["model"]) != name:
        raise UserError(
            f"{folder.name} holds the answers of {theirs}, not of {name}: choose another --out or --arm, "
            f"or remove generations/{folder.name} to score it anew"
        )


def _note_model(folder: Path, name: str, odd: dict[str, Any] | None = None) -> None:
    """Write down whose answers a folder holds, and what was odd about the server."""
    if (folder / "model.json").is_file() and not odd:
        return
    temporary = folder / "model.json.tmp"
    temporary.write_text(json.dumps({"model": name} | (odd or {})) + "\n")
    temporary.replace(folder / "model.json")


def generations(out: Path, arm: str, seed: int = 0) -> Path:
    """The folder of an arm's journals."""
    return out / "generations" / f"{arm}-seed{seed}"
