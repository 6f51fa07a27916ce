"""What this machine can run, in [OK]/[FAIL] lines; each [FAIL] says what to do.

`python src/helpers/machine/doctor.py` needs only a bare Python, 3.8 or newer: `before` asks what can be known before
anything is installed, with the standard library alone. `python -m helpers doctor` prints the same lines, then `after`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

OLDEST = (3, 11, 5)  # soupsieve 4.1 needs it; with 3.11.2 nbconvert fails after the first lesson
NEWEST = (3, 14)  # the last that PyTorch 2.13 has packages for
MEMORY = 6  # GiB: lesson 02 takes 5.1, the rest is for JupyterLab and the browser
RUN, INSTALL, CUDA = 5, 3, 5  # GB of disk; CUDA only on Linux, if it is asked for or no other build can be had
CLOUD = re.compile(
    r"OneDrive|Dropbox|Google ?Drive|My Drive|Mobile Documents|iCloud|CloudStorage|Nextcloud", re.IGNORECASE
)
BREAKING = re.compile(rf"[{{}}\r\n{os.pathsep}]")  # tried on Linux: others work, also blanks, quotes, % and umlauts
KERNEL = Path("/proc/sys")


class Line(NamedTuple):
    fine: bool
    text: str  # what was found and, if it is not fine, what to do
    stops: str = ""  # what cannot be done without it: "install", "run" (of the `cpu` profile) or nothing


def lines() -> Iterator[Line]:
    """All lines, for an environment with everything installed."""
    from ..benchmarks import sandbox
    from .places import root

    yield from before(root(), sandbox.available)
    yield from after()


def before(course: Path, isolation: Callable[[], str | None] | None = None) -> Iterator[Line]:
    """Lines that need nothing installed. `course`: the folder with notebooks/; `isolation`: a better test of the sandbox."""
    yield _python()
    yield _system()
    if not _installed() and not find_spec("ensurepip"):
        yield Line(False, "this Python cannot make environments: sudo apt install python3-venv", "install")
    cores = os.cpu_count() or 1
    yield Line(cores >= 2, f"{cores} cores (2 or more: with one, a `cpu` run takes the better part of an hour)")
    yield _memory()
    yield _disk(course)
    yield from _folder(course)
    yield from _proxy()
    yield _sandbox((isolation or _isolation)())


def after() -> Iterator[Line]:
    """Lines about what is installed: libraries, the default model (fetched if missing), profiles."""
    from importlib import metadata

    from .. import models, profiles
    from ..errors import UserError
    from . import provenance

    for name in (*provenance.LIBRARIES, "bitsandbytes"):
        optional = name == "bitsandbytes"
        try:
            yield Line(True, f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            without = ": lesson 02 leaves out its 4-bit part" if optional else ""
            text = f"{name} is not installed{without}: pip install -r requirements.lock"
            yield Line(False, text, "" if optional else "run")
    try:
        models.fetch_default()
        yield Line(True, f"{profiles.DEFAULT_MODEL} is in the cache")
    except UserError as error:
        yield Line(False, f"{profiles.DEFAULT_MODEL}: {error}", "run")
    for profile in profiles.PROFILES.values():
        try:
            models.need_device(profile)
            yield Line(True, f"profile {profile.name}: this machine can run it")
        except UserError as error:
            yield Line(True, f"not here: {error}")


def report(lines: Iterator[Line], say=print) -> set[str]:
    """Print the lines; what cannot be done here, of "install" and "run"."""
    stopped = set()
    for line in lines:
        say(f"[{'OK' if line.fine else 'FAIL'}] {line.text}")
        if not line.fine:
            stopped.add(line.stops)
    return stopped - {""}


def preflight(lines: Iterator[Line], say=print) -> set[str]:
    """One line for a participant to send to the instructor: ready or not, the machine, what fails. As `report` otherwise."""
    from .resources import available_gib

    failed, system = [line for line in lines if not line.fine], f"{platform.system()} {platform.machine()}"
    free = available_gib()
    memory = "memory unknown" if free is None else f"{free:.1f} GiB free"
    machine = f"{system}, Python {platform.python_version()}, {os.cpu_count()} cores, {memory}"
    stopped = {line.stops for line in failed} - {""}
    why = "".join(f" | {line.text}" for line in failed)
    say(f"{'NOT READY' if stopped else 'READY'} | {machine}{why}")
    return stopped


def _installed() -> bool:
    return find_spec("torch") is not None


def _python() -> Line:
    found = f"Python {platform.python_version()}"
    if sys.version_info[:3] < OLDEST:
        advice = (
            "3.11.5 or newer is needed: install one, then run tasks.py with it (make PYTHON=/path/to/python3.12 course)"
        )
        return Line(False, f"{found}: {advice}", "install")
    if sys.version_info[:2] > NEWEST and not _installed():
        return Line(False, f"{found}: PyTorch has no package for it yet; use 3.11.5 to 3.14", "install")
    return Line(True, f"{found} (3.11.5 or newer)")


def _system() -> Line:
    """Whether PyTorch 2.13 and bitsandbytes 0.50 have packages for this system."""
    system, machine = platform.system(), platform.machine()
    found, advice = f"{system} on {machine}", ""
    if sys.maxsize < 2**32:
        advice = "a 32-bit Python, and PyTorch needs 64 bits: install a 64-bit Python"
    elif system == "Darwin":
        found = f"macOS {platform.mac_ver()[0]} on {machine}"
        if machine != "arm64":
            advice = (
                "PyTorch has no package for Intel Macs any more: use another computer (Linux, Windows, Apple silicon)"
            )
            if _output("sysctl", "-n", "sysctl.proc_translated") == "1":
                advice = (
                    "this Python is made for Intel Macs, the computer is not: install one for Apple silicon (arm64)"
                )
        elif int(platform.mac_ver()[0].split(".")[0] or 0) < 14:
            advice = "PyTorch needs macOS 14 or newer: update the system"
    elif system == "Windows" and machine.upper() not in ("AMD64", "X86_64"):
        advice = "PyTorch has no package for Windows on ARM: install WSL (wsl --install) and run the course there"
    elif system == "Linux":
        libc = _libc()
        if machine not in ("x86_64", "aarch64"):
            advice = "PyTorch has no package for this processor: use x86_64 or aarch64"
        elif libc < (2, 28):
            advice = (
                "PyTorch needs glibc 2.28 or newer: use a newer Linux (Debian 10, Ubuntu 20.04 or later; not Alpine)"
            )
    elif system != "Windows":
        advice = "PyTorch has no package for this system: use Linux, Windows or macOS"
    return Line(not advice, found + (f": {advice}" if advice else ": PyTorch has a package"), "install")


def _libc() -> tuple[int, ...]:
    """The version of glibc; (0,) with another C library."""
    try:
        return tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]))
    except (AttributeError, ValueError, OSError, IndexError):
        return (0,)


def _output(*command: str) -> str:
    try:
        return (
            subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
            .stdout.decode()
            .strip()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _memory() -> Line:
    from .resources import available_gib

    free = available_gib()
    if free is None:
        return Line(True, "memory: known after the installation (python -m helpers doctor)")
    found = f"{free:.1f} GiB of memory available ({MEMORY} or more for `cpu`)"
    advice = (
        ": close other programs, browser tabs and notebooks (Kernel > Shut Down All Kernels); in a container, raise its "
        'limit. If that is not enough, RUN = "../runs/small" and OVERRIDES = {"max_tokens": 384} in lesson 02 need 1 GiB less'
    )
    return Line(free >= MEMORY, found + ("" if free >= MEMORY else advice), "run")


def _disk(course: Path) -> Line:
    needed = RUN if _installed() else RUN + INSTALL
    free = shutil.disk_usage(course).free / 1e9
    for_ = "a `cpu` run" if _installed() else "the installation and a `cpu` run"
    if platform.system() == "Linux" and not _installed():
        for_ += f", {needed + CUDA} if PyTorch brings CUDA along"
    advice = "" if free >= needed else ": free some, or put the course on another disk"
    return Line(free >= needed, f"{free:.0f} GB free on this disk ({needed} for {for_}){advice}", "run")


def _folder(course: Path) -> Iterator[Line]:
    path = str(course.resolve())
    odd = sorted(set(BREAKING.findall(os.path.splitdrive(path)[1])))
    if odd:
        text = f"the course's folder has {' '.join(map(repr, odd))} in its path: Python environments break there, rename it"
        yield Line(False, text, "install")
    if cloud := CLOUD.search(path):
        text = f"the course lies in a cloud drive ({cloud[0]}), which locks and moves files while they are written"
        yield Line(False, f"{text}: move it to a plain folder, such as one in your home folder")


def _proxy() -> Iterator[Line]:
    proxies = sorted({"http", "https", "all"} & set(getproxies()))
    if not proxies:
        return
    yield Line(True, f"a proxy is set ({', '.join(proxies)}): pip and the model's download go through it")
    if {"http", "all"} & set(proxies) and not (proxy_bypass("127.0.0.1") and proxy_bypass("localhost")):
        text = "the proxy would also get requests to this machine itself (lesson 01, your own server)"
        yield Line(False, f"{text}: set NO_PROXY=localhost,127.0.0.1", "run")


def _isolation() -> str | None:
    """What can shut in a model's code here, as far as a bare Python can try it; `benchmarks.sandbox` tries it in full."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    user = [] if root else ["--user", "--map-root-user"]
    tries = {
        "bubblewrap": [
            "bwrap",
            "--ro-bind",
            "/",
            "/",
            *([] if root else ["--unshare-user"]),
            "--unshare-pid",
            "echo",
            "ok",
        ],
        "unshare": ["unshare", *user, "--mount", "--pid", "--net", "--fork", "echo", "ok"],
    }
    return next((kind for kind, command in tries.items() if _output(*command) == "ok"), None)


