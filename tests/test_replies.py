"""Replies as real annotators, judges and servers give them: read, kept, paid for once, and tried out before all others."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from fakes import FakeChat

from helpers import annotate, judge, profiles, roles, score
from helpers.__main__ import main
from helpers.chat import Completion, EndpointChat, Request, ask, canary, journal, money, practice, retry, thinking, user
from helpers.chat.practice import PracticeServer
from helpers.chat.replies import ServersError, answered_as, read_reply
from helpers.chat.wishes import Wishes
from helpers.data.lima import Dialogue
from helpers.errors import NothingOfUse

FORM = "A: This question is a test problem involving tags. To better solve it, I will act as a tester who reads."
PRICE = (2.0, 8.0)


def dialogues(n, first=0):
    return [Dialogue(f"q{i}", "mine", (f"Question number {i}?", "An answer.")) for i in range(first, first + n)]


def run(out, server, n=4, model="m", say=lambda *_: None, **more):
    chat = EndpointChat(model, server.url, **{"price": PRICE, "first_pause": 0.01, **more})
    return chat, annotate.annotate(dialogues(n), out, chat, packaged=False, say=say)


def records(out):
    return list(journal.read(out / "annotations.jsonl"))


# --- thinking ---------------------------------------------------------------------------------------------

THINKING = {  # a raw text -> (thinking, answer)
    "<think>Hm.</think>Yes.": ("Hm.", "Yes."),
    "<think>\nHm.\n</think>\n\nYes.\n": ("Hm.", "Yes."),
    "<think></think>Yes.": ("", "Yes."),
    "Hm.</think>Yes.": ("Hm.", "Yes."),
    "<thinking>Hm.</thinking> Yes.": ("Hm.", "Yes."),
    "<THOUGHT>Hm.</THOUGHT> Yes.": ("Hm.", "Yes."),
    "<reasoning effort='low'>Hm.</reasoning>Yes.": ("Hm.", "Yes."),
    "<seed:think>Hm.</seed:think>Yes.": ("Hm.", "Yes."),
    "[THINK]Hm.[/THINK]Yes.": ("Hm.", "Yes."),
    "◁think▷Hm.◁/think▷Yes.": ("Hm.", "Yes."),
    "<|begin_of_thought|>Hm.<|end_of_thought|><|begin_of_solution|>Yes.<|end_of_solution|>": ("Hm.", "Yes."),
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>": ("Hm.", "Yes."),
    "<|channel>thought\nHm.<channel|>Yes.": ("Hm.", "Yes."),
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>": (
        "Hm.",
        "Yes.",
    ),
    "<|channel|>final<|message|>Yes.": ("", "Yes."),
    "analysisWe wonder.assistantfinalYes.": ("We wonder.", "Yes."),
    "Here is my thought process: Hm. Here is my response: Yes.": ("Hm.", "Yes."),
    "<think>Hm.</think><answer>Yes.</answer>": ("Hm.", "Yes."),
    "Well. <think>Hm.</think>Yes.": ("Hm.", "Well. Yes."),
    "<think>A</think>Yes<think>B</think>, no.": ("A\nB", "Yes, no."),
    "<think>The tag <think> begins it.</think>Yes.": ("The tag <think> begins it.", "Yes."),
    "<think>I write `</think>` later.</think>Yes.": ("I write `</think>` later.", "Yes."),
    "In HTML, `<think>` is no tag.": ("", "In HTML, `<think>` is no tag."),
    "Here is my response: yes.": ("", "Here is my response: yes."),
    "My analysis: yes, I think.": ("", "My analysis: yes, I think."),
}
UNCLOSED = (
    "<think>Hm. (B)",
    "[THINK]The answer is (B)",
    "<|channel|>analysis<|message|>(B)",
    "analysisThe answer is (B)",
)


@pytest.mark.parametrize("raw", THINKING)
def test_thinking_and_answer_are_told_apart(raw):
    assert thinking.split(raw)[:3] == (*THINKING[raw], True)
    assert thinking.split(thinking.split(raw).answer).answer == THINKING[raw][1]  # done twice is done once


@pytest.mark.parametrize("raw", UNCLOSED)
def test_a_text_that_ends_inside_its_thinking_has_no_answer_and_counts_as_cut(raw):
    reply = thinking.apart(Completion(raw, "stop", 9, 9))
    assert (reply.text, reply.finish) == ("", "length") and "B" in reply.thinking and reply.thought == 9


@pytest.mark.parametrize("mood", ["thinks aloud", "opened by the template", "channels", "thinks apart"])
def test_thinking_is_kept_in_the_journal_and_nowhere_else(mood, tmp_path):
    with PracticeServer(mood) as server:
        run(tmp_path, server)
    for record in records(tmp_path):
        assert record["thinking"] == practice.THOUGHT and record["thinking_tokens"] > 0
        assert record["reply"].startswith("A: This question") and practice.THOUGHT not in record["reply"]
    assert practice.THOUGHT not in (tmp_path / "lima_role.jsonl").read_text()
    assert json.loads((tmp_path / "annotated.json").read_text())["thinking_tokens"] > 0


def test_a_hundred_questions_to_a_server_that_always_thinks_aloud_are_a_hundred_calls(tmp_path):
    said = []
    with PracticeServer("thinks aloud") as server:
        chat, rows = run(tmp_path, server, 100, say=lambda line: (said.append(line), print(line)))
    assert [r["outcome"] for r in rows] == ["parsed"] * 100
    assert server.asked.total() == 100 and chat.meter.calls == 100
    assert f"asked m: 100 calls, 30,000 tokens read, 4,000 written, {100 * (300 * 2 + 40 * 8) / 1e6:.4f} USD" in said


def test_thinking_that_the_template_opened_and_the_limit_cut_is_not_read_as_a_reply(tmp_path, monkeypatch):
    cut = (200, practice.completion(f"Perhaps: {FORM} Or rather", "length"), {})
    monkeypatch.setitem(practice.MOODS, "cut inside", lambda q: cut)
    script = {"Question number 1?": ["cut inside"]}
    with PracticeServer(lambda q, nth: script.get(q, ["opened by the template"])[0]) as server:
        _, rows = run(tmp_path, server, 2, concurrency=1)
    assert [r["outcome"] for r in rows] == ["parsed", "cut off"]
    assert "Perhaps" in records(tmp_path)[1]["thinking"] and records(tmp_path)[1]["reply"] == ""


CHOICES = "<think>(A)? The answer is (A). No.</think>"
SCORED = {  # a raw reply -> what both rules read
    f"{CHOICES}The answer is (C).": "C",
    "<think>The answer is (A), or (B)": None,
    "<|channel|>analysis<|message|>The answer is (A).<|end|>": None,
}


@pytest.mark.parametrize("raw", SCORED)
@pytest.mark.parametrize("stage2", ["none", "continue", "turn"])
@pytest.mark.parametrize("local", [True, False])
def test_neither_rule_scores_thinking(raw, stage2, local, tmp_path):
    """By a model in this process, and by a server's; the second stage thinks, too."""
    settings = profiles.get("cpu", stage2=stage2)
    rows = {"openbookqa": score.questions(settings, ["openbookqa"], 2)["openbookqa"]}
    second = " (C)." if local and stage2 == "continue" else f"{CHOICES} (C)."
    chat = FakeChat(lambda q, before: second if q.startswith("Therefore") else raw, second=second)
    chat.prompt, chat.continues = ("frame", True) if local else ("chat", False)
    chat.meter = money.free()
    answers = score.grade("m", 0, rows, score.answer(settings, chat, rows, tmp_path, say=lambda *_: None))
    assert {None if a != a else a for a in (*answers.prediction, *answers.kojima)} == {SCORED[raw]}
    assert (answers.finish == "length").all() == (SCORED[raw] is None)
    assert '"thinking": "' in (tmp_path / "openbookqa.jsonl").read_text()


