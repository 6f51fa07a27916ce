"""Helpers of the Self-Prompt Tuning course. A lesson begins with `run = helpers.start(PROFILE, RUN, **OVERRIDES)`."""

from __future__ import annotations

import logging
import os
import warnings

# Threads of PyTorch that wait must sleep, not spin for long: with a browser or a second kernel beside it, a spinning
# one loses half its speed. Read when torch is first imported, so it is set before anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # some microseconds (Linux): the next operation is often that near
# Lessons print plain lines; that a progress bar cannot be a widget is no news to a student.
warnings.filterwarnings("ignore", message="IProgress not found")
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # peft still reads it
# On processors with bfloat16 it recommends a package that fetches kernels from the hub; NF4 works without.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

__version__ = "0.1.0"


def start(profile: str = "cpu", folder: str | None = None, **overrides):
    """Open a run for a lesson; see `helpers.run.start`."""
    from .run import start as start_

    return start_(profile, folder, **overrides)
