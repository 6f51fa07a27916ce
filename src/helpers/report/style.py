"""The style that all pictures share.

A picture is stamped with what it was computed from, because a chart travels without its lesson.
"""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

INK = "#222222"  # differences, designs, shares of one model: whatever has no arm's colour
SHADES = ("#333333", "#8c8c8c", "#c9c9c9")  # of bars that are not arms
PAGE = 6.6  # inches: fits a notebook; on a phone's 380 pixels text of 10 points is still 8 pixels high


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
    figure.supxlabel(textwrap.fill(text, 98), fontsize=9, color="#666666", x=0.995, ha="right")
    return figure


def grid(cells: int, height: float, columns: int = 2) -> tuple[Figure, list]:
    """Panels of `height` inches in two columns, which a phone can show."""
    rows = max(-(-cells // columns), 1)
    figure, axes = plt.subplots(rows, columns, figsize=(PAGE, height * rows + 0.3))
    flat = list(np.atleast_1d(axes).ravel())
    for axis in flat[cells:]:
        axis.set_axis_off()
    return figure, flat[:cells]
