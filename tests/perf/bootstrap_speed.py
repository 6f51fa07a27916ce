"""Prints seconds and peak memory of one paired bootstrap: 4 seeds x 9,000 questions x 10,000 draws.

python tests/perf/bootstrap_speed.py
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from helpers import stats

SEEDS, QUESTIONS, DRAWS = 4, 9_000, 10_000


def main() -> None:
    rng = np.random.default_rng(0)
    right = [rng.random((SEEDS, QUESTIONS)) < share for share in (0.53, 0.56)]
    graded = [rng.random((SEEDS, QUESTIONS)) for _ in range(2)]
    subjects = np.arange(QUESTIONS) % 57
    size = f"{SEEDS} seeds x {QUESTIONS:,} questions x {DRAWS:,} draws"
    cases = {"right or wrong": (right, None), "any score": (graded, None), "57 subjects": (right, subjects)}
    for what, (arms, clusters) in cases.items():
        began = time.perf_counter()
        interval = stats.paired(*arms, draws=DRAWS, clusters=clusters)
        seconds = time.perf_counter() - began
        print(f"{size}, {what}: {seconds:.2f} s, {interval.estimate:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]")
    tracemalloc.start()
    stats.paired(*graded, draws=1_000)
    print(f"peak memory beside the answers: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
