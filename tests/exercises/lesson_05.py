"""Answers to the exercises of lesson 05: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import re
from ast import literal_eval
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from exercises.common import table

from helpers import roles
from helpers.checks import lesson_05

EXERCISES, answers = table()


STOPS = ("who", "that", "with", "of", "in", "for", "at", "from", "specializing")


def cut(description, stops=STOPS, lower=True, plural=False):
    """A head noun rule that can be spoilt."""
    head = []
    for word in (description.lower() if lower else description).split():
        if word in stops:
            break
        head.append(word.strip(",."))
        if word.endswith(","):
            break
    noun = head[-1] if head else ""
    noun = noun[:-1] if noun.endswith("s") and not noun.endswith("ss") and not plural else noun
    return None if noun in ("", "a", "an") else noun


def with_regex(description):
    head = re.split(rf"\b(?:{'|'.join(STOPS)})\b|,", description.lower())[0]
    words = [word for word in re.findall(r"[a-z-]+", head) if word not in ("a", "an", "the")]
    return re.sub("(?<!s)s$", "", words[-1]) if words else None


answers(
    lesson_05.role_noun,
    cut,
    (lambda d: d.split()[0] if d else None, "return the article"),
    (lambda d: d.split()[1] if d else None, "first word after the article"),
    (lambda d: d.split("who")[0].split()[-2], "last word but one"),
    (lambda d: d.split("who")[0].strip(), "last word of the head only"),
    (lambda d: "who", "cut *before* the word"),
    (lambda d: "explanations", "cut it at 'who' first"),
    (lambda d: 3, "Return one word as a string"),
    (lambda d: cut(d, ("who", "that")), "start a complement"),
    (lambda d: cut(d, lower=False), "Lower-case the description first"),
    (lambda d: "experts" if "experts" in d else cut(d), "drop the final 's'"),
    (lambda d: n if (n := cut(d)) != "boss" else "bos", "keep it after another 's'"),
    (lambda d: cut(d, ("who", "that", "with", "of", "in", "specializing", "skilled")), "do not cut there"),
    (lambda d: cut(d.replace("window", "w in dow")), "Compare whole words"),
    (lambda d: cut(d) or "", "return None"),
    (lambda d: cut(d) if d else d[0], "'' stops your function with IndexError"),
    (lambda d: cut(d, [s for s in STOPS if s != "for"]), "'for' starts a complement, too"),
    (lambda d: cut(d, [s for s in STOPS if s != "at"]), "'at' starts a complement, too"),
    (lambda d: cut(d, [s for s in STOPS if s != "from"]), "'from' starts a complement, too"),
    (lambda d: re.sub("(e|(?<!s))s$", "", cut(d, plural=True) or "") or None, "not 'es'"),
    (lambda d: (cut(d) or "").title() or None, "not 'Teacher'"),
    (lambda d: f"{cut(d)} ", "without blanks around it"),
    also=[
        roles.role_noun,
        lambda d: np.str_(cut(d)) if cut(d) else None,
        lambda d: next((n for n in [cut(d)] if n), None),
        lambda d: cut(" ".join(d.split())),
        lambda d: pd.Series([d]).map(cut).iloc[0],
        with_regex,
    ],
)


def kappa(first, second, chance=lambda p, q: p * q + (1 - p) * (1 - q), divide=True):
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second)) / n
    expected = chance(sum(first) / n, sum(second) / n)
    if expected == 1:
        return observed, 0.0
    return observed, (observed - expected) / ((1 - expected) if divide else 1)


def by_table(counts):
    """Cohen's kappa from the table of both people's labels."""
    counts = counts.reindex(index=[False, True], columns=[False, True], fill_value=0) / counts.to_numpy().sum()
    observed, chance = np.trace(counts), (counts.sum(axis=1) * counts.sum(axis=0)).sum()
    return observed, (observed - chance) / (1 - chance) if chance < 1 else 0.0


answers(
    lesson_05.agreement,
    kappa,
    (lambda a, b: (100 * kappa(a, b)[0], kappa(a, b)[1]), "not percent"),
    (lambda a, b: (sum(x == y for x, y in zip(a, b)), 0), "divide by the number of roles"),
    (lambda a, b: (1 - kappa(a, b)[0], 0), "agreement is where they are equal"),
    (lambda a, b: (sum(x and y for x, y in zip(a, b)) / len(a), 0), "both say False"),
    (lambda a, b: (kappa(a, b)[0],) * 2, "not taken out"),
    (lambda a, b: kappa(a, b, lambda p, q: 0.5), "take chance as one half"),
    (lambda a, b: kappa(a, b, lambda p, q: p * q), "add the case that both say False"),
    (lambda a, b: kappa(a, b, divide=False), "do not divide by what is left"),
    (lambda a, b: (kappa(a, b)[0], max(kappa(a, b)[1], 0)), "do not cut it off"),
    (lambda a, b: (kappa(a, b)[0], kappa(a, b)[1] if a != b else 0.0), "kappa of 1"),
    (lambda a, b: (1.0, 1.0) if a == b else kappa(a, b), "Both say True to everything"),
    (lambda a, b: (1.0, 1 / (1 - sum(a) / len(a))) if all(a) else kappa(a, b), "divide you by zero"),
    (lambda a, b: kappa(a, b)[0], "Return two numbers"),
    (lambda a, b: kappa(a, b)[::-1], "the other way round"),
    (lambda a, b: tuple(map(str, kappa(a, b))), "not text"),
    (lambda a, b: kappa(a, b, lambda p, q: ((p + q) / 2) ** 2 + (1 - (p + q) / 2) ** 2), "the mean of both shares"),
    (lambda a, b: kappa(a, b, lambda p, q: p * p + (1 - p) ** 2), "only the first person's share"),
    (lambda a, b: kappa(a, b, lambda p, q: q * q + (1 - q) ** 2), "only the second person's share"),
    (lambda a, b: kappa(a, b, lambda p, q: p * (1 - q) + q * (1 - p)), "that of different labels"),
    (lambda a, b: (kappa(a, b)[0], (kappa(a, b)[0] - 0.62) / kappa(a, b)[0]), "divide by the observed share"),
    (lambda a, b: (kappa(a, b)[0], np.corrcoef(a, b)[0, 1]), "Pearson's correlation"),
    (lambda a, b: tuple(round(x, 3) for x in kappa(a, b)), "Do not round"),
    (lambda a, b: (sum(x == y for x, y in zip(a, b)) / 10, kappa(a, b)[1]), "is a 10 left in your formula"),
    (lambda a, b: (1.0, 1.0) if not any(a + b) else kappa(a, b), "Both say False to everything"),
    (lambda a, b: (0.0, 0.0) if all(a + b) else kappa(a, b), "so the share is 1"),
    also=[
        lambda a, b: tuple(np.float32(x) for x in kappa(a, b)),
        lambda a, b: np.array(kappa(a, b)),
        lambda a, b: list(kappa(np.array(a), np.array(b))),
        lambda a, b: (x for x in kappa(a, b)),
        lambda a, b: by_table(pd.crosstab(pd.Series(a), pd.Series(b))),
    ],
)


LABELS = [True, True, True, False, True, True, False, True, False, True, True, False]
NOTEBOOK = nbformat.read(Path(__file__).parents[2] / "notebooks" / "05_role_word_clouds.ipynb", as_version=4)
LESSONS = literal_eval(next(c.source for c in NOTEBOOK.cells if c.id == "l05-34").removeprefix("FITS = "))
BEGINNINGS = {d: tuple(w[:8] for w in words) for d, words in lesson_05.ON_TOPIC.items()}


def fits(domain, description, beginnings=BEGINNINGS):
    return (roles.role_noun(description) or "").startswith(beginnings[domain])


answers(
    lambda rule: lesson_05.on_topic(rule, LABELS),
    fits,
    (lambda d, t: True, "every role on topic"),
    (lambda d, t: False, "no role on topic"),
    (lambda d, t: any(word in t.lower() for word in BEGINNINGS[d]), "not at what comes after 'who'"),
    (lambda d, t: d in t.split(" who ")[0].lower(), "domain's name inside the noun"),
    (lambda d, t: fits(d, t) and "biolog" not in t, "yours misses: biologist for biology"),
    (lambda d, t: fits(d, t) and "Lawyer" not in t, "lower-case the description"),
    (lambda d, t: fits(d, t) or "teacher" in t, "fits every domain"),
    (lambda d, t: fits(d, t) or (d == "physics" and "physici" in t), "A physician is a doctor"),
    (
        lambda d, t: any(fits(other, t) for other in BEGINNINGS if (d, other) != ("physics", "psychology")),
        "look at the domain at all",
    ),
    (lambda d, t: fits(d, t, {k: v[:1] for k, v in BEGINNINGS.items()}), "Nearly"),
    (lambda d, t: roles.role_noun(t) in LESSONS[d].split(), "The lesson's own list has such roles, too"),
    (lambda d, t: fits(d, t) or (d == "math" and "tutor" in t), "You accept tutor for math"),
    (lambda d, t: fits(d, t) or (d == "law" and "baker" in t), "You accept baker for law: nobody would ask"),
    (lambda d, t: t.split()[1].lower().startswith(BEGINNINGS[d]), "adjectives come first"),
    (lambda d, t: dict(zip(lesson_05.DOZEN, LABELS)).get((d, t), fits(d, t)), "by heart"),
    (lambda d, t: str(fits(d, t)), "Return True or False, not a str"),
    (lambda d, t: [fits(d, t)], "Return True or False, not a list"),
    (lambda d, t: (x for x in [fits(d, t)]), "Return True or False, not a generator"),
    also=[
        lambda d, t: np.bool_(fits(d, t)),
        lambda d, t: any(fits(d, t, {d: (word,)}) for word in BEGINNINGS[d]),
        lambda d, t: int(fits(d, t)),
        lambda d, t: bool(re.match("|".join(BEGINNINGS[d]), roles.role_noun(t) or "")),
    ],
)


answers(
    lambda labels: lesson_05.on_topic(fits, labels),
    LABELS,
    (LABELS[:11], "12 roles and you give 11 labels"),
    (["True"] * 12, "no quotes"),
    ([1, *LABELS[1:]], "1 is neither"),
    (True, "list of 12 booleans, not bool"),
    ([True] * 12, "label all twelve True"),
    ([not x for x in LABELS], "the other way round"),
    ([False] * 12, "label all twelve False"),
    (LABELS * 2, "12 roles and you give 24 labels"),
    ({"a": True}, "12 roles and you give 1 labels"),
    ([None] * 12, "None is neither"),
    (None, "my_labels is None"),
    ("TTTFTTFTFTTF", "'T' is neither"),
    also=[np.array(LABELS), tuple(LABELS), pd.Series(LABELS), [np.bool_(x) for x in LABELS], (x for x in LABELS)],
)
