"""HTML for notebooks: coloured tokens, answers side by side, tables. Everything is escaped; nothing loads from the web."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML

from .. import roles

ROLE = "background:#fde2cf;border-radius:3px;padding:1px 2px;color:#7a3000"
TRAINED = "background:#cfe8f7;color:#00304a"
UNTRAINED = "background:#eeeeee;color:#555555"


def highlight(text: str) -> str:
    """A reply as HTML with its opening role prompt marked."""
    role, answer = roles.strip(text)
    marked = f'<span style="{ROLE}">{escape(role)}</span> ' if role else ""
    return (marked + escape(answer)).replace("\n", "<br>")


def tokens(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> HTML:
    """Every token of a training row: blue ones are trained on, grey ones are only read."""
    spans = []
    for token, label in zip(ids, labels, strict=True):
        text = escape(tokenizer.decode([token])).replace("\n", "⏎<br>").replace(" ", "&nbsp;")
        spans.append(f'<span style="{TRAINED if label != -100 else UNTRAINED};margin:0 1px">{text}</span><wbr>')
    legend = (
        f'<span style="{TRAINED}">&nbsp;trained&nbsp;</span> <span style="{UNTRAINED}">&nbsp;read only&nbsp;</span>'
    )
    return HTML(f'<div style="font:13px/1.9 monospace;max-width:54em">{"".join(spans)}</div><p>{legend}</p>')


def side_by_side(replies: dict[str, str]) -> HTML:
    """Replies of several arms in columns, role prompts marked."""
    head = "".join(f'<th style="text-align:left">{escape(arm)}</th>' for arm in replies)
    body = "".join(
        f'<td style="vertical-align:top;text-align:left;width:{100 // len(replies)}%;white-space:normal">{highlight(reply)}</td>'
        for reply in replies.values()
    )
    return HTML(f'<table style="width:100%;table-layout:fixed"><tr>{head}</tr><tr>{body}</tr></table>')


def table(frame: pd.DataFrame, caption: str = "", percent: Sequence[str] = (), index: bool = False) -> HTML:
    """A data frame as a plain table: text left, numbers right; columns in `percent` hold shares of 1, shown as 12.3."""
    shown = frame.reset_index() if index else frame
    numeric = [c in percent or pd.api.types.is_numeric_dtype(shown[c]) for c in shown]

    def row(tag: str, values: Sequence[Any]) -> str:
        cells = zip(values, numeric, strict=True)
        style = "text-align:{};vertical-align:top;white-space:normal"
        return "".join(f'<{tag} style="{style.format("right" if n else "left")}">{v}</{tag}>' for v, n in cells)

    def text(column: str, value: Any) -> str:
        if pd.isna(value):
            return "–"
        return (
            f"{100 * value:.1f}" if column in percent else escape(f"{value:g}" if type(value) is float else str(value))
        )

    head = row("th", ["" if index and c == "index" else escape(str(c)) for c in shown])
    lines = [
        row("td", [text(c, v) for c, v in zip(shown, values)]) for values in shown.itertuples(index=False, name=None)
    ]
    title = (
        f'<caption style="caption-side:top;text-align:left;color:#555;white-space:nowrap">{escape(caption)}</caption>'
        if caption
        else ""
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return HTML(f'<table class="dataframe">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def source(function: Any) -> HTML:
    """The source of a helper, highlighted: what a lesson teaches is read from where it lives."""
    import inspect
    import textwrap

    from pygments import highlight as colour
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = textwrap.dedent(inspect.getsource(function))
    where = f"helpers.{function.__module__.removeprefix('helpers.')}"
    html = colour(
        code,
        PythonLexer(),
        HtmlFormatter(
            noclasses=True, style="default", prestyles="line-height:1.35;font-family:monospace;font-size:13px"
        ),
    )
    return HTML(
        f'<div style="border-left:3px solid #0072B2;padding-left:10px"><small>{escape(where)}</small>{html}</div>'
    )