def test_a_judges_thinking_is_no_verdict_and_no_judge_sees_an_arms_thinking(tmp_path):
    rows = [[{"id": "1", "question": "Why?", "text": f"<think>{who} knows.</think>Because of {who}."}] for who in "xy"]
    pairs = judge.pairs(*rows)
    assert [pairs[0].a, pairs[0].b] == ["Because of x.", "Because of y."]
    chat = FakeChat(
        lambda q, before: "<think>Answer B is significantly better.</think>Answer A is significantly better."
    )
    chat.prompt = "chat"
    result = judge.judge(pairs, ("a", "b"), tmp_path, chat, say=lambda *_: None)
    assert result.table.ab.tolist() == ["a"] and not any("knows" in m[0]["content"] for m in chat.sent)


# --- shapes of a reply ---------------------------------------------------------------------------------------


def message(finish="stop", usage=None, **fields):
    made = SimpleNamespace(**{"content": None, **fields})
    return SimpleNamespace(choices=[SimpleNamespace(message=made, finish_reason=finish)], usage=usage)


def test_a_content_in_parts_is_joined_and_its_thinking_is_apart():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes"}, "!"]
    reply = read_reply(message(content=parts))
    assert (reply.text, reply.thinking, reply.finish) == ("Yes!", "Hm.", "stop")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_empty_content_beside_thinking_is_a_reply_that_was_cut_off(field):
    reply = read_reply(message(content="", **{field: "Hm. " + FORM}))
    assert (reply.text, reply.finish, reply.thinking) == ("", "length", "Hm. " + FORM)
    swallowed = read_reply(message(content="", **{field: f"Hm.</think>{FORM}"}))  # the server missed its end
    assert (swallowed.text, swallowed.finish, swallowed.thinking) == (FORM, "stop", "Hm.")


