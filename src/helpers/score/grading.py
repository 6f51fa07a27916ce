"""From replies to scores: each reply is marked, and the marks become a table with n and intervals.

Before anything is read as an answer the role prompt is stripped, because "[... From now on, I will think like a
chemist ...]" is full of capital letters that look like options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from .. import benchmarks, paper, stats, strategies
from ..arms import SCORED
from ..chat import money
from ..errors import UserError
from ..profiles import Profile
from .asking import answer, generations, questions

SCORES = ["arm", "seed", "benchmark", "n", "correct", "accuracy", "unparsed", "low", "high", "random"]
SCORES += ["kojima", "kojima_unparsed", "tokens", "opening", "empty", "cut"]
ANSWERS = ["arm", "seed", "benchmark", "question_id", "group", "prediction", "gold", "correct", "role"]
ANSWERS += ["kojima", "kojima_correct", "tokens", "opening", "empty", "finish"]
CUT = ("length", "too long")  # finishes of an answer that the limit ended, or of a prompt longer than the context


# --- marking ------------------------------------------------------------------------------------


def grade(arm: str, seed: int, rows: dict[str, list], records: dict[str, list]) -> pd.DataFrame:
    """One line an answer, columns ANSWERS. A prediction is empty where its rule found no answer.

    `prediction` and `correct` are by the rule "declared", `kojima` and `kojima_correct` by the paper's.
    `tokens`: generated in stage 1, `opening`: those of them that belong to the role prompt; `empty`: 1 if nothing
    follows it; `finish`: "stop", "length", "too long" (the prompt), or a server's own reason.
    """
    lines = []
    for name, benchmark_rows in rows.items():
        for row, record in zip(benchmark_rows, records[name], strict=True):
            role, free = strategies.strip(record["stage1"], arm)
            two_stages = benchmarks.get(name).STAGE2 and record["stage2"] is not None
            text = strategies.strip(record["stage2"], arm)[1] if two_stages else free
            (prediction, correct), (first, first_correct) = _marks(name, row, text)
            known = (arm, seed, name, row["question_id"], benchmarks.get(name).group(row))
            contract = (prediction, benchmarks.get(name).gold(row), correct, role)
            size = (record["tokens"][1], record.get("opening", 0), int(not free))
            lines.append((*known, *contract, first, first_correct, *size, record["finish"]))
    return pd.DataFrame(lines, columns=ANSWERS)


def _marks(name: str, row: dict[str, Any], text: str) -> list[tuple[str | None, int]]:
    """(what is found, 1 if it is right) by the rule "declared", then by "kojima". Code is shown as "code"."""
    found, marks = {}, []
    for rule in ("declared", "kojima"):
        answer = benchmarks.get(name).extract(text, rule, row)
        if answer is not None and answer not in found:  # code that both rules find runs once
            found[answer] = int(benchmarks.get(name).correct(row, text, rule))
        marks.append(("code" if name == "humaneval" and answer else answer, found.get(answer, 0)))
    return marks


def table(answers: pd.DataFrame, rows: dict[str, list]) -> pd.DataFrame:
    """Scores with n, Wilson's 95 % interval, unparsed replies and the score of random guessing; columns SCORES.

    `kojima` is the accuracy by the paper's rule, `tokens` the mean that stage 1 generated, `opening` the mean of those
    in the role prompt, `empty` the number of replies without an answer after it, `cut` the share of answers that the
    limit cut, or whose prompt was longer than the model's context.
    """
    lines = []
    for (arm, seed, name), part in answers.groupby(["arm", "seed", "benchmark"], sort=False):
        n, k = len(part), int(part.correct.sum())
        share = stats.wilson(k, n)
        chance = sum(map(benchmarks.get(name).chance, rows[name])) / n
        unparsed, kojima_unparsed = (int(part[rule].isna().sum()) for rule in ("prediction", "kojima"))
        shares = (share.low, share.high, chance, part.kojima_correct.mean())
        low, high, chance, kojima = (round(float(value), 4) for value in shares)
        known = (arm, seed, name, n, k, round(share.estimate, 4), unparsed, low, high, chance)
        cut = round(float(part.finish.isin(CUT).mean()), 4)
        tokens, opening = (round(float(part[column].mean()), 1) for column in ("tokens", "opening"))
        lines.append((*known, kojima, kojima_unparsed, tokens, opening, int(part["empty"].sum()), cut))
    return pd.DataFrame(lines, columns=SCORES)


def score(
    profile: Profile,
    chat: Any,
    out: Path,
    arm: str,
    seed: int = 0,
    names: Sequence[str] | None = None,
    limit: int | None = None,
    say: Callable = print,
    approve: Callable[[money.Bill], None] | None = None,
) -> pd.DataFrame:
    """Answer, grade and tabulate one arm; scores.csv and answers.csv in `out` gain (or replace) its lines."""
    rows = questions(profile, list(names or benchmarks.BENCHMARKS), limit)
    say(f"{arm}-seed{seed}: {sum(map(len, rows.values())):,} questions of {len(rows)} benchmarks")
    records = answer(profile, chat, rows, generations(out, arm, seed), say, approve)
    answers = grade(arm, seed, rows, records)
    scores = table(answers, rows)
    _merge(out / "answers.csv", answers)
    _merge(out / "scores.csv", scores)
    return scores


BASELINES = {"gpt-3.5": "ChatGPT", "llama-2-7b-chat": "Llama-Chat", "mistral-7b-instruct": "Mistral-Instruct"}


def paper_row(arm: str, profile: Profile) -> str | None:
    """The row of the paper's Table 1 to print beside an arm: Mistral's, or Llama's where that is the profile's model."""
    if known := [row for start, row in BASELINES.items() if arm.lower().startswith(start)]:
        return known[0]
    row = paper.ARM_ROWS.get(arm)
    if row and "llama" in profile.model.lower():
        return "Llama-Chat" if arm == "base" else row.replace("Mistral", "Llama")
    return row


def shown(scores: pd.DataFrame, profile: Profile) -> str:
    """The scores of one arm as a table for people, in percent, with the paper's row beside them where it has one."""
    beside = paper_row(scores.arm.iloc[0], profile)
    percent = {
        c: (100 * scores[c]).map("{:.1f}".format) for c in ("accuracy", "low", "high", "kojima", "cut", "random")
    }
    table = pd.DataFrame(
        {
            "benchmark": scores.benchmark,
            "n": scores.n,
            "accuracy": percent["accuracy"],
            "95 %": "[" + percent["low"] + ", " + percent["high"] + "]",
            "unparsed": scores.unparsed,
            "kojima": percent["kojima"],
            "unparsed ": scores.kojima_unparsed,
            "opening": scores.opening,  # mean tokens
            "answer": (scores.tokens - scores.opening).round(1),
            "empty": scores["empty"],
            "cut": percent["cut"],
            "random": percent["random"],
        }
    )
    if beside:  # the paper has no row of an untuned 7B model, none of a small one: the name says whose it is
        table[f"paper: {beside}"] = scores.benchmark.map(paper.TABLE1[beside])
    return table.to_string(index=False)


