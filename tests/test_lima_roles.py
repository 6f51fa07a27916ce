"""The shipped roles of LIMA's 1,030 questions: in form, varied, free of LIMA's text, and found for whoever has LIMA."""

from __future__ import annotations

import json
import re
import time
from collections import Counter

import pytest

from helpers import annotate, roles
from helpers.__main__ import main
from helpers.data import read_jsonl
from helpers.data.lima import dialogues, question_key

ROWS = read_jsonl(annotate.PACKAGED_ROLES)
ROLES = annotate.packaged_roles()


def test_every_role_is_in_the_papers_form_and_reads_back_from_all_designs():
    assert len(ROLES) == 1030
    for role in ROLES:
        assert roles.parse_annotation(roles.annotation(role)) == role
        assert re.fullmatch(r"This question is an? .+ problem involving .+\.", role.question_description)
        assert re.fullmatch(r"an? .+ who .+", role.role_description)
        for design in range(2, 9):
            assert roles.parse(role.text(design)) == role


def test_no_role_description_is_used_often_and_professions_are_many():
    counts = Counter(r.role_description for r in ROLES)
    assert max(counts.values()) <= 20
    nouns = Counter(roles.role_noun(r.role_description) for r in ROLES)
    assert len(nouns) > 150 and nouns.most_common(1)[0][1] < 103  # no noun has a tenth of the roles


def test_declined_questions_are_marked_and_have_the_ai_assistant():
    marked = [r for r in ROWS if r.get("declined")]
    assert 1 <= len(marked) <= 30
    for row in ROWS:
        assert (row["role_description"] == roles.DECLINED_ROLE) == bool(row.get("declined"))


def test_the_documents_state_the_audit_and_the_nouns_as_they_are():
    text = (annotate.PACKAGED_ROLES.parents[4] / "docs" / "DATA.md").read_text(encoding="utf-8")
    audit = annotate.audit_result(annotate.PACKAGED_AUDIT)
    assert all(n == 100 and k >= 98 for k, n in audit.values())
    assert "| " + " | ".join(str(k) for k, _ in audit.values()) + " |" in text
    spoken = [r for r in ROLES if r.role_description != roles.DECLINED_ROLE]
    nouns = Counter(roles.role_noun(r.role_description) for r in spoken)
    names, counts = zip(*nouns.most_common(10))
    assert f"| {' | '.join(names)} |" in text and f"| {' | '.join(map(str, counts))} |" in text


def test_a_question_is_found_whatever_its_white_space_and_unicode_form():
    assert question_key(" Why do  cafe\u0301s\nclose? ") == question_key("Why do caf\u00e9s close?")
    assert question_key("Why do cafes close?") != question_key("Why do cafés close?")


# --- with the real LIMA ----------------------------------------------------------------------------


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    every = words(text)
    return {tuple(every[i : i + n]) for i in range(len(every) - n + 1)}


def test_whoever_has_lima_has_all_of_lima_role_in_seconds_without_key_or_network(real_data, tmp_path, capsys):
    began = time.monotonic()
    assert main(["annotate", "--out", str(tmp_path)]) == 0
    assert time.monotonic() - began < 10
    rows = [json.loads(line) for line in (tmp_path / "lima_role.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 1030
    assert {r["annotator"] for r in rows} == {annotate.PACKAGED_ANNOTATOR}
    outcomes = Counter(r["outcome"] for r in rows)
    assert outcomes == {"parsed": 1030 - outcomes["declined"], "declined": sum("declined" in r for r in ROWS)}
    for row, dialogue, role in zip(rows, dialogues("local"), ROLES, strict=True):
        assert row["messages"] == dialogue.messages()
        assert row["role"]["text"] == role.text()
    assert "1,030 dialogues" in capsys.readouterr().out


def test_the_shipped_roles_hold_nothing_of_limas_own_text(real_data):
    lima = set()
    for dialogue in dialogues("local"):
        lima |= runs(dialogue.question, 6)
    for role in ROLES:
        assert not (runs(role.question_description, 6) | runs(role.role_description, 6)) & lima


@pytest.mark.parametrize("annotator", ["packaged", "server"])
def test_the_annotator_option_decides_who_is_asked(real_data, tmp_path, annotator, capsys):
    options = ["--model", "gpt-4o", "--annotator", annotator, "--dry-run"]
    assert main(["annotate", "--out", str(tmp_path / "run"), *options]) == 0
    out = capsys.readouterr().out
    assert ("1,030 calls" in out) == (annotator == "server")
    assert ("0 calls" in out.replace("1,030", "")) == (annotator == "packaged")
    assert not (tmp_path / "run").exists()
