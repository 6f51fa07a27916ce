"""Checks of lesson 00: the frame of a conversation, and minutes from speeds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from .. import chat
from . import Mistake, check, close, expect, numbers, solved

_QUESTION = [{"role": "user", "content": "Can brain cells move?"}]
_TURNS = [
    {"role": "user", "content": "Name a prime.\n\n  Take a  small one.\n"},
    {"role": "assistant", "content": " Seven. "},
    {"role": "user", "content": "\tAnd a larger one?"},
    {"role": "assistant", "content": "Eleven."},
    {"role": "user", "content": "Why are there so many?"},
]


@check
def frame(my_frame: Callable[[list[dict[str, str]]], str]) -> str:
    """Compare with `chat.frame` on one question and on three."""
    mine = solved(my_frame([dict(m) for m in _QUESTION]))
    expect(isinstance(mine, str), f"A frame is one string, yours is a {type(mine).__name__}: join the lines with '\\n'")
    expect(mine.startswith(chat.SYSTEM), "Your frame does not begin with the system line, chat.SYSTEM as it is")
    expect("\n" in mine, "Your frame is a single line: every turn begins on a new one")
    expect("Can brain cells move?" in mine, "The question is not in your frame, or not as it was asked")
    expect(
        "\nUSER: Can" in mine,
        "No line reads 'USER: Can brain cells move?': is the tag in capitals, with a colon and one space?",
    )
    expect(
        mine.rstrip().endswith("\nASSISTANT:"),
        "Your frame does not end with an open 'ASSISTANT:' on a line of its own: that is where the model continues",
    )
    expect(
        not mine.endswith(" "),
        "Your frame ends with a space after 'ASSISTANT:': the first token of the answer has its own space",
    )
    expect(
        not mine.endswith("\n"), "Your frame ends with a line break: the model would answer on the line below its tag"
    )
    expect("\n\n" not in mine, "There is an empty line in your frame: one line break is between two turns")
    _same_lines(mine, chat.frame(_QUESTION), "Close, but not the same text.")

    mine = solved(my_frame([dict(m) for m in _TURNS]))
    expect(isinstance(mine, str), f"With three questions your function returns a {type(mine).__name__}, not a string")
    joined = " ".join(mine.split())
    expect("USER: Seven." not in joined, "The assistant's own turn got the tag USER: choose the tag by message['role']")
    for text in ("Name a prime.", "And a larger one?", "Why are there so many?"):
        expect(text in joined, f"With three questions your frame lost {text!r}: go through all messages")
    for text in ("Seven.", "Eleven."):
        expect(text in joined, "An earlier turn of the assistant is missing: the model must see what it said before")
    expect(
        joined.index("prime") < joined.index("Seven") < joined.index("Eleven") < joined.index("so many"),
        "The turns are not in their order: go through the messages from the first to the last",
    )
    expect(joined.count(chat.SYSTEM) == 1, "The system line occurs more than once: it is the first line only")
    expect(
        joined.count("ASSISTANT:") == 3,
        "Each answer has one tag 'ASSISTANT:', and one more, without an answer, is at the end",
    )
    expect(
        "Name a prime.\n\n  Take a  small one." in mine,
        "You changed white space inside a message: strip() only takes it from both ends",
    )
    expect(
        "one.\n\n" not in mine and "Seven. \n" not in mine and ":  " not in mine and "\t" not in mine,
        "White space around a message got into the frame: strip each content",
    )
    _same_lines(mine, chat.frame(_TURNS), "One question is right. With three,")
    return "one question and three give the text that the course trains on and scores with"


def _same_lines(mine: str, right: str, so_far: str) -> None:
    for n, (line, wanted) in enumerate(zip_longest(mine.split("\n"), right.split("\n")), 1):
        expect(line == wanted, f"{so_far} Line {n} of your frame is {line!r}; expected: {wanted!r}")


@check
def minutes(my_minutes: Callable[..., float]) -> str:
    """Compare with the sum of reading and writing time on cases where every usual slip has a value of its own."""
    questions, arms, read, write, reading, writing = case = (200, 3, 90, 60, 450.0, 30.0)
    mine = _number(my_minutes, case)
    asked = questions * arms
    to_read, to_write, both = read / reading, write / writing, read + write  # seconds, seconds, tokens
    each = to_read + to_write
    slips = (
        (asked * each, "These are seconds: divide by 60"),
        (asked * each / 3600, "These are hours: divide by 60 only once"),
        (questions * each / 60, "This is one arm: every question is asked in each of them"),
        (arms * each / 60, "This is one question: there are many"),
        (each / 60, "This is one question in one arm"),
        ((questions + arms) * each / 60, "You add questions and arms: each question is asked in each arm, so multiply"),
        (asked * to_write / 60, "You count only the writing, the longer of both: prompts are read too"),
        (asked * to_read / 60, "You count only the reading: writing takes most of the time"),
        (
            (questions * to_read + asked * to_write) / 60,
            "You read each prompt once for all arms: each arm is another model, and reads it again",
        ),
        ((to_read + asked * to_write) / 60, "You read only one prompt: every question has its own"),
        ((asked * to_read + to_write) / 60, "You write only one answer: every question has its own"),
        (
            asked * (read / writing + write / reading) / 60,
            "The two speeds are swapped: prompts are read at reading_speed",
        ),
        (asked * both / writing / 60, "You read at the writing speed: each kind of token has its own"),
        (asked * both / reading / 60, "You write at the reading speed: each kind of token has its own"),
        (asked * both / (reading + writing) / 60, "Speeds do not add up, one is used after the other: add the seconds"),
        (asked * both / ((reading + writing) / 2) / 60, "A mean of the two speeds is too simple: add the seconds"),
        (
            asked * (read * reading + write * writing) / 60,
            "Tokens divided by tokens per second are seconds; you multiplied",
        ),
        (
            asked * (reading / read + writing / write) / 60,
            "Divide the tokens by the speed, not the speed by the tokens",
        ),
    )
    for value, message in slips:
        expect(not close(mine, value), message)
    right = asked * each / 60
    expect(close(mine, right, 0.001), f"{questions} questions in {arms} arms take {right:.1f} minutes, yours: {mine:g}")
    again = _number(my_minutes, (10, 1, 100, 100, 100.0, 50.0))
    expect(close(again, 0.5, 0.001), f"10 questions of 1 + 2 seconds in one arm take 0.5 minutes, yours: {again:g}")
    short = _number(my_minutes, (1, 1, 10, 10, 100.0, 50.0))
    expect(
        close(short, 0.005, 0.0001),
        f"One question of 0.3 seconds takes 0.005 minutes, yours: {short:g}. Do not round: others compute with it",
    )
    return "seconds to read plus seconds to write, for every question in every arm, over 60"


def _number(my_minutes: Callable[..., float], case: tuple) -> float:
    mine = solved(my_minutes(*case))
    if isinstance(mine, str) or not numbers(mine):
        raise Mistake(f"Minutes are one number, yours is a {type(mine).__name__}")
    return numbers(mine)[0]
