"""What a processor or GPU can do: asked by profiles whose device is "auto", and before arithmetic in 16 bits."""

from __future__ import annotations

from functools import cache


@cache
def best() -> str:
    """ "cuda", "mps" (Apple silicon) or "cpu": the first of them that PyTorch finds here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware. Where it does not, PyTorch imitates it, slower than float32."""
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
