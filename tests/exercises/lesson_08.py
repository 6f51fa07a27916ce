"""Answers to the exercises of lesson 08: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from exercises.common import table

from helpers.analyse import recorder
from helpers.checks import lesson_08

EXERCISES, answers = table()
OTHER = recorder.OTHER

# --- the guess ------------------------------------------------------------------------------------

GUESS = {"direct": 60, "role": 60, "actions": 55, "scrambled": 50, "record": 90}

answers(
    lesson_08.guess,
    GUESS,
    (GUESS | {"record": 900}, "not a number from 0 to 100"),
    (GUESS | {"role": -5}, "not a number from 0 to 100"),
    (GUESS | {"role": float("nan")}, "not a number from 0 to 100"),
    (GUESS | {"role": "seventy"}, "'seventy' is not a number"),
    (GUESS | {"role": "70"}, "'70' is not a number"),
    (GUESS | {"role": [60, 70]}, "not a number from 0 to 100"),
    ({"direct": 50}, "Give one number for each"),
    (GUESS | {"base": 50}, "Give one number for each"),
    (dict.fromkeys(GUESS, 0.5), "give percent"),
    (dict.fromkeys(GUESS, np.float32(0.5)), "give percent"),
    ([50] * 5, "Keep it a dict"),
    (50, "Keep it a dict"),
    also=[
        {arm: np.float32(value) for arm, value in GUESS.items()},
        dict(zip(recorder.ARMS, np.arange(50, 100, 10))),
        pd.Series(GUESS),
        dict.fromkeys(GUESS, 0),
    ],
)

# --- the record -----------------------------------------------------------------------------------


def is_flip(action):
    return action.endswith("flips")


def write(start, actions, flips=is_flip, carry=True):
    steps, state = [], start
    for action in actions:
        after = OTHER[state] if flips(action) else state
        steps.append(f"{action} {state} to {after}." if flips(action) else f"{action} {after}.")
        state = after if carry else start
    return " ".join(steps)


def by_problem(start, actions):
    names, verbs = zip(*(action.split() for action in actions))
    return recorder.Problem("", start, names, tuple(verb == "flips" for verb in verbs)).record()


def by_count(start, actions):
    sides = [start, OTHER[start]]
    flips = np.cumsum([is_flip(action) for action in actions])
    return " ".join(
        f"{action} {sides[(k - 1) % 2]} to {sides[k % 2]}." if is_flip(action) else f"{action} {sides[k % 2]}."
        for action, k in zip(actions, flips)
    )


def step_by_step(start, actions):
    def steps():
        state = start
        for action in actions:
            before, state = state, OTHER[state] if is_flip(action) else state
            yield f"{action} {before} to {state}." if is_flip(action) else f"{action} {state}."

    return " ".join(steps())


def accumulated(start, actions):
    states = list(itertools.accumulate(actions, lambda s, a: OTHER[s] if is_flip(a) else s, initial=start))
    text = ""
    for action, (before, after) in zip(actions, itertools.pairwise(states)):
        text += f"{action} {before + ' to ' if is_flip(action) else ''}{after}. "
    return text.rstrip()


def mutating(start, actions):
    text = write(start, actions)
    actions.clear()
    return text


def remembering(start, actions, steps=[]):  # noqa: B006
    steps.append(write(start, actions))
    return " ".join(steps)


def never_back(start, actions):
    """Turns the coin once and never again."""
    steps, state = [], start
    for action in actions:
        steps.append(f"{action} {state} to {OTHER[start]}." if is_flip(action) else f"{action} {state}.")
        state = OTHER[start] if is_flip(action) else state
    return " ".join(steps)


answers(
    lesson_08.record,
    write,
    (lambda s, a: write(s, a).split(". "), "Return one text"),
    (lambda s, a: (step for step in write(s, a).split()), "Return one text"),
    (lambda s, a: f"[{write(s, a)}]", "Leave out the brackets"),
    (lambda s, a: write(s, a, carry=False), "start at heads again"),
    (lambda s, a: write(s, a, flips=lambda _: True), "turns at every action"),
    (lambda s, a: write(OTHER[s], a), "starts from the wrong side"),
    (lambda s, a: re.sub(r"(\w+) to (\w+)", r"\2 to \1", write(s, a)), "the wrong way round"),
    (lambda s, a: re.sub(r"\w+ to ", "", write(s, a)), "A flip names both states"),
    (lambda s, a: re.sub(r" to \w+", "", write(s, a)), "the state before it only"),
    (lambda s, a: re.sub(r" (\w+ to )?(\w+)\.", r": \2.", write(s, a)), "without a colon"),
    (lambda s, a: re.sub(r"leaves (\w+)", r"leaves \1 to \1", write(s, a)), "names one state"),
    (lambda s, a: re.sub(r"leaves \w+", "leaves", write(s, a)), "The state is missing"),
    (lambda s, a: re.sub(r" (flips|leaves)", "", write(s, a)), "The verbs are missing"),
    (lambda s, a: write(s, [x for x in a if is_flip(x)]), "has a step, too"),
    (lambda s, a: ". ".join(write(s, a)[:-1].split(". ")[::-1]) + ".", "in the reverse order"),
    (lambda s, a: write(s, a)[:-1].split(". ")[-1] + ".", "Only the last step"),
    (lambda s, a: write(s, a[:1]), "is your `return` inside the loop"),
    (lambda s, a: write(s, a).replace(". ", "."), "a blank between the steps"),
    (lambda s, a: write(s, a)[:-1], "lost its full stop"),
    (lambda s, a: write(s, a).replace(".", ""), "end it with a full stop"),
    (lambda s, a: write(s, a).replace(". ", ", "), "end it with a full stop"),
    (lambda s, a: write(s, a) + " ", "a blank or a line break too many"),
    (lambda s, a: write(s, a).replace(". ", ".\n"), "a blank or a line break too many"),
    (lambda s, a: write(s, a).lower(), "keep their capital"),
    (lambda s, a: write("heads", a), "A coin that starts at tails"),
    (lambda s, a: write(s, a, flips=lambda action: "flip" in action.lower()), "not for 'flip' anywhere"),
    (lambda s, a: write(s, a, flips=lambda action: "flips" in action.lower()), "not for 'flips' anywhere"),
    (lambda s, a: "heads", "the answer alone"),
    (lambda s, a: "tails tails heads", "The states alone"),
    (lambda s, a: " ".join(f"{x}." for x in a), "the state after each action is missing"),
    (lambda s, a: write(s, a[:3]), "after the step before it"),
    (mutating, "changes the list of actions"),
    (remembering, "start each call with a new list"),
    (never_back, "Expected"),
    also=[
        by_problem,
        by_count,
        step_by_step,
        accumulated,
        lambda s, a: np.str_(write(s, tuple(a), flips=lambda x: x.split()[-1] == "flips")),
    ],
)

# --- the edited record ----------------------------------------------------------------------------


def edit(flips, start, step):
    state = start
    for k, flip in enumerate(flips):
        state = OTHER[state] if flip else state
        state = OTHER[state] if k == step else state
    return state


def true(flips, start):
    return recorder.Problem("", start, ("A",) * len(flips), tuple(flips)).states


def counted_from_one(flips, start, step):
    state = start
    for k, flip in enumerate(flips, 1):
        state = OTHER[state] if flip else state
        state = OTHER[state] if k == step else state
    return state


def state_instead_of_action(flips, start, step):
    state = start
    for k, flip in enumerate(flips):
        state = OTHER[state] if flip or k == step else state
    return state


def every_later_step(flips, start, step):
    state = start
    for k, flip in enumerate(flips):
        state = OTHER[state] if flip else state
        state = OTHER[state] if k >= step else state
    return state


def toggled(flips, start, step):
    flips = list(flips)
    flips[step] = not flips[step]
    return functools.reduce(lambda state, flip: OTHER[state] if flip else state, flips, start)


answers(
    lesson_08.edited,
    edit,
    (lambda f, s, k: true(f, s)[-1], "That is the true answer"),
    (lambda f, s, k: "edge", "Return 'heads' or 'tails'"),
    (lambda f, s, k: edit(f, s, k).title(), "Return 'heads' or 'tails'"),
    (lambda f, s, k: [edit(f, s, k)], "Return 'heads' or 'tails'"),
    (lambda f, s, k: edit(f, s, k) == "heads", "Return 'heads' or 'tails'"),
    (lambda f, s, k: np.array([edit(f, s, k)] * 2), "Return 'heads' or 'tails'"),
    (counted_from_one, "count the steps from 0"),
    (lambda f, s, k: edit(f, s, k) if k + 1 < len(f) else true(f, s)[-1], "true one if the last step is edited"),
    (lambda f, s, k: OTHER[true(f, s)[k]], "You stop at the edited state"),
    (lambda f, s, k: true(f, s)[k], "nothing is turned over there"),
    (lambda f, s, k: [s, *true(f, s)][k], "You stop before `step`"),
    (every_later_step, "again at every later step"),
    (state_instead_of_action, "instead of the action"),
    (lambda f, s, k: ([s, *true(f[:k] + f[k + 1 :], s)])[-1], "You leave out the action of `step`"),
    (lambda f, s, k: true((True, *f[k + 1 :]), s)[-1], "You forget the actions before `step`"),
    (lambda f, s, k: OTHER[s], "You turn over what the coin shows at first"),
    (lambda f, s, k: s, "the actions are missing"),
    (lambda f, s, k: edit(f, "heads", k), "use `start`"),
    (lambda f, s, k: "heads", "always 'heads'"),
    (lambda f, s, k: "tails", "always 'tails'"),
    (lambda f, s, k: edit(f[:4], s, min(k, 3)), "the later actions work as usual"),
    also=[
        lambda f, s, k: OTHER[s] if sum(f) % 2 == 0 else s,  # the edit turns the answer over
        lambda f, s, k: OTHER[true(f, s)[-1]],
        toggled,
        lambda f, s, k: np.array(["heads", "tails"])[(np.sum(f) + 1 + (s == "tails")) % 2],
        lambda f, s, k: recorder.Problem("", OTHER[true(f, s)[k]], ("A",) * len(f), (False, *f[k + 1 :])).answer,
    ],
)

# --- an opening outside the loss ------------------------------------------------------------------


def grey(pieces, end=lambda text: text.find("]") + 1, begins=lambda text: text.startswith(" [")):
    result = []
    for text, trained in pieces:
        n = end(text)
        if trained and begins(text) and n:
            result += [(text[:n], False), (text[n:], True)]
        else:
            result.append((text, trained))
    return result


def generator(pieces):
    for text, trained in pieces:
        opening, bracket, answer = text.partition("]")
        if trained and bracket and opening.startswith(" ["):
            yield opening + bracket, False
            text = answer
        yield text, trained


def by_pattern(pieces):
    rows = []
    for text, trained in pieces:
        found = re.match(r"(\s*\[[^\]]*\])(.+)", text, re.S) if trained else None
        rows += [[found[1], 0], [found[2], 1]] if found else [[text, int(trained)]]
    return rows


@dataclass
class Piece:
    text: str
    trained: bool


def by_frame(pieces):
    frame = pd.DataFrame(grey(pieces), columns=["text", "trained"])
    return frame.itertuples(index=False)


def in_place(pieces):
    for k, (text, trained) in reversed(list(enumerate(pieces))):
        if trained and text.lstrip().startswith("["):
            n = text.index("]") + 1
            pieces[k : k + 1] = [(text[:n], np.False_), (text[n:], np.True_)]
    return pieces


def two_answers(pieces):
    return [x for t, on in grey(pieces) for x in ([(t[:1], on), (t[1:], on)] if on else [(t, on)])]


def always_split(pieces):
    return [x for t, on in pieces for x in (zip((t[: t.find("]") + 1], t[t.find("]") + 1 :]), (False, on)))]


def joined(pieces):
    return [("".join(t for t, _ in part), on) for on, part in _runs(grey(pieces))]


def _runs(pieces):
    return [(on, list(part)) for on, part in itertools.groupby(pieces, key=lambda p: p[1])]


answers(
    lesson_08.pieces,
    grey,
    (lambda p: p, "Nothing has changed"),
    (lambda p: [(t, False) for t, _ in p], "Nothing is trained on now"),
    (lambda p: [(t, not on) for t, on in p], "You turned the marks around"),
    (lambda p: [(t, not on if "Tom flips heads" in t else on) for t, on in grey(p)], "The opening is still trained on"),
    (lambda p: [(t.strip(), on) for t, on in grey(p)], "blanks included"),
    (lambda p: [(t, on) for t, on in grey(p) if "[Tom" not in t], "The text must stay the same"),
    (lambda p: p[:2] + grey(p[2:3]), "The text must stay the same"),
    (lambda p: [x for t, on in grey(p) for x in (t, on)], "Return a list of (text, trained) pairs"),
    (lambda p: 3, "Return a list of (text, trained) pairs"),
    (lambda p: ("" for _ in itertools.count()), "Return a list of (text, trained) pairs"),
    (lambda p: (("a", True) for _ in itertools.count()), "The text must stay the same"),
    (lambda p: [(t, 1 if on else -100) for t, on in grey(p)], "True or False"),
    (lambda p: [(t, str(on)) for t, on in grey(p)], "True or False"),
    (lambda p: [("".join(t for t, _ in p), True)], "You joined pieces"),
    (joined, "You joined pieces"),
    (always_split, "has no text"),
    (lambda p: grey(p, end=lambda t: t.find("]")), "The closing bracket belongs to the opening"),
    (lambda p: grey(p, end=lambda t: t.find("]") + 3), "Only ['tails.'] is to be trained on"),
    (lambda p: grey(p, end=lambda t: t.rfind("]") + 1), "ends at the first closing bracket"),
    (lambda p: grey(p, begins=lambda t: "[" in t), "only mentions [1]"),
    (lambda p: grey(p, begins=lambda t: "Tom flips" in t), "ends at the first closing bracket"),
    (lambda p: [(t, on and k == 3) for k, (t, on) in enumerate(grey(p))], "the second answer has no opening"),
    (two_answers, "keep each answer in one piece"),
    (lambda p: [(t, on and "[" not in t) for t, on in grey(p)], "the second answer has no opening"),
    also=[
        generator,
        by_pattern,
        by_frame,
        in_place,
        lambda p: [list(x) for x in grey(p)],
        lambda p: iter(grey(p)),
        lambda p: [astuple(Piece(*x)) for x in grey(p)],
        lambda p: grey(p, end=lambda t: t.find("] ") + 2 if "] " in t else 0),  # with the blank
    ],
)
