"""Fine-tuning: the paper's recipe, in which precision of bookkeeping, what is written beside the weights, and what is refused."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
import training
import transformers
import yaml
from safetensors.torch import load_file, save_file

from helpers import finetune, models, profiles, run
from helpers.__main__ import main
from helpers.data.lima import load_rows
from helpers.errors import UserError
from helpers.finetune import encode, tune
from helpers.finetune import trainer as trainer_
from helpers.finetune.encode import IGNORED
from helpers.machine import files

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def profile(base):
    return training.settings(base, attention_dropout=0.25)


# --- the recipe ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "each", "passes"), [(1, 2, 32), (2, 2, 16), (4, 2, 8), (4, 16, 1), (1, 64, 1), (64, 1, 1)]
)
def test_a_batch_is_64_dialogues_whatever_the_number_of_devices(devices, each, passes):
    profile = profiles.get("a100", device_batch_size=each)
    assert trainer_.accumulation(profile, devices) == passes
    assert devices * each * passes == profile.batch_size == 64


@pytest.mark.parametrize(("devices", "each"), [(3, 2), (1, 3), (64, 2), (4, 32)])
def test_devices_that_cannot_make_the_batch_are_refused_with_the_numbers(devices, each):
    with pytest.raises(UserError) as refusal:
        trainer_.accumulation(profiles.get("a100", device_batch_size=each), devices)
    assert str(refusal.value) == (
        f"a batch of 64 cannot be made of {devices} device(s) with {each} dialogues each: "
        f"choose a device_batch_size that divides 64 / {devices}"
    )


@pytest.mark.parametrize(
    ("model", "epochs", "steps"),
    [("mistralai/Mistral-7B-v0.1", 4.0, 68), ("meta-llama/Llama-2-7b-hf", 8.0, 136)],
    ids=["Mistral", "Llama-2"],
)
def test_the_papers_models_see_lima_for_their_number_of_epochs(model, epochs, steps):
    """1,030 dialogues are 16 steps of 64 and one of 6 in an epoch: nothing is dropped."""
    profile = profiles.get("a100", model=model)
    assert profile.epochs == epochs
    sampler = trainer_.EpochSampler([100] * 1030, profile, seed=0)
    seen = [sampler.rows_of_step(step) for step in range(steps)]
    assert [len(rows) for rows in seen[:17]] == [64] * 16 + [6]
    assert sorted(i for rows in seen for i in rows) == sorted(list(range(1030)) * int(epochs))


def test_the_papers_settings_reach_the_optimizer_and_every_step(base, tmp_path, monkeypatch):
    """The a100 profile itself, on 70 short dialogues and a processor: two steps an epoch, 64 and 6 dialogues."""
    built, kept = training.spy_on_trainers(monkeypatch), []
    rows = [tiny.row(str(i), f"What is {i}?", "A number." * (1 + i % 3)) for i in range(70)]
    real = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a: (kept.append(groups(self)), real(self, *a))[1])
    profile = profiles.get("a100", model=str(base), device="cpu", dtype="float32", max_tokens=512)
    manifest = training.tune(profile, tmp_path / "out", rows)
    (trainer,), args = built, built[0].args
    assert type(trainer.optimizer.optimizer) is torch.optim.AdamW
    assert manifest["steps"] == len(kept) == 8 and manifest["dialogues_seen"] == 280  # 4 epochs
    for decaying, steady in kept:
        assert decaying["betas"] == steady["betas"] == (0.9, 0.999)
        assert (decaying["weight_decay"], steady["weight_decay"]) == (0.1, 0.0)
        assert decaying["shapes"] == {2} and steady["shapes"] == {1}  # matrices decay, norms do not
    assert args.gradient_accumulation_steps == 32 and args.per_device_train_batch_size == 2
    assert args.gradient_checkpointing or args.activation_checkpointing
    cosine = [1e-5 * (1 + math.cos(math.pi * k / 8)) / 2 for k in range(9)]  # from the first step on, to zero
    assert [decaying["lr"] for decaying, _ in kept] == pytest.approx(cosine[:8])
    assert [h["learning_rate"] for h in trainer.state.log_history if "loss" in h] == pytest.approx(cosine[:8])
    assert trainer.lr_scheduler.get_last_lr() == pytest.approx([0.0, 0.0], abs=1e-12)


def groups(optimizer):
    """lr, betas, weight decay and the number of dimensions of each group's weights, as they are at a step."""
    wanted = ("lr", "betas", "weight_decay")
    return [{k: g[k] for k in wanted} | {"shapes": {p.ndim for p in g["params"]}} for g in optimizer.param_groups]


