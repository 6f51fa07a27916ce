"""LIMA becomes LIMA-Role: replayed without a server, asked once with one, and never paid for twice."""

from __future__ import annotations

import csv
import json
import signal
import threading
import unicodedata
from collections import Counter

import pytest
from fakes import FakeChat

from helpers import annotate, roles
from helpers.annotate import lima_role
from helpers.chat import Completion, EndpointChat, journal, practice
from helpers.chat.practice import PracticeServer
from helpers.data import lima
from helpers.data.lima import Dialogue, dialogues
from helpers.errors import UserError

MINE = [Dialogue(f"mine-{i}", "mine", (f"My own question number {i}?", f"Answer {i}.")) for i in range(4)]
GOOD = "A: This question is a test problem involving numbers. To better solve it, I will act as a tester who counts."


class Annotator(FakeChat):
    """Answers in form unless told otherwise."""

    def __init__(self, reply=lambda question, before: GOOD, **more):
        super().__init__(reply, **more)


def run(out, chat=None, rows=MINE, **more):
    return annotate.annotate(rows, out, chat, say=lambda *_: None, **more)


def written(out):
    return [json.loads(line) for line in (out / "lima_role.jsonl").read_text(encoding="utf-8").splitlines()]


# --- the replay ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    out = tmp_path_factory.mktemp("replay")
    said = []
    rows = annotate.annotate(dialogues("packaged"), out, say=said.append)
    return out, rows, said


def test_the_packaged_annotations_answer_for_all_120_dialogues_without_a_server(replay):
    out, rows, said = replay
    assert [r["id"] for r in rows] == [d.id for d in dialogues("packaged")]
    assert Counter(r["outcome"] for r in rows) == {"parsed": 116, "declined": 4}
    assert said == [
        "LIMA-Role: 120 dialogues, 116 parsed, 4 declined",
        "  declined, given the AI assistant's role: mini-117, mini-118, mini-119, mini-120",
    ]
    assert written(out) == rows


def test_exactly_the_declined_dialogues_get_the_ai_assistant(replay):
    _, rows, _ = replay
    declined = [r for r in rows if r["outcome"] == "declined"]
    assert {r["source"] for r in declined} == {"declined"} == {r["source"] for r in rows[-4:]}
    for row in rows:
        assert ("AI assistant" in row["role"]["text"]) == (row["outcome"] == "declined")
    assert {r["role"]["text"] for r in declined} == {roles.DECLINED.text()}


def test_a_row_holds_the_whole_dialogue_and_a_role_in_design_8(replay):
    _, rows, _ = replay
    for row, dialogue in zip(rows, dialogues("packaged"), strict=True):
        assert row["messages"] == dialogue.messages()
        role = row["role"]
        assert role["text"] == roles.render(role["question_description"], role["role_description"], 8)
        assert row["annotator"] == annotate.PACKAGED_ANNOTATOR


def test_the_packaged_journal_answers_the_very_prompt_that_is_sent_today():
    keys = [r["key"] for r in journal.read(annotate.PACKAGED_JOURNAL)]
    assert keys == [annotate.key(annotate.PACKAGED_ANNOTATOR, d.question) for d in dialogues("packaged")]


def test_replaying_twice_changes_no_byte(replay):
    out, rows, _ = replay
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(out, rows=dialogues("packaged")) == rows
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_packaged_questions_are_not_sent_to_a_server(tmp_path):
    chat = Annotator()
    rows = run(tmp_path, chat, [*dialogues("packaged")[:3], MINE[0]])
    assert chat.asked == {MINE[0].question: 1}
    assert [r["annotator"] for r in rows] == [annotate.PACKAGED_ANNOTATOR] * 3 + ["fake-model"]


def test_a_runs_journal_holds_the_records_of_its_own_dialogues_and_no_others(tmp_path):
    some = [*dialogues("packaged")[5:8], MINE[0]]
    run(tmp_path, Annotator(), some)
    assert [r["id"] for r in journal.read(tmp_path / "annotations.jsonl")] == [d.id for d in some]


def test_a_server_is_asked_for_every_question_if_the_packaged_annotations_are_not_wanted(tmp_path):
    some = dialogues("packaged")[:3]
    run(tmp_path, rows=some)  # even where they are in the journal already
    chat = Annotator()
    rows = run(tmp_path, chat, some, packaged=False)
    assert chat.asked == {d.question.strip(): 1 for d in some}
    assert {r["annotator"] for r in rows} == {"fake-model"}


