"""Every picture of the course, in one style (style.py); the word clouds stand in clouds.py.

An arm has its colour everywhere (of Okabe and Ito's, safe for colour-blind readers), and nothing else has it.
A black diamond is a difference. Where an interval has no length, a word says why.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import stats
from ..analyse import recorder
from ..arms import COLOURS, LABELS, MARKERS
from .clouds import word_clouds as word_clouds  # a lesson finds every picture here
from .style import INK, PAGE, SHADES

PARTS = {"opening": ("role prompt", "--", "s"), "answer": ("answer", "-", "o")}  # of a reply: label, line, marker


def learning(learned: dict[str, pd.DataFrame], losses: dict[str, Sequence[float]]) -> Figure:
    """Loss on held-out dialogues by training step and part of the reply (`Run.learned`), one panel an arm.

    The grey dots are the training loss of each step: another dialogue each time, so they jump.
    """
    figure, axes = plt.subplots(1, len(learned), figsize=(PAGE, 3.7), sharey=True, squeeze=False)
    for axis, (arm, table) in zip(axes[0], learned.items()):
        steps = np.arange(1, len(losses[arm]) + 1)
        axis.plot(steps, losses[arm], ".", color="#aaaaaa", markersize=5, label="training, one step")
        means = table.groupby(["step", "part"]).nats.mean().unstack()
        for part in (p for p in PARTS if p in means):
            label, line, marker = PARTS[part]
            label = f"held out: {label}"
            axis.plot(means.index, means[part], line, marker=marker, color=COLOURS[arm],
                      label=label, linewidth=2.2, markersize=7)  # fmt: skip
        axis.set(xlabel="optimizer steps so far", title=LABELS[arm])
    axes[0][0].set(ylim=(0, None), ylabel="loss per token (nats)")
    keys = [
        Line2D([], [], color=INK, linestyle=line, marker=marker, label=f"held out: {label}")
        for label, line, marker in PARTS.values()
    ]
    keys.append(Line2D([], [], color="#aaaaaa", linestyle="", marker=".", label="training, one step"))
    figure.legend(handles=keys, loc="outside upper center", ncols=3, fontsize=10.5)
    return figure


def dropout_ramp(ramp: Sequence[float]) -> Figure:
    """Attention dropout by layer."""
    figure, axis = plt.subplots(figsize=(PAGE, 3.0))
    layers = np.arange(1, len(ramp) + 1)
    axis.bar(layers, ramp, color=SHADES[1], width=0.75)
    for end in dict.fromkeys((0, len(ramp) - 1)):
        axis.text(layers[end], ramp[end], f"{ramp[end]:g}", ha="center", va="bottom")
    axis.set(
        xlabel="layer",
        ylabel="dropout probability p",
        ylim=(0, 1.15 * max(ramp) or 1),
        title="Attention dropout rises linearly over the layers",
    )
    return figure


def moved_weights(moved: dict[str, dict[str, float]], arrived: dict[str, dict[str, float]]) -> Figure:
    """One optimizer step by learning rate (outer keys) and by how the weights are kept: left the share of weights that
    changed, right how much of float32's update they kept."""
    names = {"fp32": "float32", "bf16-sr": "bfloat16, rounded at random", "bf16": "bfloat16, rounded to the nearest"}
    colours = dict(zip(names, SHADES))
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 3.5), sharey=True)
    titles = ("weights that changed (%)", "intended update kept (%)")
    for axis, shares, title in zip(axes, (moved, arrived), titles):
        for k, (precision, label) in enumerate(names.items()):
            y = np.arange(len(shares)) + (k - 1) * 0.26
            values = [100 * share[precision] for share in shares.values()]
            axis.barh(y, values, height=0.23, color=colours[precision], label=label)
            for value, height in zip(values, y):
                axis.text(max(value, 0) + 1.5, height, f"{value:.0f}", va="center", fontsize=10)
        axis.set_yticks(np.arange(len(shares)), [name.replace("lr ", "learning rate\n") for name in shares])
        axis.set(xlabel=title, xlim=(0, 124))
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=1, fontsize=10)
    return figure


