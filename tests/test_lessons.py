"""The course, executed for real: every lesson once, by papermill, with the real small model; then its results.

This is the slow suite (about twenty minutes on two cores). Its run stays in runs/test for a look.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import cells
import nbformat
import pandas as pd
import pytest
from browser import Browser, check_page, needs_browser
from matplotlib.text import Text

from helpers import chat, roles, run, score
from helpers.benchmarks import BENCHMARKS
from helpers.finetune import trainer
from helpers.report import lessons, page, site, slides

pytestmark = pytest.mark.lessons
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "runs" / "test"
CANARY = "sk-canary-of-the-lessons-0123456789"


@pytest.fixture(scope="session")
def finished(pytestconfig):
    """A fresh run of all lessons with the cpu profile, told on the terminal while it goes on.

    SPT_TEST_RUN names a finished run folder to look at instead, while you work on these tests.
    """
    if existing := os.environ.get("SPT_TEST_RUN"):
        return Path(existing).absolute()
    shutil.rmtree(FOLDER, ignore_errors=True)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with pytest.MonkeyPatch.context() as patch, capture.global_and_fixture_disabled():
        patch.delenv("SPT_DATA", raising=False)
        patch.setenv("OPENAI_API_KEY", CANARY)  # a key is at hand; nobody may be asked with it, or write it down
        patch.chdir(ROOT)
        lessons.run_lessons(run.open_run("cpu", FOLDER), lessons.choose(), lambda text: print(text, flush=True))
    return FOLDER


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return tmp_path / "run"


def executed(folder: Path):
    return {p.stem: nbformat.read(p, as_version=4) for p in sorted((folder / "lessons").glob("*.ipynb"))}


def test_a_run_holds_every_file_of_the_contract(finished):
    names = "annotations.jsonl lima_role.jsonl models/lima-seed0/model.safetensors models/role-seed0/manifest.json"
    names += " generations/base-seed0/mmlu.jsonl scores.csv answers.csv metrics.json index.html manifest.json"
    assert [name for name in names.split() if not (finished / name).is_file()] == []
    assert {p.stem for p in (finished / "figures").glob("*.png")} >= set(lessons.PICTURES)


def test_every_link_between_the_pages_of_a_run_leads_somewhere(finished):
    html = {path: path.read_text(encoding="utf-8") for path in finished.rglob("*.html")}
    links = {(path, link) for path in html for link in re.findall(r'<a [^>]*href="([^"#:]+)[#"]', html[path])}
    assert {link for _, link in links} >= {"../index.html", "../docs/GLOSSARY.html", "09_beyond_the_paper.html"}
    assert [(path.name, link) for path, link in links if not (path.parent / link).is_file()] == []


def test_the_manifest_says_what_ran_and_that_it_stayed_below_six_gib(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    assert list(manifest["minutes"]) == [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert manifest["profile"]["name"] == "cpu" and manifest["seeds"] == [0] and manifest["versions"]["trl"]
    assert 0.5 < manifest["peak_memory_gib"] < 6


def test_the_role_arm_opens_with_a_role_prompt_and_the_other_arms_never_do(finished):
    """Over 100 packaged questions that it was not trained on: at least 90 % well-formed, the others none."""
    answers = score.read_csv(finished / "answers.csv")
    well_formed = answers.role.map(lambda r: roles.parse(None if pd.isna(r) else r) is not None)
    rate = well_formed.groupby(answers.arm).mean()
    assert (answers.arm == "role").sum() >= 100
    assert rate["role"] >= 0.9 and rate["lima"] == 0 and rate["base"] == 0


def test_most_domains_get_roles_of_their_own(finished):
    """By lesson 05's own list of fitting professions; the nouns themselves are read by people."""
    found = json.loads((finished / "metrics.json").read_text())["05"]
    assert found["fitting"] >= 0.5 and len(set(found["top_nouns"].values())) >= 8


def test_every_lesson_ran_to_its_end_without_warnings_and_records_its_numbers(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    for stem, notebook in executed(finished).items():
        assert metrics[stem[:2]]["minutes"] >= 0
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", stem
                assert output.get("name") != "stderr", f"{stem}: {output.text[:200]}"


def test_unsolved_exercises_wait_politely(finished):
    for stem, notebook in executed(finished).items():
        for cell in notebook.cells:
            if "check" in cell.metadata.get("tags", []):
                shown = "".join(o.get("data", {}).get("text/plain", "") + o.get("text", "") for o in cell.outputs)
                assert "not solved yet" in shown, stem


def test_no_output_carries_a_path_or_a_user_name_and_no_file_a_key(finished):
    private = re.compile(rf"{re.escape(str(ROOT))}|{re.escape(str(Path.home()))}/|/tmp/|site-packages")
    for path in [*(finished / "lessons").glob("*.ipynb"), finished / "index.html", finished / "metrics.json"]:
        found = private.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found[0]}"
    for path in finished.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            assert CANARY.encode() not in path.read_bytes(), path.name


