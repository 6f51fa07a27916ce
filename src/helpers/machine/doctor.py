"""What this machine can run, in [OK]/[FAIL] lines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

from .. import models, profiles
from ..benchmarks import sandbox
from ..errors import UserError
from ..profiles import DEFAULT_MODEL
from . import provenance


def lines() -> Iterator[tuple[bool, str]]:
    """(fine, what was found and, if not fine, what to do) for everything the course needs."""
    yield sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} (3.11 or newer)"
    for name, version in provenance.versions().items():
        if name != "python":
            yield True, f"{name} {version}"
    cores = os.cpu_count() or 1
    yield cores >= 2, f"{cores} cores (2 or more: with one, a `cpu` run takes the better part of an hour)"
    memory = _memory_gib()
    yield memory >= 6, f"{memory:.0f} GiB of memory (6 or more for `cpu`)"
    free = shutil.disk_usage(".").free / 2**30
    yield free >= 5, f"{free:.0f} GiB free on this disk (5 for a `cpu` run)"
    yield _default_model()
    isolation = sandbox.available()
    yield (
        isolation is not None,
        (
            f"sandbox for HumanEval: {isolation}"
            if isolation
            else "no sandbox for HumanEval: install bubblewrap (Linux)"
        ),
    )
    for profile in profiles.PROFILES.values():
        try:
            models.need_device(profile)
        except UserError:
            yield True, f"profile {profile.name}: not on this machine (needs {profile.hardware})"
        else:
            yield True, f"profile {profile.name}: this machine can run it"


def report(say=print) -> bool:
    """Print the lines; whether the `cpu` profile can run."""
    fine = True
    for ok, text in lines():
        say(f"[{'OK' if ok else 'FAIL'}] {text}")
        fine = fine and (ok or "sandbox" in text)  # without one, HumanEval is left out and the rest runs
    return fine


def _default_model() -> tuple[bool, str]:
    try:
        models.fetch_default()
    except UserError as error:
        return False, f"{DEFAULT_MODEL}: {error}"
    return True, f"{DEFAULT_MODEL} is in the cache"


def _memory_gib() -> float:
    import psutil

    return psutil.virtual_memory().total / 2**30
