"""Every picture of the course, in one style (style.py); the word clouds stand in clouds.py.

Colours are Okabe and Ito's (safe for colour-blind readers) and an arm has the same one everywhere.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import stats
from ..analyse import recorder
from ..arms import COLOURS, LABELS
from .clouds import most_frequent
from .clouds import word_clouds as word_clouds  # a lesson finds every picture here
from .style import INK, PAGE, grid

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
            axis.plot(means.index, means[part], line, marker=marker, color=COLOURS["role" if part == "opening" else "lima"],
                      label=label, linewidth=2.2, markersize=7)  # fmt: skip
        axis.set(xlabel="optimizer steps so far", title=LABELS[arm])
    axes[0][0].set(ylim=(0, None), ylabel="loss per token (nats)")
    figure.legend(*axes[0][-1].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=10.5)
    return figure


def dropout_ramp(ramp: Sequence[float]) -> Figure:
    """Attention dropout by layer."""
    figure, axis = plt.subplots(figsize=(PAGE, 2.6))
    axis.bar(np.arange(1, len(ramp) + 1), ramp, color=COLOURS["lima"], width=0.75)
    axis.set(xlabel="layer", ylabel="dropout p", title="Attention dropout rises linearly over the layers")
    return figure


def moved_weights(moved: dict[str, dict[str, float]], arrived: dict[str, dict[str, float]]) -> Figure:
    """One optimizer step by learning rate (outer keys) and by how the weights are kept: left the share of weights that
    changed, right how much of float32's update they kept."""
    names = {"fp32": "float32", "bf16-sr": "bfloat16, rounded at random", "bf16": "bfloat16, rounded to the nearest"}
    colours = dict(zip(names, (COLOURS["lima"], "#009E73", COLOURS["role"])))
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 3.5), sharey=True)
    titles = ("weights that changed (%)", "intended update kept (%)")
    for axis, shares, title in zip(axes, (moved, arrived), titles):
        for k, (precision, label) in enumerate(names.items()):
            y = np.arange(len(shares)) + (k - 1) * 0.26
            values = [100 * share[precision] for share in shares.values()]
            axis.barh(y, values, height=0.23, color=colours[precision], label=label)
            for value, height in zip(values, y):
                axis.text(max(value, 0) + 1.5, height, f"{value:.0f}", va="center", fontsize=10)
        axis.set_yticks(np.arange(len(shares)), list(shares))
        axis.set(xlabel=title, xlim=(0, 124))
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=1, fontsize=10)
    return figure


def benchmark_scores(scores: pd.DataFrame) -> Figure:
    """Accuracy by benchmark and arm with 95 % intervals; a tick marks random guessing."""
    names = list(dict.fromkeys(scores.benchmark))
    arms = [a for a in COLOURS if a in set(scores.arm)]
    figure, axis = plt.subplots(figsize=(PAGE, 4.6))
    means = stats.over_seeds(scores)
    for k, arm in enumerate(arms):
        part = means.loc[[(arm, name) for name in names]]
        x = np.arange(len(names)) + (k - (len(arms) - 1) / 2) * 0.22
        _errorbar(axis, x, part.accuracy, part.low, part.high, arm)
    chance = scores.groupby("benchmark", sort=False).random.mean().loc[names]
    x = np.arange(len(names))
    axis.hlines(100 * chance, x - 0.4, x + 0.4, color=INK, linestyle=":", label="random guessing")
    n = scores.groupby("benchmark", sort=False).n.first().loc[names]
    labels = [f"{m.replace('_', ' ')} (n={c})" for m, c in n.items()]
    axis.set_xticks(x, labels, fontsize=10, rotation=40, ha="right", rotation_mode="anchor")
    axis.set(ylabel="accuracy (%)", ylim=(-2, 102), title="Eight benchmarks, 95 % intervals")
    axis.grid(axis="x", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=10)
    return figure


def repetitions(studies: pd.DataFrame, gain: float) -> Figure:
    """Repeated studies from `readings.repeat`, sorted, a panel for each number of questions; orange ones leave out 0."""
    sizes = sorted(studies.n.unique())
    figure, axes = plt.subplots(1, len(sizes), figsize=(PAGE, 3.2), sharex=True, sharey=True, squeeze=False)
    for axis, n in zip(axes[0], sizes):
        part = studies[studies.n == n].sort_values("difference", kind="stable")
        y = np.arange(len(part))
        colours = np.where((part.low > 0) | (part.high < 0), COLOURS["role"], "#999999")
        axis.hlines(y, 100 * part.low, 100 * part.high, color=colours, linewidth=1.1)
        axis.scatter(100 * part.difference, y, color=INK, s=4, zorder=3)
        axis.axvline(0, color=INK, linewidth=1)
        axis.axvline(100 * gain, color=INK, linestyle=":", linewidth=1.4)
        axis.set(title=f"{n:,} questions", xlabel="points", yticks=[])
    axes[0][0].set_ylabel(f"{len(part)} studies of the same truth")
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
        left.plot(100 * table[arm], y + offset, "o", color=COLOURS[arm], label=LABELS[arm], markersize=6.5)
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
    right.set(xlabel="points", title=f"{LABELS[second]} − {LABELS[first]}")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=2 if always else 3, fontsize=10.5
    )
    return figure


