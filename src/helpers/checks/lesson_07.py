"""Checks of lesson 07: a design rendered from two facts, a ninth design, the standard error of an average."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from .. import roles
from . import check, close, expect, numbers, solved

_Q, _R = "This question is a law problem involving a lease.", "a notary who reads aloud"
_STRAY = re.compile(r"\{[^{}]*\}?|\}")
_OPTION = re.compile(r"\(?\b[B-F]\b\)?|\(A\)|\bA\b(?! [a-z])")  # a capital that is not a word


def _words(template: str) -> str:
    """The words of a template, in small letters, without punctuation and contractions: its wording for a reader."""
    spoken = (
        template.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("'ll", " will").replace("'m", " am")
    )
    return " ".join(re.findall(r"\w+", spoken))


@check
def render(student: Callable[[str, str, str], str]) -> str:
    """The bracketed role prompt of a template, with or without full stops and blanks around its facts."""
    plain = "{q} Now hear {r}."
    wanted = f"[{_Q} Now hear {_R}.]"
    text = _text(solved(student(_Q, _R, plain)))
    expect("{" not in text, f"A placeholder is left: {text!r}. Fill in both {{q}} and {{r}}.")
    expect(text != wanted[1:-1], "The wording is right, but the brackets are missing. A program finds the end by them.")
    expect(
        text.count("[") == text.count("]") == 1,
        f"One opening and one closing bracket, around everything; yours is {text!r}.",
    )
    expect(text.endswith("]"), f"The closing bracket comes last, after the full stop; yours is {text!r}.")
    expect(
        text != f"[{_R}. Now hear {_Q.rstrip('.')}.]",
        "The facts stand in each other's place: {q} is the question description, {r} the role description.",
    )
    expect(text == wanted, f"For these facts and {plain!r} the role prompt is {wanted!r}; yours is {text!r}.")

    for q, r, when in (
        (_Q.rstrip("."), _R, "the question description comes without its full stop"),
        (_Q, f"{_R}.", "the role description comes with a full stop"),
        (f" {_Q}\n", f" {_R} ", "both facts have blanks around them"),
        (f"{_Q.rstrip('.')} ", f" {_R}. ", "there are blanks around a fact, and its full stop is not as usual"),
    ):
        text = _text(student(q, r, plain))
        expect(".." not in text, f"Two full stops in a row when {when}: {text!r}. First remove the fact's own.")
        expect(
            text == wanted,
            f"When {when}, yours is {text!r}; it should be {wanted!r}. First remove the blanks, then the full stop.",
        )
    role = roles.Role("This question is a history problem involving the U.S. Senate.", "a clerk who knows the {rules}")
    for number, template in roles.DESIGNS.items():
        text = _text(student(role.question_description, role.role_description, template))
        expect(
            text != "[]",
            'Design 0 has an empty template. Its role prompt is "": a model would learn to write an empty pair of brackets.',
        )
        expect(
            text == role.text(number),
            f"Wrong for design {number}, {template!r}: {text!r} instead of {role.text(number)!r}.",
        )
    return "all nine wordings of Table 3 come from the same two facts"


def _text(value: object) -> str:
    expect(isinstance(value, str), f"Return the role prompt as text; this is a {type(value).__name__}.")
    return value


@check
def ninth(design: str) -> str:
    """A template that loses nothing: rendered, read back, stripped, and not mistaken for a design of Table 3."""
    design = solved(design)
    expect(
        isinstance(design, str), f"A design is a text with {{q}} and {{r}} in it; this is a {type(design).__name__}."
    )
    expect(
        "[" not in design and "]" not in design,
        "Leave the brackets out: `render` adds them. A second pair inside would end the role prompt too early, "
        "and the rest would be read as the answer.",
    )
    for name, fact in (("{q}", "question description"), ("{r}", "role description")):
        expect(name in design, f"{name} is missing: the role prompt would not hold the {fact}.")
        expect(design.count(name) == 1, f"{name} stands there {design.count(name)} times: use it once.")
    stray = _STRAY.search(design.replace("{q}", "").replace("{r}", ""))
    expect(not stray, f"{stray and stray[0]!r}: only {{q}} and {{r}} can be filled in.")
    expect(
        design.startswith("{q}"),
        'Begin with {q}: `roles.strip` knows a role prompt by its first words, "[This question is". Yours would stay in the '
        "answer, and a letter in it could be read as an option.",
    )
    expect("\n" not in design, "One line, please: a line break may end an answer.")
    between, after = design.removeprefix("{q}").split("{r}")
    expect(
        any(map(str.isalpha, between)),
        "There is no word between {q} and {r}: `parse` cannot see where one ends and the other begins.",
    )
    expect(not between.startswith("."), "{q} brings its own full stop: yours would be the second.")
    expect(
        between.startswith(" ") and between.endswith(" "),
        f"Blanks are missing around {between.strip()!r}: the words would run together.",
    )
    expect(
        not re.search(r"\ban?\s*$", between, re.IGNORECASE),
        'The article stands there twice: {r} brings its own ("a notary"), so end the words before it without "a".',
    )
    expect("  " not in design, "Two blanks in a row: one is enough.")
    expect(design.endswith("."), "End with a full stop, as all of Table 3 does; {r} brings none.")
    expect(not design.endswith((" .", "..")), "End with one full stop, and no blank before it.")
    letter = _OPTION.search(f"{between} {after}")
    expect(
        not letter,
        f"{letter and letter[0]!r} looks like an option. If the model forgets a bracket, it would be read as the answer.",
    )
    own = f" {_words(between)} "
    for number, template in list(roles.DESIGNS.items())[2:]:
        expect(
            _words(template) != _words(design),
            f"That is design {number} of Table 3 (capitals, stops and blanks do not count); make one of your own.",
        )
        expect(
            f" {_words(template[len('{q}') : -len('{r}.')])} " not in own,
            f"It holds a Table 3 design whole (design {number}): `parse` may take your role prompts for that one's.",
        )

    senate = "This question is a history problem involving the U.S. Senate."
    busy = senate.replace("Senate", "and what it did for, with and as an ally of the states in Europe by 1945")
    facts = [
        roles.DECLINED,
        roles.Role(_Q, _R),
        roles.Role(senate, "a historian of the U.S. Senate"),
        roles.Role(busy, "a historian"),
    ]
    for role in facts:
        text = role.text(design)
        expect(
            roles.parse(text, design) == role,
            f"Read back, {text!r} gives {roles.parse(text, design)}. Choose words that a description does not contain.",
        )
        expect(roles.strip(f"{text} (C)") == (text, "(C)"), f"A part of {text!r} stays in the answer.")
    words = len(design.replace("{q}", "").replace("{r}", "").split())
    return f"{words} words of your own: {facts[1].text(design)} To train it, put it into DESIGNS (top of the lesson)"


@check
def average_error(student: Callable[[Mapping[str, float], Mapping[str, int]], float]) -> str:
    """sqrt(sum of p(1-p)/n) / number of benchmarks, in shares."""
    shares, n = {"a": 0.5, "b": 0.2, "c": 0.9}, {"c": 900, "a": 100, "b": 400}
    variances = [0.25 / 100, 0.16 / 400, 0.09 / 900]  # 0.0025, 0.0004, 0.0001: sum 0.003
    value = solved(student(dict(shares), dict(n)))
    expect(numbers(value) and not isinstance(value, str), f"Return one number; this is a {type(value).__name__}.")
    value = float(value)
    expect(math.isfinite(value), f"Return one number; {value} is not one.")
    wanted = math.sqrt(sum(variances)) / 3
    pooled = sum(shares[k] * n[k] for k in n) / sum(n.values())
    by_order = math.sqrt(sum(p * (1 - p) / m for p, m in zip(shares.values(), n.values()))) / 3
    mean = sum(shares.values()) / 3
    apart = math.sqrt(sum((p - mean) ** 2 for p in shares.values()))
    add_two = {k: (p * n[k] + 1) / (n[k] + 2) for k, p in shares.items()}  # as the lesson does for our own intervals
    for wrong, message in {
        100 * wanted: "Right, but in points: return a share (0.018, not 1.8).",
        by_order: "You go through both dictionaries in their order: look n up by the benchmark's name.",
        sum(map(math.sqrt, variances))
        / 3: "You average the standard errors. Errors of different benchmarks partly cancel: "
        "add the *variances*, and take the root at the end.",
        math.sqrt(
            sum(variances)
        ): "That is the standard error of the *sum*: an average divides it by the number of benchmarks.",
        math.sqrt(
            sum(variances) / 3
        ): "You divide the variance by the number of benchmarks; an average divides it by the *square* "
        "of that number (or the root by the number).",
        sum(variances) / 9: "That is the variance: take the root.",
        math.sqrt(
            pooled * (1 - pooled) / sum(n.values())
        ): "You pool all questions. Then the largest benchmark decides; in the "
        "paper's average each benchmark counts the same.",
        math.sqrt(
            mean * (1 - mean) / sum(n.values())
        ): "You put the average accuracy into the formula of one benchmark. Take each benchmark's own p(1-p)/n.",
        **dict.fromkeys(
            [apart / math.sqrt(k) for k in (2, 3, 2 * 3, 3 * 3)],
            "That is how far the *benchmarks* lie apart. The benchmarks are not a sample; the questions are.",
        ),
        **dict.fromkeys(
            [math.sqrt(mean * (1 - mean) / k) for k in (sum(n.values()) / 3, min(n.values()))],
            "You put the average accuracy into the formula of one benchmark. Take each benchmark's own p(1-p)/n.",
        ),
        **dict.fromkeys(
            [math.sqrt(sum(p * (1 - p) for p in shares.values()) / sum(n.values()) / k) for k in (1, 3, 9)],
            "You divide by the questions of all benchmarks together. Divide each p(1-p) by its own n, then add.",
        ),
        **dict.fromkeys(
            [
                math.sqrt(sum(p * (1 - p) / m for p, m in (((q, n[k] + extra) for k, q in add_two.items())))) / 3
                for extra in (0, 2)
            ],
            "You add one right and one wrong answer, as the lesson does for *our* few questions. Here take p as it is.",
        ),
        math.sqrt(sum((1 - p) / n[k] for k, p in shares.items())) / 3: "The variance of right or wrong is p(1-p), not "
        "1-p.",
        math.sqrt(sum(p * p / n[k] for k, p in shares.items()))
        / 3: "The variance of right or wrong is p(1-p), not p².",
        math.sqrt(sum(math.sqrt(p * (1 - p)) / n[k] for k, p in shares.items()))
        / 3: "You take the root of p(1-p), and "
        "once more of the sum. Add the variances p(1-p)/n; take one root, at the end.",
        math.sqrt(sum(p * (1 - p) / math.sqrt(n[k]) for k, p in shares.items()))
        / 3: "You divide by the root of n. The variance is p(1-p)/n; take the root at the end.",
        sum(map(math.sqrt, variances))
        / 9: "You add standard errors and divide by the number twice. Add the *variances*, "
        "take the root, then divide once.",
        sum(map(math.sqrt, variances))
        / math.sqrt(3): "You add standard errors. Add the *variances*, take the root, then divide by the number.",
        math.sqrt(sum(variances))
        / 2: "You divide by the number of benchmarks minus one; an average divides by their number.",
        math.sqrt(min(variances)): "That is the error of the most precise benchmark alone.",
        mean: "That is the average itself. Its standard error is asked for.",
        100
        * sum(map(math.sqrt, variances))
        / 3: "You average the standard errors (and in points). Add the *variances*, and return a share.",
        2 * wanted: "That is half of the 95 % interval: leave the factor 2 out.",
        3.92 * wanted: "That is the width of the 95 % interval: leave the factor 2 × 1.96 out.",
        math.sqrt(2) * wanted: "That is the error of a *difference* of two averages: leave the factor √2 out.",
        math.sqrt(sum(shares[k] / n[k] for k in n)) / 3: "The variance of right or wrong is p(1-p), not p.",
        math.sqrt(sum(1 / m for m in n.values())) / 3: "p(1-p) is missing: the variance of one answer.",
        math.sqrt(sum(0.25 / m for m in n.values())) / 3: "You use p = 0.5 everywhere. Take each benchmark's own p.",
        math.sqrt(sum(p * (1 - p) / (n[k] - 1) for k, p in shares.items())) / 3: "You divide by n - 1; the formula of "
        "this lesson divides by n.",
        math.sqrt(sum(p * (1 - p) / n[k] ** 2 for k, p in shares.items())) / 3: "You divide p(1-p) by the square of n: "
        "the variance of an accuracy is p(1-p)/n.",
        math.sqrt(sum(p * (1 - p) for p in shares.values())) / 3: "You do not divide by n: that is the variance of one "
        "answer, not of an accuracy.",
        sum(
            map(math.sqrt, variances)
        ): "You add the standard errors. Add the *variances*, take the root, then divide by the number of benchmarks.",
        sum(variances): "That is the sum of the variances: take the root, then divide by the number of benchmarks.",
        sum(variances) / 3: "That is the mean variance: take the root of the *sum*, then divide by the number.",
        math.sqrt(sum(p * (1 - p) * n[k] for k, p in shares.items())) / sum(n.values()): "You weigh the benchmarks by "
        "their questions; in the paper's average each benchmark counts the same.",
        math.sqrt(max(variances)): "That is the error of the smallest benchmark alone.",
        1.959964 * wanted: "That is half of the 95 % interval: leave the factor 1.96 out.",
        1.96 * wanted: "That is half of the 95 % interval: leave the factor 1.96 out.",
    }.items():
        expect(not close(value, wrong), message)
    expect(
        close(value, wanted) or not any(close(value, round(wanted, places)) for places in range(1, 6)),
        "Right, but rounded: do not round.",
    )
    expect(
        close(value, wanted),
        "For p = 0.5, 0.2, 0.9 and n = 100, 400, 900 the variances p(1-p)/n are 0.0025, 0.0004 and 0.0001. Their sum is "
        f"0.003, and its root divided by 3 is {wanted:.5f}; you say {value:.5f}. {_difference(value / wanted)}",
    )
    two = float(student({"x": 0.5, "y": 0.5}, {"x": 100, "y": 100}))
    expect(
        close(two, 0.05 / math.sqrt(2)),
        f"Right for three benchmarks, but not for two ({two:.4f}): take their number from `shares`.",
    )
    return f"two benchmarks of 100 questions, averaged: {100 * two:.1f} points instead of 5.0 for each alone"


def _difference(ratio: float) -> str:
    """What the ratio of an answer to the right one hints at."""
    if ratio < 0:
        return "A standard error is not negative."
    return f"Yours is {ratio:.3g} times as large: which step differs?"