def _merge(path: Path, new: pd.DataFrame) -> None:
    """Replace the lines of the same arm, seed and benchmark, keep the others, in a fixed order; all or nothing."""
    identity = ["arm", "seed", "benchmark"]
    with FileLock(path.with_suffix(".lock")):  # two arms may be scored at once, each on a GPU
        if path.is_file():
            old = read_csv(path)
            replaced = set(new[identity].itertuples(index=False, name=None))
            kept = [t not in replaced for t in old[identity].itertuples(index=False, name=None)]
            new = pd.concat([old[kept], new], ignore_index=True) if any(kept) else new
        order = {n: i for i, n in enumerate([*SCORED, *benchmarks.BENCHMARKS])}
        ranked = new.assign(_arm=new.arm.map(order).fillna(len(SCORED)), _benchmark=new.benchmark.map(order))
        ranked = ranked.sort_values(["_arm", "arm", "seed", "_benchmark"], kind="stable")  # baselines after our arms
        temporary = path.with_suffix(".csv.tmp")
        ranked[new.columns].to_csv(temporary, index=False, lineterminator="\n")
        temporary.replace(path)


def read_csv(path: Path) -> pd.DataFrame:
    """scores.csv or answers.csv, predictions and gold answers as text. Columns that an older file lacks are empty."""
    if not path.is_file():
        raise UserError(f"no {path.name} in this run yet: run lesson 03, or python -m helpers score")
    try:
        scores = "accuracy" in pd.read_csv(path, nrows=0).columns
        return _columns(path, scores)
    except (ValueError, KeyError) as error:  # pandas has many, all of them one of these
        reason = str(error).strip().splitlines()[0][:100]
        raise UserError(f"{path.name} is damaged ({reason}): remove it and score again") from None


def _columns(path: Path, scores: bool) -> pd.DataFrame:
    text = ("prediction", "gold", "role", "question_id", "finish", *(() if scores else ("kojima",)))
    frame = pd.read_csv(path, dtype=dict.fromkeys(text, "string"), float_precision="round_trip")
    if lacking := [c for c in ("arm", "seed", "benchmark") if c not in frame]:
        raise ValueError(f"no column {lacking[0]!r}")
    for column in (c for c in (SCORES if scores else ANSWERS) if c not in frame):
        frame[column] = pd.Series(pd.NA, index=frame.index, dtype="string" if column in text else "Float64")
    for column in ("kojima_unparsed", "empty") if scores else ("kojima_correct", "tokens", "opening", "empty"):
        if frame[column].isna().any():  # pandas would turn whole numbers beside a gap into 3.0
            frame[column] = frame[column].astype("Int64")
    return frame
