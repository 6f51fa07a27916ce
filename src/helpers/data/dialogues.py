"""A dialogue out of whatever layout its row has; docs/DATA.md shows a line of each.

The one idea: the fields tell the layout. Three questions find the turns: is there a list of turns, is there a prompt
with its completion, or is there a column for the question and one for the answer?
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..errors import UserError
from . import Unusable
from .tables import Table

KINDS = 6  # of unusable rows that a message names
Turn = tuple[str, str]  # ("user" or "assistant", text)

TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "dialogues", "dialogs", "turns", "chat")
TURNS += ("items", "data")  # ShareGPT's first dump, UltraChat
QUESTIONS = ("instruction", "prompt", "question", "query", "user", "human", "problem", "input", "inputs", "request")
CONTEXTS = ("input", "context")  # Alpaca, Dolly: what the instruction is about
ANSWERS = ("output", "completion", "response", "answer", "assistant", "gpt", "bot", "reply", "solution", "target")
ANSWERS += ("targets", "outputs")
SPEAKERS, TEXTS = ("role", "from", "speaker"), ("content", "value", "text", "message")
ROLES = {
    "user": ("user", "human", "prompter", "question", "instruction", "customer"),
    "assistant": ("assistant", "gpt", "model", "bot", "chatgpt", "ai", "chatbot", "answer", "output", "claude", "bard"),
    "system": ("system", "developer"),
    "tool": ("tool", "function", "observation", "function_call", "function_response", "ipython", "tool_call"),
}
ROLE = {name: role for role, names in ROLES.items() for name in names}


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


def dialogues(tables: list[Table], skip_bad: bool = False, say: Callable = print) -> list[Dialogue]:
    """The dialogues of some tables. What cannot be used is counted by kind, and refused unless `skip_bad`.

    Turns of the system are kept out, a greeting before the first question is dropped and counted, a last question
    without an answer is cut off.
    """
    found, bad, greetings = [], [], 0
    for table in tables:
        for number, row in table.rows:
            turns = row if isinstance(row, Unusable) else read(row)
            if isinstance(turns, Unusable):
                bad.append((table, number, turns.why))
                continue
            texts = [text for _, text in turns]
            if turns[0][0] == "assistant":
                texts, greetings = texts[[role for role, _ in turns].index("user") :], greetings + 1
            name = row.get("id") if row.get("id") not in (None, "") else f"{len(found) + len(bad):04}"
            found.append(Dialogue(str(name), str(row.get("source") or "lima"), tuple(texts[: len(texts) // 2 * 2])))
    if bad and not (skip_bad and found):
        raise UserError(_refusal(tables, bad, nothing_left=not found))
    if not found:
        raise UserError(f"{tables[0].name} holds no dialogues: see docs/DATA.md for the layouts")
    if bad:
        say(f"{tables[0].name}: going on without {len(bad):,} of {len(bad) + len(found):,} rows: {_counted(bad)}")
    if greetings:
        say(f"{tables[0].name}: {greetings:,} greetings by the assistant before the first question are dropped")
    return found


def _refusal(tables: list[Table], bad: list[tuple[Table, int, str]], nothing_left: bool) -> str:
    do = "repair or remove them, or leave them out with --skip-bad"
    do = "see docs/DATA.md for the layouts" if nothing_left else do
    if len(bad) == 1:
        table, number, why = bad[0]
        return f"{table.name}, {table.unit} {number}: {why}; {do.replace('them', 'it')}"
    rows = sum(len(table.rows) for table in tables)
    return f"{tables[0].name}: {len(bad):,} of {rows:,} rows cannot be used: {_counted(bad)}; {do}"


def _counted(bad: list[tuple[Table, int, str]]) -> str:
    """ "3 × no answer (lines 4, 7, 9), 1 × a tool call (line 12)", the most frequent kinds first."""
    places = defaultdict(list)
    for table, number, why in bad:
        places[why].append((table, number))
    parts, kinds = [], Counter(why for _, _, why in bad).most_common()
    for why, n in kinds[:KINDS]:
        first, unit = places[why][:3], places[why][0][0].unit
        several = len({table.name for table, _, _ in bad}) > 1
        shown = ", ".join(f"{table.name} {number}" if several else str(number) for table, number in first)
        more = ", ..." if n > len(first) else ""
        parts.append(f"{n:,} × {why} ({unit}{'s' if n > 1 else ''} {shown}{more})")
    if others := kinds[KINDS:]:  # names as speakers, say: a kind for each
        parts.append(f"{sum(n for _, n in others):,} of {len(others):,} other kinds")
    return ", ".join(parts)


# --- one row -------------------------------------------------------------------------------------


def read(row: dict[str, Any]) -> list[Turn] | Unusable:
    """The turns of user and assistant in a row of any layout, or why they cannot be used."""
    try:
        turns = _turns({str(name).strip().lower(): value for name, value in row.items()})
        return _checked(turns)
    except _No as no:
        return Unusable(str(no))


class _No(Exception):
    """Why a row cannot be used."""


def _turns(row: dict[str, Any]) -> list[Turn]:
    if name := next((name for name in TURNS if isinstance(row.get(name), list)), None):
        if name == "messages" and not all(isinstance(item, dict) for item in row[name]):
            raise _No("'messages' that are not objects with role and content")
        return _listed(row[name])
    if columns := _columns(row):
        return [*_listed(row.get("history") or []), *columns]  # LLaMA-Factory: the turns before
    if name := next((name for name in TURNS if name in row), None):
        raise _No(f"{name!r} is not a list of turns")
    if _column(row, QUESTIONS):
        raise _No("no answer")
    raise _No(f"a layout that we do not know (fields: {', '.join(sorted(row))[:80] or 'none'})")


def _listed(items: list[Any]) -> list[Turn]:
    """Turns as texts (LIMA: user first), as pairs of texts, or as objects."""
    if all(isinstance(item, list) and len(item) == 2 for item in items):
        items = [text for pair in items for text in pair]
    if not any(isinstance(item, dict) for item in items):
        return [("assistant" if i % 2 else "user", _text(item)) for i, item in enumerate(items)]
    turns = []
    for item in items:
        if not isinstance(item, dict):
            raise _No("a turn that is not an object")
        item = {str(name).strip().lower(): value for name, value in item.items()}
        if speaker := _column(item, SPEAKERS):
            turns += _spoken(item, item[speaker])
        elif columns := _columns(item):  # one object a pair, as Capybara has it
            turns += columns
        else:
            raise _No("a turn without a role")
    return turns


def _spoken(turn: dict[str, Any], speaker: Any) -> list[Turn]:
    """One turn; none of the system's."""
    role = ROLE.get(str(speaker).strip().lower())
    if role == "tool" or turn.get("tool_calls") or turn.get("function_call"):
        raise _No("a tool call")
    if role is None:
        raise _No(f"a turn of {str(speaker)[:30]!r}")
    return [] if role == "system" else [(role, _text(turn.get(_column(turn, TEXTS))))]


