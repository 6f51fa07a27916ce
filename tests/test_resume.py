"""Killed with SIGKILL at any instant and started again, a fine-tune ends with the weights of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

KILLS = 8

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """(folder, what killed.py tells): runs that were killed at KILLS or more seeded random instants in all."""
    folder = tmp_path_factory.mktemp("killed")
    tiny.save(folder / "base")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), folder, str(KILLS)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, json.loads((folder / "killed.json").read_text())


def test_enough_kills_fell_into_the_training(killed):
    _, told = killed
    assert len(told["steps"]) >= KILLS and told["runs"] >= 1
    assert sum(0 < step < 7 for step in told["steps"]) >= 3, f"killed at {told['steps']}: this shows little"


def test_every_run_ends_with_the_weights_and_losses_of_the_undisturbed_one(killed):
    """Two steps make an epoch of these rows: the runs go over three of its borders."""
    folder, told = killed
    weights = (folder / "undisturbed" / "model.safetensors").read_bytes()
    wanted = json.loads((folder / "undisturbed" / "manifest.json").read_text())
    assert wanted["steps"] == len(wanted["losses"]) == 7
    for run in range(1, told["runs"] + 1):
        out = folder / f"killed-{run}"
        assert (out / "model.safetensors").read_bytes() == weights, told
        manifest = json.loads((out / "manifest.json").read_text())
        for key in ("losses", "steps", "dialogues_seen", "tokens", "trained_tokens", "data", "profile"):
            assert manifest[key] == wanted[key], key
        assert 0 < manifest["seconds"] < 60


def test_nothing_half_made_is_left_behind(killed):
    folder, told = killed
    models = {"base", "warm", "undisturbed", *(f"killed-{n}" for n in range(1, told["runs"] + 1))}
    assert {p.name for p in folder.iterdir()} == models | {"killed.json"}
    files = {p.relative_to(folder / "undisturbed") for p in (folder / "undisturbed").rglob("*")}
    for name in models - {"base"}:
        assert {p.relative_to(folder / name) for p in (folder / name).rglob("*")} == files
