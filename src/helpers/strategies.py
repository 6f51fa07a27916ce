"""Prompting strategies that a model can learn to write for itself: a role prompt, as in the paper, or a record.

The one idea: a strategy is data. Self-prompt tuning needs three things of it: how to write an annotation as the opening
of an answer, how to take an opening off a reply, and how to read the annotation back. Training, asking and scoring are
the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import roles

Annotation = dict[str, str]  # what is known of one question, by field


@dataclass(frozen=True)
class Strategy:
    name: str  # the arm; a row keeps its annotation under this key
    render: Callable[..., str]  # (annotation, design) -> the opening of the answer that is trained on
    strip: Callable[[str], tuple[str | None, str]]  # a model's reply -> (opening or None, answer)
    parse: Callable[[Any], Annotation | None]  # an opening -> annotation; None if it is missing or not well-formed


# --- role-play, as the paper has it ---------------------------------------------------------------


def _parse_role(opening: Any) -> Annotation | None:
    role = roles.parse(opening)
    return asdict(role) if role else None


ROLE_PLAY = Strategy(
    name="role",
    render=lambda a, design=8: roles.render(a["question_description"], a["role_description"], design),
    strip=roles.strip,
    parse=_parse_role,
)

# --- a record: each action with the state after it (lesson 08) -------------------------------------

# Sentences: "Tom flips heads to tails." A blank belongs to the sentence after it and to nothing else: if two parts of the
# pattern could take it, a long unclosed record would be tried in 2^sentences ways.
_RECORD = re.compile(r"\s*\[(?!This question is)((?:[^\[\].]+\.)+ ?)\]")
_UNFINISHED = re.compile(r"\s*\[(?!This question is)(?:[^\[\].]+\.)*[^\[\].]*$")


def _strip_record(text: str) -> tuple[str | None, str]:
    """As `roles.strip`: an opening that never closes leaves the answer empty."""
    if match := _RECORD.match(text):
        return f"[{match[1]}]", text[match.end() :].strip()
    if _UNFINISHED.match(text):
        return text.strip(), ""
    return None, text.strip()


def _parse_record(opening: Any) -> Annotation | None:
    match = _RECORD.fullmatch(opening) if isinstance(opening, str) else None
    return {"record": match[1]} if match else None


RECORD = Strategy(
    name="record",
    render=lambda a, design=None: f"[{a['record']}]",
    strip=_strip_record,
    parse=_parse_record,
)

STRATEGIES = {s.name: s for s in (ROLE_PLAY, RECORD)}


def strip(text: str, arm: str) -> tuple[str | None, str]:
    """(opening or None, answer) of a reply of any arm. An arm that learned no strategy is read as the role arm is."""
    return STRATEGIES.get(arm, ROLE_PLAY).strip(text)


def opening(text: str) -> str | None:
    """The opening of a reply, by whichever strategy knows it; None if no strategy does. Unfinished ones count."""
    return next((found for s in STRATEGIES.values() if (found := s.strip(text)[0])), None)
