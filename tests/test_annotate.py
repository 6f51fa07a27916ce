"""LIMA becomes LIMA-Role: replayed without a server, asked once with one, and never paid for twice."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter

import pytest

from helpers import annotate, journal, roles
from helpers.chat import Completion, EndpointChat, user
from helpers.data.lima import Dialogue, dialogues
from helpers.errors import UserError

MINE = [Dialogue(f"mine-{i}", "mine", (f"My own question number {i}?", f"Answer {i}.")) for i in range(4)]
GOOD = "A: This question is a test problem involving numbers. To better solve it, I will act as a tester who counts."


class FakeChat:
    """Answers by `reply(question, times asked before)`, in the order that `order` gives, and counts."""

    name = "fake-model"

    def __init__(self, reply=lambda question, before: GOOD, order=sorted, stop_after=None):
        self.reply, self.order, self.stop_after = reply, order, stop_after
        self.asked = Counter()

    def complete(self, conversations, max_tokens, then=None, then_tokens=0):
        prompts = [c[-1]["content"] for c in conversations]
        for n, i in enumerate(self.order(range(len(prompts)))):
            if n == self.stop_after:
                raise KeyboardInterrupt
            question = prompts[i].rsplit("\nQ: ", 1)[1]
            answer = self.reply(question, self.asked[question])
            self.asked[question] += 1
            yield i, answer if isinstance(answer, Completion) else Completion(answer, "stop", 100, 30)


def run(out, chat=None, rows=MINE):
    return annotate.annotate(rows, out, chat, say=lambda *_: None)


def written(out):
    return [json.loads(line) for line in (out / "lima_role.jsonl").read_text(encoding="utf-8").splitlines()]


# --- the replay ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    out = tmp_path_factory.mktemp("replay")
    said = []
    rows = annotate.annotate(dialogues("packaged"), out, say=said.append)
    return out, rows, said


def test_the_packaged_annotations_answer_for_all_120_dialogues_without_a_server(replay):
    out, rows, said = replay
    assert [r["id"] for r in rows] == [d.id for d in dialogues("packaged")]
    assert Counter(r["outcome"] for r in rows) == {"parsed": 116, "declined": 4}
    assert said[-1] == "LIMA-Role: 120 dialogues, 116 parsed, 4 declined"
    assert written(out) == rows


def test_exactly_the_declined_dialogues_get_the_ai_assistant(replay):
    _, rows, _ = replay
    declined = [r for r in rows if r["outcome"] == "declined"]
    assert {r["source"] for r in declined} == {"declined"} == {r["source"] for r in rows[-4:]}
    for row in rows:
        assert ("AI assistant" in row["role"]["text"]) == (row["outcome"] == "declined")
    assert {r["role"]["text"] for r in declined} == {roles.DECLINED.text()}


def test_a_row_holds_the_whole_dialogue_and_a_role_in_design_8(replay):
    _, rows, _ = replay
    for row, dialogue in zip(rows, dialogues("packaged"), strict=True):
        assert row["messages"] == dialogue.messages()
        role = row["role"]
        assert role["text"] == roles.render(role["question_description"], role["role_description"], 8)
        assert row["annotator"] == annotate.PACKAGED_ANNOTATOR


def test_the_packaged_journal_answers_the_very_prompt_that_is_sent_today():
    keys = [r["key"] for r in journal.read(annotate.PACKAGED_JOURNAL)]
    assert keys == [annotate.key(annotate.PACKAGED_ANNOTATOR, d.question) for d in dialogues("packaged")]


def test_replaying_twice_changes_no_byte(replay):
    out, rows, _ = replay
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(out, rows=dialogues("packaged")) == rows
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_packaged_questions_are_not_sent_to_a_server(tmp_path):
    chat = FakeChat()
    rows = run(tmp_path, chat, [*dialogues("packaged")[:3], MINE[0]])
    assert chat.asked == {MINE[0].question: 1}
    assert [r["annotator"] for r in rows] == [annotate.PACKAGED_ANNOTATOR] * 3 + ["fake-model"]


def test_an_unknown_question_without_a_server_is_one_line_and_leaves_no_half_made_data(tmp_path):
    with pytest.raises(UserError) as error:
        run(tmp_path, rows=[*dialogues("packaged"), MINE[0]])
    assert str(error.value).startswith("1 of 121 questions have no annotation yet")
    assert "--base-url" in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("lima_role*"))


# --- asking -------------------------------------------------------------------------------------


def test_a_second_run_asks_nothing_and_writes_the_same(tmp_path):
    first, second = FakeChat(), FakeChat()
    rows = run(tmp_path, first)
    assert first.asked == {d.question: 1 for d in MINE}
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert run(tmp_path, second) == rows
    assert second.asked == {}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_raw_reply_is_kept_before_it_is_taken_apart(tmp_path):
    run(tmp_path, FakeChat(lambda q, before: GOOD.replace("numbers", q[-2])))
    raw = {r["id"]: r for r in journal.read(tmp_path / "annotations.jsonl")}
    assert raw["mine-3"]["reply"] == GOOD.replace("numbers", "3")
    assert raw["mine-3"]["tokens"] == [100, 30]


def test_an_interrupted_run_asks_only_what_is_missing_and_ends_with_the_same_files(tmp_path):
    run(tmp_path / "whole", FakeChat(order=sorted))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", FakeChat(order=lambda n: reversed(n), stop_after=2))
    assert not (tmp_path / "killed" / "lima_role.jsonl").exists()
    rest = FakeChat(order=lambda n: reversed(n))
    run(tmp_path / "killed", rest)
    assert rest.asked == {MINE[0].question: 1, MINE[1].question: 1}
    for name in ("lima_role.jsonl", "annotations.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_malformed_reply_is_asked_again_and_the_good_one_used(tmp_path):
    chat = FakeChat(lambda q, before: GOOD if before or q != MINE[2].question else "You need a tester.")
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: 1 + (d is MINE[2]) for d in MINE}
    assert [r["outcome"] for r in rows] == ["parsed"] * 4


def malformed_for_ever():
    return FakeChat(lambda q, before: "You need a tester.")


def test_a_reply_that_stays_malformed_is_asked_attempts_times_and_counted(tmp_path):
    chat = malformed_for_ever()
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: annotate.ATTEMPTS for d in MINE}
    assert [r["outcome"] for r in rows] == ["malformed"] * 4


def test_a_reply_that_stayed_malformed_is_not_paid_for_again_by_a_second_run(tmp_path):
    run(tmp_path, malformed_for_ever())
    again = malformed_for_ever()
    run(tmp_path, again)
    assert again.asked == {}


def test_a_run_stopped_between_attempts_makes_only_the_attempts_that_are_left(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(annotate, "ATTEMPTS", 2)  # as if it had been killed before the third
        run(tmp_path, malformed_for_ever())
    rest = malformed_for_ever()
    run(tmp_path, rest)
    assert rest.asked == {d.question: annotate.ATTEMPTS - 2 for d in MINE}


def test_new_dialogues_do_not_make_old_malformed_replies_cost_again(tmp_path):
    run(tmp_path, malformed_for_ever(), MINE[:3])
    more = malformed_for_ever()
    run(tmp_path, more)
    assert more.asked == {MINE[3].question: annotate.ATTEMPTS}


REFUSALS = {
    "a refusal in words": Completion("I'm sorry, but I can't help with that.", "stop", 100, 9),
    "a refusal by the server": Completion("Not this.", "refusal", 100, 3),
    "a content filter": Completion("", "content_filter", 100, 0),
}


@pytest.mark.parametrize("reply", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_declined_and_asked_once(tmp_path, reply):
    chat = FakeChat(lambda q, before: reply)
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: 1 for d in MINE}
    assert [(r["outcome"], r["role"]["text"]) for r in rows] == [("declined", roles.DECLINED.text())] * 4


def test_a_role_that_speaks_of_sorry_or_cannot_is_no_refusal():
    reply = GOOD.replace("who counts", "who can't stand a sorry sight")
    assert annotate.outcome({"reply": reply, "finish": "stop"}) == "parsed"


def test_a_reply_cut_at_the_token_limit_is_not_taken_for_a_whole_one():
    assert annotate.outcome({"reply": GOOD[:90], "finish": "length"}) == "cut off"


def test_the_audit_sheet_is_the_same_for_everyone_and_left_for_a_person_to_tick(replay, tmp_path):
    _, rows, _ = replay
    sheet = annotate.audit_sheet(rows, 100, tmp_path / "audit.csv")
    assert annotate.audit_sheet(rows, 100, tmp_path / "again.csv") == sheet
    assert len({r["id"] for r in sheet}) == 100 and {r["format"] for r in sheet} == {"ok"}
    assert {r["description_ok"] + r["role_ok"] for r in sheet} == {""}
    assert (tmp_path / "audit.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert annotate.audit_sheet(rows, 100, tmp_path / "other.csv", seed=1) != sheet


# --- a real server on loopback ------------------------------------------------------------------


def completion(content, finish="stop", refusal=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


@pytest.fixture
def server():
    """An OpenAI-compatible server; `answers` gives (status, body) to the nth request, `requests` holds what came."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append((self.path, self.headers.get("Authorization"), body))
                n = len(server.requests)
            status, answer = server.answers(n, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "5")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    lock = threading.Lock()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server, n=1, concurrency=2, **more):
    chat = EndpointChat("some-model", server.url, concurrency=concurrency, timeout=5)
    return dict(chat.complete([user(f"question {i}") for i in range(n)], 16, **more))


