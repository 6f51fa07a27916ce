"""What a fine-tune will hold in memory, before anything is loaded: planned, printed, and refused when it cannot fit.

Weights, gradients and optimizer are exact counts; activations are an estimate for the longest batch, with
the constants below (docs/PERFORMANCE.md has planned against measured).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import UserError
from ..machine.resources import available_gib, held_gib
from ..models import trim_heap
from ..profiles import Lora, Profile
from . import attention

GIB = 2**30
RESERVE = 0.05  # of the memory, for the allocator's gaps and the driver
KEPT = 12  # bytes of an attention score that a layer keeps: its share, the dropout mask, their product, all in float32
WORKING = 30  # what the layer at work holds beside them
CHECKPOINTED = 62  # bytes of a score where one layer at a time is at work, with the gaps that the one before has left


@dataclass(frozen=True)
class Plan:
    """GiB of one device."""

    precision: str
    devices: int
    weights: float
    gradients: float
    optimizer: float
    activations: float
    without: float = 0.0  # GiB that all layers at once would need, where layers are checkpointed to fit
    quantized: bool = False  # the weights are packed in 4 bits; `precision` is that of the adapters

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        names = ("weights", "gradients", "optimizer", "activations")
        parts = ", ".join(f"{name} {getattr(self, name):.1f}" for name in names)
        shared = f" on each of {self.devices} devices" if self.devices > 1 else ""
        saved = f"; layers are checkpointed, which takes longer: without, {self.without:.1f}" if self.without else ""
        kept = "4-bit weights" if self.quantized else self.precision
        return f"memory plan, {kept}{shared}: {parts}; together {self.total:.1f} GiB{saved}"


@dataclass(frozen=True)
class Sizes:
    """Numbers of a model's weights, counted without loading them."""

    total: int
    linear: int  # in the linear layers of the decoder: what NF4 quantises and LoRA adapts
    edges: int  # sum of (inputs + outputs) of those layers: LoRA has `rank` times as many weights
    largest: int  # of one matrix
    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    positions: int | None  # tokens that the model knows places for; None: no limit
    drops: bool  # its attention has dropout
    eager: bool  # it knows no attention kernel that saves memory


def sizes(config: Any) -> Sizes:
    """Count the weights of a model from its config, on PyTorch's "meta" device (no memory, no weights).

    UserError for what cannot be trained here: no causal language model, or a model without attention.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except ValueError:
        raise UserError(f"a {config.model_type} model does not write text from left to right: choose another") from None
    if not any(attention.attention_of(layer) for layer in attention.layers(model)):
        raise UserError(f"a {config.model_type} model has no attention, and the recipe needs it: choose a transformer")
    head = model.get_output_embeddings()
    linear = [m.weight for m in model.modules() if isinstance(m, (torch.nn.Linear, Conv1D)) and m is not head]
    return Sizes(
        total=sum(p.numel() for p in model.parameters()),
        linear=sum(w.numel() for w in linear),
        edges=sum(sum(w.shape) for w in linear),
        largest=max(p.numel() for p in model.parameters()),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or max(max(w.shape) for w in linear),
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        positions=getattr(config, "max_position_embeddings", None),
        drops=attention.can_drop(model),
        eager=model.config._attn_implementation == "eager",
    )


def plan(profile: Profile, size: Sizes, precision: str = "", devices: int = 1, longest: int | None = None) -> Plan:
    """The memory of one of `devices` devices. Weights, gradients and optimizer are shared among them (FSDP).

    `precision`: by default the first of the profile's. `longest`: tokens of the longest row; without it, the profile's
    `max_tokens`.
    """
    precision = precision or profile.precisions[0]
    trained = size.total if profile.lora is None else size.edges * profile.lora.rank
    each = 2 if precision == "bf16-sr" else 4  # bytes of a trained weight, its gradient, and each of Adam's moments
    if profile.lora is None:
        weights = each * size.total
        if precision == "mixed":
            weights += 2 * size.total  # autocast's 16-bit copies; FSDP holds them for one layer at a time
    elif (
        profile.quantized
    ):  # NF4 with double quantisation: 4.127 bits a weight (QLoRA, section 3); the rest is kept in fp32
        weights = 4.127 / 8 * size.linear + 4 * (size.total - size.linear) + 4 * trained
    else:
        weights = 4 * size.total + 4 * trained
    passing = activations(profile, size, precision, profile.device_batch_size, longest or profile.max_tokens)
    update = 32 * size.largest / devices / GIB if precision == "bf16-sr" else 0  # AdamW16: one matrix in float32
    return Plan(
        precision,
        devices,
        weights=weights / devices / GIB,
        gradients=each * trained / devices / GIB,
        optimizer=2 * each * trained / devices / GIB,
        activations=max(passing, update),  # one after the other
        quantized=profile.quantized,
    )


def activations(profile: Profile, size: Sizes, precision: str, rows: int, tokens: int) -> float:
    """GiB that a pass over `rows` rows of `tokens` tokens holds at its fullest.

    Where attention has dropout, PyTorch has no fused kernel for a CPU: every layer keeps its scores, [rows, heads, tokens,
    tokens], three times over.
    """
    compute = 4 if precision == "fp32" else 2
    numbers = 12 * size.hidden + 4 * size.intermediate  # that one layer keeps of a token for its backward pass
    if profile.lora and profile.lora.dropout:
        numbers += 10 * size.hidden + size.intermediate  # each adapter drops other inputs
    layer = rows * tokens * numbers * compute
    if rows > 1:
        layer += rows * tokens**2 * compute  # each layer makes its own mask of the padding
    dropped = profile.attention_dropout > 0 and size.drops
    scores = rows * size.heads * tokens**2 if size.eager or (dropped and profile.device == "cpu") else 0
    with_scores = (
        size.layers - 1 if dropped and not size.eager and size.layers > 1 else size.layers
    )  # the first has p = 0
    if profile.gradient_checkpointing:
        kept = rows * tokens * size.hidden * compute * size.layers + layer + CHECKPOINTED * scores
    else:
        kept = layer * size.layers + (KEPT * with_scores + WORKING) * scores
    logits = rows * tokens * size.vocabulary * (compute + 4 + 4)
    return (kept + logits) / GIB


def available(profile: Profile) -> float:
    """GiB of one device: a GPU's whole memory, or what this machine (or its container) has free."""
    if profile.device == "cuda":
        import torch

        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GIB
    return available_gib() or 0.0


