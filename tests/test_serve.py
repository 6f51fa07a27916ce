"""A real server, a real client, a real model: `annotate` against `transformers serve`."""

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

from helpers import annotate, journal, models
from helpers.chat import EndpointChat
from helpers.data.lima import dialogues

pytestmark = pytest.mark.lessons  # loads the default model twice over: half a minute


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`transformers serve` with the default model on a free port: (address, the model's folder)."""
    folder = models.fetch_default(lambda *_: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
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
    monkeypatch.setattr(annotate, "ATTEMPTS", 1)  # the small model is no good annotator, and need not try three times
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
