"""A server on this machine that misbehaves on purpose: meet a 429 or a refusal for free, before you pay for one.

It speaks enough of the OpenAI API for the `openai` client, and answers every request in a *mood*: the
name of one thing that real servers do. Lesson 01 and the tests choose the moods. In the mood "as its family" it has the
rules of the model that is asked for.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

THOUGHT = "The question asks for an expert. A: This question is a [] problem? No: first I choose a specific profession."
ROLES = ("a practical teacher", "a patient librarian", "a field engineer", "a court interpreter", "a village doctor")
Script = Callable[[str, int], str]  # (question, how often it was asked before) -> mood


def role_reply(question: str) -> str:
    """A reply in form, always the same for the same question."""
    number = int(hashlib.sha256(question.encode()).hexdigest(), 16)
    return (
        f"A: This question is a practice problem involving {len(question.split())} words. "
        f"To better solve it, I will act as {ROLES[number % len(ROLES)]} who has heard it {number % 97} times."
    )


def completion(content: Any, finish: str = "stop", refusal: str | None = None, **fields: Any) -> dict[str, Any]:
    """The JSON of a chat completion; `fields` of the message beside its content. The server adds the model's name."""
    message = {"role": "assistant", "content": content, "refusal": refusal, **fields}
    usage = {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "x", "object": "chat.completion", "created": 0, "choices": choices, "usage": usage}


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
    # reasoning models, and servers that show their thinking
    "thinks aloud": lambda q: (200, completion(f"<think>\n{THOUGHT}\n</think>\n\n{role_reply(q)}"), {}),
    "opened by the template": lambda q: (200, completion(f"{THOUGHT}\n</think>\n\n{role_reply(q)}"), {}),
    "channels": lambda q: (200, completion(_channels(THOUGHT, role_reply(q))), {}),
    "thinks apart": lambda q: (200, completion(role_reply(q), reasoning_content=THOUGHT), {}),
    "only thinks": lambda q: (200, completion("", reasoning=THOUGHT), {}),
    "thinks too long": lambda q: (200, completion(f"<think>\n{THOUGHT} {role_reply(q)}", "length"), {}),
    # the form, with something around it
    "in a fence": lambda q: (200, completion(f"Sure! Here is the role:\n\n```text\n{role_reply(q)}\n```"), {}),
    "in quotes": lambda q: (200, completion(f"“{role_reply(q)}”"), {}),
    "in bold": lambda q: (200, completion(f"**A:** {role_reply(q)[3:]}\n\nLet me know if you need another!"), {}),
    "in parts": lambda q: (
        200,
        completion([{"type": "text", "text": t} for t in re.split("(?<= )", role_reply(q))]),
        {},
    ),
    # other habits
    "no usage": lambda q: (200, completion(role_reply(q)) | {"usage": None}, {}),
    "error with 200": lambda q: (200, problem("The model has no weights left", "bad_model"), {}),
    "busy with 200": lambda q: (200, problem("Provider overloaded, try again"), {}),
    "another model": lambda q: (200, completion(role_reply(q)) | {"model": "tiny-chat-1b"}, {}),
    "cuts the prompt": lambda q: (200, completion(role_reply(q)) | {"usage": dict(_SMALL)}, {}),
}
_SMALL = {"prompt_tokens": 64, "completion_tokens": 40, "total_tokens": 104}


def _channels(thought: str, reply: str) -> str:
    return (
        f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{reply}<|return|>"
    )


# What OpenAI's model families accept, and how many tokens they think at an effort without telling what.
FAMILIES = {
    "gpt-4": {"efforts": (), "thinks": {}},
    "o": {"efforts": ("low", "medium", "high"), "thinks": {"low": 250, "medium": 900}},
    "gpt-5": {"efforts": ("minimal", "low", "medium", "high"), "thinks": {"minimal": 40, "low": 300, "medium": 1200}},
    "gpt-5.": {"efforts": ("none", "low", "medium", "high"), "thinks": {"none": 0, "low": 300, "medium": 1200}},
}


def family_reply(body: Mapping[str, Any], question: str) -> tuple[int, Any, dict[str, str]]:
    """Answer a request as the model that it names would: refused parameters, hidden thinking, the limit of tokens."""
    model = body["model"].rsplit("/", 1)[-1]
    family = FAMILIES[max((name for name in FAMILIES if model.startswith(name)), key=len, default="gpt-4")]
    effort, efforts = body.get("reasoning_effort"), family["efforts"]
    if effort and not efforts:
        return 400, problem("Unrecognized request argument supplied: reasoning_effort"), {}
    if efforts and "max_tokens" in body:
        said = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return 400, problem(f"Unsupported parameter: {said}", "unsupported_parameter", "max_tokens"), {}
    if efforts and body.get("temperature", 1) != 1:
        said = "'temperature' does not support 0 with this model. Only the default (1) value is supported."
        return 400, problem(f"Unsupported value: {said}", "unsupported_value", "temperature"), {}
    if effort and effort not in efforts:
        said = f"'reasoning_effort' does not support '{effort}' with this model. Supported values are: "
        said += ", ".join(f"'{e}'" for e in efforts)
        return 400, problem(f"Unsupported value: {said}", "unsupported_value", "reasoning_effort"), {}
    limit = body.get("max_completion_tokens") or body["max_tokens"]
    thought = family["thinks"].get(effort or "medium", 0)
    cut = thought + 40 > limit
    answer = completion("" if cut else role_reply(question), "length" if cut else "stop")
    written = limit if cut else thought + 40
    details = {"reasoning_tokens": min(thought, limit)}
    answer["usage"] |= {"completion_tokens": written, "completion_tokens_details": details}
    return 200, answer, {}


# Moods without an answer (connection cut, nothing said, half a body), and the one that looks at the whole request.
SPECIAL = ("reset", "silence", "half", "as its family")


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
        if mood == "as its family":
            status, answer, headers = family_reply(body, question)
        else:
            status, answer, headers = MOODS["fine" if mood == "half" else mood](question)
        if isinstance(answer, dict) and "choices" in answer:
            answer = {"model": body["model"]} | answer
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
