"""MMLU answers of two arms to the same questions: which lines qualify, what they say by domain or subject, and
what they cannot say. The numbers of lesson 04; `plots.domains` draws them.

All shares are in 0..1. A question that several seeds answered is one question: its answers are averaged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .. import paper, score, stats
from ..benchmarks import mmlu
from ..data import REFERENCE

if TYPE_CHECKING:
    from ..run import Run

ARMS = ("lima", "role")
NAMES = {
    "base": "the base model",
    "base_chat": "the base model in its own template",
    "lima": "LIMA",
    "role": "LIMA-Role",
}
FEW = 30  # questions; a domain with fewer cannot be spoken of alone


def load(run: Run, arms: Sequence[str] = ARMS, say=print) -> tuple[pd.DataFrame, str]:
    """(answers.csv, where it comes from): this run's, if all `arms` answered MMLU, else the packaged reference run's.

    What this run lacks, and what it has, is said first. UserError where a GPU profile has no answers at all.
    """
    other = "the packaged reference run" + ("" if run.profile.name == "cpu" else " (profile cpu)")
    own = run.folder / "answers.csv"
    if not own.is_file():
        return run.answers(), other
    answers = score.read_csv(own)
    if not in_both(answers, arms).empty:
        return answers, "this run"
    for sentence in absent(answers, arms):
        say(sentence)
    return score.read_csv(REFERENCE / own.name), other


def in_both(answers: pd.DataFrame, arms: Sequence[str] = ARMS, benchmark: str = "mmlu") -> pd.DataFrame:
    """The lines of answers.csv on one benchmark whose question both `arms` answered,
    with the same seeds."""
    both = answers[(answers.benchmark == benchmark) & answers.arm.isin(arms)]
    both = both[both.groupby(["question_id", "seed"]).arm.transform("nunique") == len(arms)]
    return both[both.groupby("question_id").seed.transform("nunique") == both.seed.nunique()]


def with_subjects(pairs: pd.DataFrame, sources: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(pairs with a column `subject`, the questions by id), from the first of `sources` that these answers fit.

    answers.csv holds no subject, so it is looked up by question_id. A source fits when every gold letter agrees:
    ids of another data set would join just as well, and wrongly. Where none fits, the subject is None.
    """
    for source in dict.fromkeys(sources):
        questions = pd.DataFrame(mmlu.rows(source)).set_index("question_id")
        letters = pairs.question_id.map(questions.answer.map(dict(enumerate("ABCD"))))
        if (letters.fillna("") == pairs.gold).all():
            return pairs.assign(subject=pairs.question_id.map(questions.subject)), questions
    return pairs.assign(subject=None), questions.iloc[:0]


def table(pairs: pd.DataFrame, by: str = "group", arms: Sequence[str] = ARMS) -> pd.DataFrame:
    """A line for each domain (`by="group"`) or subject (`by="subject"`), sorted by the
    difference, largest first. Columns:

    n: questions. `lima`, `role`: accuracy, with Wilson's interval `_low`, `_high`, which
    counts a question once, however many seeds answered it.
    difference: second minus first arm, with its interval `low`, `high`; gained, lost:
    questions on which the second arm is better, worse; p: their exact sign test (one seed:
    McNemar's test); verdict: "ahead", "behind" or "cannot say", all by `stats.matched`.
    """
    first, second = arms
    lines = {}
    for name, part in pairs.groupby(by, sort=False):
        by_arm = grids(part, arms)
        line = {"n": by_arm[first].shape[1]}
        for arm, grid in by_arm.items():
            share = stats.share_of_questions(float(grid.to_numpy().mean()), line["n"])
            line |= {arm: share.estimate, f"{arm}_low": share.low, f"{arm}_high": share.high}
        found = stats.matched(by_arm[first], by_arm[second])
        line |= dict(zip(("difference", "low", "high"), found.difference))
        line |= {"gained": found.gained, "lost": found.lost, "p": found.p, "verdict": found.verdict}
        lines[name] = line
    columns = ["n", *(arm + end for arm in arms for end in ("", "_low", "_high"))]
    columns += ["difference", "low", "high", "gained", "lost", "p", "verdict"]
    result = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    result.index.name = {"group": "domain"}.get(by, by)
    return result.sort_values("difference", ascending=False, kind="stable")


def grids(pairs: pd.DataFrame, arms: Sequence[str] = ARMS) -> dict[str, pd.DataFrame]:
    """`correct` of each arm with shape [seeds, questions], the questions in the same order."""
    return {a: pairs[pairs.arm == a].pivot(index="seed", columns="question_id", values="correct") for a in arms}


