"""Beyond the paper (lesson 09): less data, and what the arms say to unusual questions.

The one idea: the paper's machinery is an instrument. An experiment is a function of a run: it trains or asks what is
missing and keeps every raw reply. The rules that read the replies of the last two are in robustness.py and fidelity.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import finetune, models, roles, score, stats
from ..arms import LABELS
from ..chat import LocalChat, Nobody, Request, ask, journal, user
from ..data import REFERENCE, lima
from ..errors import UserError
from ..profiles import Profile
from . import robustness

if TYPE_CHECKING:
    from ..run import Run

REPLIES = ["arm", "kind", "question_id", "reply"]  # columns of beyond.csv


def recipe(run: Run) -> Profile:
    """The profile's settings for the trainings of this lesson: short on a laptop, the full recipe on a GPU."""
    return replace(run.profile.for_experiments(), **run.profile.beyond)


def questions(settings: Profile, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows to score of each benchmark, by the profile's numbers; UserError where that is none."""
    asked = {name: rows for name, rows in score.questions(settings, names).items() if rows}
    if not asked:
        raise UserError("there is nothing to ask: name benchmarks, such as openbookqa")
    return asked


# --- (a) how much data ------------------------------------------------------------------------------


def _graded(run: Run, settings: Profile, chat: Any, arm: str, name: str, names: Sequence[str], say: Callable):
    asked = questions(settings, names)
    records = score.answer(settings, chat, asked, run.folder / "generations" / name, say)
    replies = [record["stage1"] for part in records.values() for record in part]
    return score.grade(arm, 0, asked, records).assign(reply=replies)


def curve(run: Run, sizes: Sequence[int], names: Sequence[str], say: Callable = print) -> pd.DataFrame:
    """Graded answers after `sizes` dialogues (column `dialogues`): answers.csv's columns and `reply`.

    With the short recipe one training passes over the rows once, and is asked on its way; otherwise every size is a
    full training of its own on the first so many rows. Sizes are cut to the rows there are, and in one pass rounded
    up to whole batches.
    """
    settings = recipe(run)
    rows = run.annotated(say=say)
    if not sizes or any(type(n) is not int or n < 1 for n in sizes):
        raise UserError(f"sizes {sizes!r}: give numbers of dialogues, such as 15, 30, 60, 120")
    questions(settings, names)
    batch = settings.batch_size if settings.openings_only else 1
    sizes = sorted({min(-(-n // batch) * batch, len(rows) // batch * batch or len(rows)) for n in sizes})
    if settings.openings_only:
        return _one_pass(run, settings, lima.openings(rows), sizes, names, say)
    parts = []
    for n in sizes:
        home = run.folder / "models" / f"beyond-{n}-seed0"
        finetune.finetune(settings, "role", rows[:n], home, 0, say)
        chat = score.local_chat(settings, home)
        parts.append(_graded(run, settings, chat, "role", home.name, names, say).assign(dialogues=n))
        del chat
        models.release_memory()
    return pd.concat(parts, ignore_index=True)


def _one_pass(
    run: Run, settings: Profile, rows: list[dict[str, Any]], sizes: list[int], names: Sequence[str], say: Callable
) -> pd.DataFrame:
    steps = {-(-n // settings.batch_size): n for n in sizes}
    settings = replace(settings, max_steps=max(steps), epochs=1.0)
    made_by = {k: v for k, v in settings.describe().items() if k in finetune.TRAINING}
    known_by = [made_by, rows, sizes, questions(settings, names)]  # what is asked on the way cannot be asked later
    identity = hashlib.sha256(json.dumps(known_by, sort_keys=True).encode()).hexdigest()[:12]
    home = run.folder / "models" / f"beyond-pass-{identity}-seed0"
    base = models.fingerprint(settings.model)

    def answers(n: int, model: Any = None, tokenizer: Any = None) -> pd.DataFrame:
        name = f"{base} after {n} dialogues of {identity}"
        if model is None:
            advice = f"the answers of models/{home.name} are gone: remove that folder to train and ask again"
            chat = Nobody(name, advice)
        else:
            chat = LocalChat(model, tokenizer, name, settings.generation_batch)
        part = _graded(run, settings, chat, "role", f"beyond-pass-{identity}-{n}", names, say)
        return part.assign(dialogues=n)

    def watch(step: int, model: Any, tokenizer: Any) -> None:
        if step in steps:
            merge = getattr(model, "merge_adapter", None)  # folded in for the moment, adapters cost no time
            if merge:
                merge()
            answers(steps[step], model, tokenizer)
            if merge:
                model.unmerge_adapter()

    finetune.finetune(settings, "role", rows, home, 0, say, watch=watch)
    return pd.concat([answers(n) for n in sizes], ignore_index=True)  # all of it from the journals


def curve_table(graded: pd.DataFrame) -> pd.DataFrame:
    """By number of dialogues: n, the share of well-formed role prompts and of right answers, with intervals. Shares of 1."""
    lines = []
    for size, part in graded.groupby("dialogues"):
        well = sum(roles.parse(text) is not None for text in part.role)
        role, right = stats.wilson(well, len(part)), stats.wilson(int(part.correct.sum()), len(part))
        lines.append((size, len(part), *role, *right))
    columns = ["dialogues", "n", "role", "role_low", "role_high", "right", "right_low", "right_high"]
    return pd.DataFrame(lines, columns=columns)


# --- (b) and (c): asking the arms -------------------------------------------------------------------


def replies(run: Run, asked: Mapping[str, Sequence[Mapping[str, Any]]], say: Callable = print) -> pd.DataFrame:
    """The arms' replies, columns REPLIES; `asked` names the questions ("id", "kind", "question") of each arm.

    A fresh folder of the `cpu` profile has no tuned arms: there the packaged replies of a real run stand in.
    """
    if origin(run) != "this run":
        return _packaged(asked, say)
    lines = []
    for arm, rows in asked.items():
        chat = run.chat(arm, say=say)
        texts = _ask(chat, rows, run.profile, run.folder / "beyond" / f"{arm}.jsonl", say)
        lines += [(arm, row["kind"], row["id"], text) for row, text in zip(rows, texts)]
        say(f"{arm}: {len(rows)} replies")
        del chat
        models.release_memory()
    table = pd.DataFrame(lines, columns=REPLIES)
    table.to_csv(run.folder / "beyond.csv", index=False, lineterminator="\n")
    return table


def origin(run: Run) -> str:
    """Where `replies` come from: "this run", if its arms are tuned or this profile has no packaged ones."""
    have = all((run.model_folder(arm) / "manifest.json").is_file() for arm in finetune.ARMS)
    return "this run" if have or run.profile.name != "cpu" else "the packaged reference run"


def _ask(chat: Any, rows: Sequence[Mapping[str, Any]], profile: Profile, path: Path, say: Callable) -> list[str]:
    """The reply to every question, asked only where the journal has none."""
    room, opening = profile.stage1_tokens, profile.opening_tokens
    params = {"max_tokens": room} | ({"opening_tokens": opening} if opening else {})
    keys = [journal.key(chat.name, params, row["question"]) for row in rows]
    requests = [
        Request(key, user(row["question"]), room, room, {"id": row["id"]}, opening_tokens=opening)
        for key, row in zip(keys, rows)
    ]
    records = ask({path: requests}, chat, say=say)
    return [records[key]["reply"] for key in keys]


def _packaged(asked: Mapping[str, Sequence[Mapping[str, Any]]], say: Callable) -> pd.DataFrame:
    table = read_csv(REFERENCE / "beyond.csv")
    wanted = {(arm, row["id"]) for arm, rows in asked.items() for row in rows}
    if unknown := len(wanted - set(zip(table.arm, table.question_id))):
        say(f"{unknown} of {len(wanted)} questions have no packaged reply: tune the arms (lesson 02) to ask them")
    return table[[pair in wanted for pair in zip(table.arm, table.question_id)]].reset_index(drop=True)


def read_csv(path: Path) -> pd.DataFrame:
    """beyond.csv: raw replies, one line each; an empty reply is an empty text."""
    if not path.is_file():
        raise UserError(f"no {path.name} in this run yet: run lesson 09")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


# --- what the lesson concludes ----------------------------------------------------------------------


def finding(sizes: pd.DataFrame, robust: pd.DataFrame, fidelity: pd.DataFrame, source: str) -> list[str]:
    """The results of `curve_table` and of the two tables of robustness.py and fidelity.py in a sentence each.

    `source` says whose replies (b) and (c) read; what was not asked there is left out.
    """
    rates = ", ".join(f"{line.role:.0%} after {line.dialogues}".replace("%", " %") for line in sizes.itertuples())
    found = [
        f"Well-formed role prompts by number of dialogues: {rates} ({sizes.n.iloc[0]} questions each).",
    ]
    sums = robust.groupby("measure")[["k", "n"]].sum()
    parts = []
    if n := sums.n["well-formed"]:
        parts.append(
            f"LIMA-Role kept its form in {sums.k['well-formed']} of {n} odd questions, leaked it in {sums.k['leaks']}"
        )
    scores = fidelity.groupby("arm", sort=False)[["n", "+1", "-1"]].sum()
    means = [
        f"{LABELS[arm]} {(line['+1'] - line['-1']) / line.n:+.2f} ({line.n} questions)"
        for arm, line in scores.iterrows()
        if line.n
    ]
    if means:
        parts.append(f"mean role fidelity by rule, −1 to +1: {', '.join(means)}")
    return found + ([f"By the replies of {source}: {'; '.join(parts)}."] if parts else [])


def gaps(replies: pd.DataFrame, asked: Mapping[str, Sequence[Any]]) -> list[str]:
    """What these replies cannot show, a sentence each: of an arm without any, with empty ones, or without roles."""
    found = []
    for arm in asked:
        name, said = LABELS[arm], replies[replies.arm == arm].reply
        if said.empty:
            found.append(f"no replies of {name}: nothing is said of it, and no arm is compared with it")
        elif not any(map(str.strip, said)):
            found.append(f"all {len(said)} replies of {name} are empty: its scores of 0 are no answers")
        elif arm == "role" and not any(roles.parse(roles.strip(text)[0]) for text in said):
            found.append(f"no reply of {name} opens with a well-formed role: which role fits cannot be judged")
    return found


def cannot_say(
    replies: pd.DataFrame, asked: Mapping[str, Sequence[Any]], sizes: pd.DataFrame, agree: stats.Interval
) -> list[str]:
    """What the lesson's results cannot show. `agree`: how often the fidelity rule gives a reader's score."""
    found = [f"one seed and {sizes.n.iloc[0]} questions a point: no law of how a form grows with the data"]
    found += gaps(replies, asked)
    unsafe = replies[(replies.arm == "base") & (replies.kind == "unsafe")].reply
    if len(unsafe) and not any(map(robustness.refuses, unsafe)):
        found.append(f"the base model refused none of {len(unsafe)} unsafe requests: tuning had nothing to wear off")
    known = not math.isnan(agree.estimate)
    trust = f"only {100 * agree.estimate:.0f} % of the labelled replies" if known else "nobody knows how many replies"
    return [*found, f"the fidelity rule gives {trust} a reader's score: small differences between arms mean nothing"]
