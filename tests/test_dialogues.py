"""Dialogues in the layouts and formats that people have: the same dialogue comes out of all, and what is bad is counted."""

from __future__ import annotations

import codecs
import gzip
import json
import re
from pathlib import Path

import datasets
import pandas as pd
import pytest

from helpers.__main__ import main
from helpers.data import lima
from helpers.errors import UserError

TURNS = ("Why is the sky\nblue?", "Air scatters blue — most of all.", "And at dusk?", "The way is longer.")
HUMAN, GPT = ("human", "gpt", "human", "gpt"), ("user", "assistant", "user", "assistant")


def spoken(roles=GPT, role="role", text="content", turns=TURNS):
    return [{role: r, text: t} for r, t in zip(roles, turns)]


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


SYSTEM = {"role": "system", "content": "Be kind."}
LONG = {  # the whole dialogue
    "LIMA": {"conversations": list(TURNS), "source": "lima"},
    "messages": {"messages": spoken()},
    "messages with a prompt beside them": {"prompt": TURNS[0], "messages": spoken(), "prompt_id": "x"},
    "a system turn": {"messages": [SYSTEM, *spoken()]},
    "a developer turn": {"messages": [SYSTEM | {"role": "developer"}, *spoken()]},
    "a system turn of parts": {"messages": [{"role": "system", "content": parts("Be ", "kind.")}, *spoken()]},
    "a system turn between": {"messages": [*spoken()[:2], SYSTEM, *spoken()[2:]]},
    "parts": {"messages": [m | {"content": parts(m["content"][:5], m["content"][5:])} for m in spoken()]},
    "plain parts": {"messages": [m | {"content": [m["content"]]} for m in spoken()]},
    "ShareGPT": {"id": None, "conversations": spoken(HUMAN, "from", "value")},
    "ShareGPT, user and assistant": {"conversations": spoken(GPT, "from", "value")},
    "ShareGPT, capitals": {"conversations": spoken(("Human", "GPT") * 2, "from", "value")},
    "ShareGPT, system first": {"conversations": [{"from": "system", "value": "Be."}, *spoken(HUMAN, "from", "value")]},
    "ShareGPT, the system in a column": {"system": "Be.", "tools": "", "conversation": spoken(HUMAN, "from", "value")},
    "ShareGPT in dialog": {"dialog": spoken(HUMAN, "from", "value")},
    "ShareGPT in dialogue": {"dialogue": spoken(("user", "model") * 2, "from", "value")},
    "ShareGPT in items": {"items": spoken(HUMAN, "from", "value")},
    "role and value": {"conversations": spoken(GPT, "role", "value")},
    "UltraChat": {"id": None, "data": list(TURNS)},
    "Capybara": {"conversation": [dict(input=q, output=a) for q, a in zip(TURNS[::2], TURNS[1::2])]},
    "pairs of texts": {"dialogue": [list(TURNS[:2]), list(TURNS[2:])]},
    "TRL, conversational": {"prompt": spoken()[:3], "completion": spoken()[3:]},
    "TRL with a system turn": {"prompt": [SYSTEM, *spoken()[:3]], "completion": spoken()[3:]},
    "LLaMA-Factory": {"instruction": TURNS[2], "input": "", "output": TURNS[3], "history": [list(TURNS[:2])]},
    "a greeting": {"messages": [{"role": "assistant", "content": "Hello!"}, *spoken()]},
    "a last question": {"conversations": [*TURNS, "And at night?"]},
    "fields that are null": {"prompt": None, "conversations": None, "messages": spoken(), "tools": None},
    "no tool was called": {"messages": [m | {"tool_calls": None, "name": None} for m in spoken()]},
}
SHORT = {  # its first question and answer
    "Alpaca": {"instruction": TURNS[0], "input": "", "output": TURNS[1]},
    "Alpaca with text": {"instruction": TURNS[0], "input": "", "output": TURNS[1], "text": "Below is ..."},
    "Alpaca without input": {"instruction": TURNS[0], "output": TURNS[1]},
    "Dolly": {"instruction": TURNS[0], "context": "", "response": TURNS[1], "category": "open_qa"},
    "TRL": {"prompt": TURNS[0], "completion": " " + TURNS[1]},
    "TRL, conversational": {"prompt": spoken()[:1], "completion": spoken()[1:2]},
    "question and answer": {"question": TURNS[0], "answer": TURNS[1]},
    "capitals": {"Question": TURNS[0], "Answer": TURNS[1]},
    "query and response": {"query": TURNS[0], "response": TURNS[1]},
    "input and output": {"input": TURNS[0], "output": TURNS[1]},
    "prompt and response": {"prompt": TURNS[0], "response": TURNS[1]},
    "human and assistant": {"human": TURNS[0], "assistant": TURNS[1]},
    "LIMA": {"conversations": list(TURNS[:2])},
}


