"""Checks of lesson 01: take a reply apart, decide what an error means, estimate the bill, read dialogues of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pandas as pd

from .. import annotate, paper, roles
from ..chat import EndpointChat
from ..chat.retry import worth_asking_again
from ..chat.server import LONGEST_WAIT
from . import Mistake, _does_something, check, close, expect, numbers, own_dialogues, solved

# --- 1: the parser -------------------------------------------------------------------------------

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
    (
        _FORM.replace("lenses", "Node.js"),
        'a question with a dot inside a word ("Node.js"): only a dot and a space end a sentence',
    ),
    (_FORM.replace("sketches", "Node.js"), 'a dot inside a word ("Node.js"): only a dot and a space end a sentence'),
)
_REFUSED = (
    ("I'm sorry, but I can't help with that.", "a refusal: there is no role in it"),
    ("", "an empty reply"),
    (
        "A: This question is a [] problem involving []. To better solve it, I will act as a [] who [].",
        "the unfilled form: square brackets may not be part of a description (a role prompt is put into brackets later)",
    ),
    (_FORM.replace("A: ", "A: [").replace("sketches.", "sketches.]"), "a reply inside brackets"),
    (_FORM.replace("an optics", "an [optics]"), "square brackets in the question, left from the form"),
    (_FORM.replace("an optician", "an [optician]"), "square brackets in the role, left from the form"),
    (_FORM.removeprefix(f"A: {_Q} "), "a reply without a question: both halves are needed"),
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
    """Compare with `roles.parse_annotation`: replies in form, and out of form."""
    found = [my_parse(text) for text, _ in _ACCEPTED]
    if found[0] is ... or (all(one is None for one in found) and not _does_something(my_parse)):
        raise NotImplementedError
    expect(
        any(one is not None for one in found),
        f"your function returned None for every reply in form, such as {_FORM!r}: does it end with `return`, and does "
        "the pattern fit a reply as it stands?",
    )
    for (text, what), mine in zip(_ACCEPTED, found):
        right = roles.parse_annotation(text)
        expect(mine is not None, f"You refuse {what}")
        expect(
            isinstance(mine, tuple) and len(mine) == 2 and all(isinstance(m, str) for m in mine),
            f"Return a tuple of two strings or None; for {text[:40]!r} yours is {mine!r}",
        )
        q, r = mine
        expect("A:" not in q, f'Your question description starts with "A:": it begins at "This question": {q!r}')
        expect(
            not r.startswith("This question"),
            "The two descriptions are swapped: first the question's, then the role's",
        )
        expect("To better" not in q, f'The question description ends before "To better solve it": yours is {q!r}')
        expect(
            "\n" not in q + r and "  " not in q + r,
            "Line breaks or double spaces are left in a description: join the words first",
        )
        expect(q == q.strip() and r == r.strip(), "White space is left around a description: strip both")
        expect(
            q.endswith("."), f"The question description keeps its full stop (roles.render relies on it), yours is {q!r}"
        )
        expect(
            not r.endswith("."),
            f"The role description ends without a full stop (it stands inside a sentence), yours is {r!r}",
        )
        expect("act as" not in r, f'The role description begins after "I will act as", yours is {r!r}')
        expect(
            f"an {r}" != right.role_description and f"a {r}" != right.role_description,
            f'The role description keeps its "a" or "an", yours is {r!r}',
        )
        expect(
            r == right.role_description or not right.role_description.startswith(r),
            f"The role description stops too early, at {r!r}: a lazy pattern goes to the end only with re.fullmatch",
        )
        expect(
            q != right.question_description.removeprefix("This question is "),
            f'The question description begins with "This question is", yours is {q!r}',
        )
        expect(
            (q.lower(), r.lower()) != (right.question_description.lower(), right.role_description.lower())
            or (q, r) == (right.question_description, right.role_description),
            "You changed capital letters: a description is a part of the reply, letter by letter",
        )
        expect(r == right.role_description, f"Role description: expected {right.role_description!r}, yours is {r!r}")
        expect(
            q == right.question_description,
            f"Question description: expected {right.question_description!r}, yours is {q!r}",
        )
    for text, what in _REFUSED:
        try:
            mine = my_parse(text)
        except Exception as error:
            raise Mistake(
                f"For {what.split(':')[0]} your code stops with {type(error).__name__}: return None"
            ) from None
        expect(not (mine is not None and not mine), f"For a reply out of form return None, yours is {mine!r}")
        expect(mine is None, f"You accept {what}. The reply was {text!r}")
    _, role = my_parse(f"{_FORM} The answer is a convex one.") or ("", "")
    expect("answer" not in role, f"The sentence after the form ends up in your role: {role!r}")
    return f"{len(_ACCEPTED)} replies taken apart, {len(_REFUSED)} refused, just as roles.parse_annotation does"


# --- 2: again, differently, keep or stop ---------------------------------------------------------

DECISIONS = ("again", "differently", "keep", "stop")


@dataclass(frozen=True)
class Line:
    """A line of the log: what came, and why the right decision is right."""

    text: str
    why: str
    status: int | None = None  # None: no whole answer came
    code: str | None = None
    wait: float = 0  # seconds that the server asks for
    tries: int = 1  # requests so far, with this one
    reply: str | None = None
    finish: str = "stop"

    @property
    def decision(self) -> str:
        """What `annotate` does: one of DECISIONS."""
        if self.reply is not None:
            what = annotate.outcome({"reply": self.reply, "finish": self.finish})
            return "keep" if what in ("parsed", "declined") else "differently"
        patient = self.wait <= LONGEST_WAIT and self.tries < EndpointChat.TRIES
        return "again" if patient and worth_asking_again(self.status, self.code) else "stop"


def _reply(text: str, why: str, finish: str = "stop") -> Line:
    return Line(f'200, finish "{finish}": {text}', why, 200, reply=text, finish=finish)


_CUT = "A: This question is a legal problem involving a deposit. To better solve it, I will act as a lawyer who"
LOG = {
    "a": Line(
        "429 rate_limit_exceeded, Retry-After: 20 seconds",
        "time helps here, and the server says how long to wait",
        status=429,
        code="rate_limit_exceeded",
        wait=20,
    ),
    "b": _reply(
        "Ask a teacher! They know such things.",
        "this is not in form, so it gives no role. The same request would bring the same reply: vary the request",
    ),
    "c": _reply(
        "I'm sorry, but I can't choose a role for this request.",
        "a refusal is an answer. It is paid for, and the dialogue gets the hand-written role",
    ),
    "d": Line(
        "500, without a code, the second request", "the server had trouble of its own, and that passes", 500, tries=2
    ),
    "e": Line(
        "200, and the connection ends in the middle of the body",
        "half an answer is not an answer, and the trouble lies in the connection",
    ),
    "f": _reply(
        _CUT,
        "the reply was cut inside the role. The same request would be cut at the same place: it needs more tokens",
        "length",
    ),
    "g": _reply(
        f"{_CUT} reads leases. First, ask the landlord",
        "the reply was cut, but after the form: both descriptions are there as a whole",
        "length",
    ),
    "h": Line(
        "400 content_filter: the prompt was filtered",
        "the filter declines this one question, as a refusal does. The other questions can be asked",
        status=400,
        code="content_filter",
        reply="",
        finish="content_filter",
    ),
    "i": Line(
        "429 rate_limit_exceeded, Retry-After: 3600 seconds",
        "the server asks for an hour, and we wait for ten minutes at most. Run again later: the journal keeps the rest",
        status=429,
        code="rate_limit_exceeded",
        wait=3600,
    ),
    "j": Line(
        "429 insufficient_quota, Retry-After: 1 second",
        "the money is spent. The status is that of line a, but waiting does not fill an account",
        status=429,
        code="insufficient_quota",
        wait=1,
    ),
    "k": Line(
        "401 invalid_api_key",
        "a wrong key stays wrong, and it is wrong for every question",
        status=401,
        code="invalid_api_key",
    ),
    "l": Line(
        "503 overloaded, the eighth request",
        "the server's trouble may pass, but this was the last of our eight requests. Run again later",
        status=503,
        code="overloaded",
        tries=8,
    ),
}


def log() -> pd.DataFrame:
    """The log as a table: a letter and what came, for each line."""
    return pd.DataFrame([(letter, line.text) for letter, line in LOG.items()], columns=["line", "what came"])


@check
def decide(my_decisions: Mapping[str, str] | Iterable[str]) -> str:
    """Compare decisions on the lines of LOG, as a mapping from letters or in order, with what `annotate` does."""
    mine = _by_letter(solved(my_decisions))
    if all(word is ... or word is None for word in mine.values()):
        raise NotImplementedError
    if still := [letter for letter, word in mine.items() if word is ... or word is None]:
        raise Mistake(f"Not decided yet: {', '.join(still)}")
    mine = {letter: str(word).strip().lower() for letter, word in mine.items()}
    for letter, word in mine.items():
        expect(word in DECISIONS, f"Line {letter}: {word!r} is not among the decisions {', '.join(DECISIONS)}")
    right = sum(word == LOG[letter].decision for letter, word in mine.items())
    for letter, word in mine.items():
        line = LOG[letter]
        expect(
            word == line.decision,
            f"{right} of {len(LOG)} are right. Line {letter} ({line.text[:60]}) is not {word!r}: {line.why}",
        )
    return f"{len(LOG)} lines decided as annotate decides them"


def _by_letter(mine: Any) -> dict[str, Any]:
    """Decisions by the letters of LOG; what is missing is `...`."""
    mine = mine.to_dict() if isinstance(mine, pd.Series) else mine
    expect(isinstance(mine, Iterable) and not isinstance(mine, str), "Give a dict: a letter and a decision for a line")
    if isinstance(mine, Mapping) and all(isinstance(letter, str) for letter in mine):
        given = {letter.strip().lower(): word for letter, word in mine.items()}
        expect(given.keys() <= LOG.keys(), f"The log has no line {', '.join(sorted(given.keys() - LOG.keys()))}")
        return dict.fromkeys(LOG, ...) | given
    words = list(islice(mine.values() if isinstance(mine, Mapping) else mine, 2 * len(LOG)))
    expect(len(words) == len(LOG), f"The log has {len(LOG)} lines, you have {len(words)} decisions")
    return dict(zip(LOG, words))


# --- 3: the bill ---------------------------------------------------------------------------------


@check
def bill(my_bill: Callable[[list[str], tuple[float, float]], float]) -> str:
    """Compare with the estimate of `annotate.plan`, on prompts whose price can be told in the head."""
    prompts, price = ["x" * 2000, "x y " * 1500] * 125, (2.0, 10.0)  # 250,000 tokens read, 11,250 written
    mine, right = _usd(my_bill, prompts, price), 0.5 + 0.1125
    read, written = 250_000, 11_250
    mistakes = (
        (right * 1e6, "Your bill is a million times too high: the prices are per million tokens"),
        (right * 1e3, "Your bill is a thousand times too high: the prices are per million tokens, not per thousand"),
        (right * 100, "These are cents: the bill is in USD"),
        (4 * 0.5 + 0.1125, "You count letters as tokens: about four letters make one"),
        (16 * 0.5 + 0.1125, "Four letters make one token, not four tokens one letter: divide by 4"),
        (
            sum(len(p.split()) for p in prompts) * 2 / 1e6 + 0.1125,
            "You count words as tokens: divide the letters by 4",
        ),
        (0.0005 + 0.1125, "You count prompts, not their letters: len(prompts) is the number of prompts"),
        (2000 / 4 * 250 * 2 / 1e6 + 0.1125, "You take all prompts to be as long as the first one: add up all lengths"),
        (0.5, "The replies are missing: written tokens cost the most"),
        (0.1125, "The prompts are missing: reading costs, too"),
        (0.5 + 0.00045, "You pay for one reply; there is one for every prompt"),
        (0.5 + 0.1125 / 4, "A reply has 45 tokens, not 45 letters: do not divide it by 4"),
        ((read * 10 + written * 2) / 1e6, "The two prices are swapped: (read, written)"),
        ((read + written) * 2 / 1e6, "Written tokens have their own price, price[1]"),
        ((read + written) * 10 / 1e6, "Tokens that are read have their own price, price[0]"),
        ((read + written) * 12 / 1e6, "Each kind of token has one price: do not add the two prices"),
        ((read + written) * 6 / 1e6, "Each kind of token has its own price: do not take the mean of the two"),
        (right / 250, "This is one prompt's share: add up all of them"),
        (3 * right, "You pay for three attempts: the task asks for one"),
        *((round(right, n), "Do not round: one question costs much less than a cent") for n in range(4)),
    )
    for wrong, what in mistakes:
        expect(not close(mine, wrong, 1e-4), what)
    expect(
        close(mine, right, 1e-4),
        f"For 250 prompts with 1,000,000 letters in all, at 2 and 10 USD, the bill is {right}; yours is {mine:g}",
    )
    one = _usd(my_bill, ["x" * 400], price)
    expect(
        abs(one - 0.00065) < 0.00003,
        f"One prompt of 400 letters costs 0.00065 USD, yours is {one:g}. Do not round: small numbers add up",
    )
    expect(close(_usd(my_bill, [], price), 0), "No prompts cost nothing")
    return "the estimate of annotate.plan, which knows one thing more: how long a reply may be at most"


def _usd(my_bill: Callable, prompts: list[str], price: tuple[float, float]) -> float:
    mine = solved(my_bill(list(prompts), price))
    if isinstance(mine, str) or not numbers(mine):
        raise Mistake(f"A bill is one number, yours is a {type(mine).__name__}")
    return numbers(mine)[0]


# --- 4: dialogues of one's own -------------------------------------------------------------------


@check
def own(my_dialogues: Any) -> str:
    """Read dialogues as `annotate --data` does, and name what would break a training, or teach nothing.

    `my_dialogues`: pairs of texts, rows in any layout of docs/DATA.md, a data frame of them, or the name of a file.
    """
    pairs = own_dialogues.read(solved(my_dialogues))
    if not pairs:
        raise NotImplementedError
    if flaws := own_dialogues.flaws(pairs):
        more = f"; and {len(flaws) - 3} more" if len(flaws) > 3 else ""
        raise Mistake("; ".join(flaws[:3]) + more)
    words = sum(len(answer.split()) for _, answer in pairs) / len(pairs)
    return f"{len(pairs)} dialogues that annotate can read, with answers of {words:.0f} words on average"