def test_reasoning_tokens_are_counted_where_the_server_reports_them():
    details = SimpleNamespace(reasoning_tokens=300)
    usage = SimpleNamespace(prompt_tokens=10, completion_tokens=340, completion_tokens_details=details)
    reply = read_reply(message(content="Yes.", usage=usage))
    assert (reply.tokens, reply.thought, reply.thinking) == (340, 300, "")


@pytest.mark.parametrize(
    "error, status, again",
    [
        ({"message": "Rate limit", "code": 429}, 429, True),
        ({"message": "Provider returned error", "code": "502"}, 502, True),
        ("model is loading, try again", 503, True),
        ({"message": "no such model", "type": "bad_model"}, 200, False),
        ({"message": "quota", "code": "insufficient_quota"}, 200, False),
    ],
)
def test_an_error_with_status_200_is_an_error(error, status, again):
    with pytest.raises(ServersError) as raised:
        read_reply(SimpleNamespace(error=error, usage=None))
    assert raised.value.status == status and retry.worth_asking_again(status, raised.value.code) == again


# --- what a model wants --------------------------------------------------------------------------------------

REASON = (
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano-2025-08-07",
    "gpt-5.1",
    "gpt-5.2-2025-12-11",
    "o1",
    "o3-mini",
    "openai/o4-mini",
)


@pytest.mark.parametrize("model", [*money.PRICES, *REASON, "deployment-5", "deployment-o"])
def test_a_model_of_every_family_annotates_with_one_paid_call_a_question(model, tmp_path, monkeypatch):
    """`deployment-...`: a reasoning model under a name that says nothing; each of its rules is learned once."""
    monkeypatch.setitem(practice.FAMILIES, "deployment-5", practice.FAMILIES["gpt-5"])
    monkeypatch.setitem(practice.FAMILIES, "deployment-o", practice.FAMILIES["o"])
    reasons = model in REASON or model in ("gpt-5", "gpt-5-mini", "gpt-5-nano") or "deployment" in model
    with PracticeServer("as its family") as server:
        chat, rows = run(tmp_path, server, 12, model, concurrency=1)
        assert [r["outcome"] for r in rows] == ["parsed"] * 12
        assert chat.meter.calls == 12 and server.answered.total() == 12
        refused = server.asked.total() - 12
    assert refused == {"deployment-5": 3, "deployment-o": 3}.get(model, 0)
    last = server.requests[-1]
    assert ("max_completion_tokens" in last, "temperature" in last, "reasoning_effort" in last) == (
        (True, False, True) if reasons else (False, True, False)
    )
    if reasons:
        family = practice.FAMILIES[max((f for f in practice.FAMILIES if model.rsplit("/")[-1].startswith(f)), key=len)]
        assert last["reasoning_effort"] == family["efforts"][0]
        thought = family["thinks"][family["efforts"][0]]
        assert chat.meter.written == 12 * (thought + 40)
        assert all(r.get("thinking_tokens", 0) == thought for r in records(tmp_path))


def test_room_to_think_is_on_the_bill_from_the_start_unless_a_model_is_known_not_to(tmp_path):
    at_most = {
        name: annotate.plan(dialogues(1), tmp_path, EndpointChat(name, price=(0, 1.0)), packaged=False).usd_at_most
        * 1e6
        for name in ("gpt-4o-mini", "gpt-4.1", "gpt-5-mini", "o3", "my-own-model")
    }
    answers, room = 160 + 320 + 480, 3 * annotate.lima_role.ROOM_TO_THINK
    assert {name: round(tokens) for name, tokens in at_most.items()} == {
        "gpt-4o-mini": answers,
        "gpt-4.1": answers,
        **dict.fromkeys(("gpt-5-mini", "o3", "my-own-model"), answers + room),
    }


