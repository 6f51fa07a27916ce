"""Run the code cells of a lesson in this process, in seconds and without a kernel, and read what they show."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run(lesson: str, **parameters: Any) -> tuple[str, dict[str, Any]]:
    """(everything that lesson "04" prints and shows, as text; its variables). A cell that fails raises."""
    (path,) = NOTEBOOKS.glob(f"{lesson}_*.ipynb")
    shown = io.StringIO()

    def display(value: Any) -> None:
        page = getattr(value, "data", None)
        shown.write((unescape(re.sub(r"<[^>]+>", " ", page)) if isinstance(page, str) else repr(value)) + "\n")

    space: dict[str, Any] = {"display": display}
    with contextlib.redirect_stdout(shown):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] != "code":
                continue
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, cell["id"], "exec"), space)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), space)
                if value is not None:
                    display(value)
            if "parameters" in cell["metadata"].get("tags", []):
                assert set(parameters) <= set(space), "a lesson's parameter must be known to it"
                space.update(parameters)
    return shown.getvalue(), space
