"""The eight benchmarks ask what the paper asked, and grade what was said and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial

import pytest

from helpers import benchmarks, paper, sandbox
from helpers.benchmarks import BENCHMARKS, humaneval, mmlu
from helpers.errors import UserError

LETTERS = {"mmlu": "ABCD", "commonsense_qa": "ABCDE", "truthful_qa": "ABCD", "openbookqa": "ABCD", "date": "ABCDEF"}
ALL = pytest.mark.parametrize("name", BENCHMARKS)
LETTERED = pytest.mark.parametrize("name", LETTERS)


# --- rows ---------------------------------------------------------------------------------------


@ALL
def test_the_packaged_samples_have_the_sizes_that_the_course_names(name):
    rows = BENCHMARKS[name].rows("packaged")
    assert len(rows) == {"mmlu": 70, "humaneval": 164}.get(name, 20)
    assert len({r["question_id"] for r in rows}) == len(rows)
    assert len({BENCHMARKS[name].question(r) for r in rows}) == len(rows)


def test_packaged_mmlu_has_two_questions_from_each_of_35_subjects_in_10_domains():
    rows = mmlu.rows("packaged")
    assert set(Counter(r["subject"] for r in rows).values()) == {2}
    assert len({r["subject"] for r in rows}) == 35 == len(mmlu.DOMAIN_OF)
    assert {mmlu.group(r) for r in rows} == set(mmlu.DOMAINS) and len(mmlu.DOMAINS) == 10


@LETTERED
def test_the_gold_letter_is_among_the_options_that_are_shown(name):
    b = BENCHMARKS[name]
    for row in b.rows("packaged"):
        assert b.gold(row) in LETTERS[name]
        assert f"({b.gold(row)}) " in b.question(row)


@LETTERED
def test_always_saying_the_same_letter_does_not_win(name):
    b = BENCHMARKS[name]
    letters = Counter(map(b.gold, b.rows("packaged")))
    assert len(letters) >= 3
    assert max(letters.values()) <= letters.total() / 2


@pytest.mark.parametrize("name", ["truthful_qa", "date"])
def test_the_gold_letter_stands_before_the_right_option_after_the_shuffle(name):
    b = BENCHMARKS[name]
    for row in b.rows("packaged"):
        if name == "date":
            right = [option for option, score in row["target_scores"].items() if score == 1]
        else:
            targets = row["mc1_targets"]
            right = [option for option, label in zip(targets["choices"], targets["labels"]) if label == 1]
        assert [row["options"][b.gold(row)]] == right


def test_another_seed_shuffles_truthful_qa_anew():
    b = BENCHMARKS["truthful_qa"]
    assert [b.gold(r) for r in b.rows("packaged", seed=0)] != [b.gold(r) for r in b.rows("packaged", seed=1)]


@ALL
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_fewer_questions_are_the_first_of_all_questions(name, limit):
    rows = BENCHMARKS[name].rows
    assert rows("packaged", limit) == rows("packaged")[:limit]


@pytest.mark.parametrize("limit", [10, 20, 30])
def test_any_part_of_mmlu_is_balanced_over_its_domains(limit):
    assert set(Counter(map(mmlu.group, mmlu.rows("packaged", limit))).values()) == {limit // 10}


@ALL
def test_guessing_is_worth_one_over_the_number_of_options(name):
    b = BENCHMARKS[name]
    for row in b.rows("packaged", 20):
        shown = b.question(row)
        expected = 1 / sum(f"({c}) " in shown for c in "ABCDEF") if name in LETTERS else 0.0
        assert b.chance(row) == (0.5 if name == "strategyqa" else expected)


def test_an_unknown_benchmark_or_source_says_what_there_is():
    with pytest.raises(UserError, match="choose from mmlu, commonsense_qa"):
        benchmarks.get("mmul")
    with pytest.raises(UserError, match="packaged, local or hub"):
        mmlu.rows("disk")


@ALL
def test_the_hubs_field_names_give_the_same_questions(name, monkeypatch):
    """The hub's BIG-bench copies rename fields; the others keep the layout of the original files."""
    b = BENCHMARKS[name]

    def hub_rows(repo, config, split, revision=None):
        rows = [{k: v for k, v in r.items() if k not in ("question_id", "domain")} for r in packaged]
        if "bigbench" not in repo:
            return rows
        return [
            {
                "inputs": r["input"],
                "multiple_choice_targets": list(r["target_scores"]),
                "multiple_choice_scores": list(r["target_scores"].values()),
            }
            for r in rows
        ]

    packaged = b.rows("packaged")
    if name == "mmlu":
        packaged.sort(key=lambda r: r["question_id"])  # back to file order
    monkeypatch.setattr(benchmarks.common, "hub_rows", hub_rows)
    asked = [(b.question(r), b.gold(r)) for r in b.rows("hub")]
    assert asked == [(b.question(r), b.gold(r)) for r in b.rows("packaged")]


# --- rows of the real data ----------------------------------------------------------------------


def real_rows(name):
    return BENCHMARKS[name].rows("local", 2000 if name == "mmlu" else None)


