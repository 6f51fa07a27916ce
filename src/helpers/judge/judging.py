"""Which of two answers is better? A judge reads both, in both orders; LIMA's wording, the paper's Figure 5.

The one idea: the judge sees two answers and nothing else. Role prompts are hidden, names are not told, and every
pair is shown in both orders. The judge is any chat model, its verdicts are a journal, and without one the packaged
verdicts are replayed. `verdicts.py` counts them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .. import roles
from ..chat import journal, money, told, user
from ..data import SAMPLES, read_jsonl
from ..data.lima import open_questions
from ..errors import UserError
from ..profiles import Profile
from .verdicts import COLUMNS, Comparison, arm, combine

PACKAGED = SAMPLES / "judge"  # questions, answers of a real `cpu` run, and verdicts on them
PACKAGED_STAMP = "packaged verdicts on packaged answers of SmolLM2-135M-Instruct"  # below a picture of them
PACKAGED_JUDGE = "course-readers"  # two language-model readers, each of whom saw every question in one order
PARAMS = {"max_tokens": 400, "temperature": 0}  # room to explain: LIMA's wording asks for a choice, not for brevity
TYPICAL_REPLY = 100  # tokens, for the bill
ROLE_ROOM = 80  # tokens on top of an answer's, for every arm: a role prompt must not cost the role arm its answer

# Zhou et al. 2023 (LIMA), the comparison prompt of its human and GPT-4 evaluation.
PROMPT = """\
Imagine that you have a super-intelligent AI assistant, and that you require help with the following question. \
Which answer best satisfies your needs?

Question: {question}

Answer A: {first}

Answer B: {second}

Comparing these two answers, which answer is better?
◼ Answer A is significantly better.
◼ Answer B is significantly better.
◼ Neither is significantly better."""


# --- answers ---------------------------------------------------------------------------------------


def questions(source: str) -> list[dict[str, Any]]:
    """Open questions {"id", "question"}: 60 of ours ("packaged"), or LIMA's 300 test prompts ("local", "hub")."""
    more = open_questions(str(PACKAGED / "questions.jsonl")) if source == "packaged" else []
    return open_questions(source) + more


def answer(
    profile: Profile, chat: Any, asked: Sequence[dict[str, Any]], path: Path, say: Callable = print
) -> list[dict[str, Any]]:
    """A local model's greedy answers to open questions, through the journal `path`; rows as `load_answers` returns.

    An answer has at most `2 * profile.stage1_tokens` tokens; the role prompt before it is not counted.
    """
    limit = 2 * profile.stage1_tokens
    params = {"answer_tokens": limit, "role_tokens": ROLE_ROOM}
    keys = {q["id"]: journal.key(chat.name, params, q["question"]) for q in asked}
    with journal.Journal(path) as answers:
        missing = [q for q in asked if answers.get(keys[q["id"]]) is None]
        began = time.monotonic()
        for i, reply in chat.complete([user(q["question"]) for q in missing], limit + ROLE_ROOM):
            text, tokens, cut = _cut(reply.text, limit, chat.tokenizer)
            finish = "length" if cut else reply.finish
            row = {"key": keys[missing[i]["id"]], "model": chat.name, **missing[i]}
            answers.add(row | {"text": text, "finish": finish, "tokens": tokens})
        if missing:
            say(f"{path.parent.name}: {len(missing)} open questions answered, {time.monotonic() - began:.0f} s")
        answers.sort(keys.values())
        return [answers.get(k) for k in keys.values()]


def _cut(reply: str, limit: int, tokenizer: Any) -> tuple[str, int, bool]:
    """A reply whose answer has at most `limit` tokens; the number of its tokens; whether something was cut off."""
    _, visible = roles.strip(reply)
    ids = tokenizer(visible, add_special_tokens=False).input_ids
    if len(ids) <= limit:
        return reply, len(ids), False
    return reply[: len(reply.rstrip()) - len(visible)] + tokenizer.decode(ids[:limit]), limit, True


def load_answers(file: Path) -> list[dict[str, Any]]:
    """The rows {"id", "question", "text"} of a JSONL file. `text` is the whole reply, its role prompt included."""
    rows = read_jsonl(file, required=("id", "question", "text"))
    if not rows:
        raise UserError(f"{file.name} holds no answers")
    if all("key" in row for row in rows):  # a journal: what was asked last stands first
        rows = list({row["id"]: row for row in reversed(rows)}.values())[::-1]
    ids = [row["id"] for row in rows]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise UserError(f"{file.name} holds question {twice[0]!r} twice: keep one answer to each")
    return rows