def test_the_cap_reserves_the_room_to_think(tmp_path):
    with PracticeServer("as its family") as server:
        with pytest.raises(money.CapReached):  # 160 tokens would be 0.16 USD
            run(tmp_path, server, 1, "gpt-5", price=(0.0, 1000.0), max_usd=2.0)
        assert not server.asked


def test_a_model_whose_first_replies_show_no_thinking_has_no_room_for_it_afterwards(tmp_path):
    with PracticeServer() as server:
        run(tmp_path, server, 12, concurrency=1)
    limits = [body["max_tokens"] for body in server.requests]
    assert set(limits[8:]) == {160} and min(limits[:8]) > 1000


def test_thinking_that_needs_more_than_the_first_room_gets_it_for_all_others(tmp_path, monkeypatch):
    def thinks_long(q):
        enough = server.requests[-1]["max_tokens"] >= 3000
        raw = f"<think>{practice.THOUGHT}" + (f"</think>{practice.role_reply(q)}" if enough else "")
        return 200, practice.completion(raw, "stop" if enough else "length"), {}

    monkeypatch.setitem(practice.MOODS, "thinks long", thinks_long)
    with PracticeServer("thinks long") as server:
        _, rows = run(tmp_path, server, 30, concurrency=1)
    assert [r["outcome"] for r in rows] == ["parsed"] * 30 and server.asked.total() == 31


@pytest.mark.parametrize(
    "said",
    ["This model's maximum context length is 2048 tokens.", "max_tokens is too large: 2208. It supports at most 512."],
)
def test_a_server_of_little_room_is_asked_for_less_thinking_and_answers(said, tmp_path, monkeypatch):
    def small(q):
        if server.requests[-1]["max_tokens"] > 1000:
            return 400, practice.problem(said), {}
        return 200, practice.completion(practice.role_reply(q)), {}

    monkeypatch.setitem(practice.MOODS, "small", small)
    with PracticeServer("small") as server:
        _, rows = run(tmp_path, server, 12, concurrency=1)
    assert [r["outcome"] for r in rows] == ["parsed"] * 12 and server.asked.total() == 13


def test_a_slow_model_that_fills_all_its_room_is_asked_for_less_before_its_time_is_over_again(tmp_path, monkeypatch):
    def slow(q):
        if server.requests[-1]["max_tokens"] > 1000:
            server._ending.wait(1.5)
        return 200, practice.completion(practice.role_reply(q)), {}

    monkeypatch.setitem(practice.MOODS, "slow", slow)
    with PracticeServer("slow") as server:
        _, rows = run(tmp_path, server, 1, concurrency=1, timeout=0.5)
    assert rows[0]["outcome"] == "parsed" and server.asked.total() == 2


EFFORT = "reasoning_effort"


@pytest.mark.parametrize(
    "said, follows",
    [
        (
            "unsupported_value reasoning_effort Unsupported value: 'none'. Supported values are: 'high', 'medium'.",
            "medium",
        ),
        ("400 reasoning_effort Invalid value: 'none'", "minimal"),
        ("None None Unrecognized request argument supplied: reasoning_effort", None),
        ("extra_forbidden reasoning_effort Extra inputs are not permitted", None),
        ("literal_error reasoning_effort Invalid: Input should be 'low', 'medium' or 'high'", "low"),
    ],
)
def test_the_lowest_effort_that_the_server_names_is_the_next_one(said, follows):
    wishes = Wishes("gpt-5.1")
    sent = wishes.parameters(160, 0.0)
    assert sent == {"max_completion_tokens": 160, EFFORT: "none"} and wishes.adapt(said, sent)
    assert wishes.parameters(160, 0.0).get(EFFORT) == follows
    assert wishes.adapt(said, sent) and wishes.parameters(160, 0.0).get(EFFORT) == follows  # a second one, under way


@pytest.mark.parametrize(
    "said", ["max_tokens is too large: 5000, at most 4096", "invalid value: messages", "top_p unknown"]
)
def test_a_400_about_something_else_changes_no_parameter(said):
    wishes = Wishes("m")
    sent = wishes.parameters(160, 0.0)
    assert not wishes.adapt(said, sent) and wishes.parameters(160, 0.0) == sent == {
        "max_tokens": 160,
        "temperature": 0.0,
    }


def test_a_text_that_is_continued_has_the_plain_parameters_whatever_the_models_name():
    wishes = Wishes("o1-mini", chats=False)
    assert wishes.parameters(160, 0.0) == {"max_tokens": 160, "temperature": 0.0} and wishes.room(4096) == 0
    assert not wishes.adapt("max_tokens is not supported", {"max_tokens": 160})


