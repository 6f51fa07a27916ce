"""Checks of lesson 01: take a reply apart, render a design, decide what became of a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import annotate, paper, roles
from . import check, expect, solved

_Q = "This question is an optics problem involving lenses."
_R = "an optician who explains with sketches"
_FORM = f"A: {_Q} To better solve it, I will act as {_R}."

_ACCEPTED = (
    (paper.EXAMPLES[1], "the paper's own example"),
    (_FORM, 'a reply with "an" before the field and before the role: allow "a" and "an"'),
    (_FORM.removeprefix("A: "), 'a reply without "A:", which annotators often leave out: make it optional'),
    (_FORM.removesuffix("."), "a reply without the last full stop: make it optional"),
    (
        _FORM.replace(". To", ".\nTo").replace("act as ", "act as\n  "),
        "line breaks: join the words with single spaces first",
    ),
    (f"\n{_FORM} \n", "white space around the reply: strip it"),
)
_REFUSED = (
    ("I'm sorry, but I can't help with that.", "a refusal: there is no role in it"),
    ("", "an empty reply"),
    (
        "A: This question is a [] problem involving []. To better solve it, I will act as a [] who [].",
        "the unfilled form: square brackets may not be part of a description (a role prompt is put into brackets later)",
    ),
    (_FORM.replace("A: ", "A: [").replace("sketches.", "sketches.]"), "a reply inside brackets"),
    (f"Sure, here it is! {_FORM}", "a reply with a greeting: match from the very beginning (re.fullmatch)"),
    (_FORM.split(" To better")[0], "a reply without a role: both halves are needed"),
    (
        _FORM.replace("To better solve it, I will act as", "I'd pick"),
        "another wording: a reply out of form is asked again, not guessed at",
    ),
    (
        _FORM.replace("act as an optician", "act as optician"),
        'a role without "a" or "an": "I will think like optician" would not read',
    ),
)


@check
def parser(my_parse: Callable[[str], tuple[str, str] | None]) -> str:
    """Compare with `roles.parse_annotation`: six replies in form, eight out of form."""
    if my_parse(_FORM) is ...:
        raise NotImplementedError
    for text, what in _ACCEPTED:
        mine, right = my_parse(text), roles.parse_annotation(text)
        expect(mine is not None, f"You refuse {what}")
        expect(
            isinstance(mine, tuple) and len(mine) == 2 and all(isinstance(m, str) for m in mine),
            f"Return a tuple of two strings or None; for {text[:40]!r} yours is {mine!r}",
        )
        q, r = mine
        expect("A:" not in q, f'Your question description starts with "A:": it begins at "This question": {q!r}')
        expect(
            "\n" not in q + r and "  " not in q + r,
            "Line breaks or double spaces are left in a description: join the words first",
        )
        expect(
            q.endswith("."), f"The question description keeps its full stop (roles.render relies on it), yours is {q!r}"
        )
        expect(
            not r.endswith("."),
            f"The role description ends without a full stop (it stands inside a sentence), yours is {r!r}",
        )
        expect("act as" not in r, f'The role description begins behind "I will act as", yours is {r!r}')
        expect(
            r == right.role_description or not right.role_description.startswith(r),
            f"The role description stops too early, at {r!r}: a lazy pattern goes to the end only with re.fullmatch",
        )
        expect(r == right.role_description, f"Role description: expected {right.role_description!r}, yours is {r!r}")
        expect(
            q == right.question_description,
            f"Question description: expected {right.question_description!r}, yours is {q!r}",
        )
    for text, what in _REFUSED:
        expect(my_parse(text) is None, f"You accept {what}. The reply was {text[:70]!r}")
    return f"{len(_ACCEPTED)} replies taken apart, {len(_REFUSED)} refused, just as roles.parse_annotation does"


@check
def design_6(my_render: Callable[[str, str], str]) -> str:
    """Compare with `roles.render(..., design=6)`, with and without full stops at the ends."""
    mine, right = solved(my_render(_Q, _R)), roles.render(_Q, _R, 6)
    expect(isinstance(mine, str), f"A role prompt is one string, yours is a {type(mine).__name__}")
    expect(
        mine.startswith("[") and mine.endswith("]"),
        "The role prompt stands in square brackets: they let us strip it off again",
    )
    expect("Fortunately" in mine, 'Design 6 joins the two facts with "Fortunately, I am"')
    expect("  " not in mine, "There is a double space in your role prompt")
    expect("lenses. Fort" in mine, f"One full stop and one space stand before Fortunately, yours is {mine!r}")
    expect(mine.endswith(".]"), "The full stop of the last sentence stands inside the brackets")
    expect(mine == right, f"Expected {right!r}, yours is {mine!r}")
    cases = {
        (_Q, _R + "."): "a role description that brings its own full stop gets a second one",
        (
            _Q.rstrip("."),
            _R,
        ): "a question description without a full stop stays without one: the two sentences run together",
        (_Q.rstrip("."), _R + "."): "no stop behind the first part, one behind the second",
        (f" {_Q} ", f" {_R} "): "white space around the descriptions gets into the prompt: strip it",
    }
    for (q, r), what in cases.items():
        mine, right = my_render(q, r), roles.render(q, r, 6)
        expect(mine == right, f"The full-stop trap: {what}. Yours: {mine!r}")
    return "one full stop behind each sentence, whatever the descriptions brought along"


def _record(reply: str, finish: str = "stop") -> dict[str, Any]:
    return {"reply": reply, "finish": finish}


_OUTCOMES = (
    (_record(_FORM), "a reply in form"),
    (
        _record(_FORM, "length"),
        'a reply in form that ended exactly at the limit: what parses is "parsed", whatever the finish',
    ),
    (
        _record(_FORM.replace("explains with sketches", "can't see a blur without curing it")),
        'a reply in form whose role happens to contain "can\'t": ask the parser before you look for refusals',
    ),
    (_record("I'm sorry, but I can't give this question a role."), "a refusal in words"),
    (_record("I won't annotate this."), "a refusal in other words (won't)"),
    (_record("", "content_filter"), "a reply that the server's filter removed: the finish says it, the text is empty"),
    (_record("This goes against my guidelines.", "refusal"), "a refusal that only the finish gives away"),
    (
        _record("Sorry, I have to decline this, as the question", "length"),
        "a refusal that was cut: it is still a refusal",
    ),
    (_record(_FORM[:60], "length"), "a reply in form that ends in mid-sentence at the limit"),
    (_record("An optician would be a good choice here."), "a polite reply out of form: it is asked again"),
    (_record(""), "an empty reply that ended by itself"),
    (
        _record("An optician. " + "Lenses bend light towards a focus. " * 5 + "They cannot bend it away."),
        'a long reply out of form with "cannot" far behind: look for refusals in the first 120 characters only',
    ),
)


@check
def outcome(my_outcome: Callable[[dict[str, Any]], str]) -> str:
    """Compare with `annotate.outcome` on replies of every kind."""
    names = ("parsed", "declined", "cut off", "malformed")
    for record, what in _OUTCOMES:
        mine, right = solved(my_outcome(dict(record))), annotate.outcome(record)
        expect(mine in names, f"Answer with one of {', '.join(map(repr, names))}; yours is {mine!r}")
        expect(mine == right, f"You call it {mine!r}, it is {right!r}: {what}")
    return f"{len(_OUTCOMES)} replies judged as annotate.outcome does"
