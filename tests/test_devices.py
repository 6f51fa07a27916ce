"""Many devices, as two processes on this one: `accelerate launch`, plain data parallel and FSDP2, and the shipped settings."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest
import tiny
import torch
import training
import yaml
from filelock import SoftFileLock
from safetensors.torch import load_file

from helpers import models, profiles

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [*tiny.ROWS, tiny.row("e", "Count to two.", "One, two, and then I would rather stop.")]
LORA = profiles.Lora(rank=4, alpha=8, dropout=0.0)
SIZES = {"batch_size": 4, "max_steps": None, "epochs": 3.0}  # five rows: an epoch ends with a step of one row
RECIPES = {  # name: settings
    "one by one": {**SIZES, "device_batch_size": 1},
    "in twos": {**SIZES, "device_batch_size": 2},
    "adapters": {**SIZES, "device_batch_size": 1, "lora": LORA},
}


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory):
    """The recipes on one process: {name: (folder, manifest)}."""
    out = tmp_path_factory.mktemp("alone")
    return {n: (out / n, training.tune(training.settings(base, **s), out / n, ROWS)) for n, s in RECIPES.items()}


TWO = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_GPU",
    "machine_rank": 0,
    "mixed_precision": "no",
    "num_machines": 1,
    "num_processes": 2,
    "use_cpu": True,
}


def launch(kind, folder, *command, fails=False):
    """`accelerate launch` with two processes in `folder`; what they print."""
    settings = TWO | {"distributed_type": kind}
    if kind == "FSDP":  # as in four_gpus.yaml
        settings |= {"fsdp_config": shipped("four_gpus")["fsdp_config"]}
    (folder / "two.yaml").write_text(yaml.safe_dump(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "two.yaml", "--main_process_port"]
    done = subprocess.run(
        [*start, str(port), *map(str, command)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stderr if fails else done.stdout


def launch_jobs(kind, folder, base, recipes):
    jobs = []
    for name in recipes:
        profile = training.settings(base, **RECIPES[name])
        changes = {k: getattr(profile, k) for k in ("model", "learning_rate", "attention_dropout", *RECIPES[name])}
        changes["lora"] = profile.lora and asdict(profile.lora)
        jobs.append({"settings": changes, "rows": ROWS, "out": str(folder / name)})
    (folder / "jobs.json").write_text(json.dumps(jobs))
    return launch(kind, folder, Path(__file__).with_name("launched.py"), "jobs.json")


@pytest.fixture(scope="module")
def spread(base, tmp_path_factory):
    """The recipes on two processes with plain data parallelism: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("spread")
    return folder, launch_jobs("MULTI_GPU", folder, base, RECIPES)


@pytest.fixture(scope="module")
def sharded(base, tmp_path_factory):
    """The same with FSDP2, which spreads the weights too."""
    folder = tmp_path_factory.mktemp("sharded")
    return folder, launch_jobs("FSDP", folder, base, ["one by one", "in twos"])


def assert_same_run(folder, alone, name):
    manifest, (whole, wanted) = json.loads((folder / name / "manifest.json").read_text()), alone[name]
    assert (manifest["devices"], wanted["devices"]) == (2, 1)
    assert manifest["losses"] == pytest.approx(wanted["losses"], abs=1e-3)
    assert wanted["losses"][0] - wanted["losses"][-1] > 0.1  # there was something to agree on
    for key in ("steps", "dialogues_seen", "tokens", "trained_tokens", "data", "profile"):
        assert manifest[key] == wanted[key], key
    file = "adapter_model.safetensors" if (whole / "adapter_model.safetensors").exists() else "model.safetensors"
    ours, theirs = load_file(folder / name / file), load_file(whole / file)
    assert ours.keys() == theirs.keys()
    for key, weight in theirs.items():
        assert torch.allclose(ours[key], weight, atol=2e-3), key  # of steps of 1e-3


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_have_the_losses_and_weights_of_one_at_the_same_batch(spread, alone, name):
    """Also in an epoch's last step, whose one row leaves the second process without any."""
    assert_same_run(spread[0], alone, name)


@pytest.mark.parametrize("name", ["one by one", "in twos"])
def test_two_processes_that_share_the_weights_too_have_the_losses_and_weights_of_one(sharded, alone, name):
    assert_same_run(sharded[0], alone, name)


@pytest.mark.parametrize("kind", ["spread", "sharded"])
def test_one_process_speaks_and_writes(request, kind):
    folder, printed = request.getfixturevalue(kind)
    names = [p.name for p in folder.iterdir() if p.is_dir()]
    assert set(names) <= set(RECIPES) and len(names) >= 2  # no work folder, no lock, nothing half-made
    assert printed.count("memory plan, fp32 on each of 2 devices") == len(names)
    assert printed.count("a batch of 4 = 1 x 2 x 2 ") == len(names) - 1
    assert printed.count("a batch of 4 = 2 x 1 x 2 ") == 1
    assert printed.count("  step   6/6  ") == len(names)


