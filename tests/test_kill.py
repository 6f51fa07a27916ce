"""`annotate` as a process of its own: killed or interrupted at any instant it pays for no answer twice, and it shows no key."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from helpers import annotate
from helpers.chat import journal, practice
from helpers.chat.practice import PracticeServer

SOON = 60.0  # seconds, for what takes about one; these machines are noisy
QUESTIONS = [f"What is question number {i} about?" for i in range(60)]
CONCURRENCY = 4


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = ({"id": f"q{i:02}", "conversations": [q, "An answer."]} for i, q in enumerate(QUESTIONS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def start(data, out, server, *more, **environment):
    command = ["annotate", "--data", data, "--out", out, "--base-url", server.url, "--model", "m"]
    options = ["--annotator", "server", "--concurrency", CONCURRENCY, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "helpers", *map(str, [*command, *options])],
        cwd=data.parent,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """(exit code, stdout, stderr) of a process that is to end by itself."""
    try:
        out, err = process.communicate(timeout=SOON)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_for(condition, process):
    """Until `condition` holds or the process has ended."""
    deadline = time.monotonic() + SOON
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "nothing happens any more"
        time.sleep(0.002)


class Gate:
    """Lets only so many answers through, so that how far a process comes does not depend on the machine's speed."""

    def __init__(self):
        self.change = threading.Condition()
        self.left, self.turn, self.waiting = 0, 0, 0

    def __call__(self, question):
        with self.change:
            mine = self.turn
            self.waiting += 1
            self.change.wait_for(lambda: self.left or self.turn != mine, SOON)
            if self.turn == mine:
                self.left -= 1
                self.waiting -= 1
        return practice.MOODS["fine"](question)

    def open(self, n):
        with self.change:
            self.left += n
            self.change.notify_all()

    def next_turn(self):
        """Whoever waits now belongs to a process that is gone."""
        with self.change:
            self.left, self.turn, self.waiting = 0, self.turn + 1, 0
            self.change.notify_all()


def answered(out):
    """{journal key: record} of the whole lines in a journal, as the next process will read it."""
    return {r["key"]: r for r in journal.read(out / "annotations.jsonl")}


def kept(out):
    return {name: (out / name).read_bytes() for name in ("annotations.jsonl", "lima_role.jsonl")}


def test_killed_at_20_instants_no_kept_answer_is_asked_again_and_the_files_are_those_of_an_undisturbed_run(
    data, tmp_path, monkeypatch
):
    gate, dice = Gate(), random.Random(20)
    monkeypatch.setitem(practice.MOODS, "gated", gate)
    keys = {q: annotate.key("m", q) for q in QUESTIONS}
    with PracticeServer() as server:
        code, _, err = end(start(data, tmp_path / "undisturbed", server))
        assert (code, err) == (0, "")
    out, kills, journaled = tmp_path / "killed", 0, []
    with PracticeServer("gated") as server:
        for n in range(20):
            process = start(data, out, server)
            wait_for(lambda: gate.waiting == CONCURRENCY, process)
            gate.open(n % 4)  # 0 to 3 answers: 30 of the 60 at most
            time.sleep(dice.uniform(0, 0.03))  # on their way, being read, being written
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            kills += 1
            records = answered(out)
            journaled.append({q: server.asked[q] for q in QUESTIONS if keys[q] in records})
            gate.next_turn()
        for _ in range(4):  # at the end, where the files are written: perhaps it is over before the kill
            gate.next_turn()
            process = start(data, out, server)
            wait_for(lambda: gate.waiting > 0, process)
            gate.open(1000)
            wait_for(lambda: len(answered(out)) == len(QUESTIONS), process)
            time.sleep(dice.uniform(0, 0.02))
            process.kill()
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
            records = answered(out)
            journaled.append({q: server.asked[q] for q in QUESTIONS if keys[q] in records})
        code, _, err = end(start(data, out, server))
        assert (code, err) == (0, "")
        asked = server.asked
    for before in journaled:
        assert {q: asked[q] for q in before} == before  # what was kept was never asked again
    assert 0 < len(journaled[19]) < len(QUESTIONS)  # the kills came in the middle of the work
    assert len(journaled[-1]) == len(QUESTIONS)
    assert asked.total() <= len(QUESTIONS) + kills * CONCURRENCY
    assert kept(out) == kept(tmp_path / "undisturbed")


