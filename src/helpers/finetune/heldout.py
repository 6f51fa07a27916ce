"""What a model learns in a fine-tune, seen on dialogues that it does not train on.

The one idea: the loss is a mean over tokens, and a mean hides what was learned. So every token that the model should
write keeps its own loss, in nats (-log p), and a name for its part: the opening (role prompt), the answer, or its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import models, strategies
from ..data import lima
from ..profiles import Profile
from .encode import IGNORED, encode_dialogue, encode_rows
from .tune import WATCHED

if TYPE_CHECKING:
    from .trainer import EpochSampler

DIALOGUES = 8  # a look at these takes an arm two or three seconds on two cores
FIRST = 16  # letters
COLUMNS = ["step", "dialogue", "part", "token", "nats", "likeliest"]


def unseen(
    profile: Profile, rows: Sequence[dict[str, Any]], arms: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """The rows of one turn that none of these arms will be trained on, the shortest first.

    Short is a short question with the first sentence of its answer. Answers that begin with a number or a list ("1.")
    are left out: a first sentence of fewer than FIRST letters shows little. Empty if the training sees every dialogue.
    """
    words = models.tokenizer(profile)
    free = [row for row in rows if len(row["messages"]) == 2]
    for arm in arms:
        fitting, sampler, steps = _order(profile, rows, arm, words, seed)
        left = set(fitting) - {fitting[i] for step in range(steps) for i in sampler.rows_of_step(step)}
        free = [row for row in free if str(row["id"]) in left]
    begun = [[len(message["content"]) for message in row["messages"]] for row in lima.openings(free)]
    ordered = sorted(range(len(free)), key=lambda i: (sum(begun[i]), str(free[i]["id"])))
    return [free[i] for i in ordered if begun[i][1] >= FIRST]


def _order(
    profile: Profile, rows: Sequence[dict[str, Any]], arm: str, words: Any, seed: int
) -> tuple[list[str], EpochSampler, int]:
    """(ids of the rows that fit, the order in which they are trained on, optimizer steps), before anything is trained."""
    from .trainer import EpochSampler  # with TRL, which takes seconds to import

    most = min(profile.max_tokens, getattr(models.config(profile), "max_position_embeddings", None) or math.inf)
    encoded, left_out = encode_rows(rows, words, arm, most, profile.design)
    fitting = [str(row["id"]) for row in rows if str(row["id"]) not in set(left_out)]
    steps = profile.max_steps or math.ceil(profile.epochs * math.ceil(len(fitting) / profile.batch_size))
    return fitting, EpochSampler([len(e.input_ids) for e in encoded], profile, seed), steps


def look(model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], arm: str, design: int | str = 8) -> list[dict]:
    """One line for each token that `model` should write in these rows, as training counts it.

    dialogue (id), part ("opening", "answer", "end"), token (its id), nats (-log p), likeliest (would greedy decoding
    write it?).
    """
    import torch

    lines = []
    for row in rows:
        encoded = encode_dialogue(row, tokenizer, arm, design=design)
        ids = torch.tensor([encoded.input_ids], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, :-1].float()  # the logits at position t predict token t + 1
        wanted = ids[0, 1:, None]
        nats = -logits.log_softmax(-1).gather(1, wanted)[:, 0]
        likeliest = logits.argmax(-1) == wanted[:, 0]
        trained = [t for t, label in enumerate(encoded.labels[1:]) if label != IGNORED]
        parts = _parts([encoded.input_ids[t + 1] for t in trained], tokenizer)
        lines += [
            {
                **{"dialogue": str(row["id"]), "part": part, "token": encoded.input_ids[t + 1]},
                **{"nats": round(nats[t].item(), 4), "likeliest": bool(likeliest[t])},
            }
            for t, part in zip(trained, parts)
        ]
    return lines


def _parts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    """The part of each token of an answer: everything up to the bracket that closes its opening is "opening"."""
    opening = strategies.opening(tokenizer.decode(ids))
    k = 0
    while opening and not tokenizer.decode(ids[:k]).lstrip().startswith(opening):
        k += 1
    return [*["opening"] * k, *["answer"] * (len(ids) - k - 1), "end"]


def watcher(
    profile: Profile, rows: Sequence[dict[str, Any]], arm: str, held_out: Callable[[], Sequence[dict[str, Any]]]
) -> Callable[[int, Any, Any], list[dict[str, Any]]]:
    """A `watch` for `finetune` on `rows`: looks at held-out dialogues before, twice during, and after the training.

    It reads the first sentence of their answers, so that a look takes seconds. The end token is left out: the answers
    do not end there. `held_out` is called when the first look is due.
    """
    begun: list[dict[str, Any]] = []
    moments: set[int] = set()

    def watch(step: int, model: Any, tokenizer: Any) -> list[dict[str, Any]]:
        if not moments:
            steps = _order(profile, rows, arm, tokenizer, 0)[2]
            moments.update((0, round(steps / 7), round(3 * steps / 7), steps))
        if step not in moments:
            return []
        if not begun:
            begun.extend(lima.openings(held_out()))
        lines = look(model, tokenizer, begun, arm, profile.design)
        return [{"step": step} | line for line in lines if line["part"] != "end"]

    return watch


def watched(folder: Path) -> pd.DataFrame | None:
    """What `watcher` saw of the model in `folder`: the lines of `look` with their step; None if nobody watched."""
    path = folder / WATCHED
    return pd.read_csv(path)[COLUMNS] if path.is_file() else None
