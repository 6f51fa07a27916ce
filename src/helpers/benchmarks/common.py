"""What the benchmarks share: reading rows, lettering options, and the two rules that find an answer in a reply.

Two rules stand side by side, because a rule alone can move a score by several points:

kojima     the paper's: the first match anywhere (Kojima et al.'s `answer_cleansing`). For letters that is
           the first capital, be it the A of "Answer".
declared   what the reply declares ("the answer is (B)", "Answer: 12", "\\boxed{B}"), the last time where it
           corrects itself. What is ruled out ("not B"), left open ("A or C") or merely repeats the question is
           no answer.

None is "unparsed": counted, never guessed. `letters.py` has both rules for letters, each benchmark's module
those for its numbers, its yes or no, its code; `originals.py` says which data files are the paper's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import roles
from ..data import SAMPLES, hub_rows, local_folder, numbered_rows, read_jsonl, shuffle, write_jsonl
from ..errors import UserError
from . import originals

Row = dict[str, Any]
RULES = ("kojima", "declared")

BIG_BENCH = (  # the task files that the paper's reader reads; the hub's copies split, rename and re-order them
    "https://raw.githubusercontent.com/NKU-HLT/Role-Play-Prompting/43e73ed38135768eeb7c772ac979760a7ca572b5/dataset"
)

# --- rows ---------------------------------------------------------------------------------------


def read(
    source: str,
    name: str,
    local: str,
    hub: tuple[str, ...],
    required: tuple[str, ...],
    texts: Callable[[Row], Sequence[str]],
) -> list[Row]:
    """All rows of a benchmark in file order: our sample, a file below SPT_DATA, or the hub.

    `hub` is (data set, configuration, split, revision), or one address of an original task file.
    Every row gains "question_id", unique within the benchmark. `texts`: what a row is asked and graded with; UserError
    names file and line where it cannot be made of the row.
    """
    if source == "packaged":
        rows = read_jsonl(SAMPLES / "benchmarks" / f"{name}.jsonl", required)
    elif source == "local":
        numbered = numbered_rows(local_folder() / local, required)
        for number, row in numbered:
            _check_texts(texts, row, f"{Path(local).name}, line {number}", required)
        rows = [row for _, row in numbered]
        originals.check(name, rows, local)
    elif source == "hub" and len(hub) == 1:
        rows = originals.download(name, hub[0])
    elif source == "hub":
        rows = hub_rows(*hub)
        originals.check(name, rows, hub[0], exact=False)
    else:
        raise UserError(f"unknown source {source!r}: choose packaged, local or hub")
    if _kept and source != "packaged":
        write_jsonl(rows, _kept / local)
    return [{**row, "question_id": f"{name}-{i:05}"} for i, row in enumerate(rows)]


def _check_texts(texts: Callable[[Row], Sequence[str]], row: Row, where: str, required: tuple[str, ...]) -> None:
    try:
        found = texts(row)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        found = [None]
    if not all(isinstance(text, str) and text.strip() for text in found):
        raise UserError(
            f"{where}: {', '.join(required)} are not filled in as docs/DATA.md says; repair or remove the line"
        )


_kept: Path | None = None  # see `kept_in`


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Inside, all rows that are read from the hub or from SPT_DATA are also written below `folder`, laid out as SPT_DATA is."""
    global _kept
    _kept = folder
    try:
        yield
    finally:
        _kept = None


def render_options(options: dict[str, str]) -> str:
    """{"A": "bank", "B": "mall"} -> "(A) bank (B) mall"."""
    return " ".join(f"({letter}) {text}" for letter, text in options.items())


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
    r"(?i)\b(?:on second thought|scratch that|my mistake|no, actually|actually, no"
    r"|let me (?:correct|fix|re-?check|re-?consider|redo)|i made an? (?:mistake|error))\b"
    # These are also plain words ("they wait 15 minutes"): only where a sentence begins with them and then pauses.
    r"|(?:^|[.:;!?()\n-])\s*(?:(?:oh|hm+|no|but|i'm|i am),? )?"
    r"(?:wait(?: no)?|correction|sorry(?: (?:about|for) [^.,:!\n]{1,30})?)(?=\s*(?:[.,:;!\n-]|$))"
)
_ROLE = re.compile(rf"\[This question is{roles.INSIDE}(?:\]|[^\]]*$)")  # also a second one, which roles.strip leaves
_NEXT_TURN = re.compile(r"\n\s*(?:USER|User|Human|Question|Q)\s*:")  # the model plays the user, too
_ASKED = re.compile(r"(?i)(?:\bamong )?(?<!\w)\(?[A-F]\)? through \(?[A-F]\)?(?!\w)|\((?:yes or no|arabic numerals)\)")
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
