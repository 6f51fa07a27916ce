"""Prints the share of padding among the tokens of a batch, on the real LIMA (SPT_DATA) with the default model's tokenizer.

    SPT_DATA=... python tests/perf/padding_waste.py

Shuffled rows in batches of 1, 2, 4 and 8, as they come and sorted inside each optimizer step of 64 (what the course does).
"""

from __future__ import annotations

import tempfile
from pathlib import Path


def waste(lengths: list[int], order: list[int], size: int) -> float:
    """Padding tokens of all tokens, when `order` is cut into batches of `size`."""
    batches = [[lengths[i] for i in order[k : k + size]] for k in range(0, len(order), size)]
    padded = sum(max(b) * len(b) for b in batches)
    return 1 - sum(map(sum, batches)) / padded


def main() -> None:
    from transformers import AutoTokenizer

    from helpers import annotate, models
    from helpers.data.lima import dialogues
    from helpers.finetune.encode import encode_rows, epoch_order

    with tempfile.TemporaryDirectory() as folder:
        rows = annotate.annotate(dialogues("local"), Path(folder), say=lambda *_: None)
    encoded, _ = encode_rows(rows, AutoTokenizer.from_pretrained(models.fetch_default()), "role", 4096)
    lengths = [len(e.input_ids) for e in encoded]
    print(f"{len(lengths):,} dialogues, {sum(lengths):,} tokens, longest {max(lengths):,}; four epochs, batches of 64")
    for size in (1, 2, 4, 8):
        shuffled = [waste(lengths, epoch_order(lengths, 64, 0, epoch), size) for epoch in range(4)]
        sorted_ = [waste(lengths, epoch_order(lengths, 64, 0, epoch, size), size) for epoch in range(4)]
        print(
            f"{size} a device: {100 * sum(shuffled) / 4:5.1f} % as shuffled, {100 * sum(sorted_) / 4:5.1f} % sorted inside the step"
        )


if __name__ == "__main__":
    main()
