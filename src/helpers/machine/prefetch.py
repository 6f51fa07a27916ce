"""Everything an offline room needs, in one folder: the profile's model and data, and the Python packages."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import benchmarks, models
from ..benchmarks import common
from ..data import lima, read_jsonl, source_for, write_jsonl
from ..errors import UserError
from ..models import default
from ..profiles import DEFAULT_MODEL, get
from . import pytorch
from .files import rename
from .places import place, root, shown

PICKLED = ["*.bin", "*.pt", "*.pth", "consolidated*", "original/*"]  # second copies of the weights, never loaded
# What pip calls each system, and what a lock's marker sees there. Linux is missing: PyTorch's packages for it depend on
# others (CUDA) that no lock of another system names, so they are fetched on Linux itself.
SYSTEMS = {
    "windows": ("win_amd64", {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}),
    "macos": ("macosx_14_0_arm64", {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}),
}
HERE = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
PYTHON = "3.11.5"  # of the room's machines; a plain 3.11 would mean 3.11.0, which is too old for some packages


def prefetch(profile: str, to: Path, packages: bool = False, others: Sequence[str] = (), say=print) -> None:
    """Fill `to` with model and data, with this system's packages if `packages`, and with those of `others`; say what to do.

    A relative `to` lies below the course's folder, as SPT_CACHE and SPT_DATA do.
    """
    settings, folder = get(profile), place(to)
    if wrong := sorted(set(others) - {HERE, *SYSTEMS}):
        raise UserError(
            f"cannot fetch packages for {wrong[0]!r} from here: choose from {', '.join(sorted({HERE, *SYSTEMS}))}"
        )
    source = source_for(settings.source)
    if not (root() / "requirements.lock").is_file():
        raise UserError("no requirements.lock here: run this in the course's folder (the one with notebooks/)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {shown(to)} ({error.strerror}): choose another folder with --to") from None
    say(f"filling {shown(to)}")
    _model(settings.model, folder, say)
    inside = folder.is_relative_to(root())
    name = folder.relative_to(root()).as_posix() if inside else folder.name
    variables = {"SPT_CACHE": name}
    if source == "packaged":
        say("data: the packaged samples travel with the course")
    else:
        variables["SPT_DATA"] = f"{name}/data"
        if not _data(source, folder / "data", say):
            variables["SPT_UNCHECKED"] = "1"
    wanted = dict.fromkeys([*([HERE] if packages else []), *others])
    _packages(folder, name, list(wanted), settings.device == "cuda", say)
    say(f"on every machine of the room, with the folder {name} in the course's folder, set before you start anything:")
    say("  Linux, macOS:  " + "; ".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()))
    say("  PowerShell:    " + "; ".join(f'$env:{key}="{value}"' for key, value in variables.items()))


def _model(name: str, folder: Path, say) -> None:
    """The model in `folder` under its own name, where SPT_CACHE finds it; readable by everybody."""
    target = folder / name
    if name == DEFAULT_MODEL:
        if not (target / "model.safetensors").is_file():
            temporary = folder / (name + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(models.fetch_default(say), temporary)
            shutil.rmtree(target, ignore_errors=True)
            rename(temporary, target)
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
        write_jsonl(rows, folder / "lima" / name)
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


def _packages(folder: Path, name: str, wanted: Sequence[str], gpu: bool, say) -> None:
    """Fetch the packages of the `wanted` systems into `folder`/wheels; say the command for every system.

    For Linux, PyTorch comes without CUDA if its index can be reached, unless `gpu`.
    """
    lock = root() / "requirements.lock"
    commands = {system: download(system, lock, folder) for system in ("linux", *SYSTEMS)}
    where, size = pytorch.source(gpu)
    commands["linux"] += where
    for system in wanted:
        say(
            f"packages for {system}: downloading into {name}/wheels/{system}{f' ({size})' if system == HERE else ''} ..."
        )
        if subprocess.run([sys.executable, "-m", "pip", *commands[system]], cwd=root()).returncode:
            raise UserError("pip could not fetch all packages (see above): check the network and run again")
    say("packages, for machines without internet: run the line of each system of the room in the course's folder")
    for system, command in commands.items():
        how = f"for Python {PYTHON}, from here" if "--platform" in command else f"on {system}, with the room's Python"
        text = shlex.join(command).replace(folder.as_posix(), name).replace(lock.as_posix(), lock.name)
        say(f"  {system} ({'done' if system in wanted else how}): python -m pip {text}")
    say(f"  there, set PIP_NO_INDEX=1 and PIP_FIND_LINKS={name}/wheels/SYSTEM, and install as README says")


def download(system: str, lock: Path, folder: Path) -> list[str]:
    """The arguments of pip that fetch the packages of one system: "linux", "windows" or "macos".

    For another system than this one, the lock is written out as `folder`/SYSTEM.txt as that system would read it: pip
    itself reads a lock's markers with the eyes of the machine that downloads.
    """
    wheels = ["--dest", (folder / "wheels" / system).as_posix()]
    if system in (HERE, "linux"):
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
    held = [r for r in requirements if not r.marker or r.marker.evaluate(environment)]
    return [f"{r.name}{r.specifier}" for r in held]
