"""Two answers, two orders, one result: what the judge may see, what its replies say, and what may be concluded."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import cells
import pandas as pd
import pytest
import tiny
import torch
from fakes import FakeChat

from helpers import judge, paper, profiles, roles, stats
from helpers import run as run_
from helpers.__main__ import main
from helpers.chat import Completion, LocalChat, journal, practice, user
from helpers.chat.practice import PracticeServer
from helpers.data import lima
from helpers.errors import UserError
from helpers.judge import Pair, verdicts
from helpers.report import page

A, B, NEITHER = (f"{who} is significantly better." for who in ("Answer A", "Answer B", "Neither"))
NAMES = ("lima", "role")
ROLE = roles.Role("This question is a travel problem involving trains.", "a guide who knows every timetable")


def quiet(*_):
    pass


def some_pairs(n=6):
    return [
        Pair(f"q{i}", f"Question {i}?", f"The first answer to {i}.", f"Another one, longer, to {i}.") for i in range(n)
    ]


def shown(prompt):
    """(first, second) answer in a judge's prompt."""
    match = re.search(r"\n\nAnswer A: (.*?)\n\nAnswer B: (.*?)\n\nComparing these two", prompt, re.DOTALL)
    return match.groups()


class FakeJudge(FakeChat):
    """Replies by `reply(first answer, second answer)`; `asked` counts prompts."""

    def __init__(self, reply, name="fake-judge", **more):
        super().__init__(lambda prompt, before: reply(*shown(prompt)), **more)
        self.name = name


def prefers_long(first, second):
    return A if len(first) > len(second) else B


def always_first(first, second):
    return A


# --- what the judge may see ---------------------------------------------------------------------------


def test_the_prompt_is_limas_wording_with_the_two_answers_in_place():
    assert judge.prompt("Why {braces}?", "One.", "Two, {too}.") == (
        "Imagine that you have a super-intelligent AI assistant, and that you require help with the following question. "
        "Which answer best satisfies your needs?\n\nQuestion: Why {braces}?\n\nAnswer A: One.\n\nAnswer B: Two, {too}.\n\n"
        "Comparing these two answers, which answer is better?\n◼ Answer A is significantly better.\n"
        "◼ Answer B is significantly better.\n◼ Neither is significantly better."
    )


def test_the_two_games_of_a_pair_differ_in_the_places_only():
    pair = some_pairs(1)[0]
    games = judge.games(pair)
    assert shown(games["ab"]) == (pair.a, pair.b) and shown(games["ba"]) == (pair.b, pair.a)


@pytest.mark.parametrize("design", range(1, 9))
@pytest.mark.parametrize("between", [" ", "\n\n", ""], ids=["space", "empty line", "nothing"])
def test_the_role_prompt_of_every_design_is_hidden_with_the_space_behind_it(design, between):
    answer = "Take the 8:15.\n\n    indented = True\n\n    more = 1"
    assert judge.hide(f" {ROLE.text(design)}{between}{answer}") == answer


@pytest.mark.parametrize("design", range(1, 9))
@pytest.mark.parametrize(
    "reply",
    ["{role} {role} {role} {answer}", "{role} {answer}\n\n{role}", "{role} {answer}\n\n{cut}", "{answer}\n\n{role} "],
    ids=["three times", "again at the end", "cut off at the end", "only at the end"],
)
def test_a_role_prompt_that_comes_again_is_hidden_too(design, reply):
    role = ROLE.text(design)
    reply = reply.format(role=role, cut=role[:-9], answer="Take the 8:15.")
    assert judge.hide(reply) == "Take the 8:15." and judge.leak(judge.hide(reply)) is None
    assert design == 1 or judge.leak(roles.strip(reply)[1]), "without hiding it would have been seen"


@pytest.mark.parametrize("design", (2, 3, 4, 8))
def test_a_role_prompt_without_brackets_is_hidden(design):
    assert judge.hide(f"{ROLE.text(design)[1:-1]} Take the 8:15.") == "Take the 8:15."


def test_a_reply_that_is_all_role_prompt_or_cut_within_it_is_empty():
    text = ROLE.text()
    assert [judge.hide(r) for r in (text, text * 3, text[:60], " ", "")] == [""] * 5


@pytest.mark.parametrize(
    "honest",
    [
        "Fortunately, I am at home on Monday. So I will become your guide.",
        "For this reason, I will be late.",
        "This question is an old one. Nobody knows.",
        "Let me think like a spider: the web comes first.",
        "Use a list [1, 2, 3].\n\n    for x in xs:\n\n        print(x)",
        "I will act as soon as I can.",
    ],
)
def test_an_answer_that_only_resembles_a_role_prompt_is_left_alone(honest):
    assert judge.hide(honest) == honest and judge.leak(honest) is None


@pytest.mark.parametrize("design", range(1, 9))
def test_a_role_prompt_that_is_left_never_reaches_a_judge(design):
    for left in (ROLE.text(design), ROLE.text(design)[1:-1]):
        assert judge.leak(f"An answer. {left} More.")
        with pytest.raises(UserError, match="a role prompt is left in an answer"):
            judge.prompt("Why?", "An answer.", f"An answer. {left} More.")
        with pytest.raises(UserError, match="a role prompt is left in an answer"):
            judge.prompt("Why?", f"An answer. {left} More.", "An answer.")


def test_answers_are_paired_by_question_with_role_prompts_hidden():
    a = [{"id": "1", "question": "Why?", "text": "So."}, {"id": "2", "question": "How?", "text": "Thus."}]
    b = [{"id": "2", "question": "How? ", "text": f"{ROLE.text()} Like this."}]
    assert judge.pairs(a, b) == [Pair("2", "How?", "Thus.", "Like this.")]
    b[0]["text"] += f"\n{ROLE.text()}"
    assert judge.pairs(a, b) == [Pair("2", "How?", "Thus.", "Like this.", (False, True))]


