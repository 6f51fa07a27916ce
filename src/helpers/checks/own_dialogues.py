"""A student's own dialogues: can `annotate` read them, and would a model learn something from them?

The one idea: a fine-tune teaches what its dialogues have in common. If that is a phrase, a topic or a mistake, it teaches
this, and not how to choose a role.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from .. import profiles, roles
from ..chat import money
from ..data import Unusable, dialogues, tables
from ..errors import UserError
from . import Mistake

Pair = tuple[str, str]  # question, answer
FEWEST, MOST = 20, 1000  # dialogues that are wanted, and that are read
SHORTEST_QUESTION, SHORTEST_ANSWER = 10, 8  # letters, different words
SMALL_WORDS = set(
    """about after all also always and another any are because been before best between but can cant come could day did
    different does doesnt doing done dont down each ever every explain few find first for from get give goes good had has
    have having help her here his how into its just keep know let like long made make many may mean more most much must
    name need never new not now off old one only other our out over own people please put really same say see should show
    some something start stop such take tell than that the their them then there these they thing think this those time
    too two use used using very want was way well went were what whats when where which while who whose why will with
    without work would write you your""".split()  # noqa: SIM905
)


def read(mine: Any) -> list[Pair]:
    """First question and answer of each dialogue; [] if there is nothing yet. Mistake with the message of `annotate`.

    `mine`: pairs of texts, rows in any layout of docs/DATA.md, a data frame of them, or the name of a file.
    """
    if isinstance(mine, str | Path):
        if len(str(mine)) > 200 or not Path(mine).is_file():
            raise Mistake(f"There is no file {str(mine)[:60]!r} in the folder of this notebook")
        found = _dialogues(lambda: tables.read(str(mine)))
    else:
        mine = mine.to_dict("records") if isinstance(mine, pd.DataFrame) else mine
        if not isinstance(mine, Iterable):
            raise Mistake(f"Give a list of pairs (question, answer), yours is a {type(mine).__name__}")
        items = islice(mine.items() if isinstance(mine, Mapping) else mine, MOST)
        rows = [(n, _row(item)) for n, item in enumerate(items, 1) if item is not ...]
        if not rows:
            return []
        found = _dialogues(lambda: [tables.Table("your list", "pair", rows)])
    return [(d.turns[0].strip(), d.turns[1].strip()) for d in found[:MOST]]


def _row(item: Any) -> dict[str, Any] | Unusable:
    if isinstance(item, Mapping):
        return dict(item)
    turns = isinstance(item, Iterable) and not isinstance(item, str | bytes)
    return {"conversations": list(islice(item, MOST))} if turns else Unusable("not a pair (question, answer)")


def _dialogues(open_tables: Callable[[], list[tables.Table]]) -> list[dialogues.Dialogue]:
    try:
        return dialogues.dialogues(open_tables(), say=lambda _: None)
    except UserError as error:
        raise Mistake(str(error)) from None


# --- what would break a training, or teach nothing -----------------------------------------------

RULES: dict[str, Callable[[str, str], Any]] = {  # of one pair
    f"a question of fewer than {SHORTEST_QUESTION} letters says too little for a role": lambda q, a: (
        len(q) < SHORTEST_QUESTION
    ),
    f"an answer of fewer than {SHORTEST_ANSWER} words: most of what is trained would be the role prompt": lambda q, a: (
        len(set(plain(a).split())) < SHORTEST_ANSWER
    ),
    "too long for the cpu profile, so it would be cut": lambda q, a: (
        money.tokens_in(q + a) > profiles.get("cpu").max_tokens
    ),
    "the answer repeats its question": lambda q, a: plain(a).startswith(plain(q)),
    "the answer opens with a role prompt already": lambda q, a: roles.strip(a)[0],
    "a line begins with USER: or ASSISTANT:, as the turns of the frame do": lambda q, a: re.search(
        r"^\s*(?:USER|ASSISTANT):", f"{q}\n{a}", re.MULTILINE
    ),
    "an e-mail address or a key: the annotator would read it, and the model may repeat it": lambda q, a: re.search(
        r"[\w.+-]+@[\w-]+\.\w+|\bsk-\w{8,}", f"{q} {a}"
    ),
}


def opening(text: str) -> str:
    """The first word of a text; the first two if the first is a small word."""
    words = plain(text).split()
    return " ".join(words[: 2 if words and (words[0] in SMALL_WORDS or len(words[0]) < 3) else 1])


PHRASES: dict[str, tuple[Callable[[str], str], float]] = {  # the share of texts that may have one in common
    "begin with": (opening, 0.5),
    "begin with the word": (lambda text: "".join(plain(text).split()[:1]), 0.75),
    "end with": (lambda text: " ".join(plain(text).split()[-3:]), 0.5),
}


def flaws(pairs: list[Pair]) -> list[str]:
    """What is wrong, a line for each kind; pairs are numbered from 1 on."""
    found = [
        f"{_numbered(where)}: {flaw}"
        for flaw, rule in RULES.items()
        if (where := [n for n, pair in enumerate(pairs, 1) if rule(*pair)])
    ]
    questions, answers = zip(*pairs)
    for what, texts in (("question", questions), ("answer", answers)):
        same = defaultdict(list)
        for n, text in enumerate(texts, 1):
            same[plain(text)].append(n)
        found += [f"{_numbered(where)}: the same {what} again" for where in same.values() if len(where) > 1]
    if len(pairs) < FEWEST:
        return [*found, f"{len(pairs)} of {FEWEST} dialogues: a model would learn so few by heart. Write more"]
    if sum(a.endswith("?") and not q.endswith("?") for q, a in pairs) > len(pairs) / 2:
        found += ["your answers end with a question mark and your questions do not: are the two swapped?"]
    for what, texts in (("questions", questions), ("answers", answers)):
        for place, (phrase_of, share) in PHRASES.items():
            phrase, n = Counter(map(phrase_of, texts)).most_common(1)[0]
            if n > share * len(pairs):
                found += [f"{n} of {len(pairs)} {what} {place} {phrase!r}: a model would learn this phrase. Vary it"]
                break
    word, n = topic(questions)
    if n > len(pairs) / 2:
        found += [f"{n} of {len(pairs)} questions have the word {word!r}: one topic needs one role only. Vary it"]
    return found


def topic(questions: Iterable[str]) -> tuple[str, int]:
    """The word that most questions have, and how many have it; small words and plural endings do not count."""
    counts = Counter(
        word
        for question in questions
        for word in {w if w.endswith("ss") else w.removesuffix("s") for w in plain(question).split()}
        if len(word) > 2 and word not in SMALL_WORDS and f"{word}s" not in SMALL_WORDS
    )
    return counts.most_common(1)[0] if counts else ("", 0)


def plain(text: str) -> str:
    """A text in small letters, without punctuation, with single spaces."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())


def _numbered(where: list[int]) -> str:
    more = ", ..." if len(where) > 6 else ""
    return f"pair{'s' if len(where) > 1 else ''} {', '.join(map(str, where[:6]))}{more}"
