"""A chat that answers as a test wants, counts what it was asked, and can be interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from helpers.chat import Completion, frame, money


class FakeChat:
    """Answers the last message of a conversation by `reply(question, times asked before)`, in the order of `order`.

    A reply is a text or a Completion. `asked` counts questions, `parameters` lists (max_tokens, temperature) of each
    round, `sent` the conversations. After `stop_after` answers of a round it is interrupted. `second`: stage 2.
    """

    name, prompt, turns, continues = "fake-model", "frame", True, True
    meter = money.free()

    def __init__(
        self,
        reply: Callable[[str, int], str | Completion] = lambda question, before: "Well.",
        order: Callable = sorted,
        stop_after: int | None = None,
        price: money.Price | None = (0.0, 0.0),
        max_usd: float | None = None,
        second: str = " (B).",
    ) -> None:
        self.reply, self.order, self.stop_after, self.second = reply, order, stop_after, second
        self.asked: Counter[str] = Counter()
        self.parameters, self.sent = [], []
        self.meter = money.Meter(price, max_usd)

    def text(self, messages):
        return frame(messages) if self.prompt == "frame" else messages[-1]["content"]

    def complete(self, conversations, max_tokens, then=None, then_tokens=0, temperature=0.0, opening_tokens=0):
        self.parameters.append((max_tokens, temperature))
        for n, i in enumerate(self.order(range(len(conversations)))):
            if n == self.stop_after:
                raise KeyboardInterrupt
            question = conversations[i][-1]["content"].rsplit("\nQ: ", 1)[-1]
            answer = self.reply(question, self.asked[question])
            self.asked[question] += 1
            self.sent.append(conversations[i])
            answer = answer if isinstance(answer, Completion) else Completion(answer, "stop", 100, 30)
            if then and then(i, answer.text):
                answer = Completion(answer.text, answer.finish, answer.prompt_tokens, answer.tokens, self.second)
            yield i, answer
