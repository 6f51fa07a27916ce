"""The report: index.html of a run, the story in one page for someone who was not there.

Everything on it is read from the files of the run folder, and what a run lacks is said, not left out. It holds its own
pictures, so it can be mailed alone; it opens from disk, offline, on a phone, and prints.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import benchmarks, paper, roles, score, stats
from ..analyse import domains
from ..arms import LABELS
from . import pages, pictures
from .example import example
from .findings import count, lessons, listed, percent, points, tidy

if TYPE_CHECKING:
    from ..profiles import Profile
    from ..run import Run

MENU = (("Report", "index.html"), ("Glossary", "docs/GLOSSARY.html"))
FIRST = "recorder"  # the picture of the first screen


def write_report(this: Run, manifest: dict[str, Any]) -> Path:
    """The pages of a run: its executed lessons, the documents they link, and index.html, the report.

    An unfinished run's manifest holds `stopped`: the stem of the `lesson`, `why`, and the stems of the lessons `left`.
    """
    known = pages.sources(this.folder, pages.linked_texts(this.folder))
    pages.write(this.folder, this.folder, known, MENU)
    target = this.folder / "index.html"
    target.write_text(report(this.folder, this.profile, manifest), encoding="utf-8")
    return target


def report(folder: Path, profile: Profile, manifest: dict[str, Any], menu: pages.Menu = ()) -> str:
    """The report of a run's folder as HTML: the result, one question, the table, the pictures, the lessons, what was run."""
    scores, answers = (_read(folder / name) for name in ("scores.csv", "answers.csv"))
    metrics = _json(folder / "metrics.json")
    described, others = pictures.load(folder)
    for picture in described:
        picture["text"] = tidy(picture["text"])
        picture["data"] = pages.picture_data(folder / picture["file"])
    compared = _compared(answers)
    return pages.render(
        "report",
        title=f"Self-Prompt Tuning · {profile.name} run",
        menu=menu,
        manifest=manifest,
        profile=profile,
        model=profile.model.rsplit("/", 1)[-1],
        arms=_arms(scores),
        seeds=(seeds := sorted({int(seed) for seed in scores.seed}) or manifest["seeds"]),
        seeds_said=count(len(seeds), "seed"),
        asked=_asked(scores),
        missing=unfinished(manifest) + missing(scores),
        headline=headline(*compared) if compared else "",
        results=results(scores, answers, compared),
        example=None if answers.empty else example(folder, answers),
        first=next((picture for picture in described if picture["name"] == FIRST), None),
        table=main_table(scores),
        average=_average(scores),
        rules=rules_table(scores),
        lessons=lessons(folder, manifest, metrics),
        pictures=described,
        others=others,
        files=[n for n in ("scores.csv", "answers.csv", "metrics.json") if (folder / n).is_file()],
    )


def _read(path: Path) -> pd.DataFrame:
    return score.read_csv(path) if path.is_file() else pd.DataFrame(columns=["arm", "seed", "benchmark", "n"])


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:  # half a file, after a kill: the page does without its sentences
        return {}


# --- the results in words ----------------------------------------------------------------------------


def unfinished(manifest: dict[str, Any]) -> list[str]:
    """Where an unfinished run stopped, and which lessons it lacks."""
    if not (stopped := manifest.get("stopped")):
        return []
    left = f" Not run: {', '.join(stopped['left'])}." if stopped["left"] else ""
    cell = " (JupyterLab shows this number beside the cell after Run All Cells.)" if "cell [" in stopped["why"] else ""
    return [f"This run is not finished. It stopped in {stopped['why'].rstrip('.')}.{cell}{left}"]


def missing(scores: pd.DataFrame) -> list[str]:
    """What the scores of this run cannot say because it was not run, one sentence each."""
    if scores.empty:
        return [
            "No model was scored in this run (lesson 03 does it). So there is no table, and no arm can be compared."
        ]
    absent = [LABELS[arm] for arm in score.ARMS if arm not in set(scores.arm)]
    if not absent:
        return []
    pair = " Without both tuned arms the paper's question stays open." if {"lima", "role"} - set(scores.arm) else ""
    return [f"Not scored in this run: {listed(absent)}.{pair}"]


