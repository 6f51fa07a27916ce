"""Thinking is not the answer: what a reasoning model writes before its reply is kept apart from the reply.

The one idea: a raw text is split once, when it comes. The thinking is kept in the journal; nobody reads it as an answer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from .messages import Completion

_NAMES = r"(?:[\w-]+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad|inner_monologue)"
FAMILIES = (  # what begins and what ends a block
    (rf"<{_NAMES}(?:\s[^<>]*)?>", rf"</{_NAMES}\s*>"),  # DeepSeek, Qwen, SmolLM3; <seed:think>
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
    (r"<\|think\|>", r"<\|/think\|>"),
    (r"<\|channel>thought", r"<channel\|>"),  # Gemma 4
    (r"<unused94>thought", r"<unused95>"),  # MedGemma
    (r"\AHere(?: is|['’]s) my thought process:", r"Here(?: is|['’]s) my response:"),  # Granite 3.2
)
_TAG = re.compile("|".join(f"(?P<o{n}>{o})|(?P<c{n}>{c})" for n, (o, c) in enumerate(FAMILIES)), re.IGNORECASE)
_NEEDS_OPENING = f"c{len(FAMILIES) - 1}"  # these words end a block only where they follow its beginning
_WRAPPED = re.compile(
    r"</?(?:answer|response|final_answer)>|<\|(?:begin_of_solution|end_of_solution|(?:START|END)_RESPONSE)\|>"
)
# gpt-oss: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>\w+)[^<]*<\|message\|>(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_BARE_CHANNELS = re.compile(
    r"\A\s*(?:assistant)?analysis(?=[A-Z\"'])(?P<thinking>.*?)(?:assistantfinal(?P<answer>.*))?\Z", re.DOTALL
)


class Split(NamedTuple):
    thinking: str
    answer: str
    closed: bool  # False: the text ends inside the thinking, and there is no answer
    opened: bool = True  # False: the text only holds the end of a block, whose beginning is in the server's template


def split(text: str, inside: bool = False) -> Split:
    """A model's raw text as thinking and answer. `inside`: it is known to begin inside the thinking.

    A block that the server's template opened has only its end in the text: all before that is thinking.

    >>> split("<think>Seven times eight.</think> 56")
    Split(thinking='Seven times eight.', answer='56', closed=True, opened=True)
    """
    if "<|channel|>" in text:
        return _channels(text)
    if bare := _BARE_CHANNELS.match(text):  # the same, from a server that drops special tokens
        return Split(bare["thinking"].strip(), (bare["answer"] or "").strip(), bare["answer"] is not None)
    thinking, answer, opened, place = [], [], True, 0
    for tag in _TAG.finditer(text):
        opens, around = tag.lastgroup.startswith("o"), text[: tag.start()][-1:] + text[tag.end() :][:1]
        spoken_of = around in ("``", '""', "''")  # in quotation marks, and not used
        if spoken_of or (inside and opens) or (tag.lastgroup == _NEEDS_OPENING and not inside):
            continue
        before, place = text[place : tag.start()], tag.end()
        if opens:
            answer.append(before)
        else:
            thinking, answer = ([*thinking, before], answer) if inside else ([*thinking, *answer, before], [])
            opened &= inside
        inside = opens
    (thinking if inside else answer).append(text[place:])
    thought, said = "\n".join(filter(None, map(str.strip, thinking))), "".join(answer).strip()
    said = _WRAPPED.sub("", said).strip() if thought else said
    return Split(thought, "" if inside else said, not inside, opened)


def _channels(text: str) -> Split:
    parts = [(part["name"], part["text"].strip()) for part in _CHANNEL.finditer(text)]
    before = re.sub(r"<\|[^|]*\|>|\A\s*assistant\b", "", text[: text.index("<|channel|>")]).strip()
    final = [said for name, said in parts if name == "final"]
    thought = [before, *(said for name, said in parts if name != "final")]
    return Split("\n".join(filter(None, thought)), "\n".join(final), bool(final))


def apart(reply: Completion, inside: bool = False) -> Completion:
    """A completion whose text is the answer alone. Thinking that never ended leaves no answer, and finish "length".

    `thought` is the part of the tokens that the server reported for thinking, else its share of the text.
    """
    parts = split(reply.text, inside)
    if parts.closed and parts.answer == reply.text.strip():
        return reply
    thinking = "\n".join(filter(None, (reply.thinking, parts.thinking)))
    share = reply.tokens - round(reply.tokens * len(parts.answer) / max(len(reply.text.strip()), 1))
    finish = reply.finish if parts.closed else "length"
    return replace(reply, text=parts.answer, thinking=thinking, finish=finish, thought=reply.thought or share)
