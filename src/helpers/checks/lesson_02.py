"""Checks of lesson 02: the label mask, the dropout ramp, the accumulation steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral
from types import SimpleNamespace
from typing import Any

from .. import finetune
from . import check, close, expect, solved

EOS = 2
IGNORED = finetune.IGNORED

# (token ids, trained) pieces as the lesson shows them: system line, question, answer, question, answer.
SINGLE = [([11, 12, 13], False), ([21, 22], False), ([31, 32, 33, 34], True)]
MULTI = [*SINGLE, ([41, 42, 43], False), ([51, 52], True)]
QUOTED = [([11, EOS, 13], False), ([21, 22], False), ([31, EOS, 33], True)]  # texts that hold the end token's id
FLAGGED = [([5, 0], True), ([7], False), ([8, 0], False), ([9], True), ([4], True), ([3], False)]  # in no usual order


def expected_labels(pieces: list[tuple[list[int], bool]], eos_id: int) -> list[int]:
    """Labels of a row: trained pieces keep their ids and their end token, all else is IGNORED."""
    return [x for ids, trained in pieces for x in ([*ids, eos_id] if trained else [IGNORED] * len(ids))]


@check
def labels(my_labels: Callable[[list[tuple[list[int], bool]], int], Any]) -> str:
    """`my_labels(pieces, eos_id)`: one label a token, on one turn, on several, and on a dialogue of the helpers."""
    pieces = copy.deepcopy(SINGLE)
    given = list(solved(my_labels(pieces, EOS)))
    expect(
        pieces == SINGLE,
        "Your function changes the pieces that it was given (`ids.append(...)` or `ids += ...` do): the next reader "
        "of the same dialogue would find a second end token. Build a new list, `[*ids, eos_id]`.",
    )
    _name_mask_mistake(given, SINGLE)
    _name_mask_mistake(list(solved(my_labels(copy.deepcopy(MULTI), EOS))), MULTI)
    expect(
        list(my_labels(copy.deepcopy(QUOTED), EOS)) == expected_labels(QUOTED, EOS),
        "A text may hold the same id as `eos_id`, and your function treats it differently there. Whether a token is "
        "trained on depends on its piece and never on its value: do not compare ids with `eos_id`.",
    )
    expect(
        list(my_labels(copy.deepcopy(SINGLE), 77)) == expected_labels(SINGLE, 77),
        "With `eos_id=77` your end token is not 77. Use the argument `eos_id`: another model has another end token.",
    )
    _same_as_helpers(my_labels)
    expect(
        list(my_labels(copy.deepcopy(FLAGGED), EOS)) == expected_labels(FLAGGED, EOS),
        "Right on question and answer in turn, but not if the pieces come in another order or hold the id 0. The second "
        "half of the pair alone says whether a piece is trained on, not its place and not its values.",
    )
    return "exactly the tokens of every answer and its end token are trained on, as in finetune.encode_dialogue."


def _name_mask_mistake(given: list[Any], pieces: list[tuple[list[int], bool]]) -> None:
    right = expected_labels(pieces, EOS)
    if given == right:
        return
    expect(
        all(isinstance(x, Integral) for x in given),
        "A label is one whole number for each token; you return a list of something else. Did you `append` a list "
        "where you wanted to `extend` by it?",
    )
    for message, *mistaken in _mask_mistakes(pieces):
        expect(given not in mistaken, message)
    expect(len(given) == len(right), f"One row has {len(right)} tokens (end tokens included) but {len(given)} labels.")
    ids = [x for piece, trained in pieces for x in (_with_end(piece) if trained else piece)]
    wrong = next(k for k, (a, b) in enumerate(zip(given, right)) if a != b)
    expect(False, f"Label {wrong} is {given[wrong]} and should be {right[wrong]} (token id {ids[wrong]}).")


def _with_end(ids: list[int]) -> list[int]:
    return [*ids, EOS]


def _ignored(ids: list[int]) -> list[int]:
    return [IGNORED] * len(ids)


def _mask_mistakes(pieces: list[tuple[list[int], bool]]) -> list[tuple[str, *tuple[list[int], ...]]]:
    """What to say of each usual mistake, and the labels that it gives for these pieces; the first that fits is said."""

    def by_piece(not_trained: Callable, trained: Callable) -> list[int]:
        """The labels of a mistake that makes this of a piece which is not trained, and that of one which is."""
        return [x for ids, is_trained in pieces for x in (trained if is_trained else not_trained)(ids)]

    def only(kept: int) -> list[int]:
        """The labels where one piece alone is trained, at the full length."""
        rows = [_with_end(ids) if trained else ids for ids, trained in pieces]
        return [x for k, row in enumerate(rows) for x in (row if k == kept else _ignored(row))]

    right, answers = expected_labels(pieces, EOS), [k for k, (_, trained) in enumerate(pieces) if trained]
    no_end = by_piece(_ignored, list)
    return [
        (
            "Your mask also trains on the system line and the user's question: a piece that is not trained needs "
            f"{IGNORED} for each of its tokens. Did you forget to look at the second half of the pair?",
            by_piece(list, _with_end),
            by_piece(list, list),
        ),
        (
            "Your mask is inside out: it trains on the question and ignores the answer.",
            by_piece(list, lambda ids: _ignored(_with_end(ids))),
        ),
        (
            "You mark ignored tokens with 0, but 0 is the id of a real token and would be learnt. The value that "
            f"cross_entropy skips is {IGNORED}.",
            by_piece(lambda ids: [0] * len(ids), _with_end),
        ),
        (
            f"You leave out the tokens that are not trained. They must stay as {IGNORED}: the model reads them, and each "
            "label has to stand at the place of its token.",
            by_piece(lambda ids: [], _with_end),
            by_piece(lambda ids: [], list),
        ),
        (
            "Your labels forget the end token: one `eos_id` follows each trained piece. Without it the labels are shorter "
            "than the ids, and the model never learns to stop.",
            no_end,
        ),
        (
            f"The end token has its place, but you label it {IGNORED}: the model reads it and never learns to write it, so "
            "its answers run on to the length limit.",
            by_piece(_ignored, lambda ids: [*ids, IGNORED]),
        ),
        (
            "You put an end token after the user's turn too: only the assistant ends with one, after each trained piece.",
            by_piece(lambda ids: [*_ignored(ids), EOS], _with_end),
        ),
        (
            "Your end token comes once, at the end of the dialogue: every assistant turn needs its own.",
            [*no_end, EOS],
        ),
        (
            "Your mask loses the second turn: only the first answer is trained on. Did you return inside the loop, or "
            "look for the first answer only?",
            expected_labels(pieces[: answers[0] + 1], EOS),
            only(answers[0]),
        ),
        (
            "Your mask trains on the last answer only: in a dialogue of several turns each assistant turn is trained.",
            only(answers[-1]),
        ),
        (
            "Your labels are shifted by one: label i belongs to token i. The model shifts them itself when it computes "
            "the loss; shifted by you as well, it would learn to leave a token out or to say one twice.",
            right[1:],
            [*right[1:], IGNORED],
            [*right[1:], EOS],
            [IGNORED, *right[:-1]],
        ),
    ]


def _same_as_helpers(my_labels: Callable) -> None:
    row = {
        "id": "check",
        "messages": [
            {"role": role, "content": text}
            for turn in ("Why?|So.", "How?|Slowly.", "Sure?|Quite.")
            for role, text in zip(("user", "assistant"), turn.split("|"))
        ],
        "role": {"question_description": "This question is a test.", "role_description": "a tester"},
    }
    for arm in finetune.ARMS:
        pieces = [(_letters(text).input_ids, trained) for text, trained in finetune.segments(row, arm)]
        wanted = finetune.encode_dialogue(row, _letters, arm).labels
        expect(
            list(my_labels(pieces, EOS)) == wanted,
            f"Right on short rows, but not the labels of finetune.encode_dialogue for a whole dialogue (arm {arm}): do "
            "you rely on the number or the length of the pieces?",
        )


class _Letters:
    """A tokenizer of one token a letter: all that encode_dialogue asks of a real one."""

    bos_token_id, eos_token_id = None, EOS

    def __call__(self, text: str, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[ord(letter) for letter in text])


_letters = _Letters()


@check
def ramp(my_ramp: Callable[[int, float], Any]) -> str:
    """`my_ramp(layers, last)`: as finetune.dropout_ramp, for several depths."""
    for layers, last in ((30, 0.25), (32, 0.25), (2, 0.1), (5, 0.4)):
        _name_ramp_mistake([float(p) for p in solved(my_ramp(layers, last))], layers, last)
    try:
        single = [float(p) for p in my_ramp(1, 0.25)]
    except (ZeroDivisionError, IndexError, ValueError):
        single = None
    expect(
        single is not None,
        "With one layer your function divides by layers - 1 = 0: that layer is the last one, so it gets `last`.",
    )
    expect(len(single) == 1, f"One layer needs one value; you return {len(single)}.")
    expect(
        close(single[0], 0.25),
        f"With one layer you return {single[0]}: that layer is the last one too, so it gets `last`.",
    )
    return "0 in the first layer, `last` in the last, a straight line between; the same as finetune.dropout_ramp."


def _name_ramp_mistake(given: list[float], layers: int, last: float) -> None:
    right = finetune.dropout_ramp(layers, last)

    expect(
        len(given) == layers,
        f"{layers} layers need {layers} values, one each; you return {len(given)}. Does your range end one off?",
    )
    expect(
        not close(given, [last * i / layers for i in range(layers)]),
        f"Your ramp ends at {given[-1]:.4g}, not at {last}: from the first layer to the last there are layers - 1 "
        "steps, not `layers` of them.",
    )
    expect(
        not close(given, [last * (i + 1) / layers for i in range(layers)]),
        f"Your ramp starts at {given[0]:.4g}: the first layer has no dropout at all. Count the layers from 0, and "
        "divide by the number of steps between them.",
    )
    expect(
        not close(given, right[::-1]),
        "Your ramp falls: the bottom layer, the first of the list, has 0 and the top layer `last`.",
    )
    expect(
        not close(given, [last] * layers),
        "All your layers have the same p: that is what the config's single value gives; the paper's rises.",
    )
    expect(close(given[0], 0.0), f"Your ramp starts at {given[0]:.4g}; the first layer has p = 0.")
    expect(
        not close(given, [100 * p for p in right]),
        f"Your ramp ends at {given[-1]:.4g}: give shares from 0 to 1, not percent.",
    )
    expect(
        close(given, right) or not any(close(given, [round(p, digits) for p in right]) for digits in range(1, 6)),
        "Your values are rounded, so the steps are not equal: return them as they are, and round only to print.",
    )
    expect(close(given[-1], last), f"Your ramp ends at {given[-1]:.4g}; the last layer has p = {last}.")
    expect(
        close(given, right),
        "Both ends are right, but the line between them is not straight: every step is equally large.",
    )


@check
def accumulation(my_accumulation: Callable[[int, int, int], Any]) -> str:
    """`my_accumulation(batch_size, device_batch_size, devices)`, and ValueError if nothing fits."""
    cases = ((64, 4, 1, 16), (64, 4, 4, 4), (2, 1, 1, 2), (64, 1, 8, 8), (64, 8, 8, 1), (60, 5, 3, 4))
    for batch, per_device, devices, right in cases:
        given = solved(my_accumulation(batch, per_device, devices))
        call = f"my_accumulation({batch}, {per_device}, {devices})"
        expect(
            devices == 1 or given != batch // per_device,
            f"{call} gives {given}: you ignore the number of devices. Each of the {devices} devices adds its own "
            f"{per_device} dialogues, so an update would see {given * per_device * devices if given else 0} of them.",
        )
        expect(
            devices == 1 or given != batch * devices // per_device,
            f"{call} gives {given}: more devices need fewer steps, so divide by their number.",
        )
        for value, mistake in (
            (batch // devices, f"you divide by the devices only, and each of them takes {per_device} at a time"),
            (batch * per_device * devices, "you multiply; a larger device batch needs fewer steps, so divide by it"),
            (per_device * devices, f"these are the dialogues of one pass; how often do they fit into {batch}?"),
        ):
            expect(given == right or given != value, f"{call} gives {given}: {mistake}.")
        expect(given == right, f"{call} gives {given}; {right} x {per_device} x {devices} is {batch}.")
        expect(
            isinstance(given, Integral), f"{call} gives {given!r}: SFTConfig wants a whole number; use // and not /."
        )
    for batch, per_device, devices in ((64, 4, 3), (2, 4, 1), (10, 4, 1), (8, 4, 4), (12, 4, 2)):
        call = f"my_accumulation({batch}, {per_device}, {devices})"
        try:
            given = my_accumulation(batch, per_device, devices)
        except ValueError:
            continue
        seen = given * per_device * devices if isinstance(given, Integral) else given
        expect(
            False,
            f"{call} gives {given}, which makes a batch of {seen} and not {batch}, and nobody would notice. Raise "
            "ValueError if `batch_size` is not a multiple of `device_batch_size * devices`: of the product, not of each alone.",
        )
    return "the effective batch is the same on every machine, and an impossible one is refused."
