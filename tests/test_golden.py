"""Both extraction rules on replies that were labelled by reading.

golden/<benchmark>.jsonl holds replies in the manner of real chat models, small and large, written for this
test and labelled before any rule ran on them. A label is what a careful reader would take from the reply:

- the letter that it names (a date or an option's text without a letter is null: no rule sees the options' text),
- yes or no, the number in digits, or true/false for code (does the code that a reader would copy pass?),
- null where the reply answers nothing: it refuses, is cut off, leaves it open, or repeats the question.

A label stays when a rule misses it. `declared` is asked for 98 %.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from helpers import roles, score
from helpers.benchmarks import BENCHMARKS, common, letters, sandbox

GOLDEN = {
    name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for name in BENCHMARKS
    if (path := Path(__file__).parent / "golden" / f"{name}.jsonl").is_file()
}
KINDS = {
    "role prompt", "negation", "several letters", "none of the above", "latex", "thousands", "units", "correction",
    "cut-off", "refusal", "other language", "markdown", "fenced", "unfenced", "several blocks",
}  # fmt: skip


def read(item: dict, rule: str) -> str | bool | None:
    """What `score.grade` makes of the reply: the role prompt off, then the rule; for code, whether it passes."""
    b = BENCHMARKS[item["benchmark"]]
    text = roles.strip(item["reply"])[1]
    row = {"options": dict.fromkeys(item["options"])} if "options" in item else item
    answer = b.extract(text, rule=rule, row=row)
    return b.correct(item, text, rule=rule) if item["benchmark"] == "humaneval" and answer is not None else answer


@pytest.fixture(scope="module")
def readings() -> dict[tuple[str, str], list]:
    """(benchmark, rule) -> what the rule reads from each reply. The code is our own: it may run anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "run", partial(sandbox.run, unsandboxed=True))
        return {(n, rule): [read(i, rule) for i in items] for n, items in GOLDEN.items() for rule in common.RULES}


def hits(name: str, readings: dict, rule: str) -> int:
    return sum(got == item["label"] for got, item in zip(readings[name, rule], GOLDEN[name], strict=True))


def test_the_golden_replies_are_many_of_every_kind_and_their_labels_are_answers_that_a_row_can_have():
    assert set(GOLDEN) == set(BENCHMARKS)
    for name, items in GOLDEN.items():
        assert len({(i["reply"], i.get("options"), i.get("entry_point")) for i in items}) == len(items) >= 30
        assert all(i["benchmark"] == name and i["why"] for i in items)
        assert all(i["label"] is None or i["label"] in i.get("options", [i["label"]]) for i in items)
        assert len({i["label"] for i in items}) >= 3 and None in {i["label"] for i in items}
    kinds = Counter(item["kind"] for items in GOLDEN.values() for item in items)
    assert all(kinds[k] >= 3 for k in KINDS)


def test_declared_reads_98_in_100_replies_as_a_careful_reader_does(readings, capsys):
    n = {name: len(items) for name, items in GOLDEN.items()}
    right = {rule: {name: hits(name, readings, rule) for name in GOLDEN} for rule in common.RULES}
    with capsys.disabled():
        print("\n", pd.DataFrame({"n": n} | right).to_string())
        for name, items in GOLDEN.items():
            for got, item in zip(readings[name, "declared"], items):
                if got != item["label"]:
                    print(f"declared misses {name}: {item['reply'][:90]!r} read {got!r}, label {item['label']!r}")
    assert sum(n.values()) >= 240
    assert sum(right["declared"].values()) / sum(n.values()) >= 0.98


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if n != "humaneval"])
def test_a_role_prompt_that_nobody_stripped_is_no_answer_either(name):
    for item in GOLDEN[name]:
        if item["kind"] == "role prompt":
            row = {"options": dict.fromkeys(item["options"])} if "options" in item else None
            assert BENCHMARKS[name].extract(item["reply"], rule="declared", row=row) == item["label"]


ROLE = "[This question is an F problem about (B) Berlin and List[int], 7 and yes. From now on, I will think like A who runs def f(): x.]"
FREE = {  # benchmark -> (a stage 1 behind the role prompt, what both rules read from it)
    "mmlu": ("(C)", "C"),
    "date": ("(C)", "C"),
    "strategyqa": ("No.", "no"),
    "gsm8k": ("12", "12"),
    "humaneval": ("{solution}", "code"),
}  # fmt: skip


@pytest.mark.parametrize("said", ["answer", "nothing"])
@pytest.mark.parametrize("name", FREE)
def test_a_score_reads_what_stands_behind_the_role_prompt_with_one_stage_or_two(name, said, monkeypatch):
    monkeypatch.setattr(sandbox, "run", partial(sandbox.run, unsandboxed=True))
    row = BENCHMARKS[name].rows("packaged", 1)[0]
    reply, read = FREE[name] if said == "answer" else ("", None)
    if "{solution}" in reply:
        reply = row["prompt"] + row["canonical_solution"]
    stages = [(f"{ROLE}\n{reply}", None)]  # stage2="none", and all code
    if BENCHMARKS[name].STAGE2:
        stages.append((f"{ROLE} (D) yes 5", f"{ROLE}\n{reply}"))
    for stage1, stage2 in stages:
        record = {"stage1": stage1, "stage2": stage2, "tokens": [1, 1], "finish": "stop"}
        line = score.grade("role", 0, {name: [row]}, {name: [record]}).iloc[0]
        right = int(read in ("code", BENCHMARKS[name].gold(row)))
        assert (line.role, line.prediction, line.kojima) == (ROLE, read, read)
        assert (line.correct, line.kojima_correct) == (right, right)


@pytest.mark.parametrize("rule", letters.RULES, ids=lambda r: r.name)
def test_the_example_of_a_rule_is_read_as_it_says_and_otherwise_without_the_rule(rule, monkeypatch):
    assert letters.letter(rule.example, "ABCDEF") == rule.read
    never = re.compile(r"(?!)(?P<pick>)")
    monkeypatch.setattr(letters, "REPLACED", [(r, p) for r, p in letters.REPLACED if r is not rule])
    monkeypatch.setattr(letters, "READ", [(r, never if r is rule else p) for r, p in letters.READ])
    assert letters.letter(rule.example, "ABCDEF") != rule.read
