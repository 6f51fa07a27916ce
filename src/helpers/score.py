"""Score a model on the benchmarks: stage 1 the free answer, stage 2 "Therefore, ... the answer is".

The protocol is Kojima et al.'s, as the paper says (section 4.2): zero-shot, greedy. Stage 2 continues
the assistant's own turn. Before anything is read as an answer the role prompt is stripped, because
"[... From now on, I will think like a chemist ...]" is full of capital letters that look like options.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from . import benchmarks, journal, models, roles, sandbox, stats
from .chat import LocalChat, frame, user
from .data import source_for
from .errors import UserError
from .profiles import Profile

ARMS = ("base", "lima", "role")
SCORES = ["arm", "seed", "benchmark", "n", "correct", "accuracy", "unparsed", "low", "high", "random"]
SCORES += ["kojima", "kojima_unparsed", "tokens", "cut"]
ANSWERS = ["arm", "seed", "benchmark", "question_id", "group", "prediction", "gold", "correct", "role"]
ANSWERS += ["kojima", "kojima_correct", "tokens", "finish"]
CUT = ("length", "too long")  # finishes of an answer that the limit ended, or of a prompt longer than the context


def local_chat(profile: Profile, name: str | Path | None = None) -> LocalChat:
    """A model in this process, named by its weights (so that a journal never mixes two models)."""
    name = str(name or profile.model)
    model, tokenizer = models.load(profile, name)
    return LocalChat(model, tokenizer, models.fingerprint(name), profile.generation_batch)


def arm_of(model: str) -> tuple[str, int]:
    """(arm, seed) of a model folder that finetune wrote; any other model is ("base", 0)."""
    manifest = Path(model) / "manifest.json"
    if not manifest.is_file():
        return "base", 0
    made = json.loads(manifest.read_text())
    return made["arm"], made["seed"]


def questions(profile: Profile, names: Sequence[str], limit: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rows to score of each benchmark: `limit` of them, else the profile's number, else all.

    HumanEval is left out where no sandbox works: model-written code runs nowhere else.
    """
    source = source_for(profile.source)
    rows = {}
    for name in names:
        if name == "humaneval" and sandbox.available() is None:
            print("humaneval is left out: no sandbox on this machine (on Linux, install bubblewrap)")
            continue
        wanted = profile.questions.get(name) if limit is None else limit
        rows[name] = benchmarks.get(name).rows(source, wanted)
    return rows


def answer(
    profile: Profile, chat: Any, rows: dict[str, list[dict[str, Any]]], folder: Path, say=print
) -> dict[str, list[dict[str, Any]]]:
    """Ask every question through the journals in `folder` (one a benchmark); the records in the order of `rows`."""
    import time

    with ExitStack() as stack:
        journals = {n: stack.enter_context(journal.Journal(folder / f"{n}.jsonl")) for n in rows}
        keys, pending = {}, []
        for name, benchmark_rows in rows.items():
            trigger = benchmarks.get(name).STAGE2
            params = {"stage1_tokens": profile.stage1_tokens, "stage2_tokens": profile.stage2_tokens, "stage2": trigger}
            keys[name] = []
            for row in benchmark_rows:
                prompt = benchmarks.get(name).question(row)
                k = journal.key(chat.name, params, prompt)
                keys[name].append(k)
                if journals[name].get(k) is None:
                    pending.append((name, row["question_id"], prompt, trigger, k))
        began = time.time()
        completions = chat.complete(
            [user(prompt) for _, _, prompt, _, _ in pending],
            profile.stage1_tokens,
            then=lambda i, reply: pending[i][3],
            then_tokens=profile.stage2_tokens,
        )
        for done, (i, c) in enumerate(completions, 1):
            name, question_id, prompt, _, k = pending[i]
            journals[name].add(
                {
                    "key": k,
                    "question_id": question_id,
                    "prompt": frame(user(prompt)),
                    "stage1": c.text,
                    "stage2": c.continued,
                    "finish": c.finish,
                    "tokens": [c.prompt_tokens, c.tokens],
                }
            )
            if done % 50 == 0 or done == len(pending):
                rate = done / (time.time() - began)
                say(f"  {done}/{len(pending)} questions, {rate:.1f}/s, {(len(pending) - done) / rate:.0f} s left")
        for name in rows:
            journals[name].sort(keys[name])
        return {name: [journals[name].get(k) for k in keys[name]] for name in rows}


