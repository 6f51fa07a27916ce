"""A finished file or folder gets its name in one step, on Windows too."""

from __future__ import annotations

import os
import time
from pathlib import Path

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between attempts


def rename(made: Path, target: Path) -> None:
    """`os.replace`, tried again for three seconds on PermissionError.

    On Windows a virus scanner or an indexer opens what was just written, and nothing can be renamed meanwhile.
    """
    for wait in WAITS:
        try:
            return os.replace(made, target)
        except PermissionError:
            time.sleep(wait)
    os.replace(made, target)