def test_answers_to_different_questions_are_not_paired():
    a, b = ([{"id": "1", "question": q, "text": "So."}] for q in ("Why?", "How?"))
    with pytest.raises(UserError, match="'1' is another question in each of the two files"):
        judge.pairs(a, b)
    with pytest.raises(UserError, match="no question in common"):
        judge.pairs(a, [{"id": "2", "question": "Why?", "text": "So."}])


# --- reading a verdict ------------------------------------------------------------------------------------

FORM = f"◼ {A}\n◼ {B}\n◼ {NEITHER}"


@pytest.mark.parametrize(
    "verdict, reply",
    [
        ("A", A),
        ("B", f"◼ {B}"),
        ("B", f"**{B}**"),
        ("neither", NEITHER),
        ("neither", "Neither Answer A nor Answer B is significantly better."),
        ("neither", "Neither of the two answers is significantly better."),
        ("A", "A"),
        ("B", "Answer B."),
        ("neither", " neither"),
        ("neither", "Tie"),
        ("B", "B\n\nIt is more concrete."),
        ("A", "### Answer A\nLong, but right.\n### Answer B\nWrong.\n\nAnswer A is significantly better."),
        ("A", f"{A} It is specific, while Answer B is vague."),
        ("B", f"Answer A is not significantly better. {B}"),
        ("B", FORM.replace("◼ Answer B", "☑ Answer B")),
        ("neither", FORM.replace("◼ Neither", "[x] Neither").replace("◼", "[ ]")),
        ("B", f"Answer A is better. Then again, Answer B is better.\nVerdict: {B}"),
        ("A", "Both are short.\nVerdict: A"),
        ("neither", f"{A[:-1]} on tone, and {B[:-1]} on facts. \nOverall, neither is significantly better."),
        ("A", "Answer A is better."),
        ("B", "Neither is perfect, but Answer B is significantly better."),
        ("A", "Neither answer is great, but Answer A is better."),
        ("neither", "Neither A nor B is significantly better."),
        ("neither", "Neither one of these two answers is clearly better."),
        ("neither", "Neither is better than the other."),
        ("A", "Answer A is better because it is specific."),
        ("B", "Answer B is better, since Answer A repeats itself."),
        ("B", "Answer B is better as it gives an example."),
        ("A", "Answer A is better than Answer B."),
        ("B", "Answer B is the better answer than A because it is right."),
    ],
)
def test_a_choice_is_read(verdict, reply):
    assert judge.parse(reply) == verdict


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Both are fine.",
        FORM,
        f"{A} {B}",
        "I do not think that Answer A is significantly better.",
        "Answer A isn't better.",
        "Answer A is slightly better.",
        "Answer A is better, but not significantly.",
        "Answer A is better because it is longer, but not significantly so.",
        "Answer A is better than I had hoped, and so is Answer B.",
        "Answer A is better as a poem, and Answer B as a recipe.",
        "Answer A is better than Answer B in tone and worse in facts.",
        "Neither is perfect, and I do not think that Answer B is significantly better.",
        "A good answer would say more.",
        "Neither answer is good, and Answer B is significantly worse.",
        "I'm sorry, but I can't compare these.",
        "Answer A:",
        f"[x] {A}\n[x] {B}",
    ],
)
def test_what_is_no_single_choice_is_unparsed_and_never_guessed(reply):
    assert judge.parse(reply) is None


# --- two orders, one result --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ab, ba, result",
    [
        ("A", "B", "a"),  # a is shown first, then second, and chosen twice
        ("B", "A", "b"),
        ("A", "A", "tie"),
        ("B", "B", "tie"),
        ("A", "neither", "tie"),
        ("neither", "A", "tie"),
        ("neither", "neither", "tie"),
        (None, "B", "unparsed"),
        ("A", None, "unparsed"),
        (None, None, "unparsed"),
    ],
)
def test_an_arm_wins_only_if_it_is_chosen_in_both_places(ab, ba, result):
    assert verdicts.combine(verdicts.arm(ab, "ab"), verdicts.arm(ba, "ba")) == result


def test_a_judge_sees_every_pair_in_both_orders_and_its_verdicts_are_kept_raw(tmp_path):
    fake = FakeJudge(prefers_long)
    result = judge.judge(some_pairs(3), NAMES, tmp_path, fake, say=quiet)
    assert sorted(map(shown, fake.asked)) == sorted(
        answers for p in some_pairs(3) for answers in ((p.a, p.b), (p.b, p.a))
    )
    assert list(result.table.result) == ["b"] * 3 and (result.a, result.b, result.judge) == (*NAMES, "fake-judge")
    records = list(journal.read(tmp_path / "judgements.jsonl"))
    assert [(r["id"], r["shown"], r["reply"]) for r in records[:2]] == [
        ("q0", ["lima", "role"], B),
        ("q0", ["role", "lima"], A),
    ]
    assert {r["judge"] for r in records} == {"fake-judge"} and records[0]["tokens"] == [100, 30]
    written = pd.read_csv(tmp_path / "judgements.csv")
    assert list(written.columns) == verdicts.COLUMNS and list(written.result) == ["b"] * 3


