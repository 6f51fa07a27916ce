"""Everything an offline room needs, in one folder: the profile's model and data, and the Python packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .. import benchmarks, models
from ..benchmarks import common
from ..data import lima, read_jsonl, source_for, write_jsonl
from ..errors import UserError
from ..models import default
from ..profiles import DEFAULT_MODEL, get
from .places import place, root

PICKLED = [
    "*.bin",
    "*.pt",
    "*.pth",
    "consolidated*",
    "original/*",
]  # copies of the weights that the course does not load
# What pip calls each system, and what a lock's marker sees there. Linux is missing: PyTorch's packages for it depend on
# others (CUDA) that no lock of another system names, so they are fetched on Linux itself.
SYSTEMS = {
    "windows": ("win_amd64", {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}),
    "macos": ("macosx_14_0_arm64", {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}),
}
HERE = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
PYTHON = "3.11.5"  # of the room's machines; a plain 3.11 would mean 3.11.0, which is too old for some packages


def prefetch(profile: str, to: Path, packages: bool = False, say=print) -> None:
    """Fill `to` with model and data, and with this system's packages if `packages`; say what the room has to do.

    A relative `to` lies below the course's folder, as SPT_CACHE and SPT_DATA do.
    """
    settings, folder = get(profile), place(to)
    source = source_for(settings.source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): choose another folder with --to") from None
    say(f"filling {folder}")
    _model(settings.model, folder, say)
    inside = folder.is_relative_to(root())
    shown = folder.relative_to(root()).as_posix() if inside else folder.name
    variables = {"SPT_CACHE": shown}
    if source == "packaged":
        say("data: the packaged samples travel with the course")
    else:
        variables["SPT_DATA"] = f"{shown}/data"
        if not _data(source, folder / "data", say):
            variables["SPT_UNCHECKED"] = "1"
    _packages(folder, shown, packages, say)
    if not inside:
        say(f"copy the folder {shown} into the course's folder")
    say(f"on every machine of the room, with {shown} in the course's folder, set before you start anything:")
    say("  Linux, macOS:  " + "; ".join(f"export {name}={value}" for name, value in variables.items()))
    say("  PowerShell:    " + "; ".join(f'$env:{name}="{value}"' for name, value in variables.items()))


def _model(name: str, folder: Path, say) -> None:
    """The model in `folder` under its own name, where SPT_CACHE finds it; readable by everybody."""
    target = folder / name
    if name == DEFAULT_MODEL:
        if not (target / "model.safetensors").is_file():
            temporary = folder / (name + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(models.fetch_default(say), temporary)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
    else:
        from huggingface_hub import snapshot_download

        try:
            snapshot_download(name, local_dir=target, ignore_patterns=PICKLED)
        except Exception as error:
            raise UserError(
                f"could not fetch {name} from the hub ({type(error).__name__}): accept its licence on its page, "
                "run `hf auth login`, and check the network"
            ) from error
    default.readable(target)
    say(f"model: {name}")


def _data(source: str, folder: Path, say) -> bool:
    """LIMA and every benchmark as files below `folder`; whether all of them are word for word the originals."""
    with common.kept_in(folder):
        for name, benchmark in benchmarks.BENCHMARKS.items():
            say(f"{name}: {len(benchmark.rows(source)):,} rows")
    for name in ("train.jsonl", "test.jsonl"):
        rows = read_jsonl(lima.file(source, name))
        write_jsonl(folder / "lima" / name, rows)
        say(f"lima/{name}: {len(rows):,} rows")
    before, exact = os.environ.get("SPT_DATA"), True
    os.environ["SPT_DATA"] = str(folder)  # read all of it once more, as the room will
    try:
        for benchmark in benchmarks.BENCHMARKS.values():
            try:
                benchmark.rows("local")
            except UserError as error:
                say(f"note: {error}")
                exact = False
    finally:
        os.environ.pop("SPT_DATA")
        if before is not None:
            os.environ["SPT_DATA"] = before
    default.readable(folder)
    return exact


def _packages(folder: Path, shown: str, fetch: bool, say) -> None:
    """Fetch this system's packages into `folder`/wheels if `fetch`; say the command for every system."""
    lock = root() / "requirements.lock"
    if not lock.is_file():
        raise UserError("no requirements.lock here: run this from the course's folder (the one with notebooks/)")
    commands = {name: download(name, lock, folder) for name in ("linux", *SYSTEMS)}
    if fetch:
        say(f"packages for {HERE}: downloading into {shown}/wheels/{HERE} ...")
        command = [sys.executable, "-m", "pip", *commands[HERE]]
        if subprocess.run(command, cwd=root()).returncode:
            raise UserError("pip could not fetch all packages (see above): check the network and run again")
    say("packages, for machines without internet; run in the course's folder, with Python and pip of any version:")
    for name, command in commands.items():
        done = " (done)" if fetch and name == HERE else ""
        where = ", on Linux itself" if name == "linux" and HERE != "linux" else ""
        text = " ".join(command).replace(folder.as_posix(), shown).replace(lock.as_posix(), lock.name)
        say(f"  {name}{where}{done}: python -m pip {text}")
    say(f"  each then installs with PIP_NO_INDEX=1 and PIP_FIND_LINKS={shown}/wheels/SYSTEM set, as README says")


def download(system: str, lock: Path, folder: Path) -> list[str]:
    """The arguments of pip that fetch the packages of one system (HERE's own: for the Python that runs this).

    For another system the lock is written out as `folder`/SYSTEM.txt, as that system reads it: pip itself would read the
    markers of a lock with the eyes of the machine that downloads.
    """
    wheels = ["--dest", (folder / "wheels" / system).as_posix()]
    if system == HERE or system == "linux":
        return ["download", "-r", lock.as_posix(), *wheels]
    platform, environment = SYSTEMS[system]
    listed = folder / f"{system}.txt"
    listed.write_text("\n".join(pins(lock, environment)) + "\n", encoding="utf-8")
    tags = ["--platform", platform, "--python-version", PYTHON, "--only-binary=:all:", "--no-deps"]
    return ["download", "-r", listed.as_posix(), *tags, *wheels]


def pins(lock: Path, environment: dict[str, str]) -> list[str]:
    """The lock's lines that hold on a system (its markers' variables in `environment`), without their markers."""
    from packaging.requirements import Requirement

    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    requirements = [Requirement(line) for line in lines]
    held = [r for r in requirements if not r.marker or r.marker.evaluate({**environment, "python_version": PYTHON})]
    return [f"{r.name}{r.specifier}" for r in held]
