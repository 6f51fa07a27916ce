"""TRL's SFTTrainer, held to the paper's recipe: order, loss, checkpoints and logs of one fine-tune.

The one idea: everything between two optimizer steps can be lost and made again. A checkpoint holds weights, optimizer, random
numbers and position, is written under another name and renamed when it is whole; whoever is killed goes on from the last.
"""

from __future__ import annotations

import errno
import inspect
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from .. import models
from ..errors import UserError
from ..machine.files import rename
from ..machine.resources import peak_gib
from ..profiles import Profile
from . import mfu
from .encode import IGNORED, Encoded, epoch_order
from .precision import AdamW16


def accumulation(profile: Profile, devices: int) -> int:
    """Backward passes behind one optimizer step, so that `devices` make the profile's batch exactly; UserError if they cannot."""
    at_once = profile.device_batch_size * devices
    if profile.batch_size % at_once:
        raise UserError(
            f"a batch of {profile.batch_size} cannot be made of {devices} device(s) with {profile.device_batch_size} dialogues "
            f"each: choose a device_batch_size that divides {profile.batch_size} / {devices}"
        )
    return profile.batch_size // at_once


def settings(profile: Profile, precision: str, work: Path, seed: int, devices: int, report_to: str) -> SFTConfig:
    """The profile as TRL's configuration. What is not named here is TRL's default; lesson 02 shows the traps among them."""
    cpu, cuda = profile.device == "cpu", profile.device == "cuda"
    return SFTConfig(
        output_dir=str(work),
        seed=seed,
        data_seed=seed,
        use_cpu=cpu,
        bf16=precision == "mixed",  # autocast: bf16 arithmetic on float32 weights
        optim="paged_adamw_32bit" if profile.quantized and cuda else "adamw_torch_fused",
        learning_rate=profile.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0,
        weight_decay=profile.weight_decay,
        adam_beta1=profile.betas[0],
        adam_beta2=profile.betas[1],
        per_device_train_batch_size=profile.device_batch_size,
        gradient_accumulation_steps=accumulation(profile, devices),
        num_train_epochs=profile.epochs,
        max_steps=profile.max_steps or -1,
        max_length=None,  # encode_dialogue has cut already, at a turn's end
        activation_checkpointing=profile.gradient_checkpointing,  # transformers' new name for it
        packing=False,
        pad_to_multiple_of=None,
        save_strategy="steps",
        save_steps=profile.checkpoint_steps,
        logging_steps=1,
        logging_nan_inf_filter=False,  # the default shows the last finite loss in place of a NaN
        report_to=report_to,
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
    )


class EpochSampler(Sampler):
    """`epoch_order` as a sampler; transformers and accelerate call `set_epoch`, also when they resume."""

    def __init__(self, lengths: Sequence[int], profile: Profile, seed: int, devices: int = 1) -> None:
        self.lengths, self.profile, self.seed, self.epoch = lengths, profile, seed, 0
        self.devices, self.blank = devices, len(lengths)  # the row behind the last: nothing to train on

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def order(self, epoch: int) -> list[int]:
        p = self.profile
        return epoch_order(self.lengths, p.batch_size, self.seed, epoch, p.device_batch_size)

    def rows_of_step(self, step: int) -> list[int]:
        """The rows behind an optimizer step (counted from 0 over all epochs)."""
        epoch, k = divmod(step, math.ceil(len(self.lengths) / self.profile.batch_size))
        return self.order(epoch)[k * self.profile.batch_size : (k + 1) * self.profile.batch_size]

    def __iter__(self):
        return iter(self.order(self.epoch) + [self.blank] * (len(self) - len(self.lengths)))

    def __len__(self) -> int:
        """Rows and blanks: accelerate would fill the devices' last batches with the epoch's first rows, seen twice then."""
        at_once = self.profile.device_batch_size * self.devices
        return math.ceil(len(self.lengths) / at_once) * at_once if self.devices > 1 else len(self.lengths)


