"""LocalChat: right first, whatever the batch."""

import re

import pytest
import tiny
import torch

from helpers.chat import LocalChat, frame, frame_ids, user, with_progress

QUESTIONS = [
    "Why?",
    "What is the capital of a country with two capitals?",
    "Name three things that float, and three that do not, and say why.",
    "2+2=",
    "Tell me a story about a very small model that writes its own prompt before it answers.",
    "How do you do?",
    "Where is the nearest exit, please? I am in a hurry and cannot read the signs.",
]
CONVERSATIONS = [user(q) for q in QUESTIONS]
THEN = "\nTherefore, the answer is"


def by_hand(model, tokenizer, prompt: str, limit: int, ends=(1,)) -> tuple[list[int], str]:
    """Greedy decoding of one prompt without cache, batch or padding."""
    ids = tokenizer(prompt).input_ids
    start = len(ids)
    for _ in range(limit):
        token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if token in ends:
            break
        ids.append(token)
        if "\nUSER:" in tokenizer.decode(ids[start:]):
            break
    return ids, tokenizer.decode(ids[start:])


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_answers_equal_plain_greedy_decoding_for_every_batch_size(batch_size, bos):
    model, tokenizer = tiny.model(), tiny.tokenizer(bos)
    chat = LocalChat(model, tokenizer, "tiny", batch_size)
    answers = dict(chat.complete(CONVERSATIONS, max_tokens=25))
    assert sorted(answers) == list(range(len(QUESTIONS)))
    for i, conversation in enumerate(CONVERSATIONS):
        assert answers[i].text == by_hand(model, tokenizer, frame(conversation), 25)[1].strip()
    assert len({a.text for a in answers.values()}) > 1  # else the comparison would show little


def test_a_model_can_be_asked_in_its_own_chat_template_whose_special_tokens_stand_once():
    model, tokenizer = tiny.model(), tiny.tokenizer(bos=True)
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = LocalChat(model, tokenizer, "tiny", prompt="chat")
    assert chat.text(user("Why?")) == "<s><user>Why?<assistant>"
    assert chat.text([*user("Why?"), {"role": "assistant", "content": "So"}]) == "<s><user>Why?<assistant>So"
    [(_, answer)] = chat.complete([user("Why?")], 12)
    assert answer.prompt_tokens == len(tokenizer("<s><user>Why?<assistant>", add_special_tokens=False).input_ids)
    assert answer.text != next(LocalChat(model, tokenizer, "tiny").complete([user("Why?")], 12))[1].text


def test_forty_prompts_have_the_same_answers_one_eight_and_thirty_two_at_a_time():
    model, tokenizer = _ending_model(), tiny.tokenizer()
    many = [user(f"{q} {k}") for k in range(6) for q in QUESTIONS]
    alone, eight, all_of_them = (
        dict(LocalChat(model, tokenizer, "tiny", size).complete(many, 8, lambda i, _: THEN, 3)) for size in (1, 8, 32)
    )
    assert alone == eight == all_of_them and len(alone) == 42


def _watched(model) -> list[tuple[int, int, int]]:
    """(rows, columns, positions that each may see) of every call of the model from now on."""
    calls = []

    def note(module, args, kwargs):
        calls.append((*kwargs["input_ids"].shape, kwargs["attention_mask"].shape[-1]))

    model.register_forward_pre_hook(note, with_kwargs=True)
    return calls


def test_the_second_stage_does_not_read_the_prompt_again():
    model, tokenizer = tiny.model(seed=1), tiny.tokenizer()
    calls = _watched(model)
    asked = [user("Why? " * 20)]
    [(_, answer)] = LocalChat(model, tokenizer, "tiny").complete(asked, 10, lambda i, _: THEN, 5)
    added = len(tokenizer(THEN, add_special_tokens=False).input_ids)
    read = sum(columns for _, columns, _ in calls)
    assert answer.continued and read <= answer.prompt_tokens + answer.tokens + 1 + added + 5 + 1


