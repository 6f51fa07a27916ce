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
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from queue import SimpleQueue
from typing import Any

from . import endpoint
from .errors import UserError
from .roles import SYSTEM

NEW_TURN = re.compile(r"(?P<cut>\nUSER:)")  # a model that was not tuned goes on with the user's next question
LINE_END = re.compile(r"[^\W_][^\n]*(?P<cut>\n)")  # a line with something in it is a whole answer of stage 2
TRIGGER = 64  # positions kept free for the text that starts stage 2
READ_TOKENS = 4096  # of prompts that are read in one go
ENOUGH = 32  # answers that tell how long the others will take
LONGEST_WAIT = 600.0  # seconds; a server that wants more is told to the user instead

Messages = list[dict[str, str]]  # [{"role": "user" | "assistant", "content": ...}, ...]; the last one is the user's
Continue = Callable[[int, str], str | None]  # (index, first reply) -> text that goes on in the same turn, or None


@dataclass(frozen=True)
class Completion:
    text: str  # the reply, without the end token
    finish: str  # "stop" (the model ended its turn), "length" (cut at the limit), "too long", or a server's own reason
    prompt_tokens: int
    tokens: int  # generated in the first stage
    continued: str = ""  # what followed the text that `then` added


def user(text: str) -> Messages:
    """A conversation that consists of one question."""
    return [{"role": "user", "content": text}]


def frame(messages: Messages, end: str = "") -> str:
    """The prompt of the paper's Figure 2: system line, USER/ASSISTANT turns, open at the assistant's.

    `end`: the model's end token, which closes each turn of the assistant as it does in the training text.

    >>> frame(user("Can brain cells move?"))
    'Below is a chat between a user and an AI assistant.\\nUSER: Can brain cells move?\\nASSISTANT:'
    """
    lines = [SYSTEM]
    for message in messages:
        mine = message["role"] == "assistant"
        lines.append(f"{'ASSISTANT' if mine else 'USER'}: {message['content'].strip()}{end if mine else ''}")
    return "\n".join([*lines, "ASSISTANT:"])


TEMPLATE = (  # `frame` for servers; a system message takes the place of the fixed line
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% else %}" + SYSTEM + "{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '\nUSER: ' + message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}{{ '\nASSISTANT: ' + message['content'] | trim + eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '\nASSISTANT:' }}{% endif %}"
)


def chat_template(tokenizer: Any) -> str:
    """The chat template (Jinja) that asks as `frame` does; saved with a tuned model, every server asks it as we do.

    Servers add no BOS of their own behind a template, so it holds one where the tokenizer would add it.
    """
    bos = tokenizer("x").input_ids[0] == tokenizer.bos_token_id
    return ("{{ bos_token }}" if bos else "") + TEMPLATE


class LocalChat:
    """Greedy completions by a transformers model, many conversations at a time.

    A row that is done leaves at once and a waiting one takes its place, the longest first. As many are answered
    together as `batch_size` and `batch_tokens` (positions in the key/value cache) allow. In float32 the answers do
    not depend on it.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, batch_size: int = 64, batch_tokens: int = 32_768) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.batch_size, self.batch_tokens = batch_size, batch_tokens

    def complete(
        self,
        conversations: Sequence[Messages],
        max_tokens: int,
        then: Continue | None = None,
        then_tokens: int = 0,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index, Completion) as they finish; finish "too long" where prompt and answer exceed the model's context.

        `then(index, reply)` may name a text with which the *same* assistant turn goes on; the model then
        writes up to `then_tokens` more, without reading its prompt twice.
        """
        prompts = [self.tokenizer(frame(m, self.tokenizer.eos_token or "")).input_ids for m in conversations]
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
        from .slots import Slots  # torch is loaded by who needs it

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


