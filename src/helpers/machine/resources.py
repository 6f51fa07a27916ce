"""What this machine has: memory that is free, and the most that was used. Runs before anything is installed."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

GIB = 2**30
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED = 2**60  # cgroup v1 writes a number of this size where there is no limit


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


def held_gib() -> float:
    """Memory that this process holds now, in GiB; 0.0 where that cannot be known."""
    with suppress(OSError, ValueError, IndexError):
        return int((PROC / "self" / "statm").read_text().split()[1]) * 4096 / GIB
    with suppress(ImportError):
        import psutil

        return psutil.Process().memory_info().rss / GIB
    return 0.0


def available_gib(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """GiB that this process can still take: what the machine has free, less where its container allows less.

    None where that cannot be known (not Linux, and psutil is not installed). `proc`, `cgroups`: where the kernel's
    files are, for tests.
    """
    rooms = [room for room in (_machine(proc), *_containers(proc, cgroups)) if room is not None]
    return max(0, min(rooms)) / GIB if rooms else None


def _machine(proc: Path) -> int | None:
    """Bytes that the whole machine has free."""
    with suppress(OSError, ValueError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(ImportError):
        import psutil

        return psutil.virtual_memory().available
    return None


def _containers(proc: Path, cgroups: Path) -> list[int]:
    """Bytes left in every cgroup that holds this process and has a limit, the innermost first."""
    rooms = []
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if "memory" in controllers.split(","):
                tops, names = [cgroups / "memory"], ("memory.limit_in_bytes", "memory.usage_in_bytes")
            elif not controllers:
                tops, names = [cgroups, cgroups / "unified"], ("memory.max", "memory.current")
            else:
                continue
            parts = [part for part in inside.split("/") if part not in ("", "..")]
            for top in tops:  # a container often sees its own group as the top, whatever path the kernel says
                for depth in range(len(parts), -1, -1):
                    room = _room(top.joinpath(*parts[:depth]), *names)
                    rooms += [room] if room is not None else []
    return rooms


def _room(group: Path, limit_name: str, used_name: str) -> int | None:
    """Limit minus use of one cgroup. Files that were read lately count as used, but the kernel gives them up."""
    try:
        limit = int((group / limit_name).read_text())  # "max" is not a number: no limit
        used = int((group / used_name).read_text())
    except (OSError, ValueError):
        return None
    if limit >= UNLIMITED:
        return None
    with suppress(OSError, ValueError):
        stat = dict(line.split(maxsplit=1) for line in (group / "memory.stat").read_text().splitlines())
        used -= int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))  # v1 counts the groups inside apart
    return limit - used
