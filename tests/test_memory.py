"""The memory plan: counts that are those of real tensors, and a refusal with numbers before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny
import torch
import training
from transformers import LlamaConfig, MistralConfig

from helpers import models, profiles
from helpers.errors import UserError
from helpers.finetune import memory
from helpers.finetune.memory import GIB
from helpers.finetune.precision import AdamW16
from helpers.machine import resources

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = 79.1  # GiB that a card of "80 GB" has
LORA = profiles.Lora(rank=4, alpha=8, dropout=0.0)


@pytest.fixture(scope="module")
def mistral():
    return memory.sizes(MistralConfig())


# --- the laptop -----------------------------------------------------------------------------------------


def test_every_training_of_the_lessons_fits_the_free_memory_that_the_readme_asks_for():
    smollm2 = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49_152, tie_word_embeddings=True,
    )  # fmt: skip
    cpu = profiles.get("cpu")
    for settings in (cpu, cpu.for_experiments(), replace(cpu.for_experiments(), **cpu.beyond)):
        assert memory.choose(settings, memory.sizes(smollm2), 6e9 / GIB).total > 2


# --- the paper's machine --------------------------------------------------------------------------------


def test_mistral_is_counted_without_a_single_weight(mistral):
    assert mistral.total == 7_241_732_096  # as its model card says: 7.24 B
    assert mistral.layers == 32 and mistral.vocabulary == 32_000


def test_one_card_of_80_gb_holds_the_model_in_16_bits_only(mistral):
    a100 = profiles.get("a100")
    assert memory.plan(a100, mistral, "fp32").total > CARD
    assert memory.choose(a100, mistral, CARD).precision == "bf16-sr"
    with pytest.raises(UserError):
        memory.choose(profiles.get("a100", precisions=("fp32",)), mistral, CARD)


@pytest.mark.parametrize("devices", [2, 4])
def test_several_cards_hold_it_in_32_bits(mistral, devices):
    plan = memory.choose(profiles.get("a100"), mistral, CARD, devices)
    assert plan.precision == "fp32" and plan.devices == devices and plan.total < 0.95 * CARD


def test_devices_share_all_but_the_activations(mistral):
    one, four = (memory.plan(profiles.get("a100"), mistral, "fp32", devices) for devices in (1, 4))
    assert four.activations == one.activations
    assert [four.weights, four.gradients, four.optimizer] == [one.weights / 4, one.gradients / 4, one.optimizer / 4]


@pytest.mark.parametrize(("tokens", "card"), [(2048, 12), (4096, 16)])
def test_qlora_fits_small_cards(mistral, tokens, card):
    plan = memory.plan(profiles.get("qlora", max_tokens=tokens), mistral)
    assert plan.total < card * 1e9 / GIB * (1 - memory.RESERVE)
    assert plan.weights > 3.5  # 7 billion at 4 bits, whatever else


def test_longer_dialogues_and_larger_batches_need_more(mistral):
    def need(**changes):
        return memory.plan(profiles.get("a100", **changes), mistral, "bf16-sr").activations

    assert need() > 1.9 * need(max_tokens=2048) and need(device_batch_size=4) == pytest.approx(2 * need())
    assert need(gradient_checkpointing=False) > 3 * need()


def test_what_cannot_fit_is_refused_with_all_the_numbers(mistral):
    plans = [memory.plan(profiles.get("a100"), mistral, precision) for precision in ("fp32", "bf16-sr")]
    with pytest.raises(UserError) as refusal:
        memory.choose(profiles.get("a100"), mistral, 39.4)
    assert str(refusal.value) == (
        f"profile 'a100' needs {plans[0].total:.1f} GiB in fp32, {plans[1].total:.1f} GiB in bf16-sr on each of 1 device(s), "
        "and there are 39.4 GiB: use more devices, --profile qlora, or smaller max_tokens or device_batch_size"
    )


def test_the_plan_is_one_line_with_its_parts_and_their_sum(mistral):
    plan = memory.plan(profiles.get("a100"), mistral, "fp32", 4)
    assert str(plan) == (
        f"memory plan, fp32 on each of 4 devices: weights {plan.weights:.1f}, gradients {plan.gradients:.1f}, "
        f"optimizer {plan.optimizer:.1f}, activations {plan.activations:.1f}; together {plan.total:.1f} GiB"
    )
    assert plan.total == plan.weights + plan.gradients + plan.optimizer + plan.activations


# --- against real tensors ---------------------------------------------------------------------------------


def measured(model, optimizer):
    """GiB of weights, gradients and optimizer after a step, counted on the tensors."""
    model(input_ids=torch.arange(3, 23)[None]).logits.float().square().mean().backward()
    optimizer.step()
    moments = [v for state in optimizer.state.values() for k, v in state.items() if k != "step"]
    tensors = (model.parameters(), [p.grad for p in model.parameters() if p.grad is not None], moments)
    return [sum(t.numel() * t.element_size() for t in kind) / GIB for kind in tensors]


@pytest.mark.parametrize(
    ("precision", "dtype", "kind"),
    [("fp32", torch.float32, torch.optim.AdamW), ("bf16-sr", torch.bfloat16, AdamW16)],
    ids=["fp32", "bf16-sr"],
)
def test_the_plan_of_a_full_fine_tune_is_what_the_tensors_take(base, precision, dtype, kind):
    profile = training.settings(base)
    plan = memory.plan(profile, memory.sizes(models.config(profile)), precision)
    model, _ = models.load(profile, dtype=str(dtype).removeprefix("torch."))
    assert [plan.weights, plan.gradients, plan.optimizer] == pytest.approx(measured(model, kind(model.parameters())))


def test_a_model_whose_head_is_its_embedding_is_counted_once(tmp_path):
    model = tiny.model()
    model.config.tie_word_embeddings = True
    type(model)(model.config).save_pretrained(tmp_path)
    size = memory.sizes(models.config(profiles.get("cpu", model=str(tmp_path))))
    assert size.total == sum(p.numel() for p in type(model)(model.config).parameters())


@pytest.mark.parametrize("quantized", [False, True], ids=["lora", "qlora"])
def test_the_plan_of_adapters_is_what_the_tensors_take(base, tmp_path, monkeypatch, quantized):
    built = training.spy_on_trainers(monkeypatch)
    profile = training.settings(base, lora=LORA, quantized=quantized, max_steps=1)
    manifest = training.tune(profile, tmp_path / "out")
    plan = memory.plan(profile, memory.sizes(models.config(profile)), "fp32")
    model, moments = built[0].model, []
    for state in built[0].optimizer.state.values():
        moments += [v for k, v in state.items() if k != "step"]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert plan.gradients == pytest.approx(sum(4 * p.numel() for p in trained) / GIB)
    assert plan.optimizer == pytest.approx(sum(m.numel() * m.element_size() for m in moments) / GIB)
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    for module in model.modules():
        if quantized and (state := getattr(getattr(module, "weight", None), "quant_state", None)):
            held += state.absmax.numel() * state.absmax.element_size()  # one byte for 64 weights
            held += state.state2.absmax.numel() * state.state2.absmax.element_size()
    assert plan.weights == pytest.approx(held / GIB, rel=0.01 if quantized else 1e-6)
    assert manifest["planned_memory_gib"] == round(plan.total, 2)


# --- in a run --------------------------------------------------------------------------------------------------


def test_the_plan_is_told_before_the_weights_are_loaded(base, tmp_path, monkeypatch):
    told, real = [], models.load
    monkeypatch.setattr(models, "load", lambda *a, **k: (told.append("loaded"), real(*a, **k))[1])
    training.tune(training.settings(base), tmp_path / "out", say=lambda line: told.append(str(line)))
    assert told[0].startswith("memory plan, fp32: weights 0.0") and told.index("loaded") >= 1
    assert told.count("loaded") == 1


def test_a_run_that_cannot_fit_is_refused_before_the_weights_are_loaded(base, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("loaded"))
    monkeypatch.setattr(memory, "available", lambda _: 0.001)
    with pytest.raises(UserError, match=r"needs \d+\.\d GiB in fp32 on each of 1 device.*and there are 0\.0 GiB: use"):
        training.tune(training.settings(base), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_first_precision_that_fits_is_used(base, tmp_path, monkeypatch):
    profile = training.settings(base, precisions=("fp32", "bf16-sr"), max_steps=1)
    plans = [memory.plan(profile, memory.sizes(models.config(profile)), p).total for p in profile.precisions]
    for room, chosen in ((2 * plans[0], "fp32"), (sum(plans) / 2 / (1 - memory.RESERVE), "bf16-sr")):
        monkeypatch.setattr(memory, "available", lambda _, room=room: room)
        assert training.tune(profile, tmp_path / chosen)["precision"] == chosen


def test_peak_memory_is_that_of_this_process():
    before = resources.peak_gib()
    held = torch.ones(2**28, dtype=torch.uint8)
    assert 0.1 < before < 64 and resources.peak_gib() >= before
    del held
