"""What an error of a server means, and how long to wait before the same request is sent again.

The one idea: everything that can go wrong between us and a server is a status and a code, and each
means one of three things: ask again (later), stop at once, or keep what came and continue.
"""

from __future__ import annotations

import random
import re
import threading
import time

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


class Pause:
    """Holds everybody back for as long as the server says: one 429 is meant for all. Thread-safe."""

    def __init__(self) -> None:
        self._until = 0.0  # on the monotonic clock
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Nobody starts a call in the next `seconds`."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def seconds_left(self) -> float:
        return max(0.0, self._until - time.monotonic())
