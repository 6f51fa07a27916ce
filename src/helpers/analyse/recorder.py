"""Coin problems (lesson 08): a task in which the text before an answer decides whether the answer can be right.

The one idea: one question, one answer, one recipe. The arms differ only in the opening that they learn to write. So
whatever differs in their answers, the opening did it. The recorder is from Kong et al. (2024), the authors' earlier paper.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import finetune, models, roles, score, stats, strategies
from ..chat import Messages, Request, ask, journal, user
from ..data import REFERENCE, shuffle
from ..errors import UserError
from ..profiles import Profile

if TYPE_CHECKING:
    from ..run import Run

ARMS = {  # what each arm learns to write between the question and the answer
    "direct": "nothing",
    "role": "a role prompt, the same for all problems",
    "actions": "each action, without a state",
    "scrambled": "each action, with a state drawn at random",
    "record": "each action, with the state after it",
}
LENGTHS = (2, 3, 4)  # people in a problem that the arms are trained on
LONGER = 6
OTHER = {"heads": "tails", "tails": "heads"}
NAMES = (  # noqa: SIM905 - one token each for SmolLM2
    "Tom Ann Max Sam Ben Kim Leo Amy Joe Eva Dan Mia Paul Mary John Anna Peter Lucy Bob Jane Mark Emma Jack Kate Adam Lily"
).split()
ROLE = roles.Role("This question is a puzzle about a coin", "a careful recorder who writes down every change")
REPLIES = ["arm", "seed", "people", "problem", "reply"]  # columns of recorder.csv

# --- problems -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    id: str
    start: str  # "heads" or "tails"
    people: tuple[str, ...]
    flips: tuple[bool, ...]  # whether each of them flips the coin, or waits

    @property
    def actions(self) -> list[str]:
        return [f"{name} {'flips' if flip else 'leaves'}" for name, flip in zip(self.people, self.flips)]

    @property
    def states(self) -> list[str]:
        """What the coin shows after each action."""
        turned = itertools.accumulate(
            self.flips, lambda shows, flip: OTHER[shows] if flip else shows, initial=self.start
        )
        return list(turned)[1:]

    @property
    def answer(self) -> str:
        return self.states[-1]

    @property
    def question(self) -> str:
        return f"A coin shows {self.start}. {' '.join(f'{action} it.' for action in self.actions)} What does it show?"

    def record(self, states: Sequence[str] | None = None) -> str:
        """Each action with the state after it: "Tom flips heads to tails. Ann leaves tails."

        `states`: the states after the actions, if they are to be others than the true ones.
        """
        states = list(states or self.states)
        steps = []
        for action, flip, old, new in zip(self.actions, self.flips, [self.start, *states], states):
            steps.append(f"{action} {old} to {new}." if flip else f"{action} {new}.")
        return " ".join(steps)


def draw(n: int, lengths: Sequence[int], seed: int, held_out: bool) -> list[Problem]:
    """`n` problems: lengths in turn, half of the answers heads, names and pattern at random.

    A pattern is a start and who flips. Half of the patterns of each length and answer are held out: with `held_out`
    only these are drawn, otherwise only the others. `LONGER` problems are held out as a whole.
    """
    rng, problems = random.Random(f"coin, {seed}, {held_out}"), []
    for i in range(n):
        length, answer = lengths[i % len(lengths)], ("heads", "tails")[i // len(lengths) % 2]
        allowed = _patterns(length, answer, held_out)
        start, flips = allowed[int(rng.random() * len(allowed))]
        names = list(NAMES)
        shuffle(names, rng)
        problems.append(Problem(f"{length}-{seed}-{i:03}", start, tuple(names[:length]), flips))
    return problems


@cache
def _patterns(length: int, answer: str, held_out: bool) -> list[tuple[str, tuple[bool, ...]]]:
    """The (start, flips) of that length which end with `answer`: those that are held out, or the others."""
    every = itertools.product(OTHER, itertools.product((False, True), repeat=length))
    found = [(start, flips) for start, flips in every if (start == answer) is (sum(flips) % 2 == 0)]
    shuffle(found, random.Random(f"patterns, {length}, {answer}"))
    half = 0 if length == LONGER else len(found) // 2
    return found[half:] if held_out else found[:half]


def tests(n: int, lengths: Sequence[int] = (*LENGTHS, LONGER)) -> list[Problem]:
    """The problems that every arm is asked: `n` of each length."""
    return [problem for length in lengths for problem in draw(n, [length], 3000 + length, held_out=True)]


# --- arms -----------------------------------------------------------------------------------------


def recipe(run: Run) -> Profile:
    """The profile's settings for these trainings."""
    return replace(run.profile, **run.profile.recorder)


