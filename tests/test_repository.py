"""The repository keeps its word: one list of dependencies, lessons in the agreed form, solutions that solve."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers import data
from helpers.machine import doctor
from helpers.report import page

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def tagged(notebook, tag: str) -> list[int]:
    return [i for i, c in enumerate(notebook.cells) if tag in c.metadata.get("tags", [])]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


# --- dependencies ---------------------------------------------------------------------------------


def test_conda_users_get_the_dependencies_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert sorted(d for d in pip if d != "-e .") == sorted(PROJECT["dependencies"])
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


def test_the_lock_pins_every_dependency_to_a_version_it_allows():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    pinned = {name(line): Requirement(line) for line in lines}
    assert all(re.fullmatch(r"==[^,*]+", str(r.specifier)) for r in pinned.values())
    assert str(pinned["torch"].specifier) == "==2.13.0"
    for dependency in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        version = str(pinned[name(dependency)].specifier).removeprefix("==")
        assert Requirement(dependency).specifier.contains(version), dependency


def test_python_is_old_enough_for_no_package_of_the_lock():
    """make, doctor, conda and README ask for the same Python, and this environment's packages accept it."""
    oldest = ".".join(map(str, doctor.OLDEST))
    assert PROJECT["requires-python"] == f">={oldest}"
    assert f"Python {oldest} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    for installed in distributions():
        needed = SpecifierSet(installed.metadata["Requires-Python"] or "")
        assert needed.contains(oldest), f"{installed.name} needs Python {needed}"


def test_every_import_of_helpers_and_lessons_is_a_dependency_and_no_extra():
    declared = {name(d) for d in PROJECT["dependencies"]}
    sources = {p: p.read_text() for p in (ROOT / "src" / "helpers").rglob("*.py")}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        sources[path] = "\n\n".join(c.source for c in cells if c.cell_type == "code")
    owners_of = packages_distributions()
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                if top in sys.stdlib_module_names or top == "helpers":
                    continue
                owners = {name(d) for d in owners_of.get(top, [top])}
                assert owners & declared, f"{path.name} imports {top}: not among the dependencies"
    # what libraries import for us: 4-bit weights, GGUF files, kernels, logs of a training, templates of a page
    assert {"bitsandbytes", "gguf", "ipykernel", "jupyterlab", "accelerate", "tensorboard"} <= declared


@pytest.mark.skipif(not os.environ.get("SPT_TEST_RESOLVE"), reason="asks the package index; set SPT_TEST_RESOLVE=1")
def test_the_declared_dependencies_resolve_in_a_clean_environment(tmp_path):
    """What `conda env create` and a plain `pip install -e .` would install, and that it holds all that is imported."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report"]
    report = tmp_path / "report.json"
    done = subprocess.run([*command, str(report), *PROJECT["dependencies"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    chosen = {name(p["metadata"]["name"]) for p in json.loads(report.read_text())["install"]}
    assert {name(d) for d in PROJECT["dependencies"]} <= chosen


# --- imports ------------------------------------------------------------------------------------------


def lint_imports(source: Path) -> subprocess.CompletedProcess:
    """Hold the contract of pyproject.toml against a copy of the package below `source`."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", str(ROOT / "pyproject.toml")]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)


def test_imports_run_one_way():
    done = lint_imports(ROOT / "src")
    assert done.returncode == 0, done.stdout


def test_an_import_that_runs_the_wrong_way_is_found(tmp_path):
    for path in (ROOT / "src").rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT / "src")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "helpers" / "stats.py").write_text("from helpers import score\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0 and "helpers.stats is not allowed to import helpers.score" in done.stdout


def test_ci_runs_make_test():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / ".github" / "workflows" / "test.yml").read_text()


# --- lessons --------------------------------------------------------------------------------------


def test_all_ten_lessons_are_there():
    assert [p.stem for p in NOTEBOOKS] == [
        "00_check_your_setup",
        "01_annotate_lima_role",
        "02_finetune_with_trl",
        "03_score_benchmarks",
        "04_mmlu_by_domain",
        "05_role_word_clouds",
        "06_llm_judge",
        "07_prompt_designs",
        "08_when_it_pays",
        "09_beyond_the_paper",
    ]


