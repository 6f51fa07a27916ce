"""Small files: a finished one gets its name in one step, on Windows too; one that is read must be whole."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..errors import UserError

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


def read_json(path: Path, *fields: str) -> dict[str, Any]:
    """The object in a JSON file that a step before has written; UserError where it is damaged or lacks one of `fields`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if missing := [name for name in fields if name not in found]:
            raise ValueError(f"no {missing[0]!r}")
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:100]
        raise UserError(
            f"{path.parent.name}/{path.name} is damaged ({reason}): make {path.parent.name} again"
        ) from None
    return found
