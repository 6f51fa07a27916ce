"""The memory plan: counts that are those of real tensors, and a refusal with numbers before anything is loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
import training
from transformers import LlamaConfig, MistralConfig

from helpers import models, profiles
from helpers.errors import UserError
from helpers.finetune import encode, memory
from helpers.finetune.memory import GIB
from helpers.finetune.precision import AdamW16
from helpers.machine import resources

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = 79.1  # GiB that a card of "80 GB" has
LORA = profiles.Lora(rank=4, alpha=8, dropout=0.0)
LONGEST = max(len(encode.encode_dialogue(row, tiny.tokenizer(), "role").input_ids) for row in tiny.ROWS)


@pytest.fixture(scope="module")
def smollm2():
    return memory.sizes(
        LlamaConfig(
            hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
            vocab_size=49_152, tie_word_embeddings=True,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def mistral():
    return memory.sizes(MistralConfig())


# --- the laptop -----------------------------------------------------------------------------------------


def test_every_training_of_the_lessons_fits_the_free_memory_that_the_readme_asks_for(smollm2):
    cpu = profiles.get("cpu")
    for settings in (cpu, cpu.for_experiments(), replace(cpu.for_experiments(), **cpu.beyond)):
        assert memory.choose(settings, smollm2, 6e9 / GIB).total > 2


def test_an_8_gb_laptop_trains_lesson_02_with_what_its_browser_leaves(smollm2):
    """4 GiB free: the layers are checkpointed, and the line says so."""
    for room in (4.0, 4.5, 5.0):
        plan = memory.choose(profiles.get("cpu"), smollm2, room)
        assert plan.total < 3.3 and plan.without > 7
        assert str(plan).endswith(f"GiB; layers are checkpointed, which takes longer: without, {plan.without:.1f}")


@pytest.mark.parametrize(
    ("room", "advice"),
    [
        (3.9, "device_batch_size=1, gradient_checkpointing=True"),
        (2.8, "device_batch_size=1, gradient_checkpointing=True, max_tokens=512"),
        (1.9, "device_batch_size=1, gradient_checkpointing=True, lora={'rank': 8}"),
    ],
)
def test_advice_on_a_laptop_fits_it(smollm2, room, advice):
    """What the line names is tried: with these settings it is not refused."""
    profile = profiles.get("cpu", batch_size=2, device_batch_size=2)
    with pytest.raises(UserError) as refusal:
        memory.choose(profile, smollm2, room)
    line = str(refusal.value)
    assert re.match(
        rf"^profile 'cpu' needs 1\d\.\d GiB in fp32, \d\.\d GiB in fp32 checkpointed, and {room} GiB are free: "
        rf"close other notebooks and programs, or set {re.escape(advice)} \(\d\.\d GiB\)$",
        line,
    ), line
    changes = eval(f"dict({advice})")
    assert memory.choose(profiles.get("cpu", batch_size=2, **changes), smollm2, room).total <= room


def test_a_model_that_nothing_helps_is_refused_with_a_smaller_one(mistral):
    with pytest.raises(UserError, match=r"close other notebooks and programs, or take a smaller model$"):
        memory.choose(profiles.get("cpu"), mistral, 8.0)


# --- attention dropout on a processor -------------------------------------------------------------------


def test_dropped_attention_is_planned_with_the_square_of_the_length_on_a_processor_only(smollm2):
    def scores(device="cpu", **changes):
        """GiB that dropout adds."""
        profile = profiles.get("cpu", device=device, **changes)
        with_, without = (memory.plan(replace(profile, attention_dropout=p), smollm2) for p in (0.25, 0.0))
        return with_.activations - without.activations

    kept = 12 * 9 * 1024**2 * 29 / GIB  # three numbers a score, nine heads, and the first layer does not drop
    assert kept < scores() < 1.15 * kept
    assert scores(max_tokens=512) == pytest.approx(scores() / 4)
    assert scores(device_batch_size=2) == pytest.approx(2 * scores())
    assert scores(gradient_checkpointing=True) < 0.2 * scores()  # one layer at a time
    assert scores("cuda") == 0


def test_the_plan_is_for_the_longest_row_that_is_there(base, tmp_path):
    """Rows of a few hundred tokens need not reserve what `max_tokens` would take."""
    said = []
    profile = training.settings(base, max_steps=1, max_tokens=2000, attention_dropout=0.25)
    manifest = training.tune(profile, tmp_path / "out", say=lambda line: said.append(line))
    assert said[0] == memory.plan(profile, memory.sizes(models.config(profile)), longest=LONGEST)
    assert manifest["checkpointed"] is False


def test_a_run_that_fits_only_checkpointed_has_the_weights_of_one_that_fits_whole(base, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CHECKPOINTED", 20)  # so that it pays for three layers, too
    profile = training.settings(base, attention_dropout=0.25, max_steps=2)
    size = memory.sizes(models.config(profile))
    whole, less = (
        memory.plan(replace(profile, gradient_checkpointing=way), size, longest=LONGEST).total for way in (False, True)
    )
    said = []
    for name, room in (("whole", 2 * whole), ("checkpointed", (whole + less) / 2 / (1 - memory.RESERVE))):
        monkeypatch.setattr(memory, "available", lambda _, room=room: room)
        manifest = training.tune(profile, tmp_path / name, say=lambda line: said.append(str(line)))
        assert manifest["checkpointed"] is (name == "checkpointed")
    assert sum("layers are checkpointed" in line for line in said) == 1
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "checkpointed"))
    assert one == two


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("precision", "way"), [("fp32", "WHOLE"), ("fp32", "CHECKPOINTED")])
def test_a_training_at_its_planned_limit_takes_what_was_planned_and_stays_flat(tmp_path, precision, way):
    """50 steps over many lengths, attention with dropout, in a process of its own."""
    script = Path(__file__).with_name("planned.py")
    command = [sys.executable, script, tmp_path / "base", precision, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    peaks, planned = told["peaks"], told["planned_memory_gib"]
    assert len(peaks) == told["steps"] == 50 and told["checkpointed"] is (way == "CHECKPOINTED")
    # A checkpointed layer is small beside the gaps that the allocator leaves, and those differ from run to run.
    least, growth = {"WHOLE": (0.8, 1.2), "CHECKPOINTED": (0.5, 1.3)}[way]
    assert least * planned < max(peaks) < 1.2 * planned, told
    assert max(peaks[25:]) < growth * max(peaks[:25]), told


def test_memory_that_grew_past_the_plan_is_given_back(monkeypatch):
    trimmed, held = [], [1.0]
    monkeypatch.setattr(memory, "held_gib", lambda: held[0])
    monkeypatch.setattr(memory, "trim_heap", lambda: trimmed.append(held[0]))
    before = memory.keep_to(memory.Plan("fp32", 1, 0.5, 0.5, 0.5, 0.5))
    for held[0] in (2.9, 3.1, 2.0):
        before()
    assert trimmed == [3.1]


# --- the memory that a process may take ------------------------------------------------------------------


def machine(tmp_path, available, cgroup, **groups):
    """A /proc and a /sys/fs/cgroup with these contents (sizes in MiB); MiB that are available."""
    proc, tree = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available * 1024} kB\n")
    (proc / "self" / "cgroup").write_text(cgroup)
    for path, files in groups.items():
        (tree / path).mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            text = value if isinstance(value, str) else str(value * 2**20)
            (tree / path / name.replace("__", ".")).write_text(text + "\n")
    return round(resources.available_gib(proc, tree) * 1024)


def v2(limit, used, inactive=0):
    return {"memory__max": limit, "memory__current": used, "memory__stat": f"anon 5\ninactive_file {inactive * 2**20}"}


def v1(limit, used, inactive=0):
    stat = f"inactive_file 7\ntotal_inactive_file {inactive * 2**20}"
    return {"memory__limit_in_bytes": limit, "memory__usage_in_bytes": used, "memory__stat": stat}


V1 = "9:cpu:/x\n4:memory:/docker/abc\n0::/elsewhere\n"
NONE = "9223372036854771712"  # what v1 writes where there is no limit


@pytest.mark.parametrize(
    ("cgroup", "groups", "wanted"),
    [
        ("", {}, 8000),
        ("0::/\n", {".": v2(2000, 1500)}, 500),  # a container that sees its own group as the top
        ("0::/\n", {".": v2(2000, 1500, 300)}, 800),  # files that were read are given up
        ("0::/user/me\n", {"user/me": v2("max", 10), "user": v2(3000, 1000)}, 2000),  # the limit of the group around
        ("0::/user/me\n", {"user/me": v2(1000, 400), "user": v2(3000, 2900)}, 100),  # the tightest counts
        ("0::/a\n", {"a": v2("max", 10)}, 8000),
        ("0::/a\n", {"a": v2(50_000, 10)}, 8000),  # the machine has less than its container may take
        ("0::/a\n", {"a": v2(1000, 1200)}, 0),
        ("0::/../../a\n", {"a": v2(2000, 500)}, 1500),  # as another namespace sees it
        (V1, {"memory/docker/abc": v1(3000, 1000, 200)}, 2200),
        (V1, {"memory/docker/abc": v1(NONE, 10), "memory/docker": v1(2500, 500)}, 2000),
        (V1, {"memory/docker/abc": v1(NONE, 10)}, 8000),
        (V1, {"memory": v1(1500, 500)}, 1000),  # the path of the host, which the container does not have
        ("4:cpuset,memory:/\n", {"memory": v1(1500, 500)}, 1000),
        ("0::/a\n", {"unified/a": v2(1500, 500)}, 1000),  # both versions side by side
        ("0::/a\n", {"a": {"memory__max": "broken", "memory__current": "1"}}, 8000),
    ],
)
def test_what_is_available_is_what_the_container_allows_too(tmp_path, cgroup, groups, wanted):
    assert machine(tmp_path, 8000, cgroup, **groups) == wanted


def test_available_memory_is_known_before_anything_is_installed():
    """`doctor` calls it with Python alone."""
    path = Path(resources.__file__).parent
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import resources as r; print(r.available_gib(), r.held_gib())"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    available, held = map(float, done.stdout.split())
    assert 0 < available < 4096 and 0.001 < held < 0.2


def test_elsewhere_than_on_linux_psutil_is_asked_or_nothing_is_known(tmp_path, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * GIB))
    assert resources.available_gib(tmp_path, tmp_path) == 3
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert resources.available_gib(tmp_path, tmp_path) is None


# --- the paper's machine --------------------------------------------------------------------------------


def test_mistral_is_counted_without_a_single_weight(mistral):
    assert mistral.total == 7_241_732_096  # as its model card says: 7.24 B
    assert mistral.layers == 32 and mistral.vocabulary == 32_000


def test_one_card_of_80_gb_holds_the_model_in_16_bits_only(mistral):
    a100 = profiles.get("a100")
    assert memory.plan(a100, mistral, "mixed").total > CARD
    assert memory.choose(a100, mistral, CARD).precision == "bf16-sr"
    with pytest.raises(UserError):
        memory.choose(profiles.get("a100", precisions=("mixed",)), mistral, CARD)


@pytest.mark.parametrize("devices", [2, 4])
def test_several_cards_hold_it_in_32_bits(mistral, devices):
    plan = memory.choose(profiles.get("a100"), mistral, CARD, devices)
    assert plan.precision == "mixed" and plan.devices == devices and plan.total < 0.95 * CARD


def test_devices_share_all_but_the_activations(mistral):
    one, four = (memory.plan(profiles.get("a100"), mistral, "mixed", devices) for devices in (1, 4))
    assert four.activations == one.activations
    assert [four.weights, four.gradients, four.optimizer] == [one.weights / 4, one.gradients / 4, one.optimizer / 4]


@pytest.mark.parametrize(("tokens", "card"), [(2048, 12), (4096, 16)])
def test_qlora_fits_small_cards(mistral, tokens, card):
    plan = memory.plan(profiles.get("qlora", max_tokens=tokens), mistral)
    assert plan.total < card * 1e9 / GIB * (1 - memory.RESERVE)
    assert plan.weights > 3.5  # 7 billion at 4 bits, whatever else


def test_longer_dialogues_and_larger_batches_need_more(mistral):
    def need(**changes):
        return memory.plan(profiles.get("a100", **changes), mistral, "mixed").activations

    assert need() > 1.9 * need(max_tokens=2048) and need(device_batch_size=4) == pytest.approx(2 * need())
    assert need(gradient_checkpointing=False) > 3 * need()


def test_what_cannot_fit_is_refused_with_all_the_numbers(mistral):
    plans = [memory.plan(profiles.get("a100"), mistral, precision) for precision in ("mixed", "bf16-sr")]
    with pytest.raises(UserError) as refusal:
        memory.choose(profiles.get("a100"), mistral, 39.4)
    assert str(refusal.value) == (
        f"profile 'a100' needs {plans[0].total:.1f} GiB in mixed, {plans[1].total:.1f} GiB in bf16-sr on each of 1 device(s), "
        "and there are 39.4 GiB: use more devices, --profile qlora, or smaller max_tokens or device_batch_size"
    )


def test_the_plan_is_one_line_with_its_parts_and_their_sum(mistral):
    plan = memory.plan(profiles.get("a100"), mistral, "mixed", 4)
    assert str(plan) == (
        f"memory plan, mixed on each of 4 devices: weights {plan.weights:.1f}, gradients {plan.gradients:.1f}, "
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
    plan = memory.plan(profile, memory.sizes(models.config(profile)), longest=LONGEST)
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


def test_the_plan_of_weights_packed_in_4_bits_says_so(mistral):
    assert str(memory.plan(profiles.get("qlora"), mistral)).startswith("memory plan, 4-bit weights: weights ")
    assert str(memory.plan(profiles.get("a100"), mistral)).startswith("memory plan, mixed: ")


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
    with pytest.raises(UserError, match=r"needs \d+\.\d GiB in fp32, .*and 0\.0 GiB are free: close other notebooks"):
        training.tune(training.settings(base), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_first_precision_that_fits_is_used(base, tmp_path, monkeypatch):
    profile = training.settings(base, precisions=("fp32", "bf16-sr"), max_steps=1, gradient_checkpointing=True)
    size = memory.sizes(models.config(profile))
    plans = [memory.plan(profile, size, p, longest=LONGEST).total for p in profile.precisions]
    for room, chosen in ((2 * plans[0], "fp32"), (sum(plans) / 2 / (1 - memory.RESERVE), "bf16-sr")):
        monkeypatch.setattr(memory, "available", lambda _, room=room: room)
        assert training.tune(profile, tmp_path / chosen)["precision"] == chosen


def test_peak_memory_is_that_of_this_process():
    before = resources.peak_gib()
    held = torch.ones(2**28, dtype=torch.uint8)
    assert 0.1 < before < 64 and resources.peak_gib() >= before
    del held
