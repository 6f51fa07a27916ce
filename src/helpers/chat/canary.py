"""A canary: a few questions are asked before any other, and if nothing comes of them, nobody pays for the rest.

A wrong setting (a template, a limit, a model that only chats) spoils every reply in the same way, and the first few
already show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import NothingOfUse


@dataclass(frozen=True)
class Canary:
    """The first `n` questions to a server: one record `of_use` among them, and the others are asked too."""

    n: int
    of_use: Callable[[dict[str, Any]], bool]
    wanted: str  # what a reply of use is: "is in form"
    advice: str

    def stop(self, record: dict[str, Any], tried: int, name: str) -> NothingOfUse:
        """The one line for people: what came, how one reply ends, what to do."""
        said = " ".join(str(record.get("reply", record.get("stage1", ""))).split())
        thought = " after much thinking" if record.get("thinking") or record.get("thinking_tokens") else ""
        ends = f'one ends "{said[-80:]}"' if said else f"one is empty{thought} (finish {record.get('finish')!r})"
        return NothingOfUse(
            f"stopped after {tried} questions: no reply of {name} {self.wanted}; {ends}. {self.advice}. "
            "What was answered is kept, and this model is asked again only if you remove its lines from the journal"
        )


def spoken(n: int = 10) -> Canary:
    """For free answers: a model that says nothing at all to the first `n` questions is asked no more of them."""
    return Canary(
        n,
        lambda record: (
            bool(str(record.get("stage1", record.get("reply", ""))).strip()) or record["finish"] == "too long"
        ),
        "holds an answer",
        "Look at the server's log and its limit of tokens, or choose another --model or --prompt",
    )
