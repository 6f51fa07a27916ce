"""The report: index.html of a run, the story in one page for someone who was not there.

Everything on it is read from the files of the run folder, and what a run lacks is said, not left out. It needs nothing
from outside: it opens from disk, offline, on a phone, and prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import benchmarks, paper, roles, score, stats
from ..analyse import domains
from ..arms import LABELS
from ..machine.provenance import root
from . import pictures

if TYPE_CHECKING:
    from ..run import Run

TEMPLATE = Path(__file__).parent / "report.html.jinja"


def write_report(this: Run, manifest: dict[str, Any]) -> Path:
    """index.html of a run: what was run, the results in short, the table, the lessons, the pictures.

    An unfinished run's manifest holds `stopped`: the stem of the `lesson`, `why`, and the stems of the lessons `left`.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    scores, answers = (_read(this.folder / name) for name in ("scores.csv", "answers.csv"))
    metrics = _json(this.folder / "metrics.json")
    described, others = pictures.load(this.folder)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        manifest=manifest,
        profile=this.profile,
        model=this.profile.model.rsplit("/", 1)[-1],
        arms=_arms(scores),
        seeds=sorted({int(seed) for seed in scores.seed}) or manifest["seeds"],
        asked=_asked(scores),
        missing=unfinished(manifest) + missing(scores),
        results=results(scores, answers),
        table=main_table(scores),
        average=_average(scores),
        rules=rules_table(scores),
        lessons=lessons(this.folder, manifest, metrics),
        pictures=described,
        others=others,
        files=[n for n in ("scores.csv", "answers.csv", "metrics.json") if (this.folder / n).is_file()],
    )
    target = this.folder / "index.html"
    target.write_text(page, encoding="utf-8")
    return target


def _read(path: Path) -> pd.DataFrame:
    return score.read_csv(path) if path.is_file() else pd.DataFrame(columns=["arm", "seed", "benchmark", "n"])


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:  # half a file, after a kill: the page goes on without its sentences
        return {}


# --- in short --------------------------------------------------------------------------------------


def unfinished(manifest: dict[str, Any]) -> list[str]:
    """Where an unfinished run stopped, and which lessons it lacks."""
    if not (stopped := manifest.get("stopped")):
        return []
    left = f" Not run: {', '.join(stopped['left'])}." if stopped["left"] else ""
    count = " (JupyterLab shows this number beside the cell after Run All Cells.)" if "cell [" in stopped["why"] else ""
    return [f"This run is not finished. It stopped in {stopped['why'].rstrip('.')}.{count}{left}"]


def missing(scores: pd.DataFrame) -> list[str]:
    """What the scores of this run cannot say because it was not run, one sentence each."""
    if scores.empty:
        return ["No model was scored in this run (lesson 03 does it): there is no table, and no arm can be compared."]
    absent = [LABELS[arm] for arm in score.ARMS if arm not in set(scores.arm)]
    if not absent:
        return []
    pair = " Without both tuned arms the paper's question stays open." if {"lima", "role"} - set(scores.arm) else ""
    return [f"Not scored in this run: {', '.join(absent)}.{pair}"]


