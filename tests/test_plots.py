"""Pictures of lessons 04 and 05: the same run gives the same bytes, a word's size tells its count, a phone can show them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from test_report import Page, contrast

from helpers import score
from helpers.analyse import domains, nouns
from helpers.arms import COLOURS, MARKERS
from helpers.benchmarks import mmlu
from helpers.data import REFERENCE
from helpers.report import clouds, pipeline, plots, style

DRAWN = ("mmlu_domains", "role_clouds", "role_diversity", "role_nouns")
PHONE = 380  # pixels


@pytest.fixture(autouse=True)
def agg():
    matplotlib.use("Agg")
    style.use_style()
    yield
    plt.close("all")


def reference() -> pd.DataFrame:
    return score.read_csv(REFERENCE / "answers.csv")


def counts() -> dict[str, Counter]:
    answers = reference()
    return nouns.counts(nouns.read(answers[(answers.arm == "role") & (answers.benchmark == "mmlu")]), mmlu.DOMAINS)


def test_the_lessons_draw_the_same_pictures_and_numbers_to_the_byte(tmp_path):
    """Two processes, two hash seeds, two folders: every file that lessons 04 and 05 leave in figures/."""
    script = "import sys, cells; [cells.run(lesson, RUN=sys.argv[1]) for lesson in ('04', '05')]"
    files = []
    for k in ("1", "2"):
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        here = {"PYTHONHASHSEED": k, "MPLBACKEND": "Agg", "PYTHONPATH": path}
        folder = tmp_path / k
        subprocess.run([sys.executable, "-c", script, str(folder)], env=os.environ | here, check=True)
        files.append({p.name: p.read_bytes() for p in sorted((folder / "figures").iterdir())})
    assert set(files[0]) == {f"{name}.{kind}" for name in DRAWN for kind in ("csv", "png")}
    assert [name for name in files[0] if files[0][name] != files[1].get(name)] == []


@pytest.mark.parametrize("words", [{"a": 9, "bb": 4, "cc": 4, "d": 1, "e": 1}, {f"physicist{k}": 1 for k in range(12)}])
def test_a_words_size_and_shade_depend_on_its_count_and_on_nothing_else(words):
    ranked = clouds.most_frequent(Counter(words))
    cloud, left_out = clouds._cloud(ranked)
    shown = {word: (size, colour) for (word, _), size, _, _, colour in cloud.layout_}
    assert len(shown) + left_out == len(words) and set(shown) == {word for word, _ in ranked[: len(shown)]}
    looks = {}
    for word, (size, colour) in shown.items():
        looks.setdefault(words[word], set()).add((size, colour))
    assert all(len(look) == 1 for look in looks.values()), "equal counts look equal"
    sizes = [next(iter(looks[count]))[0] for count in sorted(looks)]
    assert sizes == sorted(set(sizes)), "and more is larger"
    shades = [
        sum(int(x) for x in next(iter(looks[count]))[1][4:-1].split(",")) for count in sorted(looks, reverse=True)
    ]
    assert shades == sorted(set(shades)), "and darker"


def test_the_smallest_word_of_ten_clouds_is_legible_on_a_phone():
    """Letters of 9 pixels or more where the picture is 380 wide, and dark enough on white (WCAG's 3:1 for large text)."""
    scale = PHONE / 2 / clouds.CLOUD[0]
    for counter in counts().values():
        cloud, _ = clouds._cloud(clouds.most_frequent(counter))
        for _, size, _, _, colour in cloud.layout_:
            assert size * scale >= 9
            assert contrast("#{:02x}{:02x}{:02x}".format(*map(int, colour[4:-1].split(","))), "#ffffff") >= 3


def test_words_without_room_are_counted_not_hidden():
    figure = plots.word_clouds({"law": Counter({f"constitutionalist{k}": 50 - k for k in range(40)})})
    axis = figure.axes[0]
    told = int(axis.get_title("right").split()[1])
    assert 20 <= told < 40 and axis.get_title("right") == f"+ {told} more"


def test_a_group_without_roles_says_so_and_a_word_of_sixty_letters_does_not_break_the_picture():
    empty = plots.word_clouds({"law": Counter(), "math": Counter({"x" * 60: 2, "y": 1})})
    assert [t.get_text() for t in empty.axes[0].texts] == ["no role found"]
    assert len(empty.axes[1].images) == 1
    (bars,) = plots.noun_bars({"law": Counter(), "math": Counter({"x" * 60: 2, "y": 1})}).axes
    assert [t.get_text() for t in bars.texts] == ["no role found", "", "x" * 23 + "…", "y"]


def test_a_bar_is_as_long_as_the_number_beside_it_and_ties_share_one():
    nouns_of = {"law": Counter(judge=3, poet=1, author=1), "how_to": Counter(tutor=10)}
    (axis,) = plots.noun_bars(nouns_of).axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["law: 5 roles", "3 ×", "1 ×", "how to: 10 roles", "10 ×"]
    assert [bar.get_width() for bar in axis.patches] == [0, 3, 1, 0, 10]
    assert [t.get_text() for t in axis.texts] == ["", "judge", "author, poet", "", "tutor"]
    (axis,) = plots.noun_bars({"law": Counter(dict.fromkeys("abcdefgh", 1))}, room=7).axes
    assert axis.texts[1].get_text() == "a, b, c + 5 more"


def test_a_verdicts_bar_is_as_long_as_its_count():
    table = pd.DataFrame({"n": [60], "b": [8], "tie": [27], "a": [25], "net": [-0.28], "low": [-0.4], "high": [-0.1]})
    left, _ = plots.judge_bars(table).axes
    assert [bar.get_width() for bar in left.patches] == [8, 27, 25] and left.get_xlim() == (0, 60)
    assert [t.get_text() for t in left.texts] == ["8", "27", "25"]


def test_a_mean_of_equal_scores_says_that_it_has_no_interval():
    table = pd.DataFrame(
        {"arm": ["lima", "role"], "kind": "RK", "mean": [0.0, -0.5], "low": [0.0, -1], "high": [0.0, 0], "n": 12}
    )
    (axis,) = plots.fidelity(table, {"RK": "role knowledge"}).axes
    assert [t.get_text() for t in axis.texts] == ["all 12 alike, no interval"]


def test_arms_have_colours_that_bars_and_differences_do_not_have_and_markers_that_differ():
    others = {style.INK, *style.SHADES, plots.FOUND, *(fill for _, fill, _ in plots.GROUPS.values())}
    assert not others & set(COLOURS.values())
    assert len(set(MARKERS.values())) == len(MARKERS) and set(MARKERS) == set(COLOURS)


def test_the_domains_stand_in_the_order_of_the_difference_at_the_values_of_the_table():
    table = domains.table(domains.in_both(reference()))
    left, right = plots.domains(table).axes
    assert [t.get_text().split("\n")[0] for t in left.get_yticklabels()] == list(table.index)
    (diamonds,) = (line for line in right.lines if line.get_marker() == "D")
    assert list(diamonds.get_xdata()) == pytest.approx(list(100 * table.difference))
    assert list(diamonds.get_ydata()) == list(range(len(table)))[::-1]


@pytest.mark.parametrize("lesson", pipeline.LESSONS)
def test_the_courses_diagram_lights_the_lesson_says_so_in_words_and_takes_the_colours_of_its_page(lesson):
    html = pipeline.where(lesson).data
    drawn = Page(html)
    assert drawn.faults == [] and all(text in html for text, *_ in pipeline.LESSONS.values())
    (svg,) = drawn.all("svg")
    assert svg["role"] == "img" and svg["aria-label"].endswith(f"You are in lesson {pipeline.LESSONS[lesson][0]}.")
    lit = [a for a in drawn.all("rect") if "fill" in a]
    assert [float(a["x"]) for a in lit] == [pipeline.LESSONS[lesson][1]]
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', html)) == {"none", "currentColor", "#F0E442", "#222"}
    assert contrast("#222222", "#F0E442") > 7
    assert "<style" not in html and not re.search(r"https?://(?!www.w3.org/2000/svg)", html)
