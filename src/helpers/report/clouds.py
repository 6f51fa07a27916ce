"""Word clouds of role nouns (the paper's Figure 4)."""

from __future__ import annotations

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .style import PAGE, grid


def word_clouds(counts: dict[str, Counter]) -> Figure:
    """The paper's Figure 4: one cloud a group; size and depth of colour by frequency, equal for equally frequent words.

    The layout has a fixed seed. What would not be legible is left out, the rarest first, and its number told.
    """
    figure, axes = grid(len(counts), height=CLOUD[1] / CLOUD[0] * PAGE / 2 + 0.3)
    for axis, (group, counter) in zip(axes, counts.items()):
        axis.set_axis_off()
        if counter:
            cloud, left_out = _cloud(most_frequent(counter))
            axis.imshow(_centred(cloud.to_array()), interpolation="bilinear")
        else:
            axis.text(0.5, 0.5, "no role found", ha="center", va="center", color="#666666", fontsize=11)
        more = f"+ {left_out} more" if counter and left_out else ""
        axis.set_title(group, fontsize=11)
        axis.set_title(more, fontsize=9, loc="right", color="#666666", fontweight="normal")
    return figure


CLOUD = (540, 300)  # pixels of a cloud; a phone shows them at about a third
SMALLEST, LARGEST = 30, 84  # pixels of its letters


def most_frequent(counter: Counter, longest: int = 24) -> list[tuple[str, int]]:
    """(word, count), equally frequent words by the alphabet; a word beyond `longest` letters is cut."""
    shown: Counter = Counter()
    for word, count in counter.items():
        shown[word if len(word) <= longest else word[: longest - 1] + "…"] += count
    return sorted(shown.items(), key=lambda item: (-item[1], item[0]))


def _cloud(words: list[tuple[str, int]]):
    """(WordCloud, number of words left out). A word's area goes with its count, down to the smallest legible size.

    wordcloud shrinks a word that finds no room, and then every later one: equal counts would look unequal. So the
    whole cloud is laid out again, smaller, and with a word less when that does not help, until nothing was shrunk.
    """
    from matplotlib.font_manager import findfont
    from wordcloud import WordCloud

    shade = plt.get_cmap("Oranges")
    strength = {word: 0.68 + 0.32 * count / words[0][1] for word, count in words}

    def colour(word, **_):
        return "rgb({}, {}, {})".format(*(int(255 * part) for part in shade(strength[word])[:3]))

    for shown in range(min(len(words), 16), 0, -1):
        for largest in range(LARGEST, SMALLEST, -6):
            sizes = [max((count / words[0][1]) ** 0.5, SMALLEST / largest) for _, count in words[:shown]]
            cloud = WordCloud(
                font_path=findfont("DejaVu Sans"), width=CLOUD[0], height=CLOUD[1], background_color="white",
                prefer_horizontal=1.0, random_state=0, color_func=colour, relative_scaling=1, margin=9,
                max_font_size=largest, min_font_size=SMALLEST - 3, font_step=4,
            )  # fmt: skip
            try:
                cloud.generate_from_frequencies(dict(zip((word for word, _ in words), sizes)))
            except ValueError:  # not even the first word found room
                continue
            found = [size for _, size, *_ in cloud.layout_]
            if len(found) == shown and all(abs(f - largest * s) <= 3 for f, s in zip(found, sizes)):
                return cloud, len(words) - shown
    raise ValueError(f"{words[0][0]!r} is too long for a cloud")


def _centred(pixels: np.ndarray) -> np.ndarray:
    """The picture [height, width, 3] with what is not white moved to its middle."""
    inked = (pixels < 250).any(axis=2)
    shifts = []
    for axis in (0, 1):
        where = np.flatnonzero(inked.any(axis=1 - axis))
        shifts.append((pixels.shape[axis] - 1 - where[0] - where[-1]) // 2)
    return np.roll(pixels, shifts, axis=(0, 1))