def rows(arm: str, n: int, seed: int) -> list[dict[str, Any]]:
    """`n` training dialogues of an arm. All arms of a seed have the same questions and answers in the same order."""
    if arm not in ARMS:
        raise UserError(f"unknown arm {arm!r}: choose {', '.join(ARMS)}")
    rng = random.Random(f"states, {seed}")
    lines = []
    for problem in draw(n, LENGTHS, seed, held_out=False):
        turns = [{"role": "user", "content": problem.question}, {"role": "assistant", "content": f"{problem.answer}."}]
        drawn = [("heads", "tails")[rng.random() < 0.5] for _ in problem.people]
        plain = " ".join(f"{action} it." for action in problem.actions)
        texts = {"record": problem.record(), "scrambled": problem.record(drawn), "actions": plain}
        opening = {"record": {"record": texts[arm]}} if arm in texts else {}
        opening |= {"role": vars(ROLE)} if arm == "role" else {}
        lines.append({"id": problem.id, "messages": turns, **opening})
    return lines


def strategy(arm: str) -> strategies.Strategy | None:
    """What the arm's opening is rendered and read by; None for `direct`, which has none."""
    return {"direct": None, "role": strategies.ROLE_PLAY}.get(arm, strategies.RECORD)


def tuned(run: Run, arm: str, seed: int = 0, say: Callable = print, pieces: Callable | None = None) -> Any:
    """The chat of an arm, trained now unless this run has it; `models/recorder-<arm>-seed<k>`.

    `pieces`: turns the (text, trained) pieces of a row into others; that model is kept under "<arm>-mine".
    """
    settings, name = recipe(run), f"{arm}-mine" if pieces else arm
    home, learned = run.folder / "models" / f"recorder-{name}-seed{seed}", strategy(arm)
    examples = rows(arm, settings.batch_size * (settings.max_steps or 1), seed)
    if pieces:
        examples = [
            row | {"pieces": [[t, bool(on)] for t, on in pieces(finetune.segments(row, arm))]} for row in examples
        ]
    finetune.finetune(settings, learned.name if learned else "lima", examples, home, seed, say)
    return score.local_chat(settings, home)


# --- asking ---------------------------------------------------------------------------------------


def asked(run: Run, arms: Iterable[str], n: int, seed: int = 0, say: Callable = print) -> pd.DataFrame:
    """The replies of these arms to `tests(n)`, columns REPLIES. Trains what is missing, asks what the journals lack."""
    lines, problems = [], tests(n)
    for arm in arms:
        chat = tuned(run, arm, seed, say)
        path = run.folder / "when_it_pays" / f"{arm}-seed{seed}.jsonl"
        lines += [
            (arm, seed, len(p.people), p.id, text) for p, text in zip(problems, replies(chat, problems, path, say))
        ]
        del chat
        models.release_memory()
    return pd.DataFrame(lines, columns=REPLIES)


def replies(chat: Any, problems: Sequence[Problem], path: Path | None = None, say: Callable = print) -> list[str]:
    """The reply to each problem, through the journal at `path` if there is one."""
    return _asked(chat, problems, [user(p.question) for p in problems], path, say)


