"""The key/value cache of many conversations that are answered at the same time.

Row k holds its own tokens from position 0 on, with nothing in between: no padding is ever seen, a row that
is done makes room for one that waits, and a row can go on in a second stage where it stopped. What lies behind
a row's end is never attended to, and written over when the row goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache

BLOCK = 64  # room is made in steps of so many positions
TRIED = ("codegen", "falcon", "gptj", "stablelm")  # older code that takes a mask all the same
KINDS = {  # kind of layer -> which earlier positions a query sees, as transformers' masking_utils has it
    "full_attention": lambda query, key, config: key >= 0,
    "sliding_attention": lambda query, key, config: key > query - config.sliding_window,
    "chunked_attention": lambda query, key, config: (
        key // config.attention_chunk_size == query // config.attention_chunk_size
    ),
}


def serves(model: Any) -> bool:
    """Whether a model's answers from `Slots` are those of its own `generate`: its attention takes our masks and positions,
    and nothing but keys and values is carried from token to token.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model  # an adapter's
    config, kinds = model.config.get_text_config(), layer_kinds(model.config.get_text_config())
    looks_back = "create_sliding_window_causal_mask" in vars(sys.modules[type(model).__module__])
    return (
        (model._supports_attention_backend or (config.model_type in TRIED and not getattr(config, "alibi", False)))
        and not model._is_stateful
        and config._attn_implementation in ("sdpa", "eager")
        and kinds <= set(KINDS)
        and (looks_back or "sliding_attention" not in kinds)  # else its code ignores the window that its settings name
    )


def layer_kinds(config: Any) -> set[str]:
    """The kinds of attention that a model's layers have, by transformers' own names."""
    if kinds := getattr(config, "layer_types", None):
        return set(kinds)
    if getattr(config, "sliding_window", None):
        return {"sliding_attention"}
    return {"chunked_attention"} if getattr(config, "attention_chunk_size", None) else {"full_attention"}


class Slots(Cache):
    """Keys and values, [rows, heads, positions, head size] a layer; rows 0 to n-1 are in use, in the caller's order."""

    def __init__(self, model: Any) -> None:
        super().__init__(layers=[])
        self.model, self.device = model, model.device
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.room = (0, 0)  # (rows, positions) that the tensors hold
        self.config = model.config.get_text_config()
        self.kinds = layer_kinds(self.config)

    @torch.inference_mode()
    def forward(self, first: int, tokens: Sequence[Sequence[int]], lengths: Sequence[int]) -> torch.Tensor:
        """Logits [rows, vocabulary] after the last column of `tokens`, which are written behind `lengths` in rows from `first` on.

        Shorter token lists are filled up on the right; what is written for the filling lies behind the row's end.
        """
        rows, columns = len(tokens), max(map(len, tokens))
        filled = [[*t, *[0] * (columns - len(t))] for t in tokens]
        start = torch.tensor(lengths, device=self.device)
        positions = start[:, None] + torch.arange(columns, device=self.device)
        width = max(lengths) + columns
        self._at = (first, first + rows, positions, width)
        out = self.model(
            input_ids=torch.tensor(filled, device=self.device),
            attention_mask=self._masks(positions, width),
            position_ids=positions,
            past_key_values=self,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]

    def _masks(self, positions: torch.Tensor, width: int) -> Any:
        """What each query sees, [rows, 1, columns, width]; where the layers differ, a dict of masks by kind of layer."""
        query, key = positions[:, None, :, None], torch.arange(width, device=self.device)
        masks = {kind: (key <= query) & KINDS[kind](query, key, self.config) for kind in sorted(self.kinds)}
        if self.config._attn_implementation == "eager":  # it adds the mask to the scores
            never = torch.finfo(self.model.dtype).min
            masks = {k: torch.zeros_like(m, dtype=self.model.dtype).masked_fill(~m, never) for k, m in masks.items()}
        return masks if len(masks) > 1 else masks.popitem()[1]

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple:
        """What a layer calls: keep [rows, heads, columns, size], return all that the rows hold."""
        first, last, positions, width = self._at
        if layer_idx == len(self.keys):
            shape = (self.room[0], keys.shape[1], self.room[1], keys.shape[3])
            self.keys.append(keys.new_zeros(shape))
            self.values.append(values.new_zeros(shape[:3] + values.shape[3:]))
        rows = torch.arange(first, last, device=positions.device)[:, None]
        for kept, new in ((self.keys[layer_idx], keys), (self.values[layer_idx], values)):
            kept[rows, :, positions] = new.transpose(1, 2)
        return self.keys[layer_idx][first:last, :, :width], self.values[layer_idx][first:last, :, :width]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._at[3]

    @torch.inference_mode()
    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        """Write the first `length` positions of row `source` into other rows."""
        targets = [t for t in targets if t != source]
        for kept in (*self.keys, *self.values) if targets else ():
            kept[targets, :, :length] = kept[source, :, :length]

    @torch.inference_mode()
    def swap(self, a: int, b: int, length: int) -> None:
        """Let two rows change places, with their first `length` positions."""
        for kept in (*self.keys, *self.values) if a != b else ():
            kept[[a, b], :, :length] = kept[[b, a], :, :length]

    @torch.inference_mode()
    def fit(self, rows: int, width: int) -> None:
        """Have room for so many rows and positions; give back what is far more. Unused positions hold zeros, never NaN."""
        width = -(-width // BLOCK) * BLOCK
        wasteful = self.room[0] * self.room[1] > 2 * rows * width
        room = (rows, width) if wasteful else (max(rows, self.room[0]), max(width, self.room[1]))
        if room == self.room:
            return
        self.room = room
        for tensors in (self.keys, self.values):
            for i, old in enumerate(tensors):
                new = old.new_zeros((room[0], old.shape[1], room[1], old.shape[3]))
                rows, width = min(room[0], old.shape[0]), min(room[1], old.shape[2])
                new[:rows, :, :width] = old[:rows, :, :width]
                tensors[i] = new
