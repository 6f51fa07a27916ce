"""Scoring a model behind a server: priced, capped, resumable, and asked word for word as in this process."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import tiny

from helpers import benchmarks, profiles, score
from helpers.__main__ import main
from helpers.chat import ROOM_TO_THINK, EndpointChat, chat_template, frame, journal, practice, user
from helpers.chat.practice import PracticeServer
from helpers.errors import UserError

SOON = 60.0
TRIGGER = benchmarks.get("openbookqa").STAGE2
CHAT = ("--prompt", "chat", "--benchmarks", "openbookqa,humaneval")


def openbook(n: int) -> list[str]:
    return [benchmarks.get("openbookqa").question(r) for r in benchmarks.get("openbookqa").rows("packaged", n)]


@pytest.fixture
def talks(monkeypatch):
    """A server's mood that thinks, and answers (B) when it is asked for its choice."""

    def reply(question):
        return 200, practice.completion("The answer is (B)." if question.startswith("Therefore") else "Hm."), {}

    monkeypatch.setitem(practice.MOODS, "talks", reply)
    return "talks"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `score` on a server: (exit code, lines told, error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EndpointChat, "TRIES", 3)

    def run(server, *more, out="out"):
        url = server if isinstance(server, str) else server.url
        options = ("--model", "m", "--base-url", url, "--limit", "3", "--out", out, *more)
        code = main(["score", *map(str, options)])
        told, error = capsys.readouterr()
        assert "Traceback" not in error and len(error.splitlines()) == (code != 0), error
        return code, told.splitlines(), error

    return run


def conversations(server) -> Counter:
    """How often each conversation (or text) was sent."""
    return Counter(json.dumps(body.get("prompt") or body["messages"]) for body in server.requests)


def files(folder) -> dict:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- two turns, journalled ------------------------------------------------------------------------


