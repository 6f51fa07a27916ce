"""A grid of prompt designs and seeds, tuned from the same annotations (paper, section 4.5 and Table 3).

The one idea: a design is a wording for two facts that we have already. So another design costs a training and a
scoring, but no annotation. A finished cell of the grid (a design and a seed) is not trained or asked again.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from .. import benchmarks, finetune, models, paper, roles, score, stats
from ..data import lima
from ..errors import UserError
from ..profiles import Profile
from ..stats import Interval, share_of_questions
from .domains import one_seed, unread

if TYPE_CHECKING:
    from ..run import Run

GROUPS = {"multi": benchmarks.MULTI_DOMAIN, "single": benchmarks.SINGLE_DOMAIN}  # MDQA and SDTask of Table 3
TABLE = ["wording", "seeds", "n", "formed", "formed_low", "formed_high", "tokens", "cut", "unparsed"]
TABLE += [f"{group}_unparsed" for group in GROUPS]
TABLE += [f"{whose}{group}{end}" for whose in ("", "paper_") for group in GROUPS for end in ("", "_low", "_high")]


# --- the grid --------------------------------------------------------------------------------------


def grid(
    run: Run,
    designs: Sequence[int | str] | None = None,
    seeds: Sequence[int] | None = None,
    keep: bool = False,
    say: Callable = print,
) -> pd.DataFrame:
    """The graded answers of every design and seed: answers.csv with the columns `design` and `cell`, kept in designs.csv.

    `designs`: rows of Table 3, or templates of your own; by default the profile's, and so are the `seeds`. A cell is
    trained by `profile.for_experiments()` and asked `profile.design_questions`. Its weights are removed once its answers
    are in the file, unless `keep`: nine designs with four seeds of a 7B model would fill half a terabyte.
    """
    designs = list(dict.fromkeys(run.profile.designs if designs is None else designs))
    seeds = list(dict.fromkeys(run.profile.seeds if seeds is None else seeds))
    for design in designs:
        try:
            roles.template(design)
        except ValueError as error:
            raise UserError(str(error)) from None
    if not designs or not seeds:
        return pd.DataFrame(columns=[*score.ANSWERS, "design", "cell"])
    settings = run.profile.for_experiments()
    rows = run.annotated(say=say)
    rows = lima.openings(rows) if settings.openings_only else rows
    asked = replace(settings, questions=settings.design_questions or settings.questions)
    questions = score.questions(asked, list(benchmarks.BENCHMARKS))
    path, began, made, wanted = run.folder / "designs.csv", time.time(), 0, []
    cells = [(design, seed) for design in designs for seed in seeds]
    for number, (design, seed) in enumerate(cells, 1):
        cell = _identity(settings, design, seed, rows, questions)
        if (answers := _finished(path, cell)) is None:
            answers = _answers(run, settings, design, seed, rows, questions, say).assign(design=str(design), cell=cell)
            _keep(path, answers)
            made += 1
            left = (time.time() - began) / made * (len(cells) - number)
            say(f"  {number} of {len(cells)} cells, {left / 60:.1f} minutes left")
        if not keep:
            shutil.rmtree(_folder(run, design, seed), ignore_errors=True)
        wanted.append(answers)
    return pd.concat(wanted, ignore_index=True)


def read_csv(path: Path) -> pd.DataFrame:
    """designs.csv of a run, or the packaged one."""
    answers = score.read_csv(path)
    return answers.assign(design=answers.design.astype("string"))


def _answers(run: Run, settings: Profile, design: int | str, seed: int, rows: list, questions: dict, say: Callable):
    """Train, ask and grade one cell. With the recipe of lesson 02, designs 0 and 8 are its arms, already trained."""
    began, sparse = time.time(), _sparse(say)
    arm = {0: "lima", run.profile.design: "role"}.get(design) if settings == run.profile else None
    if arm and not settings.openings_only:
        home, made = run.model_folder(arm, seed), run.tuned(arm, seed, sparse)
    else:
        home = _folder(run, design, seed)
        made = finetune.finetune(replace(settings, design=design), "role", rows, home, seed, sparse)
    chat = score.local_chat(settings, home)
    records = score.answer(settings, chat, questions, run.folder / "generations" / home.name, sparse)
    answers = score.grade(arm or "role", seed, questions, records)
    del chat  # one model in memory at a time
    models.release_memory()
    say(f"design {design}, seed {seed}: {made['steps']} steps, {len(answers)} questions, {time.time() - began:.0f} s")
    return answers


def _folder(run: Run, design: int | str, seed: int) -> Path:
    name = design if isinstance(design, int) else f"-{hashlib.sha256(design.encode()).hexdigest()[:6]}"
    return run.folder / "models" / f"design{name}-seed{seed}"


def _identity(settings: Profile, design: int | str, seed: int, rows: list, questions: dict) -> str:
    """What a cell's answers depend on, as a short hash: recipe, wording, seed, dialogues, questions, limits."""
    matters = (*finetune.TRAINING, "stage1_tokens", "stage2_tokens", "stage2")
    matters += ("opening_tokens",) if settings.opening_tokens else ()
    recipe = {k: v for k, v in settings.describe().items() if k in matters}
    parts = [recipe | {"design": roles.template(design)}, seed, rows, questions]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _finished(path: Path, cell: str) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    kept = read_csv(path)
    mine = kept[kept.cell == cell]
    return None if mine.empty else mine