def test_the_report_and_the_executed_lessons_open_offline_and_their_pictures_are_described(finished):
    page = (finished / "index.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png') >= 4 and page.count("guess ") >= len(BENCHMARKS)
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in re.findall(r"<img[^>]+>", page))
    for path in (finished / "index.html", *(finished / "lessons").glob("*.html")):
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', path.read_text(encoding="utf-8"))


def test_the_report_is_small_enough_to_mail_and_every_lesson_has_8_to_16_slides(finished, tmp_path):
    assert (finished / "index.html").stat().st_size < 3_000_000
    decks = slides.write(finished, tmp_path, say=lambda text: None)
    counts = {path.stem: path.read_text(encoding="utf-8").count('<section class="slide"') for path in decks}
    assert len(counts) == 10 and {name: n for name, n in counts.items() if not 8 <= n <= 16} == {}


@needs_browser
def test_the_site_of_the_run_opens_in_a_browser_and_its_results_print_on_fewer_than_ten_pages(
    finished, tmp_path, monkeypatch
):
    monkeypatch.chdir(ROOT)
    site.write(finished, tmp_path / "site", say=lambda text: None)
    with Browser() as browser:
        pages = sorted((tmp_path / "site").rglob("*.html"))
        assert {path.name: found for path in pages if (found := check_page(browser, path.as_uri()))} == {}
        browser.open((tmp_path / "site" / "results.html").as_uri())
        assert 1 < len(re.findall(rb"/Type\s*/Page\b", browser.pdf())) < 10


def test_every_lesson_has_a_sentence_in_the_report_on_what_it_found(finished):
    manifest, metrics = (json.loads((finished / f"{name}.json").read_text()) for name in ("manifest", "metrics"))
    said = {line["title"]: line["finding"] for line in page.lessons(finished, manifest, metrics)}
    assert len(said) == 10 and [title for title, text in said.items() if len(text) < 20] == []


@pytest.fixture(scope="module")
def opened_again(finished, tmp_path_factory):
    """Lessons 01 and 04 to 08 once more in a copy of the run, where nothing may be asked or trained: (folder, figures)."""
    folder = tmp_path_factory.mktemp("again") / "run"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("models"))
    (folder / "models").symlink_to(finished / "models")
    figures, real = {}, run.Run.figure

    def ask_nobody(chat, conversations, *rest):
        assert not conversations, "a finished run asks again"
        return iter(())

    def drawn(this, figure, name, *rest, **more):
        figures[name] = figure
        return real(this, figure, name, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(chat.LocalChat, "complete", ask_nobody)
        patch.setattr(trainer, "build", lambda *_, **__: pytest.fail("a finished run trains again"))
        patch.setattr(run.Run, "figure", drawn)
        for lesson in ("01", "04", "05", "06", "07", "08", "09"):
            cells.run(lesson, RUN=str(folder))
    return folder, figures


def test_a_finished_run_opened_again_asks_nothing_and_draws_the_same_bytes(finished, opened_again):
    folder, figures = opened_again
    assert len(figures) >= 10
    for name in figures:
        for kind in ("png", "csv"):
            one, other = ((where / "figures" / f"{name}.{kind}").read_bytes() for where in (finished, folder))
            assert one == other, f"{name}.{kind}"


def test_a_phone_can_show_the_text_of_every_picture(opened_again):
    """7 pixels of letter height at least where the picture is 380 pixels wide."""
    for name, figure in opened_again[1].items():
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text().strip():
                assert text.get_fontsize() / 72 * 380 / figure.get_figwidth() >= 7, f"{name}: {text.get_text()}"


@pytest.mark.parametrize("lesson", ["04", "05", "06"])
def test_a_lesson_that_reads_a_run_says_whose_answers_it_reads_in_a_fresh_folder(lesson, fresh):
    """Lessons 00 to 03 make what they need, 07 and 08 train: the course and the other suites open those."""
    shown, _ = cells.run(lesson, RUN=str(fresh))
    assert "packaged" in shown
    assert lesson in json.loads((fresh / "metrics.json").read_text())
