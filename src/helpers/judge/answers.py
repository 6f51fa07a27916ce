"""Two arms' answers to open questions: what a judge will compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..chat import Completion, Request, ask, journal, local_chat, user
from ..data import SAMPLES, numbered_rows
from ..data.lima import open_questions
from ..errors import UserError
from ..profiles import Profile

PACKAGED = SAMPLES / "judge"  # questions, answers of a real `cpu` run, and verdicts on them
ROLE_ROOM = 80  # tokens on top of an answer's, for every arm: a role prompt must not cost the role arm its answer


# --- answers ---------------------------------------------------------------------------------------


def questions(source: str) -> list[dict[str, Any]]:
    """Open questions {"id", "question"}: 60 of ours ("packaged"), or LIMA's 300 test prompts ("local", "hub")."""
    more = open_questions(str(PACKAGED / "questions.jsonl")) if source == "packaged" else []
    return open_questions(source) + more


def answer(
    profile: Profile, chat: Any, asked: Sequence[dict[str, Any]], path: Path, say: Callable = print
) -> list[dict[str, Any]]:
    """A local model's greedy answers to open questions, through the journal `path`; rows as `load_answers` returns.

    An answer has at most `2 * profile.stage1_tokens` tokens; the role prompt before it is not counted.
    """
    limit = 2 * profile.stage1_tokens
    params = {"answer_tokens": limit, "role_tokens": ROLE_ROOM}
    requests = [
        Request(
            journal.key(chat.name, params, q["question"]),
            user(q["question"]),
            limit,
            typical=limit,
            kept={"model": chat.name, **q},
            opening_tokens=ROLE_ROOM,
        )
        for q in asked
    ]

    def record(request: Request, reply: Completion) -> dict[str, Any]:
        tokens = reply.tokens - reply.opening - reply.thought  # of the answer
        return {"key": request.key, **request.kept, "text": reply.text, "finish": reply.finish, "tokens": tokens}

    records = ask({path: requests}, chat, record=record, what=f"open questions by {path.parent.name}", say=say)
    return [records[request.key] for request in requests]


def load_answers(file: Path) -> list[dict[str, Any]]:
    """The rows {"id", "question", "text"} of a JSONL file. `text` is the whole reply, its role prompt included."""
    rows = []
    for number, row in numbered_rows(file, required=("id", "question", "text")):
        if not isinstance(row["id"], str | int) or not all(isinstance(row[n], str) for n in ("question", "text")):
            raise UserError(
                f"{file.name}, line {number}: id, question and text must be texts; repair or remove the line"
            )
        rows.append(row | {"id": str(row["id"])})
    if not rows:
        raise UserError(f"{file.name} holds no answers: give a JSONL file with id, question, text")
    if all("key" in row for row in rows):  # a journal: what was asked last stands first
        rows = list({row["id"]: row for row in reversed(rows)}.values())[::-1]
    ids = [row["id"] for row in rows]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise UserError(f"{file.name} holds question {twice[0]!r} twice: keep one answer to each")
    return rows


def answers_of(
    where: str, profile: Profile, asked: Sequence[dict[str, Any]], out: Path, *, estimate: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """(name, rows) of an arm: `where` is a model's folder, a folder with open.jsonl, or a JSONL file of answers.

    A model answers the questions `asked` here, into out/generations/<name>/open.jsonl; with `estimate` it is not
    loaded, and every answer is as long as it may be.
    """
    path = Path(where).absolute()
    file = path / "open.jsonl" if path.is_dir() else path
    if file.is_file():
        return (file.parent.name if file.stem == "open" else file.stem), load_answers(file)
    if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise UserError(
            f"{where!r} holds neither a model nor answers: give a tuned model's folder, or a JSONL file with id, question, text"
        )
    name = path.name
    if estimate:
        return name, [q | {"text": f"{q['id']} {name} ".ljust(8 * profile.stage1_tokens, "x")} for q in asked]
    return name, answer(profile, local_chat(profile, path), asked, out / "generations" / name / "open.jsonl")
