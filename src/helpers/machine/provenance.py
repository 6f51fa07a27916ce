"""Which code made this: the course's folder, its commit, the versions of its libraries."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path


def root() -> Path:
    """The course's folder: the first one upwards from here that holds notebooks/ and pyproject.toml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return here


def commit() -> str:
    """The commit of the course's code, with "+changes" if the tree differs from it; "unknown" outside git."""
    try:
        git = ["git", "-C", str(root())]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Versions of the libraries that can change a number."""
    names = ("torch", "transformers", "trl", "peft", "datasets", "openai", "papermill", "numpy", "pandas")
    return {"python": ".".join(map(str, sys.version_info[:3]))} | {n: metadata.version(n) for n in names}
