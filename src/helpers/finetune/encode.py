"""A dialogue becomes token ids and labels, segment by segment (paper, Figure 2, lower half).

The one idea: we know of every token whether it is trained on. Trained: the assistant's turns with their
end token, and in the role arm the role prompt that opens the first of them. Not trained: system line,
tags, the user's words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import roles, strategies
from ..data import shuffle
from ..errors import UserError

IGNORED = -100  # label of a token outside the loss (torch's cross_entropy)


@dataclass(frozen=True)
class Encoded:
    input_ids: list[int]
    labels: list[int]  # as long as input_ids; IGNORED where the loss does not look
    cut: bool = False  # later turns did not fit


class DoesNotFit(UserError):
    """Nothing of a dialogue could be trained on: its first answer is cut away."""


def segments(row: dict[str, Any], arm: str, design: int | str = 8) -> list[tuple[str, bool]]:
    """A row of LIMA-Role as (text, trained) pieces; an end token follows each trained piece.

    Figure 2, lower half: "Below is a chat ... USER: question ASSISTANT: [role prompt] answer". A row that has "pieces"
    of its own is read as they say (lesson 08, exercise 3).
    """
    if "pieces" in row:
        return [(text, trained) for text, trained in row["pieces"]]
    pieces = [(roles.SYSTEM, False)]
    for n, message in enumerate(row["messages"]):
        text = message["content"].strip()
        if message["role"] == "user":
            pieces.append((f"\nUSER: {text}\nASSISTANT:", False))
        else:
            opening = f" {_opening(row, arm, design)}" if arm != "lima" and n == 1 else ""
            pieces.append((f"{opening.rstrip()} {text}", True))
    return pieces


def _opening(row: dict[str, Any], arm: str, design: int | str) -> str:
    """What the arm's strategy writes in front of the first answer: in the role arm a role prompt."""
    if not row.get(arm):
        raise UserError(f"dialogue {row.get('id')} has no {arm} annotation: run annotate first")
    return strategies.STRATEGIES[arm].render(row[arm], design)


def encode_dialogue(
    row: dict[str, Any], tokenizer: Any, arm: str, max_tokens: int = 4096, design: int | str = 8
) -> Encoded:
    """Ids and labels of one row, each piece tokenised by itself so that no token straddles a border.

    One BOS where the tokenizer uses one. End tokens stand only where we put them: what spells one in a text stays text.
    Whether the end token also pads does not matter: padding is told by its place, and its label is IGNORED. Longer than `max_tokens`: cut at the last assistant turn that
    ends in time; UserError when not even the first does.
    """
    first = tokenizer("x").input_ids
    bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None and first[0] == tokenizer.bos_token_id else []
    ids, labels, cut = list(bos), [IGNORED] * len(bos), False
    pieces = segments(row, arm, design)
    # System line and question are tokenised as one text, as they are when the model is asked (`chat.frame`).
    pieces[:2] = [(pieces[0][0] + pieces[1][0], False)]
    for text, trained in pieces:
        piece = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids  # "</s>" is letters here
        if tokenizer.eos_token_id in piece or not piece:
            why = "writes an end token within" if piece else "writes nothing for"
            raise UserError(f"dialogue {row.get('id')}: the tokenizer {why} {text.strip()[:40]!r}; remove the dialogue")
        if trained:
            piece = [*piece, tokenizer.eos_token_id]  # inside the loss: else the model never learns to stop
        if trained and len(ids) + len(piece) > max_tokens:
            cut = True
            break
        ids += piece
        labels += piece if trained else [IGNORED] * len(piece)
    while labels and labels[-1] == IGNORED:  # a question whose answer was cut off
        ids.pop(), labels.pop()
    if not labels:
        raise DoesNotFit(
            f"dialogue {row.get('id')} does not fit into {max_tokens} tokens: shorten it or raise max_tokens"
        )
    return Encoded(ids, labels, cut)


def encode_rows(
    rows: Sequence[dict[str, Any]], tokenizer: Any, arm: str, max_tokens: int = 4096, design: int | str = 8
) -> tuple[list[Encoded], list[str]]:
    """(encoded rows, ids of the dialogues whose first answer does not fit into `max_tokens`).

    UserError where a row has no role (in the role arm), turns out of order, an empty turn, or where nothing fits.
    """
    check_rows(rows)
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no end token: the model could never learn to stop; use its own tokenizer")
    encoded, left_out = [], []
    for row in rows:
        segments(row, arm, design)  # a missing role is an error, not a dialogue to leave out
        try:
            encoded.append(encode_dialogue(row, tokenizer, arm, max_tokens, design))
        except DoesNotFit:
            left_out.append(str(row.get("id")))
    if not encoded:
        raise UserError(f"no dialogue fits into {max_tokens} tokens: raise max_tokens")
    return encoded, left_out


def check_rows(rows: Sequence[dict[str, Any]]) -> None:
    """UserError naming the first row whose turns are not user, assistant, user, assistant ..., or that has an empty one."""
    if not rows:
        raise UserError("there are no dialogues to train on: run annotate first")
    for row in rows:
        spoken = [m.get("role") for m in row["messages"]]
        if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
            raise UserError(f"dialogue {row.get('id')}: turns must go user, assistant, user, assistant")
        if not all(m["content"].strip() for m in row["messages"]):
            raise UserError(f"dialogue {row.get('id')}: an empty turn; repair or remove the row")


def epoch_order(
    lengths: Sequence[int], batch_size: int, seed: int, epoch: int, device_batch_size: int = 1
) -> list[int]:
    """The order in which an epoch meets the rows: drawn from the seed, the same for both arms.

    Where a device takes several rows at once, the rows of one optimizer step are sorted by length: padding
    almost vanishes, and which rows share a step does not change.
    """
    order = list(range(len(lengths)))
    shuffle(order, random.Random(seed if epoch == 0 else f"{seed}, epoch {epoch}"))
    if device_batch_size == 1:
        return order
    steps = (order[i : i + batch_size] for i in range(0, len(order), batch_size))
    return [i for step in steps for i in sorted(step, key=lambda i: lengths[i], reverse=True)]
