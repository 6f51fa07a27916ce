"""The Batch API: however a batch ends and whenever we are killed, every answer arrives and none is paid for twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from batch_provider import BatchProvider, Ending

from helpers import annotate, roles
from helpers.chat import EndpointChat, batch, journal, money, practice
from helpers.chat.batch import BatchChat
from helpers.data.lima import Dialogue
from helpers.errors import UserError

MINE = [Dialogue(f"mine-{i}", "mine", (f"My own question number {i}?", f"Answer {i}.")) for i in range(4)]
Q = [d.question for d in MINE]
ONCE = {question: 1 for question in Q}
PRICE = (2.0, 8.0)
ONE = money.cost(PRICE, 300, 40) / 2  # what the provider's usual answer costs in a batch


def chat_for(provider, out, say=lambda *_: None, max_usd=None, price=PRICE, model="m"):
    chat = EndpointChat(model, provider.url, price=price, max_usd=max_usd, first_pause=0.001)
    return BatchChat(chat, out, poll_seconds=0.001, say=say)


def run(out, provider, rows=MINE, **settings):
    """Annotate with a new BatchChat, as a new process would."""
    return annotate.annotate(
        rows, out, chat_for(provider, out, **settings), packaged=False, say=settings.get("say", lambda *_: None)
    )


def refused(out, provider, **settings) -> str:
    """Annotate, which must end in one line; the line."""
    with pytest.raises(UserError) as error:
        run(out, provider, **settings)
    assert "\n" not in str(error.value) and str(out) not in str(error.value)
    return str(error.value)


def kept(out) -> set[str]:
    """The dialogues whose answer is on the disk."""
    return {record["id"] for record in journal.read(out / "annotations.jsonl")}


def assert_each_has_its_own(rows, dialogues=MINE):
    assert [row["id"] for row in rows] == [d.id for d in dialogues]
    for row, dialogue in zip(rows, dialogues, strict=True):
        role = roles.parse_annotation(practice.role_reply(dialogue.question))
        assert (row["outcome"], row["role"]["text"]) == ("parsed", role.text())


def only(*chosen, else_="fine", then):
    """A mood for some questions, another for the rest."""
    return lambda question: then if question in chosen else else_


# --- how a batch may end ------------------------------------------------------------------------


def test_answers_in_another_order_reach_their_own_questions(tmp_path):
    said = []
    with BatchProvider(Ending(order=lambda lines: [lines[i] for i in (2, 0, 3, 1)])) as provider:
        assert_each_has_its_own(run(tmp_path, provider, say=said.append))
    assert provider.submissions == ONCE and len(provider.batches) == 1
    assert not (tmp_path / "batch.json").exists()
    assert "submitted batch batch_1: 4 requests; you may stop and run again to collect it" in said
    assert [s for s in map(str, said) if s.endswith("of 4")][:2] == ["  validating, 0 of 4", "  in_progress, 0 of 4"]


def test_a_request_in_a_batch_is_the_request_that_is_sent_without_one(tmp_path):
    with practice.PracticeServer() as server, BatchProvider() as provider:
        annotate.annotate(MINE, tmp_path / "a", EndpointChat("m", server.url), packaged=False, say=lambda *_: None)
        run(tmp_path / "b", provider)
    one_by_one = {json.dumps(body, sort_keys=True) for body in server.requests}
    assert {json.dumps(line["body"], sort_keys=True) for line in provider.batches[0].lines} == one_by_one
    for name in ("annotations.jsonl", "lima_role.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_completed_batch_without_an_output_file_is_asked_again(tmp_path):
    with BatchProvider(Ending(moods="500"), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
        first = provider.batches[0].ended
    assert first["output_file_id"] is None and first["error_file_id"]
    assert [len(b.lines) for b in provider.batches] == [4, 4]


def test_an_expired_batch_gives_what_was_finished_and_the_rest_goes_into_the_next(tmp_path):
    with BatchProvider(Ending("expired", only(*Q[1:3], then="expired")), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert [sorted(b.questions) for b in provider.batches] == [Q, Q[1:3]]


def test_a_cancelled_batch_keeps_what_was_finished_and_says_to_run_again(tmp_path):
    with BatchProvider(Ending("cancelled", only(Q[0], Q[3], then="lost")), Ending()) as provider:
        line = refused(tmp_path, provider)
        assert line == "batch batch_1 was cancelled: its finished answers are kept; run again for the rest"
        assert kept(tmp_path) == {"mine-1", "mine-2"}
        assert_each_has_its_own(run(tmp_path, provider))
    assert [sorted(b.questions) for b in provider.batches] == [Q, [Q[0], Q[3]]]


def test_a_cancelled_batch_that_had_answered_everything_ends_well(tmp_path):
    with BatchProvider(Ending("cancelled")) as provider:
        assert_each_has_its_own(run(tmp_path, provider))


def test_a_failed_batch_says_why_costs_nothing_and_can_be_submitted_again(tmp_path):
    reason = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m in organization org-1."}
    with BatchProvider(Ending("failed", errors=(reason, reason)), Ending()) as provider:
        chat = chat_for(provider, tmp_path)
        with pytest.raises(UserError) as error:
            annotate.annotate(MINE, tmp_path, chat, packaged=False, say=lambda *_: None)
        assert str(error.value).count("token_limit_exceeded: Enqueued token limit reached") == 1
        assert "nothing was charged; run again later" in str(error.value)
        assert (chat.meter.calls, chat.meter.spent, kept(tmp_path)) == (0, 0.0, set())
        assert_each_has_its_own(run(tmp_path, provider))
    assert len(provider.batches) == 2


@pytest.mark.parametrize("mood", ["429", "500", "503"])
def test_a_row_that_failed_in_passing_goes_alone_into_a_second_batch(tmp_path, mood):
    with BatchProvider(Ending(moods={Q[2]: mood}), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert [b.questions for b in provider.batches] == [Q, [Q[2]]]


def test_rows_that_never_succeed_are_given_up_after_three_batches(tmp_path):
    with BatchProvider(Ending(moods={Q[2]: "500"})) as provider:
        assert refused(tmp_path, provider) == "1 requests stayed unanswered in 3 batches: run again later"
        assert kept(tmp_path) == {"mine-0", "mine-1", "mine-3"}
    assert [len(b.lines) for b in provider.batches] == [4, 1, 1]


@pytest.mark.parametrize("mood", ["filtered question", "content filter", "refusal"])
def test_a_row_that_was_filtered_or_refused_is_declined_and_not_asked_again(tmp_path, mood):
    with BatchProvider(Ending(moods={Q[1]: mood})) as provider:
        rows = run(tmp_path, provider)
    assert [r["outcome"] for r in rows] == ["parsed", "declined", "parsed", "parsed"]
    assert provider.submissions == ONCE


FINAL = {
    "quota": "the account's quota is used up: add credit",
    "bad request": "the server refused a request (400): This request is wrong",
    "wrong key": "the server refused the API key: check OPENAI_API_KEY",
    "unknown model": "the server knows no model 'm'",
}


@pytest.mark.parametrize("mood", FINAL)
def test_a_row_that_cannot_succeed_stops_the_run_when_all_other_answers_are_kept(tmp_path, mood):
    with BatchProvider(Ending(moods={Q[0]: mood}), Ending()) as provider:
        assert refused(tmp_path, provider).startswith(FINAL[mood])
        assert kept(tmp_path) == {"mine-1", "mine-2", "mine-3"}
        assert len(provider.batches) == 1
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.batches[1].questions == [Q[0]]


def test_unknown_ids_and_damaged_lines_are_passed_over_and_what_they_cost_is_asked_again(tmp_path):
    stranger = {"custom_id": "not ours", "response": {"status_code": 200, "body": practice.completion("A: stranger")}}
    rows = [stranger, [], 7, {"custom_id": None}, {"response": {"status_code": 200, "body": "text"}}]
    tail = "".join(json.dumps(row) + "\n" for row in rows).encode() + b'\n{"custom_id": "half a li'
    with BatchProvider(Ending(moods={Q[3]: "lost"}, output_tail=tail), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert [b.questions for b in provider.batches] == [Q, [Q[3]]]
    assert len(list(journal.read(tmp_path / "annotations.jsonl"))) == 4
    assert {p.name for p in tmp_path.iterdir()} == {"annotations.jsonl", "lima_role.jsonl"}


def test_a_line_separator_within_a_reply_does_not_cut_its_row(tmp_path):
    reply = practice.role_reply(Q[0]).replace(" To better", "\u2028To better")
    with BatchProvider(Ending(moods={Q[0]: (200, practice.completion(reply))})) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


def test_an_error_that_is_a_text_and_no_object_is_one_line(tmp_path):
    with BatchProvider(Ending(moods={Q[0]: (400, {"error": "this is wrong"})})) as provider:
        assert refused(tmp_path, provider) == "the server refused a request (400): this is wrong"
        assert len(kept(tmp_path)) == 3


def test_a_model_that_wants_newer_parameters_gets_them_in_the_next_batch(tmp_path):
    old = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    hot = "Unsupported value: 'temperature' does not support 0 with this model."
    moods = [(400, practice.problem(old, "unsupported_parameter", "max_tokens"))]
    moods += [(400, practice.problem(hot, "unsupported_value", "temperature"))]
    with BatchProvider(*(Ending(moods=mood) for mood in moods), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    sent = [set(b.lines[0]["body"]) - {"model", "messages"} for b in provider.batches]
    assert sent == [{"max_tokens", "temperature"}, {"max_completion_tokens", "temperature"}, {"max_completion_tokens"}]


def test_malformed_replies_are_asked_again_in_a_second_batch_with_more_room(tmp_path):
    with BatchProvider(Ending(moods=only(*Q[:2], then="chatty")), Ending()) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    first, second = provider.batches
    assert (first.questions, second.questions) == (Q, Q[:2])
    for lines, attempt in ((first.lines, 1), (second.lines, 2)):
        for line in lines:
            assert {k: line["body"][k] for k in ("max_tokens", "temperature")} == annotate.params(attempt)
    assert set(provider.requests.values()) == {1}


def test_more_requests_than_a_batch_may_hold_go_into_several(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "MOST", 3)
    with BatchProvider() as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert [len(b.lines) for b in provider.batches] == [3, 1]


# --- what the server may refuse -----------------------------------------------------------------


def test_a_refused_key_is_one_line_without_the_key_and_leaves_no_ticket(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    with BatchProvider(troubles={"POST /files": ["wrong key"]}) as provider:
        assert refused(tmp_path, provider) == "the server refused the API key: check OPENAI_API_KEY"
    assert provider.keys == {"Bearer sk-secret-123"} and provider.batches == []
    assert not (tmp_path / "batch.json").exists()


def test_the_key_is_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    said = []
    with BatchProvider(Ending(moods={Q[0]: (400, practice.problem("key sk-secret-123 is odd"))})) as provider:
        said.append(refused(tmp_path, provider, say=lambda text: said.append(str(text))))
    assert not [p for p in tmp_path.iterdir() if b"sk-secret" in p.read_bytes()]
    assert not [text for text in said if "sk-secret" in text]


@pytest.mark.parametrize("route", ["GET /batch", "GET /content"])
def test_a_key_that_is_refused_while_a_batch_is_under_way_loses_nothing(tmp_path, route):
    with BatchProvider(troubles={route: ["wrong key"]}) as provider:
        assert refused(tmp_path, provider) == "the server refused the API key: check OPENAI_API_KEY"
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


def test_a_batch_that_is_refused_leaves_no_ticket_so_the_next_bill_counts_it(tmp_path):
    with BatchProvider(troubles={"POST /batches": ["quota"]}) as provider:
        assert "quota is used up" in refused(tmp_path, provider)
        assert annotate.plan(MINE, tmp_path, chat_for(provider, tmp_path), packaged=False).calls == 4
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


def test_a_batch_that_the_server_does_not_know_is_one_line_and_is_not_submitted_again_by_itself(tmp_path):
    with BatchProvider(troubles={"GET /batch": ["unknown model"]}) as provider:
        line = refused(tmp_path, provider)
        assert line.startswith("the server knows no batch batch_1: use the key and --base-url it was submitted with")
        assert line.endswith("or remove batch.json to submit again")
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


def test_answers_that_the_provider_has_deleted_are_one_line(tmp_path):
    with BatchProvider(troubles={"GET /content": ["unknown model"]}) as provider:
        line = refused(tmp_path, provider)
        assert line == "the server has no answers of batch batch_1 any more: remove batch.json to submit it again"
        (tmp_path / "batch.json").unlink()
        assert_each_has_its_own(run(tmp_path, provider))


def test_a_server_without_a_batch_api_is_one_line_that_says_so(tmp_path):
    with BatchProvider(troubles={"POST /files": ["unknown model"]}) as provider:
        assert refused(tmp_path, provider).startswith("the server has no Batch API: check --base-url, or run without")


@pytest.mark.parametrize("route", ["POST /files", "GET /batch"])
def test_a_web_page_instead_of_an_answer_is_one_line(tmp_path, route):
    with BatchProvider(troubles={route: ["web page"]}) as provider:
        assert refused(tmp_path, provider).startswith("no answer from the server: check --base-url")
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


@pytest.mark.parametrize("route", ["POST /files", "GET /batch", "GET /content"])
@pytest.mark.parametrize("trouble", ["429", "500", "lost"])
def test_a_busy_provider_is_asked_again_and_gets_the_whole_file(tmp_path, route, trouble):
    with BatchProvider(troubles={route: [trouble]}) as provider:
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.calls[route] > 1 and provider.submissions == ONCE


def test_without_a_server_the_line_says_that_nothing_answered(tmp_path, monkeypatch):
    with BatchProvider() as provider:
        pass
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.001)
    assert refused(tmp_path, provider).startswith("no answer from the server: check --base-url")


# --- money --------------------------------------------------------------------------------------


def test_a_batch_costs_half_in_the_bill_and_on_the_meter(tmp_path):
    with BatchProvider() as provider:
        chat = chat_for(provider, tmp_path)
        bill = annotate.plan(MINE, tmp_path, chat, packaged=False)
        normal = annotate.plan(MINE, tmp_path, EndpointChat("m", provider.url, price=PRICE), packaged=False)
        assert provider.calls == {}
        assert (bill.usd, bill.usd_at_most) == pytest.approx((normal.usd / 2, normal.usd_at_most / 2))
        assert (bill.calls, bill.price) == (4, (1.0, 4.0))
        annotate.annotate(MINE, tmp_path, chat, packaged=False, say=lambda *_: None)
    assert chat.meter.spent == pytest.approx(4 * ONE)
    assert (chat.meter.calls, chat.meter.read, chat.meter.written) == (4, 1200, 160)


DEAR = practice.completion(None) | {"usage": {"prompt_tokens": 0, "completion_tokens": 160, "total_tokens": 160}}


def dear(question):
    choices = practice.completion(practice.role_reply(question))["choices"]
    return 200, DEAR | {"choices": choices}


WRITTEN = (0.0, 8.0)  # only what is written costs: 160 tokens at most, 0.00064 USD in a batch
AT_MOST = money.cost(WRITTEN, 0, 160) / 2


def test_only_what_fits_under_the_cap_is_submitted_and_then_one_line_says_so(tmp_path):
    with BatchProvider(Ending(moods=dear)) as provider:
        line = refused(tmp_path, provider, price=WRITTEN, max_usd=2.5 * AT_MOST)
        assert line.startswith("stopped at 0.0013 of at most 0.0016 USD: the next call could pass it")
        assert [b.questions for b in provider.batches] == [Q[:2]]
        assert kept(tmp_path) == {"mine-0", "mine-1"}
        assert not (tmp_path / "batch.json").exists()
        assert_each_has_its_own(run(tmp_path, provider, price=WRITTEN, max_usd=2.5 * AT_MOST))
    assert provider.submissions == ONCE


def test_what_a_batch_did_not_use_of_the_cap_is_used_for_the_next(tmp_path):
    with BatchProvider() as provider:
        assert_each_has_its_own(run(tmp_path, provider, price=WRITTEN, max_usd=2.6 * AT_MOST))
    assert [b.questions for b in provider.batches] == [Q[:2], Q[2:]]


def test_a_cap_below_one_request_submits_nothing(tmp_path):
    with BatchProvider() as provider:
        assert "the next call could pass it" in refused(tmp_path, provider, price=WRITTEN, max_usd=0.5 * AT_MOST)
    assert provider.calls == {}


def test_the_bill_does_not_count_what_is_under_way(tmp_path):
    with BatchProvider() as provider:
        interrupted(tmp_path, provider)
        more = [*MINE, Dialogue("new", "mine", ("A new question?", "Yes."))]
        chat = chat_for(provider, tmp_path)
        bill = annotate.plan(MINE, tmp_path, chat, packaged=False)
        assert (bill.calls, bill.usd, bill.usd_at_most) == (0, 0.0, 0.0)
        assert annotate.plan(more, tmp_path, chat, packaged=False).calls == 1
        approved = []
        annotate.annotate(MINE, tmp_path, chat, packaged=False, approve=approved.append, say=lambda *_: None)
        assert [b.calls for b in approved] == [0]
    assert provider.submissions == ONCE


# --- killed, and started again ------------------------------------------------------------------


def interrupted(out, provider, when="in_progress", rows=MINE):
    """A run that ends while its batch is under way, as Ctrl-C does."""

    def say(text):
        if when in str(text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate.annotate(rows, out, chat_for(provider, out, say=say), packaged=False, say=lambda *_: None)


def ticket(out):
    return json.loads((out / "batch.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    with BatchProvider() as provider:
        run(out, provider)
    return {name: (out / name).read_bytes() for name in ("annotations.jsonl", "lima_role.jsonl")}


def assert_as_if_never_interrupted(out, provider, whole):
    assert {name: (out / name).read_bytes() for name in whole} == whole
    assert provider.requests and set(provider.requests.values()) == {1}
    assert provider.submissions == ONCE
    assert not (out / "batch.json").exists()


def killed(out, provider, when):
    """The real command in a process of its own, killed (SIGKILL) when the provider has been asked for `when`."""
    data = out.parent / "mine.jsonl"
    data.write_text("".join(json.dumps({"id": d.id, "source": "mine", "conversations": d.turns}) + "\n" for d in MINE))
    process = subprocess.Popen(command(out, provider), env=environment(), stdout=subprocess.DEVNULL)
    try:
        assert provider.reached[when].wait(60), "the command never came so far"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return data


def command(out, provider):
    arguments = ["--data", str(out.parent / "mine.jsonl"), "--annotator", "server", "--model", "m", "--price", "2,8"]
    where = ["--out", str(out), "--base-url", provider.url]
    return [sys.executable, "-m", "helpers", "annotate", "--batch", "--yes", *arguments, *where]


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(batch.__file__).parents[1])}


def test_a_process_killed_after_submitting_is_started_again_and_collects(tmp_path, whole):
    out = tmp_path / "out"
    with BatchProvider(Ending(on_the_way=("in_progress",))) as provider:
        killed(out, provider, "GET /batch")
        assert ticket(out)["id"] == "batch_1" and kept(out) == set()
        again = subprocess.run(command(out, provider), env=environment(), capture_output=True, text=True, timeout=60)
        assert (again.returncode, again.stderr) == (0, "")
        assert "to ask of m: 0 calls" in again.stdout and "batch batch_1: waiting for its end" in again.stdout
        assert provider.calls["POST /batches"] == provider.calls["POST /files"] == 1
        assert_as_if_never_interrupted(out, provider, whole)


def test_a_process_killed_before_it_learns_the_id_of_its_batch_finds_it_again(tmp_path, whole):
    out = tmp_path / "out"
    with BatchProvider(hold="POST /batches") as provider:
        killed(out, provider, "POST /batches")
        assert ticket(out)["id"] is None and len(provider.batches) == 1
        run(out, provider)
        assert provider.calls["POST /batches"] == 1
        assert_as_if_never_interrupted(out, provider, whole)


def test_a_ticket_without_an_id_finds_its_batch_behind_pages_of_others(tmp_path, whole):
    with BatchProvider() as provider:
        interrupted(tmp_path, provider)
        mine = provider.batches[0]
        for n in range(150):
            provider.batches.append(type(mine)(f"other_{n}", "file_0", {"course_ticket": f"{n}"}, Ending()))
        (tmp_path / "batch.json").write_text(json.dumps(ticket(tmp_path) | {"id": None}))
        run(tmp_path, provider)
        assert provider.calls["GET /batches"] == 2
        assert_as_if_never_interrupted(tmp_path, provider, whole)


def test_a_process_that_died_before_the_batch_was_created_creates_it_once(tmp_path, whole, monkeypatch):
    with BatchProvider() as provider:
        with monkeypatch.context() as patch:
            patch.setattr(BatchChat, "_create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, provider)
        assert ticket(tmp_path)["id"] is None and provider.batches == []
        run(tmp_path, provider)
        assert provider.calls["POST /files"] == 1
        assert_as_if_never_interrupted(tmp_path, provider, whole)


def test_a_batch_whose_confirmation_is_lost_on_the_way_is_found_and_not_created_twice(tmp_path, whole):
    with BatchProvider(troubles={"POST /batches": ["lost"]}) as provider:
        run(tmp_path, provider)
        assert_as_if_never_interrupted(tmp_path, provider, whole)


@pytest.mark.parametrize("trouble", ["429", "500"])
def test_a_batch_that_the_provider_was_too_busy_to_create_is_created_in_the_end(tmp_path, whole, trouble):
    with BatchProvider(troubles={"POST /batches": [trouble, trouble]}) as provider:
        run(tmp_path, provider)
        assert_as_if_never_interrupted(tmp_path, provider, whole)


def test_a_refused_key_does_not_make_a_restart_forget_the_batch_it_looks_for(tmp_path, whole):
    with BatchProvider(troubles={"GET /batches": ["wrong key"]}) as provider:
        interrupted(tmp_path, provider)
        (tmp_path / "batch.json").write_text(json.dumps(ticket(tmp_path) | {"id": None}))
        assert "refused the API key" in refused(tmp_path, provider)
        run(tmp_path, provider)
        assert_as_if_never_interrupted(tmp_path, provider, whole)


@pytest.mark.parametrize("collected", [1, 3])
def test_a_process_that_died_while_collecting_collects_the_rest(tmp_path, whole, monkeypatch, collected):
    add = journal.Journal.add

    def dies(self, record):
        if len(self) == collected:
            raise KeyboardInterrupt
        add(self, record)

    with BatchProvider() as provider:
        with monkeypatch.context() as patch:
            patch.setattr(journal.Journal, "add", dies)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, provider)
        assert len(kept(tmp_path)) == collected
        run(tmp_path, provider)
        assert_as_if_never_interrupted(tmp_path, provider, whole)


def test_a_process_that_died_between_the_last_answer_and_the_end_asks_for_nothing(tmp_path, whole, monkeypatch):
    with BatchProvider() as provider:
        with monkeypatch.context() as patch:
            patch.setattr(BatchChat, "_set_aside", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, provider)
        assert len(kept(tmp_path)) == 4 and ticket(tmp_path)["id"] == "batch_1"
        run(tmp_path, provider)
        assert {name: (tmp_path / name).read_bytes() for name in whole} == whole
        new = Dialogue("new", "mine", ("A new question?", "Yes."))
        assert_each_has_its_own(run(tmp_path, provider, [*MINE, new]), [*MINE, new])
    assert provider.submissions == ONCE | {new.question: 1}
    assert not (tmp_path / "batch.json").exists()


def test_second_attempts_that_are_under_way_are_not_lost_when_the_data_has_grown(tmp_path):
    new = Dialogue("new", "mine", ("A new question?", "Yes."))
    with BatchProvider(Ending(moods="chatty", on_the_way=()), Ending()) as provider:
        interrupted(tmp_path, provider)
        assert len(provider.batches) == 2 and len(kept(tmp_path)) == 4
        chat = chat_for(provider, tmp_path)
        rows = annotate.annotate([*MINE, new], tmp_path, chat, packaged=False, say=lambda *_: None)
        assert_each_has_its_own(rows, [*MINE, new])
    assert set(provider.requests.values()) == {1}
    assert [b.questions for b in provider.batches] == [Q, Q, [new.question]]
    assert chat.meter.spent == pytest.approx(5 * ONE)  # what this run collected, each once


def test_a_batch_of_other_data_is_kept_until_that_data_is_annotated_again(tmp_path):
    with BatchProvider() as provider:
        interrupted(tmp_path, provider, rows=MINE[:3])
        assert_each_has_its_own(run(tmp_path, provider, MINE[3:]), MINE[3:])
        chat = chat_for(provider, tmp_path)
        assert annotate.plan(MINE, tmp_path, chat, packaged=False).calls == 0
        assert_each_has_its_own(run(tmp_path, provider))
    assert provider.submissions == ONCE


DAMAGED = {
    "half": b'{"tag": "x", "fi',
    "empty": b"",
    "a list": b"[1]",
    "without a file": b'{"tag": "x", "ids": [], "id": null}',
    "ids that are no list": b'{"tag": "x", "file": "f", "ids": null, "id": null}',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_ticket_is_one_line_and_nothing_is_submitted(tmp_path, content):
    (tmp_path / "batch.json").write_bytes(content)
    with BatchProvider() as provider:
        line = refused(tmp_path, provider)
    assert line.startswith("batch.json is damaged: remove it to submit again")
    assert provider.calls == {} and (tmp_path / "batch.json").read_bytes() == content


def test_a_request_keeps_its_id_whatever_stands_beside_it(tmp_path):
    with BatchProvider() as one, BatchProvider() as two:
        run(tmp_path / "one", one)
        run(tmp_path / "two", two, MINE[::-1])
        for provider, model in ((one, "m"), (two, "another")):
            run(tmp_path / model, provider, MINE[:1], model=model)
    ids = {line["custom_id"] for line in one.batches[0].lines}
    assert {line["custom_id"] for line in two.batches[0].lines} == ids and len(ids) == 4
    assert Counter(one.requests)[one.batches[1].lines[0]["custom_id"]] == 2
    assert two.batches[1].lines[0]["custom_id"] not in ids
