"""Answers to the exercises, right and wrong: the tables are in tests/exercises, one file a lesson.

That the lessons' own solutions pass is in test_repository.py.
"""

from __future__ import annotations

import importlib
import random

import numpy as np
import pytest
from exercises.lesson_02 import masked, steps
from exercises.lesson_03 import by_seed
from exercises.lesson_04 import alarms, paired
from exercises.lesson_05 import LABELS, fits, kappa
from exercises.lesson_06 import longer_wins, right
from exercises.lesson_07 import OWN, ROLE

from helpers import finetune, roles
from helpers.analyse import designs
from helpers.benchmarks import gsm8k
from helpers.checks import lesson_00, lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07

EXERCISES = [e for k in range(10) for e in importlib.import_module(f"exercises.lesson_{k:02}").EXERCISES]
RIGHT = [(e.check, answer) for e in EXERCISES for answer in e.right]
WRONG = [(e.check, *answer) for e in EXERCISES for answer in e.wrong]


def test_every_exercise_has_ten_wrong_answers_and_four_right_ones():
    few = [(e.check, len(e.wrong), len(e.right)) for e in EXERCISES if len(e.wrong) < 10 or len(e.right) < 4]
    assert not few and all(words for *_, words in WRONG)


@pytest.mark.parametrize("check, wrong, named", WRONG)
def test_a_wrong_answer_gets_the_message_that_names_its_mistake(check, wrong, named):
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
        (lesson_02.labels, lambda pieces, eos: np.array(masked(pieces, eos))),
        (lesson_02.accumulation, lambda *args: np.int64(steps(*args))),
        (lesson_02.ramp, in_float32(finetune.dropout_ramp)),
        (lesson_04.paired, in_float32(paired)),
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


# --- single lessons -------------------------------------------------------------------------------


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


def test_ten_domains_fool_a_reader_in_two_of_five_studies():
    assert "40% of 20,000 simulated studies" in lesson_04.false_alarms(alarms).message


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


@pytest.mark.parametrize("design", [OWN, "{q} A good answer here would be given by {r}, and I am that person."])
def test_a_ninth_design_that_works_is_read_back_for_every_annotation(design):
    assert lesson_07.ninth(design).passed
    for role in (ROLE, roles.DECLINED, roles.UNKNOWN):
        assert roles.parse(role.text(design), design) == role and roles.parse(role.text(design)) is None
