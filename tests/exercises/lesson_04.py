"""Answers to the exercises of lesson 04: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

from exercises.common import table

from helpers.checks import lesson_04

EXERCISES, answers = table()


def grid(answers):
    return answers.pivot(index="question_id", columns="arm", values="correct")[["lima", "role"]]


def paired(answers):
    common = grid(answers).dropna()
    gained = int(((common.role == 1) & (common.lima == 0)).sum())
    lost = int(((common.lima == 1) & (common.role == 0)).sum())
    return gained, lost, (gained - lost) / len(common)


def paired_by_position(answers):
    lima, role = (list(answers[answers.arm == arm].correct) for arm in ("lima", "role"))
    gained = sum(b > a for a, b in zip(lima, role))
    lost = sum(a > b for a, b in zip(lima, role))
    return gained, lost, (gained - lost) / min(len(lima), len(role))


def paired_with_missing_as_wrong(answers):
    both = grid(answers).fillna(0)
    gained, lost = int((both.role > both.lima).sum()), int((both.lima > both.role).sum())
    return gained, lost, (gained - lost) / len(both)


def paired_by_averages(answers):
    gained, lost, _ = paired(answers)
    means = answers.groupby("arm").correct.mean()
    return gained, lost, means["role"] - means["lima"]


def paired_over_all(answers):
    gained, lost, _ = paired(answers)
    return gained, lost, (gained - lost) / answers[answers.arm == "lima"].question_id.nunique()


answers(
    lesson_04.paired,
    paired,
    (lambda a: (*paired(a)[1::-1], -paired(a)[2]), "sign is turned round"),
    (lambda a: (5, 3, 0.25), "count all right answers of each arm"),
    (lambda a: (*paired(a)[:2], 100 * paired(a)[2]), "in percent"),
    (lambda a: (*paired(a)[:2], paired(a)[0] - paired(a)[1]), "divide gained − lost"),
    (lambda a: (g := paired(a)) and (*g[:2], (g[0] - g[1]) / (g[0] + g[1])), "divide by the questions that differ"),
    (paired_by_position, "Pair by question_id"),
    (paired_with_missing_as_wrong, "missing in one arm you count it all the same"),
    (paired_by_averages, "each arm's accuracy is over other questions"),
    (paired_over_all, "Divide by the number of *common* questions"),
    (lambda a: paired(a)[0], "Return 3 numbers"),
    (lambda a: (*paired(a)[:2], float("nan")), "divide by a count of zero"),
    (lambda a: a.no_such_column, "your code stopped with AttributeError"),
)


def balanced(answers):
    return answers.groupby("group").correct.mean().mean()


answers(
    lesson_04.balanced,
    balanced,
    (lambda a: a.correct.mean(), "micro"),
    (lambda a: 100 * balanced(a), "percent"),
    (lambda a: a.groupby("group").correct.mean().median(), "median"),
    (lambda a: a.groupby("group").correct.mean().sum() / 3, "write the 3 into the code"),
    (lambda a: a.groupby("group").correct.mean(), "this is a Series. If it holds the accuracy of every domain"),
    (lambda a: 0.1, "have the mean"),
)


def alarms(p, level=0.05):
    return float((p < level).any(axis=1).mean()), float((p < level / p.shape[1]).any(axis=1).mean())


answers(
    lesson_04.false_alarms,
    alarms,
    (lambda p, level=0.05: (float((p < level).mean()), 0.2), "share of single p-values"),
    (lambda p, level=0.05: (float((p < level).any(axis=0).mean()), 0.2), "wrong axis"),
    (lambda p, level=0.05: (int((p < level).any(axis=1).sum()), 1), "divide by their number"),
    (lambda p, level=0.05: tuple(100 * x for x in alarms(p, level)), "not percent"),
    (lambda p, level=0.05: (float((p < level).all(axis=1).mean()), 0.0), "*all* domains are below"),
    (lambda p, level=0.05: (1 - (1 - level) ** p.shape[1], level), "formula for independent tests"),
    (lambda p, level=0.05: (alarms(p, level)[0],) * 2, "corrected share equals the plain one"),
    (lambda p, level=0.05: (alarms(p, level)[0], alarms(p, level)[0] / p.shape[1]), "divide the *share*"),
    (lambda p, level=0.05: (alarms(p)[0], float((p < level / 4).any(axis=1).mean())), "wrong for 10"),
    (lambda p, level=0.05: alarms(p), "use `level`"),
)