@ALL
def test_the_real_data_has_the_questions_of_table_2(name, real_data):
    n, words, _ = paper.TABLE2[name]
    rows = real_rows(name)
    assert len(rows) == len({r["question_id"] for r in rows}) == n
    mean = sum(len(BENCHMARKS[name].question(r).split()) for r in rows) / n
    assert mean == pytest.approx(words, abs=2.5 if name == "mmlu" else 1.0)


def test_real_mmlu_gives_200_questions_a_domain_and_a_prefix_for_any_limit(real_data):
    rows = real_rows("mmlu")
    assert Counter(map(mmlu.group, rows)) == dict.fromkeys(mmlu.DOMAINS, 200)
    assert mmlu.rows("local", 50) == rows[:50]


def test_real_date_has_kojimas_letters(real_data):
    letters = Counter(BENCHMARKS["date"].gold(r) for r in real_rows("date"))
    assert letters == {"A": 75, "B": 56, "C": 69, "D": 66, "E": 51, "F": 52}


def test_real_truthful_qa_is_balanced_and_cut_to_four_options(real_data):
    rows = real_rows("truthful_qa")
    assert max(len(r["options"]) for r in rows) == 4
    letters = Counter(BENCHMARKS["truthful_qa"].gold(r) for r in rows if len(r["options"]) == 4)
    assert letters.total() == 690
    assert all(abs(n - 690 / 4) < 3 * (690 * 3 / 16) ** 0.5 for n in letters.values())


LETTERS_ELSEWHERE = """
import json
from helpers.benchmarks import BENCHMARKS
b = {n: BENCHMARKS[n] for n in ("truthful_qa", "date", "mmlu")}
print(json.dumps({n: [(r["question_id"], m.gold(r)) for r in m.rows("%s", 2000)] for n, m in b.items()}))
"""


