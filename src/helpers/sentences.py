"""Where a sentence of English ends: not after "v." or "Dr.", and what a reply puts around it.

The one idea: a full stop ends a sentence unless the word before it is short for something; where that can be both, the
next word decides.
"""

from __future__ import annotations

import re
from itertools import pairwise

CLOSING = {
    a: b for a, b in ("“”", "‘’", "«»", "»«", "‹›", "„“", "「」", "『』", '""', "''", "()")
}  # of quotation marks
OPENERS, CLOSERS = "\"'“‘„«»‹「『(*_`", "\"'”’“»«›」』)*_`"


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence, with the quotation mark that closes there.

    >>> first_sentence("a lawyer who knows Roe v. Wade and the U.S. Constitution. I hope this helps.")
    'a lawyer who knows Roe v. Wade and the U.S. Constitution.'
    """
    words = text.split(" ")
    for n, (word, following) in enumerate(pairwise(words), 1):
        if _ends(word.rstrip(CLOSERS), following.lstrip(OPENERS)):
            return " ".join(words[:n])
    return text


def _ends(word: str, following: str) -> bool:
    """Whether a sentence ends with `word`, if `following` is the next one."""
    if not word.endswith((".", "!", "?", ":")) or _TITLE.search(word):
        return False
    if _NUMBERED.search(word) and _NUMBER.match(following):
        return False
    if following[:1].islower():
        return word.endswith(".") and not _SHORT.search(word) and bool(_LOWER_START.match(following))
    return not (word.endswith(":") or _SHORT.search(word)) or bool(_STARTS.match(following))


_TITLE = re.compile(  # no sentence ends with these
    r"(?:^|\W)(?:Mr|Mrs|Ms|Mx|Dr|Prof|St|Ste|Mt|Ft|Gen|Col|Lt|Sgt|Capt|Maj|Cmdr|Adm|Gov|Sen|Rep|Rev|Hon|Pres|v|vs|cf"
    r"|e\.g|i\.e|approx|ca)\.$"
)
_NUMBERED = re.compile(r"(?:^|\W)(?:Nos?|nos?|Figs?|Eqs?|Sec|Ch|Vol|Art|Op|Pt|pp?|Apt)\.$")
_NUMBER = re.compile(r"#?\d|[IVXLC]+\b")
_SHORT = re.compile(  # initials, and what may end a sentence or not
    r"(?:^|[\W_])(?:[^\W\d_]\.)*[^\W\d_]\.$|(?:^|\W)(?:etc|al|Inc|Ltd|Co|Corp|Jr|Sr|Bros|Univ|Dept|Ave|Blvd|Rd|Ph\.D|M\.Sc"
    r"|B\.Sc|Jan|Feb|Aug|Sept?|Oct|Nov|Dec|est|eds?|Esq)\.$"
)
_LOWER_START = re.compile(r"(?:hope|let|feel|please|thanks?|i|you|if)\b")
_START = (  # words that begin a sentence, and hardly a name
    r"(?:The|Th(?:is|ese|at|ose|ere)|It|I|You|Your|We|Let|Here|Hope|Please|If|In|As|So|Note|Is|Does|Do|Would|Feel|Now|Next|Ask"
    r"|Thanks?|Question|Answer|Explanation|My|What|How|Why|For|With|To|Good|Sure|Also|However|And|But|He|She|They|An?)\b"
)
_STARTS = re.compile(rf"{_START}|[^\w\s]")


def without_marks(text: str) -> str:
    """A text without fences, emphasis and tags. A line without a full stop gets one if a new sentence follows."""
    text = _NEW_LINE.sub(".\n", _FENCE.sub("\n", text))
    return _EMPHASIS.sub(r"\g<text>", _EMPHASIS.sub(r"\g<text>", text))


_FENCE = re.compile(r"^[ \t>]*(?:(?:```|~~~)\w*|-{3,}|\*{3,})[ \t]*$|^[ \t]*>", re.MULTILINE)
_NEW_LINE = re.compile(rf"(?<=[\w)\"'”’»*_`])[ \t]*\n(?:[ \t]*\n\s*|\s*(?!To better|An? )(?={_START}|[QA]:))")
_EMPHASIS = re.compile(
    r"(?P<mark>\*{1,3}|`{1,3}|(?<!\w)_{1,2})(?=\S)(?P<text>[^*`]+?)(?<=\S)(?P=mark)"
    r"|</?(?:answer|role|b|i|em|strong|code|p)>"
)


def balanced(text: str) -> bool:
    """Whether a text closes what it opens: else it was cut at the wrong place."""
    return text.count('"') % 2 == 0 and all(text.count(a) == text.count(b) for a, b in ("“”", "«»", "「」", "()"))
