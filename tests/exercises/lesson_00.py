"""Answers to the exercises of lesson 00: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from string import Template

import numpy as np
import pandas as pd
from exercises.common import table

from helpers import chat
from helpers.checks import lesson_00

EXERCISES, answers = table()
S = chat.SYSTEM


def frame(line=lambda role, text: f"{role.upper()}: {text.strip()}", head=S, between="\n", end="\nASSISTANT:"):
    """A frame with one part of its own."""

    def my_frame(messages):
        return between.join([head, *(line(m["role"], m["content"]) for m in messages)]) + end

    return my_frame


def with_pandas(messages):
    table = pd.DataFrame(messages)
    tags = table.role.map({"user": "USER", "assistant": "ASSISTANT"})
    return "\n".join([S, *(tags + ": " + table.content.str.strip()), "ASSISTANT:"])


def some(messages, keep):
    return frame()([m for i, m in enumerate(messages) if keep(i, m)])


def turn_by_turn(messages):
    return "".join(f"\nUSER: {m['content'].strip()}\nASSISTANT:" for m in messages)


def alternating(messages):
    """Opens the assistant's turn after each question, and then once more."""
    text = S
    for m in messages:
        text += f"\nUSER: {m['content'].strip()}\nASSISTANT:" if m["role"] == "user" else f"\nASSISTANT: {m['content']}"
    return text


right = frame()
answers(
    lesson_00.frame,
    right,
    (lambda messages: right(messages).split("\n"), "yours is a list"),
    (lambda messages: right(messages).removeprefix(S + "\n"), "does not begin with the system line"),
    (frame(head="Below is a chat."), "does not begin with the system line"),
    (frame(head=f"SYSTEM: {S}"), "does not begin with the system line"),
    (frame(between=" ", end=" ASSISTANT:"), "single line"),
    (frame(lambda role, text: f"{role}: {text.strip()}"), "in capitals"),
    (frame(lambda role, text: f"{role.title()}: {text.strip()}"), "in capitals"),
    (frame(lambda role, text: f"{role.upper()}:{text.strip()}"), "one space"),
    (frame(lambda role, text: f"<|im_start|>{role}\n{text.strip()}<|im_end|>"), "No line reads"),
    (frame(lambda role, text: f"{role.upper()}: {text.strip().lower()}"), "not as it was asked"),
    (frame(end=""), "open 'ASSISTANT:'"),
    (frame(end=" ASSISTANT:"), "on a line of its own"),
    (frame(end="\nASSISTANT: "), "space after 'ASSISTANT:'"),
    (frame(end="\nASSISTANT:\n"), "line break"),
    (frame(between="\n\n"), "empty line"),
    (frame(lambda role, text: f"USER: {text.strip()}"), "choose the tag by message['role']"),
    (lambda messages: right(messages[:1]), "lost 'And a larger one?'"),
    (lambda messages: right(messages[-1:]), "lost 'Name a prime.'"),
    (lambda messages: some(messages, lambda i, m: m["role"] == "user"), "must see what it said"),
    (lambda messages: right(messages[::-1]), "not in their order"),
    (lambda messages: S + turn_by_turn(messages), "tag USER:"),
    (lambda messages: "\n".join(frame(end="")([m]) for m in messages) + "\nASSISTANT:", "system line occurs more"),
    (alternating, "one more, without an answer"),
    (frame(lambda role, text: f"{role.upper()}: {' '.join(text.split())}"), "white space inside a message"),
    (frame(lambda role, text: f"{role.upper()}: {text.strip()}".replace("\n\n", "\n")), "white space inside a message"),
    (frame(lambda role, text: f"{role.upper()}: {text}"), "strip each content"),
    (frame(lambda role, text: f"{role.upper()}: {text.rstrip()}"), "strip each content"),
    (frame(lambda role, text: f"{role.upper()}: {text.lstrip()}"), "strip each content"),
    (lambda messages: chat.frame(messages, "</s>"), "Line 5 of your frame is 'ASSISTANT: Seven.</s>'"),
    (lambda messages: right(messages) if len(messages) > 1 else None, "returned None"),
    (lambda messages: right(messages) if len(messages) == 1 else [messages], "returns a list"),
    also=[
        chat.frame,
        with_pandas,
        lambda messages: (
            reduce(
                lambda text, m: f"{text}\n{'USER' if m['role'] == 'user' else 'ASSISTANT'}: {m['content'].strip()}",
                messages,
                S,
            )
            + "\nASSISTANT:"
        ),
        lambda messages: "\n".join((*map(chat_line, [{"role": "", "content": S}, *messages]), "ASSISTANT:")),
        lambda messages: np.str_(right(messages)),
    ],
)


