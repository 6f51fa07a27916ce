"""How much of a score comes from the reading: the same replies read again, the same questions asked again, the same
study repeated.

None of the three changes the model. If a difference between two arms moves with them, it is not in the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import benchmarks, models, roles, stats
from ..arms import ARMS, TUNED
from ..chat import LocalChat, journal
from ..chat.asking import Record
from ..profiles import Profile
from . import asking

READINGS = {  # title -> (stage that is read, rule, whether the role prompt is stripped first)
    "stage 2, declared": ("stage2", "declared", True),
    "stage 2, kojima": ("stage2", "kojima", True),
    "stage 1 only, kojima": ("stage1", "kojima", True),
    "stage 1 only, kojima, role prompt left in": ("stage1", "kojima", False),
}

# gpt-3.5's replies of July 2023, published by Kong et al. (2308.07702; my_log/ of NKU-HLT/Role-Play-Prompting at
# 43e73ed), counted with their rule: n, right, unparsed. `kojima` gives the same counts on all 7,760 of them.
KONG = pd.DataFrame(
    [
        ("date", "zero-shot", 369, 250, 45),
        ("date", "role-play", 369, 258, 8),
        ("commonsense_qa", "zero-shot", 1221, 910, 30),
        ("commonsense_qa", "role-play", 1221, 943, 3),
        ("strategyqa", "zero-shot", 2290, 1512, 142),
        ("strategyqa", "role-play", 2290, 1534, 100),
    ],
    columns=["benchmark", "prompt", "n", "correct", "unparsed"],
)

Asked = Sequence[tuple[str, dict[str, Any]]]  # (benchmark, row)


# --- the same replies, read again ----------------------------------------------------------------


def replies(answers: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """`answers` with the raw "stage1" and "stage2" of each, from the journals of the run in `folder`.

    An answer without a record there (the packaged reference run has none) is left out.
    """
    identity = ["arm", "seed", "benchmark", "question_id"]
    records = []
    for arm, seed, name in answers[identity[:3]].drop_duplicates().itertuples(index=False):
        for record in journal.read(asking.generations(folder, arm, seed) / f"{name}.jsonl"):
            texts = (record["question_id"], record["stage1"], record.get("stage2"))
            records.append((arm, seed, name, *texts))
    texts = pd.DataFrame(records, columns=[*identity, "stage1", "stage2"]).drop_duplicates(
        identity
    )  # a finished journal begins with what was scored last
    return answers.merge(texts, on=identity)


def read(record: dict[str, Any], row: dict[str, Any], stage: str, rule: str, strip: bool = True) -> str | None:
    """The answer that is found in one reply (a line of `replies`) by this stage and rule."""
    text = record[stage] if isinstance(record[stage], str) else record["stage1"]  # there was one stage only
    text = roles.strip(text)[1] if strip else text
    return benchmarks.get(record["benchmark"]).extract(text, rule, row)


def readings(replies: pd.DataFrame, rows: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """One line of READINGS each: accuracy by arm, their difference, unparsed shares of both tuned arms, in 0..1.

    Programs (HumanEval) are left out: reading one again means running it again. So is base in its own template.
    """
    by_id, records = _readable(replies, rows, ARMS)
    arms, lines = [r["arm"] for r in records], []
    for title, how in READINGS.items():
        said = [read(record, by_id[record["question_id"]], *how) for record in records]
        right = pd.Series([s == r["gold"] for s, r in zip(said, records)], dtype=float).groupby(arms).mean()
        unparsed = pd.Series([s is None for s in said], dtype=float).groupby(arms).mean()
        right, unparsed = right.reindex(ARMS), unparsed.reindex(TUNED)
        difference = {"role - lima": right["role"] - right["lima"]}
        lines.append(
            {"reading": title, "replies": len(said), **right, **difference, **unparsed.add_prefix("unparsed ")}
        )
    return pd.DataFrame(lines)


def limits(replies: pd.DataFrame, rows: dict[str, list[dict[str, Any]]], tokenizer: Any, limit: int) -> pd.DataFrame:
    """The same replies of both tuned arms, whole and cut to `limit` tokens in all, role prompt included.

    Index (room, arm); columns n, answer (mean words after the role prompt), empty, unparsed, correct (shares of 1), as
    stage 1 is read by the rule "kojima": what stage 2 said came after the whole reply. No model is asked.
    """
    by_id, records = _readable(replies, rows, TUNED)
    lines = []
    for room, most in (("the answer's own", None), (f"{limit} in all", limit)):
        for record in records:
            text = tokenizer.decode(tokenizer(record["stage1"], add_special_tokens=False).input_ids[:most])
            left = roles.strip(text)[1]
            said = read(record | {"stage1": text}, by_id[record["question_id"]], "stage1", "kojima")
            marks = (len(left.split()), not left, said is None, said == record["gold"])
            lines.append((room, record["arm"], 1, *map(float, marks)))
    table = pd.DataFrame(lines, columns=["room", "arm", "n", "answer", "empty", "unparsed", "correct"])
    by = table.groupby(["room", "arm"], sort=False)
    return by.mean().assign(n=by.n.sum())


def _readable(replies: pd.DataFrame, rows: dict[str, list[dict[str, Any]]], arms: Sequence[str]) -> tuple[dict, list]:
    """(question by id, the replies of these arms that can be read again without running a program)."""
    by_id = {row["question_id"]: row for own in rows.values() for row in own}
    own = replies[replies.arm.isin(arms) & replies.question_id.isin(by_id)].to_dict("records")
    return by_id, [record for record in own if benchmarks.get(record["benchmark"]).STAGE2]


def carried(answers: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """What carries the pooled difference of both tuned arms: a line a benchmark (`stats.matched`), then all pooled.

    n, gained, lost, p; `points`: what the benchmark adds to the pooled difference; `without`: the pooled difference
    without it (both shares of 1); verdict. One that no arm answered is left out.
    """
    grids = {}
    for name in names:
        part = answers[answers.benchmark == name]
        by_arm = [part[part.arm == arm].pivot(index="seed", columns="question_id", values="correct") for arm in TUNED]
        first, second = by_arm[0].align(by_arm[1], join="inner")
        if first.size:
            grids[name] = (first.to_numpy(), second.to_numpy())
    n = sum(first.shape[1] for first, _ in grids.values())
    net = {name: (second - first).mean(0).sum() for name, (first, second) in grids.items()}
    lines = {}
    for name, (first, second) in grids.items():
        own, rest = stats.matched(first, second), n - first.shape[1]
        without = (sum(net.values()) - net[name]) / rest if rest else float("nan")
        lines[name] = (own.n, own.gained, own.lost, own.p, net[name] / n, without, own.verdict)
    if grids:
        both = stats.matched(*(np.concatenate(part, axis=1) for part in zip(*grids.values())))
        lines["all of them"] = (*both[:4], both.difference.estimate, float("nan"), both.verdict)
    columns = ["n", "gained", "lost", "p", "points", "without", "verdict"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


# --- the same questions, asked again -------------------------------------------------------------


def ask_again(
    profile: Profile, few: Asked, dtype: str, sizes: Sequence[int] = (1, 16), tokens: int = 16, then_tokens: int = 6
) -> dict[tuple[str, int], list[Record]]:
    """(dtype, batch size) -> the replies of the profile's model to a few questions, loaded in this number format.

    `tokens`: generated in stage 1, at most, and never more than the profile's limit. A record holds "stage1", "stage2".
    """
    model, tokenizer = models.load(profile, dtype=dtype)
    settings = replace(profile, stage1_tokens=min(tokens, profile.stage1_tokens), stage2_tokens=then_tokens)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, row in few:
        rows.setdefault(name, []).append(row)
    replies = {}
    for size in sizes:
        found = asking.answer(settings, LocalChat(model, tokenizer, profile.model, size), rows, None, say=_silent)
        records = {name: iter(own) for name, own in found.items()}
        replies[dtype, size] = [next(records[name]) for name, _ in few]
    return replies


def _silent(*_: Any) -> None:
    """Nothing is said of a handful of answers."""


def flips(few: Asked, first: Sequence[Record], second: Sequence[Record]) -> dict[str, Any]:
    """How many of the same questions got another text, another answer; the latter's share with its 95 % interval."""

    def answer(name: str, row: dict[str, Any], record: Record) -> str | None:
        b = benchmarks.get(name)
        return b.extract(record["stage2"] if b.STAGE2 else record["stage1"], "declared", row)

    texts = sum(any(a[s] != b[s] for s in ("stage1", "stage2")) for a, b in zip(first, second, strict=True))
    answers = sum(answer(*asked, a) != answer(*asked, b) for asked, a, b in zip(few, first, second))
    share = stats.wilson(answers, len(few))
    return {"n": len(few), "other text": texts, "other answer": answers, "low": share.low, "high": share.high}


# --- the same study, repeated --------------------------------------------------------------------


def repeat(n: int, gain: float, apart: float, times: int = 4_000, seed: int = 0) -> pd.DataFrame:
    """Simulated studies of n questions in which arm b is truly better than arm a by `gain`, a share of 1.

    `apart`: the share of questions on which exactly one of them is right. Columns n, difference, low, high (the
    paired 95 % interval, normal approximation), one line a study.
    """
    if not abs(gain) <= apart <= 1:
        raise ValueError(f"arms that differ by {gain} must differ on at least so many questions, found {apart}")
    dice = np.random.default_rng([seed, n])
    wins, losses, _ = dice.multinomial(n, [(apart + gain) / 2, (apart - gain) / 2, 1 - apart], size=times).T
    difference = (wins - losses) / n
    reach = 1.96 * np.sqrt(((wins + losses) / n - difference**2) / n)
    return pd.DataFrame({"n": n, "difference": difference, "low": difference - reach, "high": difference + reach})
