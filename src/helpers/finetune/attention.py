"""Attention dropout that rises over the layers (paper, section 4.2), for every model whose attention can drop.

The config of a model knows one value for all layers; each attention module reads its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..errors import UserError

WITH_DROPOUT = ("eager", "sdpa", "flash_attention_2")  # attention kernels that drop attention weights in training
NAMES = ("attention_dropout", "attn_dropout", "dropout")  # Llama and most others, GPT-2, OPT


def dropout_ramp(layers: int, last: float = 0.25) -> list[float]:
    """Attention dropout of each layer: 0.0 in the first, `last` in the last, linear between (section 4.2)."""
    return [last * i / (layers - 1) if layers > 1 else last for i in range(layers)]


def layers(model: Any) -> list[Any]:
    """The layers of a decoder, first to last, whatever its class calls them."""
    decoder = model.get_decoder()
    return list(next((part for part in decoder.children() if isinstance(part, nn.ModuleList)), ()))


def attention_of(layer: Any) -> Any:
    """The attention module of a layer; None where it has none (a convolution, a state space)."""
    found = [m for m in layer.modules() if type(m).__name__.endswith("Attention")]
    return found[-1] if found else None  # the innermost: GPT-Neo wraps its own


def can_drop(model: Any) -> bool:
    """Whether every layer has an attention dropout that its forward pass reads."""
    if model.config.model_type == "falcon" and not model.config.alibi:
        return False  # it has the module and never calls it
    return all(_knob(attention_of(layer)) for layer in layers(model))


def set_attention_dropout(model: Any, ramp: Sequence[float]) -> None:
    """Give every layer its own p, first to last."""
    kernel = getattr(model.config, "_attn_implementation", "eager") or "eager"
    if any(ramp) and kernel not in WITH_DROPOUT:
        raise UserError(
            f"attention kernel {kernel!r} has no dropout: load the model with one of {', '.join(WITH_DROPOUT)}"
        )
    if any(ramp) and not can_drop(model):
        raise UserError(f"{type(model).__name__} has no attention dropout: set attention_dropout=0.0")
    for layer, p in zip(layers(model), ramp, strict=True):
        attention = attention_of(layer)
        if (name := _knob(attention)) and isinstance(getattr(attention, name), nn.Dropout):
            getattr(attention, name).p = p
        elif name:
            setattr(attention, name, p)


def _knob(attention: Any) -> str | None:
    """The name of an attention module's own dropout."""
    kinds = (float, int, nn.Dropout)
    return next((name for name in NAMES if isinstance(getattr(attention, name, None), kinds)), None)