def _asked(
    chat: Any, problems: Sequence[Problem], turns: Sequence[Messages], path: Path | None, say: Callable
) -> list[str]:
    room = {"max_tokens": 8, "opening_tokens": 12 * LONGER}
    if turns[0][-1]["role"] == "assistant":  # the rest of an opening is no opening: it needs the whole room
        room = {"max_tokens": sum(room.values()), "opening_tokens": 0}
    requests = [
        Request(
            key=journal.key(chat.name, room, chat.text(messages)),
            messages=messages,
            max_tokens=room["max_tokens"],
            typical=room["max_tokens"],
            kept={"id": problem.id},
            opening_tokens=room["opening_tokens"],
        )
        for problem, messages in zip(problems, turns)
    ]
    records = ask({path: requests}, chat, say=say)
    return [records[request.key]["reply"] for request in requests]


def packaged(arms: Iterable[str], n: int, seed: int = 0) -> pd.DataFrame:
    """The replies of the packaged reference run for these arms: at most `n` of each length."""
    table = pd.read_csv(REFERENCE / "recorder.csv", dtype={"reply": str}, keep_default_na=False)
    known = {p.id for p in tests(n)}
    return table[table.arm.isin(list(arms)) & table.seed.eq(seed) & table.problem.isin(known)].reset_index(drop=True)


def answer_of(reply: str, arm: str) -> str | None:
    """The state that a reply ends with, after its opening; None if it names none, or both."""
    learned = strategy(arm) or strategies.RECORD
    found = set(re.findall(r"\b(heads|tails)\b", learned.strip(reply)[1].lower()))
    return found.pop() if len(found) == 1 else None


def marked(replies: pd.DataFrame) -> pd.DataFrame:
    """`replies` with `answer`, `right` (0 or 1) and `true_record` (1 where each step has the true state)."""
    problems = {p.id: p for p in tests(int(replies.problem.str[-3:].astype(int).max()) + 1)}
    answers = [answer_of(line.reply, line.arm) for line in replies.itertuples()]
    gold = [problems[i] for i in replies.problem]
    opened = [strategies.RECORD.strip(reply)[0] for reply in replies.reply]
    return replies.assign(
        answer=answers,
        right=[int(a == p.answer) for a, p in zip(answers, gold)],
        true_record=[int(o == f"[{p.record()}]") for o, p in zip(opened, gold)],
    )


def table(marks: pd.DataFrame) -> pd.DataFrame:
    """Arm, people, k right of n, share, low, high (Wilson's 95 % interval; shares of 1), arms in the order of ARMS."""
    lines = []
    for arm in (a for a in ARMS if a in set(marks.arm)):
        for people, part in marks[marks.arm == arm].groupby("people"):
            k, n = int(part.right.sum()), len(part)
            lines.append((arm, people, k, n, *stats.wilson(k, n)))
    return pd.DataFrame(lines, columns=["arm", "people", "k", "n", "share", "low", "high"])


# --- cause ----------------------------------------------------------------------------------------


def edited(problem: Problem, step: int) -> str:
    """The true record up to `step` (counted from 0), in which that step has the wrong state: the bracket is open."""
    states = [*problem.states[:step], OTHER[problem.states[step]]]
    return f"[{problem.record(states)}"


def intervene(
    chat: Any, problems: Sequence[Problem], path: Path | None = None, seed: int = 0, say: Callable = print
) -> pd.DataFrame:
    """Put one wrong state into each record and let the model continue from there, through the journal at `path`.

    Columns: problem, step, reply (edited part and continuation), answer, follows (1 where the answer is the one that
    the edited record leads to), true (1 where it is still the true one).
    """
    rng, lines = random.Random(f"edits, {seed}"), []
    steps = [int(rng.random() * len(p.people)) for p in problems]
    begun = [edited(p, step) for p, step in zip(problems, steps)]
    turns = [[*user(p.question), {"role": "assistant", "content": text}] for p, text in zip(problems, begun)]
    for problem, step, text, rest in zip(problems, steps, begun, _asked(chat, problems, turns, path, say)):
        whole = f"{text}{'' if rest.startswith(']') else ' '}{rest}"
        answer = answer_of(whole, "record")
        follows = int(answer == OTHER[problem.answer])
        lines.append((problem.id, step, whole, answer, follows, int(answer == problem.answer)))
    return pd.DataFrame(lines, columns=["problem", "step", "reply", "answer", "follows", "true"])
