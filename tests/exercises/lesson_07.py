"""Answers to the exercises of lesson 07: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import math

import numpy as np
from exercises.common import table

from helpers import roles
from helpers.analyse import designs
from helpers.checks import lesson_07

EXERCISES, answers = table()


OWN = "{q} In this matter I speak as {r}."
ROLE = roles.Role("This question is a law problem involving a lease.", "a notary who reads aloud")


def filled(q, r, template):
    return template.format(q=q.strip().rstrip(".") + ".", r=r.strip().rstrip("."))


def rendered(q, r, template):
    return f"[{filled(q, r, template)}]" if template else ""


answers(
    lesson_07.render,
    rendered,
    (lambda q, r, t: t, "placeholder is left"),
    (lambda q, r, t: [filled(q, r, t)], "as text"),
    (filled, "brackets are missing"),
    (lambda q, r, t: f"[[{filled(q, r, t)}]]", "One opening and one closing"),
    (lambda q, r, t: f"[{filled(q, r, t)[:-1]}].", "closing bracket comes last"),
    (lambda q, r, t: rendered(q, r, t).lower(), "the role prompt is"),
    (lambda q, r, t: rendered(r, q, t), "in each other's place"),
    (lambda q, r, t: f"[{t.format(q=q.strip(), r=r.strip().rstrip('.'))}]", "without its full stop"),
    (lambda q, r, t: f"[{t.format(q=q.strip().rstrip('.') + '.', r=r.strip())}]", "Two full stops"),
    (lambda q, r, t: f"[{t.format(q=q.rstrip('.') + '.', r=r.rstrip('.'))}]", "blanks around"),
    (
        lambda q, r, t: f"[{t.format(q=q.strip().rstrip('.') + '.', r=r.rstrip('.').strip())}]" if t else "",
        "blanks around a fact",
    ),
    (lambda q, r, t: f"[{filled(q, r, t)}]", "an empty pair of brackets"),
    (lambda q, r, t: rendered(q, r, t) or None, "as text"),
    (lambda q, r, t: rendered(q, r, t).replace("As a result", "Thus"), "Wrong for design 2"),
    also=[
        lambda q, r, t: (
            t and "[" + t.replace("{q}", q.strip().rstrip(".") + ".").replace("{r}", r.strip().rstrip(".")) + "]"
        ),
        lambda q, r, t: "".join(("[", filled(q, r, t), "]")) if t else "",
        lambda q, r, t: "" if not t else "[%s]" % filled(q, r, t),  # noqa: UP031
        lambda q, r, t: np.str_(rendered(q, r, t)),
    ],
)


answers(
    lesson_07.ninth,
    OWN,
    (9, "is a int"),
    ("[{q} I speak as {r}.]", "Leave the brackets out"),
    ("{q} I know.", "{r} is missing"),
    ("I speak as {r}.", "{q} is missing"),
    ("{q} I speak as {r}, yes, {r}.", "stands there 2 times"),
    ("{q} I speak as {r} for {topic}.", "'{topic}'"),
    ("{q} I speak as {r}}.", "'}'"),
    ("Well. {q} I speak as {r}.", "Begin with {q}"),
    ("{q}\nI speak as {r}.", "One line"),
    ("{q} {r}.", "no word between"),
    ("{q} \N{EM DASH} {r}.", "no word between"),
    ("{q} I think like a {r}.", "The article stands there twice"),
    ("{q} I speak as  {r}.", "Two blanks"),
    ("{q} I speak as {r}..", "one full stop"),
    ("{q}. I speak as {r}.", "its own full stop"),
    ("{q} I speak as{r}.", "Blanks are missing"),
    ("{q} I speak as {r}", "End with a full stop"),
    ("{q} Like expert (B), I speak as {r}.", "looks like an option"),
    ("{q} Plan C is to speak as {r}.", "looks like an option"),
    ("{q} Answer A, said by {r}.", "looks like an option"),
    ("{q} Fortunately, I am {r}.", "design 6 of Table 3"),
    ("{q} Fortunately, I am {r}, as you know.", "Table 3 design whole"),
    ("{q} Fortunately, I am also {r}.", "Table 3 design whole"),
    ("{q} therefore i will answer it as {r}.", "design 3 of Table 3"),
    ("{q} For this reason: I'll be {r}.", "design 7 of Table 3"),
    ("{q} Well, as a result I will solve it like {r}.", "Table 3 design whole"),
    ("{q} and {r}.", "a description does not contain"),
    also=[
        "{q} A good answer here would be given by {r}, and I am that person.",
        "{q} Now I answer as if I were {r}.",
        "{q} So this is a case for {r}, whose words follow.",
        "{q} Asked about this, I speak with the voice of {r}.",
    ],
)


def variances(shares, n):
    return [p * (1 - p) / n[name] for name, p in shares.items()]


def smoothed(s, n):
    p = {k: (s[k] * n[k] + 1) / (n[k] + 2) for k in s}
    return math.sqrt(sum(variances(p, n))) / len(s)


answers(
    lesson_07.average_error,
    designs.average_error,
    (lambda s, n: 100 * designs.average_error(s, n), "in points"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) / m for p, m in zip(s.values(), n.values()))) / len(s), "in their order"),
    (lambda s, n: np.mean(np.sqrt(variances(s, n))), "average the standard errors"),
    (lambda s, n: math.sqrt(sum(variances(s, n))), "of the *sum*"),
    (lambda s, n: math.sqrt(np.mean(variances(s, n))), "the *square*"),
    (lambda s, n: sum(variances(s, n)) / len(s) ** 2, "take the root"),
    (
        lambda s, n: math.sqrt((p := sum(s[k] * n[k] for k in s) / sum(n.values())) * (1 - p) / sum(n.values())),
        "pool all",
    ),
    (lambda s, n: math.sqrt((p := np.mean(list(s.values()))) * (1 - p) / sum(n.values())), "formula of one benchmark"),
    (lambda s, n: np.std(list(s.values()), ddof=1) / math.sqrt(len(s)), "not a sample"),
    (lambda s, n: math.sqrt(sum(s[k] / n[k] for k in s)) / len(s), "p(1-p), not p"),
    (lambda s, n: math.sqrt(sum(variances(s, n))) / 3, "take their number"),
    (lambda s, n: sum(np.sqrt(variances(s, n))), "You add the standard errors"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) / n[k] ** 2 for k, p in s.items())) / len(s), "the square of n"),
    (lambda s, n: 1.96 * designs.average_error(s, n), "95 % interval"),
    (lambda s, n: round(designs.average_error(s, n), 3), "do not round"),
    (lambda s, n: round(designs.average_error(s, n), 2), "do not round"),
    (lambda s, n: np.std(list(s.values())), "not a sample"),
    (lambda s, n: math.sqrt((p := np.mean(list(s.values()))) * (1 - p) / min(n.values())), "formula of one benchmark"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) for p in s.values()) / sum(n.values())), "all benchmarks together"),
    (lambda s, n: smoothed(s, n), "one right and one wrong answer"),
    (lambda s, n: math.sqrt(sum((1 - p) / n[k] for k, p in s.items())) / len(s), "not 1-p"),
    (lambda s, n: math.sqrt(sum(p * p / n[k] for k, p in s.items())) / len(s), "not p²"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) / math.sqrt(n[k]) for k, p in s.items())) / len(s), "by the root of n"),
    (lambda s, n: math.sqrt(sum(variances(s, n))) / (len(s) - 1), "minus one"),
    (lambda s, n: math.sqrt(min(variances(s, n))), "most precise benchmark alone"),
    (lambda s, n: np.mean(list(s.values())), "the average itself"),
    (lambda s, n: 2 * designs.average_error(s, n), "the factor 2 out"),
    (lambda s, n: math.sqrt(2) * designs.average_error(s, n), "error of a *difference*"),
    (lambda s, n: -designs.average_error(s, n), "not negative"),
    (lambda s, n: math.nan, "nan is not one"),
    (lambda s, n: str(designs.average_error(s, n)), "one number"),
    (lambda s, n: 0.6, "which step differs"),
    (lambda s, n: [0.1], "one number"),
    also=[
        lambda s, n: np.float32(designs.average_error(s, n)),
        lambda s, n: np.linalg.norm(np.sqrt(variances(s, n))) / len(s),
        lambda s, n: math.hypot(*map(math.sqrt, variances(s, n))) / len(n),
        lambda s, n: (sum(s[k] * (1 - s[k]) / n[k] for k in n) / len(n) ** 2) ** 0.5,
    ],
)