def chat_line(message):
    if not message["role"]:
        return message["content"]
    return Template("$tag: $text").substitute(tag=message["role"].upper(), text=message["content"].strip())


def minutes(n, arms, read, write, reading, writing):
    return n * arms * (read / reading + write / writing) / 60


def one_by_one(n, arms, read, write, reading, writing):
    seconds = 0.0
    for _ in range(n * arms):
        seconds += read / reading + write / writing
    return seconds / 60


answers(
    lesson_00.minutes,
    minutes,
    (lambda *case: minutes(*case) * 60, "seconds: divide by 60"),
    (lambda *case: minutes(*case) / 60, "hours"),
    (lambda n, arms, *case: minutes(n, 1, *case), "one arm"),
    (lambda n, arms, *case: minutes(1, arms, *case), "one question: there are many"),
    (lambda n, arms, *case: minutes(1, 1, *case), "one question in one arm"),
    (lambda n, arms, *case: minutes(n + arms, 1, *case), "add questions and arms"),
    (lambda n, arms, read, write, r, w: minutes(n, arms, 0, write, r, w), "only the writing"),
    (lambda n, arms, read, write, r, w: minutes(n, arms, read, 0, r, w), "only the reading"),
    (lambda n, arms, read, write, r, w: n * (read / r + arms * write / w) / 60, "once for all arms"),
    (lambda n, arms, read, write, r, w: (read / r + n * arms * write / w) / 60, "only one prompt"),
    (lambda n, arms, read, write, r, w: (n * arms * read / r + write / w) / 60, "only one answer"),
    (lambda n, arms, read, write, r, w: minutes(n, arms, read, write, w, r), "swapped"),
    (lambda n, arms, read, write, r, w: minutes(n, arms, read, write, w, w), "read at the writing speed"),
    (lambda n, arms, read, write, r, w: minutes(n, arms, read, write, r, r), "write at the reading speed"),
    (lambda n, arms, read, write, r, w: n * arms * (read + write) / (r + w) / 60, "Speeds do not add up"),
    (lambda n, arms, read, write, r, w: n * arms * (read + write) / ((r + w) / 2) / 60, "mean of the two speeds"),
    (lambda n, arms, read, write, r, w: n * arms * max(read / r, write / w) / 60, "the longer of both"),
    (lambda n, arms, read, write, r, w: n * arms * (read * r + write * w) / 60, "you multiplied"),
    (lambda n, arms, read, write, r, w: n * arms * (r / read + w / write) / 60, "not the speed by the tokens"),
    (lambda *case: round(minutes(*case)), "0.5 minutes"),
    (lambda *case: round(minutes(*case), 1), "Do not round"),
    (lambda *case: f"{minutes(*case):.1f} minutes", "yours is a str"),
    (lambda *case: (minutes(*case), "minutes"), "yours is a tuple"),
    (lambda *case: pd.Timedelta(minutes=minutes(*case)), "Minutes are one number"),
    (lambda *case: float("nan"), "22.0 minutes, yours: nan"),
    also=[
        one_by_one,
        lambda n, arms, read, write, r, w: np.float32(n * arms / 60) * np.sum(np.array([read, write]) / [r, w]),
        lambda n, arms, read, write, r, w: pd.Series([read / r, write / w]).sum() * n * arms / 60,
        lambda n, arms, *rest: sum(Decimal(t) / Decimal(s) for t, s in zip(rest[:2], rest[2:])) * n * arms / 60,
        lambda *case: np.array(minutes(*case), dtype="float32"),
    ],
)
