"""Checks of lesson 08: a guess before the result, a record, what an edited record leads to, an opening without loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..analyse.recorder import ARMS, OTHER, Problem
from . import check, expect, numbers, solved

_ACTIONS = ("Tom flips", "Ann leaves", "Max flips")


@check
def guess(mine: Mapping[str, float | None]) -> str:
    """`mine`: arm -> the share of right answers that the student expects, in percent."""
    expect(hasattr(mine, "keys"), f"Keep it a dict, arm -> percent, not {type(mine).__name__}.")
    mine = dict(mine)
    expect(set(mine) == set(ARMS), f"Give one number for each of {', '.join(ARMS)}.")
    found = {arm: () if isinstance(value, str) else numbers(solved(value)) for arm, value in mine.items()}
    for arm, number in found.items():
        expect(number and 0 <= number[0] <= 100, f"{arm}: {mine[arm]!r} is not a number from 0 to 100.")
    expect(
        any(value > 1 for (value,) in found.values()) or not any(value for (value,) in found.values()),
        "Your numbers are all 1 or less: give percent, so 50 and not 0.5.",
    )
    return "written down. Now look."


# --- the record -----------------------------------------------------------------------------------


@check
def record(mine: Callable[[str, Sequence[str]], str]) -> str:
    """`mine(start, actions)`: the record, each action with the state after it."""
    given = list(_ACTIONS)
    found = solved(mine("heads", given))
    expect(given == list(_ACTIONS), "Your function changes the list of actions that it was given: build a new one.")
    expect(isinstance(found, str), f"Return one text, not {type(found).__name__}: join the steps with a blank.")
    right = "Tom flips heads to tails. Ann leaves tails. Max flips tails to heads."
    expect(not found.strip().startswith("["), "Leave out the brackets: `render` puts them on.")
    mistakes = {
        "Tom flips heads to tails. Ann leaves heads. Max flips heads to tails.": "You start at heads again for each action: "
        "carry the state from step to step.",
        "Tom flips heads to tails. Ann leaves tails to heads. Max flips heads to tails.": "Your coin turns at every "
        "action. Who leaves it does not turn it.",
        "Tom flips tails to heads. Ann leaves heads. Max flips heads to tails.": "Your first step starts from the wrong "
        "side: the coin shows heads at first.",
        "Tom flips tails to heads. Ann leaves tails. Max flips heads to tails.": "A flip has its two states the wrong way "
        "round: first the state before it, then the state after it.",
        "Tom flips tails. Ann leaves tails. Max flips heads.": "A flip names both states: 'heads to tails'. The small model "
        "learns it faster when the state before stands in the step.",
        "Tom flips heads. Ann leaves tails. Max flips tails.": "A flip names both states: yours has the state before it only.",
        "Tom flips: tails. Ann leaves: tails. Max flips: heads.": "A flip names both states, without a colon: 'heads to tails'.",
        right.replace(
            "leaves tails", "leaves tails to tails"
        ): "Who leaves the coin names one state: 'Ann leaves tails.'",
        right.replace("leaves tails", "leaves"): "The state is missing where the coin is left: 'Ann leaves tails.'",
        "Max flips tails to heads. Ann leaves tails. Tom flips heads to tails.": "Your steps are in the reverse order.",
        right.replace(" flips", "").replace(" leaves", ""): "The verbs are missing: copy each action as it is.",
        "Tom flips heads to tails. Max flips tails to heads.": "Who leaves the coin has a step, too: 'Ann leaves tails.'",
        "Max flips tails to heads.": "Only the last step came back: collect the steps in a list, and return after the loop.",
        "Tom flips heads to tails.": "Only the first step came back: is your `return` inside the loop?",
        right.removesuffix("."): "The last step has lost its full stop.",
        right.replace(".", ""): "Each step is a sentence: end it with a full stop.",
        right.replace(". ", ", "): "Each step is a sentence: end it with a full stop.",
        right.replace(". ", "\n"): "Write one line: the steps are separated by a full stop and a blank.",
        "Tom flips. Ann leaves. Max flips.": "That is what the question says already: the state after each action is missing.",
        "Tom flips it. Ann leaves it. Max flips it.": "That is what the question says already: the states are missing.",
        "tails tails heads": "The states alone are not a record: write each action before its state.",
        "tails": "That is one state: write one step for each action.",
        "heads": "That is the answer alone: write the steps that lead to it.",
    }
    hint = mistakes.get(found)
    if found.split() == right.split():
        hint = "There is a blank or a line break too many: one blank between the steps, none at the ends."
    elif "".join(found.split()) == "".join(right.split()):
        hint = "Put a blank between the steps."
    elif found.lower() == right.lower():
        hint = "Names keep their capital letter: copy each action as it is."
    expect(found == right, hint or f"Expected {right!r}, yours is {found!r:.120}.")
    expect(
        mine("heads", list(_ACTIONS)) == right, "The second call gives another text: start each call with a new list."
    )
    for start, actions, wanted, why in (
        (
            "tails",
            ["Kim leaves", "Leo flips"],
            "Kim leaves tails. Leo flips tails to heads.",
            "A coin that starts at tails",
        ),
        ("tails", ["Flippa leaves"], "Flippa leaves tails.", "Look at the verb, not for 'flip' anywhere"),
        ("heads", ["Flipsy leaves"], "Flipsy leaves heads.", "Look at the verb, not for 'flips' anywhere"),
        (
            "heads",
            ["Tom flips", "Ann flips", "Max flips", "Kim flips", "Leo leaves", "Amy leaves"],
            "Tom flips heads to tails. Ann flips tails to heads. Max flips heads to tails. Kim flips tails to heads. "
            "Leo leaves heads. Amy leaves heads.",
            "Each step starts from the state after the step before it",
        ),
    ):
        now = mine(start, list(actions))
        expect(now == wanted, f"{why}: expected {wanted!r}, yours is {now!r:.160}.")
    return "each state follows from the one before it and one action. That is all that a step has to compute"


# --- the edited record ----------------------------------------------------------------------------


def _ends(start: str, flips: Sequence[bool]) -> str:
    return OTHER[start] if sum(flips) % 2 else start


_EDITS = {  # what a wrong `my_edit` computes -> the message that names its mistake
    "That is the true answer. The reader of an edited record believes it: after the wrong state the actions work as "
    "before, so the answer is the other side.": lambda f, s, k: _ends(s, f),
    "Your answer is the true one if `step` is 0: count the steps from 0.": lambda f, s, k: _ends(s, [*f, k > 0]),
    "Your answer is the true one if the last step is edited: its wrong state is the answer.": lambda f, s, k: _ends(
        s, [*f, k < len(f) - 1]
    ),
    "You stop at the edited state: the later actions still flip the coin.": lambda f, s, k: _ends(
        s, [*f[: k + 1], True]
    ),
    "You stop at `step`, and nothing is turned over there.": lambda f, s, k: _ends(s, f[: k + 1]),
    "You stop before `step`: take all actions.": lambda f, s, k: _ends(s, f[:k]),
    "You turn the state over again at every later step: one state is wrong, and the later actions work as usual.": (
        lambda f, s, k: _ends(s, [*f, (len(f) - k) % 2])
    ),
    "You turn the coin over instead of the action of `step`: first the action, then its state is turned over.": (
        lambda f, s, k: _ends(s, [*f[:k], True, *f[k + 1 :]])
    ),
    "You leave out the action of `step`: it happens, and then its state is turned over.": lambda f, s, k: _ends(
        s, [*f[:k], *f[k + 1 :]]
    ),
    "You forget the actions before `step`: the wrong state is the opposite of the true one there.": lambda f, s, k: (
        _ends(s, [True, *f[k + 1 :]])
    ),
    "You turn over what the coin shows at first, and the actions are missing.": lambda f, s, k: OTHER[s],
    "Your answer is what the coin shows at first: the actions are missing.": lambda f, s, k: s,
    "Your coin always starts at heads: use `start`.": lambda f, s, k: _ends("heads", [*f, True]),
    "Your answer is always 'heads'.": lambda f, s, k: "heads",
    "Your answer is always 'tails'.": lambda f, s, k: "tails",
    "Only the actions after `step` are in your answer, and no state is turned over.": lambda f, s, k: _ends(
        s, f[k + 1 :]
    ),
}
_CASES = [  # every edit of every record with up to four actions, and one longer record
    (flips, start, step)
    for n in (3, 1, 2, 4)
    for flips in itertools.product((True, False), repeat=n)
    for start in OTHER
    for step in range(n)
] + [((True, False, True, True, False, True), "tails", step) for step in range(6)]


@check
def edited(mine: Callable[[Sequence[bool], str, int], str]) -> str:
    """`mine(flips, start, step)`: the answer of one who believes the record after the state of `step` was turned over."""
    found = []
    for flips, start, step in _CASES:
        answer = solved(mine(flips, start, step))
        sides = isinstance(answer, str) and answer in OTHER
        expect(sides, f"Return 'heads' or 'tails', not {answer!r:.60}.")
        found.append(str(answer))
    for hint, wrong in _EDITS.items():
        expect(found != [wrong(*case) for case in _CASES], hint)
    for (flips, start, step), answer in zip(_CASES, found):
        names = tuple("ABCDEF"[: len(flips)])
        true = Problem("", start, names, flips).states
        right = OTHER[true[-1]]
        states = (
            f"The true states are {', '.join(true)}; number {step} is turned over, and the later actions work as usual."
        )
        expect(answer == right, f"flips={flips}, start={start!r}, step={step}: {right!r}, not {answer!r}. {states}")
    return "wherever the edit is, the answer turns over: every later state depends on it"


# --- an opening outside the loss ------------------------------------------------------------------

_ROW = [
    ("System.", False),
    ("\nUSER: A coin [of mine] shows heads. Tom flips it. What does it show?\nASSISTANT:", False),
    (" [Tom flips heads to tails.] tails.", True),
]
_LONGER = [*_ROW, ("\nUSER: Are you sure?\nASSISTANT:", False), (" Yes: see [1] and [2].", True)]
_ANSWER = " It is tails, as the record [above] says."


@check
def pieces(mine: Callable[[list[tuple[str, bool]]], Any]) -> str:
    """`mine(pieces)`: the same text, and the opening in brackets outside the loss."""
    trained = _trained(mine, _ROW)
    expect(trained, "Nothing is trained on now: the answer must stay inside the loss.")
    expect(not any("USER" in text for text in trained), "You turned the marks around: the question is trained on now.")
    expect(trained != [_ROW[2][0]], "Nothing has changed: the opening is still trained on.")
    expect(not any("[" in text or "Tom" in text for text in trained), f"The opening is still trained on: {trained!r}.")
    expect(
        "".join(trained).strip() != "] tails.", "The closing bracket belongs to the opening: it is still trained on."
    )
    _answers(trained, ["tails."])
    late = _trained(mine, _LONGER)
    expect(len(late) > 1, "A dialogue of two turns: the second answer has no opening and must stay inside the loss.")
    _answers(
        late, ["tails.", _LONGER[4][0].strip()], "An answer that only mentions [1] has no opening: it stays as it is."
    )
    _answers(_trained(mine, [*_ROW[:2], (" tails.", True)]), ["tails."], "An answer without an opening stays as it is.")
    leaves = [*_ROW[:2], (f" [Ann leaves tails. Tom leaves tails.]{_ANSWER}", True)]
    _answers(_trained(mine, leaves), [_ANSWER.strip()], "The opening ends at the first closing bracket.")
    return "the model reads the record in training, and is never asked to write one"


def _trained(mine: Callable[..., Any], given: list[tuple[str, bool]]) -> list[str]:
    """The texts that the student's pieces train on, if they are pieces of `given`."""
    found = solved(mine(list(given)))
    try:
        found = [(text, mark) for text, mark in itertools.islice(found, 1000)]
        whole, now = ("".join(text for text, _ in row) for row in (given, found))
    except (TypeError, ValueError):
        expect(False, f"Return a list of (text, trained) pairs, not {found!r:.80}.")
    expect(now == whole, f"The text must stay the same, blanks included: {now!r:.160} is not {whole!r}.")
    marks = all(not isinstance(mark, str) and mark in (True, False) for _, mark in found)
    expect(marks, "The second of each pair is True or False: whether the text is trained on.")
    expect(all(text for text, _ in found), "One of your pieces has no text: leave it out.")
    ends, mine_ends = (set(itertools.accumulate(len(text) for text, _ in row)) for row in (given, found))
    expect(ends <= mine_ends, "You joined pieces: split the one with the opening, and leave the others as they are.")
    return [text for text, mark in found if mark]


def _answers(trained: list[str], wanted: list[str], hint: str = "") -> None:
    whole = "".join(text.strip() for text in trained) == "".join(wanted)
    one = "An end token follows each trained piece: keep each answer in one piece."
    expect(not whole or len(trained) == len(wanted), one)
    texts = [text.strip() for text in trained]
    expect(texts == wanted, f"{hint} Only {wanted!r} is to be trained on, yours is {trained!r}.".strip())