def lines(path, *rows, end="\n"):
    texts = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path.write_bytes(b"".join(text + end.encode() for text in texts))
    return str(path)


def turns_of(source, **options):
    return [d.turns for d in lima.dialogues(str(source), **options)]


# --- layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", LONG.values(), ids=LONG)
def test_the_same_dialogue_comes_out_of_every_layout(tmp_path, row):
    (found,) = lima.dialogues(lines(tmp_path / "mine.jsonl", row))
    assert (found.turns, found.id, found.source) == (TURNS, "0000", "lima")


@pytest.mark.parametrize("row", SHORT.values(), ids=SHORT)
def test_a_question_and_its_answer_come_out_of_every_layout(tmp_path, row):
    (found,) = lima.dialogues(lines(tmp_path / "mine.jsonl", row))
    assert (found.turns, found.id, found.source) == (TURNS[:2], "0000", "lima")


def test_what_an_instruction_is_about_belongs_to_the_question(tmp_path):
    alpaca = {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"}
    dolly = {"instruction": "Translate.", "context": "Guten Tag", "response": "Good day"}
    assert turns_of(lines(tmp_path / "a.jsonl", alpaca, dolly)) == [("Translate.\n\nGuten Tag", "Good day")] * 2


def test_a_greeting_is_dropped_and_counted_and_a_file_may_mix_layouts(tmp_path, capsys):
    rows = [*LONG.values(), LONG["a greeting"]]
    assert set(turns_of(lines(tmp_path / "mine.jsonl", *rows))) == {TURNS}
    assert capsys.readouterr().out == (
        "mine.jsonl: 2 greetings by the assistant before the first question are dropped\n"
    )


def test_an_id_and_a_source_of_ones_own_are_kept(tmp_path):
    rows = [LONG["messages"] | {"id": 0, "source": "mine"}, LONG["messages"] | {"id": "b"}, LONG["messages"]]
    found = lima.dialogues(lines(tmp_path / "mine.jsonl", *rows))
    assert [(d.id, d.source) for d in found] == [("0", "mine"), ("b", "lima"), ("0002", "lima")]


# --- formats ------------------------------------------------------------------------------------


ROWS = [LONG["ShareGPT"] | {"id": "a"}, LONG["ShareGPT"] | {"id": "b"}]


def write_csv(path, **options):
    pd.DataFrame([{"id": r["id"], "conversations": json.dumps(r["conversations"])} for r in ROWS]).to_csv(
        path, index=False, **options
    )


def write_folder(path):
    (path / "data").mkdir(parents=True)
    for n, row in enumerate(ROWS):
        lines(path / "data" / f"train-0000{n}-of-00002.jsonl", row)
    lines(path / "data" / "test-00000-of-00001.jsonl", LONG["LIMA"])
    (path / "README.md").write_text("# Mine\n")


FORMATS = {
    "lines.jsonl": lambda path: lines(path, *ROWS),
    "windows.jsonl": lambda path: lines(path, *ROWS, end="\r\n"),
    "bom.jsonl": lambda path: lines(path, codecs.BOM_UTF8 + json.dumps(ROWS[0]).encode(), ROWS[1]),
    "blank.jsonl": lambda path: lines(path, b"", ROWS[0], b"  ", ROWS[1], b"", b"", end="\r\n"),
    "separators.jsonl": lambda path: lines(path, *(r | {"note": "a\u2028b\x85c"} for r in ROWS)),
    "lines.jsonl.gz": lambda path: path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode())),
    "lines.json": lambda path: lines(path, *ROWS),
    "list.json": lambda path: path.write_text(json.dumps(ROWS)),
    "list.jsonl": lambda path: path.write_text(json.dumps(ROWS)),
    "indented.json": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "a row a line.json": lambda path: path.write_text("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n"),
    "inside.json": lambda path: path.write_text(json.dumps({"version": 1, "data": ROWS}, indent=1)),
    "inside, on one line.json": lambda path: path.write_text(json.dumps({"train": ROWS})),
    "table.csv": write_csv,
    "table.csv.gz": write_csv,
    "excel.csv": lambda path: write_csv(path, encoding="utf-8-sig", lineterminator="\r\n"),
    "table.tsv": lambda path: write_csv(path, sep="\t"),
    "table.parquet": lambda path: pd.DataFrame(ROWS).to_parquet(path),
    "saved": lambda path: datasets.Dataset.from_list(ROWS).save_to_disk(path),
    "splits": lambda path: datasets.DatasetDict(
        train=datasets.Dataset.from_list(ROWS), test=datasets.Dataset.from_list(ROWS[:1])
    ).save_to_disk(path),
    "folder": write_folder,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_dialogues_come_out_of_every_format(tmp_path, name):
    FORMATS[name](tmp_path / name)
    assert [(d.id, d.turns) for d in lima.dialogues(str(tmp_path / name))] == [("a", TURNS), ("b", TURNS)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["Alpaca", "Dolly", "TRL", "question and answer"])
