"""What a dialogue becomes: exactly the answers are trained on, with their end tokens, and the role prompt where there is one."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from types import SimpleNamespace

import pytest
import tiny
import torch
import training
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaTokenizer

from helpers import annotate, chat, finetune, profiles, roles
from helpers import models as helpers_models
from helpers.data.lima import dialogues
from helpers.errors import UserError
from helpers.finetune import encode
from helpers.finetune import trainer as trainer_
from helpers.finetune.encode import IGNORED
from helpers.models import fetch_default

pytestmark = pytest.mark.usefixtures("one_thread")

WHOLE = 10**6  # tokens: nothing is cut


@pytest.fixture
def lima(real_data, tmp_path_factory):
    """LIMA's 1,030 dialogues with the packaged roles."""
    return _lima(tmp_path_factory.getbasetemp() / "annotated")


@cache
def _lima(folder):
    rows = annotate.annotate(dialogues("local"), folder, say=lambda *_: None)
    assert len(rows) == 1030
    return rows


class Cached:
    """A tokenizer that remembers the ids of a text."""

    def __init__(self, inner):
        self.inner, self.known = inner, {}

    def __call__(self, text, add_special_tokens=True, **options):
        key = text, add_special_tokens
        if key not in self.known:
            self.known[key] = self.inner(text, add_special_tokens=add_special_tokens, **options)
        return self.known[key]

    def learn(self, texts):
        """Many at once, on all cores."""
        new = [text for text in set(texts) if (text, False) not in self.known]
        ids = self.inner(new, add_special_tokens=False, split_special_tokens=True).input_ids if new else []
        self.known |= {(text, False): SimpleNamespace(input_ids=i) for text, i in zip(new, ids, strict=True)}

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.fixture
def tokenizer(request, lima):
    return _tokenizer(request.param)


@cache
def _tokenizer(kind):
    return Cached({"smollm2": default_tokenizer, "llama": llama_tokenizer}[kind]())


def default_tokenizer():
    return AutoTokenizer.from_pretrained(fetch_default())


