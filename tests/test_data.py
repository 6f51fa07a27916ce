"""Rows are what docs/DATA.md says, and a damaged one is told by file and line."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import operator
import re
from collections import Counter

import pytest

from helpers import paper
from helpers.benchmarks import BENCHMARKS, humaneval
from helpers.data import SAMPLES, lima, local_folder, read_jsonl, source_for
from helpers.errors import UserError

# file below SPT_DATA -> (how it is read, a field that every row needs)
FILES = {
    "mmlu/test.jsonl.gz": ("mmlu", "answer"),
    "commonsense_qa/validation.jsonl": ("commonsense_qa", "answerKey"),
    "strategyqa/bigbench_task_examples.jsonl": ("strategyqa", "target_scores"),
    "truthful_qa/multiple_choice_validation.jsonl": ("truthful_qa", "mc1_targets"),
    "openbookqa/test.jsonl": ("openbookqa", "choices"),
    "openai_humaneval/test.jsonl": ("humaneval", "test"),
    "gsm8k/test.jsonl": ("gsm8k", "answer"),
    "date_understanding/bigbench_task_examples.jsonl": ("date", "target_scores"),
    "lima/train.jsonl": ("dialogues", "conversations"),
    "lima/test.jsonl": ("open_questions", "conversations"),
}


def sample(reader):
    """Five packaged rows in the layout of the original file."""
    if reader == "humaneval":
        rows = humaneval.rows("packaged")
    elif reader in BENCHMARKS:
        rows = read_jsonl(SAMPLES / "benchmarks" / f"{reader}.jsonl")
    else:
        rows = read_jsonl(SAMPLES / {"dialogues": "lima_mini.jsonl", "open_questions": "open_questions.jsonl"}[reader])
    return rows[:5]


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def encode(row):
    return json.dumps(row, ensure_ascii=False).encode()


def read(reader):
    return getattr(lima, reader)("local") if hasattr(lima, reader) else BENCHMARKS[reader].rows("local")


def refusal(call):
    """The one line that a call refuses its input with."""
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# --- the packaged dialogues ---------------------------------------------------------------------


def test_the_packaged_dialogues_have_the_counts_that_the_course_names():
    dialogues = lima.dialogues("packaged")
    assert len(dialogues) == len({d.id for d in dialogues}) == len({d.question for d in dialogues}) == 120
    kinds = {
        "technical": 42,
        "how_to": 22,
        "everyday": 18,
        "instruction": 16,
        "writing": 12,
        "multi_turn": 6,
        "declined": 4,
    }
    assert Counter(d.source for d in dialogues) == kinds
    assert all((len(d.turns) > 2) == (d.source == "multi_turn") for d in dialogues)
    words = {f"{d.id}: {n}": n for d in dialogues for n in (len(t.split()) for t in d.turns[1::2])}
    assert [name for name, n in words.items() if not 40 <= n <= 160] == []


def test_there_are_24_open_questions_of_our_own():
    rows = lima.open_questions("packaged")
    assert len(rows) == len({r["id"] for r in rows}) == len({r["question"] for r in rows}) == 24
    assert {r["question"] for r in rows}.isdisjoint(d.question for d in lima.dialogues("packaged"))


# --- layouts ------------------------------------------------------------------------------------


def dialogues_of(tmp_path, *rows):
    write(tmp_path / "mine.jsonl", map(encode, rows))
    return lima.dialogues(str(tmp_path / "mine.jsonl"))


def chat(*turns):
    """(role, content) pairs as messages."""
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": ["Why?", "Because."], "source": None},
        {"conversations": ["Why?", "Because.", "Really?"]},  # a last question without an answer is cut off
        chat(("system", "Be kind."), ("user", "Why?"), ("assistant", "Because.")),
    ],
)
def test_both_layouts_are_read_as_turns_of_user_and_assistant(tmp_path, row):
    (dialogue,) = dialogues_of(tmp_path, row)
    assert (dialogue.turns, dialogue.question, dialogue.source) == (("Why?", "Because."), "Why?", "lima")
    assert (
        dialogue.id == "0000" and dialogue.messages() == chat(("user", "Why?"), ("assistant", "Because."))["messages"]
    )


GOOD = {"conversations": ["Why?", "Because."]}
BAD_DIALOGUES = {
    "no turns": {"id": "x"},
    "a question only": {"conversations": ["Why?"]},
    "an empty answer": {"conversations": ["Why?", " "]},
    "a number for an answer": {"conversations": ["Why?", 7]},
    "a string for turns": {"conversations": "Why? Because."},
    "messages that are strings": {"messages": ["Why?", "Because."]},
    "a message without content": {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant"}]},
    "an assistant who speaks first": chat(("assistant", "Hello"), ("user", "Why?")),
    "a user who speaks twice": chat(("user", "Why?"), ("user", "Well?")),
}


@pytest.mark.parametrize("row", BAD_DIALOGUES.values(), ids=BAD_DIALOGUES)
def test_a_dialogue_that_cannot_be_trained_on_is_told_by_file_and_line(tmp_path, row):
    assert refusal(lambda: dialogues_of(tmp_path, GOOD, row)).startswith("mine.jsonl, line 2: ")


@pytest.mark.parametrize("conversations", ["Why is the sky blue?", ["Why is the sky blue?"], []])
def test_an_open_question_is_read_whole_or_told_by_file_and_line(tmp_path, monkeypatch, conversations):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    write(tmp_path / "lima" / "test.jsonl", [encode({"conversations": conversations})])
    if conversations and isinstance(conversations, list):
        assert lima.open_questions("local")[0]["question"] == "Why is the sky blue?"
    else:
        assert refusal(lambda: lima.open_questions("local")).startswith("test.jsonl, line 1: ")


# --- SPT_DATA -----------------------------------------------------------------------------------


def test_spt_data_goes_before_what_the_profile_prefers(tmp_path, monkeypatch):
    assert source_for("hub") == "hub"
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    assert source_for("hub") == source_for("packaged") == "local"


def test_local_data_without_spt_data_says_what_to_set():
    assert "set SPT_DATA" in refusal(local_folder)


def test_blank_lines_a_mark_at_the_beginning_and_windows_line_ends_cost_nothing(tmp_path):
    (tmp_path / "mine.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}\r\n\n{"b": 3}\r\n')
    assert read_jsonl(tmp_path / "mine.jsonl") == [{"a": 1}, {"a": 2}, {"b": 3}]
    assert refusal(lambda: read_jsonl(tmp_path / "mine.jsonl", ("a",))).startswith("mine.jsonl, line 6: no 'a'")


@pytest.mark.parametrize("file", FILES)
def test_a_folder_or_file_that_is_not_there_is_named_and_a_copy_of_the_samples_is_read(tmp_path, monkeypatch, file):
    reader, _ = FILES[file]
    monkeypatch.setenv("SPT_UNCHECKED", "1")  # five of HumanEval's problems are a damaged HumanEval else
    monkeypatch.setenv("SPT_DATA", str(tmp_path / "nowhere"))
    assert "nowhere" in refusal(lambda: read(reader))
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    assert file in refusal(lambda: read(reader))
    write(tmp_path / file, map(encode, sample(reader)))
    assert len(read(reader)) == 5


@pytest.mark.parametrize("damage", ["cut off", "a field gone", "a list", "bytes that are no text"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_row_is_one_line_that_names_file_and_line(tmp_path, monkeypatch, file, damage):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    reader, needed = FILES[file]
    rows = sample(reader)
    lines = [encode(r) for r in rows]
    lines[2] = {
        "cut off": lines[2][: len(lines[2]) // 2],
        "a field gone": encode({k: v for k, v in rows[2].items() if k != needed}),
        "a list": b"[1, 2]",
        "bytes that are no text": lines[2][:20] + b"\xff\xfe" + lines[2][20:],
    }[damage]
    write(tmp_path / file, lines)
    message = refusal(lambda: read(reader))
    assert message.startswith(f"{file.split('/')[1]}, line 3: ")


def places(value, path=()):
    """Where something stands in a row, the first item of each list included."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, part in inside:
        yield (*path, name)
        yield from places(part, (*path, name))