def test_every_reply_of_a_server_reaches_its_own_question(server):
    server.answers = lambda n, body: (200, completion(body["messages"][-1]["content"].upper() + " "))
    replies = ask(server, 6)
    assert replies == {i: Completion(f"QUESTION {i}", "stop", 7, 3) for i in range(6)}
    path, _, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-model", 0, 16)


def test_stage_2_goes_on_in_the_same_conversation(server):
    server.answers = lambda n, body: (200, completion("B" if n == 2 else "Thinking."))
    (reply,) = ask(server, then=lambda i, first: f"\nSo, after {first!r}:", then_tokens=4).values()
    assert (reply.text, reply.continued) == ("Thinking.", "B")
    assert [m["content"] for m in server.requests[1][2]["messages"]] == [
        "question 0",
        "Thinking.",
        "So, after 'Thinking.':",
    ]
    assert server.requests[1][2]["max_tokens"] == 4


def test_the_key_is_sent_to_the_server_and_shown_nowhere(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    server.answers = lambda n, body: (200, completion(GOOD))
    run(tmp_path, EndpointChat("some-model", server.url))
    assert {r[1] for r in server.requests} == {"Bearer sk-secret-123"}
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"sk-secret" in p.read_bytes()]


def test_a_refused_key_is_told_at_once(server):
    server.answers = lambda n, body: (401, {"error": {"message": "Incorrect API key sk-secret", "code": "invalid"}})
    with pytest.raises(UserError, match="check OPENAI_API_KEY") as error:
        ask(server, 50)
    assert "\n" not in str(error.value) and "sk-secret" not in str(error.value)
    assert len(server.requests) <= 6  # not once per question, and no retries