def results(scores: pd.DataFrame, answers: pd.DataFrame) -> list[str]:
    """The results in a few sentences, each with its n and, where one can be given, its 95 % interval."""
    if answers.empty:
        return []
    said = []
    if "role" in set(answers.arm):
        mine = answers[answers.arm == "role"]
        formed = mine.role.map(lambda text: roles.parse(None if pd.isna(text) else text) is not None)
        rate = stats.share_of_questions(float(formed.mean()), len(mine[["benchmark", "question_id"]].drop_duplicates()))
        said.append(
            f"The model tuned on LIMA-Role opened {_percent(rate)} of its {len(mine)} answers with a well-formed role "
            "prompt of its own."
        )
    if both := _both(answers):
        lima, role, n = both
        found = stats.verdict(lima, role, names=("LIMA", "LIMA-Role"))
        answer = {"yes": "yes", "no": "no, the other way round"}.get(found.answer, "this run cannot say")
        said.append(
            f"Does tuning with roles answer better than tuning without? On these {n} questions: {answer}. LIMA-Role minus "
            f"LIMA, mean over {len(lima)} benchmarks: {found.reason}."
        )
    if "kojima" in scores and {"lima", "role"} <= set(scores.arm) and scores.kojima.notna().all():
        by_arm = scores.groupby(["arm", "benchmark"])[["accuracy", "kojima"]].mean().groupby("arm").mean()
        ours, theirs = 100 * (by_arm.loc["role"] - by_arm.loc["lima"])
        said.append(
            f"Read by our rule (a declared answer goes first) that difference is {ours:+.1f} points, read by the paper's "
            f"(the first match) {theirs:+.1f}."
        )
    unread = answers.prediction.isna().groupby(answers.arm, sort=False)
    each = [f"{int(part.sum())} of {len(part)} for {LABELS.get(arm, arm)}" for arm, part in unread]
    said.append(f"Replies in which no answer could be read, counted as wrong: {', '.join(each)}.")
    return said


def _both(answers: pd.DataFrame) -> tuple[dict, dict, int] | None:
    """{benchmark: [seeds, questions]} of LIMA and of LIMA-Role on the questions of both, and how many these are."""
    grids = {}
    for name in benchmarks.BENCHMARKS:
        pairs = domains.in_both(answers, benchmark=name)
        if not pairs.empty:
            grids[name] = domains.grids(pairs)
    seeds = max((len(g["role"]) for g in grids.values()), default=0)
    grids = {name: g for name, g in grids.items() if len(g["role"]) == seeds}
    if not grids:
        return None
    lima, role = ({name: g[arm].to_numpy() for name, g in grids.items()} for arm in ("lima", "role"))
    return lima, role, sum(grid.shape[1] for grid in role.values())


def _points(difference: float, low: float, high: float) -> str:
    return f"{100 * difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def _percent(share: stats.Interval) -> str:
    return f"{100 * share.estimate:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


# --- the tables ------------------------------------------------------------------------------------


def _arms(scores: pd.DataFrame) -> dict[str, str]:
    """Arms of the table with their short labels: the course's three, then whatever else was scored into this folder."""
    short = {"base": "base", "lima": "LIMA", "role": "LIMA-Role"}
    return short | {arm: arm for arm in dict.fromkeys(scores.arm) if arm not in short}


def _asked(scores: pd.DataFrame) -> str:
    if scores.empty:
        return "none"
    asked = scores.groupby("benchmark").n
    same = ", the same for every arm" if (asked.nunique() == 1).all() else ", for some arms fewer"
    return f"{int(asked.max().sum())} of {asked.ngroups} benchmarks{same}"


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


# --- the lessons -----------------------------------------------------------------------------------

