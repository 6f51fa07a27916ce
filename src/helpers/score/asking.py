"""Score a model on the benchmarks: stage 1 the free answer, stage 2 "Therefore, ... the answer is".

The protocol is Kojima et al.'s, as the paper says (section 4.2): zero-shot, greedy. Before anything is read
as an answer the role prompt is stripped, because "[... From now on, I will think like a chemist ...]" is full
of capital letters that look like options. What the paper leaves open is a setting (`profile.stage2`):

continue   stage 2 goes on in the assistant's own turn, the literal reading of Kojima et al.
turn       stage 2 is a new user turn, as in Kong et al.'s code for ChatGPT, and all that a chat server can do
none       one stage: the free answer itself is read
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from .. import benchmarks, paper, stats, strategies
from ..arms import ARMS
from ..benchmarks import sandbox
from ..chat import Completion, EndpointChat, Messages, frame, journal, money, told, user
from ..data import source_for
from ..errors import UserError
from ..profiles import Profile

SCORES = ["arm", "seed", "benchmark", "n", "correct", "accuracy", "unparsed", "low", "high", "random"]
SCORES += ["kojima", "kojima_unparsed", "tokens", "cut"]
ANSWERS = ["arm", "seed", "benchmark", "question_id", "group", "prediction", "gold", "correct", "role"]
ANSWERS += ["kojima", "kojima_correct", "tokens", "finish"]
TYPICAL_REPLY = 150  # tokens of stage 1, for a bill: what ChatGPT writes to a question with options
CUT = ("length", "too long")  # finishes of an answer that the limit ended, or of a prompt longer than the context


def arm_of(model: str, profile: Profile | None = None) -> tuple[str, int]:
    """(arm, seed) by which a model's lines are told apart: of a folder that finetune wrote, those of its manifest.

    The profile's own model is the arm "base", any other the last part of its name: "Mistral-7B-Instruct-v0.2". A
    server's name such as "role-seed2" is read as arm and seed.
    """
    manifest = Path(model) / "manifest.json"
    if manifest.is_file():
        made = json.loads(manifest.read_text())
        return made["arm"], made["seed"]
    short = re.sub(r"[^\w.+-]", "-", Path(model).name)
    if profile and short == Path(profile.model).name:
        return "base", 0
    seeded = re.fullmatch(r"(.+)-seed(\d+)", short)
    return (seeded[1], int(seeded[2])) if seeded else (short, 0)


def questions(profile: Profile, names: Sequence[str], limit: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rows to score of each benchmark: `limit` of them, else the profile's number, else all.

    HumanEval is left out where no sandbox works and nobody said `--unsandboxed`: see `sandbox.py`.
    """
    source = source_for(profile.source)
    rows = {}
    for name in names:
        if name == "humaneval" and not sandbox.permitted():
            print("humaneval is left out: no sandbox on this machine (on Linux, install bubblewrap; or --unsandboxed)")
            continue
        wanted = profile.questions.get(name) if limit is None else limit
        rows[name] = benchmarks.get(name).rows(source, wanted)
    return rows


# --- asking -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    benchmark: str
    id: str
    text: str
    trigger: str | None  # with which stage 2 begins; None: one stage
    key: str  # of its answer in the journal


def protocol(profile: Profile, chat: Any) -> str:
    """The stage 2 that is possible: a server that is asked through its chat template cannot go on in its own turn."""
    framed = getattr(chat, "prompt", "frame") == "frame"
    if framed and profile.stage2 == "turn" and isinstance(chat, EndpointChat):
        raise UserError(
            "only the model's tokenizer knows how a turn ends: on a server, use --prompt chat for two turns"
        )
    return "turn" if profile.stage2 == "continue" and not framed else profile.stage2


