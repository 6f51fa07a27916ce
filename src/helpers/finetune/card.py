"""A tuned model as a repository of the hub: its card, its files, the upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import roles
from ..data.hub import check_name, readme, upload
from ..errors import UserError


def model_card(manifest: dict[str, Any]) -> str:
    """The README.md of a tuned model, from its manifest, front matter included."""
    model = manifest["profile"]["model"]
    base = Path(model).name if Path(model).is_absolute() else model
    return readme(Path(__file__).with_name("card.md.jinja"), base=base, system=roles.SYSTEM, **manifest)


def push_model(folder: Path, repo: str, private: bool = True, dry_run: bool = False, say: Callable = print) -> Path:
    """Upload a tuned model (weights or adapter, tokenizer, manifest, card); nothing pickled, no logs."""
    check_name(repo)
    files = sorted(p.name for p in folder.glob("*") if p.suffix in (".safetensors", ".json", ".jinja", ".md", ".model"))
    if "manifest.json" not in files or "README.md" not in files:
        raise UserError(f"{folder.name} holds no model that finetune has finished: name such a folder")
    names = f" ({', '.join(files)})"
    upload(folder, repo, "model", private, files, "Self-prompt tuned model", f"{len(files)} files", names, dry_run, say)
    return folder
