"""Scoring: the contract's files, nothing asked twice, the role prompt never read as an answer."""

import csv
import json

import pytest
import tiny

from helpers import benchmarks, profiles, score
from helpers.chat import Completion
from helpers.errors import UserError

ROLE = "[This question is a chemistry problem involving acids. From now on, I will think like a chemist who titrates.]"


class Fake:
    """Answers from a table and counts what it is asked."""

    name = "fake"

    def __init__(self, reply="Some thoughts.", second=" (B)."):
        self.reply, self.second, self.asked = reply, second, 0

    def complete(self, conversations, max_tokens, then=None, then_tokens=0):
        for i, _ in enumerate(conversations):
            self.asked += 1
            trigger = then(i, self.reply)
            yield i, Completion(self.reply, "stop", 5, 3, self.second if trigger else "")


@pytest.fixture
def profile():
    return profiles.get("cpu")


def test_the_files_have_the_contracts_columns_and_nothing_is_asked_twice(profile, tmp_path):
    chat = Fake()
    names = ["mmlu", "gsm8k"]
    score.score(profile, chat, tmp_path, "base", 0, names, limit=6, say=lambda _: None)
    first = (tmp_path / "scores.csv").read_bytes(), (tmp_path / "answers.csv").read_bytes()
    assert first[0].splitlines()[0].decode() == (
        "arm,seed,benchmark,n,correct,accuracy,unparsed,low,high,random,kojima,kojima_unparsed,tokens,cut"
    )
    assert first[1].splitlines()[0].decode() == (
        "arm,seed,benchmark,question_id,group,prediction,gold,correct,role,kojima,kojima_correct,tokens,finish"
    )
    assert chat.asked == 12
    score.score(profile, chat, tmp_path, "base", 0, names, limit=6, say=lambda _: None)
    assert chat.asked == 12
    assert first == ((tmp_path / "scores.csv").read_bytes(), (tmp_path / "answers.csv").read_bytes())


def test_a_second_arm_is_added_and_a_repeated_one_replaced(profile, tmp_path):
    for arm, reply in (("role", ROLE), ("base", "x"), ("base", "y")):
        score.score(profile, Fake(reply), tmp_path, arm, 0, ["openbookqa"], limit=4, say=lambda _: None)
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [(r["arm"], r["n"]) for r in rows] == [("base", "4"), ("role", "4")]


def test_no_letter_of_a_role_prompt_is_taken_for_an_answer(profile, tmp_path):
    score.score(profile, Fake(ROLE, ROLE), tmp_path, "role", 0, ["mmlu", "date"], limit=5, say=lambda _: None)
    answers = score.read_csv(tmp_path / "answers.csv")
    assert answers.prediction.isna().all() and (answers.role == ROLE).all()
    scores = score.read_csv(tmp_path / "scores.csv")
    assert list(scores.unparsed) == [5, 5] and list(scores.correct) == [0, 0]


def test_correct_answers_are_counted_and_the_interval_holds_the_share(profile, tmp_path):
    score.score(profile, Fake(second=" (B)."), tmp_path, "base", 0, ["commonsense_qa"], limit=20, say=lambda _: None)
    row = score.read_csv(tmp_path / "scores.csv").iloc[0]
    gold = [benchmarks.get("commonsense_qa").gold(r) for r in benchmarks.get("commonsense_qa").rows("packaged")]
    assert row.correct == gold.count("B") and row.n == 20
    assert row.low < row.accuracy < row.high and row.random == 0.2


