"""Which code made this: its commit, and the versions of its libraries."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

from .places import root

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "openai", "papermill", "numpy", "pandas")
CODE = ("src/helpers", "notebooks/[0-9][0-9]_*.ipynb")  # a new file there can change a result


def commit() -> str:
    """The commit of the course's code; "unknown" outside git.

    "+changes" follows if a file that git knows differs from the commit, or if new code or a new lesson lies beside it.
    Other new files, such as the `room/` of a workshop, change no result.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
        new = _git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changed or new else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(root()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Versions of the libraries that can change a number."""
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {n: metadata.version(n) for n in LIBRARIES}
