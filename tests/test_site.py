"""A finished run as pages, as a site and as slides: whole links, described pictures, nothing from the web; and in a browser."""

from __future__ import annotations

import itertools
import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import nbformat
import pytest
import yaml
from browser import Browser, check_page, needs_browser, tab_through
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from test_report import MANIFEST, scored

from helpers import run
from helpers.__main__ import main
from helpers.errors import UserError
from helpers.report import page, pages, site, slides

ROOT = Path(__file__).parents[1]
LINK = re.compile(r'\s(?:href|src)="([^"]*)"')
TABLE = '<table class="dataframe"><tr><th>arm</th></tr><tr><td>role</td></tr></table>'


def typed(cell, kind):
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def lesson(first, picture):
    """A short lesson under a real title: text, code, a table, and a picture that it keeps as `benchmarks`."""
    shown = [new_output("stream", text="asking ...\n"), new_output("display_data", {"image/png": picture})]
    table = new_output("execute_result", {"text/html": TABLE, "text/plain": "arm"}, execution_count=1)
    links = "A [term](../docs/GLOSSARY.md), [code](../src/helpers/roles.py), [the next](01_annotate_lima_role.ipynb)."
    cells = [
        typed(first, "slide"),
        typed(new_markdown_cell(f"What came before.\n\n## The *first* step\n\n{links}"), "slide"),
        typed(new_code_cell("x = 1\nprint(x)", outputs=[new_output("stream", text="1\n")]), "fragment"),
        typed(new_markdown_cell("It is one.\n\n## The result\n\n| a | b |\n|---|---|\n| 1 | 2 |"), "fragment"),
        typed(
            new_code_cell('run.figure(\n    plots.benchmark_scores(scores), "benchmarks"\n)', outputs=shown), "slide"
        ),
        new_code_cell("table", outputs=[table]),
        typed(new_markdown_cell("## Key points\n\n- one\n\n## What could go wrong\n\n- two"), "slide"),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    return cells


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The real course with its documents, with short lessons, and a finished run of them in runs/cpu."""
    folder = tmp_path_factory.mktemp("course")
    for path in ROOT.iterdir():
        if path.name not in ("notebooks", "runs", "site", "slides", ".git"):
            (folder / path.name).symlink_to(path)
    this = run.open_run("cpu", folder / "runs" / "cpu")
    scored(this.folder)
    scores = this.scores()
    figure = plt.figure(figsize=(4, 2))
    this.figure(figure, "benchmarks", data="n=12", table=scores[["benchmark", "arm", "accuracy"]])
    picture = pages.picture_data(this.folder / "figures" / "benchmarks.png").partition(",")[2]
    (folder / "notebooks").mkdir()
    (this.folder / "lessons").mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = lesson(notebook.cells[0], picture)
        nbformat.write(notebook, this.folder / "lessons" / path.name)
        for cell in notebook.cells:
            cell.update({"outputs": []} if cell.cell_type == "code" else {})
        nbformat.write(notebook, folder / "notebooks" / path.name)
    manifest = MANIFEST | {"profile": {"name": "cpu"}}
    (this.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        page.write_report(this, manifest)
        assert main(["site"]) == 0
    return folder


@pytest.fixture
def here(course, monkeypatch):
    monkeypatch.chdir(course)
    return course


def html_of(folder):
    return {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.html"))}


@pytest.fixture(scope="module", params=["site", "runs/cpu"])
def written(request, course):
    """The pages of the site, and those of the run."""
    return course / request.param, html_of(course / request.param)


# --- structure -------------------------------------------------------------------------------------


def test_every_link_leads_to_a_file_that_is_there_and_every_page_can_be_reached(written):
    folder, html = written
    leads, dead = {}, []
    for path, text in html.items():
        for link in map(unescape, LINK.findall(text)):
            if re.match(r"(?:data|https?|mailto):", link):
                continue
            to, _, part = unquote(link).partition("#")
            target = (path.parent / to).resolve() if to else path
            leads.setdefault(path, set()).add(target)
            if not target.is_file() or (part and f'id="{part}"' not in html[target]):
                dead.append((path.name, link))
    assert dead == [] and len(leads) >= 12
    reached, last = {folder / "index.html"}, set()
    while reached != last:
        last, reached = reached, reached | {to for path in reached for to in leads.get(path, ()) if to in html}
    assert set(html) - reached == set()


def test_no_page_loads_anything_from_the_web_and_every_picture_is_inside_and_described(written):
    for path, text in written[1].items():
        images = re.findall(r"<img[^>]+>", text)
        assert not re.search(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?!data:)|@import|url\((?!#)', text), (
            path.name
        )
        assert all(re.search(r'alt="[^"]{20,}"', image) for image in images), path.name
    assert len(re.findall(r"<img", "".join(written[1].values()))) >= 11


def test_every_page_has_a_title_of_its_own_a_language_and_one_first_heading(written):
    titles = [re.search(r"<title>(.*?)</title>", text)[1] for text in written[1].values()]
    assert len(set(titles)) == len(titles)
    for path, text in written[1].items():
        assert '<html lang="en">' in text and len(re.findall(r"<h1\b", text)) == 1, path.name


def test_a_lesson_has_contents_a_way_back_and_on_and_its_pictures_text_from_the_numbers(written):
    folder, html = written
    by_name = {path.name: text for path, text in html.items() if path.parent.name == "lessons"}
    text = by_name["01_annotate_lima_role.html"]
    assert re.findall(r'<li><a href="#([^"]+)">', text) == [
        "the-first-step",
        "the-result",
        "key-points",
        "what-could-go-wrong",
    ]
    steps = re.search(r'<nav class="steps".*?</nav>', text, re.DOTALL)[0]
    assert re.findall(r'href="([^"]+)" rel="(\w+)"', steps) == [
        ("00_check_your_setup.html", "prev"),
        ("02_finetune_with_trl.html", "next"),
    ]
    assert f'href="../{"results" if folder.name == "site" else "index"}.html"' in text
    assert 'href="../docs/GLOSSARY.html"' in text and "¶" not in text
    assert 'alt="Eight benchmarks. 24 rows; accuracy: ' in text
    assert ('href="../src/helpers/roles.py"' in text) == (folder.name == "site")  # a run has no code beside it
    assert text.count('<div class="scroll" tabindex="0"') == text.count("<table") == 3
    assert (
        'rel="prev"' not in by_name["00_check_your_setup.html"]
        and 'rel="next"' not in by_name["09_beyond_the_paper.html"]
    )


def test_half_a_notebook_after_a_kill_costs_its_own_page_and_no_other(here, tmp_path):
    known = pages.sources(here / "runs" / "cpu", [])
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [')
    known["notebooks/01_annotate_lima_role.ipynb"] = (broken, "lessons/01_annotate_lima_role.html")
    pages.write(here / "runs" / "cpu", tmp_path / "out", dict(itertools.islice(known.items(), 3)), ())
    assert sorted(path.name[:2] for path in (tmp_path / "out" / "lessons").iterdir()) == ["00", "02"]
    first = (tmp_path / "out" / "lessons" / "00_check_your_setup.html").read_text(encoding="utf-8")
    assert "the next" in first and "01_annotate" not in first and 'href="02_finetune_with_trl.html" rel="next"' in first


def test_pictures_of_a_text_are_inside_its_page_and_a_badge_from_the_web_is_its_words(tmp_path):
    plt.figure(figsize=(1, 1)).savefig(tmp_path / "a.png")
    (tmp_path / "b.svg").write_text("<svg/>")
    html = '<img alt="A" src="a.png"> <img src="b.svg" alt="B"> <img alt="tests pass" src="https://example.org/x"> <img src="no.png">'
    first, second, rest = pages.inlined(html, tmp_path).split("> ", 2)
    assert rest == "tests pass "
    assert (
        first.startswith('<img alt="A" src="data:image/png;base64,') and "data:image/svg+xml;base64,PHN2Zy8+" in second
    )


@pytest.mark.parametrize(
    "heading, name",
    [("Paper &amp; ours", "paper--ours"), ("The <em>first</em> step?", "the-first-step"), ("On a GPU", "on-a-gpu")],
)
def test_headings_have_the_names_that_github_gives_them(heading, name):
    assert pages.slug(heading) == name


# --- the commands ----------------------------------------------------------------------------------


def test_a_site_is_made_anew_but_other_files_are_never_deleted_and_an_unfinished_run_is_refused(here, tmp_path, capsys):
    (here / "site" / "old.html").touch()
    site.write(here / "runs" / "cpu", here / "site", say=lambda text: None)
    assert not (here / "site" / "old.html").exists()
    mine = tmp_path / "mine" / "thesis.txt"
    mine.parent.mkdir()
    mine.touch()
    assert main(["site", "--to", str(mine.parent)]) == 2 and mine.is_file()
    assert "holds other files: choose an empty folder" in capsys.readouterr().err
    for command in (["site"], ["slides", "--to", str(tmp_path / "deck")]):
        assert main([*command, "--run", str(tmp_path / "none")]) == 2
        assert "run the lessons first" in capsys.readouterr().err and not (tmp_path / "deck").exists()


def test_the_workflow_publishes_this_site_with_official_actions_and_no_right_that_it_does_not_need():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert [step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", "")] == ["site"]
    assert [step["run"] for step in steps if step.get("run", "").startswith("make ")] == ["make course", "make site"]
    rights = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
    assert rights == [{"contents": "read"}, {}, {"pages": "write", "id-token": "write"}]


# --- slides ----------------------------------------------------------------------------------------


def test_slides_are_the_cells_with_a_slide_type_and_a_picture_is_shown_alone(here):
    (source,) = (here / "notebooks").glob("00_*")
    cut = slides.cut(source, here / "runs" / "cpu" / "lessons" / source.name)
    texts = [[cell.source.split("\n")[0] for cell in slide.cells] for _, slide in cut]
    assert texts[1:] == [
        ["## The *first* step", "x = 1", "It is one."],  # from its heading on; then up to the next heading
        ["run.figure("],
        ["## Key points"],
        ["## What could go wrong"],
    ]
    assert [section for section, _ in cut] == ["", "", "The result", "", ""]
    (figure,) = cut[2][1].cells
    assert [list(output.data) for output in figure.outputs] == [["image/png"]]
    deck = (here / "site" / "slides" / f"{source.stem}.html").read_text(encoding="utf-8")
    assert deck.count('<section class="slide"') == 5 and "asking ..." not in deck and "plots.benchmark" not in deck
    assert LINK.findall(deck) == [
        "data:,",
        "#main",
        *[link for link in LINK.findall(deck) if link[:10] == "data:image"],
    ]


def test_a_cell_without_a_slide_type_is_on_no_slide_and_a_deck_can_be_made_alone(here, tmp_path, capsys):
    assert main(["slides", "--to", str(tmp_path), "--lessons", "1"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_annotate_lima_role.html", "index.html"]
    assert "01_annotate_lima_role.html: 5 slides" in capsys.readouterr().out
    assert "dataframe" not in (tmp_path / "01_annotate_lima_role.html").read_text(encoding="utf-8")


def test_a_lesson_without_slide_types_is_left_out(here, tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "BEGIN", ())
    with pytest.raises(UserError, match="no slides"):
        slides.write(here / "runs" / "cpu", tmp_path / "deck")


# --- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@needs_browser
def test_every_page_opens_on_a_phone_and_a_desk_asks_for_nothing_and_fits(written, browser):
    faults = {path.name: found for path in written[1] if (found := check_page(browser, path.as_uri()))}
    assert faults == {}


@needs_browser
@pytest.mark.parametrize("name", ["site/results.html", "site/lessons/01_annotate_lima_role.html", "site/index.html"])
def test_the_keyboard_reaches_everything(course, browser, name):
    browser.open((course / name).as_uri())
    wanted, reached = tab_through(browser)
    assert wanted >= 10 and reached == wanted


@needs_browser
def test_a_dark_screen_gets_a_dark_page_and_paper_a_light_one(course, browser):
    for name in ("results.html", "lessons/03_score_benchmarks.html", "slides/03_score_benchmarks.html"):
        browser.open((course / "site" / name).as_uri(), dark=True)
        assert browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        assert browser.js("getComputedStyle(document.querySelector('img')).filter").startswith("invert")
    assert browser.pdf().startswith(b"%PDF")


@needs_browser
def test_arrow_keys_turn_the_slides_and_the_address_remembers_the_place(course, browser):
    address = (course / "site" / "slides" / "00_check_your_setup.html").as_uri()
    browser.open(address)
    for key, place in (
        ("ArrowRight", 2),
        ("ArrowRight", 3),
        ("ArrowLeft", 2),
        ("End", 5),
        ("ArrowRight", 5),
        ("Home", 1),
    ):
        browser.press(key)
        assert browser.js("document.querySelector('.place').textContent") == f"{place} / 5"
        assert browser.js("document.activeElement.id") == str(place)
    browser.open("about:blank#")
    browser.open(f"{address}#4")
    assert browser.js("document.querySelector('.place').textContent") == "4 / 5"
    assert browser.js("Math.round(document.querySelector('.deck').scrollLeft / innerWidth)") == 3
