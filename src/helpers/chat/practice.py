"""A server on this machine that misbehaves on purpose: meet a 429 or a refusal for free, before you pay for one.

It speaks enough of the OpenAI API for the `openai` client, and answers every request in a *mood*: the
name of one thing that real servers do. Lesson 01 and the tests choose the moods.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

ROLES = ("a practical teacher", "a patient librarian", "a field engineer", "a court interpreter", "a village doctor")
Script = Callable[[str, int], str]  # (question, how often it was asked before) -> mood


def role_reply(question: str) -> str:
    """A reply in form, always the same for the same question."""
    number = int(hashlib.sha256(question.encode()).hexdigest(), 16)
    return (
        f"A: This question is a practice problem involving {len(question.split())} words. "
        f"To better solve it, I will act as {ROLES[number % len(ROLES)]} who has heard it {number % 97} times."
    )


def completion(content: str | None, finish: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    """The JSON of a chat completion."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    usage = {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": usage}


def problem(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error."""
    return {"error": {"message": message, "type": code, "param": param, "code": code}}


_TOO_FAST = problem("Rate limit reached for requests", "rate_limit_exceeded")
MOODS: dict[str, Callable[[str], tuple[int, Any, dict[str, str]]]] = {  # question -> status, body, headers
    "fine": lambda q: (200, completion(role_reply(q)), {}),
    "429": lambda q: (429, _TOO_FAST, {}),
    "429, wait": lambda q: (429, _TOO_FAST, {"Retry-After": "1"}),
    "500": lambda q: (500, problem("The server had an error"), {}),
    "503": lambda q: (503, problem("The engine is overloaded"), {}),
    "web page": lambda q: (200, "<html>Welcome to the hotel's Wi-Fi</html>", {"Content-Type": "text/html"}),
    "empty": lambda q: (200, completion("") | {"choices": []}, {}),
    "refusal": lambda q: (200, completion(None, refusal="I won't choose anybody for this."), {}),
    "sorry": lambda q: (200, completion("I'm sorry, but I can't help with that."), {}),
    "content filter": lambda q: (200, completion(None, "content_filter"), {}),
    "filtered question": lambda q: (400, problem("The prompt was filtered", "content_filter"), {}),
    "cut off": lambda q: (200, completion(role_reply(q)[:60], "length"), {}),
    "chatty": lambda q: (200, completion("Ask a teacher! They know such things."), {}),
    "another language": lambda q: (200, completion("Cette question est un problème de droit. Je serai un avocat."), {}),
    "wrong key": lambda q: (401, problem("Incorrect API key provided", "invalid_api_key"), {}),
    "quota": lambda q: (429, problem("You exceeded your current quota", "insufficient_quota"), {"Retry-After": "1"}),
    "unknown model": lambda q: (404, problem("The model does not exist", "model_not_found"), {}),
    "bad request": lambda q: (400, problem("This request is wrong", "invalid_request_error"), {}),
}
SPECIAL = ("reset", "silence", "half")  # moods without an answer: connection cut, nothing said, half a body


class PracticeServer:
    """`with PracticeServer(script) as server:` an annotator at `server.url`.

    `script`: a mood for everybody, {question: moods, one a request, the last repeats}, or (question, nth) -> mood.
    `delay`: seconds before every answer; `patience`: seconds of silence in the mood "silence".
    `asked` counts requests and `answered` whole replies by question; `diary` lists (question, mood) as they came.
    """

    def __init__(
        self, script: str | Mapping[str, list[str]] | Script = "fine", delay: float = 0.0, patience: float = 3.0
    ):
        self.script, self.delay, self.patience = script, delay, patience
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.diary: list[tuple[str, str]] = []
        self.requests: list[dict[str, Any]] = []  # bodies; never the headers, which hold the key
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def mood(self, question: str, nth: int) -> str:
        """What happens to the nth request (from 0) for a question."""
        if isinstance(self.script, str):
            return self.script
        if isinstance(self.script, Mapping):
            moods = self.script.get(question, ["fine"])
            return moods[min(nth, len(moods) - 1)]
        return self.script(question, nth)

    def __enter__(self) -> PracticeServer:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server._answer(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that went away

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

    def _answer(self, handler: Any, body: dict[str, Any]) -> None:
        text = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        question = text.rsplit("\nQ: ", 1)[-1].strip()
        with self._lock:
            mood = self.mood(question, self.asked[question])
            self.asked[question] += 1
            self.diary.append((question, mood))
            self.requests.append(body)
        self._ending.wait(self.delay)
        if mood == "reset":
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        if mood == "silence":
            self._ending.wait(self.patience)
            handler.close_connection = True
            return
        status, answer, headers = MOODS["fine" if mood == "half" else mood](question)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        if mood == "half":
            data = data[: len(data) // 2]
        handler.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(data))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
        if status == 200 and mood != "half":
            with self._lock:
                self.answered[question] += 1