def headline(found: stats.Verdict, n: int) -> str:
    """The result of a run in one sentence: what `stats.verdict` says of LIMA and LIMA-Role over n questions."""
    said = {
        "yes": "Tuning with roles gave better answers than tuning without",
        "no": "Tuning with roles gave worse answers than tuning without",
    }.get(found.answer, "This run cannot say whether tuning with roles gives better answers than tuning without")
    return tidy(f"{said}: LIMA-Role minus LIMA is {points(*found.difference)} over {count(n, 'question')}.")


def results(scores: pd.DataFrame, answers: pd.DataFrame, compared: tuple[stats.Verdict, int] | None) -> list[str]:
    """The results in a few sentences, each with its n and, where one can be given, its 95 % interval."""
    if answers.empty:
        return []
    said = []
    if "role" in set(answers.arm):
        mine = answers[answers.arm == "role"]
        formed = mine.role.map(lambda text: roles.parse(None if pd.isna(text) else text) is not None)
        rate = stats.share_of_questions(float(formed.mean()), len(mine[["benchmark", "question_id"]].drop_duplicates()))
        said.append(
            f"The model tuned on LIMA-Role opened {percent(rate.estimate)} of its {count(len(mine), 'answer')} with a "
            f"well-formed role prompt of its own (95 % interval {percent(rate.low)} to {percent(rate.high)})."
        )
    if compared:
        reason = compared[0].reason if compared[0].answer != "cannot say" else compared[0].reason.rpartition(" (")[0]
        parts = [f"{part[0].upper()}{part[1:]}." for part in reason.split("; ")]
        said.append(f"Does LIMA-Role answer better than LIMA? {' '.join(parts)}")
    if "kojima" in scores and {"lima", "role"} <= set(scores.arm) and scores.kojima.notna().all():
        by_arm = scores.groupby(["arm", "benchmark"])[["accuracy", "kojima"]].mean().groupby("arm").mean()
        ours, theirs = 100 * (by_arm.loc["role"] - by_arm.loc["lima"])
        said.append(
            f"Our rule takes a declared answer first, the paper's rule takes the first match. LIMA-Role minus LIMA is "
            f"{ours:+.1f} points by our rule and {theirs:+.1f} points by the paper's."
        )
    unread = answers.prediction.isna().groupby(answers.arm, sort=False)
    each = [f"{int(part.sum())} of {len(part)} from {LABELS.get(arm, arm)}" for arm, part in unread]
    said.append(f"In some replies no answer could be read, and they count as wrong: {listed(each)}.")
    return [tidy(sentence) for sentence in said]


def _compared(answers: pd.DataFrame) -> tuple[stats.Verdict, int] | None:
    """LIMA against LIMA-Role on the questions of both, and how many these are; None if there are none."""
    grids = {}
    for name in benchmarks.BENCHMARKS if len(answers) else ():
        pairs = domains.in_both(answers, benchmark=name)
        if not pairs.empty:
            grids[name] = domains.grids(pairs)
    seeds = max((len(g["role"]) for g in grids.values()), default=0)
    grids = {name: g for name, g in grids.items() if len(g["role"]) == seeds}
    if not grids:
        return None
    lima, role = ({name: g[arm].to_numpy() for name, g in grids.items()} for arm in ("lima", "role"))
    return stats.verdict(lima, role, names=("LIMA", "LIMA-Role")), sum(grid.shape[1] for grid in role.values())


# --- the tables ------------------------------------------------------------------------------------


def _arms(scores: pd.DataFrame) -> dict[str, str]:
    """Arms of the table with their short labels: the course's three, then whatever else was scored into this folder."""
    short = {"base": "base", "lima": "LIMA", "role": "LIMA-Role"}
    return short | {arm: LABELS.get(arm, arm) for arm in dict.fromkeys(scores.arm) if arm not in short}


def _asked(scores: pd.DataFrame) -> str:
    if scores.empty:
        return "no questions"
    asked = scores.groupby("benchmark").n
    same = "the same for every arm" if (asked.nunique() == 1).all() else "for some arms fewer"
    return f"{count(int(asked.max().sum()), 'question')} from {count(asked.ngroups, 'benchmark')}, {same}"