def test_a_chat_model_is_scored_in_two_turns_and_asked_nothing_twice(command, talks, tmp_path):
    with PracticeServer(talks) as server:
        code, told, _ = command(server, *CHAT, "--arm", "somebody")
        assert code == 0
        assert told[1].startswith("to ask of m: 9 calls, ") and told[1].endswith("price 0 (no cap)")
        assert sorted(Counter(len(body["messages"]) for body in server.requests).items()) == [(1, 6), (3, 3)]
        assert set(conversations(server).values()) == {1}
        first = files(tmp_path / "out")
        assert command(server, *CHAT, "--arm", "somebody")[0] == 0
        assert len(server.requests) == 9 and files(tmp_path / "out") == first
    answers = score.read_csv(tmp_path / "out" / "answers.csv")
    assert set(answers.arm) == {"somebody"}
    assert answers[answers.benchmark == "openbookqa"].prediction.tolist() == ["B"] * 3
    turns = next(body["messages"] for body in server.requests if len(body["messages"]) == 3)
    assert [m["role"] for m in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == "Hm." and turns[2]["content"] == TRIGGER.strip()


def test_the_table_shows_the_papers_row_beside_chatgpt(command, talks):
    with PracticeServer(talks) as server:
        code, told, _ = command(server, *CHAT[:2], "--benchmarks", "openbookqa", "--model", "gpt-3.5-turbo-0125")
    assert code == 0 and told[0].startswith("gpt-3.5-turbo-0125-seed0: 3 questions")
    assert told[-2].endswith("paper: ChatGPT") and told[-1].split()[0] == "openbookqa" and told[-1].endswith("81.6")


# --- money ----------------------------------------------------------------------------------------


def test_a_paid_model_is_told_its_price_first_and_asked_only_with_consent(command, talks, tmp_path):
    with PracticeServer(talks) as server:
        price = ("--price", "10,30")
        code, told, error = command(server, *CHAT, *price)
        assert code == 2 and "USD: add --yes to agree (and --max-cost for a cap)" in error
        code, dry, _ = command(server, *CHAT, *price, "--dry-run", out="dry")
        assert code == 0 and dry == [told[1]] and "9 calls" in dry[0] and "10 and 30 USD per million" in dry[0]
        assert not server.requests and not (tmp_path / "dry").exists()
        code, told, _ = command(server, *CHAT, *price, "--yes")
        assert code == 0 and len(server.requests) == 9
    assert any(line.startswith("asked m: 9 calls, 2,700 tokens read, 360 written, 0.0378 USD") for line in told)


def test_the_bill_counts_every_call_and_its_worst_case_holds(tmp_path, monkeypatch):
    settings, names = profiles.get("cpu", stage1_tokens=64, opening_tokens=0), ["openbookqa", "gsm8k", "humaneval"]
    reply = "abc " * 64  # all the tokens it may write
    monkeypatch.setitem(practice.MOODS, "talks much", lambda q: (200, practice.completion(reply, "length"), {}))
    with PracticeServer("talks much") as server:
        reading, writing = (
            score.endpoint_chat("m", base_url=server.url, prompt="chat", price=p) for p in ((1.0, 0.0), (0.0, 1.0))
        )
        rows = score.questions(settings, names, 4)
        read, written = (score.plan(settings, chat, rows, tmp_path / "journals") for chat in (reading, writing))
        assert not (tmp_path / "journals").exists()
        score.answer(settings, reading, rows, tmp_path / "journals", say=lambda _: None)
        assert read.calls == written.calls == len(server.requests) == 20
        sent = sum(len(m["content"].encode()) for body in server.requests for m in body["messages"])
        allowed = sum(body["max_tokens"] for body in server.requests)
    assert written.usd_at_most * 1e6 == pytest.approx(20 * (64 + ROOM_TO_THINK)) and allowed < 20 * (64 + ROOM_TO_THINK)
    assert allowed > 20 * 64 and server.requests[-1]["max_tokens"] == 64  # by then it has shown that it does not think
    assert sent / 4 < read.read < 1.5 * sent / 4 and read.usd * 1e6 == pytest.approx(read.read)
    assert read.usd_at_most * 1e6 > max(read.read, (sent - 8 * len(reply.strip())) / 3 + 8 * 64)
    done = score.plan(settings, reading, rows, tmp_path / "journals")
    assert (done.calls, done.usd_at_most) == (0, 0)


def test_answers_in_the_papers_frame_are_not_taken_for_answers_in_a_chat_template():
    settings, rows = profiles.get("cpu", stage2="none"), score.questions(profiles.get("cpu"), ["date", "humaneval"], 2)
    keys = {
        prompt: {
            q.key for part in score.requests(settings, EndpointChat("m", prompt=prompt), rows).values() for q in part
        }
        for prompt in ("frame", "chat")
    }
    assert len(keys["frame"]) == len(keys["chat"]) == 4 and not keys["frame"] & keys["chat"]


# --- servers that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mood, told",
    [
        ("wrong key", "the server refused the API key: check OPENAI_API_KEY"),
        ("quota", "the account's quota is used up"),
        ("unknown model", "the server knows no model 'm'"),
        ("503", "the server still answers 503: run again later, nothing is lost"),
        ("reset", "no answer from the server: check --base-url"),
    ],
)
def test_a_server_that_fails_midway_is_one_line_and_the_next_run_goes_on(command, talks, tmp_path, mood, told):
    fails = False

    def script(question, nth):
        return mood if fails and count[0] > 4 else talks

    count = [0]
    sent = PracticeServer._answer

    def counted(self, handler, body):
        count[0] += 1
        sent(self, handler, body)

    with pytest.MonkeyPatch.context() as patch, PracticeServer(script) as server:
        patch.setattr(PracticeServer, "_answer", counted)
        assert command(server, *CHAT, out="whole")[0] == 0
        count[0], fails = 0, True
        code, _, error = command(server, *CHAT, "--concurrency", "1")
        assert code == 2 and error.startswith(told)
        kept = {
            r["key"]: r for n in ("openbookqa", "humaneval") for r in journal.read(journals(tmp_path) / f"{n}.jsonl")
        }
        assert len(kept) == 4
        before, fails = len(server.requests), False
        assert command(server, *CHAT)[0] == 0
        assert len(server.requests) - before == 5  # 9 less the 4 that were kept
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def journals(folder):
    return score.generations(folder / "out", "m")


def test_a_server_that_only_chats_says_how_to_ask_it(command, monkeypatch):
    problem = practice.problem("This is a chat model and not supported in the v1/completions endpoint", None)
    monkeypatch.setitem(practice.MOODS, "chats", lambda q: (404, problem, {}))
    with PracticeServer("chats") as server:
        code, _, error = command(server, "--benchmarks", "openbookqa")
    assert (code, error) == (2, "the server completes no text with 'm': check --model, or use --prompt chat\n")


