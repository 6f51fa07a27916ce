"""Other models than Llama's family: trained, with the dropout ramp if their attention has dropout, or refused in one line; answered as by `generate`."""

from __future__ import annotations

import re

import pytest
import tiny
import torch
import training
import transformers as t
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers import chat, finetune, models, profiles
from helpers.chat.cache import serves
from helpers.errors import UserError
from helpers.finetune import attention, memory, mfu
from helpers.finetune import trainer as trainer_

pytestmark = pytest.mark.usefixtures("one_thread")

ENDS = {"vocab_size": 259, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SHAPE = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4} | ENDS
OPT = {"ffn_dim": 96, "word_embed_proj_dim": 48, "dropout": 0.0}
CONFIGS = {
    "gpt2": t.GPT2Config(n_embd=48, n_layer=3, n_head=4, n_positions=256, **ENDS),
    "gpt_neox": t.GPTNeoXConfig(intermediate_size=96, **SHAPE),
    "falcon with alibi": t.FalconConfig(alibi=True, **SHAPE),
    "falcon": t.FalconConfig(**SHAPE),
    "bloom": t.BloomConfig(**SHAPE),
    "opt": t.OPTConfig(max_position_embeddings=1024, **OPT, **SHAPE),
    "lfm2": t.Lfm2Config(
        intermediate_size=96, num_key_value_heads=2, layer_types=["conv", "full_attention", "conv"], **SHAPE
    ),
}
WITHOUT = ("falcon", "lfm2")  # no attention dropout, or one that is never called


@pytest.fixture(scope="module", params=CONFIGS)
def other(request, tmp_path_factory):
    """(name, folder of a random model with the byte tokenizer)"""
    folder = tmp_path_factory.mktemp("other") / "base"
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS[request.param]).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return request.param, folder


def drops(monkeypatch):
    """The dropout that attention is given in training, one number a layer, whoever applies it."""
    seen, nn = [], torch.nn.functional
    fused, plain = nn.scaled_dot_product_attention, nn.dropout

    def sdpa(*args, dropout_p=0.0, **kwargs):
        seen.append(dropout_p)
        return fused(*args, dropout_p=dropout_p, **kwargs)

    def dropout(input, p=0.5, training=True, inplace=False):
        if input.ndim == 4:  # batch, heads, queries, keys: attention weights
            seen.append(p if training else 0.0)
        return plain(input, p, training, inplace)

    monkeypatch.setattr(nn, "scaled_dot_product_attention", sdpa)
    monkeypatch.setattr(nn, "dropout", dropout)
    return seen


def test_it_is_trained_with_the_ramp_or_says_that_it_has_none(other, tmp_path, monkeypatch):
    name, folder = other
    seen, said = drops(monkeypatch), []
    profile = training.settings(folder, attention_dropout=0.2, max_steps=1, batch_size=1)
    manifest = training.tune(profile, tmp_path / "out", say=lambda line: said.append(str(line)))
    without = "this model's attention has no dropout: trained without it"
    assert (without in said) == (name in WITHOUT)
    assert manifest["attention_dropout"] == (0.0 if name in WITHOUT else 0.2)
    assert seen[:3] == ([0.0, 0.1, 0.2] if name not in WITHOUT else [0.0] * len(seen[:3]))
    before, after = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "out"))
    assert any(not torch.equal(after[k], before[k]) for k in after)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"| attention dropout | 0 to {manifest['attention_dropout']} over the layers |" in card


