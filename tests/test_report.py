"""The report: one page from the files of a run, whatever is in them, that opens anywhere and says what it cannot say."""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import benchmarks, run, score
from helpers.benchmarks import BENCHMARKS
from helpers.report import page, pictures, plots, show

ROOT = Path(__file__).parents[1]
VOID = {"meta", "img", "br", "link", "input", "hr"}
MANIFEST = {
    "commit": "0123456789ab",
    "overrides": {},
    "seeds": [0],
    "machine": {"cores": 2},
    "lessons": ["03_score_benchmarks"],
    "minutes": {"03_score_benchmarks": 7.25},
    "minutes_total": 12.5,
    "peak_memory_gib": 5.4,
    "finished": "2026-01-02 03:04 UTC",
}
ROLE = "[This question is a chemistry problem involving acids. From now on, I will think like a chemist who titrates.]"
QUESTIONS = dict.fromkeys(BENCHMARKS, 12) | {"mmlu": 40}


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and every tag that was not closed as it was opened."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open, self.faults = [], "", [], []
        self.feed(html)
        self.faults += self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, text):
        if not {"style", "title"} & set(self.open):
            self.text += text

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]

    def says(self, *words):
        text = " ".join(self.text.split())
        return all(word in text for word in words)


def answers_of(arms, seeds=(0,), unparsed=False):
    """answers.csv as score.grade writes it. The role arm is right on every second question, the others on every fourth."""
    lines = []
    for arm in arms:
        for seed in seeds if arm != "base" else (0,):
            for name, n in QUESTIONS.items():
                for i in range(n):
                    right = int((i + seed) % (2 if arm == "role" else 4) == 0) * (not unparsed)
                    found, role = None if unparsed else "A", ROLE if arm == "role" and i % 10 else None
                    group = ("math", "law")[i % 2] if name == "mmlu" else name
                    known = (arm, seed, name, f"{name}-{i}", group, found, "A", right, role)
                    lines.append((*known, found, right, 30, 0, 0, "stop"))
    return pd.DataFrame(lines, columns=score.ANSWERS)


def scored(folder, arms=("base", "lima", "role"), **how):
    answers = answers_of(arms, **how)
    rows = {name: benchmarks.get(name).rows("packaged", n) for name, n in QUESTIONS.items()}
    answers.to_csv(folder / "answers.csv", index=False)
    score.table(answers, rows).to_csv(folder / "scores.csv", index=False)
    return answers


def written(this, **manifest):
    path = page.write_report(this, MANIFEST | manifest)
    assert path == this.folder / "index.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def this(tmp_path):
    return run.open_run("cpu", tmp_path / "run")


@pytest.fixture
def full(this):
    """A run with scores, two pictures (one of them without a description), two executed lessons and their numbers."""
    scored(this.folder)
    scores = this.scores()
    this.figure(
        plots.benchmark_scores(scores), "benchmarks", data="n=12", table=scores[["benchmark", "arm", "accuracy"]]
    )
    this.figure(plots.dropout_ramp(np.linspace(0, 0.25, 30)), "dropout_ramp")
    this.figure(plots.dropout_ramp([0.1]), "of_my_own")
    (this.folder / "lessons").mkdir()
    for notebook in (ROOT / "notebooks").glob("0[34]_*.ipynb"):
        (this.folder / "lessons" / notebook.name).write_bytes(notebook.read_bytes())
        (this.folder / "lessons" / f"{notebook.stem}.html").write_text("executed")
    numbers = {"domains_ahead": 3, "domains_tied": 1, "domains_behind": 6, "n": 70, "difference": 0.1, "low": -0.2}
    metrics = {"04": numbers | {"high": 0.4, "origin": "the packaged reference run", "minutes": 1.5}}
    metrics["05"] = {"cannot_say": ["one seed", "few questions."]}
    metrics |= {"06": {"finding": "Of 50 pairs <28> are ties."}, "03": {"from": "another version of the lesson"}}
    (this.folder / "metrics.json").write_text(json.dumps(metrics))
    return this


# --- opens anywhere -----------------------------------------------------------------------------


