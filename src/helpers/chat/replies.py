"""A server's reply as a `Completion`, in all the shapes that servers give it, and what looks odd about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import money, thinking
from .messages import Completion, Messages

PARTS = ("text", "thinking", "reasoning", "summary")  # where the text of a part of a content may stand
_PASSES = re.compile(
    r"rate.?limit|too many|overload|capacity|time.?out|timed out|tempor|loading|busy|again|unavailable|server.error|internal|upstream",
    re.IGNORECASE,
)


class ServersError(Exception):
    """An error that came with status 200."""

    def __init__(self, error: Any) -> None:
        said = error if isinstance(error, dict) else {"message": str(error)}
        super().__init__(str(said.get("message") or said))
        code = said.get("code") or said.get("type")
        number = next((c for c in (code, said.get("status")) if str(c).isdigit()), None)
        passes = _PASSES.search(f"{code} {self}")
        self.status = int(number) if number else 503 if passes else 200
        self.code = code if isinstance(code, str) else None


def read_reply(reply: Any, opened: bool = False) -> Completion:
    """A server's completion (the `openai` client's object) as a Completion, its thinking apart.

    `opened`: the server's template is known to open the thinking, so that a text which the limit ended may be all that.
    ServersError if it is an error with status 200; ValueError if it is no completion. A refusal comes in a field of its
    own with null content, a filtered answer only as a finish reason, and an answer without choices as finish "empty".
    The text of /v1/completions stays as it came: it may be continued.
    """
    usage = getattr(reply, "usage", None)
    counts = (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)
    choice = (getattr(reply, "choices", None) or [None])[0]
    if error := getattr(reply, "error", None) or getattr(choice, "error", None):
        raise ServersError(error)
    if not hasattr(reply, "choices"):
        said = getattr(reply, "message", None) or getattr(reply, "detail", None)
        raise ServersError(said) if said else ValueError("no completion")
    if choice is None:
        return Completion("", "empty", *counts)
    if isinstance(getattr(choice, "text", None), str):
        return Completion(choice.text, choice.finish_reason or "stop", *counts)
    if choice.message is None:
        return Completion("", "empty", *counts)
    reply = _read_message(choice.message, choice.finish_reason or "stop", counts, _reasoning_tokens(usage))
    return thinking.apart(reply, inside=opened and reply.finish == "length" and not reply.thinking)


def opened_by_template(reply: Any) -> bool:
    """Whether a reply shows that the server's template opens the thinking: only its end is in the text."""
    message = getattr((getattr(reply, "choices", None) or [None])[0], "message", None)
    return not thinking.split("".join(t for _, t in _parts(getattr(message, "content", None)))).opened


def _read_message(message: Any, finish: str, counts: tuple[int, int], thought: int) -> Completion:
    text, thinks = "", ""
    for kind, part in _parts(message.content):
        text, thinks = (text, thinks + part) if kind in ("thinking", "reasoning") else (text + part, thinks)
    fields = (getattr(message, name, None) for name in ("reasoning_content", "reasoning", "thinking"))
    thinks = next(("".join(p for _, p in _parts(field)) for field in fields if field), thinks)
    if not text.strip() and thinks:
        inside = thinking.split(thinks)  # a server that missed the end of the thinking took the answer for a part of it
        if inside.thinking and inside.closed:
            text, thinks = inside.answer, inside.thinking
    if refusal := None if text.strip() else getattr(message, "refusal", None):
        return Completion(refusal.strip(), "refusal", *counts, thinking=thinks.strip(), thought=thought)
    if not text.strip() and (thinks or thought) and finish == "stop":
        finish = "length"  # it thought, and has not come to an answer
    share = round(counts[1] * len(thinks) / max(len(thinks) + len(text), 1))
    return Completion(text.strip(), finish, *counts, thinking=thinks.strip(), thought=thought or share)


def _parts(content: Any) -> Iterable[tuple[str, str]]:
    """(kind, text) of a content: a text, or a list of parts, some of which hold lists of parts."""
    if isinstance(content, str):
        yield "text", content
    for part in content if isinstance(content, list) else [content] if isinstance(content, dict) else ():
        fields = part if isinstance(part, dict) else {"text": part} if isinstance(part, str) else vars(part)
        for name in PARTS:
            if value := fields.get(name):
                yield fields.get("type") or name, "".join(text for _, text in _parts(value))
                break


def _reasoning_tokens(usage: Any) -> int:
    details = getattr(usage, "completion_tokens_details", None)
    return getattr(details, "reasoning_tokens", None) or 0


# --- what looks odd ------------------------------------------------------------------------------------


def answered_as(asked: str, answered: Any) -> str:
    """The model that a server says it is, if that is another than the one that was asked; else ""."""
    if not isinstance(answered, str) or not answered.strip():
        return ""
    if re.match(r"[/\\~]|[A-Za-z]:\\", answered):  # a folder's path is nobody's business
        answered = re.split(r"[/\\]", answered.rstrip("/\\"))[-1]
    one, other = _bare(asked), _bare(answered)
    return "" if one == other or _VERSION.sub("", one) == other or one == _VERSION.sub("", other) else answered


_VERSION = re.compile(r"(?:[-@:](?:\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest|main))+$")


def _bare(name: str) -> str:
    """A model's name without its folder and the ending of its file."""
    return re.split(r"[/\\]", name.strip().lower().rstrip("/\\"))[-1].removesuffix(".gguf")


def cut_prompt(asked: Messages | str, read: int) -> int:
    """Tokens that were sent, as we estimate, if the server says that it read less than half of them; else 0.

    Space is not counted, and a token has eight letters at most: code and other languages are never taken for a cut.
    """
    text = asked if isinstance(asked, str) else " ".join(m["content"] for m in asked)
    letters = len(" ".join(text.split()))
    return money.tokens_in(text) if letters > 800 and 0 < read < letters / 8 else 0