def benchmark_scores(scores: pd.DataFrame) -> Figure:
    """Accuracy by benchmark and arm with 95 % intervals; a tick marks random guessing."""
    names = list(dict.fromkeys(scores.benchmark))
    arms = [a for a in COLOURS if a in set(scores.arm)]
    figure, axis = plt.subplots(figsize=(PAGE, 1.3 + 0.52 * len(names)))
    means = stats.over_seeds(scores)
    y = np.arange(len(names))[::-1]
    for k, arm in enumerate(arms):
        part, row = means.loc[[(arm, name) for name in names]], y - (k - (len(arms) - 1) / 2) * 0.22
        axis.hlines(row, 100 * part.low, 100 * part.high, color=COLOURS[arm], linewidth=2.2, alpha=0.55)
        axis.plot(100 * part.accuracy, row, MARKERS[arm], color=COLOURS[arm], markersize=6.5, label=LABELS[arm])
    by_name = scores.groupby("benchmark", sort=False)
    chance, n = by_name.random.mean().loc[names], by_name.n.first().loc[names]
    axis.vlines(100 * chance, y - 0.4, y + 0.4, color=INK, linestyle=":", label="random guessing")
    axis.set_yticks(y, [f"{name.replace('_', ' ')}\nn = {count}" for name, count in n.items()], linespacing=0.95)
    axis.set(xlabel="accuracy (%), 95 % interval", xlim=(-3, 103), ylim=(-0.6, len(names) - 0.4))
    axis.grid(axis="y", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


FOUND = "#AA4499"  # a study whose interval leaves out zero


def repetitions(studies: pd.DataFrame, gain: float) -> Figure:
    """Repeated studies from `readings.repeat`, sorted, a panel for each number of questions; purple ones leave out 0."""
    sizes = sorted(studies.n.unique())
    figure, axes = plt.subplots(1, len(sizes), figsize=(PAGE, 3.6), sharex=True, sharey=True, squeeze=False)
    for axis, n in zip(axes[0], sizes):
        part = studies[studies.n == n].sort_values("difference", kind="stable")
        y = np.arange(len(part))
        colours = np.where((part.low > 0) | (part.high < 0), FOUND, SHADES[2])
        axis.hlines(y, 100 * part.low, 100 * part.high, color=colours, linewidth=1.1)
        axis.scatter(100 * part.difference, y, color="white", edgecolor=INK, linewidth=0.4, s=5, zorder=3)
        axis.axvline(0, color=INK, linewidth=1)
        axis.axvline(100 * gain, color=INK, linestyle=":", linewidth=1.4)
        axis.set(title=f"{n:,} questions", xlabel="points", yticks=[])
    axes[0][0].set_ylabel(f"{len(part)} studies of the same truth")
    keys = [Line2D([], [], color=FOUND, label="95 % interval leaves out 0"), Line2D([], [], color=SHADES[2], label="holds 0"),
            Line2D([], [], color=INK, linestyle=":", label=f"true gain: {100 * gain:g} points")]  # fmt: skip
    figure.legend(handles=keys, loc="outside upper center", ncols=3, fontsize=10)
    return figure


def domains(
    table: pd.DataFrame, first: str = "lima", second: str = "role", always: tuple[str, pd.Series] | None = None
) -> Figure:
    """The paper's Figure 3 from `domains.table`: accuracy of two arms with intervals; right, the paired difference.

    `always` (`domains.favourite`): a letter, and what always naming it would score in each domain; a cross.
    """
    y = np.arange(len(table))[::-1]
    figure, (left, right) = _panels(1.6 + 0.42 * len(table), (1.2, 1))
    for offset, arm in ((0.16, first), (-0.16, second)):
        low, high = table[f"{arm}_low"], table[f"{arm}_high"]
        left.hlines(y + offset, 100 * low, 100 * high, color=COLOURS[arm], linewidth=2.2, alpha=0.55)
        left.plot(100 * table[arm], y + offset, MARKERS[arm], color=COLOURS[arm], label=LABELS[arm], markersize=6.5)
    left.axvline(25, color=INK, linestyle=":", linewidth=1.4, label="guessing")
    if always:
        letter, share = always
        left.plot(
            100 * share.reindex(table.index), y, "x", color=INK, label=f"always “{letter}”", markersize=7, zorder=4
        )
    labels = [f"{name.replace('_', ' ')}\nn = {n}" for name, n in zip(table.index, table.n)]
    left.set_yticks(y, labels, linespacing=0.95)
    left.set(xlabel="accuracy (%)", xlim=(-3, 103), ylim=(-0.6, len(table) - 0.4), title="Accuracy")
    right.axvline(0, color=INK, linewidth=1)
    right.hlines(y, 100 * table.low, 100 * table.high, color=INK, linewidth=2.2, alpha=0.45)
    right.plot(100 * table.difference, y, "D", color=INK, markersize=6)
    right.set(xlabel="points, 95 % interval", title=f"{LABELS[second]} − {LABELS[first]}")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=2 if always else 3, fontsize=10.5
    )
    return figure