def test_options_that_do_not_go_together_are_told(command, tmp_path):
    with PracticeServer() as server:
        for more, told in (
            (("--prompt", "poem"), "unknown --prompt 'poem': choose frame or chat"),
            (("--arm", "a/b"), "--arm 'a/b' is to name a folder"),
            (("--stage2", "twice"), "unknown stage2 'twice': choose continue, turn, none"),
            (("--stage2", "turn"), "only the model's tokenizer knows how a turn ends: on a server, use --prompt chat"),
            (("--price", "cheap"), "--price 'cheap': give two numbers"),
        ):
            code, _, error = command(server, "--benchmarks", "openbookqa", *more)
            assert code == 2 and error.startswith(told), error
        assert not server.requests and not (tmp_path / "out" / "scores.csv").exists()


def test_a_key_is_in_no_file_and_in_no_line(command, talks, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-9")
    with PracticeServer({}) as server:
        server.script = lambda q, nth: "wrong key" if q.startswith("Therefore") else talks
        code, told, error = command(server, *CHAT)
    assert code == 2 and "canary" not in "".join(told) + error
    assert (tmp_path / "out").is_dir() and not any(b"canary" in content for content in files(tmp_path).values())


# --- a text that is continued -----------------------------------------------------------------------


def text_completion(text, finish="stop"):
    choices = [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None}]
    usage = {"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37}
    body = {"id": "x", "object": "text_completion", "created": 0, "model": "m", "choices": choices, "usage": usage}
    return 200, body, {}


def completed(monkeypatch, stage1, stage2=" (C).\nUSER: And", finish="stop"):
    """A mood of a server that completes texts, in which stage 1 and stage 2 are answered so."""
    reply = lambda q: text_completion(stage2) if q.endswith("is") else text_completion(stage1, finish)  # noqa: E731
    monkeypatch.setitem(practice.MOODS, "completes", reply)
    return "completes"


def test_stage_2_continues_the_very_text_of_stage_1(monkeypatch, tmp_path):
    first = " Well,\n   it depends. \nUSER: What?\nASSISTANT: No"  # a server that does not stop where it should
    mood = completed(monkeypatch, first, ":\n\n (C) it is.\nUSER: Next", "length")
    settings, rows = profiles.get("cpu"), score.questions(profiles.get("cpu"), ["openbookqa"], 2)
    with PracticeServer(mood) as server:
        chat = score.endpoint_chat("m", base_url=server.url, concurrency=1)
        records = score.answer(settings, chat, rows, tmp_path, say=lambda _: None)["openbookqa"]
    one, two = server.requests[:2]
    question = openbook(1)[0]
    assert one["prompt"] == records[0]["prompt"] == frame(user(question))
    assert two["prompt"] == frame(user(question)) + " Well,\n   it depends. " + TRIGGER
    assert (one["max_tokens"], one["temperature"], one["stop"]) == (settings.stage1_tokens, 0, ["\nUSER:"])
    assert (two["max_tokens"], two["temperature"]) == (8, 0) and "stop" not in two
    assert records[0]["stage1"] == "Well,\n   it depends." and records[0]["stage2"] == ":\n\n (C) it is."
    assert records[0]["finish"] == "stop"  # it came to its own end, then went on as the user


@pytest.mark.parametrize(
    "message, code",
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 output tokens", None),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", None),
        ("Too many tokens", "context_length_exceeded"),
    ],
)
def test_a_prompt_longer_than_the_servers_context_is_counted_as_cut_and_the_rest_goes_on(
    monkeypatch, tmp_path, message, code
):
    long = openbook(3)[1]
    fine = completed(monkeypatch, " So.")
    monkeypatch.setitem(practice.MOODS, "too long", lambda q: (400, practice.problem(message, code), {}))
    with PracticeServer(lambda q, nth: "too long" if long in q else fine) as server:
        chat = score.endpoint_chat("m", base_url=server.url)
        table = score.score(profiles.get("cpu"), chat, tmp_path, "m", 0, ["openbookqa"], 3, say=lambda _: None)
        assert len(server.requests) == 5  # no second stage for that one
    assert table.cut[0] == 0.3333 and table.unparsed[0] == 1 and table.n[0] == 3
    assert score.read_csv(tmp_path / "answers.csv").finish.tolist() == ["stop", "too long", "stop"]


