"""What the machine must have is said before anything is installed, and folders mean the same wherever they are named."""

from __future__ import annotations

import ast
import json
import os
import platform
import subprocess
import sys
import types
from pathlib import Path

import pytest

from helpers import data, models, profiles, run
from helpers.errors import UserError
from helpers.machine import doctor, places, provenance, resources
from helpers.report import lessons

ROOT = Path(__file__).parents[1]
FIRST = [ROOT / "src" / "helpers" / name for name in ("__init__.py", "machine/__init__.py", "machine/doctor.py")]
FIRST += [ROOT / "src" / "helpers" / "machine" / name for name in ("resources.py", "pytorch.py")]


def failed(lines) -> dict[str, str]:
    """What is wrong -> what it stops."""
    return {line.text: line.stops for line in lines if not line.fine}


# --- doctor, before anything is installed ---------------------------------------------------------


@pytest.mark.parametrize("path", FIRST, ids=lambda p: p.name)
def test_an_old_python_can_read_the_doctor(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_the_doctor_runs_on_a_python_without_any_package():
    done = subprocess.run([sys.executable, "-I", "-S", str(FIRST[2])], capture_output=True, text=True, cwd="/")
    assert done.stderr == "" and done.returncode in (0, 1)
    lines = done.stdout.splitlines()
    assert all(line.startswith(("[OK] ", "[FAIL] ")) for line in lines)
    for word in ("Python", "memory", "disk", "HumanEval"):
        assert any(word in line for line in lines), word
    assert "for the installation and a `cpu` run" in done.stdout  # it knows that nothing is there yet


@pytest.mark.parametrize(
    "version, fine",
    [((3, 8, 10), 0), ((3, 11, 2), 0), ((3, 11, 4), 0), ((3, 11, 5), 1), ((3, 14, 0), 1), ((3, 15, 0), 0)],
)
def test_a_python_that_the_packages_cannot_use_stops_the_installation(monkeypatch, version, fine):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(doctor, "_installed", lambda: False)
    line = doctor._python()
    assert line.fine == bool(fine)
    assert fine or ("3.11.5" in line.text and line.stops == "install")


SYSTEMS = {
    "Linux": ("Linux", "x86_64", 2**63 - 1, None),
    "Linux on ARM": ("Linux", "aarch64", 2**63 - 1, None),
    "Apple silicon": ("Darwin", "arm64", 2**63 - 1, None),
    "Windows": ("Windows", "AMD64", 2**63 - 1, None),
    "an Intel Mac": ("Darwin", "x86_64", 2**63 - 1, "Intel Macs"),
    "Windows on ARM": ("Windows", "ARM64", 2**63 - 1, "WSL"),
    "32 bits": ("Windows", "AMD64", 2**31 - 1, "64-bit Python"),
    "a Raspberry Pi of old": ("Linux", "armv7l", 2**63 - 1, "x86_64 or aarch64"),
    "another system": ("FreeBSD", "amd64", 2**63 - 1, "use Linux, Windows or macOS"),
}


@pytest.mark.parametrize("system, machine, bits, advice", SYSTEMS.values(), ids=SYSTEMS)
def test_a_system_without_pytorch_is_told_before_a_download(monkeypatch, system, machine, bits, advice):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), ""))
    monkeypatch.setattr(doctor, "_libc", lambda: (2, 36))
    monkeypatch.setattr(sys, "maxsize", bits)
    line = doctor._system()
    assert line.fine == (advice is None) and line.stops == "install"
    assert advice is None or advice in line.text


def test_an_old_macos_and_an_intel_python_on_apple_silicon_are_told_apart(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("13.6", ("", "", ""), ""))
    assert "macOS 14 or newer" in doctor._system().text
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "_output", lambda *command: "1")
    assert "install one for Apple silicon" in doctor._system().text