def test_a_lesson_is_stored_without_outputs_and_names_its_kernel(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
    assert notebook.metadata.kernelspec.name == "python3"
    nbformat.validate(notebook)


def test_a_lesson_tells_its_minutes_and_takes_its_profile_from_one_parameters_cell(notebook):
    course = notebook.metadata.course
    for field in ("title", "teaching_minutes", "exercise_minutes", "rebuilds", "hardware", "objectives", "keypoints"):
        assert course[field], field
    (parameters,) = tagged(notebook, "parameters")
    names = {t.id for n in ast.parse(notebook.cells[parameters].source).body for t in getattr(n, "targets", [])}
    assert {"PROFILE", "RUN", "OVERRIDES"} <= names
    assert all(n.isupper() for n in names)
    assert len(tagged(notebook, "record")) == 1 and tagged(notebook, "record")[0] == len(notebook.cells) - 1


def test_the_readme_lists_the_lesson_with_its_minutes(notebook, request):
    readme = (ROOT / "README.md").read_text()
    course = notebook.metadata.course
    stem = request.node.callspec.id
    line = next((line for line in readme.splitlines() if stem in line and line.startswith("|")), None)
    assert line, f"README's table has no line for {stem}"
    assert f"{course.teaching_minutes} + {course.exercise_minutes}" in line


def test_no_file_holds_a_key_or_a_path_of_a_maintainers_machine():
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout
    suspicious = re.compile(r"/root/|/home/[a-z]+/|/Users/[A-Za-z]+/|\bsk-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{30,}")
    for file in filter(None, listed.split("\0")):
        path = ROOT / file
        if path.suffix == ".png" or path.name in ("test_repository.py", "test_sandbox.py") or not path.is_file():
            continue
        found = suspicious.search(path.read_text(encoding="utf-8", errors="ignore"))
        assert not found, f"{file}: {found[0]}"


def test_the_pictures_say_which_run_they_come_from():
    about = json.loads((ROOT / "figures" / "figures.json").read_text())
    pictures = {p.stem for p in (ROOT / "figures").glob("*.png")}
    assert pictures == set(about) and {"benchmarks", "mmlu_domains", "role_clouds"} <= pictures
    for picture in about.values():
        assert picture["profile"] == "cpu" and re.fullmatch(r"[0-9a-f]{12}", picture["commit"])
        assert re.search(r"\d", picture["stamp"]), (
            "each picture by its own stamp: what it was computed from, and how much"
        )


def test_the_readme_shows_the_scores_of_the_packaged_run():
    from helpers import score
    from helpers.report import lessons

    shown = (ROOT / "README.md").read_text(encoding="utf-8").split(lessons.TABLE_BEGINS)[1].split(lessons.TABLE_ENDS)[0]
    assert shown.strip() == page.readme_table(score.read_csv(data.REFERENCE / "scores.csv"))
    assert all(f" {label} |" in shown for label in ("base", "LIMA", "LIMA-Role"))


def test_the_readmes_one_sentence_of_result_has_the_numbers_of_the_packaged_run():
    from helpers import benchmarks, roles, score, stats
    from helpers.analyse import domains

    answers = score.read_csv(data.REFERENCE / "answers.csv")
    (sentence,) = re.findall(r"\*\*(In the packaged run [^*]+)\*\*", (ROOT / "README.md").read_text(encoding="utf-8"))
    share, *difference, _, low, high = re.findall(r"[-+]?\d+\.?\d*", sentence.replace("−", "-"))
    own = answers[answers.arm == "role"].role.dropna().map(roles.parse).notna().sum() / (answers.arm == "role").sum()
    assert share == f"{100 * own:.0f}"
    grids = {name: domains.grids(domains.in_both(answers, benchmark=name)) for name in benchmarks.BENCHMARKS}
    lima, role = ({name: g[arm].to_numpy() for name, g in grids.items()} for arm in ("lima", "role"))
    found = stats.verdict(lima, role, names=("LIMA", "LIMA-Role"))
    assert found.answer not in ("yes", "no"), "the sentence says that nothing is shown"
    assert f"({difference[0]} points, 95 % interval {low} to {high})" in found.reason


def test_every_picture_of_the_readme_is_there_with_an_alternative_text():
    images = re.findall(r"<img ([^>]*)>", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(images) >= len(NOTEBOOKS)
    for image in images:
        found = dict(re.findall(r'(\w+)="([^"]*)"', image))
        assert (ROOT / found["src"]).is_file() and len(found["alt"]) > 20, image


def test_the_courses_diagram_has_every_lesson_and_its_stored_picture_is_the_one_that_the_code_draws():
    from helpers.report import pipeline

    assert list(pipeline.LESSONS) == [path.stem[:2] for path in NOTEBOOKS]
    assert (ROOT / "figures" / "pipeline.svg").read_text(encoding="utf-8") == pipeline.picture()
