"""Answers to the exercises of lesson 04: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import numpy as np
import pandas as pd
from exercises.common import table
from scipy.stats import binomtest, norm

from helpers import stats
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


def paired_by_merge(answers):
    lima, role = (answers[answers.arm == arm].set_index("question_id").correct for arm in ("lima", "role"))
    difference = (role - lima).dropna()
    return [(difference == 1).sum(), (difference == -1).sum(), difference.mean()]


def paired_by_dict(answers):
    of = {arm: {} for arm in set(answers.arm)}
    for line in answers.itertuples():
        of[line.arm][line.question_id] = line.correct
    ways = [of["role"][q] - of["lima"][q] for q in of["lima"] if q in of["role"]]
    return ways.count(1), ways.count(-1), sum(ways) / len(ways)


def paired_by_sets(answers):
    def ids(arm, which=(0, 1)):
        return set(answers[(answers.arm == arm) & answers.correct.isin(which)].question_id)

    common = ids("lima") & ids("role")
    gained, lost = ids("role", [1]) & ids("lima", [0]), ids("lima", [1]) & ids("role", [0])
    return (
        len(gained),
        len(lost),
        len(ids("role", [1]) & common) / len(common) - len(ids("lima", [1]) & common) / len(common),
    )


def paired_by_numpy(answers):
    both = pd.merge(*(answers[answers.arm == arm] for arm in ("lima", "role")), on="question_id")
    ways = both.correct_y.to_numpy(np.float32) - both.correct_x.to_numpy(np.float32)
    return np.array([(ways > 0).sum(), (ways < 0).sum(), ways.mean()], np.float32)


answers(
    lesson_04.paired,
    paired,
    (lambda a: (*paired(a)[1::-1], -paired(a)[2]), "sign is turned round"),
    (lambda a: (5, 3, 0.25), "count all right answers of each arm"),
    (lambda a: (*paired(a)[:2], 100 * paired(a)[2]), "in percent"),
    (lambda a: (*paired(a)[:2], paired(a)[0] - paired(a)[1]), "divide gained − lost"),
    (lambda a: (g := paired(a)) and (*g[:2], (g[0] - g[1]) / (g[0] + g[1])), "divide by the questions that differ"),
    (paired_by_position, "Pair by question_id"),
    (paired_with_missing_as_wrong, "count a question that is missing in one arm"),
    (paired_by_averages, "each arm's accuracy is over other questions"),
    (paired_over_all, "Divide by the number of *common* questions"),
    (lambda a: paired(a)[0], "Return 3 numbers"),
    (lambda a: (*paired(a)[:2], float("nan")), "divide by a count of zero"),
    (lambda a: a.no_such_column, "your code stopped with AttributeError"),
    also=[paired_by_merge, paired_by_dict, paired_by_sets, paired_by_numpy],
)


def chance(gained, lost):
    return stats.sign_test([1] * gained + [-1] * lost + [0]).p


def ahead(counts, corrected, level=0.05):
    return [d for d, p in zip(counts, corrected) if counts[d][0] > counts[d][1] and p < level]


def named(counts):
    return ahead(counts, stats.holm([chance(*pair) for pair in counts.values()]))


def named_plain(counts, times=1):
    return ahead(counts, [times * chance(*pair) for pair in counts.values()])


def named_both_ways(counts):
    return [d for d, p in zip(counts, stats.holm([chance(*c) for c in counts.values()])) if p < 0.05]


def named_without(leave_out):
    return lambda counts: named({d: c for d, c in counts.items() if not leave_out(*c)})


def named_not_monotone(counts):
    names = sorted(counts, key=lambda d: chance(*counts[d]))
    return [d for k, d in enumerate(names) if d in ahead({d: counts[d]}, [(len(names) - k) * chance(*counts[d])])]


def named_one_sided(counts):
    p = [binomtest(g, g + lost, alternative="greater").pvalue if g + lost else 1.0 for g, lost in counts.values()]
    return ahead(counts, stats.holm(p))


def named_by_z(counts):
    z = [abs(g - lost) / (g + lost) ** 0.5 if g + lost else 0.0 for g, lost in counts.values()]
    p = [2 * norm.sf(v) if g + lost > 20 else chance(g, lost) for v, (g, lost) in zip(z, counts.values())]
    return [
        d
        for d, v in zip(counts, p)
        if d in named(counts) or (v < 0.05 and counts[d][0] > counts[d][1] and sum(counts[d]) > 20)
    ]


def named_stepwise(counts):
    """Holm by hand: from the smallest p on, and the first that fails ends it."""
    found, left = [], len(counts)
    for domain in sorted(counts, key=lambda d: chance(*counts[d])):
        if chance(*counts[domain]) * left >= 0.05:
            break
        found.append(domain)
        left -= 1
    return {d for d in found if counts[d][0] > counts[d][1]}


def named_by_pandas(counts):
    frame = pd.DataFrame(counts, index=["gained", "lost"]).T
    frame["p"] = stats.holm([chance(*pair) for pair in frame.itertuples(index=False)])
    return frame.query("gained > lost and p < 0.05").index


def named_by_numpy(counts):
    gained, lost = np.array(list(counts.values())).T
    p = [binomtest(int(g), int(g + b)).pvalue if g + b else 1.0 for g, b in zip(gained, lost)]
    return np.array(list(counts))[(np.float32(stats.holm(p)) < 0.05) & (gained > lost)]


def named_lazily(counts):
    p = stats.holm(np.fromiter((chance(*pair) for pair in counts.values()), float))
    return (d for d, (g, lost), q in zip(counts, counts.values(), p) if g > lost and q < 0.05)


answers(
    lesson_04.named,
    named,
    (lambda c: [], "stays below 0.05 after the correction"),
    (lambda c: [d for d, (g, lost) in c.items() if g > lost], "No other p is below 0.05"),
    (lambda c: [d for d, (g, lost) in c.items() if g >= 5 and not lost], "philosophy has 5 gained"),
    (lambda c: [max(c, key=lambda d: c[d][0] - c[d][1])], "neither is below 0.05"),
    (named_both_ways, "look at the sign"),
    (named_plain, "times ten, times nine"),
    (lambda c: named_plain(c, len(c)), "That is Bonferroni"),
    (lambda c: named_plain(c, 10), "That is Bonferroni"),
    (named_without(lambda g, lost: g + lost == 0), "Domains in which no question differs count"),
    (named_without(lambda g, lost: lost > g), "Domains in which LIMA-Role is behind count"),
    (named_without(lambda g, lost: lost >= g), "times ten"),
    (named_not_monotone, "no corrected p may be smaller"),
    (named_one_sided, "one-sided p"),
    (named_by_z, "not the normal approximation"),
    (lambda c: ", ".join(named(c)), "Return a list of names"),
    (lambda c: len(named(c)), "Return a list of names"),
    (lambda c: stats.holm([chance(*pair) for pair in c.values()]), "the names of domains, the keys"),
    (lambda c: {d: d in named(c) for d in c}, "No other p is below 0.05"),
    (lambda c: named(c) * 2, "stands twice"),
    (lambda c: [d for d in c if binomtest(c[d][0], sum(c[d])).pvalue < 0.05], "stopped with ValueError"),
    (lambda c: ahead(c, stats.holm([stats.sign_test([1] * g + [-1] * b).p for g, b in c.values()])), "with ValueError"),
    also=[named_stepwise, named_by_pandas, named_by_numpy, named_lazily, lambda c: tuple(named(c))],
)


def alarms(p, level=0.05):
    return float((p < level).any(axis=1).mean()), float((p < level / p.shape[1]).any(axis=1).mean())


def alarms_by_minimum(p, level=0.05):
    smallest = p.min(axis=1)
    return np.mean(smallest < level), np.mean(smallest * p.shape[1] < level)


def alarms_in_a_loop(p, level=0.05):
    plain = sum(1 for study in p if any(value < level for value in study))
    corrected = sum(1 for study in p if any(value < level / len(study) for value in study))
    return [plain / len(p), corrected / len(p)]


def alarms_by_pandas(p, level=0.05):
    frame = pd.DataFrame(p)
    return tuple((frame < bound).any(axis="columns").mean() for bound in (level, level / len(frame.columns)))


def alarms_in_float32(p, level=0.05):
    return np.array(alarms(np.asarray(p), level), np.float32)


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
    also=[alarms_by_minimum, alarms_in_a_loop, alarms_by_pandas, alarms_in_float32],
)