def test_its_loss_is_the_mean_over_the_trained_tokens(other, tmp_path):
    """GPT-2 alone drops elsewhere too, by its own settings: there the two numbers need not agree."""
    name, folder = other
    if name == "gpt2":
        pytest.skip("has other dropout of its own")
    profile = training.settings(folder, max_steps=1, batch_size=4, device_batch_size=2)
    manifest = training.tune(profile, tmp_path / "out")
    model, tokenizer = models.load(profile)
    total, count = 0.0, 0
    for encoded in (finetune.encode_dialogue(r, tokenizer, "role") for r in tiny.ROWS):
        logits = model(torch.tensor([encoded.input_ids])).logits[0, :-1]
        labels = torch.tensor(encoded.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
        count += int((labels != -100).sum())
    assert manifest["losses"][0] == pytest.approx(total / count, rel=1e-3)


def test_its_weights_are_counted_without_loading_them(other):
    _, folder = other
    profile = profiles.get("cpu", model=str(folder))
    size = memory.sizes(models.config(profile))
    model, _ = models.load(profile)
    assert size.total == sum(p.numel() for p in model.parameters())
    assert (size.layers, size.hidden, size.heads) == (3, 48, 4) and size.intermediate >= 96
    layer = attention.layers(model)[0]
    inside = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
    assert 2.5 * inside < size.linear < 3.5 * inside or "lfm2" in model.config.model_type


def test_a_forward_pass_that_makes_all_logits_has_the_same_loss(base, tmp_path, monkeypatch):
    known = training.tune(training.settings(base, device_batch_size=2), tmp_path / "kept")
    real = t.LlamaForCausalLM.forward

    def forward(self, input_ids=None, attention_mask=None):
        return real(self, input_ids=input_ids, attention_mask=attention_mask)

    monkeypatch.setattr(t.LlamaForCausalLM, "forward", forward)
    plain = training.tune(training.settings(base, device_batch_size=2), tmp_path / "all")
    assert plain["losses"] == pytest.approx(known["losses"], rel=1e-4)


def test_rows_are_cut_where_a_model_has_no_more_places(tmp_path):
    """GPT-2 looks places up in a table: a longer row would be an IndexError after minutes."""
    AutoModelForCausalLM.from_config(CONFIGS["gpt2"]).save_pretrained(tmp_path / "base")
    tiny.tokenizer().save_pretrained(tmp_path / "base")
    long, said = tiny.row("long", "Why?", "So.", "And?", "x" * 300), []
    profile = training.settings(tmp_path / "base", max_steps=1, max_tokens=1024)
    manifest = training.tune(
        profile, tmp_path / "out", [*tiny.ROWS, long], arm="lima", say=lambda s: said.append(str(s))
    )
    assert manifest["dialogues_cut"] == 1
    assert "1 dialogues were cut at a turn's end, 0 do not fit into 256 tokens and are left out" in said


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (t.MambaConfig(hidden_size=48, num_hidden_layers=2, state_size=8, **ENDS), "a mamba model has no attention"),
        (t.T5Config(d_model=48, num_layers=2, **ENDS), "a t5 model does not write text from left to right"),
    ],
    ids=["mamba", "t5"],
)
def test_what_cannot_be_trained_is_refused_before_weights_are_loaded(tmp_path, monkeypatch, config, line):
    config.save_pretrained(tmp_path / "base")
    tiny.tokenizer().save_pretrained(tmp_path / "base")
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError, match=f"^{line}.*: choose") as refused:
        training.tune(training.settings(tmp_path / "base"), tmp_path / "out")
    assert "\n" not in str(refused.value) and not (tmp_path / "out").exists()


# --- answers --------------------------------------------------------------------------------------------------

GROUPED = {"intermediate_size": 96, "num_key_value_heads": 2}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16}
EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32}
TOGETHER = {  # many conversations at a time
    "gpt2": CONFIGS["gpt2"],
    "opt": CONFIGS["opt"],
    "falcon": CONFIGS["falcon"],
    "eager": t.LlamaConfig(attn_implementation="eager", **GROUPED, **SHAPE),
    "a window": t.MistralConfig(sliding_window=16, **GROUPED, **SHAPE),
    "a window in every other layer": t.Qwen2Config(
        sliding_window=16, use_sliding_window=True, max_window_layers=1, **GROUPED, **SHAPE
    ),
    "eager, with windows": t.Gemma2Config(sliding_window=16, head_dim=12, **GROUPED, **SHAPE),
    "chunks": t.Llama4TextConfig(attention_chunk_size=16, head_dim=12, num_local_experts=2, **GROUPED, **SHAPE),
    "latent attention": t.DeepseekV3Config(intermediate_size=96, num_key_value_heads=4, **LATENT, **EXPERTS, **SHAPE),
}
ALONE = {  # by `generate`, one after another
    "bloom": CONFIGS["bloom"],
    "falcon with alibi": CONFIGS["falcon with alibi"],
    "mpt": t.MptConfig(d_model=48, n_layers=3, n_heads=4, **ENDS),
    "convolutions": CONFIGS["lfm2"],
    "a window in its own code": t.GPTNeoConfig(
        attention_types=[[["global", "local"], 2]], num_layers=4, num_heads=4, hidden_size=48, window_size=16, **ENDS
    ),
    "mamba": t.MambaConfig(hidden_size=48, num_hidden_layers=3, state_size=8, **ENDS),
    "rwkv": t.RwkvConfig(hidden_size=48, num_hidden_layers=3, attention_hidden_size=48, **ENDS),
    "a window that its code ignores": t.LlamaConfig(sliding_window=16, **GROUPED, **SHAPE),
}
ASKED = [chat.user(q) for q in ("Why?", "What is the capital of a country with two capitals?", "Name three things.")]
THEN = "\nSo, the answer is"


def random_model(config):
    """Weights so large that greedy answers differ between questions."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(8 if weight.ndim > 1 and "A_log" not in name else 1)
    return model


def generated(model, tokenizer, ids, tokens):
    """What the model's own `generate` writes after `ids`, up to its end token."""
    text = torch.tensor([ids])
    limits = {"max_new_tokens": tokens, "do_sample": False, "eos_token_id": 1, "pad_token_id": 2}
    new = model.generate(text, attention_mask=torch.ones_like(text), **limits)[0, len(ids) :].tolist()
    return new[: new.index(1)] if 1 in new else new


