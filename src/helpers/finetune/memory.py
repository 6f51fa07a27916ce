"""What a fine-tune will hold in memory, before anything is loaded: planned, printed, and refused when it cannot fit.

Weights, gradients and optimizer are exact counts; activations are an estimate for the longest batch, with
the constants below (docs/PERFORMANCE.md has planned against measured).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UserError
from ..profiles import Profile

GIB = 2**30
RESERVE = 0.05  # of the memory, for the allocator's gaps and the driver


@dataclass(frozen=True)
class Plan:
    """GiB of one device."""

    precision: str
    devices: int
    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        parts = ", ".join(f"{k} {v:.1f}" for k, v in asdict(self).items() if k not in ("precision", "devices"))
        shared = f" on each of {self.devices} devices" if self.devices > 1 else ""
        return f"memory plan, {self.precision}{shared}: {parts}; together {self.total:.1f} GiB"


@dataclass(frozen=True)
class Sizes:
    """Numbers of a model's weights, counted without loading them."""

    total: int
    linear: int  # in the linear layers of the decoder: what NF4 quantises and LoRA adapts
    edges: int  # sum of (inputs + outputs) of those layers: LoRA has `rank` times as many weights
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int


def sizes(config: Any) -> Sizes:
    """Count the weights of a model from its config, on PyTorch's "meta" device (no memory, no weights)."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    return Sizes(
        total=sum(p.numel() for p in model.parameters()),
        linear=sum(m.weight.numel() for m in linear),
        edges=sum(m.in_features + m.out_features for m in linear),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        vocabulary=config.vocab_size,
    )


def plan(profile: Profile, size: Sizes, precision: str = "fp32", devices: int = 1) -> Plan:
    """The memory of one of `devices` devices. Weights, gradients and optimizer are shared among them (FSDP)."""
    trained = size.total if profile.lora is None else size.edges * profile.lora.rank
    each = 2 if precision == "bf16-sr" else 4  # bytes of a trained weight, its gradient, and each of Adam's moments
    compute = 2 if profile.device == "cuda" else 4
    if profile.lora is None:
        weights = each * size.total
        if precision == "fp32" and compute == 2:
            weights += 2 * size.total  # autocast's 16-bit copies; FSDP holds them for one layer at a time
    elif (
        profile.quantized
    ):  # NF4 with double quantisation: 4.127 bits a weight (QLoRA, section 3); the rest is kept in fp32
        weights = 4.127 / 8 * size.linear + 4 * (size.total - size.linear) + 4 * trained
    else:
        weights = 4 * size.total + 4 * trained
    tokens = profile.device_batch_size * profile.max_tokens
    layer = tokens * (12 * size.hidden + 4 * size.intermediate) * compute  # what one layer keeps for its backward pass
    kept = (
        tokens * size.hidden * compute * size.layers + layer if profile.gradient_checkpointing else layer * size.layers
    )
    logits = tokens * size.vocabulary * (compute + 4 + 4)
    return Plan(
        precision,
        devices,
        weights=weights / devices / GIB,
        gradients=each * trained / devices / GIB,
        optimizer=2 * each * trained / devices / GIB,
        activations=(kept + logits) / GIB,
    )


def available(profile: Profile) -> float:
    """GiB of one device: a GPU's whole memory, or what this machine has free."""
    if profile.device == "cuda":
        import torch

        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GIB
    import psutil

    return psutil.virtual_memory().available / GIB


def choose(profile: Profile, size: Sizes, room: float, devices: int = 1) -> Plan:
    """The plan with the first of the profile's precisions that fits into `room` GiB a device; UserError with the numbers."""
    plans = [plan(profile, size, precision, devices) for precision in profile.precisions]
    for fitting in plans:
        if fitting.total <= room * (1 - RESERVE):
            return fitting
    needs = ", ".join(f"{p.total:.1f} GiB in {p.precision}" for p in plans)
    raise UserError(
        f"profile {profile.name!r} needs {needs} on each of {devices} device(s), and there are {room:.1f} GiB: "
        "use more devices, --profile qlora, or smaller max_tokens or device_batch_size"
    )