def noun_bars(counts: dict[str, Counter], room: int = 50) -> Figure:
    """How often each noun was given, a block for each group: a bar is as long as the number beside it.

    Nouns with one count share a bar, by the alphabet, so that ties have no rank. `room`: letters beside a bar.
    """
    lines: list[tuple[str, int, str]] = []  # (label, length, text)
    for group, counter in counts.items():
        lines.append((f"{group.replace('_', ' ')}: {counter.total()} roles", 0, "" if counter else "no role found"))
        for count in sorted(set(counter.values()), reverse=True):
            lines.append((f"{count} ×", count, _listed(sorted(n for n in counter if counter[n] == count), room)))
    figure, axis = plt.subplots(figsize=(PAGE, 0.8 + 0.25 * len(lines)))
    y, longest = np.arange(len(lines)), max((count for _, count, _ in lines), default=0) or 1
    axis.barh(y, [count for _, count, _ in lines], color=SHADES[1], height=0.66)
    for row, (_, count, text) in zip(y, lines):
        axis.text(count + 0.02 * longest, row, text, va="center", fontsize=10)
    axis.set_yticks(y, [label for label, _, _ in lines], fontsize=10)
    for label, (_, count, _) in zip(axis.get_yticklabels(), lines):
        label.set_fontweight("normal" if count else "bold")
    ticks = [tick for tick in range(0, longest + 1, max(1, longest // 4))]
    axis.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, 2.6 * longest), xticks=ticks)
    axis.set_xlabel("times that a noun was given", loc="left")
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False)
    return figure


def _listed(nouns: Sequence[str], room: int) -> str:
    """Nouns up to `room` letters, a long one cut, and how many more there are."""
    nouns = [noun if len(noun) <= 24 else f"{noun[:23]}…" for noun in nouns]
    shown = max((k for k in range(1, len(nouns) + 1) if len(", ".join(nouns[:k])) <= room), default=1)
    more = len(nouns) - shown
    return ", ".join(nouns[:shown]) + (f" + {more} more" if more else "")


# Table 3's columns: name, fill, marker
GROUPS = {"multi": ("multi-domain", INK, "o"), "single": ("single-domain", "white", "s")}


def diversity(table: pd.DataFrame) -> Figure:
    """Role diversity of each benchmark from `nouns.diversity`, the most diverse on top; right, its gain with interval.

    Did diversity go with gain, the right panel would lean the way the left one does.
    """
    y = np.arange(len(table))[::-1]
    fills = [fill for kind in table.kind for name, fill, _ in GROUPS.values() if name == kind]
    figure, (left, right) = _panels(1.6 + 0.42 * len(table), (1, 1.2))
    size = int(table.roles.min()) if len(table) else 0
    left.scatter(table["nouns at equal n"], y, c=fills, edgecolors=INK, s=55, zorder=3)
    left.set_yticks(y, [f"{name.replace('_', ' ')}\n{n} roles" for name, n in zip(table.benchmark, table.roles)])
    left.set(xlabel=f"different nouns\namong {size} roles", title="Diversity", ylim=(-0.6, len(table) - 0.4))
    right.axvline(0, color=INK, linewidth=1)
    right.hlines(y, table.low, table.high, colors=INK, linewidth=2.2, alpha=0.45)
    right.scatter(table.gain, y, c=fills, edgecolors=INK, s=45, marker="D", zorder=3)
    right.set(xlabel="LIMA-Role − LIMA\n(points, 95 % interval)", title="Gain")
    for kind, fill, _ in GROUPS.values():
        left.plot([], [], "o", color=INK, markerfacecolor=fill, label=kind)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