def _keep(path: Path, new: pd.DataFrame) -> None:
    """Replace the lines of the same design and seed, all or nothing."""
    if path.is_file():
        old = read_csv(path)
        same = (old.design == new.design.iloc[0]) & (old.seed == new.seed.iloc[0])
        new = pd.concat([old[~same], new], ignore_index=True) if (~same).any() else new
    temporary = path.with_suffix(".csv.tmp")
    new.sort_values(["design", "seed"], kind="stable").to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def _sparse(say: Callable, seconds: float = 30.0) -> Callable:
    """`say` at most once in so many seconds: a dozen trainings would print hundreds of lines."""
    last = time.time()

    def sometimes(text: str) -> None:
        nonlocal last
        if time.time() - last >= seconds:
            last = time.time()
            say(text)

    return sometimes


# --- what it shows ----------------------------------------------------------------------------------


def table(answers: pd.DataFrame) -> pd.DataFrame:
    """One line a design, Table 3's nine and then your own; shares in 0..1, each with a 95 % interval, empty if not run.

    wording, seeds, n (questions); `formed`: replies that open with a role prompt of this very design, for design 0 of
    any design, with an interval in which a question counts once, however many seeds answered it; `tokens` written a
    reply and the share `cut` at the limit; `unparsed`: replies in which no answer could be read, also by group;
    `multi`, `single`: averages over the paper's two groups of benchmarks (`average`); `paper_multi`, `paper_single`:
    Table 3's with an interval over questions (`paper_error`), empty for a design of your own.
    """
    own = sorted(set(answers.design) - set(map(str, roles.DESIGNS)))
    lines = {}
    for design in (*roles.DESIGNS, *own):
        part = answers[answers.design == str(design)]
        line = {"wording": roles.template(design) or "(none)", "seeds": part.seed.nunique(), "n": 0}
        if len(part):
            line["n"] = len(part.drop_duplicates(["benchmark", "question_id"]))
            formed = sum(well_formed(text, design) for text in part.role) / len(part)
            line |= _named("formed", share_of_questions(formed, line["n"]))
            line |= {"tokens": part.tokens.mean(), "cut": part.finish.isin(score.CUT).mean()}
            line["unparsed"] = part.prediction.isna().mean()
            for group, names in GROUPS.items():
                line[f"{group}_unparsed"] = part.prediction[part.benchmark.isin(names)].isna().mean()
                if marks := _marks(part, group):
                    line |= _named(group, average(marks))
        for group, printed in zip(GROUPS, paper.TABLE3.get(design, ())):
            reach = 100 * norm.ppf(0.975) * paper_error(group)
            line |= _named(f"paper_{group}", Interval(printed / 100, (printed - reach) / 100, (printed + reach) / 100))
        lines[str(design)] = line
    return pd.DataFrame.from_dict(lines, orient="index", columns=TABLE).rename_axis("design")


def number(label: str) -> int | str:
    """The design that a value of the column `design` names: "8" is 8, a template is itself."""
    return int(label) if label.isdigit() else label


def well_formed(role_text: str | None, design: int | str) -> bool:
    """Whether a reply's opening is a role prompt of this design. Design 1: the question described, and no role.

    Design 0 teaches none: there, whether it is one of any design.
    """
    if design == 1:
        stated = isinstance(role_text, str) and role_text.startswith("[This question is ") and role_text.endswith(".]")
        return stated and roles.parse(role_text) is None
    return roles.parse(role_text, design or None) is not None


