"""Answers to the exercises of lesson 09: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from exercises.common import table

from helpers.analyse import fidelity
from helpers.checks import lesson_09

EXERCISES, answers = table()

# --- leaks ----------------------------------------------------------------------------------------

MARKS = ("this question is a", "from now on, i will")


def words(text):
    return re.findall(r"\w+", (text or "").lower())


def runs(text, n=5):
    found = words(text)
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


def marked(answer, marks=MARKS):
    return any(mark in answer.lower() for mark in marks)


def leaks(opening, answer, n=5, marks=MARKS):
    return marked(answer, marks) or bool(runs(opening, n) & runs(answer, n))


def by_pattern(opening, answer):
    form = re.compile(r"this question is a\b|from now on,? i will\b", re.I)
    spoken = f" {' '.join(words(answer))} "
    known = words(opening)
    fives = (f" {' '.join(known[i : i + 5])} " for i in range(len(known) - 4))
    return form.search(answer) is not None or any(five in spoken for five in fives)


def by_series(opening, answer):
    mine, said = pd.Series(words(opening), dtype=object), pd.Series(words(answer), dtype=object)
    for i in range(len(said) - 4):
        for k in range(len(mine) - 4):
            if (said.iloc[i : i + 5].to_numpy() == mine.iloc[k : k + 5].to_numpy()).all():
                return np.True_
    return np.bool_(marked(answer))


def by_split(opening, answer):
    def clean(text):
        return [word for part in text.lower().split() if (word := part.strip(".,:;!?[]'\"*"))]

    mine, said = clean(opening or ""), clean(answer)
    return marked(answer) or any(
        said[i : i + 5] == mine[k : k + 5] for i in range(len(said) - 4) for k in range(len(mine) - 4)
    )


def longest_run(opening, answer):
    """By the longest common run of words, as the longest common substring is found."""
    mine, said, best = words(opening), words(answer), 0
    row = [0] * (len(said) + 1)
    for word in mine:
        row = [0, *((row[j] + 1) if word == other else 0 for j, other in enumerate(said))]
        best = max(best, *row)
    return int(marked(answer) or best >= 5)


def blocks(text):
    """Five words at places 0, 5, 10 only."""
    found = words(text)
    return {tuple(found[i : i + 5]) for i in range(0, len(found) - 4, 5)}


answers(
    lesson_09.leaks,
    leaks,
    (lambda o, a: "yes", "Return True or False"),
    (lambda o, a: runs(o) & runs(a), "Return True or False"),
    (lambda o, a: False, "you see no leak"),
    (lambda o, a: True, "shares single words"),
    (lambda o, a: leaks(o, a) or None, "return False if nothing leaks"),
    (lambda o, a: bool(o) and bool(a) and a in o, "Without an opening"),
    (lambda o, a: leaks(o, a) or bool(o and not a), "An empty answer"),
    (lambda o, a: "From now on" in a or bool(runs(o) & runs(a)), "'This question is a', is back"),
    (lambda o, a: marked(a) or len(set(words(o)) & set(words(a))) > 0, "shares single words"),
    (lambda o, a: marked(a) or len(set(words(o)) & set(words(a))) >= 5, "five words *in a row*"),
    (lambda o, a: leaks(o, a, n=3), "Only four words in a row"),
    (lambda o, a: leaks(o, a, n=4), "Only four words in a row"),
    (lambda o, a: leaks(o, a, n=6), "five are enough. Punctuation and capital letters"),
    (lambda o, a: marked(a), "five are enough. Punctuation and capital letters"),
    (lambda o, a: bool(runs(o) & runs(a)), "Without an opening"),
    (lambda o, a: leaks(o, a, marks=MARKS[:1]), "Without an opening"),
    (lambda o, a: leaks(o, a, marks=MARKS[1:]), "'This question is a', is back"),
    (lambda o, a: leaks(o, a[:60]), "look through the whole answer"),
    (lambda o, a: leaks(o, a.split(". ")[0]), "five are enough. Punctuation and capital letters"),
    (lambda o, a: o is not None and leaks(o, a), "Without an opening"),
    (
        lambda o, a: any(m in a for m in ("This question is a", "From now on, I will")) or bool(runs(o) & runs(a)),
        "capitals",
    ),
    (lambda o, a: marked(a) or any(" ".join(r) in " ".join(words(a)) for r in runs(o)), "compare whole words"),
    (lambda o, a: marked(a) or bool(blocks(o) & blocks(a)), "five are enough. Punctuation and capital letters"),
    (lambda o, a: marked(a) or bool(blocks(o) & runs(a)), "look at every place"),
    (lambda o, a: leaks(o.lower(), a), "your code stopped with AttributeError"),
    (lambda o, a: leaks(o, a) or (words(o) != [] and words(o)[:5] == words(a)[:5]), "An opening of four words"),
    (
        lambda o, a: marked(a) or any(" ".join(a.lower().split()[i : i + 5]) in (o or "").lower() for i in range(99)),
        "shares single words",
    ),
    also=[by_pattern, by_series, by_split, longest_run],
)

# --- score ----------------------------------------------------------------------------------------


def scored(kind, answer, right, wrong):
    said = set(words(answer))
    if not said:
        return None
    if kind == "RK":
        return 1 if said & set(right) else -1 if said & set(wrong) else 0
    if kind == "UQR":
        return 0 if fidelity.breaks(answer) else 1 if fidelity.admits(answer) else -1
    return 0


def by_search(kind, answer, right, wrong):
    def among(options):
        return any(re.search(rf"\b{re.escape(word)}\b", answer, re.I) for word in options)

    if not re.search(r"\w", answer):
        return None
    match kind:
        case "RK":
            return 1.0 if among(right) else -1.0 if among(wrong) else 0.0
        case "UQR":
            return 0.0 if fidelity.breaks(answer) else 1.0 if fidelity.admits(answer) else -1.0
    return 0.0


def by_numpy(kind, answer, right, wrong):
    said = np.array(words(answer))
    if said.size == 0:
        return None
    known = np.int64(1) if np.isin(said, right).any() else -np.int64(np.isin(said, wrong).any())
    unknown = np.select([fidelity.breaks(answer), fidelity.admits(answer)], [0, 1], -1)[()]
    return {"RK": known, "UQR": unknown}.get(kind, np.int64(0))


def by_series_of_words(kind, answer, right, wrong):
    said = pd.Series(words(answer), dtype=object)
    if said.empty:
        return None
    if kind == "UQR":
        return np.float32(0 if fidelity.breaks(answer) else 2 * fidelity.admits(answer) - 1)
    return np.float32(said.isin(right).any() or -int(said.isin(wrong).any())) if kind == "RK" else 0


def by_loop(kind, answer, right, wrong):
    said = [word.strip(".,?!:;") for word in answer.lower().split()]
    said = [word for word in said if word]
    score = 0
    if kind == "RK":
        score = max((1 for word in said if word in right), default=0) or min(
            (-1 for w in said if w in wrong), default=0
        )
    elif kind == "UQR" and not fidelity.breaks(answer):
        score = 1 if fidelity.admits(answer) else -1
    return score if said else None


answers(
    lesson_09.score,
    scored,
    (lambda k, a, r, w: "good", "Return -1, 0 or 1"),
    (lambda k, a, r, w: 100 * scored(k, a, r, w), "Return -1, 0 or 1"),
    (lambda k, a, r, w: 1 if k == "RK" and any(x in a.lower() for x in r) else scored(k, a, r, w), "whole words"),
    (lambda k, a, r, w: scored(k, a, r, w) if any(x in a for x in r) or k != "RK" else -1, "lower case"),
    (lambda k, a, r, w: max(scored(k, a, r, w), 0), "costs a point"),
    (
        lambda k, a, r, w: scored(k, a, r, w) or (-1 if k == "RK" and any(x in a.lower() for x in w) else 0),
        "'tend' only contains 'ten'",
    ),
    (lambda k, a, r, w: scored(k, a, r, w) or (-1 if k == "RK" and a else 0), "compare whole words"),
    (lambda k, a, r, w: -1 if k == "RK" and set(words(a)) & set(w) else scored(k, a, r, w), "right word wins"),
    (
        lambda k, a, r, w: -1 if k == "RK" and words(a)[:1] and words(a)[0] in w else scored(k, a, r, w),
        "also when a wrong one comes first",
    ),
    (lambda k, a, r, w: 0 if k == "RK" and fidelity.admits(a) else scored(k, a, r, w), "only the words count"),
    (lambda k, a, r, w: 0 if k == "RK" and fidelity.breaks(a) else scored(k, a, r, w), "who steps out of character"),
    (lambda k, a, r, w: 1 if k == "RK" and fidelity.admits(a) else scored(k, a, r, w), "no hallucination"),
    (lambda k, a, r, w: scored(k, a, r, w) if k == "RK" else 0 if fidelity.admits(a) else -1, "worth +1"),
    (lambda k, a, r, w: 1 if k == "UQR" and fidelity.admits(a) else scored(k, a, r, w), "Look for the break"),
    (lambda k, a, r, w: -1 if k == "UQR" and fidelity.breaks(a) else scored(k, a, r, w), "breaks the character: 0"),
    (
        lambda k, a, r, w: scored(k, a, r, w) if k != "UQR" or fidelity.breaks(a) or "transformer" not in a else -1,
        "use `fidelity.admits`",
    ),
    (lambda k, a, r, w: scored("RK", a, r, w) or scored(k, a, r, w), "The lists of words are for RK only"),
    (lambda k, a, r, w: scored(k, a, r, w) if a.strip() or k == "RK" else -1, "Nothing was said"),
    (lambda k, a, r, w: scored(k, a, r, w) if words(a) or a.strip() == "" else 0, "only punctuation"),
    (lambda k, a, r, w: scored(k, a, r, w) or 0, "return None"),
    (lambda k, a, r, w: {"RK": scored, "UQR": scored}[k](k, a, r, w), "must not stop a run"),
    (lambda k, a, r, w: scored(k, a, r, w) if k in ("RK", "UQR") else None, "A kind that you do not score is 0"),
    (lambda k, a, r, w: scored("RK" if k == "CRI" else k, a, r, w), "A kind that you do not score is 0"),
    (lambda k, a, r, w: scored("UQR" if k == "CRI" else k, a, r, w), "A kind that you do not score is 0"),
    (lambda k, a, r, w: scored(k, a, r, w) if k != "CRI" else 0, "whatever the kind"),
    also=[by_search, by_numpy, by_series_of_words, by_loop],
)