def _columns(row: dict[str, Any]) -> list[Turn] | None:
    """A question and its answer, each a text or (TRL's conversational prompt and completion) a list of messages."""
    question, answer = _column(row, QUESTIONS), _column(row, ANSWERS)
    if not question or not answer:
        return None
    context = _column(row, [name for name in CONTEXTS if name != question])
    turns = []
    for role, value, more in (("user", row[question], row.get(context)), ("assistant", row[answer], None)):
        if isinstance(value, list) and any(isinstance(item, dict) and _column(item, SPEAKERS) for item in value):
            turns += _listed(value)
        else:
            parts = [_text(part).strip() for part in (value, more) if part is not None]
            turns.append((role, "\n\n".join(filter(None, parts))))
    return turns


def _column(row: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if row.get(name) is not None), None)


def _text(content: Any) -> str:
    """A turn's text; parts of text are joined."""
    if content is None:
        raise _No("an empty turn")
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise _No("a turn that is not text")
    return "".join(texts)


def _checked(turns: list[Turn]) -> list[Turn]:
    roles = [role for role, _ in turns]
    if not all(text.strip() for _, text in turns):
        raise _No("an empty turn")
    try:
        "".join(text for _, text in turns).encode()
    except UnicodeEncodeError:  # "\\ud83d" alone, what is left of an emoji that was cut in two
        raise _No("half a character") from None
    asked = roles[roles.index("user") :] if "user" in roles else []
    if twice := next((a for a, b in pairwise(asked) if a == b), None):
        raise _No(f"two turns of the {twice} in a row")
    if len(asked) < 2:
        raise _No("no answer" if asked else "no question")
    return turns
