"""Does a question cost the same among 100 as among 2,000, and does memory stay flat?

    SPT_DATA=... python tests/perf/cost_per_question.py

Scores the same 2,000 real MMLU questions in portions of 100, of 500, of 1,000 and in one piece, with a tiny model in
which the machinery (tokenizing, batches, cache, journal, marking) is what costs; a larger model would hide it. Every
size has the same questions, because other questions are longer or shorter. Each runs twice, in turns and in processes
of its own. Reading the data file is timed apart: it is paid once, whatever the number of questions.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


SIZES = (100, 500, 1000, 2000)


def measure(n: int) -> None:
    """Print seconds to read the file, seconds a question, peak GiB."""
    import tiny

    from helpers import profiles, score
    from helpers.chat import LocalChat
    from helpers.machine.resources import peak_gib

    profile = replace(profiles.get("cpu"), stage1_tokens=24)
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny", 8, 65_536)
    chat.model.config.max_position_embeddings = 100_000
    began = time.time()
    rows = score.questions(profile, ["mmlu"], SIZES[-1])["mmlu"]
    read = time.time() - began

    def score_in(folder: Path, some: list) -> None:
        records = score.answer(profile, chat, {"mmlu": some}, folder, say=lambda *_: None)
        score.table(score.grade("base", 0, {"mmlu": some}, records), {"mmlu": some})

    with tempfile.TemporaryDirectory() as folder:
        score_in(Path(folder) / "warm", rows[:20])  # code loaded, memory taken
        began = time.time()
        for start in range(0, len(rows), n):
            score_in(Path(folder) / str(start), rows[start : start + n])
        seconds = time.time() - began
    print(read, seconds / len(rows), peak_gib())


def main() -> None:
    if not os.environ.get("SPT_DATA"):
        sys.exit("set SPT_DATA: the packaged questions are fewer than 2,000")
    found: dict[int, list[list[float]]] = {n: [] for n in SIZES}
    for n in SIZES * 2:
        command = [sys.executable, __file__, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[n].append([float(x) for x in done.stdout.split()])
    cost = {}
    for n, runs in found.items():
        read, cost[n], peak = (statistics.mean(column) for column in zip(*runs))
        each = " and ".join(f"{1000 * c:.1f}" for _, c, _ in runs)
        print(f"{n:5,} at a time: {each} ms a question, {read:.1f} s to read them, peak memory {peak:.2f} GiB")
    for n in SIZES[1:]:
        print(f"{n:,} against 100: {cost[n] / cost[100]:.2f} (wanted: 0.90 to 1.10)")


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
