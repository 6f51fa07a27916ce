"""What the benchmarks share: reading rows, lettering options, and the rules that find an answer in a reply.

Two rules stand side by side, because a rule alone can move a score by several points:

kojima     the paper's: the first match anywhere (Kojima et al.'s `answer_cleansing`). For letters that is
           the first capital, be it the A of "Answer".
declared   a declared answer ("the answer is (B)", "Answer: B", "\\boxed{B}"), the last one where the reply
           corrects itself; else the last bracketed letter, the last number; else a lone letter. What is
           ruled out ("not B"), left open ("A or C") or merely repeats the question is no answer.

None is "unparsed": counted, never guessed. `originals.py` says which data files are the paper's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from ..data import SAMPLES, hub_rows, local_folder, read_jsonl
from ..errors import UserError
from . import originals

Row = dict[str, Any]
RULES = ("kojima", "declared")

BIG_BENCH = (  # the task files that the paper's reader reads; the hub's copies split, rename and re-order them
    "https://raw.githubusercontent.com/NKU-HLT/Role-Play-Prompting/43e73ed38135768eeb7c772ac979760a7ca572b5/dataset"
)

# --- rows ---------------------------------------------------------------------------------------


def read(source: str, name: str, local: str, hub: tuple[str, ...], required: tuple[str, ...]) -> list[Row]:
    """All rows of a benchmark in file order: our sample, a file below SPT_DATA, or the hub.

    `hub` is (data set, configuration, split, revision), or one address of an original task file.
    Every row gains "question_id", unique within the benchmark.
    """
    if source == "packaged":
        rows = read_jsonl(SAMPLES / "benchmarks" / f"{name}.jsonl", required)
    elif source == "local":
        rows = read_jsonl(local_folder() / local, required)
        originals.check(name, rows, local)
    elif source == "hub" and len(hub) == 1:
        rows = originals.download(hub[0])
        originals.check(name, rows, hub[0])
    elif source == "hub":
        rows = hub_rows(*hub)
        originals.check(name, rows, hub[0], exact=False)
    else:
        raise UserError(f"unknown source {source!r}: choose packaged, local or hub")
    return [{**row, "question_id": f"{name}-{i:05}"} for i, row in enumerate(rows)]


def render_options(options: dict[str, str]) -> str:
    """{"A": "bank", "B": "mall"} -> "(A) bank (B) mall"."""
    return " ".join(f"({letter}) {text}" for letter, text in options.items())


def shuffle(items: list, rng: random.Random) -> None:
    """`rng.shuffle(items)` as Python 3.11 does it, written out, so that no other version asks other questions.

    Python keeps the generator's numbers for a seed from version to version, but does not promise `shuffle`.
    """
    for i in range(len(items) - 1, 0, -1):
        j = rng.getrandbits((i + 1).bit_length())
        while j > i:
            j = rng.getrandbits((i + 1).bit_length())
        items[i], items[j] = items[j], items[i]


def shuffled(items: list[str], row_key: str, seed: int) -> list[str]:
    """A shuffle that depends on the seed and the question alone: not on order, process or platform."""
    items = list(items)
    shuffle(items, random.Random(f"{seed}:{row_key}"))
    return items


# --- what both rules of all benchmarks go through -------------------------------------------------


def known(rule: str) -> str:
    """The rule, or UserError."""
    if rule not in RULES:
        raise UserError(f"unknown rule {rule!r}: choose {' or '.join(RULES)}")
    return rule


def apply(
    rule: str, kojima: Callable[[str], str | None], declared: Callable[[str], str | None], text: str
) -> str | None:
    """The answer by the rule of that name. `declared` reads what stands behind a correction first."""
    if known(rule) == "kojima":
        return kojima(text)
    text = plain(text)
    if len(parts := _CORRECTION.split(text)) > 1 and (answer := declared(parts[-1])):
        return answer
    return declared(text)


_CORRECTION = re.compile(
    r"(?i)\b(?:wait|correction|on second thought|scratch that|my mistake|sorry|no, actually|actually, no"
    r"|let me (?:correct|fix|re-?check|re-?consider|redo)|i made an? (?:mistake|error))\b"
)
_ROLE = re.compile(r"\[This question is[^\[\]]*(?:\]|$)")  # also a second one, which roles.strip leaves
_NEXT_TURN = re.compile(r"\n\s*(?:USER|User|Human|Question|Q)\s*:")  # the model plays the user, too
_ASKED = re.compile(r"(?i)\bamong \(?[A-F]\)? through \(?[A-F]\)?|\((?:yes or no|arabic numerals)\)")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_WRAPPED = re.compile(r"\\(?:text(?:bf|it)?|math(?:rm|bf|it)?|operatorname)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
_MARKUP = re.compile(r"\*\*|__|`|(?<![\d ])\*|\*(?![\d ])|\\[()\[\],;!:]|\\(?=[$%#])|\\(?:left|right|quad)\b")


def without_roles(text: str) -> str:
    """Without any role prompt, also a second one (`roles.strip` takes the opening one) and one that was cut off."""
    return _ROLE.sub("", text)


def plain(text: str) -> str:
    """A reply without role prompt, the trigger's own words, a made-up next turn, markdown and LaTeX."""
    text = _NEXT_TURN.split(without_roles(text))[0]
    text = re.sub(r"(?m)^\s*> ?", "", _ASKED.sub(" ", text))
    text = re.sub(r"</?\w+>", " ", text)
    for typographic, simple in {"’": "'", "“": '"', "”": '"', "−": "-", "–": "-", "—": " - ", "{,}": ","}.items():
        text = text.replace(typographic, simple)
    text = _FRACTION.sub(r"\1/\2", _WRAPPED.sub(r"\1", text))
    return _MARKUP.sub("", _BOXED.sub(r" the answer is: \1. ", text))


