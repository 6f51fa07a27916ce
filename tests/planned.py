"""A training at its planned limit, in a process of its own: prints the plan and each step's peak as JSON (Linux only).

python planned.py FOLDER PRECISION WHOLE|CHECKPOINTED
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import tiny
import torch
import training
from transformers import LlamaConfig, LlamaForCausalLM

from helpers import profiles
from helpers.finetune import encode, memory
from helpers.machine.resources import GIB, held_gib

STEPS, LONGEST = 50, 352
FULL = (3, 12, 20, 27, 36, 45)  # steps whose two rows are both as long as planned


def rows(tokenizer) -> list[dict]:
    """100 dialogues of many lengths, so placed that the steps of FULL get the longest."""
    rng = random.Random(0)
    lengths = [LONGEST if step in FULL else rng.randint(120, LONGEST) for step in range(STEPS) for _ in range(2)]
    frame = len(encode.encode_dialogue(tiny.row("x", "Why?", "x"), tokenizer, "lima").input_ids) - 1
    placed = dict(zip(encode.epoch_order([0] * len(lengths), 2, 0, 0), lengths, strict=True))
    return [tiny.row(str(i), "Why?", "x" * (placed[i] - frame)) for i in range(len(lengths))]


def peak_since_last() -> float:
    """GiB that this process held at most since the last call."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path("/proc/self/clear_refs").write_text("5")
    return int(status["VmHWM"].split()[0]) * 1024 / GIB


def main(folder: Path, precision: str, way: str) -> None:
    torch.set_num_threads(1)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 16}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=259, num_key_value_heads=16, **shape, **ends)).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    settings = {"max_steps": None, "epochs": 1.0, "device_batch_size": 2, "attention_dropout": 0.25}
    profile = training.settings(folder, precisions=(precision,), max_tokens=LONGEST, **settings)
    training.tune(profiles.replace(profile, max_steps=1, epochs=1), folder / "first", tiny.ROWS)  # libraries wake up
    real = memory.choose

    def choose(profile, size, room, devices, longest):
        """The room is what the plan asks for, and nothing more."""
        whole, less = (
            memory.plan(profiles.replace(profile, gradient_checkpointing=w), size, precision, longest=longest).total
            for w in (False, True)
        )
        asked = whole + 1e-9 if way == "WHOLE" else (whole + less) / 2
        return real(profile, size, asked / (1 - memory.RESERVE), devices, longest)

    memory.choose = choose
    peaks: list[float] = []
    held = held_gib()
    peak_since_last()
    watch = lambda step, *_: step and peaks.append(peak_since_last() - held)  # noqa: E731
    manifest = training.tune(profile, folder / "out", rows(tiny.tokenizer()), "lima", watch=watch)
    told = {key: manifest[key] for key in ("planned_memory_gib", "checkpointed", "steps")}
    print(json.dumps(told | {"peaks": peaks, "held": held}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