def grade(arm: str, seed: int, rows: dict[str, list], records: dict[str, list]) -> pd.DataFrame:
    """One line an answer, columns ANSWERS. A prediction is empty where its rule found no answer.

    `prediction` and `correct` are by the rule "declared", `kojima` and `kojima_correct` by the paper's.
    `tokens`: generated in stage 1; `finish`: "stop", "length", "too long" (the prompt), or a server's own reason.
    """
    lines = []
    for name, benchmark_rows in rows.items():
        for row, record in zip(benchmark_rows, records[name], strict=True):
            role, free = roles.strip(record["stage1"])
            text = roles.strip(record["stage2"])[1] if benchmarks.get(name).STAGE2 else free
            (prediction, correct), (first, first_correct) = _marks(name, row, text)
            known = (arm, seed, name, row["question_id"], benchmarks.get(name).group(row))
            contract = (prediction, benchmarks.get(name).gold(row), correct, role)
            lines.append((*known, *contract, first, first_correct, record["tokens"][1], record["finish"]))
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

    `kojima` is the accuracy by the paper's rule, `tokens` the mean that stage 1 generated, `cut` the share of
    answers that the limit cut, or whose prompt was longer than the model's context.
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
        lines.append((*known, kojima, kojima_unparsed, round(float(part.tokens.mean()), 1), cut))
    return pd.DataFrame(lines, columns=SCORES)


def score(
    profile: Profile,
    chat: Any,
    out: Path,
    arm: str,
    seed: int = 0,
    names: Sequence[str] | None = None,
    limit: int | None = None,
    say=print,
) -> pd.DataFrame:
    """Answer, grade and tabulate one arm; scores.csv and answers.csv in `out` gain (or replace) its lines."""
    names = list(names or benchmarks.BENCHMARKS)
    rows = questions(profile, names, limit)
    say(f"{arm}-seed{seed}: {sum(map(len, rows.values()))} questions of {len(rows)} benchmarks")
    records = answer(profile, chat, rows, out / "generations" / f"{arm}-seed{seed}", say)
    answers = grade(arm, seed, rows, records)
    scores = table(answers, rows)
    _merge(out / "answers.csv", answers)
    _merge(out / "scores.csv", scores)
    return scores


def _merge(path: Path, new: pd.DataFrame) -> None:
    """Replace the lines of the same arm, seed and benchmark, keep the others, in a fixed order; all or nothing."""
    identity = ["arm", "seed", "benchmark"]
    if path.is_file():
        old = read_csv(path)
        replaced = set(new[identity].itertuples(index=False, name=None))
        kept = [t not in replaced for t in old[identity].itertuples(index=False, name=None)]
        new = pd.concat([old[kept], new], ignore_index=True) if any(kept) else new
    order = {n: i for i, n in enumerate([*ARMS, *benchmarks.BENCHMARKS])}
    by = [new.arm.map(order).fillna(99), new.seed, new.benchmark.map(order)]
    ranked = new.assign(_a=by[0], _s=by[1], _b=by[2]).sort_values(["_a", "_s", "_b"], kind="stable")
    temporary = path.with_suffix(".csv.tmp")
    ranked[new.columns].to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_csv(path: Path) -> pd.DataFrame:
    """scores.csv or answers.csv, predictions and gold answers as text. Columns that an older file lacks are empty."""
    if not path.is_file():
        raise UserError(f"no {path.name} in this run yet: run lesson 03, or python -m helpers score")
    scores = "accuracy" in pd.read_csv(path, nrows=0).columns
    text = ("prediction", "gold", "role", "question_id", "finish", *(() if scores else ("kojima",)))
    frame = pd.read_csv(path, dtype=dict.fromkeys(text, "string"), float_precision="round_trip")
    for column in (c for c in (SCORES if scores else ANSWERS) if c not in frame):
        frame[column] = pd.Series(pd.NA, index=frame.index, dtype="string" if column in text else "Float64")
    for column in ("kojima_unparsed",) if scores else ("kojima_correct", "tokens"):
        if frame[column].isna().any():  # pandas would turn whole numbers beside a gap into 3.0
            frame[column] = frame[column].astype("Int64")
    return frame