def llama_tokenizer():
    """The class that Llama-2's and Mistral's files are read with, with 2,000 pieces learnt here: "▁", bytes, BOS, no pad."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace()
    kinds = trainers.BpeTrainer(vocab_size=2000, limit_alphabet=80, show_progress=False)
    learnt.train_from_iterator((t for d in dialogues("local")[::8] for t in d.turns), kinds)
    model = json.loads(learnt.to_str())["model"]
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces = [*first, *sorted(model["vocab"], key=model["vocab"].get)]
    made = LlamaTokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)},
        merges=[tuple(pair) for pair in model["merges"]],
        add_bos_token=True,
    )
    assert made("Why?").input_ids[0] == made.bos_token_id and made.pad_token_id is None
    assert made.convert_ids_to_tokens(made("Ω", add_special_tokens=False).input_ids)[1:] == ["<0xCE>", "<0xA9>"]
    return made


both_tokenizers = pytest.mark.parametrize("tokenizer", ["smollm2", "llama"], indirect=True)


def runs(encoded):
    """The stretches between borders: [(trained, ids)], an end token being a border too."""
    found = []
    for i, (token, label) in enumerate(zip(encoded.input_ids, encoded.labels, strict=True)):
        if i == 0 or (label == IGNORED) != (encoded.labels[i - 1] == IGNORED):
            found.append((label != IGNORED, []))
        assert label in (IGNORED, token)
        found[-1][1].append(token)
    return found


def expected(row, arm, design):
    """What a person would write down: the prompt, the answer, the prompt, the answer ..."""
    role = roles.render(row["role"]["question_description"], row["role"]["role_description"], design)
    texts = []
    for n, message in enumerate(row["messages"]):
        text = message["content"].strip()
        if n % 2:
            texts.append((True, f" {role} {text}" if role and arm == "role" and n == 1 else f" {text}"))
        else:
            texts.append((False, f"{'' if n else roles.SYSTEM}\nUSER: {text}\nASSISTANT:"))
    return texts


@pytest.mark.parametrize(("arm", "design"), [("lima", 8), *(("role", design) for design in range(9))])
@both_tokenizers
def test_of_all_real_dialogues_exactly_the_answers_and_role_prompts_and_end_tokens_are_trained(
    lima, tokenizer, arm, design
):
    """Decoded between the borders, every stretch is its text: so no token straddles a border either."""
    bos = 1 if tokenizer.inner("x").input_ids[0] == tokenizer.bos_token_id else 0
    specials = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    stretches, texts = [], [text for row in lima for _, text in expected(row, arm, design)]
    tokenizer.learn(texts)
    for row in lima:
        encoded = encode.encode_dialogue(row, tokenizer, arm, WHOLE, design)
        assert not encoded.cut
        found, wanted = runs(encoded), expected(row, arm, design)
        assert [trained for trained, _ in found] == [trained for trained, _ in wanted], row["id"]
        if bos:
            assert found[0][1].pop(0) == tokenizer.bos_token_id
        for trained, ids in found:
            if trained:
                assert ids.pop() == tokenizer.eos_token_id, f"{row['id']}: an answer without an end token"
            assert not specials & set(ids), f"{row['id']}: an end or begin token within a text"
            stretches.append(ids)
    decoded = tokenizer.backend_tokenizer.decode_batch(stretches, skip_special_tokens=False)
    strip = bool(bos)  # a decoder of "▁" leaves out the space in front
    wrong = [(d, t) for d, t in zip(decoded, texts, strict=True) if d != (t.removeprefix(" ") if strip else t)]
    assert not wrong, f"{len(wrong)} of {len(texts)} stretches, such as {wrong[0]}"


@both_tokenizers
def test_the_model_is_trained_on_the_very_prompt_that_it_is_asked_with(lima, tokenizer):
    """A tokenizer that joins ".\\n", or puts a "▁" in front of a text, writes two pieces otherwise than their sum."""
    for row in lima:
        asked = tokenizer(chat.frame(chat.user(row["messages"][0]["content"]))).input_ids
        trained, prompt = runs(encode.encode_dialogue(row, tokenizer, "role", WHOLE))[0]
        assert prompt == asked and not trained, row["id"]


# --- the tiny tokenizer, where every id can be read ------------------------------------------------


def trained_text(encoded, tokenizer):
    return tokenizer.decode([i for i, label in zip(encoded.input_ids, encoded.labels, strict=True) if label != IGNORED])


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("design", range(9))
def test_exactly_the_answers_the_role_prompt_and_the_end_tokens_are_trained(bos, design):
    tokenizer = tiny.tokenizer(bos)
    for row in tiny.ROWS:
        role = roles.render(row["role"]["question_description"], row["role"]["role_description"], design)
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


# --- cutting ---------------------------------------------------------------------------------------


@both_tokenizers
def test_a_long_dialogue_keeps_as_many_whole_turns_as_fit_and_says_that_it_was_cut(lima, tokenizer):
    several = [row for row in lima if len(row["messages"]) > 2]
    assert len(several) == 29
    for row in several:
        whole = encode.encode_dialogue(row, tokenizer, "role", WHOLE)
        ends = [i + 1 for i, label in enumerate(whole.labels) if label == tokenizer.eos_token_id]
        assert len(ends) == len(row["messages"]) // 2 and ends[-1] == len(whole.input_ids)
        for room in {ends[0], *(end + d for end in ends[1:] for d in (-1, 0, 1))}:
            part = encode.encode_dialogue(row, tokenizer, "role", room)
            last = max(end for end in ends if end <= room)
            assert part.input_ids == whole.input_ids[:last] and part.labels == whole.labels[:last]
            assert part.cut == (last < ends[-1])


def test_a_dialogue_whose_first_answer_does_not_fit_is_left_out_by_name_and_never_cut_in_its_role_prompt():
    tokenizer = tiny.tokenizer()
    lengths = [len(encode.encode_dialogue(row, tokenizer, "role").input_ids) for row in tiny.ROWS]
    for room in range(60, max(lengths) + 1):  # one token a letter: every place within the role prompts is tried
        try:
            encoded, left_out = encode.encode_rows(tiny.ROWS, tokenizer, "role", room)
        except UserError as error:
            assert str(error) == f"no dialogue fits into {room} tokens: raise max_tokens"
            continue
        fits = [row for row in tiny.ROWS if row["id"] not in left_out]
        assert len(encoded) == len(fits) > 0
        for e, row in zip(encoded, fits, strict=True):
            role = roles.render(row["role"]["question_description"], row["role"]["role_description"])
            assert trained_text(e, tokenizer).startswith(f" {role} {row['messages'][1]['content']}</s>")
            assert len(e.input_ids) <= room and e.input_ids[-1] == tokenizer.eos_token_id
    assert left_out == [] and not any(e.cut for e in encoded)


def test_the_run_says_how_many_dialogues_were_cut_and_left_out_and_the_manifest_counts_them(tmp_path):
    tiny.save(tmp_path / "base")
    lengths = {r["id"]: len(encode.encode_dialogue(r, tiny.tokenizer(), "role").input_ids) for r in tiny.ROWS}
    room = lengths["a"] - 1  # "a" does not fit, the second turn of "b" neither
    assert room < lengths["b"] and room >= max(lengths["c"], lengths["d"])
    said = []
    profile = training.settings(tmp_path / "base", max_steps=1, max_tokens=room)
    manifest = training.tune(profile, tmp_path / "out", say=lambda line: said.append(str(line)))
    assert f"1 dialogues were cut at a turn's end, 1 do not fit into {room} tokens and are left out" in said
    assert manifest["dialogues_cut"] == 1 and manifest["dialogues_left_out"] == ["a"]


def test_a_dialogue_that_does_not_fit_is_one_line():
    with pytest.raises(UserError, match=r"^dialogue b does not fit into 60 tokens: shorten it or raise max_tokens$"):
        finetune.encode_dialogue(tiny.ROWS[1], tiny.tokenizer(), "role", max_tokens=60)


# --- refusals --------------------------------------------------------------------------------------


def changed(**changes):
    return [tiny.ROWS[0], {**tiny.row("x", "Why?", "So.", "And?", "Thus."), **changes}]


def said(*roles_and_texts):
    return [{"role": role, "content": text} for role, text in roles_and_texts]


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        (said(("user", "Why?")), "dialogue x: turns must go user, assistant"),
        (said(("assistant", "So."), ("user", "Why?")), "dialogue x: turns must go user, assistant"),
        (said(("user", "Why?"), ("user", "Why?")), "dialogue x: turns must go user, assistant"),
        (said(("system", "Be."), ("user", "Why?"), ("assistant", "So.")), "dialogue x: turns must go user, assistant"),
        ([], "dialogue x: turns must go user, assistant"),
        (said(("user", "Why?"), ("assistant", " \n")), "dialogue x: an empty turn"),
        (said(("user", ""), ("assistant", "So.")), "dialogue x: an empty turn"),
    ],
    ids=["no answer", "answer first", "no assistant", "system turn", "nothing", "empty answer", "empty question"],
)
@pytest.mark.parametrize("arm", finetune.ARMS)
def test_a_row_that_nothing_can_be_learnt_from_is_refused_by_name(messages, line, arm):
    with pytest.raises(UserError, match=line) as refusal:
        encode.encode_rows(changed(messages=messages), tiny.tokenizer(), arm)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("role", [None, {}])
def test_a_row_without_a_role_is_refused_by_name_in_the_role_arm_only(role):
    rows = changed(role=role)
    assert len(encode.encode_rows(rows, tiny.tokenizer(), "lima")[0]) == 2
    with pytest.raises(UserError, match=r"^dialogue x has no role annotation: run annotate first$"):
        encode.encode_rows(rows, tiny.tokenizer(), "role")


def test_no_rows_at_all_are_refused():
    with pytest.raises(UserError, match="no dialogues to train on: run annotate first"):
        encode.encode_rows([], tiny.tokenizer(), "lima")


# --- end tokens that are not ours --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiny", "smollm2"])
def test_an_end_token_that_a_text_spells_is_text_and_only_ours_end_a_turn(kind):
    """HTML strikes out with <s> and </s>; a dialogue about chat formats quotes <|im_end|>."""
    tokenizer = tiny.tokenizer(bos=True) if kind == "tiny" else default_tokenizer()
    end = tokenizer.eos_token
    row = tiny.row("x", f"What does {end} mean?", f"{end} ends a turn.", "And <s>?", f"It struck{end}")
    for arm in finetune.ARMS:
        encoded = encode.encode_dialogue(row, tokenizer, arm)
        found = runs(encoded)
        assert [ids[-1] == tokenizer.eos_token_id for trained, ids in found if trained] == [True, True]
        assert encoded.input_ids.count(tokenizer.eos_token_id) == 2
        written = [tokenizer.decode(ids) for _, ids in found]
        assert written[0].endswith(f"USER: What does {end} mean?\nASSISTANT:")
        assert written[1].endswith(f" {end} ends a turn.{end}") and written[3] == f" It struck{end}{end}"
        assert found[0][1] == chat.frame_ids(chat.user(f"What does {end} mean?"), tokenizer)  # asked as trained


def test_a_tokenizer_that_writes_an_end_token_or_nothing_for_a_text_is_refused_with_the_dialogue(tmp_path, monkeypatch):
    """Some write their end token for what they do not know: the model would learn to stop in the middle."""
    base, out = tiny.save(tmp_path / "base"), tmp_path / "out"
    monkeypatch.setattr(helpers_models, "load", lambda *_, **__: pytest.fail("loaded"))
    for replaced, line in (
        ("Ω", "dialogue x: the tokenizer writes an end token within 'An Ω.'; remove the dialogue"),
        (" An Ω.", "dialogue x: the tokenizer writes nothing for 'An Ω.'; remove the dialogue"),
    ):
        tokenizer = tiny.tokenizer()
        inner = tokenizer.backend_tokenizer
        if replaced == "Ω":
            ends = {token: i for token, i in inner.get_vocab().items() if token not in "Î©"}
            inner.model = models.BPE(vocab=ends, merges=[], unk_token="</s>")
        else:
            inner.normalizer = normalizers.Replace(replaced, "")
        tokenizer.save_pretrained(base)
        with pytest.raises(UserError) as refused:
            training.tune(training.settings(base), out, [*tiny.ROWS, tiny.row("x", "Which?", "An Ω.")], "lima")
        assert str(refused.value) == line and not out.exists()


def test_rows_of_which_nothing_is_left_to_train_on_are_refused_before_a_model_is_loaded(tmp_path, monkeypatch):
    base, out, said = tiny.save(tmp_path / "base"), tmp_path / "out", []
    monkeypatch.setattr(helpers_models, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError, match=r"^no dialogue fits into 60 tokens: raise max_tokens$"):
        training.tune(training.settings(base, max_tokens=60), out)
    monkeypatch.setattr(helpers_models, "load", lambda *_, **__: 1 / 0)
    long = tiny.row("long", "Why?", "x" * 900)
    with pytest.raises(ZeroDivisionError):  # the model is loaded after it was said what is left out
        training.tune(
            training.settings(base, max_tokens=600), out, [*tiny.ROWS, long], say=lambda s: said.append(str(s))
        )
    assert "0 dialogues were cut at a turn's end, 1 do not fit into 600 tokens and are left out" in said


# --- the batch that reaches the model ---------------------------------------------------------------


def test_padding_is_neither_seen_nor_learnt_and_the_end_token_is_even_where_it_pads(tmp_path, monkeypatch):
    base = tiny.save(tmp_path / "base")
    tokenizer = tiny.tokenizer(bos=True)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(base)
    batches, forwards = [], []
    real_loss = trainer_.Trainer.compute_loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        batches.append({k: v.clone() for k, v in inputs.items()} | {"items": int(num_items_in_batch)})
        hook = model.register_forward_pre_hook(lambda _, args, given: forwards.append((args, given)), with_kwargs=True)
        try:
            return real_loss(self, model, inputs, return_outputs, num_items_in_batch)
        finally:
            hook.remove()

    monkeypatch.setattr(trainer_.Trainer, "compute_loss", compute_loss)
    profile = training.settings(base, batch_size=4, device_batch_size=2, max_steps=2)
    training.tune(profile, tmp_path / "out")
    encoded = {tuple(e.input_ids): e for e in encode.encode_rows(tiny.ROWS, tokenizer, "role")[0]}
    assert len(batches) == len(forwards) == 4  # two steps of two passes
    for batch, (_, given) in zip(batches, forwards, strict=True):
        width = batch["input_ids"].shape[1]
        assert torch.equal(given["input_ids"], batch["input_ids"])
        assert torch.equal(given["attention_mask"], batch["attention_mask"])
        assert (batch["labels"] == tokenizer.eos_token_id).any()
        for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
            n = int(mask.sum())
            whole = encoded[tuple(ids[:n].tolist())]  # a row of ours, from its first token to its last
            assert mask.tolist() == [1] * n + [0] * (width - n)
            assert ids[n:].tolist() == [tokenizer.eos_token_id] * (width - n)
            assert labels.tolist() == whole.labels + [IGNORED] * (width - n)
            predicting = {i - 1 for i, label in enumerate(whole.labels) if label != IGNORED}
            assert predicting <= set(given["logits_to_keep"].tolist())
    assert any((batch["attention_mask"] == 0).any() for batch in batches), "nothing was padded: nothing was shown"
    trained = sum(label != IGNORED for e in encoded.values() for label in e.labels)
    assert [batch["items"] for batch in batches] == [trained] * 4  # of the whole step, in every pass


# --- the order of an epoch ---------------------------------------------------------------------------


def steps_of(order, batch_size):
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


LENGTHS = [(37 * i) % 101 + 20 for i in range(206)]


@pytest.mark.parametrize("epoch", [0, 1, 3])
@pytest.mark.parametrize("device_batch_size", [2, 4, 8, 64])
def test_the_same_rows_share_an_optimizer_step_whatever_a_device_takes_at_once(device_batch_size, epoch):
    alone = steps_of(encode.epoch_order(LENGTHS, 64, 0, epoch), 64)
    padded = steps_of(encode.epoch_order(LENGTHS, 64, 0, epoch, device_batch_size), 64)
    assert [sorted(s) for s in alone] == [sorted(s) for s in padded]
    assert sorted(i for step in alone for i in step) == list(range(206))


def test_epochs_and_seeds_meet_the_rows_in_other_orders_and_the_same_seed_in_the_same():
    orders = [tuple(encode.epoch_order(LENGTHS, 64, seed, epoch)) for seed in range(4) for epoch in range(8)]
    assert len(set(orders)) == 32
    assert orders == [tuple(encode.epoch_order(LENGTHS, 64, seed, epoch)) for seed in range(4) for epoch in range(8)]


@pytest.mark.parametrize(
    ("seed", "epoch", "order"),
    [(0, 0, [7, 5, 1, 3, 4, 2, 0, 8, 6]), (7, 0, [1, 6, 7, 4, 0, 8, 3, 2, 5]), (7, 2, [7, 0, 3, 2, 8, 4, 1, 6, 5])],
)
def test_the_order_is_that_of_python_3_11_whatever_python_shuffles_like(monkeypatch, seed, epoch, order):
    monkeypatch.setattr(random.Random, "shuffle", lambda self, items: items.sort())  # a later version's
    assert encode.epoch_order([0] * 9, 4, seed, epoch) == order


def test_both_arms_meet_the_rows_in_the_same_order(lima):
    """Arms are compared with one another: what differs is the role prompt, not the luck of the draw."""
    tokenizer = _tokenizer("smollm2")
    plain, role = ([len(encode.encode_dialogue(r, tokenizer, arm).input_ids) for r in lima] for arm in ("lima", "role"))
    assert plain != role
    for epoch in range(4):
        assert encode.epoch_order(plain, 64, 1, epoch) == encode.epoch_order(role, 64, 1, epoch)
        steps = [steps_of(encode.epoch_order(lengths, 64, 1, epoch, 2), 64) for lengths in (plain, role)]
        assert [sorted(s) for s in steps[0]] == [sorted(s) for s in steps[1]]


def waste(order, lengths, device_batch_size):
    """Share of the tokens that a device is given which are padding."""
    batches = [[lengths[i] for i in batch] for batch in steps_of(order, device_batch_size)]
    return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)


@pytest.mark.parametrize("arm", finetune.ARMS)
@both_tokenizers
def test_less_than_a_twentieth_of_the_tokens_is_padding_with_the_papers_batch(lima, tokenizer, arm):
    a100 = profiles.get("a100")
    sizes = a100.batch_size, a100.device_batch_size
    lengths = [len(e.input_ids) for e in encode.encode_rows(lima, tokenizer, arm, a100.max_tokens)[0]]
    assert len(lengths) > 1000
    for epoch in range(4):
        ours = waste(encode.epoch_order(lengths, sizes[0], 0, epoch, sizes[1]), lengths, sizes[1])
        shuffled = waste(encode.epoch_order(lengths, sizes[0], 0, epoch), lengths, sizes[1])
        assert ours < 0.05 < shuffled, f"{100 * ours:.1f} % is padding; with shuffling alone {100 * shuffled:.1f} %"


@pytest.mark.parametrize("device_batch_size", [1, 2, 4])
def test_a_run_of_several_epochs_really_takes_its_steps_in_that_order(tmp_path, monkeypatch, device_batch_size):
    """Six rows and four to a step: an epoch ends with a step of two, and the next one begins with a fresh draw."""
    rows = [*tiny.ROWS, tiny.row("e", "Count to two.", "One, two."), tiny.row("f", "Sing.", "La, la, la!")]
    met, real = [], trainer_.Trainer.compute_loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
            text = tokenizer.decode(ids[mask.bool()])
            met.append(questions.index(re.search("USER: (.*)\n", text)[1]))
        return real(self, model, inputs, return_outputs, num_items_in_batch)

    monkeypatch.setattr(trainer_.Trainer, "compute_loss", compute_loss)
    tokenizer, questions = tiny.tokenizer(), [r["messages"][0]["content"] for r in rows]
    tiny.save(tmp_path / "base")
    sizes = {"batch_size": 4, "device_batch_size": device_batch_size}
    manifest = training.tune(
        training.settings(tmp_path / "base", max_steps=None, epochs=3.0, **sizes), tmp_path / "out", rows, seed=3
    )
    lengths = [len(encode.encode_dialogue(r, tokenizer, "role").input_ids) for r in rows]
    wanted = [i for epoch in range(3) for i in encode.epoch_order(lengths, 4, 3, epoch, device_batch_size)]
    assert met == wanted
    assert manifest["steps"] == 6 and manifest["dialogues_seen"] == 18
