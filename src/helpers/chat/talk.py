"""`python -m helpers chat`: talk to an arm in the terminal, its role prompt apart from its answer.

The one idea: a chat is a loop over the paper's frame. Each answer becomes a part of the next prompt, as in the
dialogues that the model was trained on. It reads lines from stdin, so a pipe can talk to it, too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import models, strategies
from ..arms import ARMS, LABELS, TUNED
from ..errors import UserError
from ..machine.places import root, seen_from
from ..profiles import DEFAULT_MODEL, Profile
from . import money
from .asking import Request, ask
from .local import local_chat
from .messages import Messages
from .server import endpoint_chat

TOKENS = 160  # of an answer; an opening has an allowance of its own
HELP = (
    "/arm NAME another model (base, lima, role, or a folder) · /new forget what was said · /help this · /quit the end"
)


def talk(profile: Profile, run: Path | None, name: str, base_url: str | None = None) -> None:
    """Read lines from stdin and answer them until /quit or the end of input.

    `name`: an arm of the run folder `run` (default: runs/<profile>), a model's folder or name, or what the server at `base_url` calls it.
    UserError if there is no such model.
    """
    run = run or Path(seen_from(root() / "runs" / profile.name))
    chat = _load(profile, run, name, base_url)
    print(f"{LABELS.get(name, name)} answers. {HELP}")
    said: Messages = []
    while (line := _read()) not in (None, "/quit"):
        command, _, argument = line.partition(" ")
        if command == "/arm" and argument.strip():
            try:
                chat, other = _load(profile, run, argument.strip(), base_url), chat
            except UserError as error:
                print(error)
                continue
            del other
            models.release_memory()
            said, name = [], argument.strip()  # it would imitate what another model said
            print(f"{LABELS.get(name, name)} answers; what was said is forgotten")
        elif command == "/new" and not argument:
            said = []
            print("forgotten")
        elif line.startswith("/"):
            print(HELP)
        elif line:
            said = _answer(chat, profile, said, line)


def _answer(chat: Any, profile: Profile, said: Messages, line: str) -> Messages:
    """Print the reply to `line`; the conversation with both, or without them if there was no reply."""
    asked = [*said, {"role": "user", "content": line}]
    request = Request("now", asked, TOKENS, typical=TOKENS, opening_tokens=profile.opening_tokens)
    record = ask({None: [request]}, chat, say=lambda line: None)["now"]
    opening = strategies.opening(record["reply"]) or ""
    answer = record["reply"].strip().removeprefix(opening).strip()
    if record["finish"] == "too long":
        print("this conversation no longer fits into what the model can read: /new begins afresh")
        return said
    if opening:
        print(f"\x1b[2m{opening}\x1b[0m" if sys.stdout.isatty() else opening)
    print((answer or "(no answer)") + (" …" if record["finish"] == "length" else ""), flush=True)
    # In the training text only the first turn of a dialogue has a role prompt: later ones are not kept.
    kept = record["reply"] if not said or not answer else answer
    return [*asked, {"role": "assistant", "content": kept}] if kept else said


def _read() -> str | None:
    """The next line; None at the end of input."""
    try:
        return input("\n> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None


def _load(profile: Profile, run: Path, name: str, base_url: str | None) -> Any:
    """The chat of an arm, a folder, a hub name, or a server's model."""
    if base_url:
        # The server's own template: that of a tuned model is the paper's frame, with an end token after each answer.
        price = money.price_of(name, base_url) or (0.0, 0.0)
        return endpoint_chat(name, base_url=base_url, prompt="chat", price=price)
    folder = run / "models" / f"{name}-seed0"
    if name in TUNED and not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        lessons = f"python -m helpers run --lessons 02 --profile {profile.name} --out {run}"
        raise UserError(f"{run} has no trained {name} model yet: train both with `{lessons}`, or talk to base")
    where = profile.model if name == "base" else str(folder) if name in TUNED else name
    if name not in ARMS and name != DEFAULT_MODEL and not Path(name).is_dir() and "/" not in name:
        raise UserError(
            f"no model {name!r}: choose {', '.join(ARMS)}, a model's folder, or a name on the hub (owner/model)"
        )
    return local_chat(_without_gpu(profile), where)


def _without_gpu(profile: Profile) -> Profile:
    """The profile, or if it wants a GPU that is not here, one that answers slowly on the processor."""
    import torch

    if profile.device == "cpu" or torch.cuda.is_available():
        return profile
    print("no GPU here: it answers on the processor, slowly")
    return replace(profile, device="cpu", dtype="bfloat16", quantized=False)