def noun_bars(counts: dict[str, Counter], top: int = 5) -> Figure:
    """The most frequent nouns of each group, as shares of its roles on one scale, with the counts behind them."""
    figure, axes = grid(len(counts), height=0.35 + 0.26 * top)
    shares = [max(counter.values()) / counter.total() for counter in counts.values() if counter]
    for axis, (group, counter) in zip(axes, counts.items()):
        first = most_frequent(counter, longest=17)[:top]
        for row, (_, count) in enumerate(first):
            axis.barh(row, count / counter.total(), color=COLOURS["role"], height=0.72)
            axis.text(count / counter.total(), row, f" {count}", va="center", fontsize=10)
        axis.set_yticks(range(len(first)), [noun for noun, _ in first], fontsize=10)
        if (
            more := sum(k == first[-1][1] for k in counter.values()) - sum(k == first[-1][1] for _, k in first)
            if first
            else 0
        ):
            axis.text(1, 0.02, f"+ {more} more with {first[-1][1]}", transform=axis.transAxes, ha="right", fontsize=9)
        axis.set(ylim=(top - 0.4, -0.6), xlim=(0, 1.18 * max(shares, default=1)), xticks=[])
        axis.set_title(f"{group} · {counter.total()} roles", fontsize=11, loc="right")  # to the left there is room
        axis.spines["bottom"].set_visible(False)
        axis.grid(visible=False)
    return figure


def diversity(table: pd.DataFrame) -> Figure:
    """Role diversity of each benchmark from `nouns.diversity`, the most diverse on top; right, its gain with interval.

    Did diversity go with gain, the right panel would lean the way the left one does.
    """
    y = np.arange(len(table))[::-1]
    colours = [COLOURS["lima"] if kind == "multi-domain" else COLOURS["role"] for kind in table.kind]
    figure, (left, right) = _panels(1.6 + 0.42 * len(table), (1, 1.2))
    size = int(table.roles.min()) if len(table) else 0
    left.scatter(table["nouns at equal n"], y, c=colours, s=55, zorder=3)
    left.set_yticks(y, [f"{name.replace('_', ' ')}\n{n} roles" for name, n in zip(table.benchmark, table.roles)])
    left.set(xlabel=f"different nouns\namong {size} roles", title="Diversity", ylim=(-0.6, len(table) - 0.4))
    right.axvline(0, color=INK, linewidth=1)
    right.hlines(y, table.low, table.high, colors=colours, linewidth=2.2, alpha=0.5)
    right.scatter(table.gain, y, c=colours, s=45, marker="D", zorder=3)
    right.set(xlabel="LIMA-Role − LIMA (points)", title="Gain")
    for kind, colour in (("multi-domain", COLOURS["lima"]), ("single-domain", COLOURS["role"])):
        left.plot([], [], "o", color=colour, label=kind)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


GROUPS = {"multi": ("multi-domain", "#009E73", "o"), "single": ("single-domain", "#AA4499", "s")}  # Table 3's columns


def table3(table: pd.DataFrame) -> Figure:
    """The paper's Table 3 from `designs.table`, each column on its own scale, with intervals over its questions."""
    printed = table.dropna(subset=["paper_multi", "paper_single"])
    figure, axes = plt.subplots(1, 2, figsize=(PAGE, 1.3 + 0.42 * len(printed)), sharey=True)
    for axis, (group, (label, _, _)) in zip(axes, GROUPS.items()):
        axis.axvline(100 * printed[f"paper_{group}"].iloc[0], color=INK, linestyle=":", linewidth=1.4)
        _average(axis, printed, "paper_", group)
        axis.set(xlabel="accuracy (%)", title=label)
    _design_rows(axes[0], printed)
    return figure


def designs(table: pd.DataFrame) -> Figure:
    """By prompt design, from `designs.table`: the paper's averages, ours on the same scale, and our well-formed role prompts."""
    figure, axes = plt.subplots(1, 3, figsize=(PAGE, 1.9 + 0.46 * len(table)), sharey=True, width_ratios=(1, 1, 0.9))
    for axis, whose, title in ((axes[0], "paper_", "Paper"), (axes[1], "", "Ours")):
        for group, offset in (("multi", 0.15), ("single", -0.15)):
            _average(axis, table, whose, group, offset)
        axis.set(xlabel="accuracy (%)", xlim=(-4, 104), xticks=(0, 50, 100), title=title)
    y = np.arange(len(table))[::-1]
    axes[2].hlines(y, 100 * table.formed_low, 100 * table.formed_high, color=INK, linewidth=2.4, alpha=0.5)
    axes[2].plot(100 * table.formed, y, "D", color=INK, markersize=6)
    axes[2].set(xlabel="of replies (%)", xlim=(-4, 104), xticks=(0, 50, 100), title="Ours, form")
    for axis in axes[1:]:
        for row in y[table.n == 0]:
            axis.text(50, row, "not run", ha="center", va="center", color="#666666", fontsize=10)
    _design_rows(axes[0], table)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10.5)
    return figure


