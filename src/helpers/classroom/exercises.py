"""The exercises of one notebook, run without the rest of it.

An exercise is a check of `helpers.checks`: the notebook calls `checks.lesson_02.labels(my_labels)`, so a cell that makes
`my_labels` is an attempt at it, wherever the cell stands and whatever its tags are. `verdict` runs the notebook's imports
and definitions, then each attempt in turn, and asks the check after each: the best verdict counts. So it does not matter
how often a cell was duplicated, or in which order its copies stand.

As a program (`python -m helpers.classroom.exercises`) it is the process in which `progress` runs a student's code.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from .. import checks
from ..checks import Verdict

CALL = re.compile(r"\blesson_(\d\d)\.(\w+)$")
HINT = " (here only imports, definitions and the exercise are run, not the lesson)"
RANK = ("not found", "not solved yet", "not quite", "solved")


def sources(notebook: dict[str, Any]) -> list[str]:
    """The code cells of a notebook as plain Python: `%magics` and `!commands` become calls that can fail alone."""
    from IPython.core.inputtransformer2 import TransformerManager

    plain = []
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            source = "".join(cell.get("source", ""))
            try:
                plain.append(TransformerManager().transform_cell(source))
            except SyntaxError:
                plain.append(source)
    return plain


def calls(cells: list[str]) -> dict[str, list[str]]:
    """{"02.labels": ["my_labels"]}: the checks that cells (of `sources`) call, each with its different arguments."""
    found: dict[str, list[str]] = {}
    for source in cells:
        for node in ast.walk(_parsed(source) or ast.Module([], [])):
            match = CALL.search(ast.unparse(node.func)) if isinstance(node, ast.Call) else None
            if match:
                arguments = ", ".join(map(ast.unparse, [*node.args, *(k.value for k in node.keywords)]))
                known = found.setdefault(f"{match[1]}.{match[2]}", [])
                known += [arguments] if arguments not in known else []
    return found


def of_lesson(number: str) -> dict[str, Callable[..., Verdict]]:
    """{"02.labels": its check}: the exercises of a lesson in this edition of the course; {} for an unknown number."""
    module = getattr(checks, f"lesson_{number}", None)
    functions = {name: f for name, f in vars(module).items() if isinstance(f, FunctionType)} if module else {}
    return {f"{number}.{name}": f for name, f in functions.items() if hasattr(f, "__wrapped__")}


def verdict(cells: list[str], check: Callable[..., Verdict], calls: list[str]) -> tuple[str, str]:
    """(status, message) of the best attempt in `cells` (of `sources`); `calls`: the arguments to try, as source."""
    best = ("not found", f"no cell makes {' or '.join(calls)}" if calls else "no cell calls this check")
    for arguments in calls:
        names = _names(ast.parse(arguments))
        attempts = {i for i, source in enumerate(cells) if names & _bound(source)}
        space: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
        for i, source in enumerate(cells):
            if i not in attempts:
                _run([s for s in _statements(source) if _defines(s)], space)
        for i in sorted(attempts):
            best = max(_asked(cells[i], check, arguments, names, space), best, key=rank)  # of equals the later one
            if best[0] == "solved":
                return best
    return best


def rank(found: tuple[str, str]) -> int:
    return RANK.index(found[0])


def _asked(
    source: str, check: Callable[..., Verdict], arguments: str, names: set[str], space: dict[str, Any]
) -> tuple[str, str]:
    """Run one attempt, and the check on what it made."""
    before = {name: space.get(name) for name in names}
    try:
        error = _run(_statements(source, strict=True), space)
        if error and all(space.get(name) is before[name] for name in names):
            raise error
        if not names <= set(space):  # another attempt makes the rest
            return "not found", f"no cell makes {' and '.join(sorted(names - set(space)))}"
        found = check(*eval(f"({arguments},)", space))
        status, message = found.status, found.message
    except BaseException as error:  # a SyntaxError of the cell, or a SystemExit inside the student's function
        status, message = "not quite", f"your code stopped with {type(error).__name__}: {error}"
    return status, message + (HINT if "NameError" in message else "")


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # ValueError: a null byte
        return None


def _statements(source: str, strict: bool = False) -> list[ast.stmt]:
    """The statements of a cell, an import of several names as several: of another edition one of them may be gone."""
    tree = ast.parse(source) if strict else _parsed(source) or ast.Module([], [])
    single = []
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            one = [ast.ImportFrom(statement.module, [name], statement.level) for name in statement.names]
            single += [ast.copy_location(part, statement) for part in one]
        else:
            single.append(statement)
    return single


def _run(statements: list[ast.stmt], space: dict[str, Any]) -> BaseException | None:
    """Run what can be run; the first error. A line that needs the rest of the lesson fails alone."""
    first = None
    for statement in statements:
        try:
            exec(compile(ast.Module([statement], []), "your code", "exec"), space)
        except BaseException as error:
            first = first or error
    return first


def _defines(statement: ast.stmt) -> bool:
    """Whether a statement only makes names: an import, a function, a class, a constant."""
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
        try:
            ast.literal_eval(statement.value)
            return True
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return isinstance(statement.value, ast.Lambda)
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _bound(source: str) -> set[str]:
    """The names that a cell makes; of a cell that Python cannot read, those that stand where they are made."""
    tree = _parsed(source)
    if tree is None:
        return set(re.findall(r"^\s*(?:def\s+)?(\w+)\s*[=(]", source, re.MULTILINE))
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imported = [node.names for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return bound | {(alias.asname or alias.name).split(".")[0] for names in imported for alias in names}


def _answer(task: dict[str, Any]) -> Iterator[dict[str, str]]:
    """An empty record once the notebook's imports are done, then one for each check of the task."""
    for source in task["cells"]:
        _run([s for s in _statements(source) if isinstance(s, ast.Import | ast.ImportFrom)], {})
    yield {}
    for name, arguments in task["checks"].items():
        status, message = verdict(task["cells"], of_lesson(name[:2])[name], arguments)
        yield {"check": name, "status": status, "message": message}


if __name__ == "__main__":
    task = json.loads(sys.stdin.buffer.read())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the student's code prints is not an answer
    os.chdir(task["folder"])  # that of the notebook, as in a kernel
    sys.path.insert(0, os.getcwd())
    for answer in _answer(task):
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # a thread that the student's code left running holds nobody up