def test_a_killed_scoring_goes_on_where_it_stopped_and_ends_with_the_same_files(profile, tmp_path):
    class Dies(Fake):
        def complete(self, conversations, *args, **kwargs):
            for n, item in enumerate(super().complete(conversations, *args, **kwargs)):
                if n == 5:
                    raise KeyboardInterrupt
                yield item

    with pytest.raises(KeyboardInterrupt):
        score.score(profile, Dies(), tmp_path / "a", "base", 0, ["mmlu"], limit=9, say=lambda _: None)
    rest = Fake()
    score.score(profile, rest, tmp_path / "a", "base", 0, ["mmlu"], limit=9, say=lambda _: None)
    score.score(profile, Fake(), tmp_path / "b", "base", 0, ["mmlu"], limit=9, say=lambda _: None)
    assert rest.asked == 4
    for name in ("scores.csv", "answers.csv", "generations/base-seed0/mmlu.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_real_model_scored_twice_gives_the_same_files_to_the_letter(tmp_path):
    tiny.save(tmp_path / "model")
    settings = profiles.get("cpu", model=str(tmp_path / "model"), stage1_tokens=12)
    for out in ("one", "two"):
        chat = score.local_chat(settings)
        score.score(settings, chat, tmp_path / out, "base", 0, ["mmlu", "strategyqa"], limit=10, say=lambda _: None)
    for name in ("scores.csv", "answers.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_real_rows_of_all_eight_benchmarks_are_asked_and_graded(real_data, tmp_path):
    tiny.save(tmp_path / "model")
    settings = profiles.get("cpu", model=str(tmp_path / "model"), stage1_tokens=4, stage2_tokens=4)
    table = score.score(settings, score.local_chat(settings), tmp_path, "base", 0, None, limit=8, say=lambda _: None)
    assert list(table.n) == [8] * 8 and set(table.benchmark) == set(benchmarks.BENCHMARKS)
    real = {b: [r["question_id"] for r in benchmarks.get(b).rows("local", 8)] for b in benchmarks.BENCHMARKS}
    asked = score.read_csv(tmp_path / "answers.csv").groupby("benchmark").question_id.apply(list).to_dict()
    assert asked == real


class Scripted:
    """Gives these completions, one a question."""

    name = "scripted"

    def __init__(self, *completions):
        self.completions = completions

    def complete(self, conversations, max_tokens, then=None, then_tokens=0):
        yield from zip(range(len(conversations)), self.completions, strict=True)


def test_both_rules_stand_side_by_side_and_what_was_cut_is_counted(profile, tmp_path):
    gold = [benchmarks.get("openbookqa").gold(r) for r in benchmarks.get("openbookqa").rows("packaged", 5)]
    wrong = "A" if gold[0] != "A" else "B"
    chat = Scripted(
        Completion("Hm.", "stop", 9, 4, f" not {wrong}. The answer is ({gold[0]})."),  # the rules disagree
        Completion("Hm.", "length", 9, 64, f" ({gold[1]})."),
        Completion("Hm.", "stop", 9, 7, " Hard to say."),
        Completion("Hm.", "stop", 9, 5, " All of them."),  # A of All: the paper's rule reads an answer
        Completion("", "too long", 5000, 0),
    )
    score.score(profile, chat, tmp_path, "base", 0, ["openbookqa"], limit=5, say=lambda _: None)
    answers, row = score.read_csv(tmp_path / "answers.csv"), score.read_csv(tmp_path / "scores.csv").iloc[0]
    assert answers.prediction.fillna("").tolist() == [gold[0], gold[1], "", "", ""]
    assert answers.kojima.fillna("").tolist() == [wrong, gold[1], "", "A", ""]
    assert answers.finish.tolist() == ["stop", "length", "stop", "stop", "too long"]
    assert answers.tokens.tolist() == [4, 64, 7, 5, 0]
    lucky = int(gold[3] == "A")
    assert answers.kojima_correct.tolist() == [0, 1, 0, lucky, 0] and answers.correct.tolist() == [1, 1, 0, 0, 0]
    assert (row.correct, row.unparsed, row.kojima, row.kojima_unparsed) == (2, 3, (1 + lucky) / 5, 2)
    assert (row.tokens, row.cut) == (16.0, 0.4)


def test_a_file_of_an_older_run_is_read_and_gains_the_new_columns(profile, tmp_path):
    score.score(profile, Fake(), tmp_path, "lima", 0, ["gsm8k"], limit=3, say=lambda _: None)
    whole = {n: (tmp_path / n).read_bytes() for n in ("scores.csv", "answers.csv")}
    for name, columns in (("scores.csv", score.SCORES[:10]), ("answers.csv", score.ANSWERS[:9])):
        score.read_csv(tmp_path / name)[columns].to_csv(tmp_path / name, index=False)
    score.score(profile, Fake(), tmp_path, "role", 0, ["gsm8k"], limit=3, say=lambda _: None)
    answers = score.read_csv(tmp_path / "answers.csv")
    assert answers.tokens.isna().tolist() == [True] * 3 + [False] * 3
    score.score(profile, Fake(), tmp_path, "lima", 0, ["gsm8k"], limit=3, say=lambda _: None)
    for name, content in whole.items():
        assert (tmp_path / name).read_bytes().startswith(content)


def test_the_arm_is_read_from_the_model_folder(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"arm": "role", "seed": 2}))
    assert score.arm_of(str(tmp_path)) == ("role", 2)
    assert score.arm_of("some/model") == ("base", 0)


def test_missing_scores_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run lesson 03"):
        score.read_csv(tmp_path / "scores.csv")
