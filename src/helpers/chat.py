"""One interface to every model: conversations in, completions out, as they finish.

`LocalChat` runs a transformers model in this process; `EndpointChat` speaks to any
OpenAI-compatible server. The annotator, the tuned model and the judge are all the same thing to
the rest of the course: something with a `name` and a `complete` method.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from queue import SimpleQueue
from typing import Any

from . import endpoint
from .errors import UserError
from .roles import SYSTEM

NEW_TURN = re.compile(r"(?P<cut>\nUSER:)")  # a model that was not tuned goes on with the user's next question
LINE_END = re.compile(r"[^\W_][^\n]*(?P<cut>\n)")  # a line with something in it is a whole answer of stage 2
LONGEST_WAIT = 600.0  # seconds; a server that wants more is told to the user instead

Messages = list[dict[str, str]]  # [{"role": "user" | "assistant", "content": ...}, ...]; the last one is the user's
Continue = Callable[[int, str], str | None]  # (index, first reply) -> text that goes on in the same turn, or None


@dataclass(frozen=True)
class Completion:
    text: str  # the reply, without the end token
    finish: str  # "stop" (the model ended its turn), "length" (cut at the limit), or a server's own reason
    prompt_tokens: int
    tokens: int  # generated in the first stage
    continued: str = ""  # what followed the text that `then` added


def user(text: str) -> Messages:
    """A conversation that consists of one question."""
    return [{"role": "user", "content": text}]


def frame(messages: Messages) -> str:
    """The prompt of the paper's Figure 2: system line, USER/ASSISTANT turns, open at the assistant's.

    >>> frame(user("Can brain cells move?"))
    'Below is a chat between a user and an AI assistant.\\nUSER: Can brain cells move?\\nASSISTANT:'
    """
    lines = [SYSTEM]
    for message in messages:
        lines.append(f"{'USER' if message['role'] == 'user' else 'ASSISTANT'}: {message['content'].strip()}")
    return "\n".join([*lines, "ASSISTANT:"])


class LocalChat:
    """Greedy completions by a transformers model, in left-padded batches of similar length.

    Rows that finish leave the batch. In float32 the answers do not depend on the batch.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, batch_size: int = 32) -> None:
        self.model, self.tokenizer, self.name, self.batch_size = model, tokenizer, name, batch_size

    def complete(
        self,
        conversations: Sequence[Messages],
        max_tokens: int,
        then: Continue | None = None,
        then_tokens: int = 0,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index, Completion) as they finish.

        `then(index, reply)` may name a text with which the *same* assistant turn goes on; the model then
        writes up to `then_tokens` more, without reading its prompt twice.
        """
        prompts = [self.tokenizer(frame(m)).input_ids for m in conversations]
        limit = getattr(self.model.config, "max_position_embeddings", None)
        for i, ids in enumerate(prompts):
            if limit and len(ids) + max_tokens + then_tokens > limit:
                raise UserError(
                    f"prompt {i} has {len(ids)} tokens, more than {self.name} can read: shorten the question"
                )
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)  # the largest batch first
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield from _Batch(self, rows, [prompts[i] for i in rows], max_tokens + then_tokens + 64).run(
                max_tokens, then, then_tokens
            )


class _Batch:
    """The tokens, masks and key/value cache of some rows that are answered together.

    A token that must not be seen (padding, a stop string, the tail of a finished row) stays in the
    cache and is masked: nothing is moved, so a row can go on in a second stage where it stopped.
    """

    def __init__(self, chat: LocalChat, rows: list[int], prompts: list[list[int]], room: int) -> None:
        import torch
        from transformers import StaticCache

        self.chat, self.rows, self.prompts = chat, rows, prompts
        width = max(map(len, prompts))
        pad = chat.tokenizer.pad_token_id
        self.device = chat.model.device
        padded = [[pad] * (width - len(p)) + p for p in prompts]
        mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
        self.mask = torch.tensor(mask, device=self.device)
        self.cache = StaticCache(config=chat.model.config, max_cache_len=width + room)
        self.logits = self._forward(torch.tensor(padded, device=self.device))

    def _forward(self, ids):
        """Logits after the last of `ids` ([rows, n]); positions count only what may be seen."""
        import torch

        n = ids.shape[1]
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -n:]
        with torch.inference_mode():
            out = self.chat.model(
                input_ids=ids,
                attention_mask=self.mask,
                position_ids=positions,
                past_key_values=self.cache,
                logits_to_keep=1,
            )
        return out.logits[:, -1]

    def _feed(self, ids, new_mask) -> None:
        import torch

        self.mask = torch.cat([self.mask, new_mask], dim=1)
        self.logits = self._forward(ids)

    def _select(self, keep: list[int]) -> _Batch:
        """A batch of some of the rows, with their part of the cache."""
        import torch

        part = object.__new__(_Batch)
        index = torch.tensor(keep, device=self.device)
        part.chat, part.device = self.chat, self.device
        part.rows, part.prompts = [self.rows[k] for k in keep], [self.prompts[k] for k in keep]
        part.mask, part.logits = self.mask[index], self.logits[index]
        part.cache = _select_cache(self.cache, index)
        return part

    def _generate(self, max_tokens: int, stop: re.Pattern) -> Iterator[tuple[_Batch, list[tuple[str, str, int]]]]:
        """Greedy decoding. Yields parts of the batch whose rows are done, each with (text, finish, tokens)."""
        import torch

        batch, tokenizer = self, self.chat.tokenizer
        eos = _end_tokens(self.chat.model, tokenizer)
        written: list[list[int]] = [[] for _ in batch.rows]
        finish: list[str | None] = [None] * len(batch.rows)
        start = batch.mask.shape[1]
        for step in range(max_tokens + 1):
            if step == max_tokens:
                finish = [f or "length" for f in finish]
            else:
                chosen = batch.logits.argmax(-1)
                alive = []
                for k, token in enumerate(chosen.tolist()):
                    if finish[k] is None and token in eos:
                        finish[k] = "stop"
                    if finish[k] is None:
                        written[k].append(token)
                    alive.append(int(finish[k] is None))
                if any(alive):
                    batch._feed(chosen[:, None], torch.tensor(alive, device=self.device)[:, None])
                for k in (k for k, f in enumerate(finish) if f is None):
                    if stop.search(tokenizer.decode(written[k][-12:])):
                        keep = _before(tokenizer, written[k], stop)
                        batch.mask[k, start + keep : start + len(written[k])] = 0
                        written[k], finish[k] = written[k][:keep], "stop"
            done = [k for k, f in enumerate(finish) if f is not None]
            # Splitting copies the cache: wait until a third of the rows are done, or all.
            if done and (len(done) == len(batch.rows) or 3 * len(done) >= len(batch.rows)):
                replies = [(tokenizer.decode(written[k]), finish[k], len(written[k])) for k in done]
                yield (batch if len(done) == len(batch.rows) else batch._select(done)), replies
                going = [k for k, f in enumerate(finish) if f is None]
                if not going:
                    return
                batch = batch._select(going)
                written, finish = [written[k] for k in going], [None] * len(going)

    def run(self, max_tokens: int, then: Continue | None, then_tokens: int) -> Iterator[tuple[int, Completion]]:
        for part, replies in self._generate(max_tokens, NEW_TURN):
            seconds = [then(i, text) if then else None for i, (text, _, _) in zip(part.rows, replies)]
            continued = part._continue(seconds, then_tokens)
            for i, prompt, (text, finish, tokens), more in zip(part.rows, part.prompts, replies, continued):
                yield i, Completion(text.strip(), finish, len(prompt), tokens, more)

    def _continue(self, texts: list[str | None], max_tokens: int) -> list[str]:
        """Let every row with a text go on behind it; "" for the others."""
        import torch

        keep = [k for k, t in enumerate(texts) if t is not None]
        if not keep:
            return [""] * len(texts)
        part = self if len(keep) == len(texts) else self._select(keep)
        ids = [self.chat.tokenizer(texts[k], add_special_tokens=False).input_ids for k in keep]
        width = max(map(len, ids))
        pad = self.chat.tokenizer.pad_token_id
        tokens = torch.tensor([[pad] * (width - len(t)) + t for t in ids], device=self.device)
        mask = torch.tensor([[0] * (width - len(t)) + [1] * len(t) for t in ids], device=self.device)
        part._feed(tokens, mask)
        answers = {i: "" for i in part.rows}
        for piece, replies in part._generate(max_tokens, LINE_END):
            answers.update(zip(piece.rows, (text for text, _, _ in replies)))
        result = iter(answers[i] for i in part.rows)
        return [next(result) if k in set(keep) else "" for k in range(len(texts))]


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


def _select_cache(cache: Any, index: Any) -> Any:
    """A copy of a StaticCache with some of its rows."""
    import copy

    part = copy.copy(cache)
    part.layers = []
    for layer in cache.layers:
        row_layer = copy.copy(layer)
        row_layer.keys, row_layer.values = layer.keys[index], layer.values[index]
        row_layer.cumulative_length = layer.cumulative_length.clone()
        row_layer.batch_size = len(index)
        part.layers.append(row_layer)
    return part


class EndpointChat:
    """Completions from an OpenAI-compatible server (OpenAI, vLLM, `transformers serve`).

    Key and address come from OPENAI_API_KEY and OPENAI_BASE_URL unless given; they are never written anywhere.
    `price`: USD per million tokens read and written, `max_usd`: the cap; `meter` counts both as answers come.
    `requests_per_minute`, `tokens_per_minute`: the provider's limits; `timeout`: seconds a request may be silent.
    """

    TRIES = 8  # requests for one answer, while the server says "later"

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        *,
        price: endpoint.Price | None = None,
        max_usd: float | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        first_pause: float = 0.5,
    ) -> None:
        self.model, self.concurrency, self.timeout, self.first_pause = model, concurrency, timeout, first_pause
        self.name = os.path.basename(model) if os.path.isabs(model) else model  # a folder's path is nobody's business
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.meter = endpoint.Meter(endpoint.price_of(model, self.base_url, price), max_usd)
        self.pace = endpoint.Pace(requests_per_minute, tokens_per_minute)
        self._limit_name, self._unsupported = "max_tokens", set()  # newer OpenAI models want other names
        self._answered = False

    @cached_property
    def client(self) -> Any:
        """The `openai` client; UserError where neither a key nor a server of one's own is named."""
        import openai

        key = os.environ.get("OPENAI_API_KEY") or ("none" if self.base_url else None)
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UserError("OPENAI_API_KEY holds a line end or another character that no key has: set it again")
        if key is None:
            raise UserError("no API key: set OPENAI_API_KEY, or give the address of a server with --base-url")
        return openai.OpenAI(base_url=self.base_url, api_key=key, timeout=self.timeout, max_retries=0)

    def complete(
        self,
        conversations: Sequence[Messages],
        max_tokens: int,
        then: Continue | None = None,
        then_tokens: int = 0,
        temperature: float = 0.0,
    ) -> Iterator[tuple[int, Completion]]:
        """As `LocalChat.complete`; a server cannot go on in its own turn, so `then` becomes a new user turn.

        When something ends the work early (a refused key, the cap, Ctrl-C), answers that are already under way
        are still waited for and yielded, because they are paid for; then the reason is raised.
        """
        self.client  # noqa: B018  a missing key is told here, not by every thread
        finished: SimpleQueue[tuple[int, Completion | None, BaseException | None]] = SimpleQueue()
        stop = threading.Event()

        def work(i: int) -> None:
            try:
                first = self._ask(conversations[i], max_tokens, temperature, stop)
                more = then(i, first.text) if then else None
                if more is not None:
                    reply = {"role": "assistant", "content": first.text}
                    turns = [*conversations[i], reply, *user(more.strip())]
                    first = replace(first, continued=self._ask(turns, then_tokens, temperature, stop).text)
                finished.put((i, first, None))
            except BaseException as error:
                stop.set()  # at once: what the others have not begun is not begun any more
                finished.put((i, None, error))

        trouble: BaseException | None = None
        left = len(conversations)
        pool = ThreadPoolExecutor(self.concurrency)

        def interrupted() -> None:
            nonlocal trouble
            print("stopping; waiting for the answers that are under way", file=sys.stderr)
            trouble = trouble or KeyboardInterrupt()
            stop.set()

        try:
            with _first_interrupt(interrupted):
                for i in range(left):
                    pool.submit(work, i)
                for _ in range(left):
                    i, reply, error = finished.get()
                    if reply is not None:
                        yield i, reply
                    elif trouble is None and not isinstance(error, _Stopped):
                        trouble = error
            if trouble:
                raise trouble
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def _ask(self, messages: Messages, max_tokens: int, temperature: float, stop: threading.Event) -> Completion:
        """One answer, paid for at most once: reserve its price, keep the pace, ask until there is an answer."""
        import openai

        size = endpoint.at_most([m["content"] for m in messages])
        for tries in range(1, self.TRIES + 1):
            stop.wait(self.pace.seconds_to_wait(size + max_tokens))
            reserved = self.meter.reserve(size, max_tokens)
            usage, unknown = (0, 0), False
            try:
                if stop.is_set():
                    raise _Stopped
                sent = self.parameters(max_tokens, temperature)
                reply = self.client.chat.completions.create(model=self.model, messages=messages, **sent)
                completion = read_reply(reply)
                usage = (completion.prompt_tokens, completion.tokens)
                unknown = usage == (0, 0)
                self._answered = True
                return completion
            except openai.APIStatusError as error:
                status, code, message = error.status_code, error.code or error.type, error.message
                if code == "content_filter":  # some servers filter the question, with a 400
                    return Completion("", "content_filter", 0, 0)
                if status == 400 and self.adapt(error, sent):
                    continue
                wait = _retry_after(error.response)
            except openai.APIConnectionError as error:
                status, code, message, wait = None, None, str(error), None
                unknown = "Connect" not in type(error.__cause__).__name__  # it was sent, and may be billed
            except (ValueError, AttributeError, TypeError):  # an answer that is no JSON, half of one, or no completion
                status, code, message, wait, unknown = None, None, "not JSON", None, True
            finally:
                self.meter.settle(reserved, *usage, unknown=unknown)
            patient = self._answered or status is not None or tries < 3  # a wrong address is told soon
            if not endpoint.worth_asking_again(status, code) or tries == self.TRIES or not patient:
                secret = os.environ.get("OPENAI_API_KEY")
                raise UserError(endpoint.explain(status, code, message, self.name, secret)) from None
            if wait is not None and wait > LONGEST_WAIT:
                raise UserError(
                    f"the server asks to come back in {wait / 60:.0f} minutes: run again then, nothing is lost"
                )
            pause = endpoint.pause_before(tries, wait, self.first_pause)
            if status == 429:
                self.pace.hold(pause)
            else:
                stop.wait(pause)
        raise UserError(f"the server refuses the parameters of {self.name!r}: choose another model")

    def parameters(self, max_tokens: int, temperature: float) -> dict[str, Any]:
        """The parameters of a request, under the names that this model wants."""
        every = {self._limit_name: max_tokens, "temperature": temperature}
        return {name: value for name, value in every.items() if name not in self._unsupported}

    def adapt(self, error: Any, sent: dict[str, Any]) -> bool:
        """Whether a 400 said that this model wants another parameter; the next request has it then."""
        said = f"{error.code} {error.param} {error.message}"
        if "unsupported" not in said.lower():
            return False
        if "max_tokens" in said and "max_tokens" in sent:
            self._limit_name = "max_completion_tokens"
            return True
        if "temperature" in said and "temperature" in sent:
            self._unsupported.add("temperature")
            return True
        return False