def test_an_old_c_library_is_told(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(doctor, "_libc", lambda: (2, 17))
    assert not doctor._system().fine
    monkeypatch.undo()
    assert sys.platform != "linux" or doctor._libc() >= (2, 28)  # this machine's is read, as a version


def test_a_laptop_with_too_little_free_memory_does_not_pass_and_gets_advice(monkeypatch):
    for free, fine in ((3.5, False), (5.9, False), (6.1, True)):
        monkeypatch.setattr(resources, "available_gib", lambda free=free: free)
        line = doctor._memory()
        assert (line.fine, line.stops) == (fine, "run")
        assert fine == ("close other programs" not in line.text)
    monkeypatch.setattr(resources, "available_gib", lambda: None)
    assert doctor._memory().fine


def test_a_full_disk_is_told_with_what_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=6e9))
    monkeypatch.setattr(doctor, "_installed", lambda: True)
    assert doctor._disk(tmp_path).fine
    monkeypatch.setattr(doctor, "_installed", lambda: False)
    line = doctor._disk(tmp_path)
    assert not line.fine and "6 GB free" in line.text and str(doctor.RUN + doctor.INSTALL) in line.text


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
@pytest.mark.parametrize(
    "setting, value, remedy",
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
    ],
)
def test_a_blocked_sandbox_names_the_setting_that_blocks_it_and_stops_nothing(
    tmp_path, monkeypatch, setting, value, remedy
):
    monkeypatch.setattr(doctor, "KERNEL", tmp_path)
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: tool)
    path = tmp_path / setting
    path.parent.mkdir()
    path.write_text({"1": "0", "0": "1"}[value] + "\n")
    assert "sysctl" not in doctor._sandbox(None).text
    path.write_text(value + "\n")
    line = doctor._sandbox(None)
    assert remedy in line.text and not line.fine and line.stops == ""
    assert "apt install" not in line.text
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: None)
    assert "sudo apt install bubblewrap" in doctor._sandbox(None).text
    assert doctor._sandbox("unshare").fine


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
def test_the_quick_look_at_the_sandbox_agrees_with_the_real_trial():
    from helpers.benchmarks import sandbox

    assert (doctor._isolation() is None) == (sandbox.available() is None)


@pytest.mark.parametrize("name", ["with space", "ümläut-日本", "100%", "a#b", "a$b", "it's", 'say"x"', "br[1]"])
def test_an_unusual_name_that_works_is_not_refused(tmp_path, name):
    assert failed(doctor._folder(tmp_path / name)) == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids these names")
@pytest.mark.parametrize("name", ["a:b", "{b}", "two\nlines"])
def test_a_folder_name_that_breaks_environments_stops_the_installation(tmp_path, name):
    assert list(failed(doctor._folder(tmp_path / name)).values()) == ["install"]


@pytest.mark.parametrize(
    "place",
    [
        "OneDrive - University/course",
        "Dropbox/course",
        "Google Drive/course",
        "Library/Mobile Documents/x",
        "My Drive/x",
    ],
)
def test_a_cloud_drive_is_told(tmp_path, place):
    assert "cloud drive" in next(iter(failed(doctor._folder(tmp_path / place))))


def test_a_proxy_must_leave_this_machines_own_servers_alone(monkeypatch):
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    assert list(doctor._proxy()) == []
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy.example:3128")
    lines = list(doctor._proxy())
    assert "NO_PROXY=localhost,127.0.0.1" in next(iter(failed(lines)))
    assert not any("secret" in line.text for line in lines)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert failed(doctor._proxy()) == {} and len(list(doctor._proxy())) == 1
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")  # of servers elsewhere only
    assert failed(doctor._proxy()) == {}


# --- doctor, after ----------------------------------------------------------------------------------


def test_what_stops_a_run_is_a_field_and_not_a_word_of_the_text():
    lines = [
        doctor.Line(False, "no sandbox"),
        doctor.Line(True, "x", "run"),
        doctor.Line(False, "a sandbox of disks", "run"),
    ]
    said = []
    assert doctor.report(lines[:2], said.append) == set()
    assert doctor.report(lines, said.append) == {"run"}
    assert said[:2] == ["[FAIL] no sandbox", "[OK] x"]