def test_weights_in_16_bits_have_the_same_recipe(base, tmp_path, monkeypatch):
    built = training.spy_on_trainers(monkeypatch)
    profile = training.settings(base, precisions=("bf16-sr",), betas=(0.8, 0.99), weight_decay=0.3, max_steps=2)
    manifest = training.tune(profile, tmp_path / "out")
    optimizer = built[0].optimizer.optimizer
    assert type(optimizer).__name__ == "AdamW16" and manifest["precision"] == "bf16-sr"
    decaying, steady = groups(optimizer)
    assert decaying["betas"] == steady["betas"] == (0.8, 0.99)
    assert (decaying["weight_decay"], steady["weight_decay"]) == (0.3, 0.0)
    assert decaying["shapes"] == {2} and steady["shapes"] == {1}
    assert [h["learning_rate"] for h in built[0].state.log_history if "loss" in h] == pytest.approx([1e-3, 5e-4])
    assert {w.dtype for w in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


@pytest.mark.parametrize("name", ["cpu", "small", "qlora"])
def test_what_a_profile_does_unlike_the_paper_it_says_with_the_reason(name):
    profile, paper = profiles.get(name), profiles.get("a100")
    told = " ".join(profile.deviations)
    for setting in ("learning_rate", "model", "seeds", "epochs", "batch_size", "weight_decay", "betas"):
        if getattr(profile, setting) != getattr(paper, setting):
            word = {"learning_rate": "learning rate", "batch_size": "of 64", "epochs": "epochs", "seeds": "one seed"}
            assert word.get(setting, str(getattr(profile, setting))) in told, setting
    assert all(": " in line for line in profile.deviations)
    assert not paper.deviations


# --- attention dropout -----------------------------------------------------------------------------------


def watch_attention(monkeypatch, kernel):
    """The p that every layer's attention is given, in the order of the calls."""
    seen, nn = [], torch.nn.functional
    if kernel == "sdpa":
        real = nn.scaled_dot_product_attention

        def spy(*args, dropout_p=0.0, **kwargs):
            seen.append(dropout_p)
            return real(*args, dropout_p=dropout_p, **kwargs)

        monkeypatch.setattr(nn, "scaled_dot_product_attention", spy)
    else:
        real = nn.dropout

        def spy(input, p=0.5, training=True, inplace=False):
            if input.ndim == 4:  # batch, heads, queries, keys: attention weights
                seen.append(p if training else 0.0)
            return real(input, p, training, inplace)

        monkeypatch.setattr(nn, "dropout", spy)
    return seen


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_dropout_rises_linearly_and_each_layer_really_gets_its_own(monkeypatch, kernel):
    ramp = finetune.dropout_ramp(3, 0.25)
    assert ramp == [0.0, 0.125, 0.25]
    assert finetune.dropout_ramp(32)[::31] == [0.0, 0.25] and finetune.dropout_ramp(32)[1] == pytest.approx(0.25 / 31)
    model = tiny.model(layers=3)
    model.set_attn_implementation(kernel)
    finetune.set_attention_dropout(model, ramp)
    seen = watch_attention(monkeypatch, kernel)
    ids = torch.arange(3, 23)[None]
    model.train()(input_ids=ids)
    assert seen == ramp
    seen.clear()
    model.eval()(input_ids=ids)
    assert seen == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("lora", [None, profiles.Lora(rank=2, alpha=4, dropout=0.0)], ids=["full", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_trains_with_the_ramp_and_its_model_answers_without(base, tmp_path, monkeypatch, lora, checkpointing):
    seen = watch_attention(monkeypatch, "sdpa")
    changes = {"lora": lora, "gradient_checkpointing": checkpointing}
    profile = training.settings(base, attention_dropout=0.2, max_steps=1, **changes)
    training.tune(profile, tmp_path / "out")
    assert seen[:3] == [0.0, 0.1, 0.2] and set(seen) == {0.0, 0.1, 0.2}
    seen.clear()
    model, _ = models.load(profile, str(tmp_path / "out"))
    model(input_ids=torch.arange(3, 23)[None])
    assert seen == [0.0, 0.0, 0.0]


def test_an_attention_kernel_that_cannot_drop_is_refused_with_those_that_can():
    model = tiny.model()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(
        UserError, match=r"^attention kernel 'flex_attention' has no dropout: load the model with one of"
    ):
        finetune.set_attention_dropout(model, [0.0, 0.1, 0.2])
    finetune.set_attention_dropout(model, [0.0, 0.0, 0.0])  # without dropout any kernel will do
    assert [layer.self_attn.attention_dropout for layer in model.model.layers] == [0.0] * 3


# --- the loss ----------------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_only_learns_the_trained_tokens(base, tmp_path):
    longer = training.settings(base, max_steps=30, learning_rate=3e-3, attention_dropout=0.25)
    manifest = training.tune(longer, tmp_path / "lima-seed0", arm="lima")
    assert manifest["losses"][-1] < 0.7 * manifest["losses"][0]
    assert manifest["trained_tokens"] < manifest["tokens"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"device_batch_size": 2},
        {"device_batch_size": 4},
        {"lora": profiles.Lora(rank=4, alpha=8)},
        {"lora": profiles.Lora(rank=4, alpha=8), "device_batch_size": 2},
    ],
    ids=["one by one", "in twos", "at once", "adapters", "adapters in twos"],
)
def test_the_loss_is_the_mean_over_all_trained_tokens_of_the_optimizer_step(base, tmp_path, changes):
    """Per-row means would weigh a short answer's tokens more: a classic accumulation bug."""
    settings = training.settings(base, max_steps=1, batch_size=4, **changes)  # new adapters change nothing at first
    manifest = training.tune(settings, tmp_path / "role-seed0")
    tokenizer, model = tiny.tokenizer(), tiny.model()
    total, count = 0.0, 0
    for encoded in (finetune.encode_dialogue(r, tokenizer, "role") for r in tiny.ROWS):
        logits = model(torch.tensor([encoded.input_ids])).logits[0, :-1]
        labels = torch.tensor(encoded.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
        count += int((labels != IGNORED).sum())
    assert manifest["losses"][0] == pytest.approx(total / count, rel=1e-4)
    assert manifest["trained_tokens"] == count


@pytest.mark.parametrize("lora", [None, profiles.Lora(rank=4, alpha=8, dropout=0.0)], ids=["full", "adapters"])
def test_a_batch_of_two_rows_gives_the_losses_of_two_batches_of_one(base, tmp_path, lora):
    a = training.tune(training.settings(base, lora=lora), tmp_path / "a" / "role-seed0")
    b = training.tune(training.settings(base, lora=lora, device_batch_size=2), tmp_path / "b" / "role-seed0")
    assert a["losses"] == pytest.approx(b["losses"], rel=1e-4)


# --- the same run again ----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(profile, tmp_path):
    def weights(name, seed):
        training.tune(profile, tmp_path / name, seed=seed)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("one", 0) == weights("two", 0)
    assert weights("one", 0) != weights("three", 1)


def test_a_finished_model_is_kept_and_another_recipe_is_refused(profile, tmp_path):
    out = tmp_path / "role-seed0"
    training.tune(profile, out)
    before = (out / "model.safetensors").stat().st_mtime_ns
    (tmp_path / "role-seed0.work").mkdir()  # killed between the last rename and the last removal
    said = []
    training.tune(profile, out, say=said.append)
    assert (out / "model.safetensors").stat().st_mtime_ns == before and "kept" in said[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["role-seed0"]
    for changes in ({"rows": tiny.ROWS[:2]}, {"arm": "lima"}, {"seed": 1}):
        with pytest.raises(UserError, match=r"^role-seed0 holds a model of another recipe or other data: remove it or"):
            training.tune(profile, out, **changes)
    with pytest.raises(UserError, match="another recipe"):
        training.tune(training.settings(profile.model, attention_dropout=0.1), out)
    assert json.loads((out / "manifest.json").read_text())["arm"] == "role"
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_another_model_of_the_same_name_is_another_recipe(profile, base, tmp_path):
    training.tune(profile, tmp_path / "out")
    other = tiny.save(tmp_path / "elsewhere" / base.name, seed=5)
    with pytest.raises(UserError, match="another recipe"):
        training.tune(training.settings(other, attention_dropout=0.25), tmp_path / "out")


# --- stopped, and started again ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steady(base):
    """Six steps over three epochs, a checkpoint after each, with dropout: the random numbers must go on too."""
    return training.settings(base, max_steps=6, checkpoint_steps=1, attention_dropout=0.25)


@pytest.fixture(scope="module")
def undisturbed(steady, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    training.tune(steady, out)
    return out


def assert_same_model(out, undisturbed):
    assert (out / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    manifest, wanted = (json.loads((f / "manifest.json").read_text()) for f in (out, undisturbed))
    for key in ("losses", "steps", "dialogues_seen", "tokens", "trained_tokens", "data"):
        assert manifest[key] == wanted[key], key
    assert [p.name for p in out.parent.iterdir()] == [out.name]  # no work folder, no lock, nothing half-made


def checkpoints(out):
    return sorted(p.name for p in out.with_name(out.name + ".work").glob("checkpoint-*"))


@pytest.mark.parametrize("step", [1, 2, 5], ids=lambda n: f"after step {n}")  # an epoch has two steps
def test_a_stopped_run_goes_on_to_the_weights_and_losses_of_an_undisturbed_one(steady, undisturbed, tmp_path, step):
    out = tmp_path / "out"
    with pytest.raises(training.Stopped):
        training.tune(steady, out, say=training.stop_after(step + 1))  # told before its checkpoint is made
    assert checkpoints(out) == [f"checkpoint-{step}"] and not out.exists()
    said = []
    training.tune(steady, out, say=said.append)
    assert f"out: going on from checkpoint-{step}" in said
    assert_same_model(out, undisturbed)


def test_a_run_that_is_killed_just_before_its_model_has_its_name_counts_no_step_twice(
    steady, undisturbed, tmp_path, monkeypatch
):
    def die(*_):
        raise training.Stopped

    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(training.Stopped):
        patch.setattr(tune, "_save", die)
        training.tune(steady, out)
    assert checkpoints(out) == ["checkpoint-5"]  # the sixth step is the model itself
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


def test_a_half_written_checkpoint_is_not_gone_on_from(steady, undisturbed, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(training.Stopped):
        training.tune(steady, out, say=training.stop_after(3))
    work = tmp_path / "out.work"
    (work / "writing" / "checkpoint-9").mkdir(parents=True, exist_ok=True)
    (work / "writing" / "checkpoint-9" / "trainer_state.json").write_text("{}")
    (work / "checkpoint-7").mkdir()
    (work / "checkpoint-7" / "model.safetensors").write_bytes(b"half")
    assert trainer_.last_checkpoint(work).name == "checkpoint-2"
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


@pytest.mark.parametrize("part", ["_save_optimizer_and_scheduler", "_save_rng_state", "_sync"])
def test_a_run_that_is_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    steady, undisturbed, tmp_path, monkeypatch, part
):
    """After the weights, after the optimizer, or when all is written and not yet renamed."""
    out, told = tmp_path / "out", []

    def die():
        if any("step   3/6" in line for line in told):
            raise training.Stopped

    with monkeypatch.context() as patch, pytest.raises(training.Stopped):
        place = trainer_ if part == "_sync" else trainer_.Trainer
        real = getattr(place, part)
        patch.setattr(place, part, lambda *a: (die(), real(*a)))
        training.tune(steady, out, say=lambda line: told.append(str(line)))
    assert checkpoints(out) == ["checkpoint-2"] and (tmp_path / "out.work" / "writing" / "checkpoint-3").is_dir()
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


@pytest.mark.parametrize("quantized", [False, True], ids=["lora", "qlora"])
def test_stopped_adapters_go_on_too(base, tmp_path, quantized):
    lora = profiles.Lora(rank=4, alpha=8, dropout=0.1)
    profile = training.settings(base, lora=lora, quantized=quantized, checkpoint_steps=1, attention_dropout=0.25)
    training.tune(profile, tmp_path / "whole")
    with pytest.raises(training.Stopped):
        training.tune(profile, tmp_path / "out", say=training.stop_after(3))
    training.tune(profile, tmp_path / "out")
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]


def test_stopped_weights_in_16_bits_go_on_too(base, tmp_path):
    profile = training.settings(base, precisions=("bf16-sr",), checkpoint_steps=1)
    training.tune(profile, tmp_path / "whole")
    with pytest.raises(training.Stopped):
        training.tune(profile, tmp_path / "out", say=training.stop_after(3))
    training.tune(profile, tmp_path / "out")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]


def test_an_unfinished_run_of_another_recipe_is_refused_and_left_alone(steady, undisturbed, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(training.Stopped):
        training.tune(steady, out, say=training.stop_after(3))
    for change in ({"seed": 1}, {"arm": "lima"}, {"rows": tiny.ROWS[1:]}):
        with pytest.raises(
            UserError, match=r"^out.work holds an unfinished run of another recipe or other data: remove"
        ):
            training.tune(steady, out, **change)
    assert checkpoints(out) == ["checkpoint-2"]
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


def test_a_folder_that_holds_other_files_is_refused_and_left_alone(profile, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match=r"^out is not empty and holds no model of ours: choose another --out$"):
        training.tune(profile, tmp_path / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "thesis.txt"]


def test_a_second_process_on_the_same_folder_is_refused_with_the_firsts_number(profile, tmp_path):
    out = tmp_path / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{out}.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"^out is being trained by process {holder.pid}: wait for it to end"):
            training.tune(profile, out)
        assert not out.exists() and not (tmp_path / "out.work").exists()
    finally:
        holder.kill()  # as the first process may be: its lock is no reason to wait for ever
        holder.communicate()
    training.tune(profile, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


HOLD = "import sys, filelock; lock = filelock.SoftFileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"


# --- settings and files of a call ---------------------------------------------------------------------------------


def test_the_command_line_leaves_the_models_folder_and_nothing_else(base, tmp_path, monkeypatch):
    """Without --rows it annotates the profile's data; that stays in memory."""
    short = training.settings(base, max_steps=1)
    monkeypatch.setattr(profiles, "get", lambda *_, **__: short)
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", "--arm", "role", "--out", "models/role-seed0"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["models"]
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["role-seed0"]


@pytest.mark.parametrize("lora", [profiles.Lora(rank=4), {"rank": 4}], ids=["Lora", "dict"])
def test_adapters_can_be_asked_for_in_a_notebooks_overrides(base, tmp_path, lora):
    """A cell has Python, papermill has JSON only: both mean the same run, and its files can be written."""
    settings = {"model": str(base), "max_steps": 1}
    this = run.open_run("cpu", tmp_path / "run", lora=lora, **settings)
    assert this.profile.lora == profiles.Lora(rank=4, alpha=32, dropout=0.05)
    told = json.loads((tmp_path / "run" / "profile.json").read_text())["overrides"]
    assert told["lora"] == {"rank": 4, "alpha": 32, "dropout": 0.05}
    assert json.loads(json.dumps(this.overrides)) == told
    assert run.open_run("cpu", tmp_path / "run", **told).profile == this.profile  # as papermill hands it on
    manifest = training.tune(this.profile, tmp_path / "out")
    assert manifest["profile"]["lora"] == told["lora"] and (tmp_path / "out" / "adapter_config.json").is_file()


@pytest.mark.parametrize(
    ("lora", "line"),
    [
        ({"rnk": 8}, "unknown setting 'rnk' of lora: choose from rank, alpha, dropout"),
        (16, "lora=16: give a dict, such as {'rank': 8}, or None for all weights"),
        ({"rank": 0}, "lora: rank=0 cannot be: rank and alpha are whole numbers from 1 on, dropout is 0 to 1"),
        ({"rank": "8"}, "lora: rank='8' cannot be: rank and alpha are whole numbers from 1 on, dropout is 0 to 1"),
        (
            {"dropout": 1.5},
            "lora: dropout=1.5 cannot be: rank and alpha are whole numbers from 1 on, dropout is 0 to 1",
        ),
    ],
)
def test_adapters_that_cannot_be_are_one_line(tmp_path, lora, line):
    with pytest.raises(UserError) as refused:
        run.open_run("cpu", tmp_path / "run", lora=lora)
    assert str(refused.value) == line and not (tmp_path / "run").exists()


# --- on Windows ---------------------------------------------------------------------------------------------------


def test_a_checkpoint_reaches_the_disk_where_only_writable_files_can_be_flushed(tmp_path, monkeypatch):
    """Windows' fsync is refused for a handle that may only read."""
    import fcntl

    flushed = []

    def fsync(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flushed.append(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "weights").write_bytes(b"whole")
    trainer_._sync(tmp_path)
    assert len(flushed) == 1 and (tmp_path / "inside" / "weights").read_bytes() == b"whole"


def virus_scanner(monkeypatch, times):
    """Renames fail this often, one file or folder at a time, as while another program reads it."""
    failed, real = {}, os.replace

    def replace(made, target):
        failed[str(made)] = failed.get(str(made), 0) + 1
        if failed[str(made)] <= times:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        return real(made, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files, "WAITS", [w / 100 for w in files.WAITS])
    return failed


def test_a_virus_scanner_that_looks_at_a_checkpoint_and_a_model_only_delays_them(base, tmp_path, monkeypatch):
    failed = virus_scanner(monkeypatch, 2)
    training.tune(training.settings(base, max_steps=2, checkpoint_steps=1), tmp_path / "out")
    renamed = {Path(name).name: n for name, n in failed.items()}
    assert renamed["checkpoint-1"] == renamed["out.new"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_rename_that_is_never_allowed_is_an_error_after_a_moment(tmp_path, monkeypatch):
    virus_scanner(monkeypatch, 1000)
    (tmp_path / "made").mkdir()
    with pytest.raises(PermissionError):
        files.rename(tmp_path / "made", tmp_path / "target")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


# --- what goes wrong on the way ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_the_last_good_checkpoint_is_kept(
    steady, undisturbed, tmp_path, monkeypatch, bad
):
    out, real = tmp_path / "out", trainer_.Trainer.compute_loss

    def poisoned(self, *args, **kwargs):
        return real(self, *args, **kwargs) * (bad if self.state.global_step == 3 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_.Trainer, "compute_loss", poisoned)
        with pytest.raises(RuntimeError) as stop:
            training.tune(steady, out)
    line = str(stop.value)
    assert re.match(rf"^the loss became {bad} \(gradient nan\) at step 4: lower the learning rate", line)
    assert line.endswith("the checkpoint of step 3 is kept") and "\n" not in line
    assert checkpoints(out) == ["checkpoint-3"] and not out.exists()
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


def test_a_learning_rate_that_is_far_too_large_is_one_line_on_the_command_line(base, tmp_path, monkeypatch, capsys):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in tiny.ROWS))
    wild = training.settings(base, learning_rate=1e30, checkpoint_steps=1)
    monkeypatch.setattr(profiles, "get", lambda *_, **__: wild)
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", "--arm", "role", "--rows", "rows.jsonl", "--out", "runs/model"]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "at step 2: lower the learning rate" in error
    assert "the checkpoint of step 1 is kept" in error and str(tmp_path) not in error


def test_a_model_that_is_broken_before_the_first_step_says_so(base, tmp_path):
    broken = tiny.save(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = math.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"the loss became nan .* at step 1: .*; no checkpoint was made yet$"):
        training.tune(training.settings(broken), tmp_path / "out")
    assert not (tmp_path / "out").exists()


FULL = [
    OSError(28, "No space left on device"),
    OSError(122, "Disk quota exceeded"),
    RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
]


@pytest.mark.parametrize("error", FULL, ids=["disk", "quota", "safetensors"])
def test_a_disk_that_is_full_at_a_checkpoint_is_one_line_and_the_last_good_one_is_whole(
    steady, undisturbed, tmp_path, monkeypatch, error
):
    out, real = tmp_path / "out", trainer_.Trainer.save_model

    def save_model(self, folder=None, **kwargs):
        real(self, folder, **kwargs)  # something is on the disk already when it is full
        if self.state.global_step == 3:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(trainer_.Trainer, "save_model", save_model)
        with pytest.raises(UserError) as full:
            training.tune(steady, out)
    assert re.match(
        r"^the disk is full \(\d+ MB free\): could not write the checkpoint of step 3; free some space, "
        r"that of step 2 is whole, and the same command goes on from there$",
        str(full.value),
    )
    assert sorted(p.name for p in (tmp_path / "out.work").iterdir()) == ["checkpoint-2", "recipe.json"]
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


def no_room(_):
    return type("Usage", (), {"total": 10**9, "used": 10**9, "free": 0})


def test_whatever_a_library_says_when_nothing_is_free_is_told_as_a_full_disk(steady, tmp_path, monkeypatch):
    def save(*_, **__):  # torch's zip writer names no cause
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(trainer_.Trainer, "_save_optimizer_and_scheduler", save)
    with pytest.raises(RuntimeError, match="unexpected pos 64"):
        training.tune(steady, tmp_path / "out")
    monkeypatch.setattr(trainer_.shutil, "disk_usage", no_room)
    with pytest.raises(
        UserError, match=r"^the disk is full \(0 MB free\): .* step 1; free some space, start again then$"
    ):
        training.tune(steady, tmp_path / "out")


@pytest.mark.parametrize("error", FULL, ids=["disk", "quota", "safetensors"])
def test_a_disk_that_is_full_at_the_end_loses_no_more_than_the_steps_since_the_last_checkpoint(
    steady, undisturbed, tmp_path, monkeypatch, error
):
    out, real = tmp_path / "out", trainer_.Trainer.save_model

    def save_model(self, folder=None, **kwargs):
        real(self, folder, **kwargs)
        if str(folder).endswith(".new"):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(trainer_.Trainer, "save_model", save_model)
        with pytest.raises(UserError, match=r"could not write the model out; free some space, that of step 5 is whole"):
            training.tune(steady, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out.work"]
    training.tune(steady, out)
    assert_same_model(out, undisturbed)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "message"),
    [(["Hello?"], "must go user, assistant"), (["Hello?", " "], "empty turn"), ([], "must go user, assistant")],
)
def test_unusable_rows_are_refused_with_file_and_line(tmp_path, turns, message):
    path = tmp_path / "lima_role.jsonl"
    path.write_text(json.dumps(tiny.ROWS[0]) + "\n" + json.dumps(tiny.row("x", *turns)) + "\n")
    with pytest.raises(UserError, match=rf"lima_role.jsonl, line 2: .*{message}"):
        load_rows(path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"messages": None}, "no 'messages', so annotate has not written this"),
        ({"messages": "Why? So."}, "'messages' must be a list of objects"),
        ({"messages": ["Why?", "So."]}, "'messages' must be a list of objects"),
        ({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant"}]}, "a turn that is not text"),
        ({"messages": [{"from": "human", "value": "Why?"}]}, "turns must go user, assistant"),
        ({"role": {"text": "[...]"}}, "a role without question_description or role_description"),
        ({"role": "a physicist"}, "a role without question_description or role_description"),
    ],
)
def test_a_field_that_annotate_does_not_write_is_told_by_file_and_line_before_anything_is_loaded(
    tmp_path, capsys, changes, why
):
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, (tiny.ROWS[0], {**tiny.ROWS[1], **changes}))))
    command = ["finetune", "--arm", "role", "--out", str(tmp_path / "out"), "--rows", str(path), "--model", "no/such"]
    assert main(command) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"mine.jsonl, line 2: {why}") and "annotate" in line and line.count("\n") == 1


