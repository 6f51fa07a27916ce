"""Which of two answers is better? A judge reads both, in both orders; LIMA's wording, the paper's Figure 5.

The one idea: the judge sees two answers and nothing else. Role prompts are hidden, names are not given, and every
pair is shown in both orders. The judge is any chat model, its verdicts are a journal, and without one the packaged
verdicts are replayed. `verdicts.py` counts them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import chat as chat_
from ..chat import ROOM_TO_THINK, Request, journal, money, spoken, user
from ..errors import UserError
from .answers import PACKAGED, load_answers
from .pairs import Pair, games, pairs
from .verdicts import COLUMNS, Comparison, arm, combine

PACKAGED_STAMP = "packaged verdicts on packaged answers of SmolLM2-135M-Instruct"  # below a picture of them
PACKAGED_JUDGE = "course-readers"  # two language-model readers, each of whom saw every question in one order
PARAMS = {"max_tokens": 400, "temperature": 0}  # room to explain: LIMA's wording asks for a choice, not for brevity
TYPICAL_REPLY = 100  # tokens, for the bill


# --- reading a verdict -----------------------------------------------------------------------------------

# "Better" without "significantly" counts if the sentence ends with it, or continues with the other answer or a reason.
_OTHER = r"(?: than (?:(?:answer )?[ab]\b|the other(?: one| answer)?))"
_REASON = r",? (?:because|since|as it)\b(?![^.\n]*\bnot significantly\b)"
_BETTER = (
    r"is (?:(?:significantly|clearly|much) better\b"
    rf"|(?:the )?better(?: one| answer)?{_OTHER}?(?=[.!]|\s*$|{_REASON}))"
)
# "Neither is perfect, but Answer B is significantly better." is about B: only these words may follow "neither".
_OF_BOTH = r"(?: of (?:the|these|them|both)(?: two)?(?: answers)?)?"
_NEITHER = rf"\bneither(?: one| answer)?{_OF_BOTH}(?: (?:answer )?a nor (?:answer )?b)?"
_STATEMENT = re.compile(
    rf"{_NEITHER} {_BETTER}|\banswer (?P<letter>[ab])\b[\"']? {_BETTER}", re.IGNORECASE | re.MULTILINE
)
_SHORT = re.compile(r"[\s\"'(\[◼]*(?:(?:answer )?(?P<letter>[ab])|neither|tie)[\s\"')\].]*", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\b(?:not|nor|cannot|hardly|if|whether|unless)\b|n['’]t\b)[^.\n]*$", re.IGNORECASE)
_TICKED = re.compile(r"^\s*(?:[-•◼]\s*)?(?:\[[xX✓✔]\]|[☑☒✓✔✅])\s*")
_DECLARED = re.compile(r"\b(?:verdict|overall|conclusion|final answer|my choice)\b\s*:?", re.IGNORECASE)


def parse(reply: str) -> str | None:
    """The choice in a judge's reply: "A", "B", "neither", or None where it makes none, or more than one.

    Read are the statements of the prompt, also within prose, and a line that is only "A", "Answer B" or "neither".
    Where statements contradict each other, those count that are ticked, or declared ("Verdict: ...", "Overall, ...").
    """
    text = re.sub(r"[*_`#]+", "", reply)
    for mark in (_TICKED, _DECLARED):
        marked = [mark.sub("", line) for line in text.splitlines() if mark.search(line)]
        if len(chosen := {choice for line in marked for choice in _choices(line)}) == 1:
            return chosen.pop()
    chosen = _choices(text)
    return chosen.pop() if len(chosen) == 1 else None


def _choices(text: str) -> set[str]:
    """What a text chooses: its statements; if it has none, its lines that only name an answer."""
    stated = set()
    for match in _STATEMENT.finditer(text):
        if not match["letter"]:
            stated.add("neither")
        elif not _NEGATED.search(text[: match.start()].rsplit("\n", 1)[-1]):
            stated.add(match["letter"].upper())
    if stated:
        return stated
    short = filter(None, map(_SHORT.fullmatch, text.splitlines()))
    return {match["letter"].upper() if match["letter"] else "neither" for match in short}


# --- asking ----------------------------------------------------------------------------------------------


def judge(
    both: Sequence[Pair],
    names: tuple[str, str],
    out: Path,
    chat: Any = None,
    *,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> Comparison:
    """Ask for every verdict that out/judgements.jsonl does not hold yet; also writes out/judgements.csv.

    Without `chat` the packaged verdicts are replayed; what they do not hold is "not judged". `approve` is shown
    the bill before the first call and raises to stop there. A judge that says nothing is not asked on; one whose
    verdicts cannot be read is: that is a finding, and it is counted.
    """
    name = chat.name if chat else PACKAGED_JUDGE
    asked, replay = _games(both, names, out, name), {}
    if chat is None:
        replay = {record["key"]: record for record in journal.read(PACKAGED / "verdicts.jsonl")}
        known, chat = replay | read(out), chat_.Nobody(name, "there is no judge to ask")
        asked = {path: [request for request in requests if request.key in known] for path, requests in asked.items()}
    found = chat_.ask(asked, chat, replay=replay, canary=spoken(), approve=approve, what="verdicts", say=say)
    result = compare(both, names, name, found)
    result.table.to_csv(out / "judgements.csv", index=False, lineterminator="\n")
    return result


def plan(both: Sequence[Pair], out: Path, chat: Any) -> money.Bill:
    """The bill of `judge` with the same arguments. Asks nobody and writes nothing."""
    return chat_.plan(_games(both, ("a", "b"), out, chat.name), chat)


def _games(both: Sequence[Pair], names: tuple[str, str], out: Path, judge: str) -> dict[Path, list[Request]]:
    """A request for each pair and order that needs a judge."""
    asked = []
    for pair in both:
        for order, key in keys(judge, pair).items():
            kept = {"judge": judge, "id": pair.id, "shown": list(names if order == "ab" else names[::-1])}
            room = {"max_tokens": PARAMS["max_tokens"], "thinking_tokens": ROOM_TO_THINK}
            asked.append(Request(key, user(games(pair)[order]), typical=TYPICAL_REPLY, kept=kept, **room))
    return {out / "judgements.jsonl": asked}


def keys(name: str, pair: Pair) -> dict[str, str]:
    """The journal keys of a pair's games, by order; none where no judge is asked."""
    return {} if pair.settled else {order: journal.key(name, PARAMS, text) for order, text in games(pair).items()}