def test_the_page_needs_nothing_from_outside_and_all_that_it_links_is_there(full):
    page = written(full)
    links = [a.get("href") or a.get("src") for _, a in page.tags if "href" in a or "src" in a]
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert len(links) >= 15
    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids
        else:
            assert not re.match(r"[a-z]+:|/", link) and (full.folder / link).is_file(), link
    html = (full.folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|url\(|<script|<link", html)


def test_the_page_is_well_formed_with_a_language_and_headings_in_order(full):
    page = written(full)
    assert page.faults == []
    assert page.all("html") == [{"lang": "en"}]
    assert "width=device-width" in str(page.all("meta"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-describedby"] for _, a in page.tags if "aria-describedby" in a} <= set(ids)


def test_every_table_scrolls_in_a_box_that_the_keyboard_reaches_and_names_its_rows_and_columns(full):
    html = (written(full), (full.folder / "index.html").read_text(encoding="utf-8"))[1]
    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
    assert (
        len(tables) == 3
        and len(re.findall(r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+">\s*<table', html)) == 3
    )
    for table in tables:
        body = re.search(r"<tbody>(.*)</tbody>", table, re.DOTALL)[1]
        assert body.count("<tr>") == body.count('<th scope="row">') > 0 and 'scope="col"' in table


def contrast(one, other):
    """WCAG 2.2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return np.dot(
            [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts], (0.2126, 0.7152, 0.0722)
        )

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read_on_every_ground(full, dark):
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5
    written(full)
    html = (full.folder / "index.html").read_text(encoding="utf-8")
    light, night = re.findall(r":root \{ (.*?) \}", html)  # a dark screen overrides some
    palette = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", light + " " + (night if dark else "")))
    texts = set(re.findall(r"(?<![-\w])color:var\(--(\w+)\)", html))
    grounds = set(re.findall(r"background:var\(--(\w+)\)", html))
    assert {"ink", "soft", "link", "lima", "role"} == texts and {"page", "panel"} == grounds
    assert [(t, g) for t in texts for g in grounds if contrast(palette[t], palette[g]) < 4.5] == []
    assert (contrast(palette["page"], "#000000") < contrast(palette["page"], "#ffffff")) == dark
    written_out = re.findall(r"(?:color|background):(#\w+)", re.sub(r":root \{.*?\}", "", html))
    assert set(written_out) <= {"#fff"}, "a colour outside the palette is not checked"  # behind pictures


# --- says what is in it -------------------------------------------------------------------------


def test_the_alternative_text_of_a_picture_is_made_from_its_numbers(full):
    images = {a["src"]: a for a in written(full).all("img")}
    assert set(images) == {"figures/benchmarks.png", "figures/dropout_ramp.png"}
    alt = images["figures/benchmarks.png"]["alt"]
    assert alt.startswith("Eight benchmarks. 24 rows; accuracy: ") and "mmlu role 0.5," in alt
    path = full.folder / "figures" / "benchmarks.csv"
    path.write_text(path.read_text().replace("mmlu,role,0.5", "mmlu,role,0.75"))
    assert "mmlu role 0.75," in {a["src"]: a for a in written(full).all("img")}["figures/benchmarks.png"]["alt"]
    for image in images.values():
        assert int(image["width"]) > 300 and int(image["height"]) > 100  # so that nothing jumps while it loads


MANY = "group,noun,count\n" + "".join(f"law,noun{k},{k}\n" for k in range(1, 26)) + "art,poet,3\n"
LONG = "domain,n,lima,lima_low\n" + "".join(f"d{k},9,{k / 100},0\n" for k in range(25))


@pytest.mark.parametrize(
    "table, words",
    [
        ("domain,n,lima,lima_low\nlaw,9,0.25,0.1\nmath,8,,\n", "2 rows; lima: law 0.25."),
        ("step,lima,role\n1,3.5,3\n2,3.25,1\n", "2 rows; lima: step 1 3.5, step 2 3.25; role: step 1 3, step 2 1."),
        (LONG, "25 rows; lowest and highest lima: d0 0, d24 0.24."),
        (MANY, "26 rows; highest count: law noun25 25, art poet 3."),
        ("design,wording,in_form,gap\n0,(none),0.5,\n8,[...],1,\n", "2 rows; in form: design 0 0.5, design 8 1."),
        (",group,noun,share\n4,law,judge,1\n7,,,\n", "2 rows; share: law judge 1."),
        ("arm,share\n", ""),
    ],
    ids=["few values, one missing", "a curve", "many values", "many words in groups", "designs", "an index", "empty"],
)  # fmt: skip
def test_a_table_is_put_into_words(table, words, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "x.csv").write_text(table)
    assert pictures.describe(pictures.numbers(tmp_path, "x")) == words


def test_a_pictures_numbers_stand_below_it_in_part_if_they_are_many_and_one_without_a_description_is_linked(full):
    page = written(full)
    links = {a["href"] for a in page.all("a")}
    assert {"figures/benchmarks.csv", "figures/of_my_own.png"} <= links and "figures/dropout_ramp.csv" not in links
    assert page.says("24 lines: figures/benchmarks.csv", *pictures.PICTURES["benchmarks"][1].split("; "))
    lines = "".join(f"{i},role,0.5\n" for i in range(500))
    (full.folder / "figures" / "benchmarks.csv").write_text("question,arm,right\n" + lines)
    assert written(full).says(f"500 lines, here the first {pictures.ROWS}")


def test_the_page_says_what_was_run_and_stamps_its_numbers(full):
    page = written(full, overrides={"max_steps": 4}, seeds=[0, 1])
    assert page.says("cpu (any laptop", "SmolLM2-135M-Instruct", "124 of 8 benchmarks", "1 seed;", "max_steps = 4")
    assert not page.says("mean of 2 seeds")  # the profile has two, one was scored
    assert page.says("12.5 minutes for 1 lesson on 2 cores", "0123456789ab, finished 2026-01-02 03:04 UTC")
    assert page.says("All from this run: profile cpu, SmolLM2-135M-Instruct, 1 seed; questions: 124 of 8 benchmarks")
    assert page.says("shows the machinery, not the paper's effect", *full.profile.deviations)


def test_the_results_in_short_are_computed_from_the_answers(full):
    page = written(full)
    assert page.says("opened 85 % [78, 91] of its 124 answers with a well-formed role prompt of its own")
    assert page.says("On these 124 questions: this run cannot say", "one seed only")
    assert page.says("by our rule (a declared answer goes first) that difference is +25.0 points, read by the paper's")
    assert page.says("counted as wrong: 0 of 124 for base (as it came), 0 of 124 for LIMA, 0 of 124 for LIMA-Role")
    assert page.says("mmlu", "n 40 · guess 25", "50.0", "35–65", "56.0", "average", "n 124")


def test_a_clear_difference_over_seeds_is_a_yes_and_a_turned_one_is_not(this):
    answers = scored(this.folder, seeds=(0, 2, 4, 6))
    assert written(this, seeds=[0, 2, 4, 6]).says("On these 124 questions: yes.", "tuned arms mean of 4 seeds")
    answers.arm = answers.arm.replace({"lima": "role", "role": "lima"})
    answers.to_csv(this.folder / "answers.csv", index=False)
    assert written(this).says("On these 124 questions: no, the other way round.")


def test_lessons_are_linked_with_what_they_found_or_named_as_not_executed(full):
    page = written(full)
    assert page.says("03 · Score the benchmarks 7.25 min", "04 · MMLU by domain 1.5 min", "not executed in this run")
    assert page.says("ahead of LIMA in 3 MMLU domains, level in 1, behind in 6", "+10.0 points [-20.0, +40.0]")
    assert page.says("(Computed from the packaged reference run, not from this run.)")
    assert page.says("What this cannot show: one seed; few questions.")
    assert not page.says("few questions..")
    if list((ROOT / "notebooks").glob("06_*")):
        assert page.says("Of 50 pairs <28> are ties.")


# --- goes on without ----------------------------------------------------------------------------


def test_an_empty_run_still_has_a_page_that_says_so(this):
    page = written(this, lessons=[], minutes={}, minutes_total=0.0)
    assert page.says("No model was scored in this run", "No picture was drawn in this run", "not executed in this run")
    assert not page.all("img", "table") and page.faults == []


@pytest.mark.parametrize(
    "arms, words",
    [
        (("base",), ": LIMA, LIMA-Role. Without both tuned arms the paper's question stays open."),
        (("lima", "role"), ": base (as it came)."),
        (("role",), ": base (as it came), LIMA."),
        (("base", "lima", "role", "my-model"), ""),
    ],
    ids="+".join,
)
def test_a_missing_arm_is_named_and_its_column_is_empty_and_a_model_of_ones_own_gets_a_column(this, arms, words):
    scored(this.folder, arms)
    page = written(this)
    assert page.says("Not scored in this run" + words) == bool(words) and page.says("On these") == ("lima" in arms)
    html = (this.folder / "index.html").read_text(encoding="utf-8")
    row = re.search(r'<th scope="row">mmlu.*?</tr>', html, re.DOTALL)[0]
    assert row.count("<td") == max(6, 3 + len(arms)) and row.count(">–</td>") == max(0, 3 - len(arms))
    assert ('<th scope="col">my-model</th>' in html) == ("my-model" in arms)


def drop(columns):
    """What leaves out columns of scores.csv, as an older run has it."""
    return lambda folder: (
        pd.read_csv(folder / "scores.csv").iloc[:, :columns].to_csv(folder / "scores.csv", index=False)
    )


def two_benchmarks(folder):
    for name in ("scores.csv", "answers.csv"):
        part = score.read_csv(folder / name)
        part[part.benchmark.isin(["mmlu", "date"])].to_csv(folder / name, index=False)


@pytest.mark.parametrize(
    "change, said, unsaid",
    [
        (
            lambda folder: scored(folder, unparsed=True),
            ("40 unparsed", "124 of 124 for LIMA-Role", "cannot say"),
            "yes.",
        ),
        (two_benchmarks, ("52 of 2 benchmarks", "mean over 2 benchmarks"), "average"),
        (drop(10), ("mmlu", "this run cannot say"), "read by the paper's rule"),
        (lambda folder: (folder / "scores.csv").unlink(), ("there is no table", "opened 85 %"), "guess 25"),
        (lambda folder: (folder / "answers.csv").unlink(), ("n 40 · guess 25",), "On these"),
    ],
    ids=["nothing parsed", "two benchmarks", "an older run", "no scores", "no answers"],
)
def test_the_page_says_what_it_can_from_what_is_there(this, change, said, unsaid):
    scored(this.folder)
    change(this.folder)
    page = written(this)
    assert page.says(*said) and not page.says(unsaid)


# --- tables in a lesson -----------------------------------------------------------------------


def test_a_lessons_table_is_escaped_aligned_and_the_same_in_every_run_and_two_tables_do_not_share_a_style():
    frame = pd.DataFrame({"<who>": ["a & b", None], "share": [0.1234, np.nan], "n": [3, 4], "mean": [2.0, 0.125]})
    html = show.table(frame, "x < y", percent=["share"]).data
    table = Page(html)
    assert table.faults == [] and table.says("x < y", "<who> share n mean", "a & b 12.3 3 2 – – 4 0.125")
    sides = dict(re.findall(r"\.(col\d) \{\s+text-align: (\w+)", html))
    assert sides == {"col0": "left", "col1": "right", "col2": "right", "col3": "right"}
    assert show.table(frame, "x < y", percent=["share"]).data == html
    (name,) = {a["id"] for a in table.all("table")}
    assert name not in show.table(frame, "another", percent=["share"]).data
    assert Page(show.table(frame[["n"]].set_axis(["p", "q"]), index=True).data).says("n p 3 q 4")


# --- keeps up with the lessons ------------------------------------------------------------------


def test_every_picture_that_a_lesson_keeps_is_described_here():
    drawn = {}
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            for found in re.finditer(r"run\.figure\(", source) if cell["cell_type"] == "code" else ():
                name = re.search(r'"(\w+)"', source[found.end() :])
                drawn[name[1]] = notebook.name
    assert len(drawn) >= 8
    assert {name: lesson for name, lesson in drawn.items() if name not in pictures.PICTURES} == {}