def refusal(profile, out, **changes):
    """The line with which a fine-tune is refused, which leaves nothing behind."""
    with pytest.raises(UserError) as refused:
        training.tune(profile, out, **changes)
    line = str(refused.value)
    assert "\n" not in line and str(out.parent) not in line
    assert not list(out.parent.glob("out*"))
    return line


@pytest.mark.parametrize("arm", ["rolle", "", None, "LIMA"])
def test_an_unknown_arm_is_refused_with_the_known_ones(profile, tmp_path, arm):
    assert refusal(profile, tmp_path / "out", arm=arm) == f"unknown arm {arm!r}: choose lima, role, record"


@pytest.mark.parametrize("seed", [-1, 1.5, "x", "0", None, True, 2**32])
def test_an_unknown_seed_is_refused(profile, tmp_path, seed):
    assert refusal(profile, tmp_path / "out", seed=seed).startswith(f"unknown seed {seed!r}: give a whole number")


def test_rows_that_cannot_be_trained_on_are_refused_by_name(profile, tmp_path):
    def bad(**changes):
        return [*tiny.ROWS, {**tiny.row("x", "Why?", "So."), **changes}]

    out, user, answer = tmp_path / "out", {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
    assert "dialogue x: turns must go" in refusal(profile, out, rows=bad(messages=[user]))
    assert "dialogue x: turns must go" in refusal(profile, out, rows=bad(messages=[answer, user]))
    assert "dialogue x: an empty turn" in refusal(profile, out, rows=bad(messages=[user, answer | {"content": " "}]))
    assert "dialogue x has no role annotation" in refusal(profile, out, rows=bad(role=None))
    assert training.tune(profile, out, rows=bad(role=None), arm="lima")["steps"] == 3  # that arm needs none


def test_a_tokenizer_that_knows_more_than_the_model_is_refused(tmp_path):
    base = tiny.save(tmp_path / "base")
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["masses"])  # token 259; the model knows 0 to 258
    tokenizer.save_pretrained(base)
    line = refusal(training.settings(base), tmp_path / "out")
    assert line.startswith("the tokenizer writes token 259, the model knows 259: they do not belong together")
    assert training.tune(training.settings(base), tmp_path / "out", tiny.ROWS[1:])  # never written: no harm


