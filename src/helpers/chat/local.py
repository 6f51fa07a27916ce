"""`LocalChat`: greedy answers of a transformers model in this process, many conversations at a time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import models, strategies
from ..errors import UserError
from ..profiles import Profile
from . import money
from .messages import Completion, Continue, Messages, frame, frame_ids

NEW_TURN = re.compile(r"(?P<cut>\nUSER:)")  # a model that was not tuned continues with a question of the user
LINE_END = re.compile(r"[^\W_][^\n]*(?P<cut>\n)")  # a line with something in it is a whole answer of stage 2
TRIGGER = 64  # positions kept free for the text that starts stage 2
READ_TOKENS = 4096  # of prompts that are read in one go


class LocalChat:
    """Greedy completions by a transformers model, many conversations at a time.

    A row that is done leaves at once and a waiting one takes its place, the longest first. As many are answered
    together as `batch_size` and `batch_tokens` (positions in the key/value cache) allow. In float32 the answers do
    not depend on it.
    """

    turns = True  # it knows how a turn of the assistant ends
    continues = True  # and can continue its own

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        batch_size: int = 64,
        batch_tokens: int = 32_768,
        prompt: str = "frame",
    ) -> None:
        """`prompt`: "frame" asks in the paper's frame, "chat" in the tokenizer's own chat template."""
        self.model, self.tokenizer, self.name, self.prompt = model, tokenizer, name, prompt
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.meter = money.free()

    def text(self, messages: Messages) -> str:
        """What the model reads of a conversation."""
        if self.prompt == "frame":
            return frame(messages, self.tokenizer.eos_token or "")
        mine = messages[-1]["role"] == "assistant"  # a turn that stays open
        how = {"continue_final_message": True} if mine else {"add_generation_prompt": True}
        return self.tokenizer.apply_chat_template(messages, tokenize=False, **how)

    def complete(
        self,
        conversations: Sequence[Messages],
        max_tokens: int,
        then: Continue | None = None,
        then_tokens: int = 0,
        temperature: float = 0.0,
        opening_tokens: int = 0,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index, Completion) as they finish; finish "too long" where prompt and answer exceed the model's context.

        `then(index, reply)` may name a text with which the *same* assistant turn continues; the model then
        writes up to `then_tokens` more, without reading its prompt twice. An opening (`strategies.opening`) of up to
        `opening_tokens` does not count: the answer after it has the room of an answer without one. Always greedy, whatever the `temperature`.
        """
        if self.prompt == "frame":
            prompts = [frame_ids(m, self.tokenizer) for m in conversations]
        else:  # a chat template holds the special tokens
            prompts = [self.tokenizer(self.text(m), add_special_tokens=False).input_ids for m in conversations]
        room = max_tokens + opening_tokens + then_tokens + (TRIGGER if then else 0)
        known = (getattr(self.model.config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
        limit = next((n for n in known if n and n > 0), float("inf"))  # XLNet says -1
        waiting = deque()
        for i in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
            if len(prompts[i]) + room > limit:
                yield i, Completion("", "too long", len(prompts[i]), 0)
            else:
                waiting.append(_Row(i, prompts[i], max_tokens, opening_tokens))
        if not waiting:
            return
        from .cache import serves  # torch is loaded by who needs it

        if getattr(self.model.config, "is_decoder", True) is False:
            raise UserError(
                f"{self.name} ({self.model.config.model_type}) does not write text from left to right: choose another"
            )
        if not serves(self.model):
            yield from self._one_by_one(waiting, then, then_tokens)
            return
        table = _Table(self, waiting, room)
        while waiting or table.rows:
            table.admit(waiting)
            for k in table.step():
                if self._continues(table.rows[k], then, then_tokens):
                    table.set_aside(k)
                else:
                    yield table.rows[k].index, table.rows[k].reply
                    table.remove(k)

    def _continues(self, row: _Row, then: Continue | None, then_tokens: int) -> bool:
        """Take down what a row has written in a stage that is over; whether it begins another one."""
        text = self.tokenizer.decode(row.written)
        if row.reply is not None:
            row.reply = replace(row.reply, continued=text)
            return False
        opening = min(row._free(self.tokenizer), len(row.written))
        row.reply = Completion(text.strip(), row.finish, len(row.prompt), len(row.written), opening=opening)
        more = then(row.index, text) if then and then_tokens else None
        if not more:
            return False
        added = self.tokenizer(more, add_special_tokens=False).input_ids
        if len(added) > TRIGGER:
            raise ValueError(f"stage 2 begins with at most {TRIGGER} tokens, these are {len(added)}")
        held = row.length - len(row.prompt)  # tokens of the answer that are in the cache
        row.length -= max(0, held - len(row.written))  # what was cut off is forgotten
        row.feed = [*row.written[held:], *added]
        row.written, row.finish, row.limit, row.allowance, row.stop = [], None, then_tokens, 0, LINE_END
        return True

    def _one_by_one(
        self, waiting: Iterable[_Row], then: Continue | None, then_tokens: int
    ) -> Iterator[tuple[int, Completion]]:
        """The same answers by the model's own `generate`, for models that remember in another way (a recurrent state, ALiBi).

        A stage 2 reads everything again.
        """
        for row in waiting:
            ids = row.prompt
            while True:
                self._generate(row, ids)
                row.length = len(row.prompt)  # no cache is kept: `feed` is to hold all that was written
                if not self._continues(row, then, then_tokens):
                    break
                ids = ids + row.feed
            yield row.index, row.reply

    def _generate(self, row: _Row, ids: list[int]) -> None:
        import torch
        from transformers import GenerationConfig

        eos = _end_tokens(self.model, self.tokenizer)

        def ended(tokens: Any, scores: Any, **_: Any) -> Any:
            row.take(int(tokens[0, -1]), eos, self.tokenizer)
            return torch.tensor([row.finish is not None], device=tokens.device)

        text = torch.tensor([ids], device=self.model.device)
        greedy = {"do_sample": False, "max_new_tokens": row.limit + row.allowance, "pad_token_id": min(eos, default=0)}
        own, self.model.generation_config = self.model.generation_config, GenerationConfig()  # no penalties of its own
        try:
            self.model.generate(text, attention_mask=torch.ones_like(text), stopping_criteria=[ended], **greedy)
        except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise UserError(
                f"{self.name} cannot answer here ({reason}): serve it with vLLM and use --base-url, or choose another"
            ) from error
        finally:
            self.model.generation_config = own


class _Table:
    """The rows that are answered together, in the order of the cache: those that write, then those that must read."""

    def __init__(self, chat: LocalChat, waiting: Sequence[_Row], room: int) -> None:
        from .cache import Slots  # torch is loaded by who needs it

        self.chat, self.room, self.slots = chat, room, Slots(chat.model)
        self.eos = _end_tokens(chat.model, chat.tokenizer)
        self.shared = _common([row.prompt[:-1] for row in waiting])  # the system line, at least
        self.rows: list[_Row] = []
        self.writing = 0

    def admit(self, waiting: deque[_Row]) -> None:
        """Let in as many waiting rows as there is room for; what is new, or has another stage before it, is read."""
        rows, slots = self.rows, self.slots
        width = self.room + max(len(row.prompt) for row in (*rows, *([waiting[0]] if waiting else [])))
        allowed = max(1, min(self.chat.batch_size, self.chat.batch_tokens // width))
        free = max(0, min(allowed - len(rows), len(waiting)))
        if self.writing and len(rows) - self.writing + free <= allowed // 8:
            return  # a few at a time are read faster than one
        slots.fit(len(rows) + free, width)
        if free and not rows and self.shared:
            slots.forward(0, [waiting[0].prompt[: self.shared]], [0])
        slots.copy(0, range(len(rows), len(rows) + free), self.shared)
        rows.extend(waiting.popleft().begin(self.shared) for _ in range(free))
        self._read()
        self.writing = len(rows)

    def _read(self) -> None:
        """Bring what the rows that do not write have to read, all but its last token, into the cache."""
        rows, first = self.rows, self.writing
        while first < len(rows):
            longest, last = len(rows[first].feed), first + 1
            most = max(1, READ_TOKENS // longest)
            while last < min(len(rows), first + most) and 3 * longest <= 4 * len(rows[last].feed) <= 5 * longest:
                last += 1
            group = rows[first:last]
            if longest > 1:
                self.slots.forward(first, [row.feed[:-1] for row in group], [row.length for row in group])
            for row in group:
                row.length += len(row.feed) - 1
                row.feed = row.feed[-1:]
            first = last

    def step(self) -> Iterator[int]:
        """Write one token in each row that writes; yields the places of those that end with it, the last first."""
        writing = self.rows[: self.writing]
        chosen = self.slots.forward(0, [row.feed for row in writing], [row.length for row in writing])
        for k, token in reversed(list(enumerate(chosen.argmax(-1).tolist()))):
            self.rows[k].take(token, self.eos, self.chat.tokenizer)
            if self.rows[k].finish is not None:
                yield k

    def set_aside(self, k: int) -> None:
        """Row k has something to read: it changes places with the last row that writes."""
        self.writing -= 1
        row, other = self.rows[k], self.rows[self.writing]
        self.slots.swap(k, self.writing, max(row.length, other.length))
        self.rows[k], self.rows[self.writing] = other, row

    def remove(self, k: int) -> None:
        """Row k is done: the last row that writes takes its place, and the last of all takes that one's."""
        self.writing -= 1
        other, last = self.rows[self.writing], self.rows[-1]
        self.slots.copy(self.writing, [k], other.length)
        self.slots.copy(len(self.rows) - 1, [self.writing], last.length)
        self.rows[k] = other
        self.rows[self.writing] = last
        self.rows.pop()


@dataclass
class _Row:
    """A conversation that is being answered."""

    index: int
    prompt: list[int]
    limit: int  # tokens of the answer
    allowance: int = 0  # and of an opening before it
    opening: int | None = None  # tokens that the opening took; None: it has not ended yet
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
        elif (room := self.limit + self._free(tokenizer)) <= len(self.written):
            self.written, self.finish = self.written[:room], "length"

    def _free(self, tokenizer: Any) -> int:
        """How many of the written tokens do not count, because they belong to the opening."""
        if not self.allowance:
            return 0
        if self.opening is None:
            text = tokenizer.decode(self.written)
            opening = strategies.opening(text)
            if opening and opening.endswith("]"):
                self.opening = len(self.written)
            elif opening is None and text.strip():
                self.opening = 0
        return min(self.allowance, len(self.written) if self.opening is None else self.opening)


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


def local_chat(profile: Profile, name: str | Path | None = None, prompt: str = "frame") -> LocalChat:
    """A model in this process, named by its weights and their precision (so that a journal never mixes two models).

    `prompt` as for `LocalChat`; "chat" is a UserError for a model whose tokenizer has no chat template.
    """
    name = str(name or profile.model)
    if prompt == "chat" and models.tokenizer(profile, name).chat_template is None:
        raise UserError(f"{Path(name).name} has no chat template of its own: ask it in the paper's frame")
    model, tokenizer = models.load(profile, name)
    precision = "nf4" if profile.quantized else profile.dtype
    suffix = "" if precision == "float32" else f" in {precision}"
    size, tokens = profile.generation_batch, profile.generation_tokens
    return LocalChat(model, tokenizer, models.fingerprint(name) + suffix, size, tokens, prompt)