# --- letters ------------------------------------------------------------------------------------


def letter(text: str, letters: str, rule: str = "declared") -> str | None:
    """The option that a reply gives; `letters` are the options of the question, such as "ABCD"."""
    return apply(rule, lambda t: _first_capital(t, letters), lambda t: _declared_letter(t, letters), text)


def _first_capital(text: str, letters: str) -> str | None:
    match = re.search(f"[{letters}]", text)
    return match[0] if match else None


def _declared_letter(text: str, letters: str) -> str | None:
    """Mark every mention of an option as [B] (it had brackets) or {B}; strike what is no answer; read the rest."""
    marked = _struck(_marked(text))
    if declared := [(m.end(), m["pick"]) for pattern in _DECLARED for m in pattern.finditer(marked)]:
        last = max(declared)[1]
        return last if last in letters else None
    if bracketed := [c for c in re.findall(r"\[([A-F])\]", marked) if c in letters]:
        return bracketed[-1]
    lone = {c for c in re.findall(r"\{([A-F])\}", marked) if c in letters}
    return lone.pop() if len(lone) == 1 else None


_WORD = r"A-Za-z0-9_\u00c0-\u024f'"  # of a word; a Chinese character stands beside a letter without a space
_LONE = re.compile(rf"(?<![{_WORD}+\[&/-])([A-F])(?:\)|(?![{_WORD}+\]&-]))")


def _marked(text: str) -> str:
    text = re.sub(r"[{}]", " ", text)
    text = re.sub(rf"(?<![{_WORD}])[(\[]\s*([A-Fa-f])\s*[)\]]", lambda m: f"[{m[1].upper()}]", text)
    text = re.sub(r"(?i:(\banswer(?: is)?:? ))([b-f])(?=\s*(?:[.,;]|$))", lambda m: m[1] + m[2].upper(), text)
    return _LONE.sub(lambda m: f"{{{m[1]}}}" if _names_an_option(m) else m[0], text)


_NOT_AN_ARTICLE = (
    r" (?:is|are|was|would|must|should|seems?|and|or|nor|because|since|as|but|fits|cannot|can|does|isn't|doesn't)\b"
)
_OWNS_A_LETTER = r"(?i)\b(?:vitamin|hepatitis|plan|type|grade|point|group|class|figure|part|person|set|event|matrix) $"


def _names_an_option(m: re.Match) -> bool:
    """Whether a lone capital is an option: not the article A, an initial, a unit, a variable, "vitamin C"."""
    before, after = m.string[: m.start()][-24:], m.string[m.end() :][:24]
    if re.search(r"(?i)\b(?:option|choice|answer|letter)s? $|\banswer ?= ?$", before):
        return True
    article = m[0] == "A" and re.match(r" \w", after) and not re.match(_NOT_AN_ARTICLE, after)
    unit = re.search(r"\d ?°? ?$", before)  # 20 C
    formula = re.search(r"\w\($|[=+*^∩∪<>] ?$|\|$", before) or re.match(r" ?[=+^∩∪<>→]", after)
    initial = re.match(r"\. ?[A-Z]", after) and re.search(r"[A-Z][a-z]+ $", before)  # John F. Kennedy
    species = re.match(r"\. [a-z]", after) and re.search(r"(?<!\bis)[a-z,] $", before)  # the worm C. elegans
    return not (
        article
        or unit
        or formula
        or initial
        or species
        or re.match(r"\.[A-Z]", after)
        or re.search(_OWNS_A_LETTER, before)
    )


