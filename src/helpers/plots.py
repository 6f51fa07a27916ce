"""Every picture of the course, in one style.

Colours are Okabe and Ito's (safe for colour-blind readers) and an arm has the same one everywhere.
A picture is stamped with what it was computed from, because a chart travels without its lesson.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from . import stats

COLOURS = {"base": "#777777", "lima": "#0072B2", "role": "#D55E00"}
LABELS = {"base": "base (not tuned)", "lima": "LIMA", "role": "LIMA-Role"}
INK = "#222222"


def use_style() -> None:
    """Matplotlib settings of the course: readable at notebook width."""
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "legend.frameon": False,
            "svg.hashsalt": "spt",
        }
    )


def stamp(figure: Figure, text: str) -> Figure:
    """Write what the picture was computed from below it."""
    figure.supxlabel(text, fontsize=8.5, color="#666666", x=0.995, ha="right")
    return figure


def loss_curves(losses: dict[str, Sequence[float]]) -> Figure:
    """Training loss by optimizer step, one line an arm; the faint line is the raw loss, the bold one a mean of five."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    for arm, values in losses.items():
        steps = np.arange(1, len(values) + 1)
        smooth = pd.Series(values).rolling(5, min_periods=1, center=True).mean()
        axis.plot(steps, values, color=COLOURS[arm], alpha=0.3, linewidth=1)
        axis.plot(steps, smooth, color=COLOURS[arm], linewidth=2.2, label=LABELS[arm])
    axis.set(xlabel="optimizer step", ylabel="loss per trained token (nats)", title="Training loss")
    axis.legend()
    return figure


def dropout_ramp(ramp: Sequence[float]) -> Figure:
    """Attention dropout by layer."""
    figure, axis = plt.subplots(figsize=(7.5, 2.8))
    axis.bar(np.arange(1, len(ramp) + 1), ramp, color=COLOURS["lima"], width=0.75)
    axis.set(xlabel="layer", ylabel="dropout p", title="Attention dropout rises linearly over the layers")
    return figure


def moved_weights(moved: dict[str, dict[str, float]], arrived: dict[str, dict[str, float]]) -> Figure:
    """One optimizer step by learning rate (outer keys) and by how the weights are kept: left the share of weights that
    changed, right how far they went along float32's way."""
    names = {"fp32": "float32", "bf16-sr": "bfloat16, rounded at random", "bf16": "bfloat16, rounded to the nearest"}
    colours = dict(zip(names, (COLOURS["lima"], "#009E73", COLOURS["role"])))
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.1), sharey=True)
    titles = ("weights that changed (%)", "of the wanted way, covered (%)")
    for axis, shares, title in zip(axes, (moved, arrived), titles):
        for k, (precision, label) in enumerate(names.items()):
            y = np.arange(len(shares)) + (k - 1) * 0.26
            values = [100 * share[precision] for share in shares.values()]
            axis.barh(y, values, height=0.23, color=colours[precision], label=label)
            for value, height in zip(values, y):
                axis.text(max(value, 0) + 1.5, height, f"{value:.0f}", va="center", fontsize=9)
        axis.set_yticks(np.arange(len(shares)), list(shares))
        axis.set(xlabel=title, xlim=(0, 118))
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    axes[0].set_title("What one step does")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def benchmark_scores(scores: pd.DataFrame) -> Figure:
    """Accuracy by benchmark and arm with 95 % intervals; a tick marks random guessing."""
    names = list(dict.fromkeys(scores.benchmark))
    arms = [a for a in COLOURS if a in set(scores.arm)]
    figure, axis = plt.subplots(figsize=(8.5, 4.2))
    for k, arm in enumerate(arms):
        part = scores[scores.arm == arm].groupby("benchmark", sort=False)[["accuracy", "low", "high"]].mean().loc[names]
        x = np.arange(len(names)) + (k - (len(arms) - 1) / 2) * 0.22
        _errorbar(axis, x, part.accuracy, part.low, part.high, arm)
    chance = scores.groupby("benchmark", sort=False).random.mean().loc[names]
    axis.hlines(
        100 * chance,
        np.arange(len(names)) - 0.4,
        np.arange(len(names)) + 0.4,
        color=INK,
        linestyle=":",
        label="random guessing",
    )
    n = scores.groupby("benchmark", sort=False).n.first().loc[names]
    axis.set_xticks(np.arange(len(names)), [f"{m.replace('_', chr(10))}\nn={c}" for m, c in n.items()], fontsize=9)
    axis.set(ylabel="accuracy (%)", ylim=(-2, 102), title="Eight benchmarks, 95 % intervals")
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper right", ncols=4, fontsize=9)
    return figure


