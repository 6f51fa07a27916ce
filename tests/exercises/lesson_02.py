"""Answers to the exercises of lesson 02: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

import numpy as np
from exercises.common import table

from helpers import finetune
from helpers.checks import lesson_02

EXERCISES, answers = table()


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


answers(
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
    (lambda pieces, eos: masked(pieces, 2), "Use the argument `eos_id`"),
    (lambda pieces, eos: masked([(p[0], k >= 2 and k % 2 == 0) for k, p in enumerate(pieces)], eos), "not its place"),
    (mask(ignored, lambda ids, eos: [*[x or -100 for x in ids], eos]), "not its values"),
    also=[
        lambda pieces, eos: tuple(masked(pieces, eos)),
        lambda pieces, eos: np.array(masked(pieces, eos)),
        lambda pieces, eos: (x for ids, on in pieces for x in ([*ids, eos] if on else [-100] * len(ids))),
        lambda pieces, eos: [np.int64(x) for x in masked(pieces, eos)],
        lambda pieces, eos: sum(([*ids, eos] if on else [-100] * len(ids) for ids, on in pieces), []),  # noqa: RUF017
    ],
)
answers(
    lesson_02.ramp,
    finetune.dropout_ramp,
    (lambda n, p: [p * i / n for i in range(n)], "layers - 1"),
    (lambda n, p: [p * (i + 1) / n for i in range(n)], "no dropout at all"),
    (lambda n, p: finetune.dropout_ramp(n, p)[::-1], "Your ramp falls"),
    (lambda n, p: [p] * n, "the same p"),
    (lambda n, p: [p * i / (n - 1) for i in range(n)], "divides by layers - 1 = 0"),
    (lambda n, p: [p * (i / max(n - 1, 1)) ** 2 for i in range(n)], "not straight"),
    (lambda n, p: finetune.dropout_ramp(n + 1, p)[:-1], "layers - 1"),
    (lambda n, p: finetune.dropout_ramp(n + 1, p), "values"),
    (lambda n, p: finetune.dropout_ramp(n - 1, p) if n > 1 else [p], "values"),
    (lambda n, p: [0.25 * i / (n - 1) if n > 1 else p for i in range(n)], "the last layer has p"),
    (lambda n, p: finetune.dropout_ramp(n, p) if n > 1 else [0.0], "With one layer you return 0.0"),
    (lambda n, p: [100 * x for x in finetune.dropout_ramp(n, p)], "not percent"),
    (lambda n, p: [round(x, 3) for x in finetune.dropout_ramp(n, p)], "are rounded"),
    also=[
        lambda n, p: np.linspace(0, p, n) if n > 1 else np.array([p]),
        lambda n, p: (p * i / (n - 1) if n > 1 else p for i in range(n)),
        lambda n, p: [np.float32(x) for x in finetune.dropout_ramp(n, p)],
        lambda n, p: tuple(p - p * i / max(n - 1, 1) for i in reversed(range(n))),
    ],
)


def steps(batch, per_device, devices):
    if batch % (per_device * devices):
        raise ValueError("no whole number of steps")
    return batch // per_device // devices


def each_alone(batch, per_device, devices):
    if batch % per_device or batch % devices:
        raise ValueError("no whole number of steps")
    return batch // (per_device * devices)


def exactly(times, rest):
    if rest:
        raise ValueError(rest)
    return times


answers(
    lesson_02.accumulation,
    steps,
    (lambda b, d, n: b // d, "ignore the number of devices"),
    (lambda b, d, n: b * n // d, "divide by their number"),
    (lambda b, d, n: b / d / n, "a whole number"),
    (lambda b, d, n: b // d // n, "nobody would notice"),
    (lambda b, d, n: -(-b // (d * n)), "nobody would notice"),
    (lambda b, d, n: b // n, "divide by the devices only"),
    (lambda b, d, n: b * d * n, "you multiply"),
    (lambda b, d, n: d * n, "dialogues of one pass"),
    (lambda b, d, n: round(b / (d * n)), "nobody would notice"),
    (each_alone, "of the product, not of each alone"),
    (lambda b, d, n: max(1, b // (d * n)), "nobody would notice"),
    also=[
        lambda b, d, n: np.int64(steps(b, d, n)),
        lambda b, d, n: next(k for k in range(1, b + 1) if k * d * n == b) if b % (d * n) == 0 else steps(b, d, n),
        lambda b, d, n: exactly(*divmod(b, d * n)),
        lambda b, d, n: len(range(0, b, d * n)) if b % (d * n) == 0 else steps(b, d, n),
    ],
)
