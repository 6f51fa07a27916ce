"""LIMA / LIMA-Role -> a tuned model, on TRL's SFTTrainer (paper, sections 3.2 and 4.2).

The one idea: a dialogue becomes token ids and labels segment by segment, so we know of every token
whether it is trained on. Trained: the assistant's turns with their end token, and in the role arm
the role prompt that opens the first of them. Not trained: system line, tags, the user's words.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import models, roles
from .errors import UserError
from .profiles import Profile

ARMS = ("lima", "role")
TRAINING = (  # the settings of a profile that a model depends on
    *("name", "model", "dtype", "learning_rate", "batch_size", "device_batch_size", "epochs", "max_steps"),
    *("max_tokens", "betas", "weight_decay", "attention_dropout", "lora", "quantized"),
    *("gradient_checkpointing", "design"),
)
IGNORED = -100  # label of a token outside the loss (torch's cross_entropy)


@dataclass(frozen=True)
class Encoded:
    input_ids: list[int]
    labels: list[int]  # as long as input_ids; IGNORED where the loss does not look


def segments(row: dict[str, Any], arm: str, design: int = 8) -> list[tuple[str, bool]]:
    """A row of LIMA-Role as (text, trained) pieces; an end token follows each trained piece.

    Figure 2, lower half: "Below is a chat ... USER: question ASSISTANT: [role prompt] answer".
    """
    pieces = [(roles.SYSTEM, False)]
    for n, message in enumerate(row["messages"]):
        text = message["content"].strip()
        if message["role"] == "user":
            pieces.append((f"\nUSER: {text}\nASSISTANT:", False))
        else:
            opening = f" {roles.render(**_descriptions(row), design=design)}" if arm == "role" and n == 1 else ""
            pieces.append((f"{opening.rstrip()} {text}", True))
    return pieces


def _descriptions(row: dict[str, Any]) -> dict[str, str]:
    if not row.get("role"):
        raise UserError(f"dialogue {row.get('id')} has no role annotation: run annotate first")
    return {k: row["role"][k] for k in ("question_description", "role_description")}


def encode_dialogue(row: dict[str, Any], tokenizer: Any, arm: str, max_tokens: int = 4096, design: int = 8) -> Encoded:
    """Ids and labels of one row, each piece tokenised by itself so that no token straddles a border.

    One BOS where the tokenizer uses one. Longer than `max_tokens`: cut at the last assistant turn that
    ends in time; UserError when not even the first does.
    """
    first = tokenizer("x").input_ids
    bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None and first[0] == tokenizer.bos_token_id else []
    ids, labels = list(bos), [IGNORED] * len(bos)
    for text, trained in segments(row, arm, design):
        piece = tokenizer(text, add_special_tokens=False).input_ids
        if trained:
            piece = [*piece, tokenizer.eos_token_id]  # inside the loss: else the model never learns to stop
        if trained and len(ids) + len(piece) > max_tokens:
            break
        ids += piece
        labels += piece if trained else [IGNORED] * len(piece)
    while labels and labels[-1] == IGNORED:  # a question whose answer was cut off
        ids.pop(), labels.pop()
    if not labels:
        raise UserError(
            f"dialogue {row.get('id')} does not fit into {max_tokens} tokens: shorten it or raise max_tokens"
        )
    return Encoded(ids, labels)


def dropout_ramp(layers: int, last: float = 0.25) -> list[float]:
    """Attention dropout of each layer: 0.0 in the first, `last` in the last, linear between (section 4.2)."""
    return [last * i / (layers - 1) if layers > 1 else last for i in range(layers)]


def set_attention_dropout(model: Any, ramp: Sequence[float]) -> None:
    """Give every layer its own p. The config knows one value for all; each attention module reads its own."""
    layers = model.get_decoder().layers
    for layer, p in zip(layers, ramp, strict=True):
        if not hasattr(layer.self_attn, "attention_dropout"):
            raise UserError(f"{type(layer.self_attn).__name__} has no attention_dropout: use a Llama or Mistral model")
        layer.self_attn.attention_dropout = p


def load_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that annotate wrote, checked: turns alternate, nothing is empty."""
    from .data import read_jsonl

    rows = read_jsonl(path, required=("messages",))
    for number, row in enumerate(rows, 1):
        expected = ["user", "assistant"] * (len(row["messages"]) // 2)
        if not expected or [m["role"] for m in row["messages"]] != expected:
            raise UserError(f"{path.name}, line {number}: turns must go user, assistant, user, assistant")
        if not all(m["content"].strip() for m in row["messages"]):
            raise UserError(f"{path.name}, line {number}: an empty turn; repair or remove the row")
    return rows


def finetune(
    profile: Profile, arm: str, rows: Sequence[dict[str, Any]], out: Path, seed: int = 0, say: Callable = print
) -> dict[str, Any]:
    """Tune the profile's model on `rows` and save it to `out`; return (and save) its manifest.

    A finished model of the same recipe and data in `out` is kept: nothing is trained twice.
    """
    if arm not in ARMS:
        raise UserError(f"unknown arm {arm!r}: choose lima or role")
    recipe = {
        "arm": arm,
        "seed": seed,
        "profile": {k: v for k, v in profile.describe().items() if k in TRAINING},
        "data": hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest(),
    }
    recipe = json.loads(json.dumps(recipe))  # tuples become lists, as they are read back
    if done := _finished(out, recipe):
        say(f"{out.name}: trained before with this recipe and data, kept")
        return done

    models.release_memory()  # what a lesson has loaded before and dropped
    model, tokenizer = _trainable(profile)
    encoded = [encode_dialogue(r, tokenizer, arm, profile.max_tokens, profile.design) for r in rows]
    random.Random(seed).shuffle(encoded)
    set_attention_dropout(model, dropout_ramp(len(model.get_decoder().layers), profile.attention_dropout))
    trainer = _trainer(profile, model, tokenizer, encoded, out, seed, say)
    began = time.time()
    trainer.train()
    seconds = time.time() - began

    history = [h for h in trainer.state.log_history if "loss" in h]
    losses = [h["loss"] for h in history]
    if not all(map(math.isfinite, losses)):
        raise RuntimeError(f"{arm}-seed{seed}: the loss became {losses[-1]}; lower the learning rate and run again")
    steps = trainer.state.global_step
    seen = steps * profile.batch_size
    tokens = sum(len(encoded[i % len(encoded)].input_ids) for i in range(seen))
    manifest = recipe | {
        "steps": steps,
        "dialogues_seen": seen,
        "tokens": tokens,
        "trained_tokens": sum(sum(x != IGNORED for x in encoded[i % len(encoded)].labels) for i in range(seen)),
        "losses": losses,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds, 1),
    }
    _save(trainer.model, tokenizer, out, manifest)
    del trainer, model
    models.release_memory()
    say(
        f"{out.name}: {steps} steps, {seen} dialogues, {tokens} tokens in {seconds:.0f} s ({tokens / seconds:.0f} tokens/s)"
    )
    return manifest