def test_what_needs_no_judge_is_not_asked_and_is_counted(tmp_path):
    pairs = [
        Pair("both", "?", "One.", "Two."),
        Pair("empty b", "?", "Something.", ""),
        Pair("empty a", "?", "", "Something."),
        Pair("empty", "?", "", ""),
        Pair("same", "?", "Yes.", "Yes."),
        Pair("leak", "?", "Yes.", f"Well. {ROLE.text()}"),
    ]
    fake = FakeJudge(always_first)
    result = judge.judge(pairs, NAMES, tmp_path, fake, say=quiet)
    assert len(fake.asked) == 2
    assert list(result.table.result) == ["tie", "a", "b", "tie", "tie", "role shown"]
    summary = verdicts.summary(result)
    assert summary.settled == {"empty": 3, "identical": 1} and summary.left_out["role shown"] == 1
    assert (summary.n, summary.a, summary.tie, summary.b) == (5, 1, 3, 1)
    said = " ".join(verdicts.remarks(result))
    assert "because the answer is empty: 3 questions" in said and "still shows a role prompt: 1 questions" in said


def test_unparsed_verdicts_are_counted_and_are_no_ties(tmp_path):
    pairs = some_pairs(30)
    first = pairs[0].a
    result = judge.judge(pairs, NAMES, tmp_path, FakeJudge(lambda a, b: "Hm." if first in (a, b) else B), say=quiet)
    summary = verdicts.summary(result)
    assert summary.left_out["unparsed"] == 1 and (summary.n, summary.tie) == (29, 29)
    assert result.table.result[0] == "unparsed"


def test_a_judge_that_always_says_a_gives_ties_and_the_sentence_that_nothing_can_be_concluded(tmp_path):
    result = judge.judge(some_pairs(30), NAMES, tmp_path, FakeJudge(always_first), say=quiet)
    summary = verdicts.summary(result)
    assert (summary.a, summary.tie, summary.b) == (0, 30, 0) and summary.net.estimate == 0
    assert (summary.first.estimate, summary.agree.estimate) == (1, 0)
    assert any(
        "chooses the answer that it reads first" in line and "nothing" in line for line in verdicts.remarks(result)
    )
    alone = verdicts.orders(result)
    assert list(alone.net) == [-1, 1, 0], "one order alone would have been a triumph, for either side"


def test_a_judge_that_always_says_b_is_told_too(tmp_path):
    result = judge.judge(some_pairs(30), NAMES, tmp_path, FakeJudge(lambda a, b: B), say=quiet)
    assert any("that it reads last" in line for line in verdicts.remarks(result))


def test_a_fair_judge_is_not_accused(tmp_path):
    draw = random.Random(0)
    better = {p.b: draw.random() < 0.6 for p in some_pairs(60)}
    fake = FakeJudge(lambda first, second: A if better.get(first, not better.get(second, False)) else B)
    result = judge.judge(some_pairs(60), NAMES, tmp_path, fake, say=quiet)
    said = " ".join(verdicts.remarks(result))
    assert "reads first" not in said and "reads last" not in said and "unparsed" not in said
    assert verdicts.summary(result).agree.estimate == 1
    assert verdicts.summary(result).b == sum(better.values())


def test_a_judge_of_whom_nothing_can_be_read_gives_no_number(tmp_path):
    pairs = [*some_pairs(5), Pair("empty", "?", "Something.", "")]
    result = judge.judge(pairs, NAMES, tmp_path, FakeJudge(lambda a, b: "Both are lovely."), say=quiet)
    summary = verdicts.summary(result)
    assert summary.left_out["unparsed"] == 5 and summary.net.estimate != summary.net.estimate
    assert any("No verdict could be read: nothing can be concluded" in line for line in verdicts.remarks(result))
    assert not any("%" in line for line in verdicts.lines(result))
    assert verdicts.orders(result).net.isna().all()


def test_counts_interval_and_lengths_are_those_counted_by_hand(tmp_path):
    """20 wins of b, 5 of a, 15 ties; b's answers are longer except in the questions it loses."""
    replies, pairs = {}, []
    for i in range(40):
        a, b = f"a {i}.", f"b {i} with more words."
        kind = "b" if i < 20 else "a" if i < 25 else "tie"
        if kind == "a":
            a, b = f"a {i} with more words.", f"b {i}."
        pairs.append(Pair(f"q{i}", f"{i}?", a, b))
        replies |= {(a, b): {"a": A, "b": B, "tie": A}[kind], (b, a): {"a": B, "b": A, "tie": NEITHER}[kind]}
    fake = FakeJudge(lambda first, second: replies[first, second])
    result = judge.judge(pairs, NAMES, tmp_path, fake, say=quiet)
    s = verdicts.summary(result)
    assert (s.n, s.a, s.tie, s.b) == (40, 5, 15, 20)
    won = [1] * 20 + [0] * 20
    lost = [0] * 20 + [1] * 5 + [0] * 15
    assert s.net == stats.paired(lost, won) and s.net.estimate == 15 / 40 and 0 < s.net.low < 15 / 40 < s.net.high
    assert s.choices == 65 and s.first.estimate == (20 + 5 + 15) / 65  # 25 decided both ways, 15 said A once
    assert s.agree == stats.wilson(25, 40) and s.longer == stats.wilson(25, 25)
    assert s.words == ((2 * 35 + 5 * 5) / 40, (5 * 35 + 2 * 5) / 40)
    assert verdicts.lines(result)[1] == "  role wins 20, tie 15, lima wins 5"


def judged_as(*verdicts_):
    """A comparison of so many questions from ("ab", "ba") choices of arms."""
    rest = (None, 5, 5, False, False)
    lines = [(f"q{i}", ab, ba, verdicts.combine(ab, ba), *rest) for i, (ab, ba) in enumerate(verdicts_)]
    return verdicts.Comparison(*NAMES, "fake", pd.DataFrame(lines, columns=verdicts.COLUMNS))


