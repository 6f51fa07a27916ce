"""The page on troubleshooting quotes what the program prints, so that a search for a message finds its remedy."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
SYMPTOMS = [row[0].strip(" `") for row in ROWS]


@cache
def printed() -> list[str]:
    """Every text in src/helpers, with … for what is filled in."""
    texts = []
    for path in (ROOT / "src" / "helpers").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = [id(node.value) for node in nodes if isinstance(node, ast.Expr)]
        for node in (n for n in nodes if id(n) not in docstrings or isinstance(n, ast.Call)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
            elif isinstance(node, ast.Call):  # a status and its message: Verdict("not solved yet", "fill in ...")
                texts.append(
                    "…".join(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
                )
    return [" ".join(text.split()) for text in texts]


def quoted(symptom: str) -> bool:
    """Whether one text of the program holds the pieces of a symptom in their order."""
    pattern = ".*".join(re.escape(" ".join(piece.split())) for piece in symptom.split("…"))
    return any(re.search(pattern, text) for text in printed())


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_symptom_is_what_the_program_prints(symptom):
    assert len(max(symptom.split("…"), key=len)) >= 12, "too short to be found by a search"
    assert quoted(symptom)


@pytest.mark.parametrize(
    "symptom",
    ["the account's quota is used down", "no room for a walk in", "could not download … with conda", "disk the"],
)
def test_a_text_that_no_line_of_the_program_holds_is_found_out(symptom):
    assert not quoted(symptom)


def test_every_symptom_has_a_cause_and_a_remedy():
    assert len(ROWS) > 20 and all(len(row) == 3 and all(map(str.strip, row)) for row in ROWS)
    assert len(set(SYMPTOMS)) == len(SYMPTOMS)