def test_a_model_that_was_spread_is_saved_whole_and_loads_like_any(sharded, base):
    model, _ = models.load(training.settings(base), str(sharded[0] / "in twos"))
    assert {n: p.shape for n, p in model.named_parameters()} == {n: p.shape for n, p in tiny.model().named_parameters()}


def test_the_command_line_trains_on_all_processes(base, tmp_path):
    """A batch of 2 is one dialogue for each of two processes."""
    changed = "profiles.PROFILES['cpu'] = replace(profiles.CPU, batch_size=2)"
    imports = "from dataclasses import replace\nfrom helpers import __main__, profiles"
    (tmp_path / "twos.py").write_text(f"{imports}\n{changed}\nraise SystemExit(__main__.main())\n")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    command = ["finetune", "--arm", "role", "--model", base, "--rows", "rows.jsonl", "--out", "models/role-seed0"]
    printed = launch("MULTI_GPU", tmp_path, "twos.py", *command)
    assert printed.count("a batch of 2 = 1 x 1 x 2 ") == 1
    manifest = json.loads((tmp_path / "models" / "role-seed0" / "manifest.json").read_text())
    assert manifest["devices"] == 2 and manifest["steps"] == len(manifest["losses"]) == profiles.CPU.max_steps
    assert manifest["losses"][-1] < manifest["losses"][0]
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["role-seed0"]


def test_a_lock_that_another_process_holds_stops_every_process_with_the_same_line(base, tmp_path):
    job = {"settings": {"model": str(base), "batch_size": 2}, "rows": ROWS, "out": str(tmp_path / "out")}
    (tmp_path / "jobs.json").write_text(json.dumps([job]))
    lock = SoftFileLock(tmp_path / "out.lock")
    with lock:
        done = launch("MULTI_GPU", tmp_path, Path(__file__).with_name("launched.py"), "jobs.json", fails=True)
    line = f"UserError: out is being trained by process {os.getpid()}: wait for it to end, or end it"
    assert sum(said.endswith(line) for said in done.splitlines()) == 2, done[-3000:]
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.work").exists()


def test_an_unfinished_run_of_another_recipe_stops_every_process(base, tmp_path):
    job = {"settings": {"model": str(base), "batch_size": 2}, "rows": ROWS, "out": str(tmp_path / "out")}
    (tmp_path / "jobs.json").write_text(json.dumps([job]))
    (tmp_path / "out.work" / "checkpoint-3").mkdir(parents=True)
    (tmp_path / "out.work" / "checkpoint-3" / "trainer_state.json").write_text("{}")
    done = launch("MULTI_GPU", tmp_path, Path(__file__).with_name("launched.py"), "jobs.json", fails=True)
    assert done.count("UserError: out.work holds an unfinished run of another recipe or other data") == 2
    assert not (tmp_path / "out.lock").exists()


# --- the shipped settings ----------------------------------------------------------------------------------


def shipped(name):
    return yaml.safe_load(resources.files("helpers").joinpath("accelerate", f"{name}.yaml").read_text())


@pytest.mark.parametrize(
    ("name", "kind", "processes", "machines"),
    [("one_gpu", "NO", 1, 1), ("four_gpus", "FSDP", 4, 1), ("nodes", "FSDP", 8, 2)],
)
def test_a_shipped_file_is_what_its_name_says_in_accelerates_own_reading(name, kind, processes, machines):
    from accelerate.commands.config.config_args import load_config_from_file

    with resources.as_file(resources.files("helpers") / "accelerate" / f"{name}.yaml") as path:
        config = load_config_from_file(str(path))
    assert str(config.distributed_type).rsplit(".")[-1] == kind
    assert config.num_processes == processes and config.num_machines == machines and not config.use_cpu
    if kind == "FSDP":
        assert config.fsdp_config["fsdp_version"] == 2
        assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"  # one plain model is saved


def test_a_shipped_file_knows_no_setting_that_accelerate_does_not(tmp_path):
    """accelerate refuses unknown keys of a file, but passes over those of fsdp_config."""
    from accelerate.commands.launch import launch_command_parser

    options = {action.dest for action in launch_command_parser()._actions}
    for name in ("four_gpus", "nodes"):
        assert set(shipped(name)["fsdp_config"]) <= options


@pytest.mark.parametrize("name", ["one_gpu", "four_gpus", "nodes"])
def test_the_papers_batch_can_be_made_on_every_shipped_machine(name):
    from helpers.finetune import trainer as trainer_

    profile, processes = profiles.get("a100"), shipped(name)["num_processes"]
    assert trainer_.accumulation(profile, processes) * profile.device_batch_size * processes == 64