_O = r"[\[{][A-F][\]}]"  # a marked option
_ONE = rf"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)s? )?{_O}"
_SOME = rf"{_ONE}(?:,? ?(?:and|or|nor|&|/|,) ?{_ONE})*"
_TEXT = r"(?::?,? \(?(?!because|since|as|so|and|but|or|which|that|if|is|are|was|were)[\w'-]+\)?,?){0,5}?"  # the option's words
_BAD = (
    r"(?:(?:also|all|both|clearly|definitely|simply|obviously|just|likely|probably|therefore) )*"
    r"(?:wrong|incorrect|false|out\b|ruled out|eliminated|excluded|impossible|unlikely|irrelevant|not (?:correct|right|the|true))"
)
_RULED_OUT = [
    rf"(?i:\b(?:not|never|neither|nor|except|without|unlike|instead of|rather than|other than|(?:claim|myth|idea|belief|misconception)s?(?: that)?|rul\w+ out)|n't) (?:(?:be|is|just|simply|with|choose|pick|select|say) )*{_SOME}",
    rf"\b(?i:eliminat|reject|discard|exclud)\w* {_SOME}",
    rf"{_SOME}{_TEXT} (?:are|were|can be|seem) {_BAD}",
    rf"{_ONE}{_TEXT} (?:(?:is|was|seems|looks|can be) {_BAD}|(?:isn't|wasn't) (?:correct|right|the|true))",
    rf"{_SOME} (?:(?:are|were|do|have|can) not\b|cannot\b|(?:ca|do|are)n't\b)",  # without the option's words between:
    rf"{_ONE} (?:(?:is|was|does|has) not\b|(?:is|was|does|has)n't\b|is too\b|fails\b|makes no sense\b)",  # these may hold a "not"
    rf"{_ONE}{_TEXT},? but (?:this|that|it) is {_BAD}",
]  # fmt: skip
_VERDICT = rf"(?mi)^[\s|-]*({_O})[\s:|=-]+(?:(yes|true|right|correct)|no|false|wrong|incorrect)[\s.|]*$"  # a list or table of them
_SPAN = r"[^\[\]{}]*"
_LISTED = rf"[\[{{]A[\]}}]{_SPAN}[\[{{]B[\]}}]{_SPAN}[\[{{]C[\]}}](?:{_SPAN}[\[{{]D[\]}}](?:{_SPAN}[\[{{]E[\]}}](?:{_SPAN}[\[{{]F[\]}}])?)?)?[^\[\]{{}}\n]*"
_LEFT_OPEN = [
    rf"{_ONE}(?:,? ?{_ONE})*{_TEXT},? ?(?:or|and/or|/) ?(?:maybe |perhaps |possibly |even )?{_ONE}",
    rf"{_ONE}(?:,? ?{_ONE})*{_TEXT},? ?(?:and|&) {_ONE}(?=\s*(?:[.,;!?]|$|(?:are|both|seem|could|may|might|would|look)\b))",
]  # fmt: skip


def _struck(marked: str) -> str:
    """Without the mentions that are ruled out, that list the options as the question does, or that leave it open."""
    if len(re.findall(_VERDICT, marked)) > 1:
        marked = re.sub(_VERDICT, lambda m: f"the answer is {m[1]}" if m[2] else "...", marked)
    for pattern in _RULED_OUT:
        marked = re.sub(pattern, " ... ", marked)
    kept = rf"{_O}(?![^\[\]{{}}\n]*\b(?:correct|right|best|answer)\b)"
    marked = re.sub(_LISTED, lambda m: re.sub(kept, "...", m[0]), marked)
    for pattern in _LEFT_OPEN:
        marked = re.sub(pattern, " ... ", marked)
    return marked


_PICK = r"[\[{](?P<pick>[A-F])[\]}]"
_FILL = (  # may stand between a cue and its letter
    r"(?i:[\s:,\"'=>-]|\b(?:option|choice|letter|answer|the|clearly|therefore|definitely|most likely|probably|likely"
    r"|indeed|actually|still|then|now|thus)\b)*"
)
_CUE = (
    r"choos\w+|chose|pick\w*|select\w*|go(?:ing)? with|went with|opt\w* for|settle (?:on|for)|want|say|guess|points? to|leaves?"
    r"|therefore|thus|hence|so|no|it's|it is|must be|should be|would be|(?:change|correct)\w*\b[^.\n]{0,20} to"
)
_GOOD = (
    r"(?:(?:to be|clearly|definitely|indeed|most|likely|probably|therefore|thus|actually|also|the|my|only) )*"
    r"(?:correct|right|best|better|answer|likely|appropriate|suitable|plausible|accurate|true)"
)
_LABEL = rf"[\s\"'.:-]*(?:[Oo]ption |[Cc]hoice )?{_PICK}(?! (?:is|are|was|has)\b)"
_DECLARED = [
    re.compile(pattern)
    for pattern in (
        rf"(?i:\b(?:answer|choice|option|solution|response))\b(?:(?!{_O})[^.\n?]){{0,40}}?(?:\b(?i:is|be|was)\b|[:=]){_FILL}{_PICK}",
        rf"(?i:\banswer) {_PICK}",
        rf"{_PICK}{_TEXT} (?:is|was|would be|seems|must be|looks|has to be|should be|sounds) {_GOOD}",
        rf"{_PICK} (?:fits|makes sense|works|it is|is it)\b",
        rf"(?i:\b(?:{_CUE})\b){_FILL}{_PICK}",
        rf"^{_LABEL}",  # the reply opens with the letter
        rf"\n{_LABEL}[^\n]{{0,80}}\s*$",  # or its last line does
    )
]
