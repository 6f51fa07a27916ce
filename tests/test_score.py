"""Scoring: the contract's files, nothing asked twice, the role prompt never read as an answer."""

import csv
import json
import shutil

import pytest
import tiny
from fakes import FakeChat

from helpers import benchmarks, profiles, run, score
from helpers.chat import Completion
from helpers.errors import UserError

ROLE = "[This question is a chemistry problem involving acids. From now on, I will think like a chemist who titrates.]"


def Fake(reply="Some thoughts.", second=" (B)."):
    """Answers every question so, in both stages."""
    chat = FakeChat(lambda question, before: reply, second=second)
    chat.name = "fake"
    return chat


@pytest.fixture
def profile():
    return profiles.get("cpu")


def test_the_files_have_the_contracts_columns_and_nothing_is_asked_twice(profile, tmp_path):
    chat = Fake()
    names = ["mmlu", "gsm8k"]
    score.score(profile, chat, tmp_path, "base", 0, names, limit=6, say=lambda _: None)
    first = (tmp_path / "scores.csv").read_bytes(), (tmp_path / "answers.csv").read_bytes()
    assert first[0].splitlines()[0].decode() == (
        "arm,seed,benchmark,n,correct,accuracy,unparsed,low,high,random,kojima,kojima_unparsed,tokens,opening,empty,cut"
    )
    assert first[1].splitlines()[0].decode() == (
        "arm,seed,benchmark,question_id,group,prediction,gold,correct,role,kojima,kojima_correct,tokens,opening,empty,finish"
    )
    assert chat.asked.total() == 12
    score.score(profile, chat, tmp_path, "base", 0, names, limit=6, say=lambda _: None)
    assert chat.asked.total() == 12
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


class Scripted(FakeChat):
    """Gives these completions, one a question."""

    name = "scripted"

    def __init__(self, *completions):
        self.completions = completions

    def complete(self, conversations, max_tokens, then=None, then_tokens=0, opening_tokens=0):
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


class Talker(FakeChat):
    """Two turns: answers every conversation, and remembers all of them."""

    name = "talker"

    def __init__(self, fails_at=None):
        self.heard, self.fails_at = [], fails_at

    def complete(self, conversations, max_tokens, then=None, then_tokens=0, opening_tokens=0):
        for i, messages in enumerate(conversations):
            if len(self.heard) == self.fails_at:
                raise UserError("the server is gone")
            self.heard.append((messages, max_tokens, then and then(i, "one stage: (C)")))
            text = "one stage: (C)" if len(messages) == 1 else ROLE + " two turns: (D)"
            yield i, Completion(text, "stop", 5, 3, " the same turn: (B)." if self.heard[-1][2] else "")


def test_stage_2_goes_on_or_is_a_new_turn_or_is_left_out_and_each_way_has_answers_of_its_own(tmp_path):
    talker, read = Talker(), {}
    for stage2 in ("continue", "turn", "none"):
        settings = profiles.get("cpu", stage2=stage2, stage1_tokens=40)
        for _ in range(2):
            score.score(settings, talker, tmp_path, "base", 0, ["openbookqa", "humaneval"], 2, say=lambda _: None)
        answers = score.read_csv(tmp_path / "answers.csv").query("benchmark == 'openbookqa'")
        read[stage2] = list(answers.prediction)
    assert read == {"continue": ["B", "B"], "turn": ["D", "D"], "none": ["C", "C"]}
    # two of each benchmark at first; then the two with options in two turns; then the same in one stage; no code again
    assert [(len(m), then) for m, _, then in talker.heard] == [
        *[(1, benchmarks.get("openbookqa").STAGE2)] * 2,
        *[(1, None)] * 4,
        *[(3, None)] * 2,
        *[(1, None)] * 2,
    ]
    messages, room, _ = talker.heard[6]
    assert room == 40  # of a first stage: a tuned model may open the turn with a role
    assert messages[1] == {"role": "assistant", "content": "one stage: (C)"}
    assert messages[2]["content"] == "Therefore, among A through D, the answer is"


def test_a_second_turn_that_does_not_fit_any_more_is_counted_as_cut(tmp_path):
    class Narrow(Talker):
        def complete(self, conversations, *args, **options):
            for i, c in super().complete(conversations, *args, **options):
                yield i, c if len(conversations[i]) == 1 or i else Completion("", "too long", 9999, 0)

    table = score.score(profiles.get("cpu", stage2="turn"), Narrow(), tmp_path, "base", 0, ["date"], 4, lambda _: None)
    assert score.read_csv(tmp_path / "answers.csv").finish.tolist() == ["too long", "stop", "stop", "stop"]
    assert (table.cut[0], table.unparsed[0], table.tokens[0]) == (0.25, 1, 3)


def test_an_unknown_stage_2_is_refused():
    with pytest.raises(UserError, match="choose continue, turn, none"):
        profiles.get("cpu", stage2="twice")