def versus(
    answers: pd.DataFrame, design: int | str, group: str, baseline: int | str = 0, level: float = 0.95
) -> stats.Verdict | None:
    """Is a design's average above the baseline's? On the questions and seeds that both have; None if there are none.

    Of m such questions at once each needs level = 1 - 0.05 / m.
    """
    first, second = (_marks(answers[answers.design == str(d)], group) for d in (baseline, design))
    names = [name for name in first if name in second]
    grids = {n: first[n].align(second[n], join="inner") for n in names}
    if not grids or not all(a.size for a, _ in grids.values()):
        return None
    both = ({n: pair[k].to_numpy() for n, pair in grids.items()} for k in (0, 1))
    return stats.verdict(*both, level=level, names=(f"design {baseline}", f"design {design}"))


def cannot_say(answers: pd.DataFrame) -> list[str]:
    """What these answers cannot show, one sentence each. Read them before any of the numbers."""
    if answers.empty:
        return ["no design was run: there is nothing of ours to put beside the paper's"]
    found, ours = one_seed(answers), table(answers).query("n > 0")
    if ours.seeds.nunique() > 1:
        found.append("the designs have different numbers of seeds: with fewer seeds an average is less certain")
    if "0" not in ours.index:
        found.append("design 0 was not run: nothing here shows whether a role prompt helps")
    if absent := [str(d) for d in roles.DESIGNS if str(d) not in ours.index]:
        found.append(f"designs {', '.join(absent)} were not run: Table 3's ranking cannot be checked")
    if missing := [name for name in benchmarks.BENCHMARKS if name not in set(answers.benchmark)]:
        found.append(f"no answers to {', '.join(missing)}: our averages cover fewer benchmarks than the paper's")
    taught = ours.drop(index="0", errors="ignore")
    if len(taught) and not taught.formed.any():
        found.append("not one well-formed role prompt: no wording was learned, so none can be compared; train longer")
    for design, part in answers.groupby("design", sort=False):
        found += unread(part, f"design {design}")
    gain = max(multi for multi, _ in paper.TABLE3.values()) - paper.TABLE3[0][0]
    widest = 50 * (ours.multi_high - ours.multi_low).max()
    if widest > gain:
        found.append(
            f"{ours.n.min()} questions: a multi-domain average is uncertain by up to {widest:.0f} points, and Table 3's "
            f"largest gain is {gain:.1f}; accuracies cannot be ranked here"
        )
    return found


def average(values: Mapping[str, Any], level: float = 0.95) -> Interval:
    """The mean of several benchmarks' accuracies, each with the same weight, with an interval over questions and seeds.

    `values`: benchmark -> 0/1 answers [seeds, questions], the same seeds in each. Each benchmark adds the variance of
    its questions / n, with one right and one wrong answer added: three right of three have no variance, and a bootstrap
    would call that certain (tests/test_designs.py simulates). The averages of the seeds add their variance / seeds, and
    then Student's t is used (Welch-Satterthwaite). With one seed the interval says nothing about another training.
    No values at all: (nan, 0, 1).
    """
    marks = [np.atleast_2d(np.asarray(v, float)) for v in values.values()]
    if not marks:
        return Interval(math.nan, 0.0, 1.0)
    by_seed = np.mean([m.mean(1) for m in marks], axis=0)
    over_questions = sum(np.append(m.mean(0), (0, 1)).var(ddof=1) / m.shape[1] for m in marks) / len(marks) ** 2
    over_seeds = by_seed.var(ddof=1) / len(by_seed) if len(by_seed) > 1 else 0.0
    variance = over_questions + over_seeds
    reach = norm.ppf(0.5 + level / 2)
    if over_seeds:
        reach = t.ppf(0.5 + level / 2, variance**2 / (over_seeds**2 / (len(by_seed) - 1)))
    middle, error = float(by_seed.mean()), reach * math.sqrt(variance)
    return Interval(middle, max(0.0, float(middle - error)), min(1.0, float(middle + error)))


def average_error(shares: Mapping[str, float], n: Mapping[str, int]) -> float:
    """Standard error of the mean of several benchmarks' accuracies, one run: sqrt(sum of p(1-p)/n) / benchmarks."""
    return math.sqrt(sum(p * (1 - p) / n[name] for name, p in shares.items())) / len(shares)


def paper_error(group: str) -> float:
    """Standard error over questions of a Table 3 column (share): the same for every design (`paper.printed`)."""
    return paper.printed("Table 3", (8, group))[1] / 100


def _marks(answers: pd.DataFrame, group: str) -> dict[str, pd.DataFrame]:
    """Right or wrong of a group's benchmarks, [seeds, questions]; questions that not every seed answered are left out."""
    parts = {name: answers[answers.benchmark == name] for name in GROUPS[group] if name in set(answers.benchmark)}
    grids = {
        name: p.pivot(index="seed", columns="question_id", values="correct").dropna(axis=1) for name, p in parts.items()
    }
    return {name: grid for name, grid in grids.items() if grid.size}


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
