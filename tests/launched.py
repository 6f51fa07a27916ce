"""What `accelerate launch` starts in test_devices: the fine-tunes of a JSON file, one after the other, in every process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from helpers import finetune, profiles


def main(path: str) -> None:
    torch.set_num_threads(1)
    for job in json.loads(Path(path).read_text()):
        lora = job["settings"].pop("lora", None)
        profile = profiles.get("cpu", **job["settings"], lora=lora and profiles.Lora(**lora))
        finetune.finetune(profile, "role", job["rows"], Path(job["out"]))


if __name__ == "__main__":
    main(sys.argv[1])
