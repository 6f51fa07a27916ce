"""No finished answer is lost or asked twice, whatever happens to the process that wrote it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from helpers.chat import journal
from helpers.chat.journal import Journal
from helpers.errors import UserError


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def records(n):
    return [{"key": f"k{i}", "reply": f"Grüße {i}\nand a second line"} for i in range(n)]


@pytest.fixture
def path(tmp_path):
    """A journal with three records."""
    path = tmp_path / "answers.jsonl"
    with Journal(path) as answers:
        for record in records(3):
            answers.add(record)
    return path


def test_what_was_added_is_found_again_by_the_next_process(path):
    with Journal(path) as answers:
        assert [answers.get(f"k{i}") for i in range(3)] == records(3)
        assert answers.get("k9") is None
        assert len(answers) == 3


def test_an_answer_is_on_the_disk_before_add_returns(tmp_path):
    with Journal(tmp_path / "a" / "new.jsonl") as answers:
        answers.add({"key": "k", "reply": "yes"})
        assert json.loads((tmp_path / "a" / "new.jsonl").read_text()) == {"key": "k", "reply": "yes"}
        assert answers.get("k")["reply"] == "yes"


def test_records_that_came_together_are_on_the_disk_before_extend_returns(path):
    with Journal(path) as answers:
        answers.extend(iter(records(6)[3:]))
        assert [json.loads(line) for line in lines(path)] == records(6)
        assert [answers.get(f"k{i}") for i in range(6)] == records(6)
        answers.add({"key": "k6", "reply": "later"})
    with Journal(path) as answers:
        assert len(answers) == 7


def test_of_records_with_one_key_that_came_together_the_last_is_kept_once(path):
    with Journal(path) as answers:
        answers.extend({"key": "k3", "reply": reply} for reply in ("first", "second"))
        assert answers.get("k3")["reply"] == "second"
    assert [r["key"] for r in journal.read(path)] == ["k0", "k1", "k2", "k3"]
    with Journal(path) as answers:
        assert answers.get("k3")["reply"] == "second"


def test_a_source_of_records_that_fails_half_way_adds_none_of_them(path):
    def failing():
        yield records(5)[3]
        raise RuntimeError

    before = path.read_bytes()
    with pytest.raises(RuntimeError), Journal(path) as answers:
        answers.extend(failing())
    assert path.read_bytes() == before


def test_nothing_to_add_changes_nothing(path):
    before = path.read_bytes()
    with Journal(path) as answers:
        answers.extend([])
        assert len(answers) == 3
    assert path.read_bytes() == before


def test_another_model_parameter_or_prompt_is_another_question():
    keys = [
        journal.key("m", {"t": 0, "n": 1}, "p"),
        journal.key("m2", {"t": 0, "n": 1}, "p"),
        journal.key("m", {"t": 1, "n": 1}, "p"),
        journal.key("m", {"t": 0}, "p"),
        journal.key("m", {"t": 0, "n": 1}, "p "),
        journal.key("mp", {"t": 0, "n": 1}, ""),
    ]
    assert len(set(keys)) == len(keys)


def test_the_order_of_parameters_does_not_change_the_question():
    assert journal.key("m", {"a": 0, "b": 1}, "p") == journal.key("m", {"b": 1, "a": 0}, "p")


@pytest.mark.parametrize("torn", [b'{"key": "k3", "rep', b'{"key": "k3", "reply": "Gr\xc3', b'{"key": "k3"}'])
def test_a_torn_last_line_is_dropped_with_a_word_and_the_rest_kept(path, torn, capsys):
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with Journal(path) as answers:
        assert len(answers) == 3
        assert path.read_bytes() == whole
        answers.add({"key": "k3", "reply": "again"})
    assert capsys.readouterr().out == f"answers.jsonl: dropped a torn last line ({len(torn)} bytes)\n"
    assert [r["key"] for r in journal.read(path)] == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize("damage", ["not JSON", '{"no": "key"}', "[1, 2]", ""])
def test_a_damaged_line_is_an_error_that_names_file_and_line(path, damage):
    all_lines = lines(path)
    path.write_text("\n".join([all_lines[0], damage, all_lines[2]]) + "\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"answers\.jsonl, line 2: ") as error, Journal(path):
        pass
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    path.write_text("\n".join([all_lines[0], all_lines[2]]) + "\n", encoding="utf-8")
    with Journal(path) as answers:  # the lock was given back
        assert len(answers) == 2


def test_reading_without_the_lock_changes_nothing(path):
    path.write_bytes(path.read_bytes() + b'{"key"')
    before = path.read_bytes()
    assert len(list(journal.read(path))) == 3
    assert path.read_bytes() == before


def test_a_journal_that_does_not_exist_is_empty(tmp_path):
    assert list(journal.read(tmp_path / "none.jsonl")) == []


WRITER = """
import sys
from helpers.chat.journal import Journal
with Journal(sys.argv[1]) as answers:
    for i in range(3, 100_000):
        if sys.argv[2] == "extend":
            answers.extend({"key": f"k{i}" + part, "reply": "x" * (i % 5000)} for part in ("", "a", "b", "c"))
        else:
            answers.add({"key": f"k{i}", "reply": "x" * (i % 5000)})
        print(i, flush=True)
        if sys.argv[2] == "wait":
            sys.stdin.read()
        if sys.argv[2] == "sort" and i % 10 == 0:
            answers.sort(f"k{j}" for j in reversed(range(i)))
