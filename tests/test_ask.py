"""Whoever asks, asks through `ask`: billed first, capped, paid for once, resumed with the same files, dry when told so."""

from __future__ import annotations

import itertools

import pytest
from fakes import FakeChat

from helpers.chat import (
    Completion,
    EndpointChat,
    LocalChat,
    Nobody,
    Request,
    ask,
    journal,
    money,
    plan,
    unanswered,
    user,
)
from helpers.chat.practice import PracticeServer
from helpers.errors import UserError


def request(name: str, attempts: int = 1, **more) -> Request:
    """A question whose attempts have more room and some temperature, each with a key of its own."""
    made = [
        Request(f"{name}-{n}", user(f"What is {name}?"), 10 * n, 5, {"id": name}, temperature=0.5 * (n - 1), **more)
        for n in range(1, attempts + 1)
    ]
    return Request(**vars(made[0]) | {"again": tuple(made[1:])})


def run(path, requests, chat, **options):
    return ask({path: requests}, chat, say=options.pop("say", lambda *_: None), **options)


def good(record) -> bool:
    return record["reply"] != "malformed"


def two_stages(request, reply):
    """Records as scoring keeps them: a first turn without "stage2", completed by the second."""
    if request.first:
        return request.first | {"stage2": reply.text}
    record = {"key": request.key, "stage1": reply.text, "finish": reply.finish}
    return record if request.turn else record | {"stage2": reply.continued if request.then else None}


