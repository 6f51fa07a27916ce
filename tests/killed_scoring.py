"""What test_score starts: a tiny model's scoring, killed with SIGKILL at seeded random instants until it comes to its end.

A process of its own that imports everything once and forks each attempt, so that an attempt costs a second, not ten.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import tiny
import torch
from transformers import AutoModelForCausalLM  # noqa: F401  the attempts find it imported

from helpers import profiles, score
from helpers.chat import LocalChat, journal

NAMES = ("mmlu", "gsm8k", "date")


def attempt(profile, out: Path, asked: Path, seconds: float | None = None) -> bool:
    """Score in a process of its own, killed after `seconds`; whether it came to its end. `asked` lists its questions."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            complete = LocalChat.complete

            def listed(self, conversations, *args, **options):
                asked.write_text(json.dumps([c[0]["content"] for c in conversations]))
                return complete(self, conversations, *args, **options)

            LocalChat.complete = listed
            score.score(profile, score.local_chat(profile), out, "base", 0, NAMES, say=lambda _: None)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, f"{out.name} failed by itself"
    return True


def kept(profile, out: Path) -> set[str]:
    """The questions whose answers are in the journals."""
    folder = score.generations(out, "base")
    keys = {r["key"] for n in NAMES for r in journal.read(folder / f"{n}.jsonl")}
    rows = score.questions(profile, NAMES)
    name = json.loads((folder / "model.json").read_text())["model"] if keys else "nobody"
    chat = type("Chat", (), {"name": name})
    return {q.text for questions in score.asked(profile, chat, rows).values() for q in questions if q.key in keys}


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    profile = profiles.get("cpu", model=str(tiny.save(folder / "tiny")), stage1_tokens=24, generation_batch=8)
    attempt(profile, folder / "warm", folder / "asked.json")
    began = time.monotonic()
    attempt(profile, folder / "undisturbed", folder / "asked.json")
    whole, draw = time.monotonic() - began, random.Random(0)
    progress, runs = [], 0
    while len(progress) < kills or len({p for p in progress if p}) < 3:
        runs += 1
        out, over = folder / f"killed-{runs}", False
        while not over:
            before, asked = kept(profile, out), folder / "asked.json"
            asked.write_text("[]")
            over = attempt(profile, out, asked, draw.uniform(0.2, 0.8) * whole)
            assert not before & set(json.loads(asked.read_text())), "an answer that was kept has been asked again"
            if not over:
                progress.append(len(kept(profile, out)))
                assert len(progress) < 20 * kills, "no run ever comes to its end"
    (folder / "killed.json").write_text(json.dumps({"progress": progress, "runs": runs, "seconds": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
