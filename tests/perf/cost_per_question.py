"""Does a question cost the same among 100 as among 2,000, and does memory stay flat?

    SPT_DATA=... python tests/perf/cost_per_question.py

Scores real MMLU questions with a tiny model, in which the machinery (tokenizing, batches, cache, journal, marking) is
what costs; a larger model would hide it. Each size runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def measure(n: int) -> None:
    import tiny

    from helpers import profiles, score
    from helpers.chat import LocalChat
    from helpers.memory import peak_gib

    profile = replace(profiles.get("cpu"), stage1_tokens=24)
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny", 8, 65_536)
    chat.model.config.max_position_embeddings = 100_000
    with tempfile.TemporaryDirectory() as folder:
        score.score(
            profile, chat, Path(folder), "warm", 0, ["mmlu"], 20, say=lambda *_: None
        )  # files read, code loaded
        began = time.time()
        score.score(profile, chat, Path(folder), "base", 0, ["mmlu"], n, say=lambda *_: None)
        print((time.time() - began) / n, peak_gib())


def main() -> None:
    if not os.environ.get("SPT_DATA"):
        sys.exit("set SPT_DATA: the packaged questions are fewer than 2,000")
    cost = {}
    for n in (100, 500, 1000, 2000):
        command = [sys.executable, __file__, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cost[n], peak = map(float, done.stdout.split())
        print(f"{n:5,} questions: {1000 * cost[n]:.1f} ms a question, peak memory {peak:.2f} GiB", flush=True)
    print(f"2,000 against 100: {cost[2000] / cost[100]:.2f} (wanted: 0.90 to 1.10)")


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
