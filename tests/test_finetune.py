"""Fine-tuning: what is trained on, in which precision of bookkeeping, and what is refused."""

import json

import pytest
import tiny
import torch

from helpers import finetune, profiles
from helpers.errors import UserError
from helpers.finetune import IGNORED


@pytest.fixture
def profile(tmp_path):
    tiny.save(tmp_path / "base")
    return profiles.get("cpu", model=str(tmp_path / "base"), max_steps=3, learning_rate=1e-3)


def trained_text(encoded, tokenizer):
    return tokenizer.decode([i for i, label in zip(encoded.input_ids, encoded.labels, strict=True) if label != IGNORED])


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("design", range(9))
def test_exactly_the_answers_the_role_prompt_and_the_end_tokens_are_trained(bos, design):
    tokenizer = tiny.tokenizer(bos)
    for row in tiny.ROWS:
        role = finetune.roles.render(**finetune._descriptions(row), design=design)
        answers = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
        plain = "".join(f" {a}</s>" for a in answers)
        opened = plain if not role else f" {role}{plain}"
        assert trained_text(finetune.encode_dialogue(row, tokenizer, "lima", design=design), tokenizer) == plain
        assert trained_text(finetune.encode_dialogue(row, tokenizer, "role", design=design), tokenizer) == opened


def test_the_whole_text_is_the_papers_frame_with_one_bos():
    tokenizer = tiny.tokenizer(bos=True)
    encoded = finetune.encode_dialogue(tiny.ROWS[1], tokenizer, "lima")
    assert tokenizer.decode(encoded.input_ids) == (
        "<s>Below is a chat between a user and an AI assistant.\nUSER: Is it raining?\nASSISTANT: No.</s>"
        "\nUSER: And now?\nASSISTANT: Yes, a little.</s>"
    )


def test_a_long_dialogue_is_cut_at_the_end_of_a_turn():
    tokenizer = tiny.tokenizer()
    whole = finetune.encode_dialogue(tiny.ROWS[1], tokenizer, "role")
    cut = finetune.encode_dialogue(tiny.ROWS[1], tokenizer, "role", max_tokens=len(whole.input_ids) - 1)
    assert tokenizer.decode(cut.input_ids).endswith("ASSISTANT: [" + "") is False
    assert trained_text(cut, tokenizer).endswith(" No.</s>") and len(cut.input_ids) < len(whole.input_ids)
    with pytest.raises(UserError, match="dialogue b does not fit"):
        finetune.encode_dialogue(tiny.ROWS[1], tokenizer, "role", max_tokens=60)


def test_a_row_without_a_role_is_named_in_the_role_arm():
    row = {**tiny.ROWS[0], "role": None}
    assert finetune.encode_dialogue(row, tiny.tokenizer(), "lima")
    with pytest.raises(UserError, match="dialogue a has no role annotation"):
        finetune.encode_dialogue(row, tiny.tokenizer(), "role")