def test_an_unknown_model_is_told_by_name(server):
    server.answers = lambda n, body: (404, {"error": {"message": "no such model", "code": "model_not_found"}})
    with pytest.raises(UserError, match="knows no model 'some-model': check --model"):
        ask(server)
    assert len(server.requests) == 1


def test_a_question_that_the_server_calls_wrong_is_a_clear_line(server):
    server.answers = lambda n, body: (400, {"error": {"message": "max_tokens is not supported"}})
    with pytest.raises(UserError, match="400"):
        ask(server)


def test_a_busy_server_is_asked_again(server):
    server.answers = lambda n, body: (429, {"error": {"message": "slow down"}}) if n < 3 else (200, completion("ok"))
    assert ask(server)[0].text == "ok"
    assert len(server.requests) == 3


def test_a_refusal_beside_empty_content_is_kept_as_a_refusal(server):
    server.answers = lambda n, body: (200, completion(None, refusal="I will not."))
    reply = ask(server)[0]
    assert (reply.text, reply.finish) == ("I will not.", "refusal")


def test_empty_content_without_a_reason_is_an_empty_reply(server):
    server.answers = lambda n, body: (200, completion(None, finish="content_filter"))
    reply = ask(server)[0]
    assert (reply.text, reply.finish) == ("", "content_filter")


def test_without_key_and_address_nothing_is_asked():
    with pytest.raises(UserError, match="set OPENAI_API_KEY, or give the address"):
        EndpointChat("some-model")


def test_what_was_answered_before_a_server_failed_is_not_asked_again(server, tmp_path):
    server.answers = lambda n, body: (200, completion(GOOD)) if n <= 2 else (401, {"error": {"message": "quota"}})
    with pytest.raises(UserError):
        run(tmp_path, EndpointChat("some-model", server.url, concurrency=1))
    assert len([r for r in journal.read(tmp_path / "annotations.jsonl") if r["annotator"] == "some-model"]) == 2
    server.requests.clear()
    server.answers = lambda n, body: (200, completion(GOOD))
    assert len(run(tmp_path, EndpointChat("some-model", server.url, concurrency=1))) == 4
    assert len(server.requests) == 2
