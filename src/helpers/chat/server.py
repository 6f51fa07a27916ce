"""`EndpointChat`: answers of any OpenAI-compatible server (OpenAI, vLLM, `transformers serve`)."""

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
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .. import models, strategies
from ..errors import UserError
from . import money, retry, thinking
from .asking import OPENING_CALLS
from .local import LINE_END, NEW_TURN
from .messages import Completion, Continue, Messages, frame, user
from .replies import ServersError, answered_as, cut_prompt, opened_by_template, read_reply
from .wishes import Wishes

LONGEST_WAIT = 600.0  # seconds; if a server asks for more, the user gets a message instead


class EndpointChat:
    """Completions from an OpenAI-compatible server (OpenAI, vLLM, `transformers serve`).

    Key and address come from OPENAI_API_KEY and OPENAI_BASE_URL unless given; they are never written anywhere.
    `prompt`: "chat" asks through /v1/chat/completions, in the server's own template; "frame" through /v1/completions,
    word for word as `LocalChat` does, and may go on in the same turn.
    `price`: USD per million tokens read and written, `max_usd`: the cap; `meter` counts both as answers come.
    `timeout`: seconds a request may be silent.
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
        price: money.Price | None = None,
        max_usd: float | None = None,
        first_pause: float = 0.5,
    ) -> None:
        self.model, self.concurrency, self.timeout, self.first_pause = model, concurrency, timeout, first_pause
        self.prompt = prompt
        self.name = os.path.basename(model) if os.path.isabs(model) else model  # a folder's path is nobody's business
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.meter = money.Meter(money.price_of(model, self.base_url, price), max_usd)
        self.pause = retry.Pause()
        self.wishes = Wishes(model, chats=prompt == "chat")
        self._answered = False

    def text(self, messages: Messages) -> str:
        """What is sent of a conversation, without the template that a server puts around it."""
        return frame(messages) if self.prompt == "frame" else "\n".join(m["content"] for m in messages)

    @property
    def continues(self) -> bool:
        """Whether it can continue its own turn."""
        return self.prompt == "frame"

    @property
    def turns(self) -> bool:
        """Whether it can be asked in several turns: only the model's tokenizer knows the end token between them."""
        return self.prompt == "chat"

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
        opening_tokens: int = 0,
        thinking_tokens: int = 0,
    ) -> Iterator[tuple[int, Completion]]:
        """As `LocalChat.complete`; how many tokens an opening took is estimated from its share of the text.

        A server that is asked with prompt "chat" cannot continue its own turn: `then` is a new user turn. A model that
        thinks may have up to `thinking_tokens` for that; the answer has the room of an answer without.

        When something ends the work early (a refused key, the cap, Ctrl-C), answers that are already under way
        are still waited for and yielded, because they are paid for; then the reason is raised.
        """
        self.client  # noqa: B018  a missing key is reported here, not by every thread
        finished: SimpleQueue[tuple[int, Completion | None, BaseException | None]] = SimpleQueue()
        stop = threading.Event()

        def work(i: int) -> None:
            try:
                ask = self._framed if self.prompt == "frame" else self._chatted
                room = (thinking_tokens, temperature, stop)
                asking = (max_tokens, *room), (then_tokens, *room), opening_tokens
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
        self, messages: Messages, go_on: Callable[[str], str | None], stage1: tuple, stage2: tuple, opening_tokens: int
    ) -> Completion:
        """Both stages as turns of a chat. It cannot continue a reply: one that has more than its room is cut."""
        max_tokens, *rest = stage1
        first = _cut(self._ask(messages, max_tokens + opening_tokens, *rest), max_tokens, opening_tokens, rest[0])
        only_thought = first.thinking and not first.text
        if first.finish == "too long" or only_thought or (more := go_on(first.text)) is None:
            return first
        turns = [*messages, {"role": "assistant", "content": first.text}, *user(more.strip())]
        second = self._ask(turns, *stage2)
        thought = "\n".join(filter(None, (first.thinking, second.thinking)))
        return replace(first, continued=second.text, finish=_of_both(first, second), thinking=thought)

    def _framed(
        self, messages: Messages, go_on: Callable[[str], str | None], stage1: tuple, stage2: tuple, opening_tokens: int
    ) -> Completion:
        """Both stages as one text that is continued, stopped where `LocalChat` stops; a long opening is continued, too."""
        if len(messages) > 1:
            raise ValueError("one question: only the model's tokenizer knows the end token that parts several turns")
        prompt = frame(messages)
        max_tokens, *rest = stage1
        first = self._ask(prompt, *stage1, until="\nUSER:")
        for _ in range(OPENING_CALLS):
            first = replace(first, opening=min(opening_tokens, _opening(first)))
            left = max_tokens + first.opening - first.tokens
            if first.finish != "length" or not first.opening or left <= 0:
                break
            more = self._ask(prompt + first.text, left, *rest, until="\nUSER:")
            text, tokens = first.text + more.text, first.tokens + more.tokens
            first = replace(first, text=text, tokens=tokens, finish=more.finish)
        if cut := NEW_TURN.search(first.text):
            first = replace(first, text=first.text[: cut.start("cut")], finish="stop")
        reply = thinking.apart(replace(first, text=first.text.strip()))
        if first.finish == "too long" or (more := go_on(first.text)) is None:
            return reply
        second = self._ask(prompt + first.text + more, *stage2)
        cut = LINE_END.search(second.text)
        continued = second.text[: cut.start("cut")] if cut else second.text
        return replace(reply, continued=continued, finish=_of_both(reply, second))

    def _ask(
        self,
        asked: Messages | str,
        max_tokens: int,
        thinking_tokens: int,
        temperature: float,
        stop: threading.Event,
        until: str | None = None,
    ) -> Completion:
        """One answer, paid for at most once: reserve its price, send, and ask again while that may help."""
        size = money.tokens_bound([asked] if isinstance(asked, str) else [m["content"] for m in asked])
        room, refused = self.wishes.room(thinking_tokens), False
        for tries in range(1, self.TRIES + 1):
            stop.wait(self.pause.seconds_left())
            reserved = self.meter.reserve(size, max_tokens + room)
            usage, unknown = (0, 0), False
            try:
                if stop.is_set():
                    raise _Stopped
                found = self._send(asked, self.wishes.parameters(max_tokens + room, temperature), until)
                if isinstance(found, Completion):
                    usage = (found.prompt_tokens, found.tokens)
                    unknown = usage == (0, 0)
                else:
                    unknown = found is not None and found.unknown
            finally:
                self.meter.settle(reserved, *usage, unknown=unknown)
            if isinstance(found, Completion):
                if refused:
                    self.wishes.most = room  # it fits beside a prompt, and more of it did not
                self.wishes.heard(found)
                return found
            if found and room and (found.too_much or (found.slow and self.wishes.thinks is None)):
                room, refused = room // 4 if room > 256 else 0, found.too_much
                continue
            if found and found.instead:
                return found.instead
            if found:
                self._wait_after(found, tries, stop)
        raise UserError(f"the server refuses the parameters of {self.name!r}: choose another model")

    def _send(self, asked: Messages | str, sent: dict[str, Any], until: str | None) -> Completion | _Trouble | None:
        """The answer; what went wrong; or None, where the next request will have the parameters that were asked for."""
        import openai

        try:
            if isinstance(asked, str):
                more = {"stop": [until]} if until else {}
                reply = self.client.completions.create(model=self.model, prompt=asked, **sent, **more)
            else:
                reply = self.client.chat.completions.create(model=self.model, messages=asked, **sent)
            self.wishes.opened |= opened_by_template(reply)
            completion = read_reply(reply, self.wishes.opened)
            self._answered = True
            said = answered_as(self.model, getattr(reply, "model", None))
            return replace(completion, answered_as=said, sent=cut_prompt(asked, completion.prompt_tokens))
        except ServersError as error:  # with status 200
            return _Trouble(error.status, error.code, str(error), unknown=True)
        except openai.APIStatusError as error:
            status, code, message = error.status_code, error.code or error.type, error.message
            if code == "content_filter":  # some servers filter the question, with a 400
                return _Trouble(status, code, message, instead=Completion("", "content_filter", 0, 0))
            if status == 400 and _TOO_LONG.search(f"{code} {message}"):
                return _Trouble(status, code, message, instead=Completion("", "too long", 0, 0), too_much=True)
            if status == 400 and _LIMIT_TOO_LARGE.search(message):
                return _Trouble(status, code, message, too_much=True)
            if status in (400, 422) and self.wishes.adapt(f"{error.code} {error.param} {error.message}", sent):
                return None
            if status == 404 and isinstance(asked, str):
                raise UserError(
                    f"the server completes no text with {self.name!r}: check --model, or use --prompt chat"
                ) from None
            return _Trouble(status, code, message, _retry_after(error.response))
        except openai.APIConnectionError as error:
            sent_already = "Connect" not in type(error.__cause__).__name__  # and may be billed
            slow = isinstance(error, openai.APITimeoutError)
            return _Trouble(None, None, str(error), unknown=sent_already, slow=slow)
        except (ValueError, AttributeError, TypeError):  # an answer that is no JSON, half of one, or no completion
            return _Trouble(None, None, "not JSON", unknown=True)

    def _wait_after(self, trouble: _Trouble, tries: int, stop: threading.Event) -> None:
        """Pause before the same request is sent again; UserError where that would not help."""
        patient = self._answered or trouble.status is not None or tries < 3  # a wrong address is reported soon
        if not retry.worth_asking_again(trouble.status, trouble.code) or tries == self.TRIES or not patient:
            secret = os.environ.get("OPENAI_API_KEY")
            raise UserError(retry.explain(trouble.status, trouble.code, trouble.message, self.name, secret))
        if trouble.wait is not None and trouble.wait > LONGEST_WAIT:
            raise UserError(
                f"the server asks to come back in {trouble.wait / 60:.0f} minutes: run again then, nothing is lost"
            )
        pause = retry.pause_before(tries, trouble.wait, self.first_pause)
        if trouble.status == 429:
            self.pause.hold(pause)
        else:
            stop.wait(pause)


