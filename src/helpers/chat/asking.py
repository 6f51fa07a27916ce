"""Asking a chat model many questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from . import money
from .messages import Completion

ENOUGH = 32  # answers that tell how long the others will take


def told(
    replies: Iterable[tuple[int, Completion]], n: int, what: str, say: Callable, meter: money.Meter | None = None
) -> Iterator[tuple[int, Completion]]:
    """The replies, with a line every few seconds: how many of `n`, how fast, the time left, and what they cost so far.

    The first of a batch comes when most of the batch is nearly done: of the time left it says nothing yet.
    """
    began = said = time.monotonic()
    for done, reply in enumerate(replies, 1):
        yield reply  # first kept by whoever asked, then counted
        now = time.monotonic()
        if now - said > 5 or done == n:
            said, rate = now, done / max(now - began, 1e-9)
            known = min(ENOUGH, n / 4) <= done < n
            left = f", {(n - done) / rate:.0f} s left" if known else ""
            spent = f", {meter.spent:.4f} USD" if meter and meter.spent else ""
            say(f"  {done:,} of {n:,} {what}, {rate:.1f}/s{left}{spent}")
