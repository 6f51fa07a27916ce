"""Prints our training speed beside TRL's SFTTrainer with its own defaults: same model, rows, order, batches and learning rate.

    python tests/perf/training_speed.py [steps]

TRL's default precision is bfloat16, which many laptop processors only emulate; so a third run has its other defaults in float32.
Only what makes the two runs the same experiment is set for TRL (batch of 2, the order of the rows, AdamW's settings, the
schedule); precision, checkpointing of activations, loss and logging are its defaults. Attention dropout is 0 in both, so that the losses
can be compared.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 4


def rows():
    from helpers import annotate
    from helpers.data.lima import dialogues

    with tempfile.TemporaryDirectory() as folder:
        return annotate.annotate(dialogues("packaged"), Path(folder), say=lambda *_: None)


def ours(profile, data, folder) -> tuple[float, list[float]]:
    from helpers import finetune

    manifest = finetune.finetune(profile, "role", data, folder / "role-seed0", say=lambda *_: None)
    return manifest["tokens_per_second"], manifest["losses"]


def theirs(profile, data, folder, **changed) -> tuple[float, list[float]]:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from helpers import models
    from helpers.finetune.encode import encode_rows
    from helpers.finetune.trainer import EpochSampler

    where = str(models.fetch_default())
    tokenizer = AutoTokenizer.from_pretrained(where)
    encoded, _ = encode_rows(data, tokenizer, "role", profile.max_tokens)
    sampler = EpochSampler([len(e.input_ids) for e in encoded], profile, 0)

    class SameOrder(SFTTrainer):
        def _get_train_sampler(self, train_dataset=None):
            return sampler

    config = SFTConfig(
        output_dir=str(folder / "theirs"),
        use_cpu=True,
        per_device_train_batch_size=profile.batch_size,
        learning_rate=profile.learning_rate,
        lr_scheduler_type="cosine",
        weight_decay=profile.weight_decay,
        max_steps=STEPS,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **changed,
    )
    table = {"input_ids": [e.input_ids for e in encoded], "labels": [e.labels for e in encoded]}
    trainer = SameOrder(model=where, args=config, train_dataset=Dataset.from_dict(table), processing_class=tokenizer)
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    seen = [i for step in range(STEPS) for i in sampler.rows_of_step(step)]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return sum(len(encoded[i].input_ids) for i in seen) / seconds, losses


def main() -> None:
    from helpers import profiles

    profile = profiles.get("cpu", max_steps=STEPS, attention_dropout=0.0, checkpoint_steps=10_000)
    data = rows()
    with tempfile.TemporaryDirectory() as folder:
        fast, our_losses = ours(profile, data, Path(folder))
        runs = {"TRL, float32": {"bf16": False}, "TRL": {}}
        print(f"ours          {fast:6.1f} tokens/s, losses {our_losses}", flush=True)
        for name, changed in runs.items():
            slow, losses = theirs(profile, data, Path(folder), **changed)
            apart = abs(our_losses[-1] / losses[-1] - 1)
            print(f"{name:13} {slow:6.1f} tokens/s, losses {losses}")
            print(
                f"  ratio {fast / slow:.2f} (wanted: at least 2.0), last losses {100 * apart:.2f} % apart (wanted: under 2)",
                flush=True,
            )


if __name__ == "__main__":
    main()
