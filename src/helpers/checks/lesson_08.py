"""Checks of lesson 08: a guess before the result, a record, what an edited record leads to, an opening without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..analyse.recorder import ARMS
from . import check, expect, numbers, solved

_ACTIONS = ("Tom flips", "Ann leaves", "Max flips")


@check
def guess(mine: Mapping[str, float | None]) -> str:
    """`mine`: arm -> the share of right answers that the student expects, in percent."""
    expect(isinstance(mine, Mapping), f"Keep it a dict, arm -> percent, not {type(mine).__name__}.")
    expect(set(mine) == set(ARMS), f"Give one number for each of {', '.join(ARMS)}.")
    for arm, value in mine.items():
        number = numbers(solved(value))
        expect(number and 0 <= number[0] <= 100, f"{arm}: {value!r} is not a number from 0 to 100.")
    expect(
        any(value > 1 for value in mine.values()) or not any(mine.values()),
        "Your numbers are all 1 or less: give percent, so 50 and not 0.5.",
    )
    return "written down. Now look."


@check
def record(mine: Callable[[str, Sequence[str]], str]) -> str:
    """`mine(start, actions)`: the record, each action with the state after it."""
    given = list(_ACTIONS)
    found = solved(mine("heads", given))
    expect(given == list(_ACTIONS), "Your function changes the list of actions that it was given: build a new one.")
    expect(isinstance(found, str), f"Return one text, not {type(found).__name__}: join the steps with a blank.")
    right = "Tom flips heads to tails. Ann leaves tails. Max flips tails to heads."
    expect(not found.strip().startswith("["), "Leave out the brackets: `render` puts them on.")
    afresh = "You start at heads for each action anew: carry the state on from step to step."
    mistakes = {
        "Tom flips heads to tails. Ann leaves heads. Max flips heads to tails.": afresh,
        "Tom flips heads to tails. Ann leaves tails to heads. Max flips heads to tails.": "Your coin turns at every "
        "action. Who leaves it does not turn it.",
        "Tom flips tails to heads. Ann leaves heads. Max flips heads to tails.": "Your first step starts from the wrong "
        "side: the coin shows heads at first.",
        "Tom flips tails. Ann leaves tails. Max flips heads.": "A flip names both states: 'heads to tails'. The small model "
        "learns it faster when the state before stands in the step.",
        "Tom flips: tails. Ann leaves: tails. Max flips: heads.": "A flip names both states, without a colon: 'heads to tails'.",
        right.replace(". ", "."): "Put a blank between the steps.",
        right.removesuffix("."): "The last step has lost its full stop.",
        right.replace(". ", ", "): "Each step is a sentence: end it with a full stop.",
        right.replace(". ", "\n"): "Write one line: the steps are separated by a full stop and a blank.",
        f"{right} ": "There is a blank too many at the end.",
        right.lower(): "Names keep their capital letter: copy each action as it is.",
        "Tom flips. Ann leaves. Max flips.": "That is what the question says already: the state after each action is missing.",
        "Tom flips it. Ann leaves it. Max flips it.": "That is what the question says already: the states are missing.",
        "tails tails heads": "The states alone are not a record: write each action before its state.",
        "tails": "That is one state: write one step for each action.",
        "heads": "That is the answer alone: write the steps that lead to it.",
    }
    expect(found == right, mistakes.get(found, f"Expected {right!r}, yours is {found!r:.120}."))
    started = mine("tails", ["Kim leaves", "Leo flips"])
    expect(
        started == "Kim leaves tails. Leo flips tails to heads.",
        f"A coin that starts at tails: expected 'Kim leaves tails. Leo flips tails to heads.', yours is {started!r:.100}.",
    )
    named = mine("tails", ["Flippa leaves"])
    expect(named == "Flippa leaves tails.", "'Flippa' leaves the coin: look at the verb, not for 'flip' anywhere.")
    return "each state follows from the one before it and one action. That is all that a step has to compute"


@check
def edited(mine: Callable[[Sequence[bool], str, int], str]) -> str:
    """`mine(flips, start, step)`: the answer of one who believes the record after the state of `step` was turned over."""
    first = solved(mine((True, False, True), "heads", 1))
    expect(first in ("heads", "tails"), f"Return 'heads' or 'tails', not {first!r:.60}.")
    expect(
        first != "heads",
        "That is the true answer. The reader of an edited record believes it: from the wrong state on, it flips and waits as "
        "before, so it ends on the other side.",
    )
    for flips, start, step, right, hint in (
        ((True,), "heads", 0, "heads", "The only step is the edited one: its wrong state is the answer."),
        (
            (True, True),
            "heads",
            0,
            "tails",
            "The first state is edited (step 0), and the second action still flips it.",
        ),
        ((False, False, False), "tails", 2, "heads", "The last state is edited: nothing follows it."),
        ((True, True, False, True), "tails", 3, "tails", "Count the steps from 0."),
    ):
        found = mine(flips, start, step)
        expect(found == right, f"flips={flips}, start={start!r}, step={step}: {right!r}, not {found!r:.40}. {hint}")
    return "wherever the edit is, the answer turns over: every later state depends on it"


@check
def pieces(mine: Callable[[list[tuple[str, bool]]], Any]) -> str:
    """`mine(pieces)`: the same text, and the opening in brackets outside the loss."""
    given = [("System.\nUSER: Q?\nASSISTANT:", False), (" [Tom flips heads to tails.] tails.", True)]
    found = solved(mine(list(given)))
    try:
        found = [(text, bool(trained)) for text, trained in found]
    except (TypeError, ValueError):
        expect(False, f"Return a list of (text, trained) pairs, not {found!r:.80}.")
    whole, now = "".join(text for text, _ in given), "".join(text for text, _ in found)
    expect(now == whole, f"The text must stay the same, blanks included: {now!r:.120} is not {whole!r}.")
    trained = [text for text, on in found if on]
    expect(found != given, "Nothing has changed: the opening is still trained on.")
    expect(trained, "Nothing is trained on now: the answer must stay inside the loss.")
    expect(not any("[" in text or "Tom" in text for text in trained), f"The opening is still trained on: {trained!r}.")
    expect(not any("USER" in text for text in trained), "You turned the marks around: the question is trained on now.")
    expect("".join(trained).strip() == "tails.", f"Only ' tails.' is to be trained on, yours is {trained!r}.")
    plain = [("USER: Q?\nASSISTANT:", False), (" tails.", True)]
    expect([tuple(p) for p in mine(list(plain))] == plain, "An answer without an opening stays as it is.")
    return "the model reads the record in training, and is never asked to write one"