def test_ctrl_c_keeps_every_answer_that_the_server_gave_and_says_how_to_go_on(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    gate = Gate()
    monkeypatch.setitem(practice.MOODS, "gated", gate)
    with PracticeServer("gated") as server:
        process = start(data, out, server)
        wait_for(lambda: gate.waiting == CONCURRENCY, process)
        gate.open(3)
        wait_for(lambda: len(answered(out)) == 3 and gate.waiting == CONCURRENCY, process)
        process.send_signal(signal.SIGINT)
        too_late = threading.Timer(10, gate.open, [1000])  # so that a failure does not take a minute
        too_late.start()
        while "waiting for the answers that are under way" not in (line := process.stderr.readline()):
            assert line, "it ended without waiting for the answers that were under way"
        too_late.cancel()
        gate.open(1000)
        code, _, err = end(process)
    assert len(answered(out)) == 3 + CONCURRENCY == server.asked.total()
    assert not (out / "lima_role.jsonl").exists()
    assert code in (1, 130)  # 130: what a shell expects of an interrupted program
    assert err == "stopped; run the same command again to go on\n"


def test_a_second_process_on_the_same_folder_is_refused_and_asks_nothing(data, tmp_path, monkeypatch):
    out, gate = tmp_path / "out", Gate()
    monkeypatch.setitem(practice.MOODS, "gated", gate)
    with PracticeServer("gated") as server, PracticeServer() as other:
        first = start(data, out, server)
        wait_for(lambda: gate.waiting, first)
        code, _, err = end(start(data, out, other))
        assert code == 2
        assert err.startswith(
            f"annotations.jsonl is being written by process {first.pid}: wait for it to end, or end it"
        )
        assert len(err.splitlines()) == 1
        assert other.asked.total() == 0
        gate.open(1000)
        code, _, err = end(first)
    assert (code, err) == (0, "")
    assert server.asked == {q: 1 for q in QUESTIONS}


# --- the key --------------------------------------------------------------------------------------

CANARY = "sk-canary-3f9A_x7-Qq"
TELLTALE = "canary-3f9A"
REPEATED = f"Incorrect API key provided: {CANARY}. You sent 'Authorization: Bearer {CANARY}'.\nFind your key online."
MOODS = {
    "fine": None,
    "401": (401, practice.problem(REPEATED, "invalid_api_key"), {}),
    "400": (400, practice.problem(REPEATED, "invalid_request_error"), {}),
    "400 in words": (400, REPEATED, {"Content-Type": "text/plain"}),
    "403": (403, practice.problem(REPEATED, REPEATED, REPEATED), {"X-Key": CANARY}),
}


@pytest.mark.parametrize(
    "name, debug",
    [(name, True) for name in MOODS] + [("401", False), ("400", False)],
    ids=lambda value: {True: "debug", False: ""}.get(value, value),
)
def test_a_key_is_in_no_file_and_in_no_output_even_where_the_server_repeats_it(
    data, tmp_path, monkeypatch, name, debug
):
    if MOODS[name]:
        monkeypatch.setitem(practice.MOODS, name, lambda q: MOODS[name])
    with PracticeServer(name) as server:
        code, out, err = end(start(data, tmp_path / "out", server, *["--debug"] * debug, OPENAI_API_KEY=CANARY))
    assert server.asked.total() > 0
    if name == "fine":
        assert (code, err) == (0, "")
    elif debug:
        assert code == 1 and "UserError" in err
    else:
        assert code == 2 and len(err.splitlines()) == 1
    assert TELLTALE not in out + err
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and TELLTALE.encode() in p.read_bytes()] == []


@pytest.mark.parametrize("key", [f"{CANARY}\n", f"{CANARY}é"], ids=["line end", "accent"])
def test_a_key_that_cannot_be_sent_is_told_as_a_wrong_key_and_not_shown(data, tmp_path, key):
    with PracticeServer() as server:
        code, out, err = end(start(data, tmp_path / "out", server, OPENAI_API_KEY=key))
    assert code == 2 and len(err.splitlines()) == 1
    assert TELLTALE not in out + err
    assert "OPENAI_API_KEY" in err and "no answer from the server" not in err