def _finished(out: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    path = out / "manifest.json"
    if not path.is_file():
        return None
    manifest = json.loads(path.read_text())
    if any(manifest.get(k) != v for k, v in recipe.items()):
        raise UserError(f"{out.name} holds a model of another recipe or other data: remove it or choose another --out")
    return manifest


def _trainable(profile: Profile) -> tuple[Any, Any]:
    """Model and tokenizer in training precision: at lr 1e-5 bfloat16 weights would round updates away."""
    model, tokenizer = models.load(profile, dtype=profile.dtype if profile.quantized else "float32")
    model.config.use_cache = False
    if profile.quantized:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=profile.gradient_checkpointing)
    return model.train(), tokenizer


def _trainer(profile: Profile, model, tokenizer, encoded: Sequence[Encoded], out: Path, seed: int, say) -> Any:
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from trl import SFTConfig, SFTTrainer

    devices = int(os.environ.get("WORLD_SIZE", "1"))  # set by `accelerate launch`
    if profile.batch_size % (profile.device_batch_size * devices):
        raise UserError(f"batch size {profile.batch_size} is not a multiple of {profile.device_batch_size} per device")
    cuda = profile.device == "cuda"
    args = SFTConfig(
        output_dir=str(out.with_name(out.name + ".work")),
        seed=seed,
        data_seed=seed,
        use_cpu=not cuda,
        bf16=cuda,
        optim="adamw_torch_fused" if not profile.quantized else "paged_adamw_32bit",
        learning_rate=profile.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0,
        weight_decay=profile.weight_decay,
        adam_beta1=profile.betas[0],
        adam_beta2=profile.betas[1],
        per_device_train_batch_size=profile.device_batch_size,
        gradient_accumulation_steps=profile.batch_size // (profile.device_batch_size * devices),
        num_train_epochs=profile.epochs,
        max_steps=profile.max_steps or -1,
        max_length=None,  # encode_dialogue has cut already, at a turn's end
        activation_checkpointing=profile.gradient_checkpointing,  # transformers' new name for it
        packing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
    )

    class Say(TrainerCallback):
        """About eight lines a run: step, loss, time left."""

        def on_train_begin(self, args, state, control, **kwargs):
            self.began = time.time()

        def on_log(self, args, state, control, logs=None, **kwargs):
            every = max(1, state.max_steps // 8)
            if "loss" in (logs or {}) and (state.global_step % every == 0 or state.global_step == 1):
                left = (time.time() - self.began) / state.global_step * (state.max_steps - state.global_step)
                say(f"  step {state.global_step:3}/{state.max_steps}  loss {logs['loss']:.3f}  {left:4.0f} s left")

    class Trainer(SFTTrainer):
        def _get_train_sampler(self, train_dataset=None):
            """Both arms meet the dialogues in the same order: the one drawn from the seed before encoding."""
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            """Cross-entropy over the trained tokens of the whole optimizer step (`num_items_in_batch` of them).

            Logits are made for trained positions only. TRL's own loss also measures entropy and accuracy,
            which costs a CPU a quarter of the step.
            """
            labels = inputs["labels"][:, 1:]  # the logits at position t predict token t + 1
            trained = (labels != IGNORED).any(0).nonzero()[:, 0]
            out = model(
                input_ids=inputs["input_ids"], attention_mask=inputs.get("attention_mask"), logits_to_keep=trained
            )
            loss = torch.nn.functional.cross_entropy(
                out.logits.float().flatten(0, 1), labels[:, trained].flatten(), ignore_index=IGNORED, reduction="sum"
            )
            loss = loss / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())
            return (loss, out) if return_outputs else loss

    data = Dataset.from_dict({"input_ids": [e.input_ids for e in encoded], "labels": [e.labels for e in encoded]})
    with models.quiet_transformers():
        trainer = Trainer(
            model=model,
            args=args,
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=_lora(profile),
            callbacks=[Say()],
        )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _lora(profile: Profile) -> Any:
    if profile.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=profile.lora.rank,
        lora_alpha=profile.lora.alpha,
        lora_dropout=profile.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _save(model: Any, tokenizer: Any, out: Path, manifest: dict[str, Any]) -> None:
    """Write weights and manifest under a temporary name and rename: `out` is whole or not there."""
    import shutil

    temporary = out.with_name(out.name + ".work")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    with models.quiet_transformers():
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(out, ignore_errors=True)
    temporary.replace(out)
