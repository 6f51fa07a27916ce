"""Find, load and name a model: the default one, a local folder, a name on the hub, an adapter."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..machine.files import read_json
from ..profiles import DEFAULT_MODEL, Profile
from .default import cache_folder, fetch_default
from .quiet import quiet_transformers


def resolve(name: str) -> str:
    """What `from_pretrained` can load: the default model's folder, a local folder, or a hub name.

    A hub model that `prefetch` has put into the cache folder (SPT_CACHE) is read from there.
    """
    if name == DEFAULT_MODEL:
        return str(fetch_default())
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
            raise UserError(f"{name!r} holds no model (no config.json): name the folder that save_pretrained wrote")
        return str(path)
    if name.startswith((".", "/")) or name.count("/") > 1:
        raise UserError(f"no model at {name!r}: give an existing folder, a hub name, or {DEFAULT_MODEL}")
    kept = cache_folder() / name
    return str(kept) if (kept / "config.json").is_file() else name


def load(profile: Profile, name: str | None = None, dtype: str | None = None) -> tuple[Any, Any]:
    """(model, tokenizer) for inference or training, by the profile. `name`: another model, or a tuned one's folder.

    A folder with an adapter (QLoRA) loads its base model first. Remote code and pickled weights are refused.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    need_device(profile)
    tune_allocator()
    where = resolve(name or profile.model)
    adapter = Path(where) / "adapter_config.json"
    base = (
        resolve(read_json(adapter, "base_model_name_or_path")["base_model_name_or_path"])
        if adapter.is_file()
        else where
    )
    options: dict[str, Any] = {
        "dtype": getattr(torch, dtype or profile.dtype),
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if profile.quantized:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if profile.device == "cuda" else torch.float32,
        )
    if profile.device == "cuda" and os.environ.get("ACCELERATE_USE_FSDP") != "true":  # FSDP places its own parts
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    elif profile.device == "mps":
        options["device_map"] = {"": "mps"}
    words = tokenizer(profile, name)
    with quiet_transformers():
        try:
            model = AutoModelForCausalLM.from_pretrained(base, **options)
        except (ImportError, OSError, ValueError, SafetensorError) as error:  # missing, of an unknown kind, damaged
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise UserError(
                f"could not load {name or profile.model!r} ({reason}): check the name or the network"
            ) from error
        if adapter.is_file():
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, where)
    if profile.quantized and profile.device == "cpu":
        # Where a processor has bfloat16, bitsandbytes would answer in it whatever the compute dtype says.
        for module in model.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
    return model.eval(), words


def tokenizer(profile: Profile, name: str | None = None) -> Any:
    """The tokenizer of the profile's model, or of another; one that pads."""
    from transformers import AutoTokenizer

    where = resolve(name or profile.model)
    with quiet_transformers():
        try:
            found = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        except (OSError, ValueError) as error:
            if not Path(where).is_dir():
                raise UserError(f"could not load {name or profile.model!r}: check the name or the network") from error
            raise UserError(
                f"{Path(where).name} holds no tokenizer that can be read: copy the tokenizer files of its base model there"
            ) from error
    if found.pad_token_id is None:
        found.pad_token = found.eos_token
    return found


def config(profile: Profile) -> Any:
    """The configuration of the profile's model: its shape, without its weights."""
    from transformers import AutoConfig

    with quiet_transformers():
        try:
            return AutoConfig.from_pretrained(resolve(profile.model), trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise UserError(f"could not load {profile.model!r} ({reason}): check the name or the network") from error


def need_device(profile: Profile) -> None:
    """Raise UserError unless this machine has the profile's device, and bitsandbytes if its weights are packed in 4 bits."""
    import torch

    found = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if profile.device in found and not found[profile.device]():
        raise UserError(f"profile {profile.name!r} needs {profile.hardware} and finds no GPU: use --profile cpu here")
    if profile.quantized and not find_spec("bitsandbytes"):
        raise UserError("4-bit weights (NF4) need bitsandbytes, which is not installed: pip install bitsandbytes")


def fingerprint(name: str) -> str:
    """What identifies a model in a journal key: its hub name, or the sha256 of a local folder's weights."""
    where = Path(resolve(name))
    if not where.is_dir():
        return name
    digest = hashlib.sha256()
    for file in sorted(where.glob("*.safetensors")):
        with file.open("rb") as weights:
            while block := weights.read(1 << 22):
                digest.update(block)
    return f"{where.name}@{digest.hexdigest()[:16]}"


def tune_allocator() -> None:
    """Keep freed memory for the next step (glibc only): PyTorch on a CPU spends a fifth of a step on page faults."""
    if sys.platform != "linux":
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:  # another C library
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names in malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 << 20)


def release_memory() -> None:
    """Give back what a model that is no longer used held."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heap()


def trim_heap() -> None:
    """Give back what the C library keeps of freed memory (glibc only; see `tune_allocator`)."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