# What a lesson found, from what it recorded in metrics.json. A lesson may also record the sentence itself, as `finding`.
FINDINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "00": lambda m: (
        f"This machine writes {m['tokens_per_second']} tokens a second; profiles it can run: {m['runnable']}."
    ),
    "01": lambda m: (
        f"Of {m['dialogues']} dialogues {m['parsed']} got a role from the annotator and {m['declined']} were declined; "
        f"{m['distinct_role_nouns']} different role nouns."
    ),
    "02": lambda m: (
        f"After {m['steps']} steps the role arm opened {100 * m['role_rate']:.0f} % of {m['role_n']} replies to new "
        f"questions with a role prompt, LIMA {100 * m['lima_rate']:.0f} %."
        + (
            f" On {m['held_out']} dialogues that it was not trained on, its loss fell from {m['opening_before']:.2f} to "
            f"{m['opening_after']:.2f} nats per token of the role prompt, and from {m['answer_before']:.2f} to "
            f"{m['answer_after']:.2f} in the answer."
            if "held_out" in m
            else ""
        )
    ),
    "03": lambda m: (
        f"{m['n_questions']} questions to each arm. "
        + "; ".join(
            f"{LABELS[arm]}: {m[f'tokens_{arm}']} tokens a reply, {100 * m[f'cut_off_{arm}']:.0f} % cut off, "
            f"{100 * m[f'unparsed_{arm}']:.0f} % unparsed"
            for arm in score.ARMS
        )
        + "."
    ),
    "04": lambda m: (
        f"LIMA-Role ahead of LIMA in {m['domains_ahead']} MMLU domains, level in {m['domains_tied']}, behind in "
        f"{m['domains_behind']}; over all {m['n']} questions {_points(m['difference'], m['low'], m['high'])}. "
        "The paper: ahead in 9 of 10."
        + (
            f" The role arm names {m['letter']} in {100 * m['letter_share']:.0f} % of its answers and is right in "
            f"{100 * m['role_accuracy']:.1f} %; always {m['letter']} would be right in {100 * m['always_letter']:.1f} %."
            if "letter" in m
            else ""
        )
    ),
    "05": lambda m: (
        f"{m['distinct_nouns']} different role nouns over {m['n']} MMLU questions; the most frequent by domain: "
        + "; ".join(f"{domain}: {noun or '–'}" for domain, noun in m["top_nouns"].items())
        + "."
    ),
    "06": lambda m: (
        f"The judge ({m['judge']}) compared {m['n']} pairs of answers, each in both orders: LIMA-Role wins {m['role_wins']}, "
        f"tie {m['ties']}, LIMA wins {m['lima_wins']}; net win {_points(m['net'], m['low'], m['high'])}. "
        f"Both orders agree in {100 * m['orders_agree']:.0f} %."
    ),
    "07": lambda m: (
        f"Of {len(m['designs'])} prompt designs, each asked {m['n']} questions with {m['seeds']} seed(s), replies that open "
        "with a role prompt of their design: "
        + ", ".join(f"{100 * share:.0f} % in design {name}" for name, share in m["well_formed"].items())
        + "."
    ),
    "08": lambda m: (
        f"Right answers on {m['n_problems']} coin problems: {m['record']:.0%} after a record of each state, "
        f"{m['scrambled']:.0%} after a scrambled one, {m['role']:.0%} after a role prompt, {m['direct']:.0%} without an opening. "
        f"An edited record took {m['follows']:.0%} of the answers with it. A swapped role prompt costs "
        f"{m['swap_nats']:+.3f} nats per token [{m['swap_low']:+.3f}, {m['swap_high']:+.3f}]."
    ),
}


def lessons(folder: Path, manifest: dict[str, Any], metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Every lesson of the course: its title, and if it was executed here its page, notebook, minutes and finding."""
    notebooks = {p.stem: p for p in sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    notebooks |= {p.stem: p for p in sorted((folder / "lessons").glob("[0-9][0-9]_*.ipynb"))}
    found, stopped = [], manifest.get("stopped", {"lesson": "", "left": []})
    for stem, path in sorted(notebooks.items()):
        page = folder / "lessons" / f"{stem}.html"
        own, state = metrics.get(stem[:2], {}), "" if page.is_file() else "not executed in this run"
        if stem == stopped["lesson"]:
            own, state = {}, "the run stopped in this lesson"  # what is recorded is of an earlier run
        elif stem in stopped["left"] and page.is_file():
            state = "not run this time: this page is an earlier one"
        line = {"title": _title(path), "executed": page.is_file(), "page": f"lessons/{page.name}", "state": state}
        line |= {"notebook": f"lessons/{stem}.ipynb", "minutes": manifest["minutes"].get(stem, own.get("minutes"))}
        cannot = [sentence.rstrip(".") for sentence in own.get("cannot_say", [])]  # the page puts its own after
        found.append(line | {"finding": _finding(stem[:2], own), "cannot": cannot})
    return found


def _finding(lesson: str, own: dict[str, Any]) -> str:
    text = own.get("finding", "")
    if not text and own and lesson in FINDINGS:
        try:
            text = FINDINGS[lesson](own)
        except (KeyError, TypeError):  # by another version of the lesson, or nothing could be computed
            return ""
    text = " ".join(text) if isinstance(text, list) else text
    origin = own.get("origin", "this run")
    return text if origin == "this run" or not text else f"{text} (Computed from {origin}, not from this run.)"


def _title(notebook: Path) -> str:
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