@pytest.mark.parametrize("file", [file for file, (reader, _) in FILES.items() if reader in BENCHMARKS])
def test_a_question_with_something_wrong_in_a_field_is_told_before_a_model_is_asked(tmp_path, monkeypatch, file):
    """Whatever is read without a word can be asked and graded."""
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    monkeypatch.setenv("SPT_UNCHECKED", "1")
    reader, needed = FILES[file]
    for path in places(sample(reader)[2]):
        for wrong in (None, 7, [], {}, [None]):
            rows = copy.deepcopy(sample(reader))
            functools.reduce(operator.getitem, path[:-1], rows[2])[path[-1]] = wrong
            write(tmp_path / file, map(encode, rows))
            try:
                kept = read(reader)
            except UserError as error:
                assert re.search(r", line 3: |-00002: ", str(error)) and "\n" not in str(error), (path, wrong)
                continue
            assert path[0] != needed or path[1:], (path, wrong)
            b = BENCHMARKS[reader]
            assert all(b.question(r) and b.gold(r) and b.group(r) and b.chance(r) >= 0 for r in kept), (path, wrong)


def test_a_download_that_broke_off_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    path = tmp_path / "mmlu" / "test.jsonl.gz"
    write(path, map(encode, sample("mmlu")))
    path.write_bytes(path.read_bytes()[:-200])
    assert "test.jsonl.gz" in refusal(lambda: read("mmlu"))


# --- the real LIMA ------------------------------------------------------------------------------


def test_the_real_lima_has_1030_dialogues(real_data):
    dialogues = lima.dialogues("local")
    assert len(dialogues) == len({d.id for d in dialogues}) == 1030
    assert sum(len(d.turns) > 2 for d in dialogues) >= 29  # 30, of which one may be cut to its first answer
    assert all(len(d.turns) % 2 == 0 for d in dialogues)


def test_the_real_test_questions_are_the_papers(real_data):
    questions = [r["question"] for r in lima.open_questions("local")]
    n, words, _ = paper.TABLE2["lima_test"]
    assert len(questions) == n == 300
    assert sum(len(q.split()) for q in questions) / n == pytest.approx(words, abs=0.1)