@pytest.mark.parametrize(("name", "config"), [*TOGETHER.items(), *ALONE.items()], ids=[*TOGETHER, *ALONE])
def test_answers_in_both_stages_are_those_of_generate(name, config):
    model, tokenizer = random_model(config), tiny.tokenizer()
    assert serves(model) == (name in TOGETHER)
    answers = dict(chat.LocalChat(model, tokenizer, "other", 2).complete(ASKED, 10, lambda *_: THEN, 5))
    for i, asked in enumerate(ASKED):
        ids = tokenizer(chat.frame(asked)).input_ids
        first = generated(model, tokenizer, ids, 10)
        assert answers[i].text == tokenizer.decode(first).strip() and answers[i].tokens == len(first)
        second = generated(model, tokenizer, [*ids, *first, *tokenizer(THEN).input_ids], 5)
        written = tokenizer.decode(second)
        line = re.search(r"[^\W_][^\n]*(?=\n)", written)
        assert answers[i].continued == (written[: line.end()] if line else written)
    assert len({a.text + a.continued for a in answers.values()}) > 1, "else the comparison would show little"


def test_a_model_that_says_it_keeps_a_state_of_its_own_is_not_given_our_cache(monkeypatch):
    model = tiny.model()
    assert serves(model)
    monkeypatch.setattr(type(model), "_is_stateful", True)
    assert not serves(model)


def test_what_a_model_penalises_by_its_own_settings_is_not_penalised_in_an_answer():
    """Where `generate` answers, its defaults must not: a score is greedy, whatever the model's chat likes."""
    model, tokenizer = random_model(CONFIGS["bloom"]), tiny.tokenizer()
    plain = dict(chat.LocalChat(model, tokenizer, "other").complete(ASKED, 10))
    model.generation_config.repetition_penalty = 9.0
    assert dict(chat.LocalChat(model, tokenizer, "other").complete(ASKED, 10)) == plain
    assert model.generation_config.repetition_penalty == 9.0


def test_a_model_that_reads_both_ways_is_refused_in_one_line():
    model = random_model(t.BertConfig(intermediate_size=96, **SHAPE))
    with pytest.raises(UserError, match=r"^other \(bert\) does not write text from left to right: choose another$"):
        list(chat.LocalChat(model, tiny.tokenizer(), "other").complete(ASKED, 10))


def test_a_model_whose_own_code_cannot_generate_is_refused_in_one_line(monkeypatch):
    model = random_model(CONFIGS["bloom"])
    monkeypatch.setattr(model, "forward", lambda **_: [][0])
    with pytest.raises(UserError, match=r"^other cannot answer here \(list index out of range\): serve it with vLLM"):
        list(chat.LocalChat(model, tiny.tokenizer(), "other").complete(ASKED, 10))


# --- MFU ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA L4", 121),
        ("NVIDIA L40", 181),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100 80GB PCIe MIG 1g.10gb", None),
        ("Tesla T4", None),
    ],
)
def test_a_card_is_known_by_its_whole_name(name, peak):
    assert mfu.peak_tflops(name) == peak


def test_a_trained_weight_takes_six_operations_a_token_a_frozen_one_four_and_a_lookup_none():
    model = tiny.model()
    rest = sum(p.numel() for p in model.parameters()) - 259 * 48  # the embedding is looked up; the head is not
    assert mfu.flops_per_token(model) == 6 * rest
    model.requires_grad_(False)
    assert mfu.flops_per_token(model) == 4 * rest
    model.config.tie_word_embeddings = True
    tied = type(model)(model.config)
    assert mfu.flops_per_token(tied) == 6 * rest  # one table, looked up and multiplied with


def test_packed_weights_count_as_the_weights_they_stand_for(base, tmp_path, monkeypatch):
    pytest.importorskip("bitsandbytes")
    built = training.spy_on_trainers(monkeypatch)
    lora = profiles.Lora(rank=4, alpha=8, dropout=0.0)
    training.tune(training.settings(base, quantized=True, lora=lora, max_steps=1), tmp_path / "out")
    model = built[0].model
    adapters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in tiny.model().parameters()) - 259 * 48
    assert mfu.flops_per_token(model) == 4 * frozen + 6 * adapters


class Card(torch.nn.Module):
    """A model that says it is on a GPU."""

    def parameters(self, recurse=True):
        return iter([type("Weight", (), {"device": torch.device("cuda", 0)})()])


@pytest.mark.parametrize(("name", "shown"), [("NVIDIA L4", ", MFU 50 %"), ("Some other card", "")])
def test_the_share_of_the_peak_is_told_on_a_card_that_is_known(monkeypatch, name, shown):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _=None: name)
    progress = trainer_.Progress([], None, print)
    progress.flops = 121e12 / 2 / 1000
    assert progress._mfu(1000, Card()) == shown


def test_nothing_is_told_of_a_gpu_where_training_runs_on_the_processor(monkeypatch):
    """Also on a machine that has a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _=None: "NVIDIA L4")
    progress = trainer_.Progress([], None, print)
    progress.flops = 1e12
    assert progress._mfu(1000, tiny.model()) == ""
