"""What asking costs: prices, the bill before the first call, and a meter that holds a cap."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import UserError

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


def tokens_bound(texts: Sequence[str]) -> int:
    """Tokens that these texts will not exceed, to reserve money for: 3 bytes a token and 8 tokens around each text."""
    return sum(tokens_in(text, 3.0) + 8 for text in texts)


# --- a cap ------------------------------------------------------------------------------------------


class CapReached(UserError):
    """The next call could cost more than what is left."""


class Meter:
    """Counts tokens and USD from the server's own usage, and refuses calls that could pass a cap. Thread-safe.

    Money is reserved before a call (at its worst) and settled after it (at what it was). `shown`: whether people see
    the bill; a model in this process costs nothing and needs none.
    """

    def __init__(self, price: Price | None, max_usd: float | None = None, shown: bool = True) -> None:
        self.price, self.max_usd, self.shown = price, max_usd, shown
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


def free() -> Meter:
    """The meter of a model in this process."""
    return Meter((0.0, 0.0), shown=False)


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