def choose(profile: Profile, size: Sizes, room: float, devices: int = 1, longest: int | None = None) -> Plan:
    """The plan with the first of the profile's precisions that fits into `room` GiB a device; UserError with the numbers.

    What does not fit is tried with checkpointed layers before the next precision.
    """
    longest = min(longest or profile.max_tokens, profile.max_tokens)
    plans = []
    for precision in profile.precisions:
        plans.append(whole := plan(profile, size, precision, devices, longest))
        if not profile.gradient_checkpointing:
            thrifty = plan(replace(profile, gradient_checkpointing=True), size, precision, devices, longest)
            plans.append(replace(thrifty, without=whole.total))
    for fitting in plans:
        if fitting.total <= room * (1 - RESERVE):
            return fitting
    needs = ", ".join(f"{p.total:.1f} GiB in {p.precision}{' checkpointed' if p.without else ''}" for p in plans)
    if profile.device == "cpu":
        raise UserError(
            f"profile {profile.name!r} needs {needs}, and {room:.1f} GiB are free: close other notebooks and programs"
            f"{_smaller(profile, size, room, longest)}"
        )
    raise UserError(
        f"profile {profile.name!r} needs {needs} on each of {devices} device(s), and there are {room:.1f} GiB: "
        "use more devices, --profile qlora, or smaller max_tokens or device_batch_size"
    )


def _smaller(profile: Profile, size: Sizes, room: float, longest: int) -> str:
    """Settings that do fit into `room`, as the end of a sentence: each was planned."""
    one = {"device_batch_size": 1, "gradient_checkpointing": True}
    shorter = [{**one, "max_tokens": n} for n in (1024, 512, 256) if n < longest]
    for changes in (one, *shorter, *({**less, "lora": Lora(rank=8)} for less in (one, *shorter))):
        tried = plan(
            replace(profile, **changes),
            size,
            profile.precisions[0],
            1,
            min(longest, changes.get("max_tokens", longest)),
        )
        if tried.total <= room * (1 - RESERVE):
            shown = {k: {"rank": 8} if k == "lora" else v for k, v in changes.items()}
            return f", or set {', '.join(f'{k}={v}' for k, v in shown.items())} ({tried.total:.1f} GiB)"
    return ", or take a smaller model"


def keep_to(plan: Plan) -> Callable[[], None]:
    """A function to call before each pass, so that a process on a CPU stays within its plan.

    The C library keeps freed memory for the next pass (`models.tune_allocator`). Rows of many lengths leave gaps that fit no
    later row; when they have grown past the plan, they go back to the system.
    """
    most = held_gib() + plan.total

    def before() -> None:
        if held_gib() > most:
            trim_heap()

    return before