def _average(axis, table: pd.DataFrame, whose: str, group: str, offset: float = 0.0) -> None:
    label, colour, marker = GROUPS[group]
    middle, low, high = (100 * table[f"{whose}{group}{end}"] for end in ("", "_low", "_high"))
    y = np.arange(len(table))[::-1] + offset
    axis.hlines(y, low, high, color=colour, linewidth=2.4, alpha=0.5)
    axis.plot(middle, y, marker, color=colour, markersize=6, label=label)


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
    shares = table[["b", "tie", "a"]].div(table.n.clip(lower=1), axis=0)
    begin = np.zeros(len(table))
    colours = {"b": COLOURS[b], "tie": "#c9c9c9", "a": COLOURS[a]}
    labels = {"b": f"{LABELS[b]} wins", "tie": "tie", "a": f"{LABELS[a]} wins"}
    for what, colour in colours.items():
        left.barh(y[: len(table)], 100 * shares[what], left=100 * begin, height=0.62, color=colour, label=labels[what])
        for row, share, start, count in zip(y, shares[what], begin, table[what]):
            if share >= 0.06:
                ink = "white" if what == "a" else "black"  # on orange, white is too pale
                left.text(100 * (start + share / 2), row, count, ha="center", va="center", color=ink, fontsize=10.5)
        begin = begin + shares[what].to_numpy()
    left.set_yticks(y, [f"{name}\nn = {n:.0f}" for name, n in zip(net.index, net.n)], linespacing=0.95)
    left.set(xlabel="questions (%)", xlim=(0, 100), ylim=(-0.6, len(net) - 0.4), title="Verdicts")
    left.grid(axis="y", visible=False)
    if paper is not None:
        left.text(50, 0, "the text gives no number", ha="center", va="center", color="#666666", fontsize=10)
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
    shown = (("role", COLOURS["role"], "Well-formed role prompts"), ("right", INK, "Right answers"))
    for axis, (name, colour, title) in zip(axes, shown):
        axis.vlines(x, 100 * table[f"{name}_low"], 100 * table[f"{name}_high"], color=colour, linewidth=2.4, alpha=0.5)
        axis.plot(x, 100 * table[name], "o-", color=colour, markersize=7, linewidth=1.2)
        axis.set_xticks(x, table.dialogues)
        axis.set(xlabel="dialogues", ylim=(-4, 104), title=title)
    axes[0].set_ylabel("of replies (%)")
    axes[1].axhline(100 * chance, color=INK, linestyle=":", linewidth=1.2)
    axes[1].text(len(table) - 1, 100, "dotted: random guessing", fontsize=10, ha="right", va="top")
    return figure


ARM_COLOURS = dict(zip(recorder.ARMS, ("#777777", "#D55E00", "#AA4499", "#E69F00", "#009E73")))


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
        colour, fill = ARM_COLOURS[arm], ARM_COLOURS[arm] if arm in here else "white"
        axis.vlines(x, 100 * part.low, 100 * part.high, color=colour, linewidth=2.2, alpha=0.5)
        label = arm if arm in here or not here else f"{arm} (reference)"
        axis.plot(x, 100 * part.share, "o", color=colour, markerfacecolor=fill, markersize=7, label=label)
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
    axis.hlines(y, differences.low, differences.high, color=COLOURS["role"], linewidth=2.4, alpha=0.5)
    axis.plot(differences.nats, y, "o", color=COLOURS["role"], markersize=7)
    axis.set_yticks(y, differences.difference)
    axis.set(xlabel="nats per token of the reference answer", ylim=(-0.6, len(differences) - 0.4))
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
            axis.plot(100 * line.share, y, "o", color=COLOURS["role"], markersize=7)
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
        axis.plot(part["mean"], y, "o", color=COLOURS[arm], markersize=7, label=LABELS[arm])
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(np.arange(len(names))[::-1], names.values())
    axis.set(xlim=(-1.08, 1.08), ylim=(-0.6, len(names) - 0.4), xlabel="mean score, −1 to +1", title="Role fidelity")
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "+0.5", "+1"])
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=len(arms), fontsize=10.5)
    return figure


def _panels(height: float, widths: tuple[float, float]):
    """A figure of two panels of these relative widths, with the same rows."""
    return plt.subplots(1, 2, figsize=(PAGE, height), sharey=True, width_ratios=widths)


def _errorbar(axis, x, middle, low, high, arm: str) -> None:
    axis.vlines(x, 100 * low, 100 * high, color=COLOURS[arm], linewidth=2.2, alpha=0.55)
    axis.plot(x, 100 * middle, "o", color=COLOURS[arm], markersize=7, label=LABELS[arm])