def asked(profile: Profile, chat: Any, rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[Question]]:
    """What `answer` asks for these rows. The key of an answer holds the model and all that could change the answer."""
    stage2 = protocol(profile, chat)
    template = {} if getattr(chat, "prompt", "frame") == "frame" else {"prompt": chat.prompt}
    every: dict[str, list[Question]] = {}
    for name, benchmark_rows in rows.items():
        trigger = None if stage2 == "none" else benchmarks.get(name).STAGE2
        params = {"stage1_tokens": profile.stage1_tokens, "stage2_tokens": profile.stage2_tokens, "stage2": trigger}
        params |= template | ({"turn": True} if trigger and stage2 == "turn" else {})
        texts = [benchmarks.get(name).question(row) for row in benchmark_rows]
        every[name] = [
            Question(name, row["question_id"], text, trigger, journal.key(chat.name, params, text))
            for row, text in zip(benchmark_rows, texts)
        ]
    return every


def plan(profile: Profile, chat: EndpointChat, rows: dict[str, list[dict[str, Any]]], folder: Path) -> money.Bill:
    """The bill of `answer` with the same arguments. Asks nobody and writes nothing."""
    known = {name: {r["key"]: r for r in journal.read(folder / f"{name}.jsonl")} for name in rows}
    return _bill(profile, chat, *_missing(asked(profile, chat, rows), known), known)


