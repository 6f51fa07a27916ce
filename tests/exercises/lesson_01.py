"""Answers to the exercises of lesson 01: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
from exercises.common import table

from helpers import roles
from helpers.checks import lesson_01

EXERCISES, answers = table()

# --- the parser -----------------------------------------------------------------------------------

Q, R = r"(This question is an? [^\[\]]+?\.)", r"(an? [^\[\]]+?)"
ASK = "To better solve it, I will act as"


def parser(question=Q, role=R, label="(?:A: )?", ask=ASK, end=r"\.?", flat=lambda t: " ".join(t.split()), **options):
    """A parser with one part of its own."""
    match, no, made = options.get("match", re.fullmatch), options.get("no"), options.get("made", lambda q, r: (q, r))

    def my_parse(text):
        found = match(rf"{label}{question} {ask} {role}{end}", flat(text))
        if not found or (options.get("second", True) and re.search(r"[a-z]\. [A-Z]", found[2])):
            return no
        return made(found[1], found[2])

    return my_parse


def by_partition(text):
    question, found, role = " ".join(text.split()).removeprefix("A: ").partition(f" {ASK} ")
    begins = question.startswith(("This question is a ", "This question is an ")) and role.startswith(("a ", "an "))
    if not found or not begins or not question.endswith(".") or set("[]") & set(text):
        return None
    return question, re.split(r"\.(?:\s|$)", role)[0]


def by_library(text):
    found = roles.parse_annotation(text)
    return found and (found.question_description, found.role_description)


def with_pandas(text):
    flat = pd.Series([" ".join(text.split())])
    found = flat.str.extract(rf"^(?:A: )?{Q} {ASK} {R}(?:\.(?: .*)?)?$").iloc[0]
    return None if found.isna().any() else tuple(found)


def in_lines(text):
    words = iter(" ".join(text.split()).split(f" {ASK} "))
    question, role = next(words), next(words, "")
    whole = re.fullmatch(rf"(?:A: )?{Q}", question), re.fullmatch(rf"{R}(?:\. .*|\.)?", role)
    return (whole[0][1], np.str_(whole[1][1])) if all(whole) else None


def strict(text):
    """Like the solution, and stops where the reply is out of form."""
    return (found := re.fullmatch(rf"(?:A: )?{Q} {ASK} {R}\.?", " ".join(text.split())))[1], found[2]


answers(
    lesson_01.parser,
    parser(),
    (parser(label="A: "), 'without "A:"'),
    (parser(question=Q.replace("an?", "a")), 'allow "a" and "an"'),
    (parser(role=R.replace("an?", "a")), 'allow "a" and "an"'),
    (parser(end=r"\."), "without the last full stop"),
    (parser(flat=str), "line breaks"),
    (parser(flat=lambda text: text.replace("\n", " ")), "line breaks"),
    (parser(flat=lambda text: re.sub(r"\s+", " ", text)), "strip it"),
    (parser(role=r"(an? [^\[\].]+)"), "Node.js"),
    (parser(question=r"(This question is an? [^\[\].]+\.)"), "Node.js"),
    (lambda text: parser()(text if "This question" in text else f"This question is a riddle. {text}"), "a question:"),
    (parser(question=r"(This question is an? .+?\.)"), "brackets in the question"),
    (parser(role="(an? .+?)"), "brackets in the role"),
    (parser(role=r"(an? [^\[\].]+)", end=r"\.?.*"), "stops too early"),
    (parser(match=re.search), "stops too early"),
    (parser(question=r"(This question is an? .+?\.)", role="(an? .+?)"), "the unfilled form"),
    (parser(label=r"(?:A: )?\[?", end=r"\.?\]?"), "inside brackets"),
    (parser(role=r"((?:an? )?[^\[\]]+?)"), 'role without "a" or "an"'),
    (parser(ask="(?:To better solve it, I will act as|I'd pick)"), "another wording"),
    (parser(label="", question=rf"((?:A: )?{Q[1:]}"), 'starts with "A:"'),
    (parser(made=lambda q, r: (r, q)), "swapped"),
    (parser(made=lambda q, r: (q.rstrip("."), r)), "keeps its full stop"),
    (parser(made=lambda q, r: (q, r + ".")), "without a full stop"),
    (parser(made=lambda q, r: (q, f"I will act as {r}")), 'begins after "I will act as"'),
    (parser(made=lambda q, r: (q, r.split(" ", 1)[1])), 'keeps its "a" or "an"'),
    (parser(made=lambda q, r: (q.removeprefix("This question is "), r)), 'begins with "This question is"'),
    (parser(made=lambda q, r: (q.lower(), r.lower())), "capital letters"),
    (parser(made=lambda q, r: [q, r]), "a tuple of two strings"),
    (parser(made=lambda q, r: {"question": q, "role": r}), "a tuple of two strings"),
    (parser(made=lambda q, r: f"{q} {r}"), "a tuple of two strings"),
    (parser(no=("", "")), "a refusal"),
    (parser(no=()), "return None"),
    (parser(no=False), "return None"),
    (parser(second=False), "sentence after the form"),
    (strict, "return None"),
    (lambda text: None if "sorry" in text else ("This question is one.", "a teacher"), "expected"),
    also=[by_partition, by_library, with_pandas, in_lines, parser(second=False, role=r"(an? (?:[^\[\].]|\.(?! ))+?)")],
)

# --- the log --------------------------------------------------------------------------------------

DECIDED = {"again": "ade", "differently": "bf", "keep": "cgh", "stop": "ijkl"}
WORDS = {letter: word for letter in "abcdefghijkl" for word, letters in DECIDED.items() if letter in letters}


def but(**lines):
    return WORDS | lines


def renamed(old, new):
    return {letter: new if word == old else word for letter, word in WORDS.items()}


answers(
    lesson_01.decide,
    WORDS,
    (dict.fromkeys(WORDS, "again"), "vary the request"),
    (dict.fromkeys(WORDS, "stop"), "time helps here"),
    (renamed("differently", "again"), "would bring the same reply"),
    (renamed("differently", "keep"), "gives no role"),
    (but(b="stop"), "Line b"),
    (but(c="again"), "a refusal is an answer"),
    (but(c="differently"), "a refusal is an answer"),
    (but(d="stop"), "trouble of its own"),
    (but(e="keep"), "half an answer is not an answer"),
    (but(e="differently"), "half an answer is not an answer"),
    (but(f="keep"), "cut inside the role"),
    (but(f="again"), "cut at the same place"),
    (but(g="differently"), "cut, but after the form"),
    (but(h="stop"), "declines this one question"),
    (but(h="again"), "declines this one question"),
    (but(i="again"), "we wait for ten minutes at most"),
    (but(j="again"), "waiting does not fill an account"),
    (but(k="keep"), "wrong for every question"),
    (but(l="again"), "the last of our eight requests"),
    (but(a="retry"), "'retry' is not among the decisions"),
    (but(a=True), "'true' is not among the decisions"),
    (but(l=...), "Not decided yet: l"),
    (dict(list(WORDS.items())[:5]), "Not decided yet: f, g"),
    (but(m="stop"), "no line m"),
    ([*WORDS.values()][:11], "you have 11 decisions"),
    (" ".join(WORDS.values()), "Give a dict"),
    (12, "Give a dict"),
    also=[
        list(WORDS.values()),
        pd.Series(WORDS),
        np.array(list(WORDS.values())),
        {letter.upper(): f" {word.title()} " for letter, word in WORDS.items()},
        dict(enumerate(WORDS.values(), 1)),
        (word for word in WORDS.values()),
    ],
)

# --- the bill -------------------------------------------------------------------------------------


def bill(prompts, price, tokens=lambda p: len(p) / 4, reply=45, million=1e6):
    return sum(tokens(p) * price[0] + reply * price[1] for p in prompts) / million


def replies(prompts, price, n):
    return bill(prompts, price, reply=0) + n * 45 * price[1] / 1e6


answers(
    lesson_01.bill,
    bill,
    (lambda prompts, price: bill(prompts, price, million=1), "a million times too high"),
    (lambda prompts, price: bill(prompts, price, million=1e3), "a thousand times too high"),
    (lambda prompts, price: bill(prompts, price) * 100, "cents"),
    (lambda prompts, price: bill(prompts, price, len), "count letters"),
    (lambda prompts, price: bill(prompts, price, lambda p: len(p) * 4), "divide by 4"),
    (lambda prompts, price: bill(prompts, price, lambda p: len(p.split())), "count words"),
    (lambda prompts, price: bill(prompts, price, lambda p: 1), "count prompts"),
    (lambda prompts, price: bill(prompts[:1] * len(prompts), price), "as long as the first"),
    (lambda prompts, price: bill(prompts, price, reply=0), "replies are missing"),
    (lambda prompts, price: bill(prompts, price, lambda p: 0), "prompts are missing"),
    (lambda prompts, price: replies(prompts, price, 1), "one reply"),
    (lambda prompts, price: bill(prompts, price, reply=45 / 4), "45 tokens, not 45 letters"),
    (lambda prompts, price: bill(prompts, price[::-1]), "swapped"),
    (lambda prompts, price: bill(prompts, (price[0], price[0])), "price[1]"),
    (lambda prompts, price: bill(prompts, (price[1], price[1])), "price[0]"),
    (lambda prompts, price: bill(prompts, [sum(price)] * 2), "do not add the two prices"),
    (lambda prompts, price: bill(prompts, [sum(price) / 2] * 2), "mean of the two"),
    (lambda prompts, price: bill(prompts, price) / max(len(prompts), 1), "one prompt's share"),
    (lambda prompts, price: bill(prompts, price) * 3, "three attempts"),
    (lambda prompts, price: round(bill(prompts, price), 2), "Do not round"),
    (lambda prompts, price: round(bill(prompts, price), 4), "Do not round"),
    (lambda prompts, price: f"{bill(prompts, price):.4f} USD", "one number, yours is a str"),
    (lambda prompts, price: (bill(prompts, price, reply=0), 45), "one number, yours is a tuple"),
    (lambda prompts, price: bill(prompts, price) + 0.01, "the bill is 0.6125"),
    (lambda prompts, price: bill(prompts, price) if prompts else 1, "No prompts cost nothing"),
    (lambda prompts, price: bill(prompts, price) * len(prompts) / len(prompts), "ZeroDivisionError"),
    also=[
        lambda prompts, price: np.dot([sum(map(len, prompts)) / 4, 45 * len(prompts)], price) / 1e6,
        lambda prompts, price: (
            (pd.Series(prompts, dtype=str).str.len().sum() / 4 * price[0] + 45 * price[1] * len(prompts)) / 1e6
        ),
        lambda prompts, price: np.float32(bill(prompts, price)),
        lambda prompts, price: Decimal(len("".join(prompts)) * price[0] / 4 + len(prompts) * 45 * price[1]) / 1_000_000,
        lambda prompts, price: bill(iter(prompts), price, lambda p: -(-len(p) // 4)),
    ],
)

# --- twenty dialogues of one's own ----------------------------------------------------------------

LESSON = json.loads((Path(__file__).parents[2] / "notebooks" / "01_annotate_lima_role.ipynb").read_text("utf-8"))
SOLUTION = next(text for cell in LESSON["cells"] if "my_dialogues = [\n    (" in (text := "".join(cell["source"])))
exec(SOLUTION.split("```python")[1].split("```")[0], space := {})
PAIRS: list[tuple[str, str]] = space["my_dialogues"]
FIRST_QUESTION, FIRST_ANSWER = PAIRS[0]


def first(question=FIRST_QUESTION, answer=FIRST_ANSWER):
    """The twenty with another first pair."""
    return [(question, answer), *PAIRS[1:]]


def each(change):
    return [change(question, answer) for question, answer in PAIRS]


answers(
    lesson_01.own,
    PAIRS,
    (first(answer=""), "an empty turn"),
    (first(answer="  \n"), "an empty turn"),
    (first(question=""), "an empty turn"),
    (first(answer=None), "an empty turn"),
    (first(answer=42), "not text"),
    ([(FIRST_QUESTION,), *PAIRS[1:]], "no answer"),
    ([question for question, _ in PAIRS], "not a pair"),
    (dict(PAIRS).keys(), "not a pair"),
    ([*PAIRS[:19], PAIRS[0]], "pairs 1, 20: the same question again"),
    (first(question=PAIRS[3][0].upper()), "pairs 1, 4: the same question again"),
    (first(answer=PAIRS[3][1]), "pairs 1, 4: the same answer again"),
    (PAIRS[:12], "12 of 20 dialogues"),
    (PAIRS[:1], "1 of 20 dialogues"),
    (PAIRS[:1] * 20, "the same question again"),
    (first(question="Why?"), "pair 1: a question of fewer than 10 letters"),
    (first(answer="It needs time."), "pair 1: an answer of fewer than 8 words"),
    (first(answer="yes " * 30), "an answer of fewer than 8 words"),
    (first(answer=f"{FIRST_ANSWER} {'Wait an hour and look again. ' * 200}"), "too long for the cpu profile"),
    (first(answer=f"{FIRST_QUESTION} {FIRST_ANSWER}"), "repeats its question"),
    (first(answer=f"{roles.DECLINED.text()} {FIRST_ANSWER}"), "role prompt already"),
    (first(answer=f"{FIRST_ANSWER}\nUSER: And then?"), "begins with USER:"),
    (first(answer=f"{FIRST_ANSWER} Write to baker@example.org."), "e-mail address"),
    (each(lambda q, a: (a, q)), "swapped"),
    (each(lambda q, a: (q, f"Sure! {a}")), "20 of 20 answers begin with 'sure'"),
    (each(lambda q, a: (q, f"As an AI model, I say: {a}")), "answers begin with 'as an'"),
    (each(lambda q, a: (f"Please tell me: {q}", a)), "questions begin with 'please tell'"),
    (each(lambda q, a: (f"Explain {q[0].lower()}{q[1:]}", a)), "questions begin with the word 'explain'"),
    (each(lambda q, a: (q, f"{a} Let me know if you need more help!")), "answers end with 'need more help'"),
    (each(lambda q, a: (f"{q[:-1]} (in dogs)?", a)), "20 of 20 questions have the word 'dog'"),
    ("no_such_file.jsonl", "no file 'no_such_file.jsonl'"),
    (42, "a list of pairs"),
    ([{"title": q, "remark": a} for q, a in PAIRS], "a layout that we do not know"),
    ([{"role": "user", "content": q} for q, _ in PAIRS], "row"),
    also=[
        dict(PAIRS),
        [list(pair) for pair in PAIRS],
        pd.DataFrame(PAIRS, columns=["question", "answer"]),
        [{"instruction": q, "output": a} for q, a in PAIRS],
        [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in PAIRS],
        np.array(PAIRS),
        [
            *PAIRS,
            (
                "Where do swallows spend the winter?",
                "Most European ones fly across the Sahara, to the south of Africa.",
            ),
        ],
        [*PAIRS, ...],
        (pair for pair in PAIRS),
    ],
)
