"""Which build of PyTorch this machine takes, and what it costs. Runs before anything is installed."""

from __future__ import annotations

import os
import platform
import urllib.request
from http.client import HTTPException

CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # builds without CUDA; on Windows and macOS every build is one
SIZES = {
    "cpu": "0.2 GB to download for PyTorch, 0.8 GB on the disk",
    "gpu": "2.7 GB for PyTorch and CUDA, 4.8 GB on the disk",
}


def source(gpu: bool = False) -> tuple[list[str], str]:
    """(more arguments of pip, what PyTorch will cost): on Linux the build for processors, unless `gpu` or it cannot be had."""
    if os.environ.get("PIP_NO_INDEX"):
        return [], "from your own folder of packages"
    if platform.system() != "Linux":
        return [], SIZES["cpu"]
    if gpu:
        return [], SIZES["gpu"]
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=3):
            return ["--extra-index-url", CPU_INDEX], SIZES["cpu"]
    except (OSError, ValueError, HTTPException):
        return [], f"PyTorch's index for processors cannot be reached, so up to {SIZES['gpu']}"
