"""A loopback server that speaks the Batch API for the real `openai` client, and ends every batch as it is told.

It counts what is submitted: that is the bill. Answers are those of `helpers.practice`, moods included.
"""

from __future__ import annotations

import email
import http.server
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from helpers.chat import practice

Mood = str | tuple[int, Any]  # a name in practice.MOODS, "expired", "lost" (no row at all), or (status, body)


@dataclass(frozen=True)
class Ending:
    """How a batch ends: its status, and what becomes of every question in it."""

    status: str = "completed"
    moods: Mood | Mapping[str, Mood] | Callable[[str], Mood] = "fine"  # for all, by question, or a function of it
    order: Callable[[list], Any] = reversed
    on_the_way: tuple[str, ...] = ("validating", "in_progress")  # what it says before, one a poll
    output_tail: bytes = b""  # stray lines at the end of the output file
    errors: tuple[dict[str, str], ...] = ()  # of a failed batch

    def mood(self, question: str) -> Mood:
        if callable(self.moods):
            return self.moods(question)
        return self.moods.get(question, "fine") if isinstance(self.moods, Mapping) else self.moods


@dataclass
class Submitted:
    id: str
    file: str
    metadata: dict[str, str]
    ending: Ending
    polls: int = 0
    ended: dict[str, Any] | None = None  # its file ids and counts, once it has ended
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def questions(self) -> list[str]:
        return [question_of(line) for line in self.lines]


