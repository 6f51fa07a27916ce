"""One of two processes that share a weight, as FSDP2 spreads it. A module of its own: its imports are paid twice."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from helpers.finetune.precision import AdamW16

SETTINGS, STEPS = {"lr": 1e-3, "weight_decay": 0.1}, 8


def start(dtype: torch.dtype) -> torch.Tensor:
    return torch.full((200, 300), 0.05).to(dtype)


def run(rank: int, port: int, folder: Path) -> None:
    """STEPS steps on half of the weights each, in both precisions; the first process saves the whole."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    torch.distributed.init_process_group("gloo")
    torch.manual_seed(rank)
    whole = {}
    for dtype in (torch.bfloat16, torch.float32):
        model = torch.nn.Linear(300, 200, bias=False, dtype=dtype)
        model.weight.data.copy_(start(dtype))
        fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        optimizer = AdamW16(model.parameters(), **SETTINGS)
        for _ in range(STEPS):
            model(torch.ones(1, 300, dtype=dtype)).sum().backward()  # a gradient of one everywhere
            optimizer.step()
            optimizer.zero_grad()
        assert model.weight.to_local().shape == (100, 300)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = get_optimizer_state_dict(model, optimizer, options=options)  # of the first process only
        whole[str(dtype)] = {"weight": model.weight.full_tensor().detach(), "state": state.get("state")}
    if rank == 0:
        torch.save(whole, folder / "sharded.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
