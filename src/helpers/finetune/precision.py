"""Weights in 16 bits that do not lose their updates, and the experiment that shows why it matters.

At learning rate 1e-5 a weight moves by about 1e-5 a step. bfloat16 keeps 8 significant bits: around 0.05
its neighbours are 2e-4 apart, so the sum rounds back to where it was and nothing is learnt. Two ways out: keep
a float32 copy of the weights (twice the memory), or round up or down at random, in proportion, so that the
updates survive on average (stochastic rounding; Gupta et al. 2015, Zamirai et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def round_stochastically(values: torch.Tensor) -> torch.Tensor:
    """float32 -> bfloat16, up or down with the probabilities that keep the mean (any shape).

    bfloat16 is float32 without its last 16 bits: add 16 random bits, then cut.
    """
    bits = values.float().contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, dtype=torch.int32, device=bits.device)
    noise.masked_fill_(values.isnan(), 0)  # a GPU's NaN is 0x7fffffff: one more and it would be -0.0
    return ((bits + noise) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


class AdamW16(torch.optim.Optimizer):
    """AdamW for bfloat16 weights: arithmetic in float32, weights and both moments stored by stochastic rounding.

    8 bytes a weight with its gradient, against 16 of float32. The moments need it as much as the weights do: with
    beta2 = 0.999 a step changes the second moment by a thousandth, and bfloat16 sees no less than 1/256.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure else None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, self.state[weight], group)
        return loss

    def _update(self, parameter: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:  # sharded as the weight is, so that a checkpoint gathers the moments of all devices
            moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            state.update(step=torch.tensor(0.0), **moments)
        weight, g = _local(parameter), _local(parameter.grad).float()
        first, second = _local(state["exp_avg"]), _local(state["exp_avg_sq"])
        beta1, beta2 = group["betas"]
        state["step"] += 1
        n = state["step"].item()
        mean = first.float().lerp_(g, 1 - beta1)
        square = second.float().lerp_(g * g, 1 - beta2)
        root = (square / (1 - beta2**n)).sqrt_().add_(group["eps"])
        new = weight.float() * (1 - group["lr"] * group["weight_decay"]) - group["lr"] / (1 - beta1**n) * mean / root
        for kept, value in ((first, mean), (second, square), (weight, new)):
            kept.copy_(round_stochastically(value) if kept.dtype == torch.bfloat16 else value)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This device's part of a sharded tensor (FSDP2's DTensor); a plain tensor as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def share_that_moves(
    weights: dict[str, torch.Tensor], grads: dict[str, torch.Tensor], learning_rate: float, steps: int = 1, **adamw: Any
) -> dict[str, float]:
    """Share of weights (0..1) that differ after `steps` AdamW steps on the same gradient, by how they are stored.

    "fp32": float32 weights; "bf16": bfloat16 weights, rounded to the nearest; "bf16-sr": rounded stochastically.
    All three start from the same numbers, those that bfloat16 can hold. `adamw`: betas, weight_decay.
    """
    moves = _moves(weights, grads, learning_rate, steps, **adamw)
    return {name: float((move != 0).float().mean()) for name, move in moves.items()}


def share_that_arrives(
    weights: dict[str, torch.Tensor], grads: dict[str, torch.Tensor], learning_rate: float, steps: int = 1, **adamw: Any
) -> dict[str, float]:
    """How far the weights went along the way that float32 weights went (1: all of it), as in `share_that_moves`."""
    moves = _moves(weights, grads, learning_rate, steps, **adamw)
    wanted = moves["fp32"].double()
    return {name: float(move.double() @ wanted / (wanted @ wanted)) for name, move in moves.items()}


def _moves(
    weights: dict[str, torch.Tensor],
    grads: dict[str, torch.Tensor],
    learning_rate: float,
    steps: int,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.1,
) -> dict[str, torch.Tensor]:
    """New minus old weights, all in one vector, for each way to store them."""
    moves = {}
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16, "bf16-sr": torch.bfloat16}.items():
        kind, parts = (AdamW16 if name == "bf16-sr" else torch.optim.AdamW), []
        for key, weight in weights.items():
            start = weight.detach().to(torch.bfloat16).to(dtype)
            parameter = torch.nn.Parameter(start.clone())
            optimizer = kind([parameter], lr=learning_rate, betas=betas, weight_decay=weight_decay)
            parameter.grad = grads[key].to(dtype)
            for _ in range(steps):
                optimizer.step()
            parts.append((parameter.detach().float() - start.float()).flatten())
        moves[name] = torch.cat(parts)
    return moves