def test_the_interval_of_the_first_place_counts_questions_not_verdicts():
    good = [("a", "a"), ("b", "b")] * 28 + [("a", "b"), ("b", "a"), ("a", "b"), ("a", "neither")]
    first = verdicts.summary(judged_as(*good)).first
    textbook = stats.wilson(56 + 2 + 2 + 1, 119)
    assert first.estimate == textbook.estimate and first.low < 0.5 < first.high
    assert first.high - first.low < 0.5 * (textbook.high - textbook.low), "quality parts the two verdicts on a pair"
    places = verdicts.summary(judged_as(*[("a", "b")] * 21 + [("b", "a")] * 9)).first
    textbook = stats.wilson(42, 60)
    assert places.high - places.low > 1.2 * (textbook.high - textbook.low), "a taste for a place doubles each of them"


def test_a_judge_that_chooses_one_place_only_is_not_known_for_certain():
    assert verdicts.summary(judged_as(*[("a", "b")] * 30)).first == stats.wilson(30, 30)
    assert verdicts.summary(judged_as(("b", "a"), ("b", "a"))).first == stats.wilson(0, 2)
    assert tuple(verdicts.summary(judged_as(("a", "a"))).first) == (0.5, 0, 1)
    nothing = verdicts.summary(judged_as(("neither", "neither"))).first
    assert nothing.estimate != nothing.estimate and nothing[1:] == (0, 1)


# --- never paid twice --------------------------------------------------------------------------------------


def test_a_result_is_counted_with_empty_answers_and_without_them():
    result = judged_as(*[("a", "a")] * 6 + [("b", "b")] * 3 + [("a", "b")])
    empty = pd.DataFrame([("e", None, None, "a", "empty", 5, 0, False, False)] * 4, columns=verdicts.COLUMNS)
    result = verdicts.Comparison(*NAMES, "fake", pd.concat([result.table, empty], ignore_index=True))
    ways = verdicts.both_ways(result)
    assert ways[["n", "b", "tie", "a"]].to_numpy().tolist() == [[14, 3, 1, 10], [10, 3, 1, 6]]
    assert list(ways.p) == [stats.sign_test([1] * 3 + [-1] * 10).p, stats.sign_test([1] * 3 + [-1] * 6).p]
    assert any(
        "With them it is 10 wins to 3 (p = 0.092), without them 6 wins to 3" in r for r in verdicts.remarks(result)
    )


def test_the_packaged_result_needs_its_empty_answers():
    ways = verdicts.both_ways(judge.compare(judge.packaged_pairs(*NAMES), NAMES, judge.PACKAGED_JUDGE, packaged()))
    assert list(ways.a) == [21, 16] and list(ways.b) == [6, 6] and list(ways.p.round(3)) == [0.006, 0.052]


def packaged():
    return {record["key"]: record for record in journal.read(judge.PACKAGED / "verdicts.jsonl")}


def test_a_judge_that_expects_a_leans_to_the_same_place_in_both_orders():
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny")
    table = judge.lean(chat, [*some_pairs(2), Pair("empty", "?", "Something.", "")])
    assert list(table.id) == [p.id for p in some_pairs(2)] and table["a first"].between(0, 1).all()
    prompt = chat.text(user(judge.games(some_pairs(1)[0])["ba"])) + " Answer"
    ids = torch.tensor([chat.tokenizer(prompt).input_ids])
    letters = [chat.tokenizer(x).input_ids[0] for x in "AB"]
    share = chat.model(ids).logits[0, -1, letters].softmax(-1)[0].item()
    assert table["b first"][0] == pytest.approx(share, abs=1e-5)
    same = (table["a first"] > 0.5) == (table["b first"] > 0.5)
    assert list(table["same place"]) == list(same)


def test_another_judge_in_the_same_folder_is_asked_anew_and_both_stay(tmp_path):
    judge.judge(some_pairs(2), NAMES, tmp_path, FakeJudge(prefers_long), say=quiet)
    other = FakeJudge(always_first, name="other")
    assert list(judge.judge(some_pairs(2), NAMES, tmp_path, other, say=quiet).table.result) == ["tie", "tie"]
    assert len(other.asked) == 4 and len(judge.read(tmp_path)) == 8
    again = FakeJudge(prefers_long)
    assert list(judge.judge(some_pairs(2), NAMES, tmp_path, again, say=quiet).table.result) == ["b", "b"]
    assert not again.asked


def test_an_answer_that_has_changed_is_judged_again(tmp_path):
    pairs = some_pairs(2)
    judge.judge(pairs, NAMES, tmp_path, FakeJudge(prefers_long), say=quiet)
    again = FakeJudge(prefers_long)
    judge.judge(
        [Pair("q0", "Question 0?", pairs[0].a, "A new answer to it."), pairs[1]], NAMES, tmp_path, again, say=quiet
    )
    assert len(again.asked) == 2 and all("A new answer" in prompt for prompt in again.asked)


# --- price and cap -------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """A judge on this machine: "A" where the first answer is the longer one, else "B"."""
    monkeypatch.setitem(practice.MOODS, "judge", lambda q: (200, practice.completion(prefers_long(*shown(q))), {}))
    with PracticeServer("judge") as server:
        yield server


