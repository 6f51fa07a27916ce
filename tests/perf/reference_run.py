"""The reference run of profile `small`: both arms, all seeds, all real questions, in an order in which every part is of use.

    SPT_DATA=... nice python tests/perf/reference_run.py [--out runs/small] [--minutes 480] [--seeds 0,1,2,3] [--override max_steps=4]

First the role and lima arms of the first seed and base on MMLU (Figures 3 and 4 of the paper), then the other seeds on
MMLU, then the other benchmarks in the same order. Every answer is in a journal and every training has checkpoints: stop it
at any time, and start it again with the same command. No stage begins after --minutes. If it is to continue on machines
with other processors, fix the arithmetic: --override dtype='"float32"' --override precisions='["fp32"]'.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers import models, run, score
from helpers.arms import TUNED
from helpers.benchmarks import BENCHMARKS


def stages(seeds: Sequence[int]) -> Iterator[tuple[str, int, list[str]]]:
    """(arm, seed, benchmarks), the most useful first."""
    others = [name for name in BENCHMARKS if name != "mmlu"]
    for names in (["mmlu"], others):
        yield from ((arm, seeds[0], names) for arm in reversed(TUNED))
        yield "base", 0, names
        yield from ((arm, seed, names) for seed in seeds[1:] for arm in reversed(TUNED))
    yield "base_chat", 0, ["mmlu", *others]


def run_stages(this: run.Run, seeds: Sequence[int], minutes: float) -> int:
    """Do the stages that begin within `minutes`; the number that is done. Prints a line with the time for each."""
    began, done = time.monotonic(), 0
    for arm, seed, names in stages(seeds):
        spent = (time.monotonic() - began) / 60
        if spent >= minutes:
            break
        print(f"[{spent:6.1f} min] {arm}-seed{seed}: {', '.join(names)}", flush=True)
        chat = this.chat(arm, seed)
        score.score(this.profile, chat, this.folder, arm, seed, names)
        del chat
        models.release_memory()
        done += 1
    print(f"[{(time.monotonic() - began) / 60:6.1f} min] {done} of {len(list(stages(seeds)))} stages", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/small"))
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--seeds", default="0,1,2,3")
    parser.add_argument("--override", action="append", default=[], metavar="NAME=JSON", help="a setting of the profile")
    options = parser.parse_args()
    changed = {name: json.loads(value) for name, value in (o.split("=", 1) for o in options.override)}
    this = run.start("small", str(options.out), **changed)
    run_stages(this, [int(seed) for seed in options.seeds.split(",")], options.minutes)


if __name__ == "__main__":
    main()
