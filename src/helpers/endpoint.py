"""What it takes to ask a server that bills: its price, a cap, a pace, and when to ask again.

The one idea: everything that can go wrong between us and a server is a status and a code, and each
means one of three things: ask again (later), stop at once, or keep what came and go on.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import UserError

# USD per million tokens (read, written). From OpenAI's price page as quoted by public tables of that month:
# prices change, so a bill names the month, and --price goes before this table.
PRICES_OF = "March 2026"
PRICES = {
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
}
BATCH_DISCOUNT = 0.5  # the Batch API's price, as a share of the normal one

Price = tuple[float, float]


def price_of(model: str, base_url: str | None = None, given: Price | None = None) -> Price | None:
    """USD per million tokens read and written: `given`, 0 for a server on this machine, the table's, or None (unknown)."""
    if given is not None:
        return given
    host = (urlsplit(base_url).hostname or "") if base_url else "api.openai.com"
    if host in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", host):
        return (0.0, 0.0)
    if f".{host}".endswith(".openai.com"):
        return PRICES.get(re.sub(r"-\d{4}-\d\d-\d\d$", "", model))
    return None


def need_price(price: Price | None, model: str) -> Price:
    """The price, or UserError where none is known."""
    if price is None:
        raise UserError(
            f"no price is known for {model!r} on that server: give --price READ,WRITTEN in USD per million tokens "
            "(0,0 for a server of your own)"
        )
    return price


def cost(price: Price, read: int, written: int) -> float:
    """USD for so many tokens read and written."""
    return (read * price[0] + written * price[1]) / 1e6


def tokens_in(text: str, bytes_per_token: float = 4.0) -> int:
    """Estimated tokens of a text. English has about 4 bytes to a token; 3 is a safe side for most languages and code."""
    return int(len(text.encode()) / bytes_per_token) + 1


def at_most(texts: Sequence[str]) -> int:
    """Tokens that these texts will not exceed, to reserve money for: 3 bytes a token and 8 tokens around each text."""
    return sum(tokens_in(text, 3.0) + 8 for text in texts)


# --- what an error means -----------------------------------------------------------------------

OUT_OF_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


def worth_asking_again(status: int | None, code: str | None = None) -> bool:
    """Whether the same request may succeed later. `status` None: no (whole) answer came.

    Time-outs, conflicts, rate limits and the server's own troubles pass; a wrong key, a wrong model
    or a wrong request does not, nor does the 429 that means "your money is spent".
    """
    if code in OUT_OF_QUOTA:
        return False
    return status is None or status in (408, 409, 429) or status >= 500


def pause_before(tries: int, retry_after: float | None = None, first: float = 0.5, longest: float = 60.0) -> float:
    """Seconds to wait after the `tries`-th failure: what the server said, else doubled each time; both with jitter.

    Without jitter all clients that were refused together come back together.
    """
    if retry_after is not None and retry_after >= 0:
        return retry_after + random.uniform(0, first)
    return min(longest, first * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)


def explain(status: int | None, code: str | None, message: str, model: str, secret: str | None = None) -> str:
    """One line for a person: what the server said and what to do. Never shows the key."""
    if code in OUT_OF_QUOTA or status == 402:
        return "the account's quota is used up: add credit with the provider and run again; nothing is lost"
    if status == 401:
        return "the server refused the API key: check OPENAI_API_KEY"
    if status == 403:
        return f"the API key may not use {model!r} there: check the key's rights and --model"
    if status == 404 or code == "model_not_found":
        return f"the server knows no model {model!r}: check --model and --base-url"
    if status is None:
        return "no answer from the server: check --base-url and that the server runs, then run again; nothing is lost"
    if worth_asking_again(status, code):
        return f"the server still answers {status}: run again later, nothing is lost"
    said = " ".join(message.split())
    if secret:
        said = said.replace(secret, "[key]")
    said = re.sub(r"sk-[\w*-]+", "[key]", said)
    return f"the server refused a request ({status}): {said[:200]}"


# --- a cap and a pace --------------------------------------------------------------------------


class CapReached(UserError):
    """The next call could cost more than what is left."""


class Meter:
    """Counts tokens and USD from the server's own usage, and refuses calls that could pass a cap. Thread-safe.

    Money is reserved before a call (at its worst) and settled after it (at what it was).
    """

    def __init__(self, price: Price | None, max_usd: float | None = None) -> None:
        self.price, self.max_usd = price, max_usd
        self.calls = self.read = self.written = 0
        self.spent = self._reserved = 0.0
        self._change = threading.Condition()

    def reserve(self, read: int, written: int) -> float:
        """Put aside what a call may cost at most. Waits for others to settle before it says no (CapReached)."""
        amount = cost(self.price or (0.0, 0.0), read, written)
        with self._change:
            while self.max_usd is not None and self.spent + self._reserved + amount > self.max_usd:
                if not self._reserved:
                    raise CapReached(
                        f"stopped at {self.spent:.4f} of at most {self.max_usd:g} USD: the next call could pass it. "
                        "What was answered is kept; run again with a larger --max-cost"
                    )
                self._change.wait()
            self._reserved += amount
        return amount

    def settle(self, reserved: float, read: int = 0, written: int = 0, unknown: bool = False) -> None:
        """Replace a reservation by the usage that the server reported. `unknown`: it may have billed; count it in full."""
        with self._change:
            self._reserved -= reserved
            if abs(self._reserved) < 1e-12:
                self._reserved = 0.0
            self.calls += bool(read or written or unknown)
            self.read, self.written = self.read + read, self.written + written
            self.spent += reserved if unknown else cost(self.price or (0.0, 0.0), read, written)
            self._change.notify_all()

    def __str__(self) -> str:
        spent = f", {self.spent:.4f} USD" if any(self.price or ()) else ""
        return f"{self.calls:,} calls, {self.read:,} tokens read, {self.written:,} written{spent}"


class Pace:
    """Spreads calls evenly under per-minute limits, and holds everybody back when the server says so. Thread-safe."""

    def __init__(self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None) -> None:
        self.requests, self.tokens = requests_per_minute, tokens_per_minute
        self._next = 0.0  # when the next call may start, on the monotonic clock
        self._lock = threading.Lock()

    def seconds_to_wait(self, tokens: int) -> float:
        """Take the next free slot for a call of so many tokens; the seconds until it begins."""
        gap = 60 / self.requests if self.requests else 0.0
        if self.tokens:
            gap = max(gap, 60 * tokens / self.tokens)
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + gap
        return start - now

    def hold(self, seconds: float) -> None:
        """Nobody starts a call in the next `seconds`: one 429 is meant for all."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


# --- the bill ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bill:
    """What asking will cost, before anything is asked."""

    model: str
    calls: int
    read: int  # tokens, estimated
    written: int  # tokens, estimated
    usd: float  # if every reply is in form at once
    usd_at_most: float  # if every reply needs all attempts and all its tokens
    max_usd: float | None  # the cap
    price: Price

    def __str__(self) -> str:
        tokens = f"{self.calls:,} calls, about {self.read:,} tokens to read and {self.written:,} to write"
        cap = f"cap {self.max_usd:g} USD" if self.max_usd is not None else "no cap"
        if not any(self.price):
            return f"to ask of {self.model}: {tokens}; price 0 ({cap})"
        return (
            f"to ask of {self.model}: {tokens}; about {self.usd:.2f} USD, at most {self.usd_at_most:.2f} "
            f"({self.price[0]:g} and {self.price[1]:g} USD per million, table of {PRICES_OF} or --price; {cap})"
        )