def table3(table: pd.DataFrame) -> Figure:
    """The paper's Table 3 from `designs.table`, each column on its own scale, with intervals over its questions."""
    printed = table.dropna(subset=["paper_multi", "paper_single"])
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 1.3 + 0.42 * len(printed)), sharey=True)
    for axis, (group, (label, _, _)) in zip(axes, GROUPS.items()):
        axis.axvline(100 * printed[f"paper_{group}"].iloc[0], color=INK, linestyle=":", linewidth=1.4, label="design 0")
        _average(axis, printed, "paper_", group)
        axis.set(xlabel="accuracy (%)", title=label)
    _design_rows(axes[0], printed)
    keys = [
        Line2D([], [], color=INK, linestyle=":", label="design 0"),
        Line2D([], [], color=INK, linewidth=2.4, alpha=0.5, label="95 % interval"),
    ]
    figure.legend(handles=keys, loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


def designs(table: pd.DataFrame) -> Figure:
    """The designs that ran, from `designs.table`: the paper's averages, ours on the same scale, and our well-formed role prompts."""
    table = table[table.n > 0]
    figure, axes = plt.subplots(1, 3, figsize=(PAGE, 1.9 + 0.46 * len(table)), sharey=True, width_ratios=(1, 1, 0.9))
    for axis, whose, title in ((axes[0], "paper_", "The paper"), (axes[1], "", "Ours")):
        for group, offset in (("multi", 0.15), ("single", -0.15)):
            _average(axis, table, whose, group, offset)
        axis.set(xlabel="accuracy (%)", xlim=(-4, 104), xticks=(0, 50, 100), title=title)
    y = np.arange(len(table))[::-1]
    axes[2].hlines(y, 100 * table.formed_low, 100 * table.formed_high, color=INK, linewidth=2.4, alpha=0.5)
    axes[2].plot(100 * table.formed, y, "D", color=INK, markersize=6)
    axes[2].set(xlabel="of replies (%)", xlim=(-4, 104), xticks=(0, 50, 100), title="Ours: form")
    _design_rows(axes[0], table)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


def _average(axis, table: pd.DataFrame, whose: str, group: str, offset: float = 0.0) -> None:
    label, fill, marker = GROUPS[group]
    middle, low, high = (100 * table[f"{whose}{group}{end}"] for end in ("", "_low", "_high"))
    y = np.arange(len(table))[::-1] + offset
    axis.hlines(y, low, high, color=INK, linewidth=2.4, alpha=0.5)
    axis.plot(middle, y, marker, color=INK, markerfacecolor=fill, markersize=6, label=label)


def _design_rows(axis, table: pd.DataFrame) -> None:
    """Name the rows by number and wording: "8 · From now on, I / will think like …"."""
    labels = []
    for design, wording in table.wording.items():
        words = wording.replace("{q}", "").replace(" {r}", "\N{NO-BREAK SPACE}…").strip().removesuffix(".")
        short = {"0": "no role prompt", "1": "the question only"}.get(design, words)
        labels.append("\n".join(textwrap.wrap(f"{design} · {short}" if design.isdigit() else f"own · {short}", 24)))
    axis.set_yticks(np.arange(len(table))[::-1], labels, fontsize=10, linespacing=0.95)
    axis.set_ylim(-0.6, len(table) - 0.4)


def judge_bars(table: pd.DataFrame, a: str = "lima", b: str = "role", paper: pd.Series | None = None) -> Figure:
    """The paper's Figure 5 from `judge.orders`: wins, ties and losses in each order and in both; right, the net win.

    `paper`: its net win with interval (net, low, high; shares), drawn below ours.
    """
    net = table if paper is None else pd.concat([table, paper.to_frame().T])
    y = np.arange(len(net))[::-1]
    figure, (left, right) = _panels(1.7 + 0.48 * len(net), (1.35, 1))
    begin, most = np.zeros(len(table)), max(table.n.max(), 1)
    colours = {"b": COLOURS[b], "tie": SHADES[2], "a": COLOURS[a]}
    labels = {"b": f"{LABELS[b]} wins", "tie": "tie", "a": f"{LABELS[a]} wins"}
    for what, colour in colours.items():
        left.barh(y[: len(table)], table[what], left=begin, height=0.62, color=colour, label=labels[what])
        for row, start, count in zip(y, begin, table[what]):
            if count >= 0.06 * most:
                ink = "white" if what == "a" else "black"  # on orange, white is too pale
                left.text(start + count / 2, row, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=10.5)
        begin = begin + table[what].to_numpy(dtype=float)
    left.set_yticks(y, [f"{name}\nn = {n:.0f}" for name, n in zip(net.index, net.n)], linespacing=0.95)
    left.set(xlabel="questions", xlim=(0, most), ylim=(-0.6, len(net) - 0.4), title="Verdicts")
    left.grid(axis="y", visible=False)
    if paper is not None:
        left.text(most / 2, 0, "the text gives no number", ha="center", va="center", color="#666666", fontsize=10)
    right.axvline(0, color=INK, linewidth=1)
    right.hlines(y, 100 * net.low, 100 * net.high, color=INK, linewidth=2.2, alpha=0.45)
    right.plot(100 * table.net, y[: len(table)], "D", color=INK, markersize=6)
    if paper is not None:
        right.plot(100 * paper.net, 0, "D", color=INK, markerfacecolor="white", markersize=6)
    right.set(xlabel="points, 95 % interval", title="Net win")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=10.5)
    return figure


