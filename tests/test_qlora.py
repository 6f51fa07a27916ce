"""QLoRA for real, on a processor: 4-bit weights, adapters that learn, a folder that answers, and its merge."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import tiny
import torch
import training
from safetensors.torch import load_file

from helpers import finetune, models, profiles, roles, score
from helpers.__main__ import main
from helpers.chat import LocalChat, user
from helpers.errors import UserError
from helpers.finetune import trainer as trainer_

pytestmark = pytest.mark.usefixtures("one_thread")

bitsandbytes = pytest.importorskip("bitsandbytes", reason="QLoRA needs bitsandbytes: pip install bitsandbytes")

LORA = profiles.Lora(rank=8, alpha=16, dropout=0.05)


def test_loading_what_trains_prints_nothing():
    """On processors with bfloat16 bitsandbytes recommends a package; a lesson's first cell would show it."""
    done = subprocess.run(
        [sys.executable, "-c", "import helpers.finetune.trainer"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.fixture(scope="module")
def profile(base):
    return training.settings(base, quantized=True, lora=LORA, max_steps=30, learning_rate=1e-2, stage1_tokens=12)


@pytest.fixture(scope="module")
def tuned(profile, tmp_path_factory):
    """(folder, manifest, the trainer) of one run."""
    out = tmp_path_factory.mktemp("tuned") / "role-seed0"
    with pytest.MonkeyPatch.context() as patch:
        built = training.spy_on_trainers(patch)
        manifest = training.tune(profile, out)
    return out, manifest, built[0]


def test_all_linear_layers_are_4_bits_with_double_quantisation_and_the_head_is_not(tuned):
    _, _, trainer = tuned
    quantized = {n: m for n, m in trainer.model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    assert len(quantized) == 3 * 7  # q, k, v, o, gate, up, down of three layers
    for name, module in quantized.items():
        state = module.weight.quant_state
        assert module.weight.dtype == torch.uint8 and state.quant_type == "nf4" and state.nested, name
        assert state.absmax.dtype == torch.uint8  # the scales are quantised too
        assert module.weight.numel() * 2 == state.shape.numel()
    assert not any("lm_head" in name for name in quantized)
    plain = [m for m in trainer.model.modules() if type(m) is torch.nn.Linear]
    assert {tuple(m.weight.shape) for m in plain} >= {(259, 48)}  # the head


def test_every_quantised_layer_has_an_adapter_that_has_learnt_in_32_bits(tuned):
    _, _, trainer = tuned
    trained = {n: p for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 3 * 7 and all("lora_" in n for n in trained)
    assert {p.dtype for p in trained.values()} == {torch.float32}  # TRL's bfloat16 would round updates away
    assert all(p.abs().max() > 0 for p in trained.values())


def test_the_loss_falls_and_only_adapters_are_saved(tuned):
    out, manifest, _ = tuned
    assert manifest["losses"][-1] < 0.8 * manifest["losses"][0]
    weights = load_file(out / "adapter_model.safetensors")
    assert len(weights) == 2 * 3 * 7 and all("lora_" in n for n in weights)
    assert not list(out.glob("model*.safetensors"))
    assert json.loads((out / "adapter_config.json").read_text())["r"] == 8
    assert json.loads((out / "manifest.json").read_text())["profile"]["quantized"] is True


def test_the_base_model_is_not_touched(tuned, base):
    wanted = tiny.model().state_dict()
    for name, weight in load_file(base / "model.safetensors").items():
        assert torch.equal(weight, wanted[name]), name


def test_the_folder_is_loaded_and_answers_as_the_model_did_that_was_trained(tuned, profile, base):
    out, _, trainer = tuned
    chats = [score.local_chat(profile, folder) for folder in (out, base)]
    questions = [user(row["messages"][0]["content"]) for row in tiny.ROWS]
    trained = LocalChat(trainer.model.eval(), chats[0].tokenizer, "trained")
    ours, untuned, wanted = (
        [reply.text for _, reply in sorted(chat.complete(questions, 24))] for chat in (*chats, trained)
    )
    assert ours == wanted and all(a != b for a, b in zip(ours, untuned, strict=True))
    assert chats[0].name.startswith("role-seed0@") and chats[0].name != chats[1].name


def test_it_is_scored_like_any_model(tuned, profile, tmp_path):
    out, _, _ = tuned
    arm, seed = score.arm_of(str(out))
    chat = score.local_chat(profile, out)
    table = score.score(profile, chat, tmp_path, arm, seed, ["gsm8k"], limit=2, say=lambda _: None)
    assert list(table.arm) == ["role"] and list(table.n) == [2]


def test_a_merged_model_is_plain_and_thinks_as_the_adapter_on_whole_weights_does(tuned, profile, tmp_path):
    from dataclasses import replace

    out, manifest, _ = tuned
    merged = finetune.merge(profile, out, tmp_path / "plain")
    assert not (merged / "adapter_config.json").exists()
    names = set(load_file(merged / "model.safetensors"))
    assert names == set(tiny.model().state_dict())
    whole = replace(profile, quantized=False)
    ids = torch.arange(3, 43)[None]
    with torch.no_grad():
        plain, adapted, base = (
            models.load(whole, str(folder))[0](input_ids=ids).logits for folder in (merged, out, profile.model)
        )
    assert (plain - adapted).abs().max() < 1e-3 < (plain - base).abs().max()
    made = json.loads((merged / "manifest.json").read_text())
    assert made == manifest | {"merged": True} and score.arm_of(str(merged)) == ("role", 0)
    assert (merged / "tokenizer.json").is_file()


def test_merge_is_a_command(tuned, profile, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profiles, "get", lambda *_, **__: profile)
    assert main(["merge", "--model", str(tuned[0]), "--out", "plain"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "plain: a plain model, ready to score"


def test_merge_refuses_a_folder_without_an_adapter_and_one_that_holds_files(tuned, profile, base, tmp_path):
    with pytest.raises(UserError, match=r"^base holds no adapter: merge is for models tuned with LoRA$"):
        finetune.merge(profile, base, tmp_path / "plain")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match=r"^mine is not empty: choose another --out$"):
        finetune.merge(profile, tuned[0], tmp_path / "mine")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mine", "thesis.txt"]


def test_on_a_gpu_the_profile_has_rank_64_on_all_linear_layers_and_pages_its_optimizer(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: True)  # as on its machine
    profile = profiles.get("qlora")
    assert profile.quantized and profile.lora == profiles.Lora(rank=64, alpha=16, dropout=0.05)
    lora = trainer_._lora(profile)
    assert lora.target_modules == "all-linear" and (lora.r, lora.lora_alpha, lora.lora_dropout) == (64, 16, 0.05)
    on_gpu = trainer_.settings(profile, "mixed", tmp_path, 0, 1, "none")
    assert on_gpu.optim == "paged_adamw_32bit" and on_gpu.bf16
    here = trainer_.settings(training.settings("x", quantized=True), "fp32", tmp_path, 0, 1, "none")
    assert here.optim == "adamw_torch_fused" and not here.bf16  # pages need a GPU


@pytest.mark.lessons
def test_the_default_model_is_tuned_in_4_bits_and_its_adapter_is_saved(tmp_path):
    """The real small model: two steps of two short dialogues."""
    profile = profiles.get("cpu", quantized=True, lora=LORA, max_steps=2)
    manifest = training.tune(profile, tmp_path / "role-seed0")
    assert manifest["steps"] == 2 and all(0 < loss < 10 for loss in manifest["losses"])
    weights = load_file(tmp_path / "role-seed0" / "adapter_model.safetensors")
    assert len(weights) == 2 * 30 * 7 and all("lora_" in n for n in weights)
    assert any(w.abs().max() > 0 for n, w in weights.items() if "lora_B" in n)
    chat = score.local_chat(profile, tmp_path / "role-seed0")
    assert dict(chat.complete([user("Why do things fall?")], 8))[0].tokens > 0
    assert roles.SYSTEM in (tmp_path / "role-seed0" / "README.md").read_text()