def test_dropout_rises_linearly_and_each_layer_gets_its_own(monkeypatch):
    ramp = finetune.dropout_ramp(3, 0.25)
    assert ramp == [0.0, 0.125, 0.25]
    model = tiny.model(layers=3)
    finetune.set_attention_dropout(model, ramp)
    seen = []
    real = torch.nn.functional.scaled_dot_product_attention

    def spy(*args, dropout_p=0.0, **kwargs):
        seen.append(dropout_p)
        return real(*args, dropout_p=dropout_p, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    ids = torch.arange(3, 23)[None]
    model.train()(input_ids=ids)
    assert seen == ramp
    seen.clear()
    model.eval()(input_ids=ids)
    assert seen == [0.0, 0.0, 0.0]


def test_training_lowers_the_loss_and_only_learns_the_trained_tokens(profile, tmp_path):
    longer = profiles.get("cpu", model=profile.model, max_steps=30, learning_rate=3e-3)
    manifest = finetune.finetune(longer, "lima", tiny.ROWS, tmp_path / "lima-seed0", say=lambda _: None)
    assert manifest["losses"][-1] < 0.7 * manifest["losses"][0]
    assert manifest["trained_tokens"] < manifest["tokens"]


def test_the_loss_is_the_mean_over_all_trained_tokens_of_the_optimizer_step(profile, tmp_path):
    """Per-row means would weigh a short answer's tokens more: a classic accumulation bug."""
    settings = profiles.get("cpu", model=profile.model, max_steps=1, batch_size=4, attention_dropout=0.0)
    manifest = finetune.finetune(settings, "role", tiny.ROWS, tmp_path / "role-seed0", say=lambda _: None)
    tokenizer, model = tiny.tokenizer(), tiny.model()
    total, count = 0.0, 0
    for encoded in (finetune.encode_dialogue(r, tokenizer, "role") for r in tiny.ROWS):
        logits = model(torch.tensor([encoded.input_ids])).logits[0, :-1]
        labels = torch.tensor(encoded.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
        count += int((labels != IGNORED).sum())
    assert manifest["losses"][0] == pytest.approx(total / count, rel=1e-4)


def test_a_batch_of_two_rows_gives_the_losses_of_two_batches_of_one(profile, tmp_path):
    one = profiles.get("cpu", model=profile.model, max_steps=3, attention_dropout=0.0)
    two = profiles.get("cpu", model=profile.model, max_steps=3, attention_dropout=0.0, device_batch_size=2)
    a = finetune.finetune(one, "role", tiny.ROWS, tmp_path / "a" / "role-seed0", say=lambda _: None)
    b = finetune.finetune(two, "role", tiny.ROWS, tmp_path / "b" / "role-seed0", say=lambda _: None)
    assert a["losses"] == pytest.approx(b["losses"], rel=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(profile, tmp_path):
    def weights(name, seed):
        finetune.finetune(profile, "role", tiny.ROWS, tmp_path / name, seed, say=lambda _: None)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("one", 0) == weights("two", 0)
    assert weights("one", 0) != weights("three", 1)


def test_a_finished_model_is_kept_and_another_recipe_is_refused(profile, tmp_path):
    out = tmp_path / "role-seed0"
    finetune.finetune(profile, "role", tiny.ROWS, out, say=lambda _: None)
    before = (out / "model.safetensors").stat().st_mtime_ns
    said = []
    finetune.finetune(profile, "role", tiny.ROWS, out, say=said.append)
    assert (out / "model.safetensors").stat().st_mtime_ns == before and "kept" in said[0]
    with pytest.raises(UserError, match="another recipe"):
        finetune.finetune(profile, "role", tiny.ROWS[:2], out, say=lambda _: None)
    assert json.loads((out / "manifest.json").read_text())["arm"] == "role"


def test_lora_trains_adapters_only(profile, tmp_path):
    from safetensors.torch import load_file

    settings = profiles.get("cpu", model=profile.model, max_steps=2, lora=profiles.Lora(rank=4, alpha=8))
    out = tmp_path / "role-seed0"
    finetune.finetune(settings, "role", tiny.ROWS, out, say=lambda _: None)
    names = set(load_file(out / "adapter_model.safetensors"))
    assert names and all("lora_" in n for n in names)
    model, _ = finetune.models.load(settings, str(out))
    assert model(input_ids=torch.arange(3, 9)[None]).logits.shape == (1, 6, 259)


@pytest.mark.parametrize(
    ("turns", "message"),
    [(["Hello?"], "must go user, assistant"), (["Hello?", " "], "empty turn"), ([], "must go user, assistant")],
)
def test_unusable_rows_are_refused_with_file_and_line(tmp_path, turns, message):
    path = tmp_path / "lima_role.jsonl"
    path.write_text(json.dumps(tiny.ROWS[0]) + "\n" + json.dumps(tiny.row("x", *turns)) + "\n")
    with pytest.raises(UserError, match=rf"lima_role.jsonl, line 2: .*{message}"):
        finetune.load_rows(path)


def test_an_unknown_arm_is_refused(profile, tmp_path):
    with pytest.raises(UserError, match="unknown arm 'rolle': choose lima or role"):
        finetune.finetune(profile, "rolle", tiny.ROWS, tmp_path / "x")
