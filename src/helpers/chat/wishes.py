"""What a served model wants to be asked with: names of parameters, the effort of its reasoning, room to think.

The one idea: start from what is known of a model's family, and believe the server if it says otherwise. A refused
request costs nothing, so each wrong guess is made once.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from .messages import Completion

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # as the openai package lists them
LOWEST = {  # OpenAI's families that reason: the lowest effort that they accept
    r"o\d[\w-]*": "low",
    r"gpt-5(?:-mini|-nano)?": "minimal",
    r"gpt-(?:5\.\d+|[6-9])(?!.*chat)[\w.-]*": "none",
}
NEVER_THINK = r"(?:chat)?gpt-[34][\w.-]*|gpt-5-chat[\w-]*"
FIRST_REPLIES = 8  # that show whether a model thinks
TYPICAL_THOUGHT = 200  # tokens of a model that is known to reason, at its lowest effort: for the bill

_REFUSED = re.compile(
    r"unsupported|not supported|does not support|unrecogni[sz]ed|unknown|invalid|not permitted|extra.(?:forbidden|inputs)"
    r"|only the default",
    re.IGNORECASE,
)


class Wishes:
    """The parameters of the requests to one model, and what the server has taught us of them. Thread-safe."""

    def __init__(self, model: str, chats: bool = True) -> None:
        name = model.lower().rsplit("/", 1)[-1].removeprefix("ft:").split(":")[0]
        name = re.sub(r"-\d{4}-\d\d-\d\d$", "", name)
        self.chats = chats  # else it continues texts, with the one set of parameters that there is for that
        self.effort = next((low for family, low in LOWEST.items() if chats and re.fullmatch(family, name)), None)
        self.reasons = self.effort is not None  # known before it was asked
        self.limit_name = "max_completion_tokens" if self.reasons else "max_tokens"
        self.refused: set[str] = {"temperature"} if self.reasons else set()
        # None: its replies will show it. A text that is only continued has no room of its own for thinking.
        self.thinks = False if not chats or re.fullmatch(NEVER_THINK, name) else None
        self.opened = False  # whether the server's template opens the thinking: a reply has shown it
        self.most = float("inf")  # room to think that the server accepts beside a prompt
        self._replies, self._too_little, self._lock = 0, False, threading.Lock()

    def parameters(self, max_tokens: int, temperature: float) -> dict[str, Any]:
        """The parameters of a request, under the names that this model wants."""
        every = {self.limit_name: max_tokens, "temperature": temperature, "reasoning_effort": self.effort}
        return {name: value for name, value in every.items() if value is not None and name not in self.refused}

    def adapt(self, said: str, sent: dict[str, Any]) -> bool:
        """Whether a 400 with these words wants other parameters than `sent`; the next request has them then."""
        name = next((n for n in sent if n in said), "effort" if "effort" in said and self.effort else None)
        if name is None or not self.chats or not _REFUSED.search(said):
            return False
        if name in ("max_tokens", "max_completion_tokens"):
            other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
            if other in self.refused or re.search(r"too large|at most|less than|maximum", said):
                return False  # the name is right, and the number is not
            if name == "max_tokens" and not self.reasons:  # only OpenAI's models that reason refuse this name
                self.reasons, self.effort = True, "none"
            self.limit_name = other
        elif name == "temperature":
            pass
        elif sent.get("reasoning_effort") == self.effort:  # else another request has learned it already
            self.effort = _next_effort(said, self.effort)
            return True
        else:
            return True
        self.refused.add(name)
        return True

    # --- room to think ------------------------------------------------------------------------------

    def room(self, allowed: int) -> int:
        """Tokens for thinking on top of an answer's: half of what is allowed, or all of it after that was too little.

        None for a model whose first replies show no thinking.
        """
        if self.thinks is False:
            return 0
        return int(min(self.most, allowed if self._too_little else allowed // 2))

    def heard(self, reply: Completion) -> None:
        """Learn from a reply whether the model thinks, and whether it had room enough."""
        with self._lock:
            self._replies += 1
            still_thought = reply.finish == "length" and not reply.text  # or it thinks where nobody sees it
            if reply.thinking or reply.thought or still_thought:
                self.thinks = True
                self._too_little |= still_thought
            elif self._replies >= FIRST_REPLIES and self.thinks is None and not self.reasons:
                self.thinks = False


def _next_effort(said: str, refused: str) -> str | None:
    """The lowest effort that the server names, else the next higher one; None if it wants none at all."""
    named = [e for e in EFFORTS if e in re.findall(r"['\"`]([a-z]+)['\"`]", said.lower()) and e != refused]
    higher = EFFORTS[EFFORTS.index(refused) + 1 :] if re.search(r"(?:unsupported|invalid) value", said, re.I) else ()
    return next(iter((*named, *higher)), None)
