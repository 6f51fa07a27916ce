"""Rows are what docs/DATA.md says, and a damaged one is told by file and line."""

from __future__ import annotations

import gzip
import json
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
    assert len(dialogues) == 120 and len({d.id for d in dialogues}) == 120
    assert Counter(d.source for d in dialogues) == {
        "technical": 42,
        "how_to": 22,
        "everyday": 18,
        "instruction": 16,
        "writing": 12,
        "multi_turn": 6,
        "declined": 4,
    }
    assert {d.source for d in dialogues if len(d.turns) > 2} == {"multi_turn"}
    assert all(len(d.turns) > 2 for d in dialogues if d.source == "multi_turn")


def test_no_packaged_question_is_asked_twice():
    assert len({d.question for d in lima.dialogues("packaged")}) == 120


def test_every_packaged_answer_has_40_to_160_words():
    words = {f"{d.id}: {n}": n for d in lima.dialogues("packaged") for n in (len(t.split()) for t in d.turns[1::2])}
    assert [name for name, n in words.items() if not 40 <= n <= 160] == []


def test_turns_go_user_assistant_and_the_first_is_the_question():
    for dialogue in lima.dialogues("packaged"):
        messages = dialogue.messages()
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert messages[0]["content"] == dialogue.question


def test_there_are_24_open_questions_of_our_own():
    rows = lima.open_questions("packaged")
    assert len(rows) == len({r["id"] for r in rows}) == len({r["question"] for r in rows}) == 24
    assert {r["question"] for r in rows}.isdisjoint(d.question for d in lima.dialogues("packaged"))


# --- layouts ------------------------------------------------------------------------------------


def dialogues_of(tmp_path, *rows):
    write(tmp_path / "mine.jsonl", map(encode, rows))
    return lima.dialogues(str(tmp_path / "mine.jsonl"))


def test_lima_layout_is_read(tmp_path):
    (dialogue,) = dialogues_of(tmp_path, {"conversations": ["Why?", "Because."], "source": None})
    assert (dialogue.turns, dialogue.source, dialogue.id) == (("Why?", "Because."), "lima", "0000")


def test_messages_layout_is_read_without_its_system_turn(tmp_path):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
    ]
    (dialogue,) = dialogues_of(tmp_path, {"id": 7, "messages": messages})
    assert dialogue.id == "7"
    assert dialogue.messages() == messages[1:]


def test_a_last_question_without_an_answer_is_cut_off(tmp_path):
    (dialogue,) = dialogues_of(tmp_path, {"conversations": ["Why?", "Because.", "Really?"]})
    assert dialogue.turns == ("Why?", "Because.")


GOOD = {"conversations": ["Why?", "Because."]}
BAD_DIALOGUES = {
    "no turns": {"id": "x"},
    "a question only": {"conversations": ["Why?"]},
    "an empty answer": {"conversations": ["Why?", " "]},
    "a number for an answer": {"conversations": ["Why?", 7]},
    "a string for turns": {"conversations": "Why? Because."},
    "messages that are strings": {"messages": ["Why?", "Because."]},
    "a message without content": {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant"}]},
    "an assistant who speaks first": {
        "messages": [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Why?"}]
    },
    "a user who speaks twice": {
        "messages": [{"role": "user", "content": "Why?"}, {"role": "user", "content": "Well?"}]
    },
}


@pytest.mark.parametrize("row", BAD_DIALOGUES.values(), ids=BAD_DIALOGUES)
def test_a_dialogue_that_cannot_be_trained_on_is_told_by_file_and_line(tmp_path, row):
    assert refusal(lambda: dialogues_of(tmp_path, GOOD, row)).startswith("mine.jsonl, line 2: ")


@pytest.mark.parametrize("conversations", ["Why is the sky blue?", ["Why is the sky blue?"]])
def test_an_open_question_is_never_cut_to_its_first_letter(tmp_path, monkeypatch, conversations):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    write(tmp_path / "lima" / "test.jsonl", [encode({"conversations": conversations})])
    try:
        assert lima.open_questions("local")[0]["question"] == "Why is the sky blue?"
    except UserError as error:
        assert "test.jsonl, line 1" in str(error)


def test_an_open_question_without_words_is_told_by_file_and_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    write(tmp_path / "lima" / "test.jsonl", [encode({"conversations": []})])
    assert refusal(lambda: lima.open_questions("local")).startswith("test.jsonl, line 1: ")


# --- SPT_DATA -----------------------------------------------------------------------------------


def test_spt_data_goes_before_what_the_profile_prefers(tmp_path, monkeypatch):
    assert source_for("hub") == "hub"
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    assert source_for("hub") == source_for("packaged") == "local"


def test_local_data_without_spt_data_says_what_to_set():
    assert "set SPT_DATA" in refusal(local_folder)


def test_a_folder_that_does_not_exist_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SPT_DATA", str(tmp_path / "nowhere"))
    for reader, _ in FILES.values():
        assert "nowhere" in refusal(lambda reader=reader: read(reader))


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(tmp_path, monkeypatch, file):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    assert file in refusal(lambda: read(FILES[file][0]))


@pytest.mark.parametrize("file", FILES)
def test_a_copy_of_the_samples_in_the_original_layout_is_read(tmp_path, monkeypatch, file):
    monkeypatch.setenv("SPT_DATA", str(tmp_path))
    monkeypatch.setenv("SPT_UNCHECKED", "1")  # five of HumanEval's problems are a damaged HumanEval else
    reader, _ = FILES[file]
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