def test_a_folder_that_scored_another_model_under_this_name_is_refused(profile, tmp_path):
    first, second = Fake(), Fake()
    second.name = "another"
    scored = lambda chat, arm: score.score(profile, chat, tmp_path, arm, 0, ["date"], 2, say=lambda _: None)  # noqa: E731
    scored(first, "base")
    before = (tmp_path / "scores.csv").read_bytes()
    with pytest.raises(UserError, match=r"base-seed0 holds the answers of fake, not of another: .*--arm"):
        scored(second, "base")
    assert second.asked.total() == 0 and (tmp_path / "scores.csv").read_bytes() == before
    scored(second, "other")
    scored(first, "base")
    assert (first.asked.total(), second.asked.total()) == (2, 2)
    shutil.rmtree(tmp_path / "generations" / "base-seed0")  # as the refusal says
    scored(second, "base")
    assert second.asked.total() == 4


def test_several_baselines_stand_in_one_table_behind_our_arms(profile, tmp_path):
    for arm in ("zephyr", "role", "gpt-4o-mini", "base"):
        score.score(profile, Fake(), tmp_path, arm, 0, ["date", "mmlu"], 2, say=lambda _: None)
    scores = score.read_csv(tmp_path / "scores.csv")
    assert list(scores.arm) == [a for a in ("base", "role", "gpt-4o-mini", "zephyr") for _ in range(2)]
    assert list(scores.benchmark) == ["mmlu", "date"] * 4


def test_the_papers_row_stands_beside_an_arm_where_there_is_one():
    mistral, llama = profiles.get("a100"), profiles.get("a100", model="meta-llama/Llama-2-7b-hf")
    assert score.paper_row("role", mistral) == "Mistral-Role" and score.paper_row("role", llama) == "Llama-Role"
    assert score.paper_row("Llama-2-7b-chat-hf", mistral) == score.paper_row("base", llama) == "Llama-Chat"
    assert score.paper_row("gpt-3.5-turbo-0125", mistral) == "ChatGPT"
    assert score.paper_row("Mistral-7B-Instruct-v0.2", llama) == "Mistral-Instruct"
    assert score.paper_row("zephyr-7b-beta", mistral) is None


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
    own = profiles.get("a100")
    assert score.arm_of(own.model, own) == score.arm_of(f"/models/{own.model}", own) == ("base", 0)
    assert score.arm_of("mistralai/Mistral-7B-Instruct-v0.2", own) == ("Mistral-7B-Instruct-v0.2", 0)
    assert score.arm_of("role-seed3", own) == ("role", 3)  # as a server may call a tuned model


def test_missing_scores_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run lesson 03"):
        score.read_csv(tmp_path / "scores.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b'arm,seed,benchmark\n"lima,0\n'])
def test_a_damaged_table_says_what_to_do(tmp_path, content):
    for name in ("scores.csv", "answers.csv"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"^{name} is damaged \(.+\): remove it and score again$"):
            score.read_csv(tmp_path / name)


@pytest.mark.parametrize("content", ['{"arm": "role", "se', "[]", '{"arm": "role"}', "null"])
def test_a_damaged_note_of_a_step_before_says_what_to_do(tmp_path, content):
    (tmp_path / "role-seed0").mkdir()
    (tmp_path / "role-seed0" / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"^role-seed0/manifest.json is damaged \(.+\): make role-seed0 again$"):
        score.arm_of(str(tmp_path / "role-seed0"))


def test_base_in_its_own_template_is_a_row_of_its_own_with_answers_of_its_own(profile, tmp_path):
    rows = score.questions(profile, ["date"], 2)
    ways = {arm: Fake() for arm in ("base", "base_chat")}
    ways["base_chat"].prompt = "chat"
    keys = {arm: {r.key for r in score.requests(profile, chat, rows)["date"]} for arm, chat in ways.items()}
    assert len(keys["base"] | keys["base_chat"]) == 4
    assert score.protocol(profile, ways["base_chat"]) == "continue"  # here the template's turn can be continued
    for arm in ("lima", "base_chat", "base"):
        score.score(profile, ways.get(arm, Fake()), tmp_path, arm, 0, ["date"], 2, say=lambda _: None)
    assert list(score.read_csv(tmp_path / "scores.csv").arm) == ["base", "base_chat", "lima"]


def test_a_base_model_without_a_template_has_no_such_row_and_says_so(tmp_path, monkeypatch):
    tiny.save(tmp_path / "model")
    this, said = run.open_run("cpu", tmp_path / "run", model=str(tmp_path / "model")), []
    ask = run.Run.chat
    monkeypatch.setattr(run.Run, "chat", lambda self, arm, *a: ask(self, arm if arm == "base_chat" else "base", *a))
    this.scored(["date"], 1, say=said.append)
    assert set(this.scores().arm) == {"base", "lima", "role"}
    assert "no row 'base, own template': model has no chat template of its own: ask it in the paper's frame" in said
    with pytest.raises(UserError, match="no chat template of its own"):
        score.local_chat(this.profile, prompt="chat")
