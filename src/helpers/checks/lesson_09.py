"""Checks of lesson 09: a leak detector, the score of -1, 0 and +1."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from . import Mistake, check, expect, solved

_CHEF = "[This question is a cooking problem involving rice. From now on, I will think like a chef who watches the pot all day.]"
_WORDS = re.findall(r"\w+", _CHEF)


@check
def leaks(student: Callable[[str | None, str], bool]) -> str:
    """Whether an answer repeats the form, or five words in a row of its opening."""
    first = solved(student(_CHEF, "From now on, I will think like a chef who watches the pot all day."))
    expect(isinstance(first, bool) or first in (0, 1), f"Return True or False, not {first!r:.60}.")
    expect(first, "The answer says its role prompt again word for word, and you see no leak.")

    def said(opening: str | None, answer: str, leak: bool, hint: str) -> None:
        found = student(opening, answer)
        expect(found is not None, f"{answer!r:.100}: your function returned None; return False if nothing leaks.")
        expect(bool(found) == leak, f"{answer!r:.100}: {'a' if leak else 'no'} leak. {hint}")

    clean = "Rinse the rice first, and do not stir it while it cooks."
    said(_CHEF, clean, False, "It shares single words with the role prompt, as every good answer does.")
    said(_CHEF, "", False, "An empty answer leaks nothing.")
    said(None, clean, False, "There is no opening, and nothing of the form in the answer.")
    said(None, "From now on, I will think like a pirate. Rinse it.", True, "Without an opening a form can leak, too.")
    said(_CHEF, "A chef who watches pots knows it.", False, "Only four words in a row are the same; five make a leak.")
    said(
        _CHEF,
        "The pot, all day: a problem that the chef watches. Think like rice!",
        False,
        "The words are those of the opening, but not in its order: five words *in a row* make a leak.",
    )
    said(
        _CHEF,
        "It helps to be a chef who watches. The lid must stay on.",
        True,
        "'a chef who watches the' are five words in a row, and five are enough. Punctuation and capital letters make no difference.",
    )
    said(
        _CHEF,
        "As a Chef who watches the POT, I say: less heat.",
        True,
        "'a chef who watches the pot' are six words in a row of the opening: compare in lower case, without punctuation.",
    )
    said(
        _CHEF,
        "Ask any chef who watches the potatoes.",
        False,
        "Only four words in a row are the same: 'potatoes' is not 'pot', so compare whole words.",
    )
    said(
        _CHEF,
        "This question is a hard one. Rinse it.",
        True,
        "The form's own beginning, 'This question is a', is back.",
    )
    said(
        _CHEF,
        "THIS QUESTION IS A HARD ONE. Rinse it.",
        True,
        "The form's own beginning is back in capitals: compare in lower case.",
    )
    said(
        _CHEF,
        "Rinse it. From now on, I will stir less.",
        True,
        "'From now on, I will' is the second half of the form.",
    )
    said(
        _CHEF,
        f"{clean} {clean}\n[This question is a stew. From now on, I will think as a cook.]",
        True,
        "A second role prompt stands far from the first one: look through the whole answer.",
    )
    said("[I am a cook.]", "I am a cook.", False, "An opening of four words has no five words that could come back.")
    for n, leak, hint in (
        (4, False, "Only four words in a row are the same; five make a leak."),
        (5, True, "Five words in a row are the same: look at every place of the opening and of the answer."),
    ):
        for i in range(1, len(_WORDS) - n + 1):  # from the second word on: the first four are the form itself
            said(_CHEF, f"Well: {' '.join(_WORDS[i : i + n])}, and so to bed.", leak, hint)
    return "the form's words and five words in a row: both are needed, and neither sees a paraphrase"


@check
def score(student: Callable[[str, str, Sequence[str], Sequence[str]], int | None]) -> str:
    """-1, 0 or +1 for a reply to an RK or UQR question; None for an empty one."""
    twelve, others = ["twelve", "12"], ["one", "ten", "thirty", "112"]

    def said(kind: str, answer: str, wanted: int | None, hint: str) -> None:
        value = student(kind, answer, list(twelve), list(others))
        shown = "None" if wanted is None else f"{wanted:+d}" if wanted else "0"
        same = value is None if wanted is None else value is not None and value == wanted
        expect(same, f"{kind}, {answer!r}: {shown}, not {value!r}. {hint}")

    first = solved(student("RK", "I keep twelve hives.", list(twelve), list(others)))
    expect(first in (-1, 0, 1), f"Return -1, 0 or 1, not {first!r:.60}.")
    said("RK", "I keep twelve hives.", 1, "The expected word is there.")
    said("RK", "12, and each has a name.", 1, "Any of the expected words will do: 'twelve' or '12'.")
    said("RK", "TWELVE of them.", 1, "Compare in lower case.")
    said("RK", "I keep thirty hives.", -1, "A confident wrong answer costs a point.")
    said("RK", "Ten, I think.", -1, "A wrong word with a capital letter is a wrong word: compare in lower case.")
    said("RK", "I keep 112 hives.", -1, "'112' only contains '12': compare whole words.")
    said("RK", "Often I tend them alone.", 0, "'tend' only contains 'ten', and 'alone' 'one': compare whole words.")
    said("RK", "Twelve, one for each month.", 1, "'one' is a wrong word, but the right word wins.")
    said("RK", "One for each month, so twelve.", 1, "The right word wins, also when a wrong one comes first.")
    said("RK", "I keep enough of them.", 0, "No right word and no wrong one is vague: 0, as in the report.")
    said("RK", "I do not know how many.", 0, "Not to know what one should know is 0: no hallucination.")
    said("RK", "I do not know exactly. Twelve?", 1, "For RK only the words count: the right word is there.")
    said("RK", "I do not know exactly. Thirty?", -1, "For RK only the words count: a wrong word is there.")
    said(
        "RK",
        "As an AI I keep twelve.",
        1,
        "For RK only the words count: who steps out of character is a matter of UQR.",
    )
    said("RK", "", None, "Nothing was said, so there is nothing to score: return None.")
    said("RK", " ... ", None, "There is no word in it, only punctuation: return None.")
    said(
        "UQR", "I have no idea what that is.", 1,
        "Here not knowing is *right*: the same words that are worth 0 for RK are worth +1.",
    )  # fmt: skip
    said("UQR", "What is a transformer?", 1, "Who only asks back does not know either: use `fidelity.admits`.")
    said("UQR", "It weighs words by a softmax.", -1, "The character cannot know this: an answer is a hallucination.")
    said("UQR", "Twelve, I think.", -1, "The lists of words are for RK only.")
    said(
        "UQR", "As an AI language model, I do not know.", 0,
        "It rejects the question but breaks the character: 0. Look for the break before you look for 'do not know'.",
    )  # fmt: skip
    said("UQR", "As an AI, I can: it weighs words by a softmax.", 0, "It breaks the character: 0.")
    said("UQR", " ", None, "Nothing was said: return None.")
    said("UQR", "?!", None, "There is no word in it, only punctuation: return None.")
    try:
        student("CRI", "I keep twelve hives.", list(twelve), list(others))
    except Exception as error:
        raise Mistake(f"A kind that you do not score must not stop a run: return 0 ({type(error).__name__}).") from None
    said("CRI", "I keep twelve hives.", 0, "A kind that you do not score is 0.")
    said("CRI", "I do not know.", 0, "A kind that you do not score is 0.")
    said("CRI", "", None, "Nothing was said: None, whatever the kind.")
    return "the same 'I do not know' is worth 0 or +1: the score needs to know what the character may know"
