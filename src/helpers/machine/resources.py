"""What this machine has: memory that is free, and the most that was used."""

from __future__ import annotations

import sys
from pathlib import Path

GIB = 2**30


def available_gib(proc: Path = Path("/proc")) -> float | None:
    """GiB that this process can still take; None where that cannot be known."""
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / GIB
    except (OSError, ValueError):
        pass
    return None


def peak_gib() -> float:
    """Peak memory so far, in GiB: of the GPU where one was used, else of this process."""
    torch = sys.modules.get("torch")  # a process that has not loaded it used no GPU
    if torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / GIB
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**30
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, on macOS bytes
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