def answers_of(
    where: str, profile: Profile, asked: Sequence[dict[str, Any]], out: Path, *, estimate: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """(name, rows) of an arm: `where` is a model's folder, a folder with open.jsonl, or a JSONL file of answers.

    A model answers the questions `asked` here, into out/generations/<name>/open.jsonl; with `estimate` it is not
    loaded, and every answer is as long as it may be.
    """
    path = Path(where).absolute()
    file = path / "open.jsonl" if path.is_dir() else path
    if file.is_file():
        return (file.parent.name if file.stem == "open" else file.stem), load_answers(file)
    if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise UserError(
            f"{where!r} holds neither a model nor answers: give a tuned model's folder, or a JSONL file with id, question, text"
        )
    name = path.name
    if estimate:
        return name, [q | {"text": f"{q['id']} {name} ".ljust(8 * profile.stage1_tokens, "x")} for q in asked]
    from .. import score

    return name, answer(profile, score.local_chat(profile, path), asked, out / "generations" / name / "open.jsonl")


# --- what the judge may see ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A question and two answers without their role prompts: what the judge sees."""

    id: str
    question: str
    a: str
    b: str
    repeated: tuple[bool, bool] = (False, False)  # whose reply showed its role prompt again behind the opening

    @property
    def settled(self) -> str | None:
        """Why no judge is asked: "role shown" (a role prompt is left), "empty", "identical"; else None."""
        if leak(self.a) or leak(self.b):
            return "role shown"
        if not self.a or not self.b:
            return "empty"
        return "identical" if self.a == self.b else None


def pairs(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]]) -> list[Pair]:
    """The questions that both arms answered, role prompts hidden. UserError where an id means two questions."""
    second = {row["id"]: row for row in b}
    both = [(row, second[row["id"]]) for row in a if row["id"] in second]
    for one, other in both:
        if one["question"].strip() != other["question"].strip():
            raise UserError(f"{one['id']!r} is another question in each of the two files: answer the same questions")
    if not both:
        raise UserError("the two arms have no question in common: answer the same questions with both")
    found = []
    for one, other in both:
        shown = [hide(one["text"]), hide(other["text"])]
        repeated = tuple(text != roles.strip(row["text"])[1] for text, row in zip(shown, (one, other)))
        found.append(Pair(one["id"], one["question"].strip(), *shown, repeated))
    return found


# Wordings of Table 3 that nobody else writes; "Fortunately, I am" and the like give away only behind a description.
_JOINTS = r"From now on, I will think like|I will (?:solve it like|answer it as)|To (?:better )?solve (?:it|this problem), I will act as"
_SHOWN = (
    re.compile(r"\[\s*This question is[^\[\]]*(?:\]|\Z)", re.IGNORECASE),
    re.compile(
        r"\bTh(?:is|e) question is an? [^.\n]*\b(?:involving|a user and an AI assistant)\b[^.\n]*(?:\.|\Z|$)",
        re.IGNORECASE | re.MULTILINE,
    ),
    re.compile(rf"[^.!?\n]*\b(?:{_JOINTS})\b[^.!?\n]*[.!?]?", re.IGNORECASE),
)
_LEAK = re.compile(
    rf"\[\s*This question is|\bI will think like\b|{_JOINTS}|\bThis question is an? [^.\n]*\bproblem involving"
    r"|This question is an? [^\n]{0,400}(?:So I will become|Fortunately, I am|For this reason, I will be)",
    re.IGNORECASE,
)


def hide(reply: str) -> str:
    """The answer in a reply, without its role prompt and without repetitions of one behind it.

    A small model repeats itself, its role prompt included; one such sentence tells the judge whose answer it reads.
    """
    _, answer = roles.strip(reply)
    left = answer
    for pattern in _SHOWN:
        left = pattern.sub("", left)
    return answer if left == answer else re.sub(r"\n\s*\n", "\n\n", left).strip()


def leak(answer: str) -> str | None:
    """The words that give a role prompt away in what should be an answer alone; None where there are none."""
    found = _LEAK.search(answer)
    return found[0] if found else None


def prompt(question: str, first: str, second: str) -> str:
    """LIMA's comparison prompt. UserError where an answer still shows a role prompt: the judge must not see it."""
    if found := leak(first) or leak(second):
        raise UserError(f"a role prompt is left in an answer ({found!r}): strip it before you ask a judge")
    return PROMPT.format(question=question, first=first, second=second)


def games(pair: Pair) -> dict[str, str]:
    """The prompts of a pair in both orders: {"ab": a shown first, "ba": b shown first}."""
    return {"ab": prompt(pair.question, pair.a, pair.b), "ba": prompt(pair.question, pair.b, pair.a)}