def read_again():
    """The packaged files are read once a process."""
    for function in vars(lima_role).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Roles for two of MINE's questions, shipped the way LIMA's are: without the questions."""
    descriptions = {"question_description": "This question is a test problem involving keys."}
    shipped = [
        {"question": lima.question_key(MINE[0].question), **descriptions, "role_description": "a smith who forges"},
        {
            "question": lima.question_key("Où est  la\nclé?"),
            "question_description": roles.DECLINED_QUESTION,
            "role_description": roles.DECLINED_ROLE,
        },
    ]
    (tmp_path / "roles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shipped))
    monkeypatch.setattr(lima_role, "PACKAGED_ROLES", tmp_path / "roles.jsonl")
    read_again()
    yield
    read_again()


def test_a_shipped_role_is_found_by_its_questions_hash_and_passes_through_the_parser(shipped, tmp_path):
    decomposed = Dialogue("d", "mine", (unicodedata.normalize("NFD", " Où est la clé? "), "Ici."))
    rows = run(tmp_path / "out", rows=[MINE[0], decomposed])
    assert [r["outcome"] for r in rows] == ["parsed", "declined"]
    assert rows[0]["role"]["role_description"] == "a smith who forges"
    assert rows[1]["role"]["text"] == roles.DECLINED.text()
    assert {r["annotator"] for r in rows} == {annotate.PACKAGED_ANNOTATOR}
    kept = list(journal.read(tmp_path / "out" / "annotations.jsonl"))
    assert [r["key"] for r in kept] == [
        annotate.key(annotate.PACKAGED_ANNOTATOR, r["messages"][0]["content"]) for r in rows
    ]


def test_a_question_that_no_role_was_shipped_for_is_still_missing(shipped, tmp_path):
    chat = Annotator()
    run(tmp_path / "out", chat)
    assert chat.asked == {d.question: 1 for d in MINE[1:]}


def test_an_unknown_question_without_a_server_is_one_line_and_leaves_no_half_made_data(tmp_path):
    with pytest.raises(UserError) as error:
        run(tmp_path, rows=[*dialogues("packaged"), MINE[0]])
    assert str(error.value).startswith("1 of 121 questions have no annotation yet")
    assert "--base-url" in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("lima_role*"))


# --- asking -------------------------------------------------------------------------------------


def test_a_raw_reply_is_kept_before_it_is_taken_apart(tmp_path):
    run(tmp_path, Annotator(lambda q, before: GOOD.replace("numbers", q[-2])))
    raw = {r["id"]: r for r in journal.read(tmp_path / "annotations.jsonl")}
    assert raw["mine-3"]["reply"] == GOOD.replace("numbers", "3")
    assert raw["mine-3"]["tokens"] == [100, 30]


def test_a_malformed_reply_is_asked_again_and_the_good_one_used(tmp_path):
    chat = Annotator(lambda q, before: GOOD if before or q != MINE[2].question else "You need a tester.")
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: 1 + (d is MINE[2]) for d in MINE}
    assert [r["outcome"] for r in rows] == ["parsed"] * 4


def once_good(reply):
    """Answers the first question in form, so that the others are asked on, and every other with `reply`."""
    return Annotator(lambda q, before: GOOD if q == MINE[0].question else reply)


ONCE_GOOD = {d.question: 1 if d is MINE[0] else annotate.ATTEMPTS for d in MINE}


def test_a_reply_that_stays_malformed_is_asked_attempts_times_and_counted(tmp_path):
    chat = once_good("You need a tester.")
    rows = run(tmp_path, chat)
    assert chat.asked == ONCE_GOOD
    assert [r["outcome"] for r in rows] == ["parsed"] + ["malformed"] * 3


def test_an_attempt_has_its_own_room_and_temperature_and_its_own_key(tmp_path):
    chat = once_good("You need a tester.")
    run(tmp_path, chat, MINE[:2])
    assert chat.parameters == [(160, 0), (320, 0.5), (480, 1.0)]
    kept = [r["key"] for r in journal.read(tmp_path / "annotations.jsonl")]
    assert kept[1:] == [annotate.key("fake-model", MINE[1].question, attempt) for attempt in (1, 2, 3)]


def test_a_reply_cut_off_at_the_limit_is_asked_again_with_more_room(tmp_path):
    cut = Completion(GOOD[:90], "length", 100, 160)
    chat = Annotator(lambda q, before: GOOD if before or q != MINE[2].question else cut)
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: 1 + (d is MINE[2]) for d in MINE}
    assert [r["outcome"] for r in rows] == ["parsed"] * 4


def test_a_reply_that_stays_cut_off_keeps_its_dialogue_with_the_hand_written_role(tmp_path):
    for cut in (GOOD[:90], GOOD[:-4]):  # inside the form, and inside its very last word
        out, said, chat = tmp_path / str(len(cut)), [], once_good(Completion(cut, "length", 100, 160))
        rows = annotate.annotate(MINE, out, chat, say=said.append)
        assert chat.asked == ONCE_GOOD
        assert [(r["outcome"], r["role"]["text"]) for r in rows[1:]] == [("cut off", roles.UNKNOWN.text())] * 3
        assert said[-1] == "  cut off, given the AI assistant's role: mine-1, mine-2, mine-3"


def test_dialogues_that_share_a_question_are_asked_once_and_none_is_dropped(tmp_path):
    twin = Dialogue("twin", "mine", (f" {MINE[1].question}\n", "Another answer."))
    chat = Annotator()
    rows = run(tmp_path, chat, [*MINE, twin])
    assert chat.asked == {d.question: 1 for d in MINE}
    assert [r["id"] for r in rows] == [*(d.id for d in MINE), "twin"]
    assert rows[-1]["role"] == rows[1]["role"] and rows[-1]["messages"][1]["content"] == "Another answer."


REFUSALS = {
    "a refusal in words": Completion("I'm sorry, but I can't help with that.", "stop", 100, 9),
    "a refusal by the server": Completion("Not this.", "refusal", 100, 3),
    "a content filter": Completion("", "content_filter", 100, 0),
}


@pytest.mark.parametrize("reply", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_declined_and_asked_once(tmp_path, reply):
    chat = Annotator(lambda q, before: reply)
    rows = run(tmp_path, chat)
    assert chat.asked == {d.question: 1 for d in MINE}
    assert [(r["outcome"], r["role"]["text"]) for r in rows] == [("declined", roles.DECLINED.text())] * 4


def test_a_role_that_speaks_of_sorry_or_cannot_is_no_refusal():
    reply = GOOD.replace("who counts", "who can't stand a sorry sight")
    assert annotate.outcome({"reply": reply, "finish": "stop"}) == "parsed"


def test_a_reply_cut_at_the_token_limit_is_not_taken_for_a_whole_one():
    assert annotate.outcome({"reply": GOOD[:90], "finish": "length"}) == "cut off"


# --- the bill -----------------------------------------------------------------------------------


def test_where_nothing_is_missing_the_bill_is_empty_even_without_a_server(tmp_path):
    bill = annotate.plan(dialogues("packaged"), tmp_path, None)
    assert (bill.calls, bill.usd_at_most) == (0, 0.0)


# --- the audit ----------------------------------------------------------------------------------


def test_the_audit_sheet_is_the_same_for_everyone_and_left_for_a_person_to_tick(replay, tmp_path):
    _, rows, _ = replay
    sheet = annotate.audit_sheet(rows, 100, tmp_path / "audit.csv")
    assert annotate.audit_sheet(rows, 100, tmp_path / "again.csv") == sheet
    assert len({r["id"] for r in sheet}) == 100 and {r["format"] for r in sheet} == {"ok"}
    assert {r["description_ok"] + r["role_ok"] for r in sheet} == {""}
    assert (tmp_path / "audit.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert annotate.audit_sheet(rows, 100, tmp_path / "other.csv", seed=1) != sheet


def tick(path, ticks):
    """Fill in (description_ok, role_ok) of the sheet's first rows."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line, (description, role) in zip(lines, ticks):
        line["description_ok"], line["role_ok"] = description, role
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def test_the_result_of_an_audit_counts_what_a_person_ticked(replay, tmp_path):
    _, rows, _ = replay
    annotate.audit_sheet(rows, 10, tmp_path / "audit.csv")
    tick(tmp_path / "audit.csv", [("yes", "Y"), ("no", "1"), (" OK ", "n"), ("x", "")])
    assert annotate.audit_result(tmp_path / "audit.csv") == {
        "format": (10, 10),
        "question description": (3, 4),
        "role description": (2, 3),
    }


