"""Model FLOPs utilisation: the share of a card's peak that a training uses for the model's own arithmetic."""

from __future__ import annotations

import re
from typing import Any

# Peak bf16 (dense) TFLOP/s by words of the card's name, from NVIDIA's data sheets; the first line that fits counts.
PEAK_TFLOPS = {
    "H200 NVL": 835,
    "H200": 989,
    "GH200": 989,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "H800": 989,
    "A100": 312,
    "A800": 312,
    "A10G": 70,
    "A10": 125,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 4090": 165,
    "RTX 3090": 71,
}


def peak_tflops(name: str) -> int | None:
    """By whole words of the name ("NVIDIA L4" is not an L40); None for a card that the table does not know."""
    if re.search("Laptop|MIG", name):  # slower than the card, or a part of it
        return None
    words = " ".join(re.split(r"[\s-]+", name))  # "NVIDIA A100-SXM4-80GB"
    return next((peak for card, peak in PEAK_TFLOPS.items() if re.search(rf"(?i)\b{card}\b", words)), None)


def flops_per_token(model: Any) -> int:
    """Forward 2 a weight, backward 2 for the inputs and 2 for the weight if it is trained; attention itself is left out.

    Weights that are looked up (embeddings) count only where they are the head as well. Packed 4-bit weights count whole.
    """
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    looked_up = None if head is not None and head.weight is table.weight else table.weight
    return sum((6 if p.requires_grad else 4) * _numbers(p) for p in model.parameters() if p is not looked_up)


def _numbers(weight: Any) -> int:
    state = getattr(weight, "quant_state", None)
    return state.shape.numel() if state is not None else weight.numel()