def learning_curve(table: pd.DataFrame, chance: float) -> Figure:
    """After so many dialogues (`experiments.curve_table`): the share of well-formed role prompts and of right answers (shares of 1)."""
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 3.1), sharey=True)
    x = np.arange(len(table))
    for axis, (name, title) in zip(axes, (("role", "Well-formed role prompts"), ("right", "Right answers"))):
        axis.vlines(
            x, 100 * table[f"{name}_low"], 100 * table[f"{name}_high"], color=COLOURS["role"], linewidth=2.4, alpha=0.5
        )
        axis.plot(x, 100 * table[name], f"{MARKERS['role']}-", color=COLOURS["role"], markersize=7, linewidth=1.2)
        axis.set_xticks(x, table.dialogues)
        axis.set(xlabel="dialogues trained on", ylim=(-4, 104), title=title)
    axes[0].set_ylabel("of replies (%)")
    axes[1].axhline(100 * chance, color=INK, linestyle=":", linewidth=1.2)
    axes[1].text(len(table) - 1, 100, "dotted: random guessing", fontsize=10, ha="right", va="top")
    return figure


# Models of lesson 08, none of them an arm; the one that writes a role prompt is as orange as LIMA-Role
OPENINGS = dict(zip(recorder.ARMS, zip((INK, COLOURS["role"], "#AA4499", "#A67C00", "#009E73"), "s^vDo")))


def recorder_arms(table: pd.DataFrame, here: Sequence[str] = ()) -> Figure:
    """Right answers by the number of people in a problem, from `recorder.table`: one line an arm, with intervals.

    `here`: arms that this run has trained; the others have hollow markers. The last number was not trained on.
    """
    figure, axis = plt.subplots(figsize=(PAGE, 3.9))
    people = sorted(set(table.people))
    arms = list(dict.fromkeys(table.arm))
    for k, arm in enumerate(arms):
        part = table[table.arm == arm].set_index("people").reindex(people)
        x = np.arange(len(people)) + ((len(arms) - 1) / 2 - k) * -0.13
        colour, marker = OPENINGS[arm]
        fill = colour if arm in here else "white"
        axis.vlines(x, 100 * part.low, 100 * part.high, color=colour, linewidth=2.2, alpha=0.5)
        label = arm if arm in here or not here else f"{arm} (reference)"
        axis.plot(x, 100 * part.share, marker, color=colour, markerfacecolor=fill, markersize=7, label=label)
    axis.axhline(50, color=INK, linestyle=":", linewidth=1.2, label="guessing")
    axis.axvspan(len(people) - 1.5, len(people) - 0.5, color="#f1f1f1", zorder=0)
    labels = [f"{n} people" for n in people]
    axis.set_xticks(np.arange(len(people)), [*labels[:-1], f"{labels[-1]}\n(longer than trained)"])
    axis.set(ylim=(-4, 104), xlim=(-0.5, len(people) - 0.5), ylabel="right answers (%)")
    axis.grid(axis="x", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=10.5)
    return figure