# name -> (requests, options, calls of an undisturbed run, reply)
PROTOCOLS = {
    "one stage": ([request(n) for n in "abcd"], {}, 4, lambda q, before: f"{q} {before}"),
    "asked again": (
        [request(n, attempts=3) for n in "abcd"],
        {"good": good},
        8,  # a and d once, b three times for nothing, c at the third attempt
        lambda q, before: "malformed" if "b" in q or ("c" in q and before < 2) else "fine",
    ),
    "a second turn": (
        [request(n, then="\nTherefore?", then_tokens=7, turn=n != "d") for n in "abcd"],
        {"record": two_stages},
        7,
        lambda q, before: q[::-1],
    ),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_interrupted_after_any_answer_nothing_is_asked_twice_and_the_file_ends_the_same(name, tmp_path, monkeypatch):
    requests, options, calls, reply = PROTOCOLS[name]
    whole = FakeChat(reply)
    expected = run(tmp_path / "whole.jsonl", requests, whole, **options)
    assert whole.asked.total() == calls and list(expected) == [r.key for r in requests]
    add = journal.Journal.add
    for stop in range(calls):
        path, kept, asked = tmp_path / f"stopped-{stop}.jsonl", itertools.count(), []

        def interrupted(self, record, kept=kept, stop=stop):
            if next(kept) == stop:
                raise KeyboardInterrupt
            add(self, record)

        first = FakeChat(reply, order=lambda n: reversed(n))
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(journal.Journal, "add", interrupted)
            run(path, requests, first, **options)
        second = FakeChat(lambda q, before, first=first: reply(q, before + first.asked[q]), order=lambda n: reversed(n))
        # The answer that was interrupted was never kept: it is asked again, and answered as it was.
        lost = first.sent[-1][-1]["content"]
        first.asked[lost] -= 1
        assert run(path, requests, second, **options) == expected
        assert first.asked + second.asked == whole.asked, asked
        assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_second_run_asks_nothing_and_changes_no_byte(tmp_path):
    requests, options, _, reply = PROTOCOLS["asked again"]
    records = run(tmp_path / "j.jsonl", requests, FakeChat(reply), **options)
    before = (tmp_path / "j.jsonl").read_bytes()
    again = FakeChat(reply)
    assert run(tmp_path / "j.jsonl", requests, again, **options) == records
    assert not again.asked and (tmp_path / "j.jsonl").read_bytes() == before


def test_an_attempt_has_its_own_room_and_temperature_and_the_last_one_counts(tmp_path):
    chat, lines = FakeChat(lambda q, before: "malformed" if before < 2 else "fine"), []
    records = run(tmp_path / "j.jsonl", [request("a", attempts=3)], chat, good=good, say=lines.append)
    assert chat.parameters == [(10, 0), (20, 0.5), (30, 1.0)]
    assert records["a-1"]["key"] == "a-3" and records["a-1"]["reply"] == "fine"
    assert [r["key"] for r in journal.read(tmp_path / "j.jsonl")] == ["a-1", "a-2", "a-3"]
    assert sum("asking fake-model again for 1 out of form or cut off" in str(line) for line in lines) == 2


def test_a_second_turn_reads_the_first_answer_and_is_left_out_after_a_refusal(tmp_path):
    requests = [request(n, then="\nTherefore?", then_tokens=7, turn=True) for n in "ab"]

    def refuses(request, reply):
        record = two_stages(request, reply)
        return record if reply.finish == "stop" else record | {"stage2": None}

    chat = FakeChat(lambda q, before: Completion("", "refusal", 9, 0) if "b" in q else "Hm.")
    records = run(tmp_path / "j.jsonl", requests, chat, record=refuses)
    assert [m["content"] for m in chat.sent[-1]] == ["What is a?", "Hm.", "Therefore?"] and len(chat.sent) == 3
    assert chat.parameters == [(10, 0), (7, 0)] and records["b-1"]["stage2"] is None


def test_a_question_that_stands_twice_is_asked_once(tmp_path):
    chat = FakeChat()
    assert len(run(tmp_path / "j.jsonl", [request("a"), request("b"), request("a")], chat)) == 2
    assert chat.asked == {"What is a?": 1, "What is b?": 1}


def test_what_is_known_without_asking_is_kept_in_order_and_not_asked(tmp_path):
    replay = {"a-1": {"key": "a-1", "reply": "known"}, "x-1": {"key": "x-1", "reply": "of another question"}}
    chat = FakeChat()
    assert unanswered({tmp_path / "j.jsonl": [request("b"), request("a")]}, replay) == 1
    records = run(tmp_path / "j.jsonl", [request("b"), request("a")], chat, replay=replay)
    assert chat.asked == {"What is b?": 1} and records["a-1"]["reply"] == "known"
    assert [r["key"] for r in journal.read(tmp_path / "j.jsonl")] == ["b-1", "a-1"]


def test_several_files_are_asked_together_and_without_a_file_nothing_is_kept(tmp_path):
    chat = FakeChat()
    ask({tmp_path / "a.jsonl": [request("a")], tmp_path / "b.jsonl": [request("b")]}, chat, say=lambda *_: None)
    assert len(chat.parameters) == 1 and {p.name for p in tmp_path.glob("*.jsonl")} == {"a.jsonl", "b.jsonl"}
    for _ in range(2):
        assert run(None, [request("c")], chat)["c-1"]["reply"] == "Well."
    assert chat.asked["What is c?"] == 2 and len(list(tmp_path.iterdir())) <= 4


def test_where_nobody_is_left_to_ask_the_reason_is_one_line_and_old_answers_are_read(tmp_path):
    records = run(tmp_path / "j.jsonl", [request("a")], FakeChat())
    gone = Nobody("fake-model", "the model is gone: train it again")
    assert run(tmp_path / "j.jsonl", [request("a")], gone) == records
    with pytest.raises(UserError, match="the model is gone: train it again"):
        run(tmp_path / "j.jsonl", [request("a"), request("b")], gone)


def test_a_chat_that_leaves_a_question_out_is_not_asked_for_ever(tmp_path):
    chat = FakeChat(order=lambda n: list(n)[1:])
    with pytest.raises(RuntimeError, match="fake-model left 1 questions without an answer"):
        run(tmp_path / "j.jsonl", [request("a"), request("b")], chat)


# --- the bill ---------------------------------------------------------------------------------------


def test_the_bill_is_shown_and_approved_before_the_first_call_and_a_dry_run_shows_the_same(tmp_path):
    requests, chat, said, seen = [request("a"), request("b")], FakeChat(price=(2.0, 8.0)), [], []
    planned = plan({tmp_path / "j.jsonl": requests}, chat)
    assert not chat.asked and not list(tmp_path.iterdir())
    approve = lambda bill: seen.append((bill, sum(chat.asked.values())))  # noqa: E731
    run(tmp_path / "j.jsonl", requests, chat, approve=approve, say=said.append)
    assert seen == [(planned, 0)] and said[0] == planned and said[-1].startswith("asked fake-model: ")
    run(tmp_path / "j.jsonl", requests, chat, approve=approve, say=said.append)
    assert len(seen) == 1  # nothing to ask, nothing to approve


def test_a_bill_that_is_not_approved_asks_nobody(tmp_path):
    def too_dear(bill):
        raise UserError("too dear")

    chat = FakeChat(price=(2.0, 8.0))
    with pytest.raises(UserError, match="too dear"):
        run(tmp_path / "j.jsonl", [request("a")], chat, approve=too_dear)
    assert not chat.asked and not list(journal.read(tmp_path / "j.jsonl"))


def test_a_model_of_unknown_price_is_refused_before_anything_is_written(tmp_path):
    chat = FakeChat(price=None)
    for call in (
        lambda: plan({tmp_path / "j.jsonl": [request("a")]}, chat),
        lambda: run(tmp_path / "j.jsonl", [request("a")], chat),
    ):
        with pytest.raises(UserError, match="no price is known for 'fake-model' on that server: give --price"):
            call()
    assert not chat.asked and not list(tmp_path.iterdir())


def test_the_bill_counts_what_is_missing_every_call_and_the_worst_case_of_all_attempts(tmp_path):
    requests = [request("a", attempts=3), request("b", attempts=3), request("c", attempts=3)]
    run(tmp_path / "j.jsonl", requests[:1], FakeChat())
    chat = FakeChat(price=(2.0, 8.0), max_usd=5.0)
    chat.prompt = "chat"
    bill = plan({tmp_path / "j.jsonl": [*requests, requests[1]]}, chat)
    size = len(b"What is b?")
    assert (bill.model, bill.calls, bill.max_usd, bill.price) == ("fake-model", 2, 5.0, (2.0, 8.0))
    assert (bill.read, bill.written) == (2 * (size // 4 + 1), 2 * 5)
    assert bill.usd == pytest.approx((bill.read * 2 + bill.written * 8) / 1e6)
    most_read, most_written = 2 * 3 * (size // 3 + 1 + 8), 2 * (10 + 20 + 30)
    assert bill.usd_at_most == pytest.approx((most_read * 2 + most_written * 8) / 1e6)
    assert "\n" not in str(bill) and "2 calls" in str(bill) and "cap 5 USD" in str(bill)


def test_after_the_first_turns_only_the_second_ones_are_on_the_bill(tmp_path):
    requests = [request(n, then="\nTherefore?", then_tokens=7, turn=True) for n in "abc"]
    chat = FakeChat(price=(1.0, 1.0))
    assert plan({tmp_path / "j.jsonl": requests}, chat).calls == 6
    with pytest.raises(KeyboardInterrupt):
        stopped = FakeChat()
        stopped.complete = lambda *a, **o: FakeChat.complete(stopped, *a, **o) if not stopped.sent else _interrupt()
        run(tmp_path / "j.jsonl", requests, stopped, record=two_stages)
    left = plan({tmp_path / "j.jsonl": requests}, chat)
    assert left.calls == 3 and left.usd_at_most > left.usd > 0


def _interrupt():
    raise KeyboardInterrupt


def test_a_model_in_this_process_costs_nothing_and_no_bill_is_shown(tmp_path):
    meter = LocalChat(None, None, "local").meter
    assert (meter.price, meter.shown) == ((0.0, 0.0), False)
    chat, said = FakeChat(), []
    chat.meter = meter
    run(tmp_path / "j.jsonl", [request("a")], chat, approve=lambda bill: _interrupt(), say=said.append)
    assert len(said) == 1 and said[0].startswith("  1 of 1 questions")


# --- through a real server on loopback ------------------------------------------------------------------


def test_the_cap_keeps_what_was_paid_and_a_larger_one_continues_and_pays_for_nothing_twice(tmp_path):
    requests = [request(n) for n in "abcdefgh"]
    with PracticeServer() as server:

        def chat(cap):
            return EndpointChat("m", server.url, 1, price=(10.0, 30.0), max_usd=cap)

        with pytest.raises(UserError, match=r"of at most 0\.01 USD: the next call could pass it"):
            run(tmp_path / "j.jsonl", requests, chat(0.01))  # 300 read and 40 written a call: 0.0042 USD
        kept = len(list(journal.read(tmp_path / "j.jsonl")))
        assert server.asked.total() == kept and 0 < kept < 8
        larger, said = chat(1.0), []
        run(tmp_path / "j.jsonl", requests, larger, say=said.append)
        assert set(server.asked.values()) == {1} and server.asked.total() == 8
        assert larger.meter.spent == pytest.approx((8 - kept) * 0.0042) and "USD" in said[-1]


@pytest.mark.parametrize("mood", ["wrong key", "quota", "unknown model", "bad request"])
def test_what_was_answered_before_a_server_failed_is_kept(mood, tmp_path):
    requests = [request(n) for n in "abcd"]
    with PracticeServer(lambda q, nth: "fine" if len(server.diary) < 2 else mood) as server:
        with pytest.raises(UserError) as error:
            run(tmp_path / "j.jsonl", requests, EndpointChat("m", server.url, 1))
        assert "\n" not in str(error.value)
    with PracticeServer() as server:
        run(tmp_path / "j.jsonl", requests, EndpointChat("m", server.url, 1))
        assert server.asked == {"What is c?": 1, "What is d?": 1}


def test_a_cap_of_nothing_asks_nothing_and_is_no_obstacle_where_all_is_free(tmp_path):
    with PracticeServer() as server:
        with pytest.raises(money.CapReached):
            run(tmp_path / "a.jsonl", [request("a")], EndpointChat("m", server.url, price=(1.0, 1.0), max_usd=0.0))
        assert not server.asked
        run(tmp_path / "b.jsonl", [request("b")], EndpointChat("m", server.url, max_usd=0.0))
        assert server.asked.total() == 1
