"""Wrong answers to the exercises: each gets the message that names its mistake.

That the lessons' own solutions pass is in test_repository.py; the exercises of lesson 08 are in test_beyond.py.
"""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest

from helpers import finetune, judge, roles, stats
from helpers.analyse import designs
from helpers.benchmarks import gsm8k
from helpers.checks import lesson_00, lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07

RIGHT, WRONG = [], []


def told(check, right, *cases):
    """Note a right answer to an exercise, and wrong ones with words of the message that names the mistake."""
    RIGHT.append((check, right))
    WRONG.extend((check, wrong, named) for wrong, named in cases)


# --- lesson 02 ------------------------------------------------------------------------------------


def mask(skipped, trained):
    """Labels made piece by piece: of a piece that is not trained, and of one that is."""
    return lambda pieces, eos: [x for ids, is_trained in pieces for x in (trained if is_trained else skipped)(ids, eos)]


def ignored(ids, eos=None):
    return [-100] * len(ids)


def ended(ids, eos):
    return [*ids, eos]


def plain(ids, eos):
    return ids


def only_answer(kept):
    def my_labels(pieces, eos):
        answers = [k for k, (_, trained) in enumerate(pieces) if trained]
        rows = [[*ids, eos] if trained else ids for ids, trained in pieces]
        return [x for k, row in enumerate(rows) for x in (row if k == answers[kept] else ignored(row))]

    return my_labels


masked = mask(ignored, ended)


told(
    lesson_02.labels,
    masked,
    (mask(plain, ended), "also trains on the system line"),
    (mask(plain, plain), "also trains on the system line"),
    (mask(plain, lambda ids, eos: ignored([*ids, eos])), "inside out"),
    (mask(lambda ids, eos: [0] * len(ids), ended), "You mark ignored tokens with 0"),
    (mask(lambda ids, eos: [], ended), "leave out the tokens"),
    (mask(lambda ids, eos: [], plain), "leave out the tokens"),
    (mask(ignored, plain), "forget the end token"),
    (lambda pieces, eos: np.array(mask(ignored, plain)(pieces, eos)), "forget the end token"),
    (mask(ignored, lambda ids, eos: [*ids, -100]), "you label it -100"),
    (mask(lambda ids, eos: [*ignored(ids), eos], ended), "after the user's turn too"),
    (mask(ignored, lambda ids, eos: [*[-100 if x == eos else x for x in ids], eos]), "same id as `eos_id`"),
    (mask(lambda ids, eos: [x if x == eos else -100 for x in ids], ended), "same id as `eos_id`"),
    (lambda pieces, eos: [*mask(ignored, plain)(pieces, eos), eos], "once, at the end of the dialogue"),
    (only_answer(0), "loses the second turn"),
    (lambda pieces, eos: masked(pieces[:3], eos), "loses the second turn"),
    (only_answer(-1), "the last answer only"),
    (lambda pieces, eos: masked(pieces, eos)[1:], "shifted by one"),
    (lambda pieces, eos: [-100, *masked(pieces, eos)[:-1]], "shifted by one"),
    (lambda pieces, eos: [*masked(pieces, eos), -100], "10 tokens (end tokens included) but 11 labels"),
    (lambda pieces, eos: [-100, 99, *masked(pieces, eos)[2:]], "Label 1 is 99 and should be -100"),
    (lambda pieces, eos: [[*ids, eos] for ids, _ in pieces], "`extend` by it"),
    (mask(ignored, lambda ids, eos: ids.append(eos) or ids), "changes the pieces"),
    (lambda pieces, eos: masked(pieces[:5], eos), "Right on short rows"),
)
told(
    lesson_02.ramp,
    finetune.dropout_ramp,
    (lambda n, p: [p * i / n for i in range(n)], "layers - 1"),
    (lambda n, p: [p * (i + 1) / n for i in range(n)], "no dropout at all"),
    (lambda n, p: finetune.dropout_ramp(n, p)[::-1], "Your ramp falls"),
    (lambda n, p: [p] * n, "the same p"),
    (lambda n, p: [p * i / (n - 1) for i in range(n)], "divides by layers - 1 = 0"),
    (lambda n, p: [p * (i / max(n - 1, 1)) ** 2 for i in range(n)], "not straight"),
)


