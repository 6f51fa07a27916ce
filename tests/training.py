"""Fine-tunes of the tiny model, for the suites that look at them from several sides."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tiny
import torch

from helpers import finetune, profiles
from helpers.finetune import trainer as trainer_


@contextmanager
def one_thread() -> Iterator[None]:
    """Threads cost a tiny model ten times what they bring; so does collecting the garbage of all imported modules."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)


def settings(base: Path, **changes) -> profiles.Profile:
    """Three steps of two rows each, no dropout: short, and without chance."""
    known = {"model": str(base), "batch_size": 2, "max_steps": 3, "learning_rate": 1e-3, "attention_dropout": 0.0}
    return profiles.get("cpu", **(known | changes))


def tune(profile: profiles.Profile, out: Path, rows=tiny.ROWS, arm: str = "role", seed: int = 0, **more) -> dict:
    """`finetune` without a word; the manifest."""
    return finetune.finetune(profile, arm, rows, out, seed, **({"say": lambda *_: None} | more))


def spy_on_trainers(monkeypatch) -> list[trainer_.Trainer]:
    """The trainers that `finetune` builds from here on."""
    built, real = [], trainer_.build

    def build(*args, **kwargs):
        built.append(real(*args, **kwargs))
        return built[-1]

    monkeypatch.setattr(trainer_, "build", build)
    return built


class Stopped(BaseException):
    """Ends a fine-tune as Ctrl-C does."""


def stop_after(step: int):
    """A `say` that ends the run when this step is told (short runs tell every step)."""

    def say(line):
        if str(line).lstrip().startswith(f"step {step:3}/"):
            raise Stopped

    return say
