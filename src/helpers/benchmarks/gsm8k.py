r"""GSM8K (Cobbe et al., 2021), test split: grade-school word problems with an integer result.

>>> row = {"question": "Mia buys 3 boxes of 12 eggs and breaks 4. How many are whole?",
...        "answer": "She buys 3*12=<<3*12=36>>36 eggs.\n36-4=<<36-4=32>>32 are whole.\n#### 32"}
>>> gold(row)
'32'
>>> extract(" 32 eggs are whole.")
'32'
>>> reply = "3 boxes of 12 are 36 eggs. The answer is 32."
>>> extract(reply), extract(reply, rule="declared")  # the first number, the declared one
('3', '32')
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from ..errors import UserError
from . import common

NAME = "gsm8k"
STAGE2 = "\nTherefore, the answer (arabic numerals) is"


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The 1,319 test problems in file order."""
    hub = ("openai/gsm8k", "main", "test", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c")
    found = common.read(source, NAME, "gsm8k/test.jsonl", hub, ("question", "answer"), _texts)[:limit]
    for row in found:
        gold(row)  # told now, not when a model has answered
    return found


def _texts(row: common.Row) -> list[str]:
    return [row["question"], row["answer"]]


def question(row: common.Row) -> str:
    return row["question"].strip()


def gold(row: common.Row) -> str:
    try:
        return _plain(row["answer"].split("####")[1])
    except (IndexError, ArithmeticError, ValueError):
        raise UserError(f"{row['question_id']}: no number behind '####' in the answer; write it there") from None


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.0


def extract(text: str, rule: str = "kojima", row: common.Row | None = None) -> str | None:
    """The first number (kojima) or the declared one, without commas, unit or trailing zeros: "$1,080.00" -> "1080"."""
    return common.apply(rule, _first, _declared, text)


def correct(row: common.Row, text: str, rule: str = "kojima") -> bool:
    return extract(text, rule, row) == gold(row)


def _plain(number: str) -> str:
    """ "1,080.00" -> "1080", "3.50" -> "3.5", "1/2" -> "0.5", "1/3" -> "1/3"."""
    number = number.replace(",", "").strip()
    if "/" in number:
        *whole, part = re.sub(" ?/ ?", "/", number).split(" ")
        if re.search("/0+$", part):
            return part
        value = Fraction(part)
        if whole:
            value = int(whole[0]) + (-value if "-" in whole[0] else value)
        if 10**12 % value.denominator:
            return str(value)
        number = str(Decimal(value.numerator) / Decimal(value.denominator))
    exact = format(Decimal(number), "f")
    return (exact.rstrip("0").rstrip(".") if "." in exact else exact) or "0"


def _first(text: str) -> str | None:
    match = re.search(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)", text)
    return _plain(match[0]) if match else None


_NUMBER = re.compile(
    r"(?<!\w)(?<!\d[.,/:])-?(?:(?:\d+ )?\d+ ?/ ?\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?!\d|st\b|nd\b|rd\b|th\b|-[A-Za-z])"  # no ordinal, no "17-year-old"
)
_ANSWER = re.compile(r"(?i)####|\banswer\b(?:[^.\n]|\.(?=\d))*?(?:\b(?:is|be|was)\b|[:=])")
_OPENING = re.compile(
    rf"^[\s\"'.:(=-]*?({_NUMBER.pattern})(?: ?%|(?: ?[A-Za-z]+){{1,2}})?(?:\s*$|[.!)]?\n|[.!](?:\s|$)|,? (?:because|since|as|not|\())"
)
_CUT = re.compile(r"(?:[-+*/×÷=(]|\b(?:is|equals|of|by|plus|minus|times))\s*$")


def _declared(text: str) -> str | None:
    text = re.sub(r"[$€£¥]|\bRs\.? ?", "", text)
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}\b)", "", text)  # 1 080 in SI style
    for open_ in (
        rf"(?i)\bbetween {_NUMBER.pattern} and {_NUMBER.pattern}",
        rf"{_NUMBER.pattern},? or {_NUMBER.pattern}",
    ):
        text = re.sub(open_, " ", text)  # "between 10 and 15", "12 or 13"
    text = re.sub(rf"(?i)(?:\bnot|n't|\binstead of|\brather than) {_NUMBER.pattern}", " ", text)
    if re.search(r"^\s*1[.)] ", text, re.MULTILINE) and re.search(r"^\s*2[.)] ", text, re.MULTILINE):
        text = re.sub(r"(?m)^\s*\d+[.)] ", "", text)  # the numbers of a list
    for match in reversed(list(_ANSWER.finditer(text))):
        sentence = re.split(r"\n|[.!?](?:\s|$)", text[match.end() :].lstrip())[0]
        if found := _result(sentence):
            return found
    if match := _OPENING.match(text):
        return _plain(match[1])
    outside = re.sub(r"\([^()]*\)", " ", text)  # "12 are left (20 bought, 8 given away)"
    numbers = _NUMBER.findall(outside) or _NUMBER.findall(text)
    return _plain(numbers[-1]) if numbers and not _CUT.search(text) else None


def _result(sentence: str) -> str | None:
    """The number that a sentence arrives at: behind its last "=", else its first."""
    behind = _NUMBER.search(sentence.rpartition("=")[2])
    return _plain(behind[0]) if behind else None