def answer(
    profile: Profile,
    chat: Any,
    rows: dict[str, list[dict[str, Any]]],
    folder: Path,
    say: Callable = print,
    approve: Callable[[money.Bill], None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Ask every question through the journals in `folder` (one a benchmark); the records in the order of `rows`.

    A server's price is told before the first call; `approve` is shown the bill and raises to stop there. With
    stage 2 as a turn, an answer is in the journal after its first stage, and completed by the second.
    """
    _same_model(folder, chat.name)
    every = asked(profile, chat, rows)
    with ExitStack() as stack:
        journals = {n: stack.enter_context(journal.Journal(folder / f"{n}.jsonl")) for n in rows}
        first, second = _missing(every, journals)
        if first or second:
            remote = isinstance(chat, EndpointChat)
            if remote:
                bill = _bill(profile, chat, first, second, journals)
                say(bill)
                if approve:
                    approve(bill)
            for q, record in _ask(profile, chat, first, second, journals, say):
                _note_model(folder, chat.name)
                journals[q.benchmark].add(record)
            if remote:
                say(f"asked {chat.name}: {chat.meter}")
        for name in rows:
            journals[name].sort(q.key for q in every[name])
        return {name: [journals[name].get(q.key) for q in every[name]] for name in rows}


def _missing(every: dict[str, list[Question]], known: dict[str, Any]) -> tuple[list[Question], list[Question]]:
    """Questions without an answer, and those whose answer lacks its second stage; each once."""
    once = {q.key: q for questions in every.values() for q in questions}
    records = {k: known[q.benchmark].get(k) for k, q in once.items()}
    unanswered = [q for k, q in once.items() if records[k] is None]
    return unanswered, [q for k, q in once.items() if records[k] and "stage2" not in records[k]]


def _bill(
    profile: Profile, chat: EndpointChat, first: list[Question], second: list[Question], known: Any
) -> money.Bill:
    """`first` are asked in both stages, `second` only in their second, which reads the answer of the first again."""
    price = money.need_price(chat.meter.price, chat.name)
    again = [q for q in first if q.trigger]
    replies = [known[q.benchmark].get(q.key)["stage1"] for q in second]
    asked_once = [frame(user(q.text)) for q in first]
    asked_twice = [frame(user(q.text)) + q.trigger for q in [*again, *second]] + replies
    room, room2 = profile.stage1_tokens, _stage2_room(profile, chat)
    reply = min(TYPICAL_REPLY, room)
    read = sum(map(money.tokens_in, asked_once + asked_twice)) + reply * len(again)
    written = reply * len(first) + min(16, room2) * (len(again) + len(second))
    read_at_most = money.at_most(asked_once + asked_twice) + room * len(again)
    worst = money.cost(price, read_at_most, room * len(first) + room2 * (len(again) + len(second)))
    calls = len(first) + len(again) + len(second)
    usd = money.cost(price, read, written)
    return money.Bill(chat.name, calls, read, written, usd, worst, chat.meter.max_usd, price)


def _stage2_room(profile: Profile, chat: Any) -> int:
    """Tokens of stage 2. A new turn has the room of a first one, because a tuned model may open it with a role."""
    return profile.stage1_tokens if protocol(profile, chat) == "turn" else profile.stage2_tokens


def _ask(
    profile: Profile, chat: Any, first: list[Question], second: list[Question], journals: Any, say: Callable
) -> Iterator[tuple[Question, dict[str, Any]]]:
    """The records to keep, as they come: of a question in two turns first without, then with its "stage2"."""
    turn = protocol(profile, chat) == "turn"
    then = None if turn else lambda i, reply: first[i].trigger
    conversations = [user(q.text) for q in first]
    replies = chat.complete(conversations, profile.stage1_tokens, then=then, then_tokens=profile.stage2_tokens)
    for i, c in told(replies, len(first), "questions", say):
        question, record = first[i], _record(first[i], c, chat)
        if turn and question.trigger and c.finish not in ("too long", "content_filter", "refusal", "empty"):
            second = [*second, question]
        else:
            record["stage2"] = c.continued if question.trigger else None
        yield question, record
    if not second:
        return
    answers = [journals[q.benchmark].get(q.key) for q in second]
    turns = [_second_turn(q, record["stage1"]) for q, record in zip(second, answers)]
    for i, c in told(chat.complete(turns, _stage2_room(profile, chat)), len(second), "second turns", say):
        finish = c.finish if c.finish == "too long" else answers[i]["finish"]
        yield second[i], answers[i] | {"stage2": c.text, "finish": finish}


def _record(question: Question, c: Completion, chat: Any) -> dict[str, Any]:
    framed = getattr(chat, "prompt", "frame") == "frame"
    return {
        "key": question.key,
        "question_id": question.id,
        "prompt": frame(user(question.text)) if framed else question.text,
        "stage1": c.text,
        "finish": c.finish,
        "tokens": [c.prompt_tokens, c.tokens],
    }


def _second_turn(question: Question, reply: str) -> Messages:
    return [*user(question.text), {"role": "assistant", "content": reply}, *user(question.trigger.strip())]


def _same_model(folder: Path, name: str) -> None:
    """Refuse a folder that holds the answers of another model: the two would stand in one line of the table."""
    marker = folder / "model.json"
    if marker.is_file() and (theirs := json.loads(marker.read_text())["model"]) != name:
        raise UserError(
            f"{folder.name} holds the answers of {theirs}, not of {name}: choose another --out or --arm, "
            f"or remove generations/{folder.name} to score it anew"
        )


def _note_model(folder: Path, name: str) -> None:
    if (folder / "model.json").is_file():
        return
    temporary = folder / "model.json.tmp"
    temporary.write_text(json.dumps({"model": name}) + "\n")
    temporary.replace(folder / "model.json")


# --- marking ------------------------------------------------------------------------------------


def grade(arm: str, seed: int, rows: dict[str, list], records: dict[str, list]) -> pd.DataFrame:
    """One line an answer, columns ANSWERS. A prediction is empty where its rule found no answer.

    `prediction` and `correct` are by the rule "declared", `kojima` and `kojima_correct` by the paper's.
    `tokens`: generated in stage 1; `finish`: "stop", "length", "too long" (the prompt), or a server's own reason.
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


def generations(out: Path, arm: str, seed: int = 0) -> Path:
    """The folder of an arm's journals."""
    return out / "generations" / f"{arm}-seed{seed}"


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
            "tokens": scores.tokens,
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
        order = {n: i for i, n in enumerate([*ARMS, *benchmarks.BENCHMARKS])}
        ranked = new.assign(_arm=new.arm.map(order).fillna(len(ARMS)), _benchmark=new.benchmark.map(order))
        ranked = ranked.sort_values(["_arm", "arm", "seed", "_benchmark"], kind="stable")  # baselines behind our arms
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
