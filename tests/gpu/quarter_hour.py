"""What a quarter of an hour of one 80 GB card is for: three parts, each of which leaves its rows behind.

    python tests/gpu/quarter_hour.py shape|chat|small --out DIR [--minutes M] [--tiny]

shape   four steps of `a100` (bf16-sr) and of `qlora` on a model of Mistral-7B's shape with random weights: tokens/s, MFU, peak
        memory beside the plan. Its vocabulary is that of our tokenizer.
chat    LocalChat beside `generate` in batches of 32, on that model and on the default one
small   the reference run of profile `small`, as far as the minutes go

--tiny: everything in seconds on a CPU, to try the script; its rows say so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, MistralConfig

from helpers import annotate, benchmarks, finetune, models, profiles, run
from helpers.chat import LocalChat, frame, user
from helpers.data import lima
from helpers.finetune import mfu, tune

sys.path.insert(0, str(Path(__file__).parents[1] / "perf"))
import reference_run

CUDA = torch.cuda.is_available()
CARD = torch.cuda.get_device_name() if CUDA else "no GPU"
SHAPE = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
SHAPE |= {"num_attention_heads": 32, "num_key_value_heads": 8}
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
TINY |= {"num_attention_heads": 4, "num_key_value_heads": 2}


def note(out: Path, **row: Any) -> None:
    """Print a row and keep it in rows.jsonl."""
    row = {"card": CARD, "torch": torch.__version__} | row
    print(json.dumps(row), flush=True)
    with (out / "rows.jsonl").open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def random_model(tiny: bool) -> Path:
    """A folder with a model of Mistral-7B's shape and random weights in bfloat16, made once."""
    folder = Path(tempfile.gettempdir()) / ("mistral-tiny" if tiny else "mistral-shape")
    if not (folder / "config.json").is_file():
        words = models.tokenizer(profiles.get("cpu"))
        config = MistralConfig(vocab_size=len(words), sliding_window=None, **(TINY if tiny else SHAPE))
        with torch.device("cuda" if CUDA else "cpu"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        words.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder


def long_rows(n: int = 64, dialogues: int = 5) -> list[dict]:
    """Rows about as long as LIMA's: several packaged dialogues in one."""
    with tempfile.TemporaryDirectory() as folder:
        rows = annotate.annotate(lima.dialogues("packaged"), Path(folder), say=lambda *_: None)
    joined = [[rows[(i + k) % len(rows)] for k in range(dialogues)] for i in range(n)]
    return [
        {**some[0], "id": str(i), "messages": [m for r in some for m in r["messages"]]} for i, some in enumerate(joined)
    ]


def shape(out: Path, tiny: bool, minutes: float) -> None:
    where, device = str(random_model(tiny)), "cuda" if CUDA else "cpu"
    tune._save = lambda *_: None  # 15 GB that nobody needs
    for name, changed in (("a100", {"precisions": ("bf16-sr",)}), ("qlora", {})):
        steps = {"max_steps": 4, "batch_size": 4 if tiny else 16, "model": where, "device": device}
        profile = profiles.get(name, **steps, **changed, **({} if CUDA else {"dtype": "float32", "max_tokens": 256}))
        with tempfile.TemporaryDirectory() as folder:
            made = finetune.finetune(profile, "role", long_rows(), Path(folder) / name)
        with torch.device("meta"):
            flops = mfu.flops_per_token(AutoModelForCausalLM.from_config(models.config(profile)))
        flops = flops if name == "a100" else flops * 2 / 3  # frozen weights have no gradient
        peak = mfu.peak_tflops(CARD)
        used = round(made["tokens_per_second"] * flops / (peak * 1e12), 3) if peak else None
        kept = ("precision", "tokens_per_second", "planned_memory_gib", "peak_memory_gib", "tokens", "steps")
        note(out, part="shape", tiny=tiny, profile=name, mfu=used, **{k: made[k] for k in kept})


def chat(out: Path, tiny: bool, minutes: float) -> None:
    n, tokens = (8, 8) if tiny else (256, 64)
    prompts = [benchmarks.get("mmlu").question(row) for row in benchmarks.get("mmlu").rows("packaged", min(n, 70))]
    prompts = [prompts[i % len(prompts)] for i in range(n)]
    for name in (profiles.DEFAULT_MODEL, str(random_model(tiny))):
        profile = profiles.get("small", model=name)
        model, words = models.load(profile)
        ours = LocalChat(model, words, "ours", profile.generation_batch, profile.generation_tokens)
        rates = {}
        for _ in range(2):  # the first time everything is made ready
            began = time.perf_counter()
            written = sum(reply.tokens for _, reply in ours.complete([user(p) for p in prompts], tokens))
            rates["ours"] = written / (time.perf_counter() - began)
            began = time.perf_counter()
            rates["generate"] = generated(model, words, prompts, tokens) / (time.perf_counter() - began)
        about = {"model": Path(name).name, "dtype": profile.dtype, "n": n, "tokens": tokens, "tiny": tiny}
        rounded = {k: round(v, 1) for k, v in rates.items()}
        note(out, part="chat", **about, **rounded, ratio=round(rates["ours"] / rates["generate"], 2))
        del model, ours
        models.release_memory()


@torch.inference_mode()
def generated(model: Any, words: Any, prompts: list[str], tokens: int, batch: int = 32) -> int:
    """Tokens that `generate` writes for the same prompts, in the order of their lengths, padded on the left."""
    words.padding_side, written = "left", 0
    texts = sorted((frame(user(p), words.eos_token or "") for p in prompts), key=len)
    for k in range(0, len(texts), batch):
        ids = words(texts[k : k + batch], return_tensors="pt", padding=True).to(model.device)
        new = model.generate(**ids, max_new_tokens=tokens, do_sample=False, pad_token_id=words.pad_token_id)
        new = new[:, ids.input_ids.shape[1] :]
        ended = (new == words.eos_token_id).int().cumsum(1)
        written += int((ended == 0).sum())
    return written


def small(out: Path, tiny: bool, minutes: float) -> None:
    less = {"max_steps": 1, "batch_size": 1, "device_batch_size": 1, "max_tokens": 256, "source": "packaged"}
    less |= {
        "stage1_tokens": 4,
        "opening_tokens": 4,
        "stage2_tokens": 2,
        "questions": dict.fromkeys(benchmarks.BENCHMARKS, 1),
    }
    this = run.start("small", str(out / "small"), **(less if tiny else {}))
    began = time.perf_counter()
    done = reference_run.run_stages(this, this.profile.seeds, minutes)
    note(out, part="small", tiny=tiny, stages=done, minutes=round((time.perf_counter() - began) / 60, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("shape", "chat", "small"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0, help="no stage of `small` begins later")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    globals()[options.part](options.out, options.tiny, options.minutes)


if __name__ == "__main__":
    main()