def told(
    replies: Iterable[tuple[int, Completion]], n: int, what: str, say: Callable, meter: endpoint.Meter | None = None
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


class EndpointChat:
    """Completions from an OpenAI-compatible server (OpenAI, vLLM, `transformers serve`).

    Key and address come from OPENAI_API_KEY and OPENAI_BASE_URL unless given; they are never written anywhere.
    `prompt`: "chat" asks through /v1/chat/completions, in the server's own template; "frame" through /v1/completions,
    word for word as `LocalChat` does, and may go on in the same turn.
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
        prompt: str = "chat",
        price: endpoint.Price | None = None,
        max_usd: float | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        first_pause: float = 0.5,
    ) -> None:
        self.model, self.concurrency, self.timeout, self.first_pause = model, concurrency, timeout, first_pause
        self.prompt = prompt
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
        """As `LocalChat.complete`; with prompt "chat" a server cannot go on in its own turn: `then` is a new user turn.

        When something ends the work early (a refused key, the cap, Ctrl-C), answers that are already under way
        are still waited for and yielded, because they are paid for; then the reason is raised.
        """
        self.client  # noqa: B018  a missing key is told here, not by every thread
        finished: SimpleQueue[tuple[int, Completion | None, BaseException | None]] = SimpleQueue()
        stop = threading.Event()

        def work(i: int) -> None:
            try:
                ask = self._framed if self.prompt == "frame" else self._chatted
                asking = (max_tokens, temperature, stop), (then_tokens, temperature, stop)
                go_on = (lambda text: then(i, text)) if then else (lambda text: None)
                finished.put((i, ask(conversations[i], go_on, *asking), None))
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

    def _chatted(
        self, messages: Messages, go_on: Callable[[str], str | None], stage1: tuple, stage2: tuple
    ) -> Completion:
        """Both stages as turns of a chat."""
        first = self._ask(messages, *stage1)
        if first.finish == "too long" or (more := go_on(first.text)) is None:
            return first
        turns = [*messages, {"role": "assistant", "content": first.text}, *user(more.strip())]
        second = self._ask(turns, *stage2)
        return replace(first, continued=second.text, finish=_of_both(first, second))

    def _framed(
        self, messages: Messages, go_on: Callable[[str], str | None], stage1: tuple, stage2: tuple
    ) -> Completion:
        """Both stages as one text that is continued, stopped where `LocalChat` stops."""
        if len(messages) > 1:
            raise ValueError("one question: only the model's tokenizer knows the end token that parts several turns")
        prompt = frame(messages)
        first = self._ask(prompt, *stage1, until="\nUSER:")
        if cut := NEW_TURN.search(first.text):
            first = replace(first, text=first.text[: cut.start("cut")], finish="stop")
        reply = replace(first, text=first.text.strip())
        if first.finish == "too long" or (more := go_on(first.text)) is None:
            return reply
        second = self._ask(prompt + first.text + more, *stage2)
        cut = LINE_END.search(second.text)
        continued = second.text[: cut.start("cut")] if cut else second.text
        return replace(reply, continued=continued, finish=_of_both(first, second))

    def _ask(
        self,
        asked: Messages | str,
        max_tokens: int,
        temperature: float,
        stop: threading.Event,
        until: str | None = None,
    ) -> Completion:
        """One answer, paid for at most once: reserve its price, keep the pace, ask until there is an answer."""
        import openai

        size = endpoint.at_most([asked] if isinstance(asked, str) else [m["content"] for m in asked])
        for tries in range(1, self.TRIES + 1):
            stop.wait(self.pace.seconds_to_wait(size + max_tokens))
            reserved = self.meter.reserve(size, max_tokens)
            usage, unknown = (0, 0), False
            try:
                if stop.is_set():
                    raise _Stopped
                sent = self.parameters(max_tokens, temperature)
                if isinstance(asked, str):
                    sent |= {"stop": [until]} if until else {}
                    reply = self.client.completions.create(model=self.model, prompt=asked, **sent)
                else:
                    reply = self.client.chat.completions.create(model=self.model, messages=asked, **sent)
                completion = read_reply(reply)
                usage = (completion.prompt_tokens, completion.tokens)
                unknown = usage == (0, 0)
                self._answered = True
                return completion
            except openai.APIStatusError as error:
                status, code, message = error.status_code, error.code or error.type, error.message
                if code == "content_filter":  # some servers filter the question, with a 400
                    return Completion("", "content_filter", 0, 0)
                if status == 400 and _TOO_LONG.search(f"{code} {message}"):
                    return Completion("", "too long", 0, 0)
                if status == 400 and self.adapt(error, sent):
                    continue
                if status == 404 and isinstance(asked, str):
                    raise UserError(
                        f"the server completes no text with {self.name!r}: check --model, or use --prompt chat"
                    ) from None
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


def _of_both(first: Completion, second: Completion) -> str:
    """The finish of an answer in two stages: the first one's, unless there was no room for the second."""
    return second.finish if second.finish == "too long" else first.finish


_TOO_LONG = re.compile(  # OpenAI's code; vLLM's two messages; llama.cpp's type
    r"context_length_exceeded|maximum context length|longer than the maximum model length|exceed_context_size"
)


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
    if not reply.choices:
        return Completion("", "empty", *counts)
    choice = reply.choices[0]
    if isinstance(getattr(choice, "text", None), str):  # of /v1/completions: as it came, to be gone on from
        return Completion(choice.text, choice.finish_reason or "stop", *counts)
    if choice.message is None:
        return Completion("", "empty", *counts)
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