def domains(answers: pd.DataFrame, first: str = "lima", second: str = "role") -> Figure:
    """The paper's Figure 3: MMLU accuracy by domain for two arms with intervals; right, the paired difference."""
    table = domain_table(answers, first, second)
    y = np.arange(len(table))[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 5.2), sharey=True, width_ratios=(1.25, 1))
    for offset, arm in ((0.16, first), (-0.16, second)):
        low, high = table[f"{arm}_low"], table[f"{arm}_high"]
        left.hlines(y + offset, 100 * low, 100 * high, color=COLOURS[arm], linewidth=2.2, alpha=0.55)
        left.plot(100 * table[arm], y + offset, "o", color=COLOURS[arm], label=LABELS[arm], markersize=7)
    left.axvline(25, color=INK, linestyle=":", linewidth=1.2)
    left.text(25.8, -0.75, "random guessing", fontsize=8.5, va="bottom")
    left.set_yticks(y, [f"{d}  (n={n})" for d, n in zip(table.index, table.n)])
    left.set(xlabel="accuracy (%)", xlim=(-2, 102), ylim=(-0.8, len(table) - 0.4), title="Accuracy, 95 % interval")
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2, fontsize=9)
    right.axvline(0, color=INK, linewidth=1)
    right.hlines(y, 100 * table.low, 100 * table.high, color=INK, linewidth=2.2, alpha=0.45)
    right.plot(100 * table.difference, y, "D", color=INK, markersize=6)
    right.set(xlabel=f"{LABELS[second]} minus {LABELS[first]} (points)", title="Paired difference")
    return figure


def domain_table(answers: pd.DataFrame, first: str = "lima", second: str = "role") -> pd.DataFrame:
    """By MMLU domain: n, accuracy of both arms with Wilson intervals, paired difference with bootstrap interval.

    Sorted by difference, the largest first. All shares in 0..1. Seeds are pooled for the accuracies.
    """
    mmlu = answers[answers.benchmark == "mmlu"]
    lines = {}
    for domain, part in mmlu.groupby("group", sort=False):
        grids = {
            arm: part[part.arm == arm].pivot(index="seed", columns="question_id", values="correct").to_numpy()
            for arm in (first, second)
        }
        line = {"n": grids[first].shape[1]}
        for arm, grid in grids.items():
            share = stats.wilson(int(grid.sum()), grid.size)
            line |= {arm: share.estimate, f"{arm}_low": share.low, f"{arm}_high": share.high}
        difference = stats.paired(grids[first], grids[second])
        line |= {"difference": difference.estimate, "low": difference.low, "high": difference.high}
        lines[domain] = line
    return pd.DataFrame.from_dict(lines, orient="index").sort_values("difference", ascending=False, kind="stable")


def noun_bars(counts: dict[str, Counter], top: int = 5) -> Figure:
    """The most frequent role nouns of each domain as small bar charts: the numbers behind the clouds."""
    figure, axes = _grid(len(counts))
    for axis, (domain, counter) in zip(axes, counts.items()):
        words, values = (
            zip(*sorted(counter.most_common(top), key=lambda item: (item[1], item[0]))) if counter else ((), ())
        )
        axis.barh(range(len(words)), values, color=COLOURS["role"], height=0.7)
        axis.set_yticks(range(len(words)), words, fontsize=9)
        axis.set_title(f"{domain} (n={sum(counter.values())})", fontsize=10)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="y", visible=False)
    return figure


def word_clouds(counts: dict[str, Counter]) -> Figure:
    """The paper's Figure 4: one cloud a domain; size and depth of colour by frequency. The layout seed is fixed."""
    from wordcloud import WordCloud

    figure, axes = _grid(len(counts))
    for axis, (domain, counter) in zip(axes, counts.items()):
        axis.set_title(domain, fontsize=10)
        axis.set_axis_off()
        if not counter:
            axis.text(0.5, 0.5, "no role found", ha="center", va="center", color="#888888")
            continue
        highest = max(counter.values())

        def depth(word, counter=counter, highest=highest, **_):
            strength = 0.35 + 0.65 * counter[word] / highest
            red, green, blue = plt.get_cmap("Oranges")(strength)[:3]
            return f"rgb({int(255 * red)}, {int(255 * green)}, {int(255 * blue)})"

        cloud = WordCloud(
            width=520, height=340, background_color="white", prefer_horizontal=1.0, random_state=0,
            color_func=depth, relative_scaling=0.4, min_font_size=18, max_font_size=110, margin=6,
        )  # fmt: skip
        axis.imshow(cloud.generate_from_frequencies(dict(counter)), interpolation="bilinear")
    return figure


def _grid(cells: int, columns: int = 4) -> tuple[Figure, list]:
    rows = -(-cells // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(10.5, 2.15 * rows + 0.3))
    flat = list(np.atleast_1d(axes).ravel())
    for axis in flat[cells:]:
        axis.set_axis_off()
    return figure, flat[:cells]


def _errorbar(axis, x, middle, low, high, arm: str) -> None:
    axis.vlines(x, 100 * low, 100 * high, color=COLOURS[arm], linewidth=2.2, alpha=0.55)
    axis.plot(x, 100 * middle, "o", color=COLOURS[arm], markersize=7, label=LABELS[arm])