@contextmanager
def _first_interrupt(call: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls `call` and goes on, wherever the work is just then; the second interrupts as usual."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield  # somebody else looks after it
        return

    def handler(*_: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        call()

    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


class _Stopped(Exception):
    """This answer was not begun, because the work ended early."""


def read_reply(reply: Any) -> Completion:
    """A server's chat completion (the `openai` client's object) as a Completion; ValueError where it is none.

    A refusal comes in a field of its own with null content, a filtered answer only as a finish reason, and an
    answer without choices as finish "empty".
    """
    usage = getattr(reply, "usage", None)
    counts = (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)
    if not hasattr(reply, "choices") or getattr(reply, "error", None):  # some servers send errors with status 200
        raise ValueError("not a chat completion")
    if not reply.choices or reply.choices[0].message is None:
        return Completion("", "empty", *counts)
    choice = reply.choices[0]
    text = choice.message.content or getattr(choice.message, "refusal", None) or ""
    finish = "refusal" if not choice.message.content and text else (choice.finish_reason or "stop")
    return Completion(text.strip(), finish, *counts)


def _retry_after(response: Any) -> float | None:
    """Seconds that a Retry-After header asks for: milliseconds, seconds, or a date."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return float(response.headers[name]) / divisor
        except (KeyError, ValueError):
            continue
    try:
        return parsedate_to_datetime(response.headers["retry-after"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return None
