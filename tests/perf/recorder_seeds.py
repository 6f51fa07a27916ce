"""Lesson 08's experiment with several seeds: by how many points is the record arm ahead of the best other arm?

    python tests/perf/recorder_seeds.py [--seeds 0,1,2] [--arms direct,role,actions,scrambled,record] [--out runs/recorder]

Fifteen trainings of one to three minutes; what is in --out already is kept, so it can be stopped and started again.
`--publish` writes the replies of the first seed as the packaged reference of lesson 08.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from helpers import run
from helpers.analyse import recorder
from helpers.data import REFERENCE

ENOUGH = 0.40  # points of accuracy, as a share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(recorder.ARMS))
    parser.add_argument("--out", type=Path, default=Path("runs/recorder"))
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    arms, this, ahead = options.arms.split(","), run.open_run("cpu", options.out), []
    for seed in map(int, options.seeds.split(",")):
        replies = recorder.asked(this, arms, 50, seed)
        marks = recorder.marked(replies)
        print(recorder.table(marks).round(3).to_string(index=False))
        trained = marks[marks.people != recorder.LONGER].groupby("arm").right.mean()
        best = trained.drop("record").idxmax()
        ahead.append(trained["record"] - trained[best])
        print(
            f"seed {seed}: record {trained['record']:.1%}, best other arm {best} {trained[best]:.1%}, ahead {ahead[-1]:.1%}\n"
        )
        if options.publish and seed == int(options.seeds.split(",")[0]):
            replies.to_csv(REFERENCE / "recorder.csv", index=False, lineterminator="\n")
    print(
        f"record is ahead by {min(ahead):.1%} to {max(ahead):.1%}; at least {ENOUGH:.0%} in each seed: {min(ahead) >= ENOUGH}"
    )


if __name__ == "__main__":
    main()
