"""A server that bills, in every mood: asked again when that helps, told in one line when not, and never above the cap."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from collections import Counter
from email.utils import formatdate

import pytest

from helpers import annotate, roles
from helpers.chat import Completion, EndpointChat, journal, money, practice, retry, user
from helpers.chat.practice import PracticeServer
from helpers.data.lima import Dialogue
from helpers.errors import UserError

SOON = 30.0  # seconds; an upper bound for what takes one or two: these machines are noisy


def questions(n):
    return [f"Question number {i}?" for i in range(n)]


def chat_with(server, concurrency=4, timeout=SOON, **more):
    return EndpointChat("m", server.url, concurrency, timeout, **{"first_pause": 0.01, **more})


def ask(chat, n=1, **more):
    return dict(chat.complete([user(q) for q in questions(n)], 16, **more))


def run(out, chat, n=4):
    """Annotate n questions of our own with `chat`."""
    dialogues = [Dialogue(f"q{i}", "mine", (q, "An answer.")) for i, q in enumerate(questions(n))]
    return annotate.annotate(dialogues, out, chat, packaged=False, say=lambda *_: None)


def line_of(call):
    """The one line of the UserError that `call` ends with."""
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def in_journal(out):
    return [r["id"] for r in journal.read(out / "annotations.jsonl")]


@pytest.fixture
def mood(monkeypatch):
    """Add a mood to the practice server: mood(name, status, body, headers) or mood(name, function of the question)."""

    def mood(name, answer, body=None, headers=None):
        function = answer if callable(answer) else lambda q: (answer, body, headers or {})
        monkeypatch.setitem(practice.MOODS, name, function)
        return name

    return mood


# --- every mood of the practice server ------------------------------------------------------------

PASSING = ("429", "429, wait", "500", "503", "web page", "reset", "silence", "half", "busy with 200")
DECLINING = ("refusal", "sorry", "content filter", "filtered question")
OUT_OF_FORM = {"chatty": "malformed", "another language": "malformed", "empty": "malformed", "cut off": "cut off"}
OUT_OF_FORM |= {"only thinks": "cut off", "thinks too long": "cut off"}
READ_ALL_THE_SAME = (
    *("thinks aloud", "opened by the template", "channels", "thinks apart", "in a fence", "in quotes", "in bold"),
    *("in parts", "no usage", "another model", "cuts the prompt", "as its family"),
)
FATAL = {
    "wrong key": "check OPENAI_API_KEY",
    "quota": "add credit",
    "unknown model": "check --model",
    "bad request": "This request is wrong",
    "error with 200": "The model has no weights left",
}


def test_every_mood_has_an_end_that_is_tested_here():
    tested = ["fine", *PASSING, *DECLINING, *OUT_OF_FORM, *FATAL, *READ_ALL_THE_SAME]
    assert sorted(tested) == sorted([*practice.MOODS, *practice.SPECIAL])


@pytest.mark.parametrize("name", [*practice.MOODS, *practice.SPECIAL])
def test_a_mood_ends_as_it_should(name, tmp_path):
    odd = questions(4)[2]
    once = {q: 1 for q in questions(4)}
    if name in FATAL:
        with PracticeServer(name) as server:
            line = line_of(lambda: run(tmp_path, chat_with(server, concurrency=4), 40))
        assert FATAL[name] in line
        assert set(server.asked.values()) == {1}  # no retry
        assert len(server.asked) <= 4, "a worker began another question after a refusal that is meant for all"
        return
    moods = [name, "fine"] if name in PASSING else [name]
    with PracticeServer({odd: moods}) as server:
        rows = run(tmp_path, chat_with(server, timeout=0.6 if name == "silence" else SOON))
    assert [r["id"] for r in rows] == ["q0", "q1", "q2", "q3"]  # nothing is dropped
    others = [r for r in rows if r["id"] != "q2"]
    assert {r["outcome"] for r in others} == {"parsed"}
    outcome, text = rows[2]["outcome"], rows[2]["role"]["text"]
    if name in DECLINING:
        assert (outcome, text) == ("declined", roles.DECLINED.text())
        assert server.asked == once
    elif name in OUT_OF_FORM:
        assert (outcome, text) == (OUT_OF_FORM[name], roles.UNKNOWN.text())
        assert server.asked == once | {odd: annotate.ATTEMPTS}
    else:
        assert outcome == "parsed"
        assert server.asked == once | {odd: len(moods)}
        assert sorted(in_journal(tmp_path)) == ["q0", "q1", "q2", "q3"]


def test_a_server_that_stays_busy_is_left_after_a_number_of_tries_and_nothing_is_lost(tmp_path):
    last = questions(3)[2]
    with PracticeServer({last: ["503"]}) as server:
        line = line_of(lambda: run(tmp_path, chat_with(server, concurrency=1, first_pause=0.001), 3))
    assert line == "the server still answers 503: run again later, nothing is lost"
    assert server.asked[last] == EndpointChat.TRIES
    assert in_journal(tmp_path) == ["q0", "q1"]


def test_a_connection_that_breaks_now_and_then_is_borne_longer_than_one_that_never_was(tmp_path):
    first, second = questions(2)
    with PracticeServer({second: ["reset"] * 5 + ["fine"]}) as server:
        assert [r["outcome"] for r in run(tmp_path / "a", chat_with(server, concurrency=1), 2)] == ["parsed"] * 2
    assert server.asked == {first: 1, second: 6}
    with PracticeServer("reset") as server:
        line = line_of(lambda: run(tmp_path / "b", chat_with(server, concurrency=1), 2))
    assert line.startswith("no answer from the server: check --base-url")
    assert server.asked.total() <= 3


# --- replies ------------------------------------------------------------------------------------


def test_every_reply_reaches_its_own_question(mood):
    mood("echo", lambda q: (200, practice.completion(q.upper() + " "), {}))
    with PracticeServer("echo") as server:
        replies = ask(chat_with(server), 6)
    assert replies == {i: Completion(f"QUESTION NUMBER {i}?", "stop", 300, 40) for i in range(6)}
    body = server.requests[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 16)


def test_stage_2_goes_on_in_the_same_conversation(mood):
    mood("thinks", 200, practice.completion("Thinking."))
    mood("chooses", 200, practice.completion("B"))
    with PracticeServer(lambda q, nth: "chooses" if q.startswith("So") else "thinks") as server:
        (reply,) = ask(chat_with(server), then=lambda i, first: f"\nSo, after {first!r}:", then_tokens=4).values()
    assert (reply.text, reply.continued) == ("Thinking.", "B")
    assert [m["content"] for m in server.requests[1]["messages"]] == [
        "Question number 0?",
        "Thinking.",
        "So, after 'Thinking.':",
    ]
    assert server.requests[1]["max_tokens"] == 4


def test_a_refusal_beside_empty_content_is_kept_as_a_refusal():
    with PracticeServer("refusal") as server:
        reply = ask(chat_with(server))[0]
    assert (reply.text, reply.finish) == ("I won't choose anybody for this.", "refusal")


def test_empty_content_keeps_the_servers_reason():
    with PracticeServer("content filter") as server:
        reply = ask(chat_with(server))[0]
    assert (reply.text, reply.finish) == ("", "content_filter")


def test_without_key_and_address_nothing_is_asked_but_a_bill_can_be_made(tmp_path):
    chat = EndpointChat("gpt-4o-mini")
    with pytest.raises(UserError, match="set OPENAI_API_KEY, or give the address"):
        ask(chat)
    dialogue = Dialogue("d", "mine", ("Why?", "So."))
    assert annotate.plan([dialogue], tmp_path, EndpointChat("gpt-4o-mini"), packaged=False).usd > 0


def test_an_answer_that_names_no_usage_at_all_is_an_answer(mood):
    mood("bare", 200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}]})
    with PracticeServer("bare") as server:
        assert ask(chat_with(server)) == {0: Completion("yes", "stop", 0, 0)}


# --- waiting --------------------------------------------------------------------------------------


def arrivals(moods):
    """A script that plays `moods` one request after the other (the last repeats) and notes when they came."""
    times = []

    def script(question, nth):
        times.append(time.monotonic())
        return moods[min(len(times) - 1, len(moods) - 1)]

    script.times = times
    return script


@pytest.mark.parametrize(
    "status, headers, at_least",
    [
        (429, lambda: {"Retry-After-Ms": "400", "Retry-After": "99"}, 0.4),
        (503, lambda: {"Retry-After-Ms": "400"}, 0.4),
        (429, lambda: {"Retry-After": "1"}, 1.0),
        (429, lambda: {"Retry-After": formatdate(time.time() + 3, usegmt=True)}, 1.5),  # dates have whole seconds
    ],
    ids=["429, milliseconds", "503, milliseconds", "seconds", "a date"],
)
def test_the_servers_own_time_to_come_back_is_kept(mood, status, headers, at_least):
    mood("later", lambda q: (status, practice.problem("later"), headers()))
    script = arrivals(["later", "fine"])
    with PracticeServer(script) as server:
        ask(chat_with(server))
    assert len(script.times) == 2
    assert at_least <= script.times[1] - script.times[0] < at_least + SOON


@pytest.mark.parametrize("header", ["Thu, 01 Jan 1998 00:00:00 GMT", "-5", "soon", "nan", ""])
def test_a_time_to_come_back_that_makes_no_sense_is_ignored(mood, header):
    mood("later", 429, practice.problem("later"), {"Retry-After": header})
    with PracticeServer({questions(1)[0]: ["later", "fine"]}) as server:
        assert ask(chat_with(server))[0].finish == "stop"
    assert server.asked.total() == 2


def test_a_time_to_come_back_that_is_too_long_to_wait_for_is_told(mood):
    mood("later", 429, practice.problem("later"), {"Retry-After": "3600"})
    with PracticeServer("later") as server:
        line = line_of(lambda: ask(chat_with(server)))
    assert line == "the server asks to come back in 60 minutes: run again then, nothing is lost"
    assert server.asked.total() == 1


def test_one_429_holds_all_workers_back(mood):
    """Four requests are under way; one is told to wait. The others get their answers only then, and wait too."""
    held, fine = threading.Event(), practice.MOODS["fine"]
    mood("later", 429, practice.problem("later"), {"Retry-After-Ms": "700"})
    mood("after the 429", lambda q: (held.wait(SOON), fine(q))[1])
    script = arrivals(["later", "after the 429", "after the 429", "after the 429", "fine"])
    with PracticeServer(script) as server:
        chat = chat_with(server, concurrency=4)
        hold = chat.pause.hold
        chat.pause.hold = lambda seconds: (hold(seconds), began.append(time.monotonic()), held.set())
        began = []
        assert len(ask(chat, 12)) == 12
    assert len(script.times) == 13
    assert script.times[4] - began[0] >= 0.65


def test_a_request_that_is_silent_for_too_long_is_given_up_and_asked_again():
    with PracticeServer({questions(1)[0]: ["silence", "fine"]}, patience=SOON) as server:
        began = time.monotonic()
        assert ask(chat_with(server, timeout=0.5))[0].finish == "stop"
        assert 0.5 <= time.monotonic() - began < 10
    assert server.asked.total() == 2


def test_a_server_that_is_not_there_is_told_after_three_tries(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        chat = EndpointChat("m", f"http://127.0.0.1:{taken.getsockname()[1]}/v1", 1, first_pause=0.01)
        pauses = []
        monkeypatch.setattr(retry, "pause_before", lambda *_: pauses.append(1) or 0.01)
        line = line_of(lambda: ask(chat, 20))
    assert line.startswith("no answer from the server: check --base-url")
    assert len(pauses) == 2


def test_the_pause_doubles_has_jitter_and_a_ceiling():
    for tries in range(1, 20):
        full = min(60.0, 0.5 * 2 ** (tries - 1))
        pauses = [retry.pause_before(tries) for _ in range(200)]
        assert full / 2 <= min(pauses) < max(pauses) <= full
        assert max(pauses) - min(pauses) > full / 4
    told = [retry.pause_before(9, 2.0) for _ in range(200)]
    assert 2.0 <= min(told) < max(told) <= 2.5
    assert retry.pause_before(3, -7.0) > 0


@pytest.mark.parametrize(
    "status, code, again",
    [
        (None, None, True),
        *((status, None, True) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
        (429, "rate_limit_exceeded", True),
        *((429, code, False) for code in retry.OUT_OF_QUOTA),
        *((status, None, False) for status in (400, 401, 402, 403, 404, 413, 422)),
        (404, "model_not_found", False),
        (400, "content_filter", False),
    ],
)
def test_only_what_may_pass_is_worth_asking_again(status, code, again):
    assert retry.worth_asking_again(status, code) is again


# --- stopping ------------------------------------------------------------------------------------


def test_answers_under_way_when_another_request_is_refused_for_good_are_still_yielded(mood):
    together, fine = threading.Barrier(4), practice.MOODS["fine"]
    refused = threading.Event()

    def no(q):
        together.wait(SOON)
        refused.set()
        return 401, practice.problem("Incorrect API key provided", "invalid_api_key"), {}

    def later(q):
        together.wait(SOON)
        refused.wait(SOON)
        time.sleep(0.3)  # the refusal is there first
        return fine(q)

    mood("no", no)
    mood("later", later)
    first = questions(1)[0]
    got = []
    with PracticeServer(lambda q, nth: "no" if q == first else "later") as server:
        replies = chat_with(server, concurrency=4).complete([user(q) for q in questions(30)], 16)
        with pytest.raises(UserError, match="check OPENAI_API_KEY"):
            for i, _ in replies:
                got.append(i)
    assert sorted(got) == [1, 2, 3]
    assert server.asked.total() == 4


def test_after_ctrl_c_answers_under_way_are_still_yielded_and_nothing_else_is_asked(mood, capsys):
    together, fine = threading.Barrier(3), practice.MOODS["fine"]

    def under_way(q):
        if together.wait(SOON) == 0:
            time.sleep(0.3)  # the main thread has long begun to wait for answers
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.6)
        return fine(q)

    mood("under way", under_way)
    got = []
    with PracticeServer("under way") as server:
        replies = chat_with(server, concurrency=3).complete([user(q) for q in questions(30)], 16)
        with pytest.raises(KeyboardInterrupt):
            for i, _ in replies:
                got.append(i)
    assert sorted(got) == [0, 1, 2]
    assert server.asked.total() == 3
    assert "waiting for the answers that are under way" in capsys.readouterr().err


# --- parameters that newer models want under another name --------------------------------------


class NewerModel(PracticeServer):
    """Knows max_completion_tokens but not max_tokens, and no temperature: a 400 for either, as OpenAI's gpt-5 does.

    The first `together` refusals are sent only when so many requests have come.
    """

    def __init__(self, together=1):
        super().__init__()
        self.local, self.barriers = threading.local(), {n: threading.Barrier(together) for n in self.WORDS}
        self.early = Counter({n: together for n in self.WORDS})

    WORDS = {  # noqa: RUF012
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0 with this model.",
    }

    def meet(self, name):
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barriers[name].wait(5)

    def _answer(self, handler, body):
        self.local.body = body
        super()._answer(handler, body)

    def mood(self, question, nth):
        for name in self.WORDS:
            if name in self.local.body:
                self.early[name] -= 1
                return f"no {name}, together" if self.early[name] >= 0 else f"no {name}"
        return "fine"


@pytest.fixture
def newer(mood):
    def newer(together):
        server = NewerModel(together)
        for name, words in server.WORDS.items():
            answer = (400, practice.problem(words, f"unsupported_{name}", name), {})
            mood(f"no {name}", lambda q, answer=answer: answer)
            mood(f"no {name}, together", lambda q, answer=answer, name=name: (server.meet(name), answer)[1])
        return server

    return newer


def test_a_model_that_wants_other_parameters_gets_them_after_one_refusal_each(newer):
    with newer(together=1) as server:
        assert len(ask(chat_with(server, concurrency=1), 5)) == 5
    assert server.asked.total() == 5 + 2
    for body in server.requests[2:]:
        assert body["max_completion_tokens"] == 16
        assert not {"max_tokens", "temperature"} & set(body)


def test_several_requests_under_way_may_learn_the_parameters_of_a_model_at_once(newer):
    with newer(together=4) as server:
        assert len(ask(chat_with(server, concurrency=4), 12)) == 12
    assert server.asked.total() <= 12 + 4 * 2


def test_a_400_that_speaks_of_something_else_is_not_tried_with_other_parameters(mood):
    mood("odd", 400, practice.problem("Unsupported parameter: 'messages' is not supported"))
    with PracticeServer("odd") as server:
        line = line_of(lambda: ask(chat_with(server)))
    assert "(400)" in line and "'messages' is not supported" in line
    assert server.asked.total() == 1


# --- money ---------------------------------------------------------------------------------------

READ, WRITTEN = 300, 40  # what the practice server reports for every reply
DEAR = (1000.0, 1000.0)  # USD per million: a reply costs 0.34
A_CALL = 0.34


def reserved(max_tokens=annotate.PARAMS["max_tokens"]):
    """What a call for one of `questions` may cost at DEAR."""
    return money.cost(DEAR, money.tokens_bound([roles.annotation_prompt(questions(1)[0])]), max_tokens)


def test_the_cap_waits_for_calls_under_way_before_it_says_no():
    meter = money.Meter(DEAR, 1.0)
    first = meter.reserve(500, 100)
    outcomes = []

    def second():
        outcomes.append(meter.reserve(500, 100))

    thread = threading.Thread(target=second, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and not outcomes  # 1.2 might be spent, or much less: wait and see
    meter.settle(first, READ, WRITTEN)
    thread.join(SOON)
    assert outcomes == [pytest.approx(0.6)]
    meter.settle(outcomes[0], 500, 100)
    with pytest.raises(money.CapReached, match=r"stopped at 0\.9400 of at most 1 USD"):
        meter.reserve(500, 100)


def test_money_is_counted_from_the_servers_own_usage(tmp_path):
    with PracticeServer({questions(1)[0]: ["429", "500", "503", "fine"]}) as server:
        chat = chat_with(server, concurrency=1, price=(2.0, 8.0))
        run(tmp_path, chat, 5)
    meter = chat.meter
    assert (meter.calls, meter.read, meter.written) == (5, 5 * READ, 5 * WRITTEN)
    assert meter.spent == pytest.approx(5 * (READ * 2 + WRITTEN * 8) / 1e6)


@pytest.mark.parametrize("name", ["silence", "half", "no usage"])
def test_an_answer_of_unknown_usage_is_counted_in_full(mood, name):
    bare = {k: v for k, v in practice.completion("yes").items() if k != "usage"}
    mood("no usage", 200, bare)
    with PracticeServer({questions(1)[0]: [name, "fine"]}) as server:
        chat = chat_with(server, price=DEAR, timeout=0.6 if name == "silence" else SOON)
        ask(chat)
    in_full = money.cost(DEAR, money.tokens_bound(questions(1)), 16)
    assert chat.meter.spent == pytest.approx(in_full + A_CALL * (name != "no usage"))


def test_the_price_of_a_model_is_the_given_one_then_0_on_this_machine_then_the_tables():
    price = money.price_of
    assert price("gpt-4o-mini") == money.PRICES["gpt-4o-mini"]
    assert price("gpt-4o-mini-2024-07-18") == money.PRICES["gpt-4o-mini"]
    assert price("gpt-4o-2024-11-20", "https://eu.api.openai.com/v1") == money.PRICES["gpt-4o"]
    assert price("gpt-4o-mini", given=(9.0, 9.0)) == (9.0, 9.0)
    for here in ("http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:8000/v1"):
        assert price("gpt-4o-mini", here) == price("anything", here) == (0.0, 0.0)
    assert price("gpt-4o-mini", "http://127.0.0.1:1/v1", (1.0, 2.0)) == (1.0, 2.0)
    for unknown in ("gpt-99", "gpt-4o-mini-audio-preview", "GPT-4o", ""):
        assert price(unknown) is None
    assert price("gpt-4o-mini", "https://api.example.org/v1") is None


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "localhost.example.org", "api.notopenai.com"])
def test_a_server_whose_name_only_looks_like_a_known_one_has_no_known_price(host):
    assert money.price_of("gpt-4o-mini", f"https://{host}/v1") is None


def test_a_server_named_in_the_environment_has_its_own_price(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.org/v1")
    assert EndpointChat("gpt-4o-mini").meter.price is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert EndpointChat("gpt-4o-mini").meter.price == (0.0, 0.0)


def test_the_cost_of_tokens_is_per_million():
    assert money.cost((1.25, 10.0), 1_000_000, 0) == 1.25
    assert money.cost((1.25, 10.0), 0, 500_000) == 5.0


def test_a_bill_says_calls_tokens_price_cap_and_the_month_of_the_table():
    line = str(money.Bill("gpt-x", 1030, 412_000, 46_350, 0.1234, 0.5678, 1.0, (0.15, 0.6)))
    for part in ("gpt-x", "1,030 calls", "412,000 tokens", "46,350", "0.12 USD", "at most 0.57", "cap 1 USD"):
        assert part in line
    assert money.PRICES_OF in line and "\n" not in line


# --- what is said ----------------------------------------------------------------------------------

STATUSES = [None, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("code", [None, "insufficient_quota", "model_not_found", "invalid_request_error"])
def test_an_explanation_is_one_line_that_never_shows_a_key(status, code):
    for key, secret in (("sk-canary-1234_5", None), ("sk-proj-AbC*****xyz", None), ("gsk.canary/+=", "gsk.canary/+=")):
        line = retry.explain(status, code, f"Your key\n {key}, is\r\nwrong: {key}", "some-model", secret)
        assert key not in line and "canary" not in line and "AbC" not in line
        assert len(line.splitlines()) == 1
        assert re.search(r"check|add credit|run again|refused a request", line)


def test_a_wrong_request_is_told_in_the_servers_own_words():
    line = retry.explain(400, None, "context length is 4096", "m")
    assert line == "the server refused a request (400): context length is 4096"
    assert len(retry.explain(400, None, "x" * 10_000, "m")) < 300