def test_a_row_out_of_form_counts_against_the_format(replay, tmp_path):
    _, rows, _ = replay
    rows = [{**row, "outcome": what} for row, what in zip(rows, ["parsed", "declined", "malformed", "cut off"])]
    annotate.audit_sheet(rows, 4, tmp_path / "audit.csv")
    assert annotate.audit_result(tmp_path / "audit.csv")["format"] == (2, 4)


def test_a_cell_that_is_neither_yes_nor_no_is_told_with_its_line(replay, tmp_path):
    _, rows, _ = replay
    annotate.audit_sheet(rows, 5, tmp_path / "audit.csv")
    tick(tmp_path / "audit.csv", [("yes", "yes"), ("yes", "maybe")])
    with pytest.raises(UserError, match=r"^audit\.csv, line 3: role_ok is 'maybe'; write yes or no"):
        annotate.audit_result(tmp_path / "audit.csv")


def test_a_sheet_with_ticks_in_it_is_not_overwritten(replay, tmp_path):
    _, rows, _ = replay
    annotate.audit_sheet(rows, 5, tmp_path / "audit.csv")
    annotate.audit_sheet(rows, 6, tmp_path / "audit.csv")  # an empty one may be
    tick(tmp_path / "audit.csv", [("", "yes")])
    before = (tmp_path / "audit.csv").read_bytes()
    with pytest.raises(UserError, match=r"audit\.csv has ticks in it: move it away"):
        annotate.audit_sheet(rows, 7, tmp_path / "audit.csv")
    assert (tmp_path / "audit.csv").read_bytes() == before