def test_the_cache_holds_no_more_positions_than_allowed():
    model = _ending_model()
    calls = _watched(model)
    list(LocalChat(model, tiny.tokenizer(), "tiny", 32, 700).complete(CONVERSATIONS, 30))
    assert max(rows * seen for rows, _, seen in calls) <= 700 and max(rows for rows, _, _ in calls) > 1


def _ending_model():
    """A tiny model whose answers end at different lengths: the end token is one of its favourites."""
    model = tiny.model(seed=3)
    with torch.no_grad():
        model.lm_head.weight[1] += 0.9 * model.lm_head.weight[3:].mean(0) + 0.02 * torch.randn(48)
    return model


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_the_second_stage_continues_the_same_turn_as_if_the_prompt_were_read_again(batch_size):
    model, tokenizer = tiny.model(seed=1), tiny.tokenizer()
    chat = LocalChat(model, tokenizer, "tiny", batch_size)
    then = lambda i, text: THEN if i % 2 == 0 else None  # noqa: E731
    answers = dict(chat.complete(CONVERSATIONS, 12, then=then, then_tokens=6))
    for i, conversation in enumerate(CONVERSATIONS):
        if i % 2:
            assert answers[i].continued == ""
            continue
        first, _ = by_hand(model, tokenizer, frame(conversation), 12)
        ids = first + tokenizer(THEN, add_special_tokens=False).input_ids
        expected = []
        for _ in range(6):
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token == 1:
                break
            ids.append(token)
            expected.append(token)
            if re.search(r"[^\W_][^\n]*\n", tokenizer.decode(expected)):
                expected.pop()
                break
        assert answers[i].continued == tokenizer.decode(expected)


def scripted(script: str) -> LocalChat:
    """A model that writes a fixed text after the prompt of `user("a")`, one token a byte."""
    tokenizer = tiny.tokenizer()
    ids = tokenizer(script, add_special_tokens=False).input_ids
    begin = len(tokenizer(frame(user("a"))).input_ids) - 1

    class Scripted(torch.nn.Module):
        config = tiny.model().config
        generation_config = tiny.model().generation_config
        device = torch.device("cpu")
        _supports_attention_backend, _is_stateful = True, False  # as a Llama

        def forward(self, position_ids, **kwargs):
            logits = torch.zeros(1, 1, 259)
            logits[0, 0, ids[min(max(int(position_ids[0, -1]) - begin, 0), len(ids) - 1)]] = 1
            return type("Out", (), {"logits": logits})()

    return LocalChat(Scripted(), tokenizer, "scripted")


@pytest.mark.parametrize(("script", "text"), [(" Yes.\nUSER: more", "Yes."), (" No.</s> never", "No.")])
def test_a_reply_stops_before_a_new_user_turn_and_at_the_end_token(script, text):
    [(_, answer)] = scripted(script).complete([user("a")], 30)
    assert (answer.text, answer.finish) == (text, "stop")


OPENING = "[This question is a test. From now on, I will think like a tester.]"


@pytest.mark.parametrize(
    ("script", "answer", "opening", "finish"),
    [
        (f" {OPENING} {'x' * 90}", f"{OPENING} {'x' * 9}", len(OPENING) + 1, "length"),  # 10 tokens, as without it
        (f" {'x' * 90}", "x" * 9, 0, "length"),
        (f" [1] {'x' * 90}", f"[1] {'x' * 5}", 0, "length"),  # a bracket that is not an opening
        (f" {OPENING} No.</s>", f"{OPENING} No.", len(OPENING) + 1, "stop"),
        (f" [This question is {'y' * 200}", f" [This question is {'y' * 200}"[1:90], 80, "length"),  # it never ends
    ],
    ids=["opening", "none", "bracket", "short", "endless"],
)
def test_an_opening_has_room_of_its_own_and_takes_none_of_the_answers(script, answer, opening, finish):
    [(_, reply)] = scripted(script).complete([user("a")], 10, opening_tokens=80)
    assert (reply.text, reply.opening, reply.finish) == (answer, opening, finish)
    [(_, before)] = scripted(script).complete([user("a")], 10)
    assert before.tokens <= 10 and before.opening == 0  # without an allowance they share the room


