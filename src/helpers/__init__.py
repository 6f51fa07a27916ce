"""Helpers of the Self-Prompt Tuning course. A lesson begins with `run = helpers.start(PROFILE, RUN, **OVERRIDES)`."""

from __future__ import annotations

__version__ = "0.1.0"


def start(profile: str = "cpu", folder: str | None = None, **overrides):
    """Open a run for a lesson; see `helpers.run.start`."""
    from .run import start as start_

    return start_(profile, folder, **overrides)