def elsewhere(source, hash_seed):
    done = subprocess.run(
        [sys.executable, "-c", LETTERS_ELSEWHERE % source],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def here(source):
    return {
        n: [[r["question_id"], BENCHMARKS[n].gold(r)] for r in BENCHMARKS[n].rows(source, 2000)]
        for n in ("truthful_qa", "date", "mmlu")
    }


def test_every_process_asks_the_same_questions_with_the_same_letters():
    assert elsewhere("packaged", "1") == here("packaged")


def test_every_process_gives_the_real_questions_the_same_letters(real_data):
    assert elsewhere("local", "2") == here("local")


# --- extract: letters ---------------------------------------------------------------------------

READ = {
    "B": "B",
    "(B).": "B",
    " A.": "A",
    "B) mall": "B",
    "(A) bank": "A",
    "**D**": "D",
    "Answer: B": "B",
    "The answer is (C).": "C",
    "I'd go with D.": "D",
    "The answer is (A), not (B).": "A",
    "The answer is B because it holds water": "B",
    "Option B is correct.": "B",
}
UNPARSED = (
    "",
    "A bank by the river",
    "The answer is a bank.",
    "A European country",
    "I would say it depends",
    "None of the above",
    "It is either (A) or (C).",
    "Neither A nor B",
    "The answer is not A.",
    "B-cells make antibodies",
    "C++ needs a compiler",
)


@pytest.mark.parametrize("reply", READ)
@LETTERED
def test_a_declared_letter_is_read(name, reply):
    assert BENCHMARKS[name].extract(reply) == READ[reply]


@pytest.mark.parametrize("reply", UNPARSED)
@LETTERED
def test_where_no_letter_is_declared_none_is_guessed(name, reply):
    assert BENCHMARKS[name].extract(reply) is None


@LETTERED
def test_a_letter_that_is_only_ruled_out_is_not_the_answer(name):
    assert BENCHMARKS[name].extract("not B but (D)") in (None, "D")


@LETTERED
def test_letters_end_where_the_options_end(name):
    b, letters = BENCHMARKS[name], LETTERS[name]
    assert b.extract(f"({letters[-1]})") == letters[-1]
    assert b.extract(f"({chr(ord(letters[-1]) + 1)})") is None


@LETTERED
def test_a_reply_that_repeats_the_question_of_stage_2_is_read_behind_it(name):
    b = BENCHMARKS[name]
    assert b.extract(f"{b.STAGE2.strip()} (B).") == "B"
    for echo in (b.STAGE2.strip(), b.STAGE2.strip().removeprefix("Therefore, ").replace("among", "Among")):
        assert b.extract(f"{echo} not given.") is None


@LETTERED
def test_the_right_letter_scores_and_any_other_reply_does_not(name):
    b = BENCHMARKS[name]
    row = b.rows("packaged", 1)[0]
    wrong = next(c for c in LETTERS[name] if c != b.gold(row))
    assert b.correct(row, f" ({b.gold(row)}).")
    assert not b.correct(row, f" ({wrong}).")
    assert not b.correct(row, "I do not know.")


# --- extract: yes or no, numbers ----------------------------------------------------------------

YES_NO = {
    "Yes": "yes",
    " no.": "no",
    "NO!": "no",
    "**Yes**, because it floats": "yes",
    "The answer is no.": "no",
    "No, although some say yes": "no",
    "yes/no": "yes",
    "Nothing is known": None,
    "I know it does": None,
    "not sure": None,
    "In his eyes": None,
    "": None,
    "Therefore, the answer (Yes or No) is No.": "no",
}


@pytest.mark.parametrize("reply", YES_NO)
def test_strategyqa_reads_yes_or_no_from(reply):
    assert BENCHMARKS["strategyqa"].extract(reply) == YES_NO[reply]


NUMBERS = {
    "18": "18",
    " 18.": "18",
    "$18.00": "18",
    "$1,080.00": "1080",
    "1,080 apples": "1080",
    "3,000,000": "3000000",
    "3.50 dollars": "3.5",
    "-5 degrees": "-5",
    "10%": "10",
    "x = 4": "4",
    "12, or 13": "12",
    "eighteen": None,
    "": None,
    "Therefore, the answer (arabic numerals) is 18.": "18",
    "$.50": "0.5",
}


@pytest.mark.parametrize("reply", NUMBERS)
def test_gsm8k_reads_the_number_without_commas_and_units_from(reply):
    assert BENCHMARKS["gsm8k"].extract(reply) == NUMBERS[reply]


def test_gsm8k_survives_a_model_that_never_stops_writing_digits():
    assert BENCHMARKS["gsm8k"].extract("9" * 400) in (None, "9" * 400)


@pytest.mark.parametrize("name", ["strategyqa", "gsm8k"])
def test_every_gold_answer_is_read_as_itself(name):
    b = BENCHMARKS[name]
    for row in b.rows("packaged"):
        assert b.extract(f" {b.gold(row)}.") == b.gold(row)
        assert b.correct(row, f" {b.gold(row)}.")
        assert not b.correct(row, "maybe")


# --- humaneval ----------------------------------------------------------------------------------

PROBLEMS = {r["task_id"]: r for r in humaneval.rows("packaged")}
ADD = PROBLEMS["HumanEval/53"]  # def add(x: int, y: int): return x + y
TYPED = PROBLEMS["HumanEval/0"]  # its prompt imports List
HELPED = PROBLEMS["HumanEval/38"]  # its prompt defines a function that the tests call


@pytest.fixture
def run(monkeypatch):
    """Grade by the sandbox; the programs are our own, so they may run where no isolation works."""
    monkeypatch.setattr(sandbox, "run", partial(sandbox.run, unsandboxed=True))
    return humaneval.correct


def whole(row):
    return row["prompt"] + row["canonical_solution"]


def test_two_reference_solutions_pass_and_a_wrong_one_does_not(run):
    assert run(ADD, f"Here it is:\n```python\n{whole(ADD)}```\nIt adds.")
    assert run(TYPED, TYPED["canonical_solution"])
    assert not run(ADD, "```python\ndef add(x, y):\n    return x - y\n```")


def test_a_reply_without_code_is_unparsed_and_wrong(run):
    for text in ("", "I would add the numbers.", "A"):
        assert humaneval.extract(text) is None
        assert not run(ADD, text)


CODE = {
    "```python\ndef f():\n    return 1\n```": "def f():\n    return 1\n",
    "Sure:\n```py\nx = 1\n```\nand\n```\ny = 2\n```": "x = 1\n",
    "```\nreturn 1\n```": "return 1\n",
    "```python\ndef f():\n    return 1": "def f():\n    return 1",
    "    return x + y": "    return x + y",
    "def f(): return 1": "def f(): return 1",
}


@pytest.mark.parametrize("text", CODE)
def test_code_is_taken_out_of(text):
    assert humaneval.extract(text) == CODE[text]


def test_a_whole_function_keeps_the_imports_that_only_the_prompt_has(run):
    alone = TYPED["prompt"].split("\n\n\n", 1)[1] + TYPED["canonical_solution"]
    assert "import" not in alone and "List[float]" in alone
    assert run(TYPED, f"```python\n{alone}```")


def test_a_whole_function_keeps_the_helper_functions_that_only_the_prompt_has(run):
    alone = "def decode_cyclic(s: str):\n" + HELPED["canonical_solution"]
    assert run(HELPED, f"```python\n{alone}```")


BODIES = {
    "as it should be": lambda body: body,
    "without the indentation of every line": lambda body: "\n".join(x.removeprefix("    ") for x in body.split("\n")),
    "without the white space around it, as every reply is kept": str.strip,
}


@pytest.mark.parametrize("change", BODIES.values(), ids=BODIES)
def test_a_bare_body_continues_the_prompt(run, change):
    assert run(TYPED, change(TYPED["canonical_solution"]))


def test_the_tests_stand_last_and_name_the_right_function():
    for code in (whole(ADD), ADD["canonical_solution"]):
        program = humaneval.program(ADD, code)
        compile(program, "candidate", "exec")
        assert program.rstrip().endswith("check(add)")
        assert program.index("def check(") > program.index("return x + y")
