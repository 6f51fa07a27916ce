"""A small judge on this machine: too weak to explain itself, so its choice is read from its probabilities.

The one idea: after the judge's prompt and the word "Answer" a model expects "A" or "B". How much it expects "A", in
both orders, shows what it thinks of the answers, and what it thinks of the first place.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..chat import LocalChat, user
from .pairs import Pair, games


def lean(chat: LocalChat, both: Sequence[Pair]) -> pd.DataFrame:
    """A line a pair: id, and the probability (of 1, among "A" and "B") of the answer shown first, by order.

    Columns: id; `a first`: of "A" where arm a is shown first; `b first`: of "A" where arm b is; `same place`: whether
    the judge leans to the same place both times. Only pairs that need a judge are asked; nothing is written.
    """
    lines = []
    for pair in (p for p in both if not p.settled):
        a, b = (_first(chat, text) for text in games(pair).values())
        lines.append((pair.id, a, b, (a > 0.5) == (b > 0.5)))
    return pd.DataFrame(lines, columns=["id", "a first", "b first", "same place"])


def _first(chat: LocalChat, prompt: str) -> float:
    import torch

    ids = chat.tokenizer(f"{chat.text(user(prompt))} Answer").input_ids
    letters = [chat.tokenizer(f" {letter}", add_special_tokens=False).input_ids[-1] for letter in "AB"]
    with torch.inference_mode():
        logits = chat.model(torch.tensor([ids], device=chat.model.device), logits_to_keep=1).logits[0, -1]
    return float(logits[letters].float().softmax(-1)[0])
