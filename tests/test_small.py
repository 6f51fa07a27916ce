"""Profile `small`: the paper's protocol with a small model, on whatever device is there."""

from __future__ import annotations

import pytest
import tiny
import torch
import training
from safetensors.torch import load_file

from helpers import models, profiles, run, score
from helpers.machine import devices

GPU = "attention dropout"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("base"))


def on(monkeypatch, device, bfloat16):
    monkeypatch.setattr(devices, "best", lambda: device)
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: bfloat16)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_on_a_gpu_small_is_the_recipe_of_the_paper_but_for_what_it_says(monkeypatch, device):
    on(monkeypatch, device, bfloat16=True)
    small, paper = profiles.get("small"), profiles.get("a100")
    assert (small.device, small.dtype) == (device, "bfloat16")
    for same in ("betas", "weight_decay", "attention_dropout", "seeds", "max_tokens", "questions", "source", "stage2"):
        assert getattr(small, same) == getattr(paper, same), same
    assert not any(GPU in line for line in small.deviations)


def test_without_a_gpu_small_leaves_out_what_a_cpu_cannot_afford_and_says_so(monkeypatch):
    on(monkeypatch, "cpu", bfloat16=False)
    small = profiles.get("small")
    assert (small.device, small.dtype, small.attention_dropout, small.max_tokens) == ("cpu", "float32", 0.0, 2048)
    assert sum(GPU in line or "2,048" in line for line in small.deviations) == 2
    assert profiles.get("small", attention_dropout=0.1, max_tokens=64).attention_dropout == 0.1  # asked for by name
    assert profiles.get("small", device="cuda").attention_dropout == 0.25


@pytest.mark.parametrize("name", ["cpu", "qlora", "a100"])
def test_no_other_profile_depends_on_the_machine(monkeypatch, name):
    seen = []
    for device, bfloat16 in (("cpu", False), ("cpu", True), ("cuda", True)):
        on(monkeypatch, device, bfloat16)
        seen.append(profiles.get(name))
    assert seen[0] == seen[1] == seen[2] == profiles.PROFILES[name]


def test_mixed_keeps_float32_weights_and_nearly_the_losses_of_float32(base, tmp_path, monkeypatch):
    """PyTorch imitates bfloat16 where the processor has none: slower, with the same numbers."""
    profile = training.settings(base, precisions=("mixed",))
    plain = training.tune(profile, tmp_path / "plain")
    assert plain["precision"] == ("mixed" if devices.has_bfloat16("cpu") else "fp32")
    monkeypatch.setattr("helpers.finetune.tune.has_bfloat16", lambda _: True)
    built = training.spy_on_trainers(monkeypatch)
    mixed = training.tune(profile, tmp_path / "mixed")
    fp32 = training.tune(training.settings(base), tmp_path / "fp32")
    assert mixed["precision"] == "mixed" and built[0].args.bf16 and not built[1].args.bf16
    assert mixed["losses"] == pytest.approx(fp32["losses"], rel=0.01) and mixed["losses"] != fp32["losses"]
    assert {w.dtype for w in load_file(tmp_path / "mixed" / "model.safetensors").values()} == {torch.float32}


def test_a_machine_that_scores_in_other_arithmetic_knows_a_finished_model_again(base, tmp_path):
    made = training.tune(training.settings(base, dtype="float32"), tmp_path / "out")
    assert training.tune(training.settings(base, dtype="bfloat16"), tmp_path / "out") == made


def test_hours_are_what_training_and_scoring_cost_at_that_pace(base):
    profile = profiles.get(
        "cpu", model=str(base), seeds=(0, 1), epochs=2.0, max_steps=None, stage1_tokens=90, stage2_tokens=10
    )
    texts = ["a b c d e"] * 10
    tokens = 10 * len(models.tokenizer(profile)(texts[0]).input_ids)
    training_hours, scoring = score.pace.Pace(training=2.0, writing=10.0).hours(profile, texts, questions=300)
    assert training_hours * 3600 == pytest.approx(2 * 2 * 2 * tokens / 2)  # arms, seeds, epochs
    assert scoring * 3600 == pytest.approx(6 * 300 * score.pace.TYPICAL * 100 / 10)  # four tuned models, base twice


def test_a_run_on_any_device_begins_with_its_device_and_hours(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score.pace, "TOKENS", 64)
    monkeypatch.setattr(run.Run, "dialogues", lambda self: [tiny_dialogue()])
    monkeypatch.setattr(score.asking, "questions", lambda *_: {"mmlu": [{}] * 1000})
    small = {"model": str(base), "device": "cpu", "dtype": "float32"}
    run.start("small", tmp_path / "a", **small)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("device cpu, arithmetic in ") and " of training and " in line and "tokens/s trained" in line
    (tmp_path / "a" / "models").mkdir()
    run.start("small", tmp_path / "a", **small)
    assert "tokens/s" not in capsys.readouterr().out  # what has begun knows its pace


def tiny_dialogue():
    from helpers.data.dialogues import Dialogue

    return Dialogue("1", "test", ("Why is it so?", "Because of that."))