def test_after_the_installation_libraries_model_and_profiles_are_told(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(models, "fetch_default", lambda *_: None)
    lines = list(doctor.after())
    assert failed(lines) == {}
    told = "\n".join(line.text for line in lines)
    for words in (
        "torch 2.",
        "bitsandbytes 0.",
        "SmolLM2-135M-Instruct is in the cache",
        "profile cpu: this machine can",
    ):
        assert words in told
    assert told.count("not here: profile") == 2

    from importlib import metadata

    real = metadata.version
    gone = {"bitsandbytes", "trl"}

    def version(name):
        if name in gone:
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = failed(doctor.after())
    assert sorted(found.values()) == ["", "run"]
    assert any("lesson 02 leaves out its 4-bit part" in text for text in found)


def test_lesson_02_leaves_out_its_4_bit_part_where_bitsandbytes_is_missing(monkeypatch, tmp_path, capsys):
    from helpers.run import Run

    cells = json.loads((ROOT / "notebooks" / "02_finetune_with_trl.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    first = next(i for i, source in enumerate(code) if '"quantized": True' in source)
    space = {
        "chat_of": types.SimpleNamespace(cache_clear=lambda: None),
        "rows": [],
        "questions": ["?"] * 4,
        "room": 8,
        "replies": {"role": ["[x] y"] * 4},
    }
    exec(code[0], space)
    space["run"] = Run(profiles.get("cpu"), tmp_path)
    space["manifests"] = {"role": {"steps": 4, "tokens_per_second": 90.0}}
    space["show"] = types.SimpleNamespace(table=lambda frame, *_, **__: frame)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    exec(code[first], space)
    assert "pip install bitsandbytes" in capsys.readouterr().out
    assert [line[0] for line in space["lines"]] == ["full fine-tuning"]


# --- folders that a person names --------------------------------------------------------------------


@pytest.fixture
def course(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("where", [".", "notebooks"])
def test_a_relative_folder_means_the_same_in_a_terminal_and_in_a_lesson(course, monkeypatch, where):
    (course / "mine").mkdir()
    monkeypatch.setenv("SPT_DATA", "mine")
    monkeypatch.setenv("SPT_CACHE", "mine")
    monkeypatch.chdir(course / where)
    assert data.local_folder() == models.cache_folder() == places.place("mine") == course / "mine"
    assert places.place(str(course / "x")) == course / "x"
    assert places.place("~/x") == Path.home() / "x"


def test_a_wrong_folder_is_told_with_what_it_meant(course, monkeypatch):
    monkeypatch.chdir(course / "notebooks")
    monkeypatch.setenv("SPT_DATA", "nowhere")
    with pytest.raises(UserError, match=f"there is no {course.name}/nowhere"):
        data.local_folder()
    (course / "taken").touch()
    monkeypatch.setenv("SPT_CACHE", "taken")
    with pytest.raises(UserError, match=f"cannot keep the model in {course.name}/taken .*set SPT_CACHE"):
        models.fetch_default(lambda *_: None)


def test_a_run_on_another_drive_of_windows_opens_and_its_lessons_find_it(tmp_path, monkeypatch, capsys):
    def relpath(path, start=None):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    opened = run.start("cpu", tmp_path / "mine")
    assert capsys.readouterr().out.strip().endswith("files in mine")
    passed = {}

    def execute_notebook(_, target, parameters, **options):
        passed.update(parameters)
        raise KeyboardInterrupt

    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(KeyboardInterrupt):
        lessons.execute(ROOT / "notebooks" / "00_check_your_setup.ipynb", opened, lessons.Progress("00"))
    assert passed["RUN"] == str(tmp_path / "mine")
    assert places.seen_from(tmp_path) == str(tmp_path)


# --- the commit of a result -------------------------------------------------------------------------


@pytest.fixture
def repository(course):
    code = course / "src" / "helpers"
    code.mkdir(parents=True)
    (code / "stats.py").write_text("a = 1\n")
    (course / "notebooks" / "01_x.ipynb").write_text("{}")
    (course / ".gitignore").write_text("__pycache__/\n")
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(course), *command], check=True)
    return course


@pytest.mark.parametrize(
    "path, counts",
    [
        ("room/model.safetensors", False),
        ("notes.txt", False),
        ("notebooks/Untitled.ipynb", False),
        ("src/helpers/__pycache__/stats.pyc", False),
        ("src/helpers/mine.py", True),
        ("src/helpers/stats.py", True),
        ("notebooks/01_x.ipynb", True),
        ("notebooks/10_mine.ipynb", True),
    ],
)
def test_only_files_that_can_change_a_result_mark_the_commit(repository, path, counts):
    clean = provenance.commit()
    assert len(clean) == 12
    file = repository / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("changed\n")
    assert provenance.commit() == clean + ("+changes" if counts else "")


# --- threads ----------------------------------------------------------------------------------------

ORDER = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("helpers", "torch"):
            print(name, flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
exec(sys.stdin.read())
"""


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_lesson_imports_helpers_before_anything_that_loads_torch(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    imports = next("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    command = [sys.executable, "-W", "ignore", "-c", ORDER]
    done = subprocess.run(command, input=imports, capture_output=True, text=True)
    assert done.stdout.strip() == "helpers", done.stderr


def test_importing_helpers_sets_how_threads_wait_and_loads_no_package():
    code = "import os, sys, helpers; print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    source = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["PASSIVE", "5000"], done.stderr


def test_a_participant_sends_back_one_line_that_says_ready_or_why_not(capsys):
    fine, broken = (
        doctor.Line(True, "4 cores"),
        doctor.Line(False, "3.1 GiB of memory available: close programs", "run"),
    )
    assert doctor.preflight(iter([fine, doctor.Line(False, "no sandbox")])) == set()
    assert doctor.preflight(iter([fine, broken])) == {"run"}
    ready, not_ready = capsys.readouterr().out.splitlines()
    assert ready.startswith("READY | ") and "Python 3" in ready and ready.endswith("| no sandbox")
    assert not_ready.startswith("NOT READY | ") and not_ready.endswith("| 3.1 GiB of memory available: close programs")
