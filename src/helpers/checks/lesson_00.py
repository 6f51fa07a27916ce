"""Checks of lesson 00: the frame of a conversation, and minutes from speeds."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

from .. import chat
from . import check, close, expect, solved

_QUESTION = [{"role": "user", "content": "Can brain cells move?"}]
_TURNS = [
    {"role": "user", "content": "Name a prime.\n"},
    {"role": "assistant", "content": " Seven. "},
    {"role": "user", "content": "And a larger one?"},
]


@check
def frame(my_frame: Callable[[list[dict[str, str]]], str]) -> str:
    """Compare with `chat.frame` on one question and on two turns."""
    mine, right = solved(my_frame([dict(m) for m in _QUESTION])), chat.frame(_QUESTION)
    expect(isinstance(mine, str), f"A frame is one string, yours is a {type(mine).__name__}: join the lines with '\\n'")
    expect(mine.startswith(chat.SYSTEM), "Your frame does not begin with the system line chat.SYSTEM")
    expect("\n" in mine, "Your frame is a single line: every turn begins on a new one")
    expect(
        "USER: Can" in mine,
        "No line reads 'USER: Can brain cells move?': is the tag in capitals, with colon and space?",
    )
    expect(
        mine.rstrip().endswith("\nASSISTANT:"),
        "Your frame does not end with an open 'ASSISTANT:' on a line of its own: that is where the model goes on",
    )
    expect(
        not mine.endswith(" "),
        "Your frame ends with a space behind 'ASSISTANT:': the answer's first token brings its own",
    )
    expect(
        not mine.endswith("\n"), "Your frame ends with a line break: the model would answer on the line below its tag"
    )
    expect("\n\n" not in mine, "There is an empty line in your frame: one line break stands between turns")
    expect(mine == right, f"Close, but not the same text. Yours: {mine!r}; expected: {right!r}")

    mine, right = my_frame([dict(m) for m in _TURNS]), chat.frame(_TURNS)
    joined = " ".join(mine.split())
    expect("USER: Seven." not in joined, "The assistant's own turn got the tag USER: choose the tag by message['role']")
    expect(mine.count("USER:") == 2, "With two questions your frame lost one of them: go through all messages")
    expect("Seven." in mine, "The assistant's earlier turn is missing: the model must see what it said before")
    expect(
        "prime.\n\n" not in mine and "Seven. \n" not in mine and ":  " not in mine,
        "White space around a message got into the frame: strip each content",
    )
    expect(mine == right, f"One question is right; with two turns yours is {mine!r}, expected {right!r}")
    return "one question and two turns give the text that the course trains on and scores with"


@check
def minutes(my_minutes: Callable[..., float]) -> str:
    """Compare with the sum of reading and writing time on a case where every usual slip has a value of its own."""
    questions, arms, read, write, reading, writing = case = (200, 3, 90, 60, 450.0, 30.0)
    mine = solved(my_minutes(*case))
    expect(isinstance(mine, Real), f"Minutes are one number, yours is a {type(mine).__name__}")
    asked = questions * arms
    to_read, to_write, both = read / reading, write / writing, read + write  # seconds, seconds, tokens
    each = to_read + to_write
    slips = (
        (asked * each, "These are seconds: divide by 60"),
        (asked * each / 3600, "These are hours: divide by 60 only once"),
        (questions * each / 60, "This is one arm: every question is asked in each of them"),
        (arms * each / 60, "This is one question: there are many"),
        (each / 60, "This is one question in one arm"),
        (asked * to_write / 60, "You count only the writing: prompts are read too"),
        (asked * to_read / 60, "You count only the reading: writing takes most of the time"),
        (
            asked * (read / writing + write / reading) / 60,
            "The two speeds are swapped: prompts are read at reading_speed",
        ),
        (asked * both / writing / 60, "You read at the writing speed: each kind of token has its own"),
        (asked * both / (reading + writing) / 60, "Speeds do not add up, one is used after the other: add the seconds"),
        (
            asked * (read * reading + write * writing) / 60,
            "Tokens divided by tokens per second are seconds; you multiplied",
        ),
    )
    for value, message in slips:
        expect(not close(mine, value), message)
    right = asked * each / 60
    expect(
        close(mine, right, 0.01),
        f"{questions} questions in {arms} arms take {right:.1f} minutes, you say {mine:.1f}",
    )
    again = my_minutes(10, 1, 100, 100, 100.0, 50.0)
    expect(
        close(again, 0.5, 0.01),
        f"10 questions of 1 + 2 seconds in one arm take 0.5 minutes, you say {again:.2f}",
    )
    return "seconds to read plus seconds to write, for every question in every arm, over 60"