"""


def start(path, mode):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def kill(process):
    process.kill()
    rest = process.stdout.read()
    process.stdout.close()
    process.stdin.close()
    assert process.wait() == (1 if os.name == "nt" else -signal.SIGKILL)
    return [int(i) for i in rest.split("\n")[:-1]]


def test_a_second_process_is_refused_and_told_the_first_ones_pid(path):
    first = start(path, "wait")
    try:
        assert first.stdout.readline() == "3\n"
        before = path.read_bytes()
        with (
            pytest.raises(UserError, match=rf"answers\.jsonl is being written by process {first.pid}\b"),
            Journal(path),
        ):
            pass
        assert path.read_bytes() == before
    finally:
        kill(first)


def test_the_same_process_does_not_write_twice_either(path):
    with Journal(path), pytest.raises(UserError, match=f"process {os.getpid()}"), Journal(path):
        pass


@pytest.mark.parametrize("left", ["", "1\nanother-machine\n"], ids=["killed while locking", "another machine"])
def test_a_lock_whose_owner_cannot_be_looked_up_is_told_with_the_file_to_remove(path, left):
    (path.parent / "answers.jsonl.lock").write_text(left)
    with pytest.raises(UserError, match=r"answers\.jsonl\.lock") as error, Journal(path):
        pass
    assert "process None" not in str(error.value)


@pytest.mark.parametrize("mode", ["add", "extend", "sort"])
def test_a_killed_writer_loses_no_finished_answer(path, mode):
    for round_ in range(3):
        writer = start(path, mode)
        finished = [int(writer.stdout.readline()) for _ in range(20 + 7 * round_)]
        finished += kill(writer)
        with Journal(path) as answers:  # its lock is no obstacle
            lost = [i for i in [0, 1, 2, *finished] if answers.get(f"k{i}") is None]
        assert lost == []
        assert all(line.endswith("}") for line in lines(path))


def test_sorted_journals_are_equal_whatever_order_the_answers_came_in(tmp_path):
    files = []
    for name, order in (("a", [2, 0, 3, 1]), ("b", [3, 1, 0, 2])):
        files.append(tmp_path / f"{name}.jsonl")
        with Journal(files[-1]) as answers:
            for i in order:
                answers.add(records(4)[i])
            answers.sort(["k0", "k1", "k2", "k3"])
    assert [r["key"] for r in journal.read(files[0])] == ["k0", "k1", "k2", "k3"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_sorting_keeps_what_the_order_does_not_name_and_the_journal_stays_open(path):
    with Journal(path) as answers:
        answers.sort(["k2", "unknown"])
        answers.add({"key": "k3", "reply": "later"})
    assert [r["key"] for r in journal.read(path)] == ["k2", "k0", "k1", "k3"]
    assert {p.name for p in path.parent.iterdir()} == {"answers.jsonl"}


def test_a_sort_that_is_stopped_half_way_leaves_the_journal_as_it_was(path, monkeypatch):
    before = path.read_bytes()
    dumps = json.dumps

    def stopped(record, **options):
        if record["key"] == "k1":
            raise KeyboardInterrupt
        return dumps(record, **options)

    with pytest.raises(KeyboardInterrupt), Journal(path) as answers:
        monkeypatch.setattr(json, "dumps", stopped)
        answers.sort(["k2", "k1", "k0"])
    assert path.read_bytes() == before
