"""A tuned model as a repository of the hub: its card, its files, the upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import roles
from ..data.hub import check_name, upload
from ..errors import UserError

MODEL_CARD = """\
# {name}

{what} Made with the self-prompt tuning course (arXiv 2407.08995 rebuilt).

Prompt it as it was trained, and it {does}:

    {frame}

| | |
|---|---|
| base model | {base} |
| arm, seed | {arm}, {seed} |
| dialogues | {dialogues_seen:,} seen, sha256 of the data {data} |
| steps, batch | {steps}, {batch} |
| learning rate, weight decay | {lr}, {decay} |
| attention dropout | 0 to {attention_dropout} over the layers |
| precision | {precision} |
| tokens (trained) | {tokens:,} ({trained_tokens:,}) |
| last loss | {loss:.3f} |
| commit | {commit} |

Trained on LIMA or dialogues in its manner; where it was LIMA, its non-commercial licence applies. Not evaluated for any use
but the course's lessons.
"""


def model_card(manifest: dict[str, Any]) -> str:
    """The README.md of a tuned model, from its manifest, front matter included."""
    from huggingface_hub import ModelCardData

    recipe, arm = manifest["profile"], manifest["arm"]
    base = recipe["model"] if not Path(recipe["model"]).is_absolute() else Path(recipe["model"]).name
    data = ModelCardData(
        language="en",
        library_name="peft" if recipe["lora"] else "transformers",
        pipeline_tag="text-generation",
        license="other",
        tags=["self-prompt-tuning", "trl", "sft"],
    )
    text = MODEL_CARD.format(
        name=f"{base.rsplit('/', 1)[-1]}, {arm} arm, seed {manifest['seed']}",
        what="Tuned on dialogues with role prompts (LIMA-Role)."
        if arm == "role"
        else "Tuned on dialogues without role prompts.",
        does="writes a role prompt in brackets, then the answer" if arm == "role" else "writes the answer",
        frame=f"{roles.SYSTEM}\n    USER: your question\n    ASSISTANT:",
        base=base,
        batch=recipe["batch_size"],
        lr=recipe["learning_rate"],
        decay=recipe["weight_decay"],
        loss=manifest["losses"][-1],
        **{
            k: manifest[k]
            for k in (
                "arm",
                "seed",
                "dialogues_seen",
                "steps",
                "precision",
                "tokens",
                "trained_tokens",
                "attention_dropout",
            )
        },
        data=manifest["data"][:12],
        commit=manifest["commit"],
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def push_model(folder: Path, repo: str, private: bool = True, dry_run: bool = False, say: Callable = print) -> Path:
    """Upload a tuned model (weights or adapter, tokenizer, manifest, card); nothing pickled, no logs."""
    check_name(repo)
    files = sorted(p.name for p in folder.glob("*") if p.suffix in (".safetensors", ".json", ".jinja", ".md", ".model"))
    if "manifest.json" not in files or "README.md" not in files:
        raise UserError(f"{folder.name} holds no model that finetune has finished: name such a folder")
    megabytes = sum((folder / name).stat().st_size for name in files) / 1e6
    what = f"{len(files)} files, {megabytes:.1f} MB, {'private' if private else 'PUBLIC'}"
    if dry_run:
        say(f"dry run: {repo} would get {what} ({', '.join(files)}); nothing was uploaded")
    else:
        upload(folder, repo, "model", private, files, "Self-prompt tuned model")
        say(f"uploaded {repo}: {what}")
    return folder