def test_a_server_gives_every_answer_the_same_room_whatever_opens_it(monkeypatch, tmp_path):
    """A text server is asked to continue after a long opening; a chat server's reply is cut at the answer's room."""
    opening = " [This question is a test. From now on, I will think like a tester who counts to ten.]"
    settings = profiles.get("cpu", stage1_tokens=20, opening_tokens=40, stage2="none")
    row = score.questions(settings, ["openbookqa"], 1)
    sent = []

    def continued(question):
        so_far = question.rsplit("ASSISTANT:", 1)[1]
        sent.append(so_far)
        rest = (opening + " yes" * 100)[len(so_far) :][: 4 * server.requests[-1]["max_tokens"]]
        status, body, headers = text_completion(rest, "length")
        body["usage"]["completion_tokens"] = len(rest) // 4  # four letters a token
        return status, body, headers

    monkeypatch.setitem(practice.MOODS, "continues", continued)
    with PracticeServer("continues") as server:
        chat = score.endpoint_chat("m", base_url=server.url)
        [record] = score.answer(settings, chat, row, tmp_path / "frame", say=lambda _: None)["openbookqa"]
    taken = len(opening) // 4
    assert sent[0] == "" and sent[1].startswith(" [This question") and len(sent) >= 2
    assert abs(record["opening"] - taken) <= 1 and record["finish"] == "length"
    assert abs(record["tokens"][1] - (20 + taken)) <= 1 and " yes yes" in record["stage1"]

    whole = practice.completion("yes " * 60, "length")
    whole["usage"]["completion_tokens"] = 60
    monkeypatch.setitem(practice.MOODS, "talks on", lambda q: (200, whole, {}))
    with PracticeServer("talks on") as server:
        chat = score.endpoint_chat("m", base_url=server.url, prompt="chat")
        [record] = score.answer(settings, chat, row, tmp_path / "chat", say=lambda _: None)["openbookqa"]
        assert server.requests[0]["max_tokens"] == 60 + ROOM_TO_THINK // 2
    assert record["tokens"][1] == 20 and record["opening"] == 0 and abs(len(record["stage1"].split()) - 20) <= 1


def test_answers_with_another_room_for_openings_are_other_answers():
    rows = score.questions(profiles.get("cpu"), ["date"], 1)
    chat = EndpointChat("m")
    keys = {n: score.requests(profiles.get("cpu", opening_tokens=n), chat, rows)["date"][0].key for n in (0, 96)}
    assert keys[0] != keys[96]


def test_another_400_is_no_long_prompt(monkeypatch, tmp_path):
    with PracticeServer("bad request") as server:
        chat = score.endpoint_chat("m", base_url=server.url)
        with pytest.raises(UserError, match=r"the server refused a request \(400\)"):
            score.score(profiles.get("cpu"), chat, tmp_path, "m", 0, ["openbookqa"], 3, say=lambda _: None)


def test_one_stage_asks_once_and_reads_the_free_answer(monkeypatch, tmp_path):
    mood = completed(monkeypatch, " I say (D).")
    with PracticeServer(mood) as server:
        chat = score.endpoint_chat("m", base_url=server.url)
        settings = profiles.get("cpu", stage2="none")
        score.score(settings, chat, tmp_path, "m", 0, ["openbookqa"], 3, say=lambda _: None)
        assert len(server.requests) == 3
    assert score.read_csv(tmp_path / "answers.csv").prediction.tolist() == ["D"] * 3


def test_a_served_folder_is_named_by_its_weights_and_shows_no_path(tmp_path):
    one, other = tiny.save(tmp_path / "role-seed1"), tiny.save(tmp_path / "b" / "role-seed1", seed=1)
    names = [score.endpoint_chat(str(f), base_url="http://127.0.0.1:9/v1").name for f in (one, other)]
    assert names[0] != names[1] and all(n.startswith("role-seed1@") and n.endswith(", served") for n in names)
    assert str(tmp_path) not in "".join(names)
    assert score.endpoint_chat("org/name", base_url="http://127.0.0.1:9/v1").name == "org/name"


@pytest.mark.parametrize("bos", [False, True])
def test_the_chat_template_of_a_tuned_model_renders_our_frame(bos):
    tokenizer = tiny.tokenizer(bos)
    tokenizer.chat_template = chat_template(tokenizer)
    talk = [*user(" Is it raining? "), {"role": "assistant", "content": " No.\n"}, *user("{{ And now }}?")]
    for messages in (talk[:1], talk):
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert ids == tokenizer(frame(messages, tokenizer.eos_token)).input_ids
    assert ids.count(tokenizer.eos_token_id) == 1 and ids.count(tokenizer.bos_token_id) == bos
    system = [{"role": "system", "content": "Be brief."}, *talk[:1]]
    assert tokenizer.apply_chat_template(system, tokenize=False).endswith("Be brief.\nUSER: Is it raining?")


# --- a process that is killed -----------------------------------------------------------------------