def _sandbox(isolation: str | None) -> Line:
    if platform.system() != "Linux":
        return Line(True, "HumanEval is left out: its sandbox needs Linux (README says what --unsandboxed does)")
    if isolation:
        return Line(True, f"sandbox for HumanEval: {isolation}")
    advice = []
    for setting, blocking, allowing in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu since 23.10
        ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian, hardened kernels
        ("user/max_user_namespaces", "0", "15000"),
    ):
        if _kernel(setting) == blocking:
            advice.append(f"sudo sysctl -w {setting.replace('/', '.')}={allowing}")
            if "apparmor" in setting:
                advice[-1] += " (or an AppArmor profile for /usr/bin/bwrap with `userns,` in it)"
    if not shutil.which("bwrap"):
        advice.append("sudo apt install bubblewrap")
    reason = "; ".join(advice) or "the kernel or the container forbids user namespaces; ask who runs it"
    return Line(False, f"no sandbox, so HumanEval is left out and the rest runs: {reason}")


def _kernel(setting: str) -> str:
    try:
        return (KERNEL / setting).read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":  # as a file, before anything is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from helpers.machine import doctor

    found = list(doctor.before(Path(__file__).resolve().parents[3]))
    stopped = "install" in doctor.report(found)
    if stopped and "--line" in sys.argv:  # with an environment, `python -m helpers doctor --line` says it
        doctor.preflight(found)
    raise SystemExit(stopped)
