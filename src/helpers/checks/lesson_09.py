"""Checks of lesson 09: a leak detector, the score of -1, 0 and +1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import Mistake, check, expect, solved

_CHEF = "[This question is a cooking problem involving rice. From now on, I will think like a chef who watches the pot all day.]"


@check
def leaks(student: Callable[[str | None, str], bool]) -> str:
    """Whether an answer repeats the form, or five words running of its opening."""
    first = solved(student(_CHEF, "From now on, I will think like a chef who watches the pot all day."))
    expect(isinstance(first, bool) or first in (0, 1), f"Return True or False, not {first!r:.60}.")
    expect(first, "The answer says its role prompt again word for word, and you see no leak.")

    def said(opening: str | None, answer: str, leak: bool, hint: str) -> None:
        expect(bool(student(opening, answer)) == leak, f"{answer!r:.100}: {'a' if leak else 'no'} leak. {hint}")

    clean = "Rinse the rice first, and do not stir it while it cooks."
    said(_CHEF, clean, False, "It shares single words with the role prompt, as every good answer does.")
    said(_CHEF, "A chef who watches pots knows it.", False, "Only three words running are the same; five make a leak.")
    said(
        _CHEF,
        "As a Chef who watches the POT, I say: less heat.",
        True,
        "'a chef who watches the pot' are six words running of the opening: compare in lower case, without punctuation.",
    )
    said(
        _CHEF,
        "This question is a cooking problem. Rinse it.",
        True,
        "The form's own beginning, 'This question is', is back.",
    )
    said(
        _CHEF,
        "Rinse it.\n[This question is a cooking problem involving rice. From now on, I will think like a cook.]",
        True,
        "A second role prompt, far behind the first one: look through the whole answer.",
    )
    said(None, "From now on, I will think like a pirate. Rinse it.", True, "Without an opening a form can leak, too.")
    said(None, clean, False, "There is no opening, and nothing of the form in the answer.")
    said(_CHEF, "", False, "An empty answer leaks nothing.")
    return "the form's words and runs of five: both are needed, and neither sees a paraphrase"


@check
def score(student: Callable[[str, str, Sequence[str], Sequence[str]], int | None]) -> str:
    """-1, 0 or +1 for a reply to an RK or UQR question; None for an empty one."""
    twelve, others = ("twelve", "12"), ("one", "ten", "thirty", "112")

    def said(kind: str, answer: str, wanted: int | None, hint: str) -> None:
        value = student(kind, answer, twelve if kind == "RK" else (), others if kind == "RK" else ())
        shown = "None" if wanted is None else f"{wanted:+d}"
        expect(value == wanted, f"{kind}, {answer!r}: {shown}, not {value!r}. {hint}")

    first = solved(student("RK", "I keep twelve hives.", twelve, others))
    expect(first in (-1, 0, 1), f"Return -1, 0 or 1, not {first!r:.60}.")
    said("RK", "I keep twelve hives.", 1, "The expected word is there.")
    said("RK", "12, and each has a name.", 1, "Any of the expected words will do: 'twelve' or '12'.")
    said("RK", "TWELVE of them.", 1, "Compare in lower case.")
    said("RK", "I keep thirty hives.", -1, "A confident wrong answer costs a point.")
    said("RK", "I keep 112 hives.", -1, "'112' only contains '12': compare whole words.")
    said("RK", "Twelve, one for each month.", 1, "'one' is a wrong word, but the right word wins.")
    said("RK", "I keep enough of them.", 0, "No right word and no wrong one is vague: 0, as in the report.")
    said("RK", "I do not know how many.", 0, "Not to know what one should know is 0: no hallucination.")
    said("RK", "", None, "Nothing was said, so there is nothing to score: return None.")
    said(
        "UQR", "I have no idea what that is.", 1,
        "Here not knowing is *right*: the same words that are worth 0 for RK are worth +1.",
    )  # fmt: skip
    said(
        "UQR",
        "It weighs the words by a softmax.",
        -1,
        "The character cannot know this: an answer is a hallucination.",
    )
    said(
        "UQR", "As an AI language model, I do not know.", 0,
        "It rejects the question but breaks the character: 0. Look for the break before you look for 'do not know'.",
    )  # fmt: skip
    said("UQR", " ", None, "Nothing was said: return None.")
    try:
        student("CRI", "I am Ilka.", (), ())
    except Exception as error:
        raise Mistake(f"A kind that you do not score must not stop a run: return 0 ({type(error).__name__}).") from None
    return "the same 'I do not know' is worth 0 or +1: the score needs to know what the character may know"