def test_a_tokenizer_without_an_end_token_is_refused(tmp_path):
    base = tiny.save(tmp_path / "base")
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    tokenizer.save_pretrained(base)
    assert "the tokenizer has no end token" in refusal(training.settings(base), tmp_path / "out")


@pytest.mark.parametrize("name", ["a100", "qlora"])
def test_a_gpu_that_is_asked_for_and_absent_is_told(base, tmp_path, monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refusal(profiles.get(name, model=str(base)), tmp_path / "out")
    assert line.startswith(f"profile {name!r} needs ") and "finds no GPU: use --profile cpu here" in line


def test_a_batch_that_cannot_be_made_is_refused_before_the_model_is_loaded(base, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("loaded"))
    line = refusal(training.settings(base, batch_size=4, device_batch_size=3), tmp_path / "out")
    assert line.startswith("a batch of 4 cannot be made of 1 device(s) with 3 dialogues each")


# --- what is written beside the weights -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(base, tmp_path_factory):
    """(folder, profile, lines told) of one run with a TensorBoard log."""
    out, said = tmp_path_factory.mktemp("written") / "role-seed3", []
    profile = training.settings(base, attention_dropout=0.25)
    training.tune(profile, out, seed=3, say=lambda line: said.append(str(line)), report_to="tensorboard")
    return out, profile, said


def test_a_server_of_the_model_asks_as_it_was_trained(written):
    tokenizer = transformers.AutoTokenizer.from_pretrained(written[0])
    two_turns = encode.encode_dialogue(tiny.ROWS[1], tokenizer, "lima").input_ids
    asked = tokenizer.apply_chat_template(tiny.ROWS[1]["messages"][:3], add_generation_prompt=True)["input_ids"]
    assert asked == two_turns[: len(asked)]
    assert tokenizer.decode(two_turns[len(asked) :]) == " Yes, a little.</s>"


def test_the_manifest_tells_recipe_data_versions_commit_losses_speed_and_memory(written):
    out, profile, _ = written
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["arm"], manifest["seed"], manifest["devices"], manifest["precision"]) == ("role", 3, 1, "fp32")
    recipe = manifest["profile"]
    for name in ("learning_rate", "batch_size", "device_batch_size", "max_steps", "max_tokens", "weight_decay"):
        assert recipe[name] == getattr(profile, name), name
    assert recipe["betas"] == [0.9, 0.999] and recipe["attention_dropout"] == 0.25 and recipe["design"] == 8
    assert re.fullmatch("[0-9a-f]{64}", manifest["data"])
    assert manifest["versions"]["torch"] == torch.__version__ and "trl" in manifest["versions"]
    assert re.fullmatch(r"[0-9a-f]{12}(\+changes)?|unknown", manifest["commit"])
    assert len(manifest["losses"]) == manifest["steps"] == 3
    encoded = [encode.encode_dialogue(r, tiny.tokenizer(), "role") for r in tiny.ROWS]
    order = encode.epoch_order([0] * 4, 2, 3, 0) + encode.epoch_order([0] * 4, 2, 3, 1)[:2]
    assert manifest["dialogues_seen"] == 6 and manifest["tokens"] == sum(len(encoded[i].input_ids) for i in order)
    assert manifest["trained_tokens"] == sum(x != IGNORED for i in order for x in encoded[i].labels)
    assert manifest["tokens_per_second"] == pytest.approx(manifest["tokens"] / manifest["seconds"], rel=0.5)
    assert manifest["peak_memory_gib"] > 0.1 and 0 < manifest["planned_memory_gib"] < 1