def steps(batch, per_device, devices):
    if batch % (per_device * devices):
        raise ValueError("no whole number of steps")
    return batch // per_device // devices


told(
    lesson_02.accumulation,
    steps,
    (lambda b, d, n: b // d, "ignore the number of devices"),
    (lambda b, d, n: b * n // d, "divide by their number"),
    (lambda b, d, n: b / d / n, "a whole number"),
    (lambda b, d, n: b // d // n, "nobody would notice"),
)

# --- lesson 03: shuffle ---------------------------------------------------------------------------


def lettered(order, row):
    options = dict(zip("ABCDEF", order))
    return options, "ABCDEF"[order.index(row["choices"][0])]


def by_seed(make):
    """`my_letters` that shuffles each row by the generator `make(row, seed, place)`."""

    def my_letters(rows, seed=0):
        pairs = []
        for place, row in enumerate(rows):
            order = list(row["choices"])
            make(row, seed, place).shuffle(order)
            pairs.append(lettered(order, row))
        return pairs

    return my_letters


by_question = by_seed(lambda row, seed, place: random.Random(f"{seed}:{row['question']}"))


def one_generator(rows, seed=0):
    dice = random.Random(seed)
    return by_seed(lambda row, seed, place: dice)(rows, seed)


def reseeded(rows, seed=0):
    def global_(row, seed, place):
        random.seed(f"{seed}:{row['question']}")
        return random

    return by_seed(global_)(rows, seed)


def in_place(rows, seed=0):
    pairs = []
    for row in rows:
        truth = row["choices"][0]
        random.Random(f"{seed}:{row['question']}").shuffle(row["choices"])
        options = dict(zip("ABCDEF", row["choices"]))
        pairs.append((options, next(k for k, v in options.items() if v == truth)))
    return pairs


def gold_stays(rows, seed=0):
    return [(options, "A") for options, _ in by_question(rows, seed)]


def file_order(rows, seed=0):
    return [lettered(list(row["choices"]), row) for row in rows]


def four_letters(rows, seed=0):
    return [({k: v for k, v in options.items() if k in "ABCD"}, gold) for options, gold in by_question(rows, seed)]


def rotated_by_length(rows, seed=0):
    pairs = []
    for row in rows:
        k = (len(row["question"]) + seed) % len(row["choices"])
        pairs.append(lettered(row["choices"][k:] + row["choices"][:k], row))
    return pairs


told(
    lesson_03.shuffle,
    by_question,
    (
        by_seed(lambda row, seed, place: random.Random(f"{seed}:{place}")),
        "the seed holds the row's place",
    ),
    (one_generator, "one generator runs through all rows"),
    (by_seed(lambda row, seed, place: random), "draws from the global generator"),
    (reseeded, "drew from or reseeded the global generator"),
    (by_seed(lambda row, seed, place: random.Random(hash(row["question"]) + seed)), "Python salts it"),
    (by_seed(lambda row, seed, place: random.Random(row["question"])), "ignores the seed"),
    (by_seed(lambda row, seed, place: random.Random(seed)), "does the seed hold the question"),
    (in_place, "shuffle a copy"),
    (gold_stays, "it has to move with the right text"),
    (file_order, "The gold is always A"),
    (four_letters, "enough letters"),
    (rotated_by_length, "each should come up about 100 times"),
    (
        lambda rows, seed=0: [(o, o[g]) for o, g in by_question(rows, seed)],
        "return the letter, not the text or the index",
    ),
    (lambda rows, seed=0: by_question(rows, seed)[0], "one pair"),
    (lambda rows, seed=0: [(list(o.values()), g) for o, g in by_question(rows, seed)], "as a dict"),
    (lambda rows, seed=0: rows[0]["options"], "stopped with KeyError"),
)


@pytest.mark.parametrize("seeding", ["{seed}:{row[question]}", "{row[question]}/{seed}", "{seed}{row[choices]}"])
def test_any_shuffle_that_depends_on_the_row_and_the_seed_alone_passes(seeding):
    verdict = lesson_03.shuffle(by_seed(lambda row, seed, place: random.Random(seeding.format(row=row, seed=seed))))
    assert verdict.passed, verdict
    assert ("the very letters" in verdict.message) == (seeding == "{seed}:{row[question]}")


def test_the_checks_leave_the_global_generator_and_hash_as_they_were():
    before, salted = random.getstate(), hash("a")
    for check, wrong, _ in WRONG:
        if check is lesson_03.shuffle:
            check(wrong)
        assert random.getstate() == before and hash("a") == salted


# --- extract ------------------------------------------------------------------------------------


def number(text, pattern=r"-?\d[\d,]*(?:\.\d+)?", which=0, plain=None):
    found = re.findall(pattern, text)
    if not found:
        return None
    value = found[which].replace(",", "")
    return plain(value) if plain else (value.rstrip("0").rstrip(".") if "." in value else value)


told(
    lesson_03.extract,
    number,
    (lambda t: (found := number(t)) and float(found), "the gold answers are text"),
    (lambda t: (m := re.search(r"-?\d[\d,]*", t)) and m[0], "keeps its comma"),
    (lambda t: number(t, r"-?\d+(?:\.\d+)?"), "stops at the comma"),
    (lambda t: number(t.replace(",", " "), which=-1), "last digit group"),
    (lambda t: number(t, plain=lambda v: v.rstrip("0").rstrip(".")), "strip zeros only behind"),
    (lambda t: (m := re.search(r"\$?-?\d[\d,]*", t)) and m[0].replace(",", ""), "dollar sign"),
    (lambda t: re.search(r"-?\d[\d,]*", t)[0].replace(",", ""), "stops with TypeError"),
    (lambda t: number(t) or "", "yours gives ''"),
    (lambda t: number(t, plain=lambda v: v), "18.00 and 18 are the same"),
    (lambda t: (found := number(t)) and found.split(".")[0], "rounds a wrong answer into a right one"),
    (lambda t: number(t, which=-1), "You took the last number"),
    (lambda t: number(t, r"\d[\d,]*(?:\.\d+)?"), "minus belongs to the number"),
)


# --- wilson -------------------------------------------------------------------------------------


def interval(k, n, z=1.96, scale=True, factor=1.0, level=None):
    p = k / n
    centre, spread = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    by = 1 + z**2 / n if scale else 1
    return factor * (centre - spread) / by, factor * (centre + spread) / by


def textbook(k, n):
    p, reach = k / n, 1.96 * math.sqrt(k / n * (1 - k / n) / n)
    return max(0, p - reach), min(1, p + reach)


def no_zero(k, n):
    if k in (0, n):
        raise ValueError("nothing to say")
    return interval(k, n)


told(
    lesson_03.wilson,
    interval,
    (textbook, "textbook p ± 1.96·se"),
    (lambda k, n: interval(k, n, factor=100), "percent is for the table"),
    (lambda k, n: interval(k, n)[::-1], "is above the high end"),
    (lambda k, n: interval(k, n, z=1.645), "90 % interval"),
    (lambda k, n: interval(k, n, z=2.576), "99 % interval"),
    (lambda k, n: interval(k, n, scale=False), "division by 1 + z²/n is missing"),
    (no_zero, "0 of 20 stops with ValueError"),
    (lambda k, n: (k / n, k / n) if k in (0, n) else interval(k, n), "cannot make you certain"),
    (lambda k, n: k / n, "Return two numbers"),
    (lambda k, n: stats.wilson(k, n), "Return two numbers"),
    (lambda k, n: (max(interval(k, n)[0], 0.01), interval(k, n)[1]), "should give"),
)


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


told(
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


told(
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


told(
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


told(
    lesson_05.role_noun,
    cut,
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
)


def kappa(first, second, chance=lambda p, q: p * q + (1 - p) * (1 - q), divide=True):
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second)) / n
    expected = chance(sum(first) / n, sum(second) / n)
    if expected == 1:
        return observed, 0.0
    return observed, (observed - expected) / ((1 - expected) if divide else 1)


told(
    lesson_05.agreement,
    kappa,
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
)


LABELS = [True, True, True, False, True, True, False, True, False, True, True, False]
BEGINNINGS = {d: tuple(w[:8] for w in words) for d, words in lesson_05.ON_TOPIC.items()}


def fits(domain, description, beginnings=BEGINNINGS):
    return (roles.role_noun(description) or "").startswith(beginnings[domain])


told(
    lambda rule: lesson_05.on_topic(rule, LABELS),
    fits,
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
)


told(
    lambda labels: lesson_05.on_topic(fits, labels),
    LABELS,
    (LABELS[:11], "12 roles and you give 11 labels"),
    (["True"] * 12, "no quotes"),
    ([1, *LABELS[1:]], "1 is neither"),
    (True, "list of 12 booleans, not bool"),
    ([True] * 12, "label all twelve True"),
    ([not x for x in LABELS], "the other way round"),
)


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


def test_the_dozen_are_well_formed_roles_of_known_domains():
    assert len(lesson_05.DOZEN) == 12 and len(set(lesson_05.DOZEN)) == 12
    assert all(d in lesson_05.ON_TOPIC and roles.role_noun(text) for d, text in lesson_05.DOZEN)
    assert np.mean([LABELS[i] is wanted for i, wanted in lesson_05.CLEAR.items()]) == 1


# --- lesson 06: two orders, one result -----------------------------------------------------------


def chosen(record):
    first, second = record["shown"]
    verdict = judge.parse(record["reply"])
    return {"A": first, "B": second, "neither": "tie", None: "unparsed"}[verdict]


def letter(record):
    return judge.parse(record["reply"])


def result(records, read=chosen):
    one, other = map(read, records)
    return "unparsed" if {one, other} & {"unparsed", None} else one if one == other else "tie"


def by_letter(records):
    return {"A": "lima", "B": "role"}.get(result(records, letter), "tie")


def one_is_enough(records):
    wins = {chosen(r) for r in records} - {"tie"}
    return "unparsed" if "unparsed" in wins else wins.pop() if len(wins) == 1 else "tie"


def unread_left_out(records):
    read = {chosen(r) for r in records} - {"unparsed"}
    return "unparsed" if not read else read.pop() if len(read) == 1 else "tie"


def by_position(records):
    one, other = map(letter, records)
    return "unparsed" if None in (one, other) else {"AB": "lima", "BA": "role"}.get(f"{one}{other}", "tie")


told(
    lesson_06.result,
    result,
    (by_letter, "are the *same* choice"),
    (lambda r: letter(r[0]) if result(r) == "lima" else result(r), "Return the arm's name"),
    (lambda r: chosen(r[0]), 'Twice "A" is the same *place*'),
    (one_is_enough, "an arm must be chosen twice"),
    (lambda r: "tie" if result(r) == "unparsed" else result(r), "is not a tie"),
    (unread_left_out, 'the result is "unparsed"'),
    (by_position, 'read who was shown first from "shown"'),
    (lambda r: "tie" if (found := result(r)) == "base" else found, "Right for LIMA and LIMA-Role only"),
    (lambda r: "draw", 'the result is "lima"'),
    (lambda r: r["shown"], "your code stopped with TypeError"),
)


# --- position bias ---------------------------------------------------------------------------------------


def of_places(records, chose=("A", "B"), read=letter):
    said = [read(r) for r in records]
    return said.count(chose[0]) / sum(said.count(c) for c in chose)


def alike(records, counts=lambda said: len(said) == 2 and "unparsed" not in said, read=chosen, but=None):
    pairs = {}
    for record in records:
        pairs.setdefault(record["id"], []).append(read(record))
    judged = [said for said in pairs.values() if counts(said)]
    return sum(len(set(said)) == 1 and but not in said for said in judged) / len(judged)


def right(records, **wrong):
    return of_places(records), alike(records, **wrong)


def by_neighbours(records):
    renamed = [{**r, "id": n // 2} for n, r in enumerate(records)]
    return of_places(records), alike(renamed)


told(
    lesson_06.position_bias,
    right,
    (of_places, "Return two numbers"),
    (lambda r: (of_places(r, ("A", "B", "neither")), alike(r)), 'Leave "neither"'),
    (lambda r: (of_places(r, ("A", "B", "neither", None)), alike(r)), 'Leave "neither"'),
    (lambda r: (100 * of_places(r), 100 * alike(r)), "not percent"),
    (lambda r: (of_places(r), 100 * alike(r)), "not percent"),
    (lambda r: (1 - of_places(r), alike(r)), "shown *second*"),
    (lambda r: (of_places(r, ("lima", "role"), chosen), alike(r)), "share of one *arm*"),
    (lambda r: (0.6180, alike(r)), "9 of the 12 choices"),
    (lambda r: right(r, read=letter, counts=lambda said: None not in said), "You compare letters"),
    (lambda r: right(r, counts=bool), "leave it out of the second share"),
    (lambda r: right(r, but="tie"), 'Twice "neither" is the same verdict twice'),
    (lambda r: (of_places(r), 0.9), "3 of the 7 pairs"),
    (by_neighbours, "bring the two records of a pair together by id"),
    (lambda r: right(r, counts=lambda said: "unparsed" not in said), "only one order is judged yet"),
)


# --- length ------------------------------------------------------------------------------------------------


def won(table):
    return table[table.result.isin(["a", "b"]) & (table.words_a != table.words_b)]


def by_length(table):
    return ((table.words_b > table.words_a) == (table.result == "b")).mean()


def longer_wins(table):
    return by_length(won(table))


told(
    lesson_06.longer_wins,
    longer_wins,
    (lambda t: won(t), "Return one number"),
    (lambda t: by_length(won(t)) * len(won(t)) / len(t), "Leave out what no arm has won"),
    (lambda t: by_length(t[t.result.isin(["a", "b"])]), "the same length"),
    (lambda t: 100 * by_length(won(t)), "not percent"),
    (lambda t: 1 - by_length(won(t)), "won by the *shorter*"),
    (lambda t: (won(t)[won(t).words_b > won(t).words_a].result == "b").mean(), "one arm only"),
    (lambda t: 0.9, "it won 3"),
    (lambda t: 0.75, "changed round"),
)


# --- lesson 07 -----------------------------------------------------------------------------------


OWN = "{q} In this matter I speak as {r}."
ROLE = roles.Role("This question is a law problem involving a lease.", "a notary who reads aloud")


def filled(q, r, template):
    return template.format(q=q.strip().rstrip(".") + ".", r=r.strip().rstrip("."))


def rendered(q, r, template):
    return f"[{filled(q, r, template)}]" if template else ""


told(
    lesson_07.render,
    rendered,
    (lambda q, r, t: t, "placeholder is left"),
    (lambda q, r, t: [filled(q, r, t)], "as text"),
    (filled, "brackets are missing"),
    (lambda q, r, t: f"[[{filled(q, r, t)}]]", "One opening and one closing"),
    (lambda q, r, t: f"[{filled(q, r, t)[:-1]}].", "closing bracket comes last"),
    (lambda q, r, t: rendered(q, r, t).lower(), "the role prompt is"),
    (lambda q, r, t: f"[{t.format(q=q.strip(), r=r.strip().rstrip('.'))}]", "without its full stop"),
    (lambda q, r, t: f"[{t.format(q=q.strip().rstrip('.') + '.', r=r.strip())}]", "Two full stops"),
    (lambda q, r, t: f"[{t.format(q=q.rstrip('.') + '.', r=r.rstrip('.'))}]", "blanks around"),
    (
        lambda q, r, t: f"[{t.format(q=q.strip().rstrip('.') + '.', r=r.rstrip('.').strip())}]" if t else "",
        "blanks around a fact",
    ),
    (lambda q, r, t: f"[{filled(q, r, t)}]", "an empty pair of brackets"),
    (lambda q, r, t: rendered(q, r, t) or None, "as text"),
    (lambda q, r, t: rendered(q, r, t).replace("As a result", "Thus"), "Wrong for design 2"),
)


told(
    lesson_07.ninth,
    OWN,
    (9, "is a int"),
    ("[{q} I speak as {r}.]", "Leave the brackets out"),
    ("{q} I know.", "{r} is missing"),
    ("I speak as {r}.", "{q} is missing"),
    ("{q} I speak as {r}, yes, {r}.", "stands there 2 times"),
    ("{q} I speak as {r} for {topic}.", "'{topic}'"),
    ("{q} I speak as {r}}.", "'}'"),
    ("Well. {q} I speak as {r}.", "Begin with {q}"),
    ("{q}\nI speak as {r}.", "One line"),
    ("{q} {r}.", "no word between"),
    ("{q}. I speak as {r}.", "its own full stop"),
    ("{q} I speak as{r}.", "Blanks are missing"),
    ("{q} I speak as {r}", "End with a full stop"),
    ("{q} Like expert (B), I speak as {r}.", "looks like an option"),
    ("{q} Plan C is to speak as {r}.", "looks like an option"),
    ("{q} Answer A, said by {r}.", "looks like an option"),
    ("{q} Fortunately, I am {r}.", "design 6 of Table 3"),
    ("{q} Fortunately, I am {r}, as you know.", "Table 3 design whole"),
    ("{q} Fortunately, I am also {r}.", "Table 3 design whole"),
    ("{q} therefore i will answer it as {r}.", "design 3 of Table 3"),
    ("{q} For this reason: I'll be {r}.", "design 7 of Table 3"),
    ("{q} Well, as a result I will solve it like {r}.", "Table 3 design whole"),
    ("{q} and {r}.", "a description does not contain"),
)


@pytest.mark.parametrize("design", [OWN, "{q} A good answer here would be given by {r}, and I am that person."])
def test_a_ninth_design_that_works_is_read_back_for_every_annotation(design):
    assert lesson_07.ninth(design).passed
    for role in (ROLE, roles.DECLINED, roles.UNKNOWN):
        assert roles.parse(role.text(design), design) == role and roles.parse(role.text(design)) is None


def variances(shares, n):
    return [p * (1 - p) / n[name] for name, p in shares.items()]


told(
    lesson_07.average_error,
    designs.average_error,
    (lambda s, n: 100 * designs.average_error(s, n), "in points"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) / m for p, m in zip(s.values(), n.values()))) / len(s), "in their order"),
    (lambda s, n: np.mean(np.sqrt(variances(s, n))), "average the standard errors"),
    (lambda s, n: math.sqrt(sum(variances(s, n))), "of the *sum*"),
    (lambda s, n: math.sqrt(np.mean(variances(s, n))), "the *square*"),
    (lambda s, n: sum(variances(s, n)) / len(s) ** 2, "take the root"),
    (
        lambda s, n: math.sqrt((p := sum(s[k] * n[k] for k in s) / sum(n.values())) * (1 - p) / sum(n.values())),
        "pool all",
    ),
    (lambda s, n: math.sqrt((p := np.mean(list(s.values()))) * (1 - p) / sum(n.values())), "formula of one benchmark"),
    (lambda s, n: np.std(list(s.values()), ddof=1) / math.sqrt(len(s)), "not a sample"),
    (lambda s, n: math.sqrt(sum(s[k] / n[k] for k in s)) / len(s), "p(1-p), not p"),
    (lambda s, n: math.sqrt(sum(variances(s, n))) / 3, "take their number"),
    (lambda s, n: sum(np.sqrt(variances(s, n))), "You add the standard errors"),
    (lambda s, n: math.sqrt(sum(p * (1 - p) / n[k] ** 2 for k, p in s.items())) / len(s), "the square of n"),
    (lambda s, n: 1.96 * designs.average_error(s, n), "95 % interval"),
    (lambda s, n: round(designs.average_error(s, n), 3), "do not round"),
    (lambda s, n: 0.5, "you say 0.5"),
    (lambda s, n: [0.1], "one number"),
)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("check, wrong, named", WRONG)
def test_a_wrong_answer_is_told_its_mistake(check, wrong, named):
    verdict = check(wrong)
    assert verdict.status == "not quite" and named in verdict.message, verdict


@pytest.mark.parametrize("check, right", [*RIGHT, (lesson_03.extract, gsm8k.extract)])
def test_a_right_answer_passes(check, right):
    assert check(right).passed, check(right)


def in_float32(function):
    return lambda *args: np.float32(function(*args))


@pytest.mark.parametrize(
    "check, right",
    [
        (lesson_00.minutes, in_float32(lambda n, arms, read, write, r, w: n * arms * (read / r + write / w) / 60)),
        (
            lesson_01.bill,
            in_float32(lambda texts, price: sum(len(t) / 4 * price[0] + 45 * price[1] for t in texts) / 1e6),
        ),
        (lesson_01.retry, lambda status, code: np.bool_(lesson_01.worth_asking_again(status, code))),
        (lesson_02.labels, lambda pieces, eos: np.array(masked(pieces, eos))),
        (lesson_02.accumulation, lambda *args: np.int64(steps(*args))),
        (lesson_02.ramp, in_float32(finetune.dropout_ramp)),
        (lesson_03.wilson, in_float32(interval)),
        (lesson_04.paired, in_float32(paired)),
        (lesson_04.balanced, in_float32(balanced)),
        (lesson_04.false_alarms, in_float32(alarms)),
        (lesson_05.agreement, in_float32(kappa)),
        (lambda labels: lesson_05.on_topic(fits, labels), np.array(LABELS)),
        (lesson_06.position_bias, in_float32(right)),
        (lesson_06.longer_wins, in_float32(longer_wins)),
        (lesson_07.average_error, in_float32(designs.average_error)),
    ],
)
def test_numpys_numbers_and_arrays_are_answers_too(check, right):
    assert check(right).passed, check(right)


@pytest.mark.parametrize("stub", [lambda *_: ..., lambda *_: None])
@pytest.mark.parametrize("check", [check for check, right in RIGHT if callable(right)])
def test_a_stub_waits(check, stub):
    assert check(stub).status == "not solved yet"


@pytest.mark.parametrize("check, right", [(check, right) for check, right in RIGHT if callable(right)])
def test_a_function_that_prints_its_answer_is_told_to_return_it(check, right):
    verdict = check(lambda *args: print(right(*args)))
    assert verdict.status == "not quite" and "returned None" in verdict.message, verdict


def test_a_function_that_forgets_to_return_is_told_so_and_one_with_a_docstring_only_waits():
    def forgets(layers, last=0.25):
        [last * i / (layers - 1) for i in range(layers)]

    def says(layers, last=0.25):
        """The ramp."""

    def passes(layers, last=0.25):
        pass

    assert "returned None" in lesson_02.ramp(forgets).message
    assert lesson_02.ramp(says).status == lesson_02.ramp(passes).status == "not solved yet"


def test_a_stub_that_is_no_function_waits():
    assert lesson_07.ninth(...).status == lesson_05.on_topic(fits, ...).status == "not solved yet"