def nats(differences: pd.DataFrame) -> Figure:
    """Paired differences in nats per token, from `likelihood.differences`, with intervals; right of 0: own is likelier."""
    y = np.arange(len(differences))[::-1]
    figure, axis = plt.subplots(figsize=(PAGE, 1.4 + 0.42 * len(differences)))
    axis.axvline(0, color=INK, linewidth=1)
    axis.hlines(y, differences.low, differences.high, color=INK, linewidth=2.4, alpha=0.45)
    axis.plot(differences.nats, y, "D", color=INK, markersize=6)
    axis.set_yticks(y, differences.difference)
    axis.set_title("← likelier after the other", fontsize=10.5, fontweight="normal")
    axis.set_title("likelier after its own role prompt →", fontsize=10.5, fontweight="normal", loc="right")
    axis.set(xlabel="difference in nats per token, 95 % interval", ylim=(-0.6, len(differences) - 0.4))
    return figure


def share_rows(table: pd.DataFrame, by: str, panel: str) -> Figure:
    """Shares with intervals, one row for each value of column `by`, one panel for each of column `panel`.

    `table`: k, n, share, low, high (shares of 1). A row of which nothing was judged says so.
    """
    rows, panels = list(dict.fromkeys(table[by])), list(dict.fromkeys(table[panel]))
    figure, axes = plt.subplots(1, len(panels), figsize=(PAGE, 1.5 + 0.36 * len(rows)), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], panels):
        part = table[table[panel] == name].set_index(by).reindex(rows)
        for y, line in zip(np.arange(len(rows))[::-1], part.itertuples()):
            if not line.n > 0:
                axis.text(50, y, "not judged", ha="center", va="center", color="#666666", fontsize=10)
                continue
            axis.hlines(y, 100 * line.low, 100 * line.high, color=COLOURS["role"], linewidth=2.4, alpha=0.5)
            axis.plot(100 * line.share, y, MARKERS["role"], color=COLOURS["role"], markersize=7)
        axis.set(xlim=(-4, 104), xticks=(0, 50, 100), title=name, xlabel="of replies (%)")
    axes[0][0].set_yticks(np.arange(len(rows))[::-1], rows)
    axes[0][0].set_ylim(-0.6, len(rows) - 0.4)
    return figure


def fidelity(table: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Mean of -1/0/+1 by kind of question and arm (`fidelity.fidelity_table`), with intervals. `names`: kind -> its name."""
    figure, axis = plt.subplots(figsize=(PAGE, 1.6 + 0.6 * len(names)))
    arms = list(dict.fromkeys(table.arm))
    for k, arm in enumerate(arms):
        part = table[table.arm == arm].set_index("kind").reindex(names)
        y = np.arange(len(names))[::-1] + ((len(arms) - 1) / 2 - k) * 0.22
        axis.hlines(y, part.low, part.high, color=COLOURS[arm], linewidth=2.4, alpha=0.5)
        axis.plot(part["mean"], y, MARKERS[arm], color=COLOURS[arm], markersize=7, label=LABELS[arm])
        for row, line in zip(y, part.itertuples()):
            if line.low == line.high:  # a bootstrap of equal scores has no width; that is not certainty
                axis.text(line.mean + 0.05, row, f"all {line.n:.0f} alike, no interval", va="center", fontsize=10)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(np.arange(len(names))[::-1], names.values())
    axis.set(
        xlim=(-1.08, 1.08), ylim=(-0.6, len(names) - 0.4), xlabel="mean score, 95 % interval", title="Role fidelity"
    )
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "+0.5", "+1"])
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=len(arms), fontsize=10.5)
    return figure


def _panels(height: float, widths: tuple[float, float]):
    """A figure of two panels of these relative widths, with the same rows."""
    return plt.subplots(1, 2, figsize=(PAGE, height), sharey=True, width_ratios=widths)