class BatchProvider:
    """`with BatchProvider(Ending(...), ...) as provider:` the nth batch ends as the nth ending says, the last repeats.

    `troubles`: {"POST /batches": ["500", "fine"]}: moods for whole calls, one a call, then all is well; "lost" does the
    work and cuts the connection. Routes: POST /files, POST /batches, GET /batches, GET /batch, GET /content.
    `hold`: a route whose next call does its work, sets `reached`, and is not answered until the server ends.
    `reached[route]` are events; `batches` holds what was submitted; `calls` counts by route.
    """

    ROUTES = ("POST /files", "POST /batches", "GET /batches", "GET /batch", "GET /content")

    def __init__(self, *endings: Ending, troubles: dict[str, list[str]] | None = None, hold: str | None = None):
        self.endings, self.troubles, self.hold = endings or (Ending(),), troubles or {}, hold
        self.batches: list[Submitted] = []
        self.files: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        self.keys: set[str | None] = set()
        self.reached = {route: threading.Event() for route in self.ROUTES}
        self._ending = threading.Event()
        self._lock = threading.Lock()

    @property
    def submissions(self) -> Counter[str]:
        """How often every question was submitted, in whatever batch."""
        return Counter(question for batch in self.batches for question in batch.questions)

    @property
    def requests(self) -> Counter[str]:
        """How often every request (custom_id) was submitted."""
        return Counter(line["custom_id"] for batch in self.batches for line in batch.lines)

    # --- the API ------------------------------------------------------------------------------------

    def post_files(self, handler: Any, body: bytes) -> tuple[int, Any]:
        head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
        parts = {
            part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
            for part in email.message_from_bytes(head + body).get_payload()
        }
        if parts.get("purpose") != b"batch":
            return 400, practice.problem("purpose must be batch")
        return 200, {"id": self._store(parts["file"]), "object": "file", "purpose": "batch", "status": "processed"}

    def post_batches(self, handler: Any, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body)
        if asked["input_file_id"] not in self.files:
            return 400, practice.problem("no such file", "invalid_request_error")
        if (asked["endpoint"], asked["completion_window"]) != ("/v1/chat/completions", "24h"):
            return 400, practice.problem("wrong endpoint or window")
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].decode().split("\n") if line]
        if len({line["custom_id"] for line in lines}) < len(lines):
            return 400, practice.problem("a custom_id stands twice")
        assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        ending = self.endings[min(len(self.batches), len(self.endings) - 1)]
        number = f"batch_{len(self.batches) + 1}"
        batch = Submitted(number, asked["input_file_id"], asked.get("metadata") or {}, ending, lines=lines)
        self.batches.append(batch)
        return 200, self._shown(batch, "validating")

    def get_batches(self, handler: Any, query: dict[str, str]) -> tuple[int, Any]:
        newest = self.batches[::-1]
        if after := query.get("after"):
            newest = newest[1 + [b.id for b in newest].index(after) :]
        page = newest[: int(query.get("limit", 20))]
        data = [self._shown(b, "in_progress") for b in page]
        last = page[-1].id if page else None
        return 200, {"object": "list", "data": data, "has_more": len(page) < len(newest), "last_id": last}

    def get_batch(self, handler: Any, id: str) -> tuple[int, Any]:
        batch = next((b for b in self.batches if b.id == id), None)
        if batch is None:
            return 404, practice.problem(f"No batch found with id '{id}'.", "not_found")
        batch.polls += 1
        if batch.polls <= len(batch.ending.on_the_way):
            return 200, self._shown(batch, batch.ending.on_the_way[batch.polls - 1])
        if batch.ended is None:
            batch.ended = self._end(batch)
        return 200, self._shown(batch, batch.ending.status) | batch.ended

    def get_content(self, handler: Any, id: str) -> tuple[int, Any]:
        if id not in self.files:
            return 404, practice.problem("No such File object", "not_found")
        return 200, self.files[id]

    def _shown(self, batch: Submitted, status: str) -> dict[str, Any]:
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": batch.file,
            "completion_window": "24h",
            "status": status,
            "created_at": 0,
            "metadata": batch.metadata,
            "request_counts": {"total": len(batch.lines), "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }

    def _end(self, batch: Submitted) -> dict[str, Any]:
        """Write a batch's files; what the provider says of it from now on."""
        if batch.ending.status == "failed":
            return {"errors": {"object": "list", "data": list(batch.ending.errors)}}
        output, error = [], []
        for line in batch.ending.order(batch.lines):
            mood = batch.ending.mood(question_of(line))
            if mood == "lost":
                continue
            row = {"id": f"req_{line['custom_id'][:8]}", "custom_id": line["custom_id"], "error": None}
            if mood == "expired":
                message = "This request could not be executed before the completion window expired."
                error.append(row | {"response": None, "error": {"code": "batch_expired", "message": message}})
                continue
            status, body = practice.MOODS[mood](question_of(line))[:2] if isinstance(mood, str) else mood
            answered = row | {"response": {"status_code": status, "request_id": "x", "body": body}}
            (output if status == 200 else error).append(answered)
        files = {}
        for name, rows, tail in (("output", output, batch.ending.output_tail), ("error", error, b"")):
            data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode() + tail
            files[f"{name}_file_id"] = self._store(data) if data else None
        counts = {"total": len(batch.lines), "completed": len(output), "failed": len(error)}
        return files | {"request_counts": counts}

    def _store(self, data: bytes) -> str:
        name = f"file_{len(self.files) + 1}"
        self.files[name] = data
        return name

    # --- the server ---------------------------------------------------------------------------------

    def __enter__(self) -> BatchProvider:
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                provider._answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self) -> None:
                provider._answer(self, b"")

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _route(self, handler: Any, body: bytes) -> tuple[str, Callable[[], tuple[int, Any]]]:
        path, _, query = handler.path.removeprefix("/v1/").partition("?")
        match handler.command, path.split("/"):
            case "POST", ["files"]:
                return "POST /files", lambda: self.post_files(handler, body)
            case "POST", ["batches"]:
                return "POST /batches", lambda: self.post_batches(handler, body)
            case "GET", ["batches"]:
                pairs = dict(pair.split("=") for pair in query.split("&") if pair)
                return "GET /batches", lambda: self.get_batches(handler, pairs)
            case "GET", ["batches", id]:
                return "GET /batch", lambda: self.get_batch(handler, id)
            case "GET", ["files", id, "content"]:
                return "GET /content", lambda: self.get_content(handler, id)
        return handler.path, lambda: (404, practice.problem(f"Invalid URL {handler.path}"))

    def _answer(self, handler: Any, body: bytes) -> None:
        with self._lock:
            route, work = self._route(handler, body)
            self.calls[route] += 1
            self.keys.add(handler.headers.get("Authorization"))
            mood = self.troubles[route].pop(0) if self.troubles.get(route) else "fine"
            status, answer = work() if mood in ("fine", "lost") else practice.MOODS[mood]("")[:2]
            held = self.hold == route
            if held:
                self.hold = None
        if route in self.reached:
            self.reached[route].set()
        if held:
            self._ending.wait()
        if held or mood == "lost":
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        kind = "text/html" if isinstance(answer, str) else "application/json"
        data = answer.encode() if isinstance(answer, str) else answer
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        handler.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Retry-After-Ms": "1"}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)


def question_of(line: dict[str, Any]) -> str:
    """The question in a line of a batch's input file."""
    return line["body"]["messages"][-1]["content"].rsplit("\nQ: ", 1)[-1].strip()
