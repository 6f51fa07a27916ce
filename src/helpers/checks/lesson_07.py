"""Checks of lesson 07: a design rendered from two facts, a ninth design, the standard error of an average."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from .. import roles
from . import check, close, expect, numbers, solved

_Q, _R = "This question is a law problem involving a lease.", "a notary who reads aloud"
_STRAY = re.compile(r"\{[^{}]*\}?|\}")
_OPTION = re.compile(r"\(?\b[B-F]\b\)?|\(A\)|\bA\b(?! [a-z])")  # a capital that is no word


@check
def render(student: Callable[[str, str, str], str]) -> str:
    """The bracketed role prompt of a template, whatever full stops and blanks its facts come with."""
    plain = "{q} Now hear {r}."
    wanted = f"[{_Q} Now hear {_R}.]"
    text = solved(student(_Q, _R, plain))
    expect(isinstance(text, str), f"Return the role prompt as text; this is a {type(text).__name__}.")
    expect("{" not in text, f"A placeholder is left: {text!r}. Fill in both {{q}} and {{r}}.")
    expect(
        text != wanted[1:-1], "The wording is right, the brackets are missing: without them no program finds its end."
    )
    expect(
        text.count("[") == text.count("]") == 1,
        f"One opening and one closing bracket, around everything; you: {text!r}",
    )
    expect(text.endswith("]"), f"The closing bracket comes last, behind the full stop; you: {text!r}")
    expect(text == wanted, f"For these facts and {plain!r} the role prompt is {wanted!r}; you: {text!r}")

    for q, r, what in (
        (_Q.rstrip("."), _R, "comes without its full stop"),
        (_Q, f"{_R}.", "the role description comes with a full stop"),
        (f" {_Q}\n", f" {_R} ", "has blanks around it"),
    ):
        text = student(q, r, plain)
        expect(".." not in text, f"Two full stops in a row when {what}: {text!r}. Take the fact's own away first.")
        expect(
            text == wanted,
            f"When a fact {what}: {text!r}, where {wanted!r} was expected. Bring the facts into form first.",
        )
    role = roles.Role("This question is a history problem involving the U.S. Senate.", "a clerk who knows the {rules}")
    for number, template in roles.DESIGNS.items():
        text = student(role.question_description, role.role_description, template)
        expect(
            text != "[]",
            'Design 0 has an empty template: no role prompt is "", not an empty pair of brackets that a model would learn to write.',
        )
        expect(
            text == role.text(number),
            f"Wrong for design {number}, {template!r}: {text!r} instead of {role.text(number)!r}.",
        )
    return "all nine wordings of Table 3 come from the same two facts"


@check
def ninth(design: str) -> str:
    """A template that every annotation survives: rendered, read back, stripped, and mistaken for no other."""
    design = solved(design)
    expect(
        isinstance(design, str), f"A design is a text with {{q}} and {{r}} in it; this is a {type(design).__name__}."
    )
    expect(
        "[" not in design and "]" not in design,
        "Leave the brackets out: `render` puts them around. A second pair inside would end the role prompt too early, "
        "and its rest would be read as the answer.",
    )
    for name, fact in (("{q}", "question description"), ("{r}", "role description")):
        expect(name in design, f"{name} is missing: nothing would say the {fact}.")
        expect(
            design.count(name) == 1, f"{name} stands there {design.count(name)} times: the model would say it twice."
        )
    stray = _STRAY.search(design.replace("{q}", "").replace("{r}", ""))
    expect(not stray, f"{stray and stray[0]!r}: only {{q}} and {{r}} can be filled in.")
    expect(
        design.startswith("{q}"),
        'Begin with {q}: `roles.strip` knows a role prompt by its first words, "[This question is". Yours would stay in the '
        "answer, and be searched for letters.",
    )
    expect("\n" not in design, "One line, please: the end of a line may end an answer.")
    between, behind = design.removeprefix("{q}").split("{r}")
    expect(
        between.strip(" .,;:"),
        "There is no word between {q} and {r}: `parse` could not see where one ends and the other begins.",
    )
    expect(not between.startswith("."), "{q} brings its own full stop: yours would be the second.")
    expect(
        between.startswith(" ") and between.endswith(" "),
        f"Blanks are missing around {between.strip()!r}: the words would run together.",
    )
    expect(design.endswith("."), "End with a full stop, as all of Table 3 does; {r} brings none.")
    letter = _OPTION.search(f"{between} {behind}")
    expect(
        not letter,
        f"{letter and letter[0]!r} looks like an option. When the model forgets a bracket, that would be read as its answer.",
    )
    known = {template: number for number, template in roles.DESIGNS.items()}
    expect(design not in known, f"That is design {known.get(design)} of Table 3; make one of your own.")

    facts = [
        roles.DECLINED,
        roles.Role(_Q, _R),
        roles.Role("This question is a history problem involving the U.S. Senate.", "a historian of the U.S. Senate"),
    ]
    for role in facts:
        text = role.text(design)
        expect(
            roles.parse(text, design) == role,
            f"Read back, {text!r} gives {roles.parse(text, design)}: choose words that no description would hold.",
        )
        other = roles.parse(text)
        expect(
            other is None,
            "It holds the words of a Table 3 design whole, so that your role prompts would be counted as that one's.",
        )
        expect(roles.strip(f"{text} (C)") == (text, "(C)"), f"Something of {text!r} stays in the answer.")
    words = len(design.replace("{q}", "").replace("{r}", "").split())
    return f"{words} words of your own: {facts[1].text(design)} Put it into DESIGNS (top of the lesson) to train it"


@check
def average_error(student: Callable[[Mapping[str, float], Mapping[str, int]], float]) -> str:
    """sqrt(sum of p(1-p)/n) / number of benchmarks, in shares."""
    shares, n = {"a": 0.5, "b": 0.2, "c": 0.9}, {"c": 900, "a": 100, "b": 400}
    variances = [0.25 / 100, 0.16 / 400, 0.09 / 900]  # 0.0025, 0.0004, 0.0001: sum 0.003
    value = solved(student(dict(shares), dict(n)))
    expect(numbers(value), f"Return one number; this is a {type(value).__name__}.")
    value = float(value)
    wanted = math.sqrt(sum(variances)) / 3
    pooled = sum(shares[k] * n[k] for k in n) / sum(n.values())
    by_order = math.sqrt(sum(p * (1 - p) / m for p, m in zip(shares.values(), n.values()))) / 3
    mean = sum(shares.values()) / 3
    for wrong, message in {
        100 * wanted: "Right, but in points: return a share (0.018, not 1.8).",
        by_order: "You take the two dictionaries in their order: look n up by the benchmark's name.",
        sum(map(math.sqrt, variances))
        / 3: "You average the standard errors. The errors of different benchmarks partly cancel: "
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
        math.sqrt(
            sum((p - mean) ** 2 for p in shares.values()) / 2 / 3
        ): "That is how far the *benchmarks* lie apart. They are no sample of anything; the questions are.",
        math.sqrt(sum(shares[k] / n[k] for k in n)) / 3: "The variance of right or wrong is p(1-p), not p.",
    }.items():
        expect(not close(value, wrong), message)
    expect(
        close(value, wanted),
        f"For p = 0.5, 0.2, 0.9 and n = 100, 400, 900 it is {wanted:.5f}; you say {value:.5f}.",
    )
    two = float(student({"x": 0.5, "y": 0.5}, {"x": 100, "y": 100}))
    expect(
        close(two, 0.05 / math.sqrt(2)),
        f"Right for three benchmarks, not for two ({two:.4f}): take their number from `shares`.",
    )
    return f"two benchmarks of 100 questions, averaged: {100 * two:.1f} points instead of 5.0 for each alone"