# --- the canary -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["chatty", "empty", "only thinks", "thinks too long", "cut off"])
def test_a_server_that_never_answers_in_form_is_asked_eight_times_and_no_more(mood, tmp_path):
    said = []
    with PracticeServer(mood) as server:
        with pytest.raises(NothingOfUse) as error:
            run(tmp_path, server, 100, say=lambda line: (said.append(str(line)), print(line)))
        line = str(error.value)
        assert server.asked.total() == 8 and set(server.asked.values()) == {1} and len(records(tmp_path)) == 8
        assert line.startswith("stopped after 8 questions: no reply of m is in form") and "\n" not in line
        assert "--model" in line and (mood != "chatty" or "They know such things." in line)
        assert any(told.startswith("asked m: 8 calls") and "USD" in told for told in said)
        with pytest.raises(NothingOfUse):  # nothing was changed: nothing is paid
            run(tmp_path, server, 100)
        assert server.asked.total() == 8
        with pytest.raises(NothingOfUse):  # another model is another question
            run(tmp_path, server, 100, "another")
        assert server.asked.total() == 16
    with PracticeServer() as server:
        assert len(run(tmp_path, server, 100, "a third")[1]) == 100
    assert server.asked.total() == 100


def test_the_command_ends_with_one_line_and_exit_code_1_and_a_dry_run_asks_nobody(tmp_path, capsys):
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps({"conversations": [f"Question {i}?", "So."]}) + "\n" for i in range(3)))
    command = ["annotate", "--data", str(mine), "--out", str(tmp_path / "out"), "--model", "m", "--base-url"]
    with PracticeServer("chatty") as server:
        assert main([*command, server.url, "--dry-run"]) == 0 and not server.asked
        assert main([*command, server.url]) == 1 and server.asked.total() == 3  # all of fewer than eight
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors.startswith("stopped after 3 questions")


def test_one_reply_in_form_among_the_first_eight_is_enough(tmp_path):
    script = {f"Question number {i}?": ["chatty"] for i in range(8) if i != 5}
    with PracticeServer(script) as server:
        _, rows = run(tmp_path, server, 20)
    assert [r["outcome"] for r in rows].count("parsed") == 13 and server.asked.total() == 13 + 7 * annotate.ATTEMPTS
    assert {q for q, _ in server.diary[:8]} == {f"Question number {i}?" for i in range(8)}


TRIED = canary.Canary(8, lambda r: r["reply"] == "good", "is good", "Do something")


def asked(path, n, chat, replay=None, say=lambda *_: None):
    requests = [Request(str(i), user(f"Question {i}?"), 9, 5) for i in range(n)]
    return ask({path: requests}, chat, replay=replay, canary=TRIED, say=say)


def test_good_answers_in_the_journal_pass_and_ones_that_others_gave_do_not_count(tmp_path):
    asked(tmp_path / "j.jsonl", 3, FakeChat(lambda q, before: "good"))
    chat = FakeChat(lambda q, before: "bad")
    assert len(asked(tmp_path / "j.jsonl", 30, chat)) == 30 and chat.asked.total() == 27
    replay = {str(i): {"key": str(i), "reply": "good"} for i in range(20)}
    chat = FakeChat(lambda q, before: "bad")
    with pytest.raises(NothingOfUse):
        asked(tmp_path / "other.jsonl", 30, chat, replay)
    assert chat.asked.total() == 8