@contextmanager
def _first_interrupt(call: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls `call`, and the work continues; the second interrupts as usual."""
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


def _opening(reply: Completion) -> int:
    """Tokens of a reply's opening, by its share of the characters."""
    opening = strategies.opening(reply.text)
    return round((reply.tokens - reply.thought) * len(opening) / len(reply.text.strip())) if opening else 0


def _cut(reply: Completion, max_tokens: int, opening_tokens: int, thinking_tokens: int) -> Completion:
    """A reply without what goes beyond the room of an answer, where it had more: for an opening, or to think."""
    opening = min(opening_tokens, _opening(reply))
    room = max_tokens + opening
    written = min(reply.tokens - reply.thought, money.tokens_in(reply.text, 3.0))  # a server may not report thinking
    if not (opening_tokens or thinking_tokens) or written <= room:
        return replace(reply, opening=opening)
    text = reply.text[: len(reply.text) * room // written]
    return replace(reply, text=text.rstrip(), tokens=room + reply.thought, finish="length", opening=opening)


def _of_both(first: Completion, second: Completion) -> str:
    """The finish of an answer in two stages: the first one's, unless there was no room for the second."""
    return second.finish if second.finish == "too long" else first.finish


_TOO_LONG = re.compile(  # OpenAI's code; vLLM's two messages; llama.cpp's type
    r"context_length_exceeded|maximum context length|longer than the maximum model length|exceed_context_size"
)


_LIMIT_TOO_LARGE = re.compile(r"max_(?:completion_)?tokens.*(?:too large|at most|less than|maximum)", re.DOTALL)


@dataclass(frozen=True)
class _Trouble:
    """A request without an answer."""

    status: int | None  # None: no answer came, or not a whole one
    code: str | None
    message: str
    wait: float | None = None  # seconds, where the server named them
    unknown: bool = False  # whether it may have been billed all the same
    instead: Completion | None = None  # what is kept of a question that the server refused to read
    too_much: bool = False  # whether less room for the reply might be accepted
    slow: bool = False  # whether it was silent for too long: it may write all that it has room for


class _Stopped(Exception):
    """This answer was not begun, because the work ended early."""


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


def endpoint_chat(model: str, **options: Any) -> EndpointChat:
    """A model behind a server, asked in the paper's frame unless `prompt` says "chat"; options as `EndpointChat` takes.

    A model whose folder is at hand is named by its weights, so that a tuned one which is tuned again inherits nothing.
    """
    chat = EndpointChat(model, **{"prompt": "frame"} | options)
    if Path(model).is_dir():
        chat.name = f"{models.fingerprint(model)}, served"
    return chat
