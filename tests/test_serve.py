"""A real server, a real client, a real model: `annotate` and `score` against `transformers serve`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from helpers import annotate, benchmarks, models, profiles, score
from helpers.chat import EndpointChat, chat_template, journal, spoken
from helpers.data.lima import dialogues

pytestmark = pytest.mark.lessons  # loads the default model twice over: half a minute


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`transformers serve` on a free port: (address, the default model's folder)."""
    folder = models.fetch_default(lambda *_: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
    try:
        for _ in range(240):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        server.terminate()
        server.wait()


def test_a_real_server_annotates_and_a_second_run_asks_it_nothing(served, tmp_path, monkeypatch):
    url, folder = served
    # The small model is not a good annotator: it need not try three times, nor think, and any reply will do.
    monkeypatch.setattr("helpers.annotate.lima_role.ATTEMPTS", 1)
    monkeypatch.setattr("helpers.annotate.lima_role.ROOM_TO_THINK", 0)
    monkeypatch.setattr("helpers.annotate.lima_role.CANARY", spoken())
    few, said = dialogues("packaged")[:3], []
    chat = EndpointChat(folder, url, concurrency=2)
    rows = annotate.annotate(few, tmp_path, chat, packaged=False, say=lambda line: said.append(str(line)))
    assert [row["id"] for row in rows] == [d.id for d in few]
    records = list(journal.read(tmp_path / "annotations.jsonl"))
    assert {r["annotator"] for r in records} == {Path(folder).name} and len(records) == 3
    assert all(r["reply"] and r["finish"] in ("stop", "length") for r in records)
    assert all(r["tokens"][0] > 100 and 0 < r["tokens"][1] <= 160 for r in records)  # the server's own usage
    assert (chat.meter.calls, chat.meter.written) == (3, sum(r["tokens"][1] for r in records))
    assert any("price 0" in line for line in said)

    again = EndpointChat(folder, url)
    assert annotate.annotate(few, tmp_path, again, packaged=False, say=lambda *_: None) == rows
    assert again.meter.calls == 0
    text = (tmp_path / "lima_role.jsonl").read_text() + "\n".join(said)
    assert os.path.dirname(folder) not in text  # no absolute path leaves the machine
    assert [json.loads(line) for line in (tmp_path / "lima_role.jsonl").read_text().splitlines()] == rows


NAMES = tuple(benchmarks.BENCHMARKS)


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    """(profile, out) of two questions of each benchmark, answered by LocalChat in float32."""
    profile, out = profiles.get("cpu", stage1_tokens=24), tmp_path_factory.mktemp("home")
    score.score(profile, score.local_chat(profile), out, "base", 0, NAMES, 2, say=lambda *_: None)
    return profile, out


def records(out, arm):
    return [r for n in NAMES for r in journal.read(score.generations(out, arm) / f"{n}.jsonl")]


def test_a_served_model_gives_the_answers_of_the_model_in_this_process(served, at_home, tmp_path):
    url, folder = served
    profile, home = at_home
    chat = score.endpoint_chat(folder, base_url=url, concurrency=2)
    score.score(profile, chat, tmp_path, "base", 0, NAMES, 2, say=lambda *_: None)
    said = lambda out: [(r["prompt"], r["stage1"], r["stage2"]) for r in records(out, "base")]  # noqa: E731
    assert said(tmp_path) == said(home)
    mine, theirs = (score.read_csv(out / "answers.csv").drop(columns=["tokens", "finish"]) for out in (home, tmp_path))
    assert mine.equals(theirs)
    assert len(set(mine.prediction.dropna())) > 3 and mine.gold.nunique() > 3  # else equal answers would show little
    assert chat.meter.calls == 2 * len(mine) - 2  # both stages, of code only the first
    for one, other in zip(records(home, "base"), records(tmp_path, "base"), strict=True):
        assert one["tokens"][0] == other["tokens"][0]  # one BOS or none, on both sides
        assert 0 <= other["tokens"][1] - one["tokens"][1] <= 5  # a server counts the end token, or "\nUSER:", too


def test_a_tuned_model_is_asked_in_our_frame_by_a_server_that_knows_only_its_chat_template(served, at_home, tmp_path):
    url, folder = served
    profile, home = at_home
    tuned = tmp_path / "role-seed0"  # as finetune saves it: the same files, but for the template
    tuned.mkdir()
    for file in Path(folder).iterdir():
        if file.name != "chat_template.jinja":
            (tuned / file.name).symlink_to(file)
    from transformers import AutoTokenizer

    (tuned / "chat_template.jinja").write_text(chat_template(AutoTokenizer.from_pretrained(folder)))
    chat = EndpointChat(str(tuned), url, concurrency=2)
    questions = [benchmarks.get(n).question(benchmarks.get(n).rows("packaged", 1)[0]) for n in NAMES]
    conversations = [[{"role": "user", "content": q}] for q in questions]
    served_texts = [c.text for _, c in sorted(chat.complete(conversations, profile.stage1_tokens))]
    home_texts = [r["stage1"] for r in records(home, "base")][::2]  # two questions a benchmark: the first
    assert [t.split("\nUSER:")[0].strip() for t in served_texts] == home_texts