# --- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Two files of answers to five questions in the current folder; the command that compares them."""
    monkeypatch.chdir(tmp_path)
    for arm, role in (("plain", ""), ("role", ROLE.text() + " ")):
        rows = [
            {
                "id": f"q{i}",
                "question": f"Question {i}?",
                "text": f"{role}The {arm} arm says {i}{' at length' * len(role[:1])}.",
            }
            for i in range(5)
        ]
        (tmp_path / f"{arm}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return ["judge", "--a", "plain.jsonl", "--b", "role.jsonl", "--out", "out"]


@pytest.fixture
def refused(answers, tmp_path, capsys):
    """Run a command that must end with code 2, one line and no file; the line."""

    def refused(*command):
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert main([str(c) for c in command]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and "Traceback" not in err and str(tmp_path) not in err
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        return err

    return refused


def test_the_command_judges_two_files_through_a_server_and_prints_the_result(answers, server, tmp_path, capsys):
    assert main([*answers, "--base-url", server.url, "--model", "m"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("to ask of m: 10 calls") and "role wins 5, tie 0, plain wins 0" in out
    assert "interval to mean much: 5." in out
    assert len(server.requests) == 10 and {r["temperature"] for r in server.requests} == {0}
    assert not any("I will think like" in r["messages"][-1]["content"] for r in server.requests)
    assert main([*answers, "--base-url", server.url, "--model", "m"]) == 0
    assert len(server.requests) == 10 and "role wins 5" in capsys.readouterr().out


def test_limit_judges_the_first_questions_only(answers, server, tmp_path):
    assert main([*answers, "--base-url", server.url, "--model", "m", "--limit", "2"]) == 0
    assert len(server.requests) == 4 and {r["id"] for r in judge.read(tmp_path / "out").values()} == {"q0", "q1"}


def test_a_dry_run_tells_the_price_and_asks_and_writes_nothing(answers, server, tmp_path, capsys):
    command = [*answers, "--base-url", server.url, "--model", "m", "--price", "2.5,10", "--max-cost", "1", "--dry-run"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("to ask of m: 10 calls") and "USD" in out and "cap 1 USD" in out
    assert not server.requests and not (tmp_path / "out").exists()


def test_where_nobody_can_type_a_price_needs_yes(answers, server, tmp_path, capsys):
    paid = [*answers, "--base-url", server.url, "--model", "m", "--price", "2.5,10"]
    assert main(paid) == 2
    out, err = capsys.readouterr()
    assert "to ask of m: 10 calls" in out and "add --yes to agree" in err and not server.requests
    assert main([*paid, "--yes"]) == 0 and len(server.requests) == 10


def test_mistakes_on_the_command_line_are_one_line(answers, refused, tmp_path):
    assert "give --model, the judge's name" in refused(*answers)
    assert "no API key: set OPENAI_API_KEY" in refused(*answers, "--model", "gpt-4o")
    assert "no price is known for 'x'" in refused(*answers, "--model", "x", "--base-url", "https://example.org/v1")
    assert "--price '1': give two numbers" in refused(*answers, "--model", "m", "--price", "1")
    assert "unknown profile 'gpu'" in refused(*answers, "--model", "m", "--profile", "gpu")
    assert "--limit" in refused(*answers, "--model", "m", "--limit", "0")
    to = ["--b", "role.jsonl", "--out", "out", "--model", "m"]
    assert "'nothing' holds neither a model nor answers" in refused("judge", "--a", "nothing", *to)
    (tmp_path / "bad.jsonl").write_text('{"id": "q0", "question": "Why?"}\n')
    assert "bad.jsonl, line 1: no 'text'" in refused("judge", "--a", "bad.jsonl", *to)
    (tmp_path / "empty.jsonl").write_text("")
    assert "empty.jsonl holds no answers" in refused("judge", "--a", "empty.jsonl", *to)
    (tmp_path / "twice.jsonl").write_text('{"id": "q0", "question": "Why?", "text": "So."}\n' * 2)
    assert "holds question 'q0' twice" in refused("judge", "--a", "twice.jsonl", *to)
    (tmp_path / "other.jsonl").write_text('{"id": "q0", "question": "Where?", "text": "Here."}\n')
    local = ["--base-url", "http://127.0.0.1:9/v1"]
    assert "'q0' is another question" in refused("judge", "--a", "other.jsonl", *to, *local)


def test_model_folders_answer_first_and_a_local_model_may_be_the_judge(tmp_path, monkeypatch, capsys):
    """Everything in this process: two tiny models answer, a third one judges; what it says is no verdict."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(profiles.PROFILES, "cpu", profiles.get("cpu", stage1_tokens=4))
    monkeypatch.setattr("helpers.judge.answers.ROLE_ROOM", 4)
    monkeypatch.setitem(judge.PARAMS, "max_tokens", 8)
    for seed, name in enumerate(("lima-seed0", "role-seed0", "judge")):
        tiny.save(tmp_path / "models" / name, seed)
    command = [
        "judge",
        "--a",
        "models/lima-seed0",
        "--b",
        "models/role-seed0",
        "--out",
        "run",
        "--model",
        "models/judge",
    ]
    assert main([*command, "--limit", "3"]) == 0
    out = capsys.readouterr().out
    asked = [q["id"] for q in judge.questions("packaged")][:3]
    for arm in ("lima-seed0", "role-seed0"):
        rows = judge.load_answers(tmp_path / "run" / "generations" / arm / "open.jsonl")
        assert [r["id"] for r in rows] == asked and all(r["tokens"] <= 8 for r in rows)
    assert "3 questions with a result" in out or "unparsed" in out
    kept = (tmp_path / "run" / "judgements.jsonl").read_bytes()
    monkeypatch.setattr("helpers.chat.LocalChat.complete", lambda self, c, *a, **k: iter(()) if not c else 1 / 0)
    assert main([*command, "--limit", "3"]) == 0, "everything is in the journals: no model is asked again"
    assert (tmp_path / "run" / "judgements.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id": "b", "question": "Why?"}', "no 'text'"),
        (b'{"id": "b", "question": "Why?", "text": null}', "id, question and text must be texts"),
        (b'{"id": "b", "question": ["Why?"], "text": "So."}', "id, question and text must be texts"),
        (b'{"id": ["b"], "question": "Why?", "text": "So."}', "id, question and text must be texts"),
        (b'{"id": "b", "question": "Why?", "text": "caf\xe9"}', "not UTF-8"),
        (b'{"id": "b", "question"', "not valid JSON"),
        (b"[]", "no 'an object'"),
    ],
)
def test_answers_that_cannot_be_read_are_told_by_file_and_line(tmp_path, line, why):
    good = b'{"id": 1, "question": "Why?", "text": ""}'  # an empty answer is one, and ids may be numbers
    (tmp_path / "mine.jsonl").write_bytes(b"\n".join([good, b"", line]))
    with pytest.raises(UserError, match=f"^mine.jsonl, line 3: {why}; repair or remove the line$"):
        judge.load_answers(tmp_path / "mine.jsonl")
    (tmp_path / "mine.jsonl").write_bytes(good)
    assert [row["id"] for row in judge.load_answers(tmp_path / "mine.jsonl")] == ["1"]


# --- a model's answers ----------------------------------------------------------------------------------------


class FakeModel(FakeChat):
    name = "fake-model@1"

    def __init__(self, reply):
        super().__init__(lambda question, before: reply(question))


def test_a_role_prompt_costs_the_role_arm_nothing_of_its_answer(tmp_path):
    """The limit counts the answer's tokens, not the role prompt's, and the row says how many the answer has."""
    asked = []

    class Roled(FakeModel):
        def complete(self, conversations, max_tokens, opening_tokens=0, **_):
            asked.append((max_tokens, opening_tokens))
            yield 0, Completion(f"{ROLE.text()} No.", "length", 10, 43, opening=40)

    [row] = judge.answer(
        profiles.get("cpu", stage1_tokens=10),
        Roled(str),
        [{"id": "q", "question": "Why?"}],
        tmp_path / "a.jsonl",
        quiet,
    )
    assert asked == [(20, judge.ROLE_ROOM)]
    assert (row["text"], row["finish"], row["tokens"]) == (f"{ROLE.text()} No.", "length", 3)
    assert set(row) == {"key", "model", "id", "question", "text", "finish", "tokens"}


def test_a_models_answers_are_kept_in_the_order_of_the_questions(tmp_path):
    questions = [{"id": f"q{i}", "question": f"{i}?"} for i in range(4)]
    profile, path = profiles.get("cpu"), tmp_path / "open.jsonl"
    judge.answer(profile, FakeModel(str.upper), questions[2:], path, quiet)
    model = FakeModel(str.upper)
    rows = judge.answer(profile, model, questions, path, quiet)
    assert [r["id"] for r in rows] == [r["id"] for r in judge.load_answers(path)] == ["q0", "q1", "q2", "q3"]
    assert model.asked.total() == 2


def test_a_model_that_was_tuned_again_is_asked_again_and_its_new_answers_count(tmp_path):
    questions = [{"id": f"q{i}", "question": f"What {i}?"} for i in range(3)]
    profile, path = profiles.get("cpu"), tmp_path / "open.jsonl"
    judge.answer(profile, FakeModel(str.upper), questions, path, quiet)
    tuned = FakeModel(str.lower)
    tuned.name = "fake-model@2"
    judge.answer(profile, tuned, questions, path, quiet)
    assert tuned.asked.total() == 3 and [r["text"] for r in judge.load_answers(path)] == [
        f"what {i}?" for i in range(3)
    ]


# --- a run -----------------------------------------------------------------------------------------------------


def own_answers(folder, n=4):
    """Answers of both arms of a run to n questions."""
    for k, arm in enumerate(NAMES):
        path = folder / "generations" / f"{arm}-seed0" / "open.jsonl"
        path.parent.mkdir(parents=True)
        rows = [{"id": p.id, "question": p.question, "text": (p.a, p.b)[k]} for p in some_pairs(n)]
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_a_run_without_verdicts_of_its_own_replays_the_packaged_ones(tmp_path):
    this, said = run_.open_run("cpu", tmp_path), []
    pairs, comparison, origin = this.judged(say=said.append)
    assert said == [
        "this run has no open answers of LIMA and LIMA-Role: reading the packaged answers and verdicts instead"
    ]
    assert origin == "the packaged answers and verdicts" and len(pairs) == len(comparison.table) == 60
    assert comparison.judge == judge.PACKAGED_JUDGE and verdicts.summary(comparison).left_out["not judged"] == 0
    assert len(judge.read(tmp_path)) == 2 * sum(p.settled is None for p in pairs)


def test_a_run_with_verdicts_of_its_own_reads_them_and_asks_nobody(tmp_path):
    this = run_.open_run("cpu", tmp_path)
    own_answers(tmp_path)
    said = []
    assert this.judged(say=said.append)[2] == "the packaged answers and verdicts", "answers alone are not judged"
    assert said == [
        "this run has open answers of LIMA and LIMA-Role to 4 questions, but no verdict on them: reading the packaged "
        "answers and verdicts instead"
    ]
    judge.judge(some_pairs(1), NAMES, tmp_path, FakeJudge(prefers_long, name="hasty"), say=quiet)
    judge.judge(some_pairs(4), NAMES, tmp_path, FakeJudge(prefers_long, name="thorough"), say=quiet)
    pairs, comparison, origin = this.judged(say=said.append)
    assert (origin, comparison.judge, len(pairs)) == ("this run", "thorough", 4) and len(said) == 1
    assert list(comparison.table.result) == ["b"] * 4
    assert list(this.judged("role", "lima")[1].table.result) == ["a"] * 4


def test_a_run_in_which_an_arm_is_missing_falls_back_to_the_packaged_answers(tmp_path):
    this = run_.open_run("cpu", tmp_path)
    own_answers(tmp_path)
    judge.judge(some_pairs(4), NAMES, tmp_path, FakeJudge(prefers_long), say=quiet)
    (tmp_path / "generations" / "role-seed0" / "open.jsonl").unlink()
    said = []
    assert this.judged(say=said.append)[2] == "the packaged answers and verdicts"
    assert said[0].startswith("this run has open answers of LIMA, but none of LIMA-Role: ")
    with pytest.raises(UserError, match="no packaged answers of arm 'base'"):
        this.judged("base", "role")


def test_a_run_that_is_judged_by_half_says_what_is_missing(tmp_path):
    this = run_.open_run("cpu", tmp_path)
    own_answers(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        judge.judge(some_pairs(4), NAMES, tmp_path, FakeJudge(prefers_long, stop_after=3), say=quiet)
    _, comparison, origin = this.judged()
    assert origin == "this run" and list(comparison.table.result) == ["b", *["not judged"] * 3]
    assert "Not judged in both orders yet: 3 of 4 questions." in verdicts.remarks(comparison)


def empty_roles(folder):
    """Nothing is left behind the role prompts of a run's role arm."""
    path = folder / "generations" / "role-seed0" / "open.jsonl"
    rows = [json.loads(line) | {"text": ROLE.text()} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_of_which_no_pair_needs_a_judge_is_not_hidden_behind_the_packaged_ones(tmp_path):
    this, said = run_.open_run("cpu", tmp_path), []
    this.judged(say=quiet)  # leaves the packaged verdicts in the journal
    own_answers(tmp_path)
    empty_roles(tmp_path)
    pairs, comparison, origin = this.judged(say=said.append)
    assert (origin, comparison.judge, said) == ("this run", "nobody", [])
    assert [p.settled for p in pairs] == ["empty"] * 4
    assert list(comparison.table.result) == ["a"] * 4 and verdicts.summary(comparison).n == 4
    assert verdicts.remarks(comparison)[0].startswith("No pair needed a judge")


def test_packaged_verdicts_that_fit_a_runs_answers_are_never_its_own(tmp_path):
    this = run_.open_run("cpu", tmp_path)
    this.judged(say=quiet)
    for arm in NAMES:
        path = tmp_path / "generations" / f"{arm}-seed0" / "open.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes((judge.PACKAGED / f"answers_{arm}.jsonl").read_bytes())
    assert this.judged(say=quiet)[2] == "the packaged answers and verdicts"
    judge.judge(judge.packaged_pairs(*NAMES)[:9], NAMES, tmp_path, FakeJudge(prefers_long, name="mine"), say=quiet)
    _, comparison, origin = this.judged(say=quiet)
    assert (origin, comparison.judge) == ("this run", "mine")


# --- the lesson ---------------------------------------------------------------------------------------------------


def lesson(folder):
    """Run lesson 06, exercises unsolved, over a run folder; what it shows, and what it recorded."""
    shown, _ = cells.run("06", RUN=str(folder), LIVE=0)
    return shown, json.loads((folder / "metrics.json").read_text())["06"]


PLACES, NOTHING = "that it reads first: it judges places", "No verdict could be read: nothing can be concluded"


@pytest.mark.parametrize(
    "reply, n, told",
    [
        (always_first, 30, [PLACES]),
        (lambda first, second: "I love both.", 30, [NOTHING]),
        (
            lambda first, second: "I love both." if "0." in first + second else prefers_long(first, second),
            30,
            ["Left out because a verdict could not be read: 3 of 30 questions."],
        ),
        (prefers_long, 1, ["Too few questions with a result for their interval to mean much: 1."]),
    ],
    ids=["always A", "nothing parsed", "some unparsed", "one question"],
)
def test_the_lesson_says_what_cannot_be_concluded_and_goes_on(tmp_path, reply, n, told):
    own_answers(tmp_path, n)
    judge.judge(some_pairs(n), NAMES, tmp_path, FakeJudge(reply, name="my judge"), say=quiet)
    out, recorded = lesson(tmp_path)
    assert f"{n} questions from this run, judge: my judge" in out and all(line in out for line in told)
    assert recorded["origin"] == "this run" and recorded["judge"] == "my judge"
    assert (recorded["net"] is None) == (NOTHING in told) and "nan%" not in out
    assert all(any(line in remark for remark in recorded["cannot_say"]) for line in told)
    assert ("no verdict to count" in out) == (NOTHING in told)
    assert "no judged pair has a winner and a longer answer" in out  # all answers have five words
    found = "No net win: none of 30 pairs" if NOTHING in told else f"The judge (my judge) compared {recorded['n']}"
    assert page.lessons(tmp_path, {"minutes": {}}, {"06": recorded})[6]["finding"].startswith(found)
    assert (tmp_path / "figures" / "judge.png").is_file() and (tmp_path / "figures" / "judge.csv").is_file()


def test_the_lesson_goes_on_when_an_arm_is_missing_or_all_its_answers_are_empty(tmp_path):
    own_answers(tmp_path / "missing")
    (tmp_path / "missing" / "generations" / "role-seed0" / "open.jsonl").unlink()
    out, recorded = lesson(tmp_path / "missing")
    assert "60 questions from the packaged answers and verdicts" in out and recorded["n"] == 60
    own_answers(tmp_path / "empty")
    empty_roles(tmp_path / "empty")
    out, recorded = lesson(tmp_path / "empty")
    assert "4 questions from this run, judge: nobody" in out and "No pair needs a judge here" in out
    assert "nan%" not in out
    assert (recorded["n"], recorded["lima_wins"], recorded["net"]) == (4, 4, None)


def test_the_lesson_counts_the_pairs_that_still_show_a_role_prompt(tmp_path):
    own_answers(tmp_path)
    path = tmp_path / "generations" / "role-seed0" / "open.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2]["text"] += " I will think like a guide."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge.judge(some_pairs(2), NAMES, tmp_path, FakeJudge(prefers_long), say=quiet)
    out, recorded = lesson(tmp_path)
    assert "role prompts left in 1 of 4 pairs" in out
    assert "Left out because an answer still shows a role prompt: 1 questions." in recorded["cannot_say"]


@pytest.mark.parametrize("profile", ["cpu", "qlora"])
def test_a_picture_of_packaged_verdicts_says_so_whatever_the_profile(tmp_path, profile):
    out, space = cells.run("06", RUN=str(tmp_path), PROFILE=profile, LIVE=0)
    assert "the longer answer won" in out and "reading the packaged answers and verdicts instead" in out
    assert space["figure"].get_supxlabel() == (
        "packaged verdicts on packaged answers of SmolLM2-135M-Instruct, not GPT-4's · n=60"
    )
    assert json.loads((judge.PACKAGED / "about.json").read_text())["model"] in judge.PACKAGED_STAMP


def test_a_picture_of_a_runs_own_verdicts_names_its_profile_model_and_judge(tmp_path):
    own_answers(tmp_path)
    judge.judge(some_pairs(4), NAMES, tmp_path, FakeJudge(prefers_long, name="my judge"), say=quiet)
    _, space = cells.run("06", RUN=str(tmp_path), LIVE=0)
    assert space["figure"].get_supxlabel() == "profile cpu · SmolLM2-135M-Instruct · n=4, judge: my judge"


def test_the_papers_bar_is_drawn_from_what_its_text_says(tmp_path, monkeypatch):
    monkeypatch.setitem(paper.FIGURE5, "questions", 1200)
    monkeypatch.setitem(paper.FIGURE5, "net win", 8.0)
    lesson(tmp_path)
    table = pd.read_csv(tmp_path / "figures" / "judge.csv", index_col=0)
    n, net = table.iloc[-1][["n", "net"]]
    assert (n, net) == (1200, pytest.approx(0.08)) and 0.03 < table.low.iloc[-1] < 0.08 < table.high.iloc[-1] < 0.13


def test_the_lessons_picture_and_its_numbers_are_the_same_bytes_in_a_second_run(tmp_path):
    for name in ("one", "two"):
        lesson(tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name / "figures").iterdir()} for name in ("one", "two"))
    assert set(one) == {"judge.png", "judge.csv"} and one == two
    table = pd.read_csv(tmp_path / "one" / "figures" / "judge.csv", index_col=0)
    assert list(table.loc["both orders", ["LIMA-Role wins", "tie", "LIMA wins"]]) == [6, 33, 21]
    assert table.n.iloc[-1] == 300


# --- what is packaged ----------------------------------------------------------------------------------------------


def test_sixty_open_questions_are_packaged_and_lesson_02_still_asks_24():
    questions = judge.questions("packaged")
    assert len(lima.open_questions("packaged")) == 24 and len(questions) == 60
    assert questions[:24] == lima.open_questions("packaged")
    assert len({q["id"] for q in questions}) == len({q["question"] for q in questions}) == 60


def test_the_packaged_answers_are_those_of_both_arms_to_all_sixty_questions():
    for arm in NAMES:
        rows = judge.load_answers(judge.PACKAGED / f"answers_{arm}.jsonl")
        assert [(r["id"], r["question"]) for r in rows] == [
            (q["id"], q["question"]) for q in judge.questions("packaged")
        ]
        assert {r["model"].split("@")[0] for r in rows} == {f"{arm}-seed0"} and max(r["tokens"] for r in rows) <= 128
        opens = [roles.strip(r["text"])[0] is not None for r in rows]
        assert all(opens) if arm == "role" else not any(opens)


def test_every_packaged_pair_has_two_verdicts_by_two_readers_and_shows_no_role_prompt():
    pairs = judge.packaged_pairs(*NAMES)
    assert not any(judge.leak(p.a) or judge.leak(p.b) for p in pairs)
    records = {r["key"]: r for r in journal.read(judge.PACKAGED / "verdicts.jsonl")}
    wanted = {k: (p, order) for p in pairs for order, k in judge.keys(judge.PACKAGED_JUDGE, p).items()}
    assert set(records) == set(wanted)
    for k, (pair, order) in wanted.items():
        assert (records[k]["id"], records[k]["shown"]) == (pair.id, list(NAMES if order == "ab" else NAMES[::-1]))
    for r in records.values():  # the last line is the choice, whatever the reason before it says
        stated = re.search(r"◼ (Answer A|Answer B|Neither) is significantly better\.$", r["reply"])[1]
        assert judge.parse(r["reply"]) == stated.removeprefix("Answer ").replace("Neither", "neither")
    by_question = Counter((r["id"], r["reader"]) for r in records.values())
    assert set(by_question.values()) == {1} and {reader for _, reader in by_question} == {1, 2}
    first_reader = Counter(tuple(r["shown"]) for r in records.values() if r["reader"] == 1)
    assert min(first_reader.values()) >= 0.4 * sum(first_reader.values()), "each reader saw both orders about as often"
