"""Checks of lesson 01: take a reply apart, decide whether to ask again, estimate the bill."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from .. import paper, roles
from ..chat.retry import worth_asking_again
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
    """Compare with `roles.parse_annotation`: six replies in form, seven out of form."""
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
    _, role = my_parse(f"{_FORM} The answer is a convex one.") or ("", "")
    expect("answer" not in role, f"The sentence after the form ends up in your role: {role!r}")
    return f"{len(_ACCEPTED)} replies taken apart, {len(_REFUSED)} refused, just as roles.parse_annotation does"


_RETRIES = (  # status, code, what it is
    (429, "rate_limit_exceeded", "too many requests a minute: time heals it"),
    (429, "insufficient_quota", "a 429 that says your money is spent: asking again will not fill the account"),
    (None, None, "no answer came (connection cut, time-out): try again"),
    (500, None, "the server had an error of its own: try again"),
    (503, "overloaded", "the server is overloaded: try again"),
    (529, None, "a status of 500 or more that you may never have met: the trouble is the server's, try again"),
    (408, None, "the server waited too long for the request: try again"),
    (409, None, "a conflict with another request: try again"),
    (401, "invalid_api_key", "a wrong key stays wrong"),
    (403, None, "a key without the right to do this stays without it"),
    (404, "model_not_found", "a model that does not exist will not exist a second later"),
    (400, "invalid_request_error", "the request itself is wrong: the same one will be refused again"),
)


@check
def retry(my_retry: Callable[[int | None, str | None], bool]) -> str:
    """Compare with `retry.worth_asking_again` on a dozen errors."""
    solved(my_retry(429, "rate_limit_exceeded"))
    for status, code, what in _RETRIES:
        mine, right = my_retry(status, code), worth_asking_again(status, code)
        expect(isinstance(mine, (bool, np.bool_)), f"Return True or False; for status {status} yours is {mine!r}")
        expect(mine == right, f"For status {status}, code {code!r} you say {mine}: {what}")
    return f"{len(_RETRIES)} errors judged as worth_asking_again does"


@check
def bill(my_bill: Callable[[list[str], tuple[float, float]], float]) -> str:
    """Compare with the estimate of `annotate.plan`, on prompts whose price can be told in the head."""
    prompts, price = ["x" * 4000] * 250, (2.0, 10.0)  # 250,000 tokens to read, 11,250 to write: 0.50 + 0.1125 USD
    mine, right = solved(my_bill(prompts, price)), 0.6125
    expect(isinstance(mine, Real), f"A bill is one number, yours is a {type(mine).__name__}")
    mistakes = {
        right * 1e6: "Your bill is a million times too high: the prices are per million tokens",
        right * 1e3: "Your bill is a thousand times too high: the prices are per million tokens, not per thousand",
        4 * 0.5 + 0.1125: "You count letters as tokens: about four letters make one",
        0.5: "The replies are missing: written tokens cost the most",
        0.1125: "The prompts are missing: reading costs, too",
        0.5 + 0.00045: "You pay for one reply; there is one for every prompt",
        250_000 * 10 / 1e6 + 11_250 * 2 / 1e6: "The two prices are swapped: (read, written)",
        (250_000 + 11_250) * 2 / 1e6: "Written tokens have their own price, price[1]",
    }
    for wrong, what in mistakes.items():
        expect(abs(mine - wrong) > 0.001 * wrong, what)
    expect(
        abs(mine - right) < 0.02 * right, f"For 250 prompts of 4,000 letters at 2 and 10 USD: {right}, yours is {mine}"
    )
    expect(my_bill([], price) == 0, "No prompts cost nothing")
    return "the estimate of annotate.plan, which knows one thing more: how long a reply may be at most"
