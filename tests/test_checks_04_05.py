"""Wrong answers to the exercises of lessons 04 and 05: each gets the message that names its mistake.

That the lessons' own solutions pass is in test_repository.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from helpers import roles
from helpers.checks import lesson_04, lesson_05

# --- lesson 04 ------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "wrong, named",
    [
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
    ],
)
def test_a_wrong_paired_difference_is_named(wrong, named):
    assert lesson_04.paired(paired).passed
    verdict = lesson_04.paired(wrong)
    assert verdict.status == "not quite" and named in verdict.message


@pytest.mark.parametrize(
    "wrong, named",
    [
        (lambda a: a.correct.mean(), "micro"),
        (lambda a: 100 * a.groupby("group").correct.mean().mean(), "percent"),
        (lambda a: a.groupby("group").correct.mean().median(), "median"),
        (lambda a: a.groupby("group").correct.mean().sum() / 3, "write the 3 into the code"),
        (lambda a: a.groupby("group").correct.mean(), "this is a Series. If it holds the accuracy of every domain"),
        (lambda a: 0.1, "have the mean"),
    ],
)
def test_a_wrong_balanced_average_is_named(wrong, named):
    verdict = lesson_04.balanced(wrong)
    assert verdict.status == "not quite" and named in verdict.message


def alarms(p, level=0.05):
    return float((p < level).any(axis=1).mean()), float((p < level / p.shape[1]).any(axis=1).mean())


@pytest.mark.parametrize(
    "wrong, named",
    [
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
    ],
)
def test_a_wrong_count_of_false_alarms_is_named(wrong, named):
    assert lesson_04.false_alarms(alarms).passed
    verdict = lesson_04.false_alarms(wrong)
    assert verdict.status == "not quite" and named in verdict.message


def test_ten_domains_fool_a_reader_in_two_of_five_studies():
    assert "40% of 20,000 simulated studies" in lesson_04.false_alarms(alarms).message


# --- lesson 05 ------------------------------------------------------------------------------------


def cut(description, stops=("who", "that", "with", "of", "in", "for", "at", "from", "specializing"), lower=True):
    """A head noun rule that can be spoilt."""
    head = []
    for word in (description.lower() if lower else description).split():
        if word in stops:
            break
        head.append(word.strip(",."))
        if word.endswith(","):
            break
    noun = head[-1] if head else ""
    noun = noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun
    return None if noun in ("", "a", "an") else noun


@pytest.mark.parametrize(
    "wrong, named",
    [
        (lambda d: d.split()[0] if d else None, "return the article"),
        (lambda d: d.split()[1] if d else None, "first word after the article"),
        (lambda d: d.split("who")[0].split()[-2], "last word but one"),
        (lambda d: d.split("who")[0].strip(), "last word of the head only"),
        (lambda d: "who", "cut *before* the word"),
        (lambda d: "explanations", "cut it at 'who' first"),
        (lambda d: 3, "Return one word as a string"),
        (lambda d: cut(d, ("who", "that")), "start a complement"),
        (lambda d: cut(d, lower=False), "Lower-case the description first"),
        (lambda d: "experts" if "experts" in d else cut(d), "drop the final 's'"),
        (lambda d: n if (n := cut(d)) != "boss" else "bos", "keep it after another 's'"),
        (lambda d: cut(d, ("who", "that", "with", "of", "in", "specializing", "skilled")), "do not cut there"),
        (lambda d: cut(d.replace("window", "w in dow")), "Compare whole words"),
        (lambda d: cut(d) or "", "return None"),
    ],
)
def test_a_wrong_head_noun_is_named(wrong, named):
    assert lesson_05.role_noun(cut).passed
    verdict = lesson_05.role_noun(wrong)
    assert verdict.status == "not quite" and named in verdict.message


def kappa(first, second, chance=lambda p, q: p * q + (1 - p) * (1 - q), divide=True):
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second)) / n
    expected = chance(sum(first) / n, sum(second) / n)
    if expected == 1:
        return observed, 0.0
    return observed, (observed - expected) / ((1 - expected) if divide else 1)


@pytest.mark.parametrize(
    "wrong, named",
    [
        (lambda a, b: (100 * kappa(a, b)[0], kappa(a, b)[1]), "not percent"),
        (lambda a, b: (sum(x == y for x, y in zip(a, b)), 0), "divide by the number of roles"),
        (lambda a, b: (1 - kappa(a, b)[0], 0), "agreement is where they are equal"),
        (lambda a, b: (sum(x and y for x, y in zip(a, b)) / len(a), 0), "both say False"),
        (lambda a, b: (kappa(a, b)[0],) * 2, "not taken out"),
        (lambda a, b: kappa(a, b, lambda p, q: 0.5), "take chance as one half"),
        (lambda a, b: kappa(a, b, lambda p, q: p * q), "add the case that both say False"),
        (lambda a, b: kappa(a, b, divide=False), "do not divide by what is left"),
        (lambda a, b: (kappa(a, b)[0], max(kappa(a, b)[1], 0)), "do not cut it off"),
        (lambda a, b: (kappa(a, b)[0], kappa(a, b)[1] if a != b else 0.0), "kappa of 1"),
        (lambda a, b: (1.0, 1.0) if a == b else kappa(a, b), "Both say True to everything"),
        (lambda a, b: (1.0, 1 / (1 - sum(a) / len(a))) if all(a) else kappa(a, b), "divide you by zero"),
        (lambda a, b: kappa(a, b)[0], "Return two numbers"),
    ],
)
def test_a_wrong_agreement_is_named(wrong, named):
    assert lesson_05.agreement(kappa).passed
    verdict = lesson_05.agreement(wrong)
    assert verdict.status == "not quite" and named in verdict.message


LABELS = [True, True, True, False, True, True, False, True, False, True, True, False]
BEGINNINGS = {d: tuple(w[:8] for w in words) for d, words in lesson_05.ON_TOPIC.items()}


def fits(domain, description, beginnings=BEGINNINGS):
    return (roles.role_noun(description) or "").startswith(beginnings[domain])


@pytest.mark.parametrize(
    "wrong, named",
    [
        (lambda d, t: True, "every role on topic"),
        (lambda d, t: False, "no role on topic"),
        (lambda d, t: any(word in t.lower() for word in BEGINNINGS[d]), "not at what comes after 'who'"),
        (lambda d, t: d in t.split(" who ")[0].lower(), "domain's name inside the noun"),
        (lambda d, t: fits(d, t) and "biolog" not in t, "yours misses: biologist for biology"),
        (lambda d, t: fits(d, t) and "Lawyer" not in t, "lower-case the description"),
        (lambda d, t: fits(d, t) or "teacher" in t, "fits every domain"),
        (lambda d, t: fits(d, t) or (d == "physics" and "physici" in t), "A physician is a doctor"),
        (
            lambda d, t: any(fits(other, t) for other in BEGINNINGS if (d, other) != ("physics", "psychology")),
            "look at the domain at all",
        ),
        (lambda d, t: fits(d, t, {k: v[:1] for k, v in BEGINNINGS.items()}), "Nearly"),
    ],
)
def test_a_wrong_check_of_roles_is_named(wrong, named):
    assert lesson_05.on_topic(fits, LABELS).passed
    verdict = lesson_05.on_topic(wrong, LABELS)
    assert verdict.status == "not quite" and named in verdict.message


@pytest.mark.parametrize(
    "labels, named",
    [
        (LABELS[:11], "12 roles and you give 11 labels"),
        (["True"] * 12, "no quotes"),
        ([1, *LABELS[1:]], "1 is neither"),
        (True, "list of 12 booleans, not bool"),
        ([True] * 12, "label all twelve True"),
        ([not x for x in LABELS], "the other way round"),
    ],
)
def test_wrong_labels_are_named(labels, named):
    verdict = lesson_05.on_topic(fits, labels)
    assert verdict.status == "not quite" and named in verdict.message


def test_a_check_that_agrees_with_the_student_no_better_than_chance_is_told_where():
    labels = list(LABELS)
    for i in (1, 2, 4, 7, 8, 10, 11):  # all but the clear ones, turned against the check
        labels[i] = not fits(*lesson_05.DOZEN[i])
    labels[6] = True
    verdict = lesson_05.on_topic(fits, labels)
    assert verdict.status == "not quite" and "no better than chance" in verdict.message
    assert "a Buddhist philosopher for philosophy" in verdict.message


def test_the_agreement_with_the_students_own_labels_is_told_as_share_and_kappa():
    message = lesson_05.on_topic(fits, LABELS).message
    share, kappa_ = kappa(LABELS, [fits(*pair) for pair in lesson_05.DOZEN])
    assert f"with yours on {12 * share:.0f} of 12, kappa {kappa_:.2f}" in message


def test_unsolved_stubs_wait():
    for status in (
        lesson_04.paired(lambda a: ...).status,
        lesson_05.agreement(lambda a, b: None).status,
        lesson_05.on_topic(lambda d, t: ..., ...).status,
        lesson_05.on_topic(fits, ...).status,
    ):
        assert status == "not solved yet"


def test_the_dozen_are_well_formed_roles_of_known_domains():
    assert len(lesson_05.DOZEN) == 12 and len(set(lesson_05.DOZEN)) == 12
    assert all(d in lesson_05.ON_TOPIC and roles.role_noun(text) for d, text in lesson_05.DOZEN)
    assert np.mean([LABELS[i] is wanted for i, wanted in lesson_05.CLEAR.items()]) == 1
