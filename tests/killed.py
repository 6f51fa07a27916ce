"""What test_resume starts: fine-tunes that are killed with SIGKILL at seeded random instants until they come to their end.

A process of its own that imports everything once and forks each attempt, so that an attempt costs a second, not ten.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import training
from transformers import AutoModelForCausalLM  # noqa: F401  the attempts find it imported

from helpers.finetune import trainer as trainer_


def attempt(profile, out: Path, seconds: float | None = None) -> bool:
    """Fine-tune in a process of its own, killed after `seconds`; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            training.tune(profile, out)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, f"{out.name} failed by itself"
    return True


def reached(out: Path) -> int:
    """The step of the last whole checkpoint; -1 where the model has its name already."""
    if out.exists():
        return -1
    last = trainer_.last_checkpoint(out.with_name(out.name + ".work"))
    return int(last.name.rsplit("-", 1)[1]) if last else 0


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    draw = random.Random(0)
    profile = training.settings(folder / "base", max_steps=7, checkpoint_steps=1, attention_dropout=0.25)
    attempt(profile, folder / "warm")
    began = time.monotonic()
    attempt(profile, folder / "undisturbed")
    whole = time.monotonic() - began
    steps: list[int] = []
    runs = 0
    while len(steps) < kills or sum(step > 0 for step in steps) < 3:
        runs += 1
        out = folder / f"killed-{runs}"
        while not attempt(profile, out, draw.uniform(0.1, 1.0) * whole):
            steps.append(reached(out))
            assert len(steps) < 20 * kills, "no run ever comes to its end"
    (folder / "killed.json").write_text(json.dumps({"steps": steps, "runs": runs, "seconds": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
