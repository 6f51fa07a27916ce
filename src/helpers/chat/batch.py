"""A provider's Batch API as a chat model: half the price, an answer within a day; submit, poll, collect.

The one idea: the ticket. Before a batch is submitted its tag is on the disk, and its id as soon as the
provider has named it, so a process that is killed and started again collects the batch it paid for
and never submits it twice.
"""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..errors import UserError
from . import journal, money, retry
from .messages import Completion, Messages
from .server import EndpointChat, read_reply

ENDED = ("completed", "expired", "cancelled", "failed")
MOST = 50_000  # requests in one batch (OpenAI's limit)
ROUNDS = 3  # batches in which a request may go unanswered before we give up on it
TRIES = 6  # to create a batch, while the server says "later" or nothing at all
NO_BATCHES = "the server has no Batch API: check --base-url, or run without --batch"


class BatchChat:
    """Completions through the Batch API of `chat`'s server. `folder` keeps the ticket, batch.json.

    Answers that a run collects without having asked for them (a batch of another data file, or of second attempts)
    are paid for too: they wait beside the ticket in batch_unclaimed.jsonl.
    """

    def __init__(self, chat: EndpointChat, folder: Path, poll_seconds: float = 30.0, say: Callable = print) -> None:
        self.chat, self.name, self.poll_seconds, self.say = chat, chat.name, poll_seconds, say
        self.path, self.unclaimed = folder / "batch.json", folder / "batch_unclaimed.jsonl"
        price = chat.meter.price
        discounted = price and (price[0] * money.BATCH_DISCOUNT, price[1] * money.BATCH_DISCOUNT)
        self.meter = chat.meter = money.Meter(discounted, chat.meter.max_usd)
        self._sent: dict[str, Any] = {}  # the parameters of the batch that is collected

    @property
    def client(self) -> Any:
        return self.chat.client.with_options(max_retries=6)

    def under_way(self) -> set[str]:
        """The ids of requests that are submitted already, or answered: they cost nothing more."""
        return set(self._ticket().get("ids", ())) | set(self._waiting())

    def request_id(self, messages: Messages, max_tokens: int, temperature: float) -> str:
        """The custom_id of a request: the same question has the same id after a restart, whatever its place."""
        params = {"max_tokens": max_tokens, "temperature": temperature}
        return journal.key(self.name, params, json.dumps(messages, ensure_ascii=False))

    def complete(
        self, conversations: Sequence[Messages], max_tokens: int, temperature: float = 0.0
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index, Completion), in the provider's order, when the batch has ended.

        What a batch leaves unanswered (it expired, or single requests failed in passing) goes into the next one.
        """
        ids = [self.request_id(m, max_tokens, temperature) for m in conversations]
        wanted = {id: i for i, id in enumerate(ids)}
        tried: dict[str, int] = {}
        for id, completion in self._waiting().items():
            if id in wanted:
                yield wanted.pop(id), self._paid(completion)
        while wanted:
            ticket = self._ticket()
            if not ticket:
                ticket = self._submit({id: conversations[i] for id, i in wanted.items()}, max_tokens, temperature)
            batch = self._wait(ticket)
            self._sent = self.chat.parameters(max_tokens, temperature)
            stop_because, others = None, {}
            for id, result in self._collect(batch):
                if id in wanted and isinstance(result, Completion):
                    yield wanted.pop(id), self._paid(result)
                elif id in wanted:
                    stop_because = stop_because or result
                elif isinstance(result, Completion) and id in ticket["ids"] and id not in ids:
                    others[id] = result  # of an earlier run, which may have died before it kept them
            self._set_aside(others)
            self.path.unlink(missing_ok=True)
            if stop_because:
                raise UserError(stop_because)
            if wanted and batch.status == "cancelled":
                raise UserError(
                    f"batch {batch.id} was cancelled: its finished answers are kept; run again for the rest"
                )
            for id in wanted:
                tried[id] = tried.get(id, 0) + (id in ticket["ids"])
            if given_up := sum(tried[id] >= ROUNDS for id in wanted):
                raise UserError(f"{given_up} requests stayed unanswered in {ROUNDS} batches: run again later")

    # --- one batch ---------------------------------------------------------------------------------

    def _submit(self, conversations: dict[str, Messages], max_tokens: int, temperature: float) -> dict[str, Any]:
        lines, reserved = {}, 0.0
        for id, messages in list(conversations.items())[:MOST]:
            read = money.at_most([m["content"] for m in messages])
            amount = money.cost(self.meter.price or (0.0, 0.0), read, max_tokens)
            if self.meter.max_usd is not None and self.meter.spent + reserved + amount > self.meter.max_usd:
                break
            reserved += amount
            parameters = self.chat.parameters(max_tokens, temperature)
            body = {"model": self.chat.model, "messages": messages, **parameters}
            lines[id] = {"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        if not lines:
            self.meter.reserve(read, max_tokens)  # raises with the amounts
        data = io.BytesIO("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines.values()).encode())
        file = self._call(lambda: self.client.files.create(file=("requests.jsonl", data), purpose="batch"))
        ticket = {"tag": uuid.uuid4().hex, "file": file.id, "ids": list(lines), "id": None}
        self._keep(ticket)
        return self._open(ticket)

    def _open(self, ticket: dict[str, Any], perhaps_open: bool = False) -> dict[str, Any]:
        """Create the batch of a ticket and write its id down; look first whether an earlier try did, and died."""
        for tries in range(1, TRIES + 1):
            try:
                batch = (perhaps_open and self._find(ticket)) or self._create(ticket)
                break
            except _Passing:
                if tries == TRIES:
                    raise
                perhaps_open = True
                time.sleep(retry.pause_before(tries, first=self.chat.first_pause))
        ticket["id"] = batch.id
        self._keep(ticket)
        self.say(
            f"submitted batch {batch.id}: {len(ticket['ids']):,} requests; you may stop and run again to collect it"
        )
        return ticket

    def _create(self, ticket: dict[str, Any]) -> Any:
        client = self.client.with_options(max_retries=0)  # an answer may be lost: its own retry would pay twice
        try:
            return self._call(
                lambda: client.batches.create(
                    input_file_id=ticket["file"],
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"course_ticket": ticket["tag"]},
                )
            )
        except _Passing:
            raise
        except UserError:
            self.path.unlink(missing_ok=True)  # refused: nothing is under way
            raise

    def _find(self, ticket: dict[str, Any]) -> Any:
        """The batch of a ticket among the account's, newest first, or None."""
        listed = self._call(lambda: self.client.batches.list(limit=100))
        mine = (b for b in listed if (b.metadata or {}).get("course_ticket") == ticket["tag"])
        return self._call(lambda: next(mine, None))  # the later pages are calls too

    def _wait(self, ticket: dict[str, Any]) -> Any:
        """The batch when it has ended. A ticket without an id was being submitted when the process died."""
        if ticket["id"] is None:
            ticket = self._open(ticket, perhaps_open=True)
        else:
            self.say(f"batch {ticket['id']}: waiting for its end")
        said = None
        while True:
            batch = self._call(
                lambda: self.client.batches.retrieve(ticket["id"]),
                f"the server knows no batch {ticket['id']}: use the key and --base-url it was submitted with, "
                "or remove batch.json to submit again",
            )
            done = batch.request_counts.completed if batch.request_counts else 0
            if (batch.status, done) != said:
                said = (batch.status, done)
                self.say(f"  {batch.status}, {done:,} of {len(ticket['ids']):,}")
            if batch.status == "failed":
                self.path.unlink(missing_ok=True)
                errors = (batch.errors and batch.errors.data) or []
                why = "; ".join(dict.fromkeys(f"{e.code}: {e.message}" for e in errors))[:200] or "no reason given"
                raise UserError(
                    f"the provider did not accept batch {batch.id} ({why}): nothing was charged; run again later"
                )
            if batch.status in ENDED:
                return batch
            time.sleep(self.poll_seconds)

    def _collect(self, batch: Any) -> Iterator[tuple[str, Completion | str | None]]:
        """(custom_id, what came): a Completion, a reason to stop, or None for "ask again".

        A completed batch may have no output file at all, only an error file; an expired one has both.
        """
        gone = f"the server has no answers of batch {batch.id} any more: remove batch.json to submit it again"
        for name in (batch.output_file_id, batch.error_file_id):
            if not name:
                continue
            content = self._call(lambda name=name: self.client.files.content(name), gone).content
            for line in content.splitlines():  # of bytes: a text is cut at U+2028 too, which may stand in a reply
                try:
                    row = json.loads(line)
                    id, result = str(row["custom_id"]), self._read(row)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # not a row: what it should have answered is asked again
                yield id, result

    def _read(self, row: dict[str, Any]) -> Completion | str | None:
        from openai.types.chat import ChatCompletion

        response = row.get("response") or {}
        status, body = response.get("status_code"), response.get("body") or {}
        if status == 200:
            return read_reply(ChatCompletion.construct(**body))
        error = row.get("error") or body.get("error") or {}
        return self._failed(status, error if isinstance(error, dict) else {"message": error})

    def _failed(self, status: int | None, error: dict[str, Any]) -> Completion | str | None:
        code, said = error.get("code") or error.get("type"), str(error.get("message"))
        if code == "content_filter":
            return Completion("", "content_filter", 0, 0)
        if code == "batch_expired" or retry.worth_asking_again(status, code):
            return None
        complaint = SimpleNamespace(code=code, param=error.get("param"), message=said)
        if status == 400 and self.chat.adapt(complaint, self._sent):
            return None
        return retry.explain(status, code, said, self.name, os.environ.get("OPENAI_API_KEY"))

    # --- answers that were paid for ------------------------------------------------------------------

    def _paid(self, completion: Completion) -> Completion:
        self.meter.settle(0.0, completion.prompt_tokens, completion.tokens)
        return completion

    def _set_aside(self, others: dict[str, Completion]) -> None:
        if others:
            with journal.Journal(self.unclaimed) as kept:
                kept.extend({"key": id, **asdict(completion)} for id, completion in others.items())

    def _waiting(self) -> dict[str, Completion]:
        return {row.pop("key"): Completion(**row) for row in journal.read(self.unclaimed)}

    # --- the ticket ----------------------------------------------------------------------------------

    def _ticket(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            ticket = json.loads(self.path.read_text())
            return {name: ticket[name] for name in ("tag", "file", "id")} | {"ids": [*ticket["ids"]]}
        except (ValueError, KeyError, TypeError):
            raise UserError(
                "batch.json is damaged: remove it to submit again (a batch under way is then lost)"
            ) from None

    def _keep(self, ticket: dict[str, Any]) -> None:
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w") as file:
            json.dump(ticket, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def _call(self, do: Callable[[], Any], gone: str = NO_BATCHES) -> Any:
        """A call to the provider; whatever it refuses becomes one line. `gone`: what a 404 means here."""
        import openai

        try:
            answer = do()
            if isinstance(answer, str):
                raise ValueError("a web page")
            return answer
        except openai.APIStatusError as error:
            code, secret = error.code or error.type, os.environ.get("OPENAI_API_KEY")
            why = gone if error.status_code == 404 else None
            why = why or retry.explain(error.status_code, code, error.message, self.name, secret)
            passing = retry.worth_asking_again(error.status_code, code)
            raise (_Passing if passing else UserError)(why) from None
        except (openai.APIConnectionError, ValueError) as error:  # ValueError: half an answer, or none of the API's
            raise _Passing(retry.explain(None, None, str(error), self.name)) from None


class _Passing(UserError):
    """The same call may succeed later; whether this one was carried out is unknown."""