class Trainer(SFTTrainer):
    """SFTTrainer with our order of rows, loss over the whole step, whole checkpoints, and losses that must be finite."""

    loss_is_scaled_for_ga = True  # compute_loss divides by the trained tokens of the whole optimizer step

    def __init__(
        self, *args: Any, sampler: EpochSampler, before: Callable[[], None] | None = None, **kwargs: Any
    ) -> None:
        self.sampler, self.before = sampler, before
        super().__init__(*args, **kwargs)
        whole = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self.keeps = "logits_to_keep" in inspect.signature(whole.forward).parameters

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy over the trained tokens of the whole optimizer step (`num_items_in_batch`, on all devices).

        Logits are made for trained positions only. TRL's own loss also measures entropy and accuracy, which
        costs a CPU a quarter of the step.
        """
        if self.before:
            self.before()
        labels = inputs["labels"][:, 1:]  # the logits at position t predict token t + 1
        trained = (labels != IGNORED).any(0).nonzero()[:, 0]
        kept = {"logits_to_keep": trained} if self.keeps else {}
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs.get("attention_mask"), **kept)
        logits = out.logits if self.keeps else out.logits[:, trained]
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels[:, trained].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        if num_items_in_batch is None:  # evaluation
            loss = loss / (labels != IGNORED).sum()
        else:  # gradients are averaged over devices, the sum is wanted
            loss = loss / num_items_in_batch * self.accelerator.num_processes
        return (loss, out) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Stop at the first loss that is no number, before a checkpoint can keep its weights."""
        if not math.isfinite(logs.get("loss", 0.0)) or not math.isfinite(logs.get("grad_norm", 0.0)):
            last = last_checkpoint(Path(self.args.output_dir))
            kept = f"the checkpoint of step {_step(last)} is kept" if last else "no checkpoint was made yet"
            raise RuntimeError(
                f"the loss became {logs.get('loss')} (gradient {logs.get('grad_norm')}) at step {self.state.global_step}: "
                f"lower the learning rate and use another folder; {kept}"
            )
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write the checkpoint under another name, rename it, and only then remove the one before."""
        if self.state.global_step >= self.state.max_steps:
            return  # transformers saves at the end, too; the finished model is saved right now
        work, main = Path(self.args.output_dir), self.args.should_save
        writing = work / "writing"
        if main:
            shutil.rmtree(writing, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.args.output_dir = str(writing)
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            shutil.rmtree(writing, ignore_errors=True)
            raise explain_write(error, work, f"the checkpoint of step {self.state.global_step}") from error
        finally:
            self.args.output_dir = str(work)
        self.accelerator.wait_for_everyone()
        if main:
            new = work / f"checkpoint-{self.state.global_step}"
            _sync(writing)
            shutil.rmtree(new, ignore_errors=True)
            rename(writing / new.name, new)
            for old in work.glob("checkpoint-*"):
                if old != new:
                    shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()


def build(
    profile: Profile,
    precision: str,
    model: Any,
    tokenizer: Any,
    encoded: Sequence[Encoded],
    work: Path,
    seed: int,
    say: Callable,
    report_to: str = "none",
    watch: Callable[[int, Any, Any], Any] | None = None,
    before: Callable[[], None] | None = None,
) -> Trainer:
    """A trainer that is ready to `train()`; works on one device, and on many under `accelerate launch`.

    `before` is called ahead of every pass (`memory.keep_to`).
    """
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    lengths = [len(e.input_ids) for e in encoded]
    blank = [Encoded([tokenizer.eos_token_id] * 2, [IGNORED] * 2)] if devices > 1 else []
    every = [*encoded, *blank]
    data = Dataset.from_dict({"input_ids": [e.input_ids for e in every], "labels": [e.labels for e in every]})
    sampler = EpochSampler(lengths, profile, seed, devices)
    optimizer = None
    if precision == "bf16-sr":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # a launcher's "bf16" would have FSDP make the weights float32
        optimizer = AdamW16, {"lr": profile.learning_rate, "betas": profile.betas}  # the trainer knows what decays
    with models.quiet_transformers():
        trainer = Trainer(
            model=model,
            args=settings(profile, precision, work, seed, devices, report_to),
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=_lora(profile),
            optimizer_cls_and_kwargs=optimizer,
            callbacks=[Progress(encoded, sampler, say, watch)],
            sampler=sampler,
            before=before,
        )
    if profile.quantized:  # TRL has made the adapters bfloat16, which rounds updates away (precision.py)
        for weight in trainer.model.parameters():
            weight.data = weight.data.float() if weight.requires_grad else weight.data
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


class Progress(TrainerCallback):
    """About eight lines a run: step, loss, speed, memory, time left. Keeps `seconds` in the log, also over a restart."""

    def __init__(
        self,
        encoded: Sequence[Encoded],
        sampler: EpochSampler,
        say: Callable,
        watch: Callable | None = None,
    ) -> None:
        self.tokens = [len(e.input_ids) for e in encoded]
        self.trained = [sum(x != IGNORED for x in e.labels) for e in encoded]
        self.sampler, self.say, self.watch = sampler, say, watch
        self.flops = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.first, self.began = state.global_step, time.monotonic()
        if self.first == 0:
            self._look(state, **kwargs)
        self.before = sum_seconds(state.log_history)
        self.flops = mfu.flops_per_token(kwargs["model"])  # adapters are in it by now

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._look(state, **kwargs)

    def _look(self, state: Any, model: Any, processing_class: Any, **kwargs: Any) -> None:
        if self.watch is None:
            return
        stopped = time.monotonic()
        model.eval()
        seen = self.watch(state.global_step, model, processing_class)
        model.train()
        if seen:  # in the log it is a part of every checkpoint, and survives a restart
            state.log_history.append({"step": state.global_step, "watched": seen})
        self.began += time.monotonic() - stopped  # looking is not training

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any) -> None:
        if "loss" not in (logs or {}):
            return
        now = time.monotonic()
        state.log_history[-1]["seconds"] = self.before + now - self.began  # a restart goes on counting from here
        every = max(1, state.max_steps // 8)
        if state.global_step % every and state.global_step != self.first + 1:
            return
        steps = range(self.first, state.global_step)
        seen = [i for step in steps for i in self.sampler.rows_of_step(step)]
        rate = sum(self.tokens[i] for i in seen) / (now - self.began)
        trained = sum(self.trained[i] for i in seen) / (now - self.began)
        left = (now - self.began) / len(steps) * (state.max_steps - state.global_step)
        self.say(
            f"  step {state.global_step:3}/{state.max_steps}  loss {logs['loss']:.3f}  {rate:4.0f} tokens/s "
            f"({trained:.0f} trained){self._mfu(rate, model)}  {peak_gib():.1f} GiB  {left:4.0f} s left"
        )

    def _mfu(self, rate: float, model: Any) -> str:
        device = next(model.parameters()).device
        if device.type != "cuda" or not (peak := mfu.peak_tflops(torch.cuda.get_device_name(device))):
            return ""
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        return f", MFU {100 * rate * self.flops / (peak * 1e12 * devices):.0f} %"


def sum_seconds(history: Sequence[dict[str, Any]]) -> float:
    """Seconds of training that a log accounts for, over all restarts."""
    return max((entry["seconds"] for entry in history if "seconds" in entry), default=0.0)


# --- checkpoints -----------------------------------------------------------------------------------


def last_checkpoint(work: Path) -> Path | None:
    """The newest whole checkpoint. What was being written when the process died has another name."""
    found = [p for p in work.glob("checkpoint-*") if (p / "trainer_state.json").is_file()]
    return max(found, key=_step, default=None)


def _step(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def _sync(folder: Path) -> None:
    """Everything in `folder` is on the disk when this returns."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:  # Windows flushes only what may be written
                os.fsync(file.fileno())


def explain_write(error: BaseException, folder: Path, what: str) -> Exception:
    """A full disk as one line for a person; anything else as it is."""
    free = shutil.disk_usage(folder).free
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    if not full and free > 64 * 2**20:
        return error if isinstance(error, Exception) else RuntimeError(str(error))
    last = last_checkpoint(folder)
    kept = (
        f"that of step {_step(last)} is whole, and the same command goes on from there" if last else "start again then"
    )
    return UserError(f"the disk is full ({free / 2**20:.0f} MB free): could not write {what}; free some space, {kept}")
