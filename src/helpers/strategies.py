"""Prompting strategies that a model can learn to write for itself; role-play is one of them.

The one idea: a strategy is data. Self-prompt tuning needs five things of it: how to ask an annotator about a question, how
to read the reply, how to write the annotation as the opening of an answer, how to take an opening off a reply, and how to
read the annotation back. Annotation, training and scoring are the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import roles

Annotation = dict[str, str]  # what an annotator says of one question, by field


@dataclass(frozen=True)
class Strategy:
    name: str  # the arm; a row keeps its annotation under this key
    prompt: Callable[[str], str]  # question -> what the annotator is asked
    read: Callable[[str], Annotation | None]  # the annotator's reply -> annotation; None where it is out of form
    render: Callable[..., str]  # (annotation, design) -> the opening of the answer that is trained on
    strip: Callable[[str], tuple[str | None, str]]  # a model's reply -> (opening or None, answer)
    parse: Callable[[Any], Annotation | None]  # an opening -> annotation; None where it is missing or not well-formed
    packaged: str  # the course's own replies to our 120 questions: a journal, below the packaged samples


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
    packaged="annotations.jsonl",
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
    packaged="beyond/step_back.jsonl",
)

STRATEGIES = {s.name: s for s in (ROLE_PLAY, STEP_BACK)}


def strip(text: str, arm: str) -> tuple[str | None, str]:
    """(opening or None, answer) of a reply of any arm. An arm that learned no strategy is read as the role arm is."""
    return STRATEGIES.get(arm, ROLE_PLAY).strip(text)