def test_the_second_stage_reads_on_over_an_empty_line():
    """A model that writes ":" and a line break before its answer has not answered yet."""
    from helpers.chat.local import LINE_END

    assert LINE_END.search(":\n\nYes") is None and LINE_END.search(" (B)\n").start("cut") == 4


def test_a_prompt_longer_than_the_context_is_counted_not_cut():
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny")
    answers = dict(chat.complete([user("x" * 2048), user("Why?")], 10))
    assert (answers[0].finish, answers[0].text, answers[0].tokens) == ("too long", "", 0)
    assert answers[0].prompt_tokens > 2048 and answers[1].finish != "too long"


@pytest.mark.parametrize("batch_tokens", [1, 400, 700])
def test_few_places_in_the_cache_change_the_batches_and_not_the_answers(batch_tokens):
    model, tokenizer = _ending_model(), tiny.tokenizer()
    plenty, few = (
        dict(LocalChat(model, tokenizer, "tiny", 32, tokens).complete(CONVERSATIONS, 30, lambda i, _: THEN, 5))
        for tokens in (100_000, batch_tokens)
    )
    assert plenty == few


def test_a_waiting_row_enters_when_another_leaves():
    """The model sees batches of at most three, and is full as long as somebody waits."""
    model, sizes = _ending_model(), []
    model.register_forward_pre_hook(lambda m, args, kwargs: sizes.append(kwargs["input_ids"].shape), with_kwargs=True)
    answers = dict(LocalChat(model, tiny.tokenizer(), "tiny", 3).complete(CONVERSATIONS, 40))
    steps = [rows for rows, columns in sizes if columns == 1]
    assert max(steps) == 3
    tokens = sum(a.tokens + (a.finish == "stop") for a in answers.values())
    assert sum(steps) == tokens  # every row of every step brought a token of an answer, or its end


def test_memory_is_given_back_when_the_long_prompts_are_done():
    from helpers.chat.cache import Slots

    slots = Slots(tiny.model())
    slots.fit(2, 1000)
    slots.forward(0, [[5, 6], [7, 8]], [0, 0])
    before = slots.keys[0][:2, :, :2].clone()
    assert slots.keys[0].shape[::2] == (2, 1024)
    slots.fit(3, 100)
    assert slots.keys[0].shape[::2] == (3, 128) and torch.equal(slots.keys[0][:2, :, :2], before)


def test_a_special_token_in_a_question_is_read_as_its_letters():
    tokenizer = tiny.tokenizer(bos=True)
    spoken = [*user("Is </s> HTML?"), {"role": "assistant", "content": "Yes, after <s>."}, *user("And <pad>?")]
    ids = frame_ids(spoken, tokenizer)
    assert [i for i in ids if i < 3] == [0, 1]  # one BOS, and the end of the assistant's turn
    assert tokenizer.decode(ids) == f"<s>{frame(spoken, '</s>')}"
    asked = "Why?"
    assert frame_ids(user(asked), tokenizer) == tokenizer(frame(user(asked))).input_ids


def test_finish_says_whether_the_limit_cut_the_answer():
    chat = LocalChat(_ending_model(), tiny.tokenizer(), "tiny")
    answers = [c for _, c in chat.complete(CONVERSATIONS, 40)]
    assert {a.finish for a in answers} <= {"stop", "length"}
    assert all((a.tokens == 40) == (a.finish == "length") for a in answers)


@pytest.mark.parametrize(("n", "first"), [(8, 2), (200, 32)], ids=["a quarter of few", "32 of many"])
def test_the_time_left_is_told_once_there_are_answers_to_tell_it_from(monkeypatch, n, first):
    clock = iter(range(0, 10 * (n + 2), 10))
    monkeypatch.setattr("helpers.chat.asking.time.monotonic", lambda: next(clock))
    lines = []
    assert list(with_progress(iter(range(n)), n, "questions", lines.append)) == list(range(n))
    assert not any("left" in line for line in lines[: first - 1])
    assert lines[first - 1] == f"  {first} of {n} questions, 0.1/s, {10 * (n - first)} s left"
    assert len(lines) == n and all("left" in line for line in lines[first - 1 : -1]) and "left" not in lines[-1]