def test_a_file_that_is_no_audit_sheet_is_told(tmp_path):
    (tmp_path / "audit.csv").write_text("id;format;description_ok;role_ok\n1;ok;yes;yes\n")
    with pytest.raises(UserError, match=r"audit\.csv is no audit sheet: it needs the columns format, description_ok"):
        annotate.audit_result(tmp_path / "audit.csv")
    with pytest.raises(UserError, match=r"no audit sheet none\.csv: draw one first"):
        annotate.audit_result(tmp_path / "none.csv")


# --- a real server on loopback ------------------------------------------------------------------


class KeySeeing(PracticeServer):
    """Notes the Authorization headers, which the practice server keeps nowhere."""

    def _answer(self, handler, body):
        self.seen = {*getattr(self, "seen", ()), handler.headers.get("Authorization")}
        super()._answer(handler, body)


def test_the_key_is_sent_to_the_server_and_shown_nowhere(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    with KeySeeing() as server:
        annotate.annotate(MINE, tmp_path, EndpointChat("some-model", server.url))
        assert server.seen == {"Bearer sk-secret-123"}
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"sk-secret" in p.read_bytes()]
    assert "sk-secret" not in "".join(capsys.readouterr())


def of_model(out):
    return [r["id"] for r in journal.read(out / "annotations.jsonl") if r["annotator"] == "some-model"]


def test_an_interrupt_while_an_answer_is_being_written_loses_no_answer_under_way(tmp_path, monkeypatch):
    together = threading.Barrier(len(MINE))
    fine = practice.MOODS["fine"]
    monkeypatch.setitem(practice.MOODS, "together", lambda q: (together.wait(10), fine(q))[1])
    add = journal.Journal.add

    def interrupted(self, record):
        monkeypatch.setattr(journal.Journal, "add", add)
        add(self, record)
        signal.raise_signal(signal.SIGINT)  # Ctrl-C, at the moment when the answer is on the disk

    monkeypatch.setattr(journal.Journal, "add", interrupted)
    with PracticeServer("together") as server:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, EndpointChat("some-model", server.url, concurrency=len(MINE)))
        assert sorted(server.asked.values()) == [1] * len(MINE)
    assert sorted(of_model(tmp_path)) == [d.id for d in MINE]


def test_a_run_makes_its_rows_once_and_reads_them_afterwards(tmp_path):
    from helpers.run import open_run

    said = []
    this = open_run("cpu", tmp_path / "run")
    rows = this.annotated(say=said.append)
    assert len(rows) == 120 and said
    said.clear()
    assert this.annotated(say=said.append) == rows and not said