def packaged_pairs(a: str, b: str) -> list[Pair]:
    """The packaged answers of two arms ("lima", "role") to the 60 packaged questions."""
    files = [PACKAGED / f"answers_{arm}.jsonl" for arm in (a, b)]
    if gone := [arm for arm, file in zip((a, b), files) if not file.is_file()]:
        raise UserError(f"no packaged answers of arm {gone[0]!r}: judge your own with python -m helpers judge")
    return pairs(*map(load_answers, files))


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The verdicts that a folder holds, by journal key."""
    return {record["key"]: record for record in journal.read(folder / "judgements.jsonl")}


# --- counting --------------------------------------------------------------------------------------------


def compare(both: Sequence[Pair], names: tuple[str, str], name: str, verdicts: Any) -> Comparison:
    """What the journal (or any {key: record}) holds of judge `name` about these pairs."""
    lines = []
    for pair in both:
        records = {order: verdicts.get(k) for order, k in keys(name, pair).items()}
        chosen = {order: record and arm(parse(record["reply"]), order) for order, record in records.items()}
        line = {"id": pair.id, "ab": chosen.get("ab"), "ba": chosen.get("ba"), "settled": pair.settled}
        if pair.settled:
            line["result"] = "role shown" if pair.settled == "role shown" else _without_judge(pair)
        elif None in records.values():
            line["result"] = "not judged"
        else:
            line["result"] = combine(line["ab"], line["ba"])
        line |= {"words_a": len(pair.a.split()), "words_b": len(pair.b.split())}
        lines.append(line | dict(zip(("repeated_a", "repeated_b"), pair.repeated)))
    return Comparison(*names, name, pd.DataFrame(lines, columns=COLUMNS))


def _without_judge(pair: Pair) -> str:
    """Nothing loses against something; equal texts are equal."""
    return "tie" if pair.a == pair.b else "a" if pair.a else "b"