def letters(pairs: pd.DataFrame) -> pd.DataFrame:
    """How often each arm names each letter, and what always naming it would score.

    Index: the arms, then "right answers" and "always this letter". Columns A to D and unparsed (shares of 1), accuracy.
    """
    gold = pairs[pairs.arm == pairs.arm.iloc[0]].gold.value_counts(normalize=True)
    shares = {
        arm: part.prediction.fillna("unparsed").value_counts(normalize=True)
        for arm, part in pairs.groupby("arm", sort=False)
    }
    table = pd.DataFrame([*shares.values(), gold, gold], [*shares, "right answers", "always this letter"])
    table = table.reindex(columns=[*"ABCD", "unparsed"]).fillna(0.0)
    table.loc["always this letter", "unparsed"] = float("nan")
    return table.assign(accuracy=pairs.groupby("arm").correct.mean())


def favourite(pairs: pd.DataFrame, arm: str) -> tuple[str, pd.Series]:
    """The letter that an arm names most often, and what always naming it would score in each group (shares of 1)."""
    own = pairs[pairs.arm == arm]
    letter = own.prediction.dropna().mode()
    letter = letter.iloc[0] if len(letter) else "A"
    return letter, (own.gold == letter).groupby(own.group).mean()


def absent(answers: pd.DataFrame, arms: Sequence[str] = ARMS) -> list[str]:
    """What cannot be concluded because an arm has no MMLU answers here, or none to the same questions."""
    asked = answers[answers.benchmark == "mmlu"]
    there, lacking = ([arm for arm in arms if (arm in set(asked.arm)) is known] for known in (True, False))
    if not lacking:
        return ["this run's arms answered no MMLU question in common: they cannot be compared"]
    said = f"this run has no MMLU answers of {' and '.join(NAMES[a] for a in lacking)}"
    if not there:
        return [f"{said}: it says nothing about them"]
    alone = "; ".join(_alone(asked[asked.arm == arm]) for arm in there)
    return [f"{said}: it cannot say whether role prompts help. What it has: {alone}"]


def _alone(part: pd.DataFrame) -> str:
    by_question = part.groupby("question_id").correct.mean()
    share = stats.share_of_questions(float(by_question.mean()), len(by_question))
    shown = f"{share.estimate:.1%} of {len(by_question)} questions, interval {share.low:.1%} to {share.high:.1%}"
    return f"{NAMES[part.arm.iloc[0]]} {shown}"


def one_seed(answers: pd.DataFrame) -> list[str]:
    """The sentence that a single seed calls for, or nothing; here and in the other lessons' `cannot_say`."""
    said = ["one seed: the intervals below are about other questions, none about another training run"]
    return said if answers.seed.nunique() == 1 else []


def unread(answers: pd.DataFrame, whose: str, numbers: str = "its 0 %") -> list[str]:
    """The sentence that replies without an answer call for, from a fifth of them on."""
    share = answers.prediction.isna().mean()
    if share == 1:
        return [f"no reply of {whose} could be read: {numbers} are about the form of answers, not about knowledge"]
    return [f"{share:.0%} of the replies of {whose} could not be read and count as wrong"] if share >= 0.2 else []


def cannot_say(pairs: pd.DataFrame, arms: Sequence[str] = ARMS, answers: pd.DataFrame | None = None) -> list[str]:
    """What these paired answers cannot show, a sentence each, to be read before any picture.

    With the `answers` from which `in_both` took the pairs, it is also said how many questions were left out.
    """
    if pairs.empty:
        return ["no question was answered by both arms: nothing can be compared"]
    found = one_seed(pairs)
    if answers is not None:
        asked = answers[(answers.benchmark == pairs.benchmark.iloc[0]) & answers.arm.isin(arms)].question_id.nunique()
        if left_out := asked - pairs.question_id.nunique():
            found.append(f"{left_out} of {asked} questions are left out: not every arm and seed answered them")
    n = pairs.groupby("group", sort=False).question_id.nunique()
    if n.min() < FEW:
        few = f"{(n < FEW).sum()} of {len(n)} domains have fewer than {FEW} questions"
        step = f"{n.idxmin()} has {n.min()}, so one more right answer moves it by {100 / n.min():.0f} points"
        found.append(f"{few} ({step}): no such domain can be judged alone")
    if lacking := [domain for domain in paper.DOMAINS if domain not in n.index]:
        found.append(f"no questions of {', '.join(lacking)}: nothing is said of them")
    for arm in arms:
        found += unread(pairs[pairs.arm == arm], NAMES[arm], "its 0 % and every difference below")
    first, second = (grid.mean() for grid in grids(pairs, arms).values())
    domain = pairs.drop_duplicates("question_id").set_index("question_id").group
    alike = [name for name, change in (second - first).groupby(domain, sort=False) if not change.any()]
    if first.equals(second):
        found.append("the arms are right on the same questions: these cannot tell them apart")
    elif alike:
        found.append(
            f"no question of {', '.join(alike)} tells the arms apart: a difference of 0 there is no information"
        )
    return found