def test_columns_of_text_come_out_of_tables(tmp_path, name, suffix):
    frame, file = pd.DataFrame([SHORT[name], SHORT[name]]), tmp_path / f"mine.{suffix}"
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    assert turns_of(file) == [TURNS[:2]] * 2


def test_cells_that_are_empty_or_look_like_numbers_stay_text(tmp_path):
    (tmp_path / "mine.csv").write_text('id,instruction,input,output\n7,"2+2?",,4\n8,[sic]?,NA,null\n')
    assert turns_of(tmp_path / "mine.csv") == [("2+2?", "4"), ("[sic]?\n\nNA", "null")]


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("hub:me/mine", ("me/mine", "train")),
        ("hub:me/mine:test", ("me/mine", "test")),
        ("hub:me/mine:small:test", ("me/mine", "small", "test")),
    ],
)
def test_a_data_set_of_the_hub_is_named_with_its_split(monkeypatch, source, asked):
    seen = []

    def load_dataset(*names, split):
        seen.append((*names, split))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *names: ["test", "train"])
    assert turns_of(source) == [TURNS, TURNS] and seen == [asked]
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *names: ["train_sft", "test_sft"])
    if source == "hub:me/mine":
        assert "the splits train_sft, test_sft and no train: choose one, as hub:me/mine:SPLIT" in refusal(source)


# --- what cannot be used ------------------------------------------------------------------------