def test_the_data_hash_is_that_of_the_rows(written, profile, tmp_path):
    known = json.loads((written[0] / "manifest.json").read_text())["data"]
    assert training.tune(profile, tmp_path / "a", [dict(reversed(r.items())) for r in tiny.ROWS])["data"] == known
    assert training.tune(profile, tmp_path / "b", tiny.ROWS[::-1])["data"] != known


def test_the_model_card_can_be_read_by_the_hub_and_shows_the_frame(written):
    out, _, _ = written
    card = (out / "README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    data = yaml.safe_load(front)
    assert data["library_name"] == "transformers" and "self-prompt-tuning" in data["tags"]
    assert "USER: your question" in text and "role arm, seed 3" in text and "| arm, seed | role, 3 |" in text
    assert "{" not in text


def test_nothing_beside_the_weights_holds_a_path_of_this_machine_or_a_pickle(written, base):
    out, _, said = written
    home = str(base.parent.parent)  # the test's own folder, where model and output lie
    for path in (p for p in out.iterdir() if p.is_file()):
        assert home.encode() not in path.read_bytes(), path.name
        assert path.suffix not in (".bin", ".pt", ".pth", ".pkl"), path.name
    assert home not in "\n".join(said)
    manifest = json.loads((out / "manifest.json").read_text())
    assert re.fullmatch(r"base@[0-9a-f]{16}", manifest["profile"]["model"])


def test_the_run_tells_its_batch_loss_speed_memory_and_time_left(written):
    _, _, said = written
    assert any(line.startswith("a batch of 2 = 1 x 2 x 1 ") for line in said)
    steps = [line for line in said if line.lstrip().startswith("step")]
    assert len(steps) == 3
    for line in steps:
        assert re.fullmatch(
            r"  step +\d/3  loss \d+\.\d{3}  +\d+ tokens/s \(\d+ trained\)  \d+\.\d GiB  +\d+ s left", line
        )
    assert re.fullmatch(r"role-seed3: 3 steps, 6 dialogues, \d+ tokens in \d+ s \(\d+ tokens/s\)", said[-1])


def test_tensorboard_finds_the_losses_of_the_run(written):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, _, _ = written
    (folder,) = {p.parent for p in (out / "runs").rglob("events.out.*")}
    events = EventAccumulator(str(folder)).Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    assert losses == pytest.approx(json.loads((out / "manifest.json").read_text())["losses"])
    assert [event.step for event in events.Scalars("train/learning_rate")] == [1, 2, 3]


def test_a_model_that_is_there_is_there_with_everything(profile, tmp_path, monkeypatch):
    """Written under another name and renamed: at no time is there a folder without its manifest, card or tokenizer."""
    out = tmp_path / "out"
    real = trainer_.Trainer.save_model
    monkeypatch.setattr(
        trainer_.Trainer, "save_model", lambda self, *a, **k: (real(self, *a, **k), out.exists() and pytest.fail())[0]
    )
    training.tune(profile, out)
    names = {p.name for p in out.iterdir()}
    assert {"README.md", "manifest.json", "model.safetensors", "config.json", "tokenizer.json"} <= names


# --- adapters ---------------------------------------------------------------------------------------------------------------


def test_lora_trains_adapters_only(base, tmp_path):
    settings = training.settings(base, max_steps=2, lora=profiles.Lora(rank=4, alpha=8))
    out = tmp_path / "role-seed0"
    training.tune(settings, out)
    weights = load_file(out / "adapter_model.safetensors")
    assert weights and all("lora_" in n for n in weights)
    assert any(w.abs().max() > 0 for n, w in weights.items() if "lora_B" in n)
    assert not (out / "model.safetensors").exists()
    model, _ = models.load(settings, str(out))
    assert model(input_ids=torch.arange(3, 9)[None]).logits.shape == (1, 6, 259)
    card = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert card["library_name"] == "peft"


def test_bad_rows_and_an_unknown_log_are_told_before_a_model_is_loaded(profile, tmp_path, monkeypatch):
    def no_model(*_, **__):
        raise AssertionError("a model was loaded first")

    monkeypatch.setattr(models, "load", no_model)
    monkeypatch.setattr(models, "config", no_model)
    roleless = [tiny.ROWS[0], {**tiny.ROWS[1], "role": None}]
    with pytest.raises(UserError, match="dialogue b has no role annotation"):
        finetune.finetune(profile, "role", roleless, tmp_path / "a")
    with pytest.raises(UserError, match="cannot report to 'excel': choose none or an installed one of tensorboard"):
        finetune.finetune(profile, "role", tiny.ROWS, tmp_path / "b", report_to="excel")
    assert not list(tmp_path.glob("[ab]*.lock"))
