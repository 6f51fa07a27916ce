"""LIMA / LIMA-Role -> a tuned model, on TRL's SFTTrainer (paper, sections 3.2 and 4.2).

The one idea: a fine-tune is a recipe. The same recipe, data and seed give the same model, so a finished model is kept, an
interrupted one goes on from its last checkpoint, and another recipe in the same folder is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import SoftFileLock, Timeout

from .. import models
from ..chat import chat_template
from ..errors import UserError
from ..machine import provenance
from ..machine.devices import has_bfloat16
from ..machine.files import read_json, rename
from ..machine.resources import peak_gib
from ..profiles import Profile
from ..strategies import STRATEGIES
from . import memory
from .attention import dropout_ramp, set_attention_dropout
from .card import model_card
from .encode import IGNORED, Encoded, check_rows, encode_rows, segments

ARMS = ("lima", "role")
TRAINING = (  # the settings of a profile that a model depends on
    *("name", "model", "dtype", "learning_rate", "batch_size", "device_batch_size", "epochs", "max_steps"),
    *("max_tokens", "betas", "weight_decay", "attention_dropout", "lora", "quantized"),
    *("gradient_checkpointing", "design"),
)
LOGS = ("tensorboard", "wandb", "trackio")
WATCHED = "watched.csv"  # in a model's folder: what `watch` saw


def finetune(
    profile: Profile,
    arm: str,
    rows: Sequence[dict[str, Any]],
    out: Path,
    seed: int = 0,
    say: Callable = print,
    report_to: str = "none",
    watch: Callable[[int, Any, Any], Any] | None = None,
) -> dict[str, Any]:
    """Tune the profile's model on `rows` and save it to `out`; return (and save) its manifest.

    A finished model of the same recipe and data in `out` is kept, an interrupted one goes on from its last whole
    checkpoint in `<out>.work`. `report_to`: "tensorboard", "wandb", "trackio" or "none" (TRL's own names). `watch` is
    called before the first and after every optimizer step with (steps so far, model, tokenizer), to look at a model
    while it learns; flat dicts that it returns are kept in `out` as watched.csv. Under `accelerate launch` every process
    calls this; the first one speaks and writes.
    """
    if arm not in (*ARMS, *STRATEGIES):
        raise UserError(f"unknown arm {arm!r}: choose {', '.join(dict.fromkeys((*ARMS, *STRATEGIES)))}")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise UserError(f"unknown seed {seed!r}: give a whole number from 0 on; the paper has 0 to 3")
    if report_to != "none" and (report_to not in LOGS or not find_spec(report_to)):
        raise UserError(f"cannot report to {report_to!r}: choose none or an installed one of {', '.join(LOGS)}")
    check_rows(rows)  # bad data is told before a model is loaded
    if arm != "lima":
        for row in rows:
            segments(row, arm, profile.design)
    main, devices = os.environ.get("RANK", "0") == "0", int(os.environ.get("WORLD_SIZE", "1"))
    say = say if main else (lambda *_: None)
    recipe = {
        "arm": arm,
        "seed": seed,
        "profile": {k: v for k, v in profile.describe().items() if k in TRAINING},
        "data": hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest(),
    }
    if not profile.quantized:
        recipe["profile"]["dtype"] = (
            "float32"  # of scoring alone: a machine with other arithmetic knows the model again
        )
    if Path(profile.model).is_dir():  # a folder is known by its weights: no path in a manifest
        recipe["profile"]["model"] = models.fingerprint(profile.model)
    recipe = json.loads(json.dumps(recipe))  # tuples become lists, as they are read back
    if done := _finished(out, recipe):
        if main:
            _tidy(out)
        say(f"{out.name}: trained before with this recipe and data, kept (delete the folder to train afresh)")
        return done
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLock(f"{out}.lock", timeout=0)
    _together(lambda: _acquire(lock, out), profile, main, devices)
    try:
        return _finetune(profile, recipe, rows, out, say, report_to, watch, main, devices)
    finally:
        lock.release()


def _acquire(lock: SoftFileLock, out: Path) -> None:
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"{out.name} is being trained by process {lock.pid}: wait for it to end, or end it") from None


def _together(do: Callable[[], Any], profile: Profile, main: bool, devices: int) -> Any:
    """What `do` returns in the first process, or its UserError, in every process: none continues alone."""
    if devices == 1:
        return do()
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=profile.device == "cpu")  # the processes meet here; the trainer finds them so
    outcome: list[Any] = [None, None]
    if main:
        try:
            outcome[0] = do()
        except UserError as error:
            outcome[1] = str(error)
    result, refusal = broadcast_object_list(outcome)
    if refusal:
        raise UserError(refusal)
    return result


def _finetune(
    profile: Profile,
    recipe: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    out: Path,
    say: Callable,
    report_to: str,
    watch: Callable | None,
    main: bool,
    devices: int,
) -> dict[str, Any]:
    from . import trainer as trainer_

    arm, seed, work = recipe["arm"], recipe["seed"], out.with_name(out.name + ".work")
    models.need_device(profile)
    models.release_memory()  # what a lesson has loaded before and dropped
    steps_each = trainer_.accumulation(profile, devices)
    if not has_bfloat16(profile.device):
        kept = dict.fromkeys("fp32" if p == "mixed" else p for p in profile.precisions)
        profile = replace(profile, precisions=tuple(kept))
    size = memory.sizes(models.config(profile))
    tokenizer, most = models.tokenizer(profile), min(profile.max_tokens, size.positions or profile.max_tokens)
    encoded, left_out = encode_rows(rows, tokenizer, arm, most, profile.design)
    cut = sum(e.cut for e in encoded)
    if cut or left_out:
        say(f"{cut} dialogues were cut at a turn's end, {len(left_out)} do not fit into {most} tokens and are left out")
    longest = max(len(e.input_ids) for e in encoded)
    plan = _together(
        lambda: memory.choose(profile, size, memory.available(profile), devices, longest), profile, main, devices
    )
    if plan.without:
        profile = replace(profile, gradient_checkpointing=True)
    before = memory.keep_to(plan) if profile.device == "cpu" else None
    say(plan)
    say(
        f"a batch of {profile.batch_size} = {profile.device_batch_size} x {steps_each} x {devices} (dialogues per device x passes x devices)"
    )
    ramp = profile.attention_dropout if size.drops else 0.0
    if ramp != profile.attention_dropout:
        say("this model's attention has no dropout: trained without it")
    model = _trainable(profile, plan.precision)
    _check_vocabulary(encoded, model)
    set_attention_dropout(model, dropout_ramp(size.layers, ramp))
    started = recipe | {"precision": plan.precision}
    resume = _together(lambda: _resumable(work, started), profile, main, devices)
    trainer = trainer_.build(
        profile, plan.precision, model, tokenizer, encoded, work, seed, say, report_to, watch, before
    )
    if resume:
        say(f"{out.name}: going on from {resume.name}")
    with models.quiet_transformers():
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)

    log = trainer.state.log_history
    history = [h for h in log if "loss" in h]
    seconds, steps = trainer_.sum_seconds(history), trainer.state.global_step
    seen = [i for step in range(steps) for i in trainer.sampler.rows_of_step(step)]
    fitting = [str(row.get("id")) for row in rows if str(row.get("id")) not in set(left_out)]
    tokens = sum(len(encoded[i].input_ids) for i in seen)
    manifest = recipe | {
        "precision": plan.precision,
        "attention_dropout": ramp,
        "checkpointed": profile.gradient_checkpointing,
        "devices": devices,
        "steps": steps,
        "dialogues_seen": len(seen),
        "dialogues_cut": cut,
        "dialogues_left_out": left_out,
        "dialogues_unseen": [*left_out, *(name for i, name in enumerate(fitting) if i not in set(seen))],
        "tokens": tokens,
        "trained_tokens": sum(sum(x != IGNORED for x in encoded[i].labels) for i in seen),
        "losses": [h["loss"] for h in history],
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_gib": round(peak_gib(), 2),
        "planned_memory_gib": round(plan.total, 2),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    try:
        _save(trainer, tokenizer, out, manifest, [line for h in log for line in h.get("watched", [])], main)
    except Exception as error:  # a full disk: OSError, or what safetensors and torch make of it
        shutil.rmtree(out.with_name(out.name + ".new"), ignore_errors=True)
        raise trainer_.explain_write(error, work, f"the model {out.name}") from error
    if main:
        shutil.rmtree(work, ignore_errors=True)
    del trainer, model
    models.release_memory()
    say(
        f"{out.name}: {steps} steps, {len(seen)} dialogues, {tokens} tokens in {seconds:.0f} s "
        f"({manifest['tokens_per_second']:.0f} tokens/s)"
    )
    return manifest


def _finished(out: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    path = out / "manifest.json"
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise UserError(f"{out.name} is not empty and holds no model of ours: choose another --out")
        return None
    manifest = read_json(path)
    if any(manifest.get(k) != v for k, v in recipe.items()):
        raise UserError(f"{out.name} holds a model of another recipe or other data: remove it or choose another --out")
    return manifest


def _tidy(out: Path) -> None:
    """Remove what a process has left that was killed after the model had its name; not from one that still runs."""
    work, lock = out.with_name(out.name + ".work"), Path(f"{out}.lock")
    if work.exists() or lock.exists():
        with suppress(Timeout), SoftFileLock(lock, timeout=0):
            shutil.rmtree(work, ignore_errors=True)


def _resumable(work: Path, started: dict[str, Any]) -> Path | None:
    """The checkpoint to go on from, if `work` was begun with this very recipe; else nothing, and a fresh `work`."""
    from .trainer import last_checkpoint

    note = work / "recipe.json"
    try:
        same = json.loads(note.read_text()) == started
    except (OSError, ValueError):
        same = False
    if same:
        return last_checkpoint(work)
    if last_checkpoint(work):
        raise UserError(
            f"{work.name} holds an unfinished run of another recipe or other data: remove it or choose another --out"
        )
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    note.write_text(json.dumps(started))
    return None


def _trainable(profile: Profile, precision: str) -> Any:
    """The model, with weights as `precision` says: plain bfloat16 would round updates away (precision.py)."""
    dtype = profile.dtype if profile.quantized else "bfloat16" if precision == "bf16-sr" else "float32"
    model, _ = models.load(profile, dtype=dtype)
    model.config.use_cache = False
    if profile.quantized:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=profile.gradient_checkpointing)
    return model.train()


def _check_vocabulary(encoded: Sequence[Encoded], model: Any) -> None:
    known, largest = model.get_input_embeddings().num_embeddings, max(max(e.input_ids) for e in encoded)
    if largest >= known:
        raise UserError(
            f"the tokenizer writes token {largest}, the model knows {known}: they do not belong together; use the model's own"
        )


def _save(
    trainer: Any, tokenizer: Any, out: Path, manifest: dict[str, Any], watched: list[dict[str, Any]], main: bool
) -> None:
    """Write weights, card and manifest under a temporary name and rename: `out` is whole or not there."""

    temporary = out.with_name(out.name + ".new")
    if main:
        shutil.rmtree(temporary, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    with models.quiet_transformers():
        trainer.save_model(str(temporary))  # gathers what FSDP has spread
    if main:
        (temporary / "training_args.bin").unlink(missing_ok=True)  # pickled, and in the manifest anyway
        tokenizer.chat_template = chat_template(tokenizer)  # a server asks as the model was trained
        tokenizer.save_pretrained(temporary)
        if (logs := Path(trainer.args.output_dir) / "runs").is_dir():
            shutil.copytree(logs, temporary / "runs")
        (temporary / "README.md").write_text(model_card(manifest), encoding="utf-8")
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
        if watched:
            pd.DataFrame(watched).to_csv(temporary / WATCHED, index=False, lineterminator="\n")
        shutil.rmtree(out, ignore_errors=True)
        rename(temporary, out)
    trainer.accelerator.wait_for_everyone()


def merge(profile: Profile, adapter: Path, out: Path) -> Path:
    """Fold a LoRA adapter into its base model (loaded unquantised) and save a plain model to `out`."""
    if not (adapter / "adapter_config.json").is_file():
        raise UserError(f"{adapter.name} holds no adapter: merge is for models tuned with LoRA")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out.name} is not empty: choose another --out")
    model, tokenizer = models.load(replace(profile, quantized=False), str(adapter))
    merged = model.merge_and_unload()
    with models.quiet_transformers():
        merged.save_pretrained(out)
        tokenizer.chat_template = chat_template(tokenizer)
        tokenizer.save_pretrained(out)
    manifest = read_json(adapter / "manifest.json")
    (out / "manifest.json").write_text(json.dumps(manifest | {"merged": True}, indent=1))
    return out