def main_table(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """A line a benchmark: ours by arm (mean over seeds, with interval and unparsed), the paper's Mistral rows beside it."""
    order = [*benchmarks.BENCHMARKS, *dict.fromkeys(scores.benchmark)]
    lines = []
    for name in dict.fromkeys(b for b in order if b in set(scores.benchmark)):
        part = scores[scores.benchmark == name]
        lines.append(
            {
                "name": name.replace("_", " "),
                "n": "/".join(str(int(n)) for n in dict.fromkeys(part.n)),
                "random": f"{100 * part.random.mean():.0f}",
                "arms": {arm: _cell(part[part.arm == arm]) for arm in _arms(scores)},
                "paper": {arm: paper.TABLE1[row].get(name) for arm, row in paper.ARM_ROWS.items()},
            }
        )
    return lines


def readme_table(scores: pd.DataFrame) -> str:
    """The main table as Markdown, for the README: the three arms of a run beside the paper's tuned Mistral rows."""
    head = ["benchmark", "n", "random", *_arms(scores[:0]).values(), "paper: LIMA", "paper: LIMA-Role"]
    lines = [head, ["---"] * len(head)]
    for row in main_table(scores):
        ours = [f"{c['accuracy']} ({c['interval']})" if c else "–" for c in map(row["arms"].get, score.ARMS)]
        lines.append([row["name"], row["n"], row["random"], *ours, row["paper"]["lima"], row["paper"]["role"]])
    if mean := _average(scores):
        ours = [mean["arms"].get(arm, "–") for arm in score.ARMS]
        lines.append(["mean", mean["n"], mean["random"], *ours, mean["paper"]["lima"], mean["paper"]["role"]])
    unread = scores.groupby("arm").unparsed.sum()
    lines.append(
        ["replies without a readable answer", "", "", *(int(unread.get(arm, 0)) for arm in score.ARMS), "", ""]
    )
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def _cell(part: pd.DataFrame) -> dict[str, Any] | None:
    if part.empty:
        return None
    mean = stats.over_seeds(part).iloc[0]
    return {
        "accuracy": f"{100 * mean.accuracy:.1f}",
        "interval": f"{100 * mean.low:.0f}–{100 * mean.high:.0f}",
        "unparsed": f"{int(part.unparsed.sum())}" + (f" of {int(part.n.sum())}" if len(part) > 1 else ""),
    }


def _average(scores: pd.DataFrame) -> dict[str, Any] | None:
    """The mean over benchmarks that every arm present was asked, if these are all eight; beside it the paper's."""
    scores = scores[scores.arm.isin(score.ARMS)]  # not those of lesson 08, asked a part
    asked = scores.groupby("benchmark").arm.nunique()
    if set(asked.index[asked == scores.arm.nunique()]) < set(benchmarks.BENCHMARKS):
        return None
    ours = scores[scores.benchmark.isin(benchmarks.BENCHMARKS)].groupby(["arm", "benchmark"]).accuracy.mean()
    return {
        "n": int(scores.drop_duplicates("benchmark").n.sum()),
        "random": f"{100 * scores.groupby('benchmark').random.mean().mean():.0f}",
        "arms": (100 * ours.groupby("arm").mean()).map("{:.1f}".format).to_dict(),
        "paper": {arm: paper.TABLE1[row]["average"] for arm, row in paper.ARM_ROWS.items()},
    }


def rules_table(scores: pd.DataFrame) -> list[list[str]]:
    """A line a benchmark and arm: n, accuracy and unparsed by both rules, tokens, cut. Empty for an old table."""
    if "kojima" not in scores or scores.kojima.isna().all():
        return []
    order, names, lines = list(benchmarks.BENCHMARKS), _arms(scores), []
    groups = scores.groupby(["benchmark", "arm"], sort=False)
    for name, arm in sorted(groups.groups, key=lambda key: order.index(key[0]) if key[0] in order else 99):
        part = groups.get_group((name, arm))
        mean, unread = part[["accuracy", "kojima", "cut"]].mean() * 100, part.kojima_unparsed.sum(min_count=1)
        shown = (mean.accuracy, ".1f"), (part.unparsed.sum(), ".0f"), (mean.kojima, ".1f"), (unread, ".0f")
        shown += (part.tokens.mean(), ".0f"), (mean.cut, ".0f")
        cells = ("–" if pd.isna(value) else format(float(value), form) for value, form in shown)
        lines.append([name.replace("_", " "), names[arm], str(int(part.n.iloc[0])), *cells])
    return lines
