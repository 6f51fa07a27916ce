"""Which option a reply names: the two rules for the letters A to F.

kojima     the first capital that is a letter of an option, wherever it stands (the A of "Answer").
declared   RULES, from top to bottom. First every mention of an option is marked, "(b)" as [B] and a lone "B" as
           {B}; then mentions that answer nothing are struck; what is left is read: the last declaration, else
           the last letter in brackets, else a lone letter where no other stands beside it.

Each rule has an example, what is read from it, and a test that something else is read without the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from . import common


class Rule(NamedTuple):
    step: str  # "mark", "no option", "strike" or "read"
    name: str
    pattern: str  # a regular expression; of the step "read" with a group "pick"
    becomes: str | Callable[[re.Match], str]  # what a match is replaced with, before anything is read
    example: str
    read: str | None  # from the example, by all rules together


def letter(text: str, letters: str, rule: str = "declared") -> str | None:
    """The option that a reply gives, or None; `letters` are the options of the question, such as "ABCD"."""
    return common.apply(rule, lambda t: _first(t, letters), lambda t: _declared(t, letters), text)


def _first(text: str, letters: str) -> str | None:
    match = re.search(f"[{letters}]", text)
    return match[0] if match else None


def _declared(text: str, letters: str) -> str | None:
    """Mark, strike and read; `text` is plain already (no role prompt, markdown or LaTeX: `common.plain`)."""
    marked = re.sub(r"[{}]", " ", text)
    for rule, pattern in REPLACED:
        marked = pattern.sub(rule.becomes, marked)
    *declarations, bracketed, lone = (pattern for _, pattern in READ)
    if declared := [(m.end(), m["pick"]) for pattern in declarations for m in pattern.finditer(marked)]:
        last = max(declared)[1]
        return last if last in letters else None
    if found := [c for c in bracketed.findall(marked) if c in letters]:
        return found[-1]
    alone = {c for c in lone.findall(marked) if c in letters}
    return alone.pop() if len(alone) == 1 else None


# --- what the patterns are made of ----------------------------------------------------------------

_IN_WORD = r"A-Za-z0-9_\u00c0-\u024f'"  # a Chinese character stands beside a letter without a space
_LONE = rf"(?<![{_IN_WORD}+\[{{&/-])([A-F])(?:\)|(?![{_IN_WORD}+\]}}&-]))"
_VERB = r"is|are|was|were|would|must|should|seems?|and|or|nor|because|since|as|but|fits|cannot|can|does|isn't|doesn't"
_THING = r"vitamin|hepatitis|plan|type|grade|point|group|class|figure|part|person|set|event|matrix"

_O = r"[\[{][A-F][\]}]"  # a marked option
_ONE = rf"(?:(?i:option|choice|answer|letter)s? )?{_O}"
_SOME = rf"{_ONE}(?:,? ?(?:and|or|nor|&|/|,) ?{_ONE})*"
_MANY = rf"{_ONE}(?:,? ?{_ONE})*"
_TEXT = r"(?::?,? \(?(?!because|since|as|so|and|but|or|which|that|if|is|are|was|were)[\w'-]+\)?,?){0,5}?"  # an option's words
_NOT = (
    r"not|never|neither|nor|except|without|unlike|instead of|rather than|other than|rul\w+ out|eliminat\w*|reject\w*|discard\w*"
    r"|exclud\w*|(?:claim|myth|idea|belief|misconception)s?(?: that)?"
)
_BAD = (
    r"(?:(?:also|all|both|clearly|definitely|simply|obviously|just|likely|probably|therefore) )*"
    r"(?:wrong|incorrect|false|out\b|ruled out|eliminated|excluded|impossible|unlikely|irrelevant|not (?:correct|right|the|true))"
)
_GOOD = (
    r"(?:(?:to be|clearly|definitely|indeed|most|likely|probably|therefore|thus|actually|also|the|my|only) )*"
    r"(?:correct|right|best|better|answer|likely|appropriate|suitable|plausible|accurate|true)"
)
_UP_TO = r"[^\[\]{}]*"  # the next mark
_LIST = rf"[\[{{]A[\]}}]{_UP_TO}[\[{{]B[\]}}]{_UP_TO}[\[{{]C[\]}}]" + (
    rf"(?:{_UP_TO}[\[{{]D[\]}}](?:{_UP_TO}[\[{{]E[\]}}](?:{_UP_TO}[\[{{]F[\]}}])?)?)?"
)
_PICK = r"[\[{](?P<pick>[A-F])[\]}]"
_FILL = (  # may stand between a cue and its letter
    r"(?i:[\s:,\"'=>-]|\b(?:option|choice|letter|answer|the|clearly|therefore|definitely|most likely|probably|likely"
    r"|indeed|actually|still|then|now|thus)\b)*"
)
_CUE = (
    r"choos\w+|chose|pick\w*|select\w*|go(?:ing)? with|went with|opt\w* for|settle (?:on|for)|want|say|guess|points? to|leaves?"
    r"|therefore|thus|hence|so|no|it's|it is|must be|should be|would be|(?:change|correct)\w*\b[^.\n]{0,20} to"
)


def _lower(m: re.Match) -> str:
    return m[0].lower()


def _verdict(m: re.Match) -> str:
    return f"the answer is {m[1]}" if m[2] else "..."


def _unlisted(m: re.Match) -> str:
    """The list without its marks, but for the one that is called right."""
    return re.sub(rf"{_O}(?![^\[\]{{}}\n]*\b(?:correct|right|best|answer)\b)", "...", m[0])


# --- the rules, in the order in which they are applied --------------------------------------------

RULES = [
    Rule("mark", "a letter in brackets", rf"(?<![{_IN_WORD}])[(\[]\s*([A-Fa-f])\s*[)\]]", lambda m: f"[{m[1].upper()}]",
         "(b) the mall", "B"),
    Rule("mark", "a letter that is called an option", rf"(?i:(\b(?:option|choice|answer|letter)s? |\banswer ?= ?)){_LONE}", r"\1{\2}",
         "Option A holds.", "A"),
    Rule("mark", "a small letter behind the word", r"(?i:(\banswer(?: is)?:? ))([b-f])(?=\s*(?:[.,;]|$))",
         lambda m: f"{m[1]}{{{m[2].upper()}}}", "answer: c", "C"),
    Rule("no option", "the article", rf"(?<![{_IN_WORD}])A (?=\w)(?!(?:{_VERB})\b)", _lower, "A bank by the river", None),
    Rule("no option", "a unit", rf"\d ?°? ?{_LONE}", _lower, "About 20 C.", None),
    Rule("no option", "a variable", rf"\w\({_LONE}|[=+*^∩∪<>] ?{_LONE}|\|{_LONE}|{_LONE}(?= ?[=+^∩∪<>→])", _lower, "P(A) = 0.5", None),
    Rule("no option", "an initial", rf"[A-Z][a-z]+ {_LONE}(?=\. ?[A-Z])|{_LONE}(?=\.[A-Z])", _lower, "John F. Kennedy", None),
    Rule("no option", "a species", rf"(?<!\bis)[a-z,] {_LONE}(?=\. [a-z])", _lower, "the worm C. elegans", None),
    Rule("no option", "the name of a thing", rf"(?i:\b(?:{_THING}) ){_LONE}", _lower, "It holds vitamin C.", None),
    Rule("mark", "any other capital that stands alone", _LONE, r"{\1}", "B, the mall", "B"),
    Rule("strike", "a list of verdicts", rf"(?mi)^[\s|-]*({_O})[\s:|=-]+(?:(yes|true|right|correct)|no|false|wrong|incorrect)[\s.|]*$",
         _verdict, "- A: no\n- B: yes\n- C: no", "B"),
    Rule("strike", "ruled out", rf"(?i:\b(?:{_NOT})|n't) (?:(?:be|is|just|simply|with|choose|pick|select|say) )*{_SOME}", " ... ",
         "It is not (A).", None),
    Rule("strike", "called wrong", rf"(?:{_SOME}{_TEXT} (?:are|were|can be|seem)|{_ONE}{_TEXT}(?:,? but (?:this|that|it))? "
         rf"(?:is|was|seems|looks|can be)) {_BAD}", " ... ", "(A) is wrong.", None),
    Rule("strike", "negated", rf"{_SOME} (?:(?:are|were|do|have|can) not\b|cannot\b|(?:ca|do|are)n't\b)"
         rf"|{_ONE} (?:(?:is|was|does|has) not\b|(?:is|was|does|has)n't\b|is too\b|fails\b|makes no sense\b)", " ... ", "B does not fit, C", "C"),
    Rule("strike", "a list of the options", rf"{_LIST}[^\[\]{{}}\n]*", _unlisted, "(A) ink (B) oil (C) tar (D) wax", None),
    Rule("strike", "left open", rf"{_MANY}{_TEXT},? ?(?:or|and/or|/) ?(?:maybe |perhaps |possibly |even )?{_ONE}", " ... ",
         "Either (A) or (D).", None),
    Rule("strike", "two of them", rf"{_MANY}{_TEXT},? ?(?:and|&) {_ONE}(?=\s*(?:[.,;!?]|$|(?:are|both|seem|could|may|might|would|look)\b))",
         " ... ", "(B) and (C)", None),
    Rule("read", "the answer is B", rf"(?:(?i:\b(?:answer|choice|option|solution|response))\b(?:(?!{_O})[^.\n?]){{0,40}}?"
         rf"(?:\b(?i:is|be|was)\b|[:=]){_FILL}|(?i:\banswer) ){_PICK}", "", "The answer is (B); (A) is older.", "B"),
    Rule("read", "B is correct", rf"{_PICK}(?:{_TEXT} (?:is|was|would be|seems|must be|looks|has to be|should be|sounds) {_GOOD}"
         r"| (?:fits|makes sense|works|it is|is it)\b)", "", "Here (C) is the best, (A) is older.", "C"),
    Rule("read", "I choose B", rf"(?i:\b(?:{_CUE})\b){_FILL}{_PICK}", "", "I would choose (C); (A) is older.", "C"),
    Rule("read", "first, or in the last line", rf"(?:^|\n(?=[^\n]{{0,100}}\s*$))[\s\"'.:-]*(?:(?i:option|choice) )?{_PICK}(?! (?:is|are|was|has)\b)",
         "", "(C), because (A) is a gas.", "C"),
    Rule("read", "the last in brackets", r"\[(?P<pick>[A-F])\]", "", "Because cats climb, (E)", "E"),
    Rule("read", "a lone letter, without another", r"\{(?P<pick>[A-F])\}", "", "Because of cats: E", "E"),
]  # fmt: skip
REPLACED = [(r, re.compile(r.pattern)) for r in RULES if r.step != "read"]
READ = [(r, re.compile(r.pattern)) for r in RULES if r.step == "read"]
