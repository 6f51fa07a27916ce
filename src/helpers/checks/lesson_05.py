"""Checks of lesson 05: head nouns, roles on topic, distinct roles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from . import Mistake, check, expect, solved


def _noun(student: Callable[[str], str | None], description: str, wanted: str | None, hint: str) -> None:
    found = student(description)
    expect(found == wanted, f"{description!r} gives {found!r} instead of {wanted!r}. {hint}")


@check
def role_noun(student: Callable[[str], str | None]) -> str:
    """Head noun of a role description, lower-cased and singular."""
    plain = "an excellent math teacher who can always provide clear explanations"
    found = solved(student(plain))
    expect(isinstance(found, str), f"Return one word as a string, not {type(found).__name__}.")
    expect(found not in ("a", "an"), "You return the article: drop it first.")
    expect(
        found != "excellent",
        "You take the first word after the article, which is an adjective here. The head noun stands *last*, before 'who'.",
    )
    expect(found != "who", "You return 'who': cut *before* the word that starts the complement, not after it.")
    expect(found != "explanations", "You take the last word of the whole description: cut it at 'who' first.")
    expect(found != "math", "You take the last word but one: the noun is the word right before 'who'.")
    expect(
        found not in (plain, "excellent math teacher", "math teacher"),
        "Return the last word of the head only: 'teacher'.",
    )
    expect(found == "teacher", f"{plain!r} gives {found!r} instead of 'teacher'.")

    _noun(
        student, "an expert in chemistry", "expert", "'in', 'of', 'for' and the like start a complement, as 'who' does."
    )
    _noun(student, "a historian of the early republic who reads closely", "historian", "Cut at the *first* such word.")
    _noun(student, "a chemist with a laboratory of her own", "chemist", "'with' starts a complement, too.")
    _noun(student, "a software engineer specializing in databases", "engineer", "'specializing' starts a complement.")
    _noun(student, "an economist that follows markets", "economist", "'that' starts a complement, as 'who' does.")
    _noun(student, "A Physics Professor who enjoys questions", "professor", "Lower-case the description first.")
    _noun(
        student,
        "experts who know the law",
        "expert",
        "The same role in the plural is the same noun: drop the final 's'.",
    )
    _noun(student, "a boss who delegates", "boss", "The final 's' of 'boss' is no plural: keep it after another 's'.")
    _noun(
        student,
        "a highly skilled lawyer who knows contracts",
        "lawyer",
        "'skilled' comes before a noun here: do not cut there.",
    )
    _noun(
        student,
        "a botanist who works in the field for a museum",
        "botanist",
        "Cut at the *first* of these words, not the last.",
    )
    _noun(
        student,
        "a window cleaner who works at height",
        "cleaner",
        "Compare whole words: 'window' only *contains* 'in'.",
    )
    _noun(student, "a retired judge", "judge", "Without a complement, the last word is the head.")
    _noun(student, "a retired judge.", "judge", "Strip the punctuation.")
    _noun(student, "a nurse, trained in first aid", "nurse", "A comma ends the head, too.")
    for nothing in ("", "who knows"):
        _noun(student, nothing, None, "Where there is no noun, return None, not an error or an empty string.")
    return "also where the lesson's own rule fails"


# Labels of the authors: obvious cases only.
ON_TOPIC = {
    "math": ("mathematician", "statistician"),
    "physics": ("physicist", "astronomer"),
    "chemistry": ("chemist", "biochemist"),
    "biology": ("biologist", "geneticist"),
    "computer science": ("programmer", "developer"),
    "history": ("historian", "archaeologist"),
    "philosophy": ("philosopher", "ethicist"),
    "law": ("lawyer", "judge"),
    "economics": ("economist", "macroeconomist"),
    "psychology": ("psychologist", "psychotherapist"),
}
ANYWHERE = ("teacher", "assistant", "expert", "person")
ELSEWHERE = {
    "math": ("historian", "gardener"),
    "physics": ("physician", "lawyer"),
    "chemistry": ("economist", "poet"),
    "biology": ("programmer", "judge"),
    "computer science": ("psychologist", "chef"),
    "history": ("chemist", "plumber"),
    "philosophy": ("biologist", "coach"),
    "law": ("physicist", "baker"),
    "economics": ("philosopher", "nurse"),
    "psychology": ("mathematician", "mechanic"),
}


@check
def on_topic(student: Callable[[str, str], bool]) -> str:
    """Whether a role noun fits an MMLU domain, against labels for all ten."""
    solved(student("history", "historian"))
    on = {(d, w): bool(student(d, w)) for d, words in ON_TOPIC.items() for w in words}
    general = {(d, w): bool(student(d, w)) for d in ON_TOPIC for w in ANYWHERE}
    off = {(d, w): bool(student(d, w)) for d, words in ELSEWHERE.items() for w in words}
    expect(
        not all((*on.values(), *general.values(), *off.values())),
        "You call every role on topic. A judge who accepts everything measures nothing.",
    )
    expect(any(on.values()), "You call no role on topic, not even a historian for history.")
    missed = [f"{w} for {d}" for d, (w, _) in ON_TOPIC.items() if not on[d, w]]
    expect(
        not {"historian for history", "philosopher for philosophy"} & set(missed) or on["law", "lawyer"] is False,
        f"Not on topic by your rule: {', '.join(missed)}. Do you look for the domain's name inside the noun? "
        "'lawyer' has 'law' in it, 'historian' has no 'history'.",
    )
    expect(not missed, f"The domain's own profession must be on topic; yours misses: {', '.join(missed)}.")
    expect(student("law", "Lawyer"), "'Lawyer' with a capital is refused: lower-case the noun.")
    broad = [f"{w} for {d}" for (d, w), said in general.items() if said]
    expect(
        len(broad) < 4,
        f"You accept {', '.join(broad[:3])} and so on. A role that fits every domain says nothing about this one.",
    )
    strangers = [f"{w} for {d}" for (d, w), said in off.items() if said]
    expect(
        "physician for physics" not in strangers,
        "A physician is a doctor, not a physicist: your beginning of the word is too short.",
    )
    expect(len(strangers) < 3, f"You accept {', '.join(strangers[:3])}: does your rule look at the domain at all?")
    right = sum(on.values()) + sum(not v for v in general.values()) + sum(not v for v in off.values())
    total = len(on) + len(general) + len(off)
    gaps = [f"{w} for {d}" for (d, w), said in on.items() if not said]
    expect(
        len(gaps) <= len(on) // 10 and right >= 0.9 * total,
        f"Nearly: of {len(on)} fitting roles your rule refuses {len(gaps)} ({', '.join(gaps[:4])}). Widen the lists.",
    )
    return f"your judge agrees with {right} of {total} labels; the labels are ours, so disagree where you have a reason"


@check
def distinct_share(student: Callable[[Sequence[str | None]], float]) -> str:
    """Different role prompts / answers; answers without a role count below the line only."""
    value = solved(student(["[I am a chemist.]", "[I am a chemist.]", "[I am a judge.]", "[I am a poet.]"]))
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise Mistake(f"Return one number, not {type(value).__name__}.") from None

    def near(x: float) -> bool:
        return math.isclose(value, x, abs_tol=1e-9)

    expect(not near(3), "You return the number of different roles: divide by the number of answers.")
    expect(not near(75), "Return a share (0.75), not percent.")
    expect(not near(0.5), "You count roles that occur exactly once: one that is repeated is still one distinct role.")
    expect(not near(0.25), "You return the share of repetitions: count the different roles instead.")
    expect(not near(4 / 3), "The fraction is upside down: different roles above the line, answers below.")
    expect(near(0.75), f"3 different roles in 4 answers are 0.75; you say {value:g}.")

    for empty in (None, ""):
        value = float(student(["[I am a chemist.]", "[I am a judge.]", empty, empty]))
        expect(not near(0.75), f"{empty!r} is the absence of a role, not a third role.")
        expect(
            not near(1.0), f"Answers without a role ({empty!r}) count below the line: a silent model is not diverse."
        )
        expect(near(0.5), f"2 roles in 4 answers, two of them without a role ({empty!r}), are 0.5; you say {value:g}.")
    value = float(student(["[I am a Chemist.]", "[I am a chemist.]"]))
    expect(near(0.5), "'Chemist' and 'chemist' are the same role: compare in lower case.")
    value = float(student(["[I am  a chemist.]", " [I am a\nchemist.] "]))
    expect(near(0.5), "White space makes two of one role: join the words with single spaces before you compare.")
    try:
        value = float(student([]))
    except ZeroDivisionError:
        raise Mistake(
            "No answers at all stop your code with a division by zero: return 0.0 for an empty list."
        ) from None
    expect(near(0.0), f"For an empty list return 0.0, not {value:g}.")
    return "different roles over all answers, the silent ones included"