# --- verdicts --------------------------------------------------------------------------------------------

# "Better" without "significantly" counts where the sentence ends with it, or goes on with the other answer or a reason.
_OTHER = r"(?: than (?:(?:answer )?[ab]\b|the other(?: one| answer)?))"
_REASON = r",? (?:because|since|as it)\b(?![^.\n]*\bnot significantly\b)"
_BETTER = (
    r"is (?:(?:significantly|clearly|much) better\b"
    rf"|(?:the )?better(?: one| answer)?{_OTHER}?(?=[.!]|\s*$|{_REASON}))"
)
# "Neither is perfect, but Answer B is significantly better." is about B: only these words may follow "neither".
_OF_BOTH = r"(?: of (?:the|these|them|both)(?: two)?(?: answers)?)?"
_NEITHER = rf"\bneither(?: one| answer)?{_OF_BOTH}(?: (?:answer )?a nor (?:answer )?b)?"
_STATEMENT = re.compile(
    rf"{_NEITHER} {_BETTER}|\banswer (?P<letter>[ab])\b[\"']? {_BETTER}", re.IGNORECASE | re.MULTILINE
)
_SHORT = re.compile(r"[\s\"'(\[◼]*(?:(?:answer )?(?P<letter>[ab])|neither|tie)[\s\"')\].]*", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\b(?:not|nor|cannot|hardly|if|whether|unless)\b|n['’]t\b)[^.\n]*$", re.IGNORECASE)
_TICKED = re.compile(r"^\s*(?:[-•◼]\s*)?(?:\[[xX✓✔]\]|[☑☒✓✔✅])\s*")
_DECLARED = re.compile(r"\b(?:verdict|overall|conclusion|final answer|my choice)\b\s*:?", re.IGNORECASE)


def parse(reply: str) -> str | None:
    """The choice in a judge's reply: "A", "B", "neither", or None where it makes none, or more than one.

    Read are the statements of the prompt, also within prose, and a line that is only "A", "Answer B" or "neither".
    Where statements contradict each other, those count that are ticked, or declared ("Verdict: ...", "Overall, ...").
    """
    text = re.sub(r"[*_`#]+", "", reply)
    for mark in (_TICKED, _DECLARED):
        marked = [mark.sub("", line) for line in text.splitlines() if mark.search(line)]
        if len(chosen := {choice for line in marked for choice in _choices(line)}) == 1:
            return chosen.pop()
    chosen = _choices(text)
    return chosen.pop() if len(chosen) == 1 else None


def _choices(text: str) -> set[str]:
    """What a text chooses: its statements; if it has none, its lines that only name an answer."""
    stated = set()
    for match in _STATEMENT.finditer(text):
        if not match["letter"]:
            stated.add("neither")
        elif not _NEGATED.search(text[: match.start()].rsplit("\n", 1)[-1]):
            stated.add(match["letter"].upper())
    if stated:
        return stated
    short = filter(None, map(_SHORT.fullmatch, text.splitlines()))
    return {match["letter"].upper() if match["letter"] else "neither" for match in short}


# --- asking ------------------------------------------------------------------------------------------------


def judge(
    both: Sequence[Pair],
    names: tuple[str, str],
    out: Path,
    chat: Any = None,
    *,
    approve: Callable[[money.Bill], None] | None = None,
    say: Callable = print,
) -> Comparison:
    """Ask for every verdict that out/judgements.jsonl does not hold yet; also writes out/judgements.csv.

    Without `chat` the packaged verdicts are replayed; what they do not hold is "not judged". `approve` is shown
    the bill before the first call and raises to stop there.
    """
    name = chat.name if chat else PACKAGED_JUDGE
    if chat:
        money.need_price(_price(chat), chat.name)  # told before anything is written
    with journal.Journal(out / "judgements.jsonl") as verdicts:
        if chat is None:
            wanted = {k for p in both for k in keys(name, p).values()}
            verdicts.extend(r for r in _packaged() if r["key"] in wanted and verdicts.get(r["key"]) is None)
        elif missing := _missing(both, name, verdicts):
            bill = _bill(missing, chat)
            say(bill)
            if approve:
                approve(bill)
            _ask(missing, names, verdicts, chat, say)
        verdicts.sort(k for p in both for k in keys(name, p).values())
        result = compare(both, names, name, verdicts)
    result.table.to_csv(out / "judgements.csv", index=False, lineterminator="\n")
    return result


def plan(both: Sequence[Pair], out: Path, chat: Any) -> money.Bill:
    """The bill of `judge` with the same arguments. Asks nobody and writes nothing."""
    return _bill(_missing(both, chat.name, read(out)), chat)


def keys(name: str, pair: Pair) -> dict[str, str]:
    """The journal keys of a pair's games, by order; none where no judge is asked."""
    return {} if pair.settled else {order: journal.key(name, PARAMS, text) for order, text in games(pair).items()}


def _packaged() -> list[dict[str, Any]]:
    return list(journal.read(PACKAGED / "verdicts.jsonl"))


def packaged_pairs(a: str, b: str) -> list[Pair]:
    """The packaged answers of two arms ("lima", "role") to the 60 packaged questions."""
    files = [PACKAGED / f"answers_{arm}.jsonl" for arm in (a, b)]
    if gone := [arm for arm, file in zip((a, b), files) if not file.is_file()]:
        raise UserError(f"no packaged answers of arm {gone[0]!r}: judge your own with python -m helpers judge")
    return pairs(*map(load_answers, files))


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The verdicts that a folder holds, by journal key."""
    return {record["key"]: record for record in journal.read(folder / "judgements.jsonl")}


def _missing(both: Sequence[Pair], name: str, known: Any) -> list[tuple[Pair, str, str]]:
    """(pair, order, key) of the games without a verdict; of pairs with equal texts, the first."""
    games_ = {k: (p, order, k) for p in reversed(both) for order, k in keys(name, p).items()}
    return [game for k, game in reversed(games_.items()) if known.get(k) is None]


def _price(chat: Any) -> money.Price | None:
    """A model in this process has no meter and costs nothing."""
    return chat.meter.price if hasattr(chat, "meter") else (0.0, 0.0)


def _bill(missing: Sequence[tuple[Pair, str, str]], chat: Any) -> money.Bill:
    price = money.need_price(_price(chat), chat.name)
    texts = [games(pair)[order] for pair, order, _ in missing]
    if hasattr(chat, "under_way"):  # a batch that is submitted already is paid for
        submitted = chat.under_way()
        texts = [t for t in texts if chat.request_id(user(t), **PARAMS) not in submitted]
    read, written = sum(map(money.tokens_in, texts)), TYPICAL_REPLY * len(texts)
    worst = money.cost(price, money.at_most(texts), PARAMS["max_tokens"] * len(texts))
    cap = chat.meter.max_usd if hasattr(chat, "meter") else None
    return money.Bill(chat.name, len(texts), read, written, money.cost(price, read, written), worst, cap, price)


def _ask(
    missing: Sequence[tuple[Pair, str, str]],
    names: tuple[str, str],
    verdicts: journal.Journal,
    chat: Any,
    say: Callable,
) -> None:
    conversations = [user(games(pair)[order]) for pair, order, _ in missing]
    replies = chat.complete(conversations, PARAMS["max_tokens"])
    for i, reply in told(replies, len(missing), "verdicts", say, getattr(chat, "meter", None)):
        pair, order, k = missing[i]
        verdicts.add(
            {
                "key": k,
                "judge": chat.name,
                "id": pair.id,
                "shown": list(names if order == "ab" else names[::-1]),
                "reply": reply.text,
                "finish": reply.finish,
                "tokens": [reply.prompt_tokens, reply.tokens],
            }
        )
    if hasattr(chat, "meter"):
        say(f"asked {chat.name}: {chat.meter}")


# --- counting ------------------------------------------------------------------------------------------------


def compare(both: Sequence[Pair], names: tuple[str, str], name: str, verdicts: Any) -> Comparison:
    """What the journal (or any {key: record}) holds of judge `name` about these pairs."""
    lines = []
    for pair in both:
        records = {order: verdicts.get(k) for order, k in keys(name, pair).items()}
        chosen = {order: record and arm(parse(record["reply"]), order) for order, record in records.items()}
        line = {"id": pair.id, "ab": chosen.get("ab"), "ba": chosen.get("ba"), "settled": pair.settled}
        if pair.settled:
            line["result"] = "role shown" if pair.settled == "role shown" else _without_judge(pair)
        elif None in records.values():
            line["result"] = "not judged"
        else:
            line["result"] = combine(line["ab"], line["ba"])
        line |= {"words_a": len(pair.a.split()), "words_b": len(pair.b.split())}
        lines.append(line | dict(zip(("repeated_a", "repeated_b"), pair.repeated)))
    return Comparison(*names, name, pd.DataFrame(lines, columns=COLUMNS))


def _without_judge(pair: Pair) -> str:
    """Nothing loses against something; equal texts are equal."""
    return "tie" if pair.a == pair.b else "a" if pair.a else "b"