def refusal(source, **options):
    with pytest.raises(UserError) as error:
        lima.dialogues(str(source), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
IMAGE = [{"type": "image_url", "image_url": {"url": "a.png"}}, *parts("What is it?")]
BAD = {
    "no answer": [{"messages": spoken()[:1]}, {"prompt": "Why?"}, {"conversations": ["Why?"]}],
    "no question": [{"messages": spoken()[1:2]}, {"messages": []}, {"messages": [SYSTEM]}],
    "two turns of the user in a row": [{"messages": [spoken()[0], *spoken()]}],
    "two turns of the assistant in a row": [{"conversations": spoken(("human", "gpt", "gpt"), "from", "value")}],
    "a tool call": [
        {"messages": [spoken()[0], CALL]},
        {"messages": [spoken()[0], CALL, {"role": "tool", "content": "7"}, spoken()[1]]},
        {"conversations": spoken(("human", "function_call", "observation", "gpt"), "from", "value")},
    ],
    "an empty turn": [
        {"messages": [spoken()[0], {"role": "assistant", "content": " \n"}]},
        {"messages": [spoken()[0], {"role": "assistant"}]},
        {"messages": [spoken()[0], {"role": "assistant", "content": []}]},
        {"instruction": "Why?", "input": "", "output": ""},
    ],
    "a turn that is not text": [{"conversations": ["Why?", 7]}, {"messages": [{"role": "user", "content": IMAGE}]}],
    "a turn of 'narrator'": [{"messages": spoken(("narrator", "assistant"))}],
    "a turn without a role": [{"messages": [{"content": "Why?"}]}],
    "'conversations' is not a list of turns": [{"conversations": "Why? Because."}],
    "a layout that we do not know (fields: meta, text)": [{"text": "Why? Because.", "meta": 1}],
    "half a character": [b'{"prompt": "Why?", "completion": "Cut \\ud83d"}'],
    "not UTF-8": [b'{"prompt": "Why?", "completion": "caf\xe9"}', "warum?".encode("utf-16")],
    "not valid JSON": [b'{"prompt": "Why?", "compl', b"Why?"],
    "not a JSON object": [b"[1, 2]", b"null", b'"Why?"'],
}


@pytest.mark.parametrize("why", BAD)
def test_a_row_that_cannot_be_used_is_told_by_file_line_and_kind(tmp_path, why):
    for row in BAD[why]:
        line = refusal(lines(tmp_path / "mine.jsonl", LONG["LIMA"], b"", row))
        assert line == f"mine.jsonl, line 3: {why}; repair or remove it, or leave it out with --skip-bad"


def test_many_are_counted_by_kind_with_the_first_three_lines(tmp_path):
    bad = [BAD["no answer"][0]] * 5 + [BAD["a tool call"][0], BAD["not UTF-8"][0]] * 2
    source = lines(tmp_path / "mine.jsonl", LONG["LIMA"], *bad, b"", LONG["messages"])
    counted = (
        "9 of 11 rows cannot be used: 5 × no answer (lines 2, 3, 4, ...), 2 × a tool call (lines 7, 9), "
        "2 × not UTF-8 (lines 8, 10)"
    )
    left_out = "repair or remove them, or leave them out with --skip-bad"
    assert refusal(source) == f"mine.jsonl: {counted}; {left_out}"


def test_a_message_stays_short_where_every_row_is_bad_in_its_own_way(tmp_path):
    source = lines(tmp_path / "mine.jsonl", LONG["LIMA"], *[{"messages": spoken((f"Tom {n}",))} for n in range(40)])
    line = refusal(source)
    assert "1 × a turn of 'Tom 5' (line 7), 34 of 34 other kinds; repair" in line and len(line) < 400


def test_skip_bad_goes_on_without_them_and_says_so(tmp_path, capsys):
    source = lines(tmp_path / "mine.jsonl", BAD["no answer"][0], LONG["LIMA"], BAD["not valid JSON"][0])
    found = lima.dialogues(source, skip_bad=True)
    assert [(d.id, d.turns) for d in found] == [("0001", TURNS)]  # the id that it has when all rows are good
    assert capsys.readouterr().out == (
        "mine.jsonl: going on without 2 of 3 rows: 1 × no answer (line 1), 1 × not valid JSON (line 3)\n"
    )


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_of_another_kind_is_refused_even_then(tmp_path, skip_bad):
    source = lines(tmp_path / "mine.jsonl", *[{"text": "Why?"}] * 4)
    assert refusal(source, skip_bad=skip_bad) == (
        "mine.jsonl: 4 of 4 rows cannot be used: 4 × a layout that we do not know (fields: text) (lines 1, 2, 3, ...); "
        "see docs/DATA.md for the layouts"
    )


def test_rows_of_tables_and_lists_are_counted_as_rows_and_files_of_a_folder_by_name(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps([LONG["LIMA"], {"conversations": ["Why?"]}], indent=2))
    assert refusal(tmp_path / "mine.json").startswith("mine.json, row 2: no answer")
    (tmp_path / "mine.csv").write_bytes(b'prompt,completion\n"Why\nthen?",So.\nWhy?,caf\xe9\n')
    assert refusal(tmp_path / "mine.csv").startswith("mine.csv, row 2: not UTF-8")
    (tmp_path / "mine.csv").write_text("prompt,completion\nWhy?,So.\nWhy?\n")
    assert refusal(tmp_path / "mine.csv").startswith("mine.csv, row 2: an empty turn")
    (tmp_path / "folder").mkdir()
    for name in "ab":
        lines(tmp_path / "folder" / f"{name}.jsonl", LONG["LIMA"], {"conversations": ["Why?"]})
    assert "2 × no answer (lines a.jsonl 2, b.jsonl 2)" in refusal(tmp_path / "folder")


DAMAGED = {
    "empty.jsonl": (b"", "empty.jsonl holds no dialogues"),
    "list.json": (b'[\n{"prompt": "Why?",\n', "list.json is a JSON list, but not valid JSON"),
    "latin.json": (b'[{"prompt": "caf\xe9"}]', "latin.json is a JSON list, but not UTF-8"),
    "table.parquet": (b"PAR1", "table.parquet cannot be read ("),
    "empty.csv": (b"", "empty.csv cannot be read ("),
    "lines.jsonl.gz": (gzip.compress(b"{}" * 99)[:-9], "lines.jsonl.gz is damaged or incomplete"),
    "nowhere.jsonl": (None, "/nowhere.jsonl: see docs/DATA.md"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_cannot_be_opened_is_one_line(tmp_path, name):
    content, line = DAMAGED[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert line in refusal(tmp_path / name)


def test_a_folder_that_leaves_a_choice_is_refused_with_what_there_is(tmp_path):
    assert "holds no data files" in refusal(tmp_path)
    lines(tmp_path / "mine.jsonl", LONG["LIMA"])
    (tmp_path / "more.csv").write_text("prompt,completion\nWhy?,So.\n")
    assert "holds files of several kinds (also more.csv): give one file" in refusal(tmp_path)
    kept = datasets.DatasetDict(a=datasets.Dataset.from_list(ROWS), b=datasets.Dataset.from_list(ROWS))
    kept.save_to_disk(tmp_path / "saved")
    assert "saved has the splits a, b and no train" in refusal(tmp_path / "saved")


def test_a_data_set_that_the_hub_does_not_give_is_one_line():
    line = refusal("hub:nobody/nothing")
    assert line.startswith("could not load nobody/nothing from the hub (") and "hf auth login" in line


# --- the command --------------------------------------------------------------------------------


def test_annotate_asks_and_writes_nothing_before_its_owner_has_decided(tmp_path, capsys):
    known = lima.dialogues("packaged")[0].messages()
    source = lines(tmp_path / "mine.jsonl", {"messages": known}, BAD["a tool call"][0])
    command = ["annotate", "--data", source, "--out", str(tmp_path / "out")]
    assert main(command) == 2 and not (tmp_path / "out").exists()
    assert "line 2: a tool call; " in capsys.readouterr().err
    assert main([*command, "--skip-bad", "--dry-run"]) == 0 and not (tmp_path / "out").exists()
    assert main([*command, "--skip-bad"]) == 0
    assert "going on without 1 of 2 rows: 1 × a tool call (line 2)" in capsys.readouterr().out
    (row,) = lima.load_rows(tmp_path / "out" / "lima_role.jsonl")
    assert row["messages"] == known and row["outcome"] == "parsed"


def test_the_documentation_shows_a_row_of_each_layout_that_can_be_read(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "DATA.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| [\w ,]+ \| `(\{.*\})` \|$", page, re.MULTILINE)
    turns = turns_of(lines(tmp_path / "mine.jsonl", *map(json.loads, shown)))
    assert len(turns) == 9 and {answer for _, answer in turns} == {"It scatters all colours."}
    assert {q for q, _ in turns} == {"Why is snow white?", "Explain this.\n\nSnow is white."}
