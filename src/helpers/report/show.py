"""HTML for notebooks: coloured tokens, answers side by side, tables. Everything is escaped; nothing loads from the web."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML, Code
from pandas.io.formats.style import Styler

from .. import roles

ROLE = "background:#fde2cf;border-radius:3px;padding:1px 2px;color:#7a3000"
TRAINED = "background:#d3ecdf;color:#00382a"
UNTRAINED = "background:#eeeeee;color:#555555"


def highlight(text: str) -> str:
    """A reply as HTML with its opening role prompt marked."""
    role, answer = roles.strip(text)
    marked = f'<span style="{ROLE}">{escape(role)}</span> ' if role else ""
    return (marked + escape(answer)).replace("\n", "<br>")


def tokens(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> HTML:
    """Every token of a training row: green ones are trained on, grey ones are only read."""
    spans = []
    for token, label in zip(ids, labels, strict=True):
        text = escape(tokenizer.decode([token])).replace("\n", "⏎<br>").replace(" ", "&nbsp;")
        spans.append(f'<span style="{TRAINED if label != -100 else UNTRAINED};margin:0 1px">{text}</span><wbr>')
    legend = (
        f'<span style="{TRAINED}">&nbsp;trained&nbsp;</span> <span style="{UNTRAINED}">&nbsp;read only&nbsp;</span>'
    )
    return HTML(f'<div style="font:13px/1.9 monospace;max-width:54em">{"".join(spans)}</div><p>{legend}</p>')


LOSSES = ((0.5, "#ffffff"), (2.0, "#e9e0ef"), (4.0, "#cdb5da"), (float("inf"), "#a983c0"))  # up to so many nats


def losses(tokenizer: Any, ids: Sequence[int], nats: dict[str, Sequence[float]]) -> HTML:
    """The same tokens once for each name in `nats`, coloured by their loss; the number stands above each token, too."""
    blocks = []
    for name, values in nats.items():
        spans = []
        for token, loss in zip(ids, values, strict=True):
            text = escape(tokenizer.decode([token])).replace("\n", "⏎").replace(" ", "&nbsp;")
            colour = next(shade for most, shade in LOSSES if loss <= most)
            style = f"background:{colour};color:#222;margin:0 1px;padding:1px 0;border-bottom:1px solid #ccc"
            spans.append(f'<ruby style="{style}">{text}<rt style="color:#444">{loss:.1f}</rt></ruby><wbr>')
        mean = sum(values) / max(1, len(values))
        blocks.append(f"<p><b>{escape(name)}</b>, mean {mean:.2f} nats</p><div>{''.join(spans)}</div>")
    bounds = ("up to 0.5", "to 2", "to 4", "more")
    keys = (
        f'<span style="background:{shade};color:#222;padding:0 5px;border:1px solid #ccc">{label}</span>'
        for (_, shade), label in zip(LOSSES, bounds)
    )
    legend = f"<p>loss of a token in nats, the small number above it: {' '.join(keys)}</p>"
    return HTML(f'<div style="font:13px/2.4 monospace;max-width:54em">{"".join(blocks)}{legend}</div>')


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
    shown = frame.reset_index(drop=not index).rename(columns={"index": ""} if index else {})
    shares = [column for column in shown if column in percent]
    right = [column in shares or pd.api.types.is_numeric_dtype(shown[column]) for column in shown]
    styles = {f".col{k}": f"text-align:{'right' if numeric else 'left'}" for k, numeric in enumerate(right)}
    styles["th, td"] = "vertical-align:top;white-space:normal"
    styles["caption"] = "caption-side:top;text-align:left;color:#555;white-space:nowrap"
    same = hashlib.sha256(f"{caption}{shown.to_csv()}".encode()).hexdigest()[:8]  # for the same table, in every run
    styler = (
        Styler(shown, uuid=same, caption=escape(caption) or None, cell_ids=False)
        .hide(axis="index")
        .format(lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_rep="–", escape="html")
        .format(lambda share: f"{100 * share:.1f}", subset=shares, na_rep="–")
        .format_index(escape="html", axis="columns")
        .set_table_styles([{"selector": selector, "props": props} for selector, props in styles.items()])
    )
    return HTML(styler.to_html(table_attributes='class="dataframe"'))


def source(function: Any) -> HTML:
    """The source of a helper, highlighted: what a lesson teaches is read from where it lives."""
    code = Code(textwrap.dedent(inspect.getsource(function)), language="python")
    where = f"helpers.{function.__module__.removeprefix('helpers.')}"
    return HTML(
        f'<div style="border-left:3px solid #888;padding-left:10px"><small>{escape(where)}</small>'
        f'<div class="output_html">{code._repr_html_()}</div></div>'
        "<style>.output_html pre { font:13px/1.25 monospace }</style>"
    )