def test_interrupted_among_the_first_eight_only_the_rest_of_them_is_asked(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        asked(tmp_path / "j.jsonl", 30, FakeChat(lambda q, before: "bad", stop_after=5))
    chat = FakeChat(lambda q, before: "bad")
    with pytest.raises(NothingOfUse, match="stopped after 8 questions"):
        asked(tmp_path / "j.jsonl", 30, chat)
    assert chat.asked.total() == 3


def test_a_model_in_this_process_costs_nothing_and_is_asked_everything(tmp_path):
    chat = FakeChat(lambda q, before: "bad")
    chat.meter = money.free()
    assert len(asked(tmp_path / "j.jsonl", 30, chat)) == 30


@pytest.mark.parametrize("prompt", ["chat", "frame"])
def test_a_scoring_run_whose_first_ten_answers_are_empty_stops(prompt, tmp_path, monkeypatch, capsys):
    body = {
        "choices": [{"index": 0, "finish_reason": "stop", "text": "", "message": {"role": "assistant", "content": ""}}]
    }
    monkeypatch.setitem(practice.MOODS, "silent", lambda q: (200, body, {}))
    command = ["score", "--model", "m", "--benchmarks", "openbookqa,date", "--stage2", "none", "--prompt", prompt]
    command += ["--out", str(tmp_path), "--base-url"]
    with PracticeServer("silent") as server:
        assert main([*command, server.url]) == 1 and server.asked.total() == 10
        assert main([*command, server.url]) == 1 and server.asked.total() == 10
    error = capsys.readouterr().err
    assert error.startswith("stopped after 10 questions: no reply of m holds an answer; one is empty (finish 'stop')")
    assert not (tmp_path / "scores.csv").exists()


def test_a_scoring_run_with_a_word_among_its_first_ten_continues(tmp_path, monkeypatch):
    spoken = lambda q: (200, practice.completion("Well." if server.asked.total() == 3 else ""), {})  # noqa: E731
    monkeypatch.setitem(practice.MOODS, "nearly silent", spoken)
    settings = profiles.get("cpu", stage2="none")
    with PracticeServer("nearly silent") as server:
        chat = score.endpoint_chat("m", base_url=server.url, prompt="chat", concurrency=1)
        table = score.score(settings, chat, tmp_path, "m", 0, ["openbookqa"], 12, say=lambda *_: None)
    assert table.n[0] == 12 and server.asked.total() == 12


# --- what is odd about a server --------------------------------------------------------------------------------


def test_another_model_is_said_once_and_kept_in_every_record_and_in_the_manifest(tmp_path):
    said = []
    with PracticeServer("another model") as server:
        run(tmp_path, server, 10, "big-chat-70b", say=said.append)
    assert sum("asked for big-chat-70b, the server answers as tiny-chat-1b" in str(line) for line in said) == 1
    assert {r["answered_as"] for r in records(tmp_path)} == {"tiny-chat-1b"}
    made = json.loads((tmp_path / "annotated.json").read_text())
    assert made["answered_as"] == ["tiny-chat-1b"] and made["annotator"] == {"big-chat-70b": 10}


@pytest.mark.parametrize(
    "asked, answered, another",
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", False),
        ("meta/Llama-3-8B", "llama-3-8b", False),
        ("qwen3", "qwen3:latest", False),
        ("qwen3-8b", "/models/Qwen3-8B.gguf", False),
        ("m", None, False),
        ("/srv/m/SmolLM2-135M", "/srv/m/SmolLM2-135M@main", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-11-20", True),
        ("qwen3:8b", "qwen3:1.7b", True),
    ],
)
def test_a_longer_name_of_the_same_model_is_not_another(asked, answered, another):
    assert answered_as(asked, answered) == (answered if another else "")


def test_a_folder_on_the_servers_disk_is_named_without_its_path():
    assert answered_as("m", "/srv/m/models/other@main") == "other@main"


def test_a_prompt_that_the_server_cuts_is_said_once_and_kept_in_every_record_and_in_the_manifests(tmp_path):
    said = []
    with PracticeServer("cuts the prompt") as server:
        run(tmp_path / "a", server, 10, say=said.append)
        settings = profiles.get("cpu", stage2="none")
        chat = score.endpoint_chat("m", base_url=server.url, prompt="chat")
        rows = score.questions(settings, ["gsm8k"], 3)["gsm8k"]
        long = {"gsm8k": [row | {"question": row["question"] * 20} for row in rows]}
        score.answer(settings, chat, long, tmp_path / "s", say=said.append)
    assert sum("the server reads less than was sent" in str(line) for line in said) == 2  # once a run
    assert all(r["sent_tokens"] > 200 and r["tokens"][0] == 64 for r in records(tmp_path / "a"))
    assert json.loads((tmp_path / "a" / "annotated.json").read_text())["cut_prompts"] == 10
    assert json.loads((tmp_path / "s" / "model.json").read_text()) == {"model": "m", "cut_prompts": 3}


def test_nothing_is_called_odd_about_a_server_that_is_fine(tmp_path):
    said = []
    with PracticeServer() as server:
        run(tmp_path, server, say=said.append)
    assert not any("note:" in str(line) for line in said)
    assert set(records(tmp_path)[0]) == {"key", "annotator", "id", "reply", "finish", "tokens"}
    assert set(json.loads((tmp_path / "annotated.json").read_text())) == {"dialogues", "annotator", "outcome"}
    assert roles.parse_annotation(records(tmp_path)[0]["reply"])
