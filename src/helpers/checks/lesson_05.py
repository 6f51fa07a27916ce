"""Checks of lesson 05: head nouns, agreement beyond chance, roles on topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import Mistake, check, close, expect, numbers, solved


def _noun(student: Callable[[str], str | None], description: str, wanted: str | None, hint: str) -> None:
    try:
        found = student(description)
    except (IndexError, AttributeError, TypeError) as error:
        raise Mistake(f"{description!r} stops your function with {type(error).__name__}: {error}. {hint}") from None
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
        found not in (plain, "an excellent math teacher", "excellent math teacher", "math teacher"),
        "Return the last word of the head only: 'teacher'.",
    )
    expect(found != "Teacher", "Return the noun in lower case: 'teacher', not 'Teacher'.")
    expect(found == "teacher" or found.strip() != "teacher", "Return the noun without blanks around it.")
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
    _noun(student, "a coach for young players", "coach", "'for' starts a complement, too.")
    _noun(student, "a curator at the national museum", "curator", "'at' starts a complement, too.")
    _noun(student, "a diplomat from a small country", "diplomat", "'from' starts a complement, too.")
    _noun(student, "nurses who work at night", "nurse", "Drop only the final 's', not 'es'.")
    for nothing in ("", "who knows"):
        _noun(student, nothing, None, "Where there is no noun, return None, not an error or an empty string.")
    return "all the descriptions of this check. On others, your rule and the lesson's can still differ"


# Labels of the authors: clear cases only.
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
ANYWHERE = ("teacher", "tutor", "assistant", "expert", "person")
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


# Written by the tuned model of a `cpu` run for our own sample questions; some are hard to judge, on purpose.
DOZEN = (
    ("math", "a mathematician who considers the convergence of series"),
    ("philosophy", "a Buddhist philosopher who seeks to understand the nature of suffering"),
    ("biology", "a genetic engineer who studies the probability of a particular gene in a population"),
    ("psychology", "a lawyer who takes the law seriously"),
    ("chemistry", "a chemistry student who considers the polarity of molecules and their dipole moments"),
    ("law", "a contract lawyer who takes into account the contract's terms"),
    ("computer science", "a spam classifier who counts emails as spam only when they are actually spam"),
    ("economics", "a central banker who is trying to manage the money supply"),
    ("history", "a palaeontologist who studies the fossil and the evidence"),
    ("physics", "a physicist who considers the transmission of light through two ideal linear polarizers"),
    (
        "philosophy",
        "a logic problem solver who checks the truth of the antecedent and the consequent before making a conclusion",
    ),
    ("physics", "a geologist who studies the sound of earthquakes"),
)
CLEAR = {0: True, 3: False, 5: True, 9: True}  # of the dozen; nobody labels two of these otherwise on purpose
ADJECTIVES = {
    "history": "an experienced historian",
    "law": "a widely respected lawyer",
    "math": "a patient mathematician",
}
AFTER_WHO = {"chemistry": "a novelist who writes about a chemist", "law": "a plumber who once sued a lawyer"}


def _kappa(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, float]:
    """(share of equal labels, Cohen's kappa; 0.0 where chance alone would always agree) (Cohen 1960)."""
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    p, q = sum(first) / n, sum(second) / n
    chance = p * q + (1 - p) * (1 - q)
    return observed, (observed - chance) / (1 - chance) if chance < 1 else 0.0


@check
def agreement(student: Callable[[Sequence[bool], Sequence[bool]], tuple[float, float]]) -> str:
    """(share of equal labels, Cohen's kappa) of two lists of booleans."""

    def asked(first: list[bool], second: list[bool]) -> tuple[float, float]:
        try:
            value = student(list(first), list(second))
        except ZeroDivisionError:
            raise Mistake(
                "Two people who give one and the same label to everything divide you by zero: return 0.0 for kappa then."
            ) from None
        value = solved(value)
        pair = tuple(value) if np.iterable(value) else (value,)
        expect(not any(isinstance(x, str) for x in pair), "Return numbers, not text: drop str() and the quotes.")
        found = numbers(pair, 2)
        expect(found, f"Return two numbers, the share and kappa, not {value!r:.60}.")
        return found

    first = [True] * 7 + [False] * 3
    second = [True] * 6 + [False] + [True] * 2 + [False]  # 7 of 10 equal; p 0.7, q 0.8: chance 0.62
    (share, kappa), (observed, wanted) = asked(first, second), _kappa(first, second)
    for value, message in (
        (70, "Return a share (0.7), not percent."),
        (7, "You return the number of equal labels: divide by the number of roles."),
        (0.3, "You count where the two differ: agreement is where they are equal."),
        (0.6, "You count only where both say True. Two people also agree where both say False: 7 of 10."),
        (wanted, "The share comes first, kappa second: you return them the other way round."),
    ):
        expect(not close(share, value), message)
    expect(close(share, observed), f"7 of 10 labels are equal: the share is 0.7; you say {share:g}.")

    def by(chance: float) -> float:
        return (observed - chance) / (1 - chance)

    for value, message in (
        (share, "Your kappa is the share itself: the agreement of chance is not taken out."),
        (
            by(0.5),
            "You take chance as one half. The two say True in 0.7 and in 0.8 of the cases: by chance they agree more often.",
        ),
        (by(0.7 * 0.8), "Chance is 0.7 x 0.8 in your formula: add the case that both say False, 0.3 x 0.2."),
        (
            by(0.7 * 0.2 + 0.8 * 0.3),
            "Your chance is that of different labels: multiply True with True, False with False.",
        ),
        (by(0.75**2 + 0.25**2), "You use the mean of both shares of True: each person has a share of their own."),
        (by(0.7**2 + 0.3**2), "You use only the first person's share of True: the second has a share of their own."),
        (by(0.8**2 + 0.2**2), "You use only the second person's share of True: the first has a share of their own."),
        (observed - 0.62, "You subtract the agreement of chance but do not divide by what is left, 1 - chance."),
        ((observed - 0.62) / observed, "You divide by the observed share: divide by what chance leaves, 1 - chance."),
        (
            float(np.corrcoef(first, second)[0, 1]),
            "This is Pearson's correlation of the labels. Kappa is another number.",
        ),
    ):
        expect(not close(kappa, value), message)
    expect(
        close(kappa, wanted) or not any(close(kappa, round(wanted, places)) for places in (1, 2, 3, 4)),
        "Do not round: return kappa as it is.",
    )
    expect(
        close(kappa, wanted), f"Here observed is 0.7 and chance 0.62, so kappa is {wanted:.3f}; you say {kappa:.3f}."
    )

    short = ([True, False, False, False], [True, True, False, False])
    expect(
        close(asked(*short), _kappa(*short)), "Four roles give another result than you: is a 10 left in your formula?"
    )
    turned = [not x for x in first]
    expect(
        close(asked(first, turned)[1], _kappa(first, turned)[1]),
        "Two people who never agree have a kappa below zero: do not cut it off.",
    )
    expect(close(asked(first, first)[1], 1.0), "Whoever agrees with himself on everything has a kappa of 1.")
    for label in (True, False):
        share, kappa = asked([label] * 5, [label] * 5)
        expect(close(share, 1.0), f"Both say {label} to everything: they agree on all, so the share is 1.")
        expect(
            close(kappa, 0.0),
            f"Both say {label} to everything: chance explains that completely. Return 0.0 for kappa.",
        )
    return "agreement, and how much of it chance does not give; above 0.6 is usually called substantial"


@check
def on_topic(student: Callable[[str, str], bool], labels: Sequence[bool]) -> str:
    """Whether a role fits an MMLU domain: the student's check against clear cases, then against the student's labels."""

    def says(domain: str, noun: str) -> bool:
        return verdict(domain, f"a {noun} who answers with care")

    def verdict(domain: str, role: str) -> bool:
        said = student(domain, role)
        expect(
            not isinstance(said, (str, list, tuple, set, dict)) and not hasattr(said, "__next__"),
            f"Return True or False, not a {type(said).__name__}: in Python a text, and most lists, count as True.",
        )
        return bool(said)

    solved(student("history", "a historian who reads sources"))
    expect(labels is not None, "my_labels is None: write a list of twelve booleans, in the order of the table.")
    own = _labels(solved(labels))
    on = {(d, w): says(d, w) for d, words in ON_TOPIC.items() for w in words}
    general = {(d, w): says(d, w) for d in ON_TOPIC for w in ANYWHERE}
    off = {(d, w): says(d, w) for d, words in ELSEWHERE.items() for w in words}
    expect(
        not all((*on.values(), *general.values(), *off.values())),
        "You call every role on topic. A judge who accepts everything measures nothing.",
    )
    expect(any(on.values()), "You call no role on topic, not even a historian for history.")
    fooled = [f"{text!r} for {domain}" for domain, text in AFTER_WHO.items() if verdict(domain, text)]
    expect(not fooled, f"You accept {' and '.join(fooled)}: look at the role itself, not at what comes after 'who'.")
    missed = [f"{w} for {d}" for d, (w, _) in ON_TOPIC.items() if not on[d, w]]
    expect(
        not {"historian for history", "philosopher for philosophy"} & set(missed) or on["law", "lawyer"] is False,
        f"Not on topic by your rule: {', '.join(missed)}. Do you look for the domain's name inside the noun? "
        "'lawyer' has 'law' in it, 'historian' has no 'history'.",
    )
    expect(not missed, f"The domain's own profession must be on topic; yours misses: {', '.join(missed)}.")
    expect(says("law", "Lawyer"), "'a Lawyer who ...' with a capital is refused: lower-case the description.")
    hidden = [f"{role!r} for {d}" for d, role in ADJECTIVES.items() if not verdict(d, f"{role} who answers with care")]
    expect(not hidden, f"You refuse {' and '.join(hidden)}: adjectives come first, the role itself is the last word.")
    broad = [f"{w} for {d}" for (d, w), said in general.items() if said]
    expect(
        not broad,
        f"You accept {', '.join(broad[:3])}. A role that fits every domain says nothing about this one. "
        "The lesson's own list has such roles, too.",
    )
    strangers = [f"{w} for {d}" for (d, w), said in off.items() if said]
    expect(
        "physician for physics" not in strangers,
        "A physician is a doctor, not a physicist: your beginning of the word is too short.",
    )
    expect(len(strangers) < 3, f"You accept {', '.join(strangers[:3])}: does your rule look at the domain at all?")
    expect(not strangers, f"You accept {' and '.join(strangers)}: nobody would ask them. Look for a word too many.")
    right = sum(on.values()) + sum(not v for v in general.values()) + sum(not v for v in off.values())
    total = len(on) + len(general) + len(off)
    gaps = [f"{w} for {d}" for (d, w), said in on.items() if not said]
    expect(
        len(gaps) <= len(on) // 10,
        f"Nearly: of {len(on)} fitting roles your rule refuses {len(gaps)} ({', '.join(gaps[:4])}). Widen the lists.",
    )
    verdicts = [verdict(domain, role) for domain, role in DOZEN]
    reworded = [verdict(domain, f"{role.split(' who ')[0]} who answers with care") for domain, role in DOZEN]
    expect(
        verdicts == reworded,
        "Your check judges the twelve roles differently if only the words after 'who' change. Does it know them by heart?",
    )
    share, kappa = _kappa(own, verdicts)
    differ = "; ".join(f"{role.split(' who ')[0]} for {d}" for (d, role), a, b in zip(DOZEN, own, verdicts) if a != b)
    expect(
        kappa > 0,
        f"Your check and your labels agree no better than chance would (kappa {kappa:.2f}). They differ on: {differ}.",
    )
    always = max(sum(own), len(own) - sum(own))
    return (
        f"right on {right} of {total} clear cases (our labels), and in agreement with yours on {share * 12:.0f} of 12, "
        f"kappa {kappa:.2f}; to say the same of every role would agree on {always}. Differing: {differ or 'none'}"
    )


def _labels(labels: Sequence[bool]) -> list[bool]:
    """The student's labels of DOZEN, or a Mistake."""
    try:
        found = list(labels)
    except TypeError:
        raise Mistake(f"my_labels is a list of {len(DOZEN)} booleans, not {type(labels).__name__}.") from None
    expect(len(found) == len(DOZEN), f"The table has {len(DOZEN)} roles and you give {len(found)} labels.")
    odd = [x for x in found if not isinstance(x, (bool, np.bool_))]
    expect(not odd, f"Labels are True or False (no quotes), and {odd[0]!r} is neither." if odd else "")
    expect(
        len(set(found)) == 2,
        f"You label all twelve {found[0]}. Then nothing can agree with you beyond chance: look again at the lawyer for "
        "psychology and at the physicist for physics.",
    )
    turned = [DOZEN[i] for i, wanted in CLEAR.items() if found[i] != wanted]
    if len(turned) > 1:
        named = " and ".join(f"{role.split(' who ')[0]!r} for {domain}" for domain, role in turned[:2])
        raise Mistake(f"You label {named} the other way round than anybody would: is your list in the table's order?")
    return found
