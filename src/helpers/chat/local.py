"""`LocalChat`: greedy answers of a transformers model in this process, many conversations at a time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import models
from ..errors import UserError
from ..profiles import Profile
from . import money
from .messages import Completion, Continue, Messages, frame

NEW_TURN = re.compile(r"(?P<cut>\nUSER:)")  # a model that was not tuned goes on with the user's next question
LINE_END = re.compile(r"[^\W_][^\n]*(?P<cut>\n)")  # a line with something in it is a whole answer of stage 2
TRIGGER = 64  # positions kept free for the text that starts stage 2
READ_TOKENS = 4096  # of prompts that are read in one go


class LocalChat:
    """Greedy completions by a transformers model, many conversations at a time.

    A row that is done leaves at once and a waiting one takes its place, the longest first. As many are answered
    together as `batch_size` and `batch_tokens` (positions in the key/value cache) allow. In float32 the answers do
    not depend on it.
    """

    prompt = "frame"  # it reads the paper's frame, and can continue its own turn
    turns = True  # it knows how a turn of the assistant ends

    def __init__(self, model: Any, tokenizer: Any, name: str, batch_size: int = 64, batch_tokens: int = 32_768) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.meter = money.free()

    def text(self, messages: Messages) -> str:
        """What the model reads of a conversation."""
        return frame(messages, self.tokenizer.eos_token or "")

    def complete(
        self,
        conversations: Sequence[Messages],
        max_tokens: int,
        then: Continue | None = None,
        then_tokens: int = 0,
        temperature: float = 0.0,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index, Completion) as they finish; finish "too long" where prompt and answer exceed the model's context.

        `then(index, reply)` may name a text with which the *same* assistant turn goes on; the model then
        writes up to `then_tokens` more, without reading its prompt twice. Always greedy, whatever the `temperature`.
        """
        prompts = [self.tokenizer(self.text(m)).input_ids for m in conversations]
        room = max_tokens + then_tokens + (TRIGGER if then else 0)
        limit = getattr(self.model.config, "max_position_embeddings", None) or float("inf")
        waiting = deque()
        for i in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
            if len(prompts[i]) + room > limit:
                yield i, Completion("", "too long", len(prompts[i]), 0)
            else:
                waiting.append(_Row(i, prompts[i], max_tokens))
        if not waiting:
            return
        self._check_attention(len(waiting[0].prompt) + room)
        from .cache import Slots  # torch is loaded by who needs it

        slots, eos = Slots(self.model), _end_tokens(self.model, self.tokenizer)
        shared = _common([row.prompt[:-1] for row in waiting])  # the system line, at least
        rows: list[_Row] = []  # in the order of the slots: those that write, then those that have something to read
        writing = 0
        while waiting or rows:
            width = room + max(len(row.prompt) for row in (*rows, *([waiting[0]] if waiting else [])))
            allowed = max(1, min(self.batch_size, self.batch_tokens // width))
            free = max(0, min(allowed - len(rows), len(waiting)))
            if not writing or len(rows) - writing + free > allowed // 8:  # a few at a time are read faster than one
                slots.fit(len(rows) + free, width)
                if free and not rows and shared:
                    slots.forward(0, [waiting[0].prompt[:shared]], [0])
                slots.copy(0, range(len(rows), len(rows) + free), shared)
                rows.extend(waiting.popleft().begin(shared) for _ in range(free))
                self._read(slots, rows, writing)
                writing = len(rows)
            chosen = slots.forward(0, [row.feed for row in rows[:writing]], [row.length for row in rows[:writing]])
            for k, token in reversed(list(enumerate(chosen.argmax(-1).tolist()))):
                row = rows[k]
                row.take(token, eos, self.tokenizer)
                if row.finish is None:
                    continue
                writing -= 1  # the last row that writes takes the place of this one
                other, rows[k] = rows[writing], rows[writing]
                if self._goes_on(row, then, then_tokens):
                    slots.swap(k, writing, max(row.length, other.length))
                    rows[writing] = row
                else:
                    yield row.index, row.reply
                    slots.copy(writing, [k], other.length)
                    slots.copy(len(rows) - 1, [writing], rows[-1].length)
                    rows[writing] = rows[-1]
                    rows.pop()

    def _read(self, slots: Any, rows: list[_Row], first: int) -> None:
        """Bring what the rows from `first` on have to read, all but its last token, into the cache."""
        while first < len(rows):
            longest, last = len(rows[first].feed), first + 1
            most = max(1, READ_TOKENS // longest)
            while last < min(len(rows), first + most) and 3 * longest <= 4 * len(rows[last].feed) <= 5 * longest:
                last += 1
            group = rows[first:last]
            if longest > 1:
                slots.forward(first, [row.feed[:-1] for row in group], [row.length for row in group])
            for row in group:
                row.length += len(row.feed) - 1
                row.feed = row.feed[-1:]
            first = last

    def _goes_on(self, row: _Row, then: Continue | None, then_tokens: int) -> bool:
        """Take down what a row has written in a stage that is over; whether it begins another one."""
        text = self.tokenizer.decode(row.written)
        if row.reply is not None:
            row.reply = replace(row.reply, continued=text)
            return False
        row.reply = Completion(text.strip(), row.finish, len(row.prompt), len(row.written))
        more = then(row.index, text) if then and then_tokens else None
        if not more:
            return False
        added = self.tokenizer(more, add_special_tokens=False).input_ids
        if len(added) > TRIGGER:
            raise ValueError(f"stage 2 begins with at most {TRIGGER} tokens, these are {len(added)}")
        held = row.length - len(row.prompt)  # tokens of the answer that are in the cache
        row.length -= max(0, held - len(row.written))  # what was cut off is forgotten
        row.feed = [*row.written[held:], *added]
        row.written, row.finish, row.limit, row.stop = [], None, then_tokens, LINE_END
        return True

    def _check_attention(self, width: int) -> None:
        """Refuse a model whose layers do not all look back over the whole text, or add a mask of true and false to their
        scores (eager attention): `Slots` would change its answers."""
        config = self.model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        window = getattr(config, "sliding_window", None) or width
        eager = getattr(config, "_attn_implementation", None) == "eager"
        if eager or not kinds <= {"full_attention", "sliding_attention"} or window < width:
            raise UserError(f"{self.name} has another kind of attention: serve it with vLLM and use --base-url")


@dataclass
class _Row:
    """A conversation that is being answered."""

    index: int
    prompt: list[int]
    limit: int
    length: int = 0  # tokens in the cache
    feed: list[int] = field(default_factory=list)  # tokens to read before it can write
    written: list[int] = field(default_factory=list)  # in this stage
    stop: re.Pattern = NEW_TURN
    finish: str | None = None
    reply: Completion | None = None  # what the stages that are over have brought

    def begin(self, shared: int) -> _Row:
        self.length, self.feed = shared, self.prompt[shared:]
        return self

    def take(self, token: int, eos: set[int], tokenizer: Any) -> None:
        self.length += 1
        if token in eos:
            self.finish = "stop"
            return
        self.written.append(token)
        self.feed = [token]
        if self.stop.search(tokenizer.decode(self.written[-12:])):
            self.written, self.finish = self.written[: _before(tokenizer, self.written, self.stop)], "stop"
        elif len(self.written) == self.limit:
            self.finish = "length"


def _common(lists: Sequence[list[int]]) -> int:
    """How many items all lists have in common at their beginning."""
    first, last = min(lists), max(lists)
    return next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))


def _before(tokenizer: Any, tokens: list[int], stop: re.Pattern) -> int:
    """How many of `tokens` lie before the "cut" of a stop pattern."""
    cut = stop.search(tokenizer.decode(tokens)).start("cut")
    keep = len(tokens)
    while keep and len(tokenizer.decode(tokens[:keep])) > cut:
        keep -= 1
    return keep


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return {i for i in [*ids, tokenizer.eos_token_id] if i is not None}


def local_chat(profile: Profile, name: str | Path | None = None) -> LocalChat:
    """A model in this process, named by its weights and their precision (so that a journal never mixes two models)."""
    name = str(name or profile.model)
    model, tokenizer = models.load(profile, name)
    precision = "nf4" if profile.quantized else profile.dtype
    suffix = "" if precision == "float32" else f" in {precision}"
    size, tokens = profile.generation_batch, profile.generation_tokens
    return LocalChat(model, tokenizer, models.fingerprint(name) + suffix, size, tokens)
