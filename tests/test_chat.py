"""LocalChat: right first, whatever the batch."""

import re

import pytest
import tiny
import torch

from helpers.chat import LocalChat, frame, user
from helpers.errors import UserError

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


def test_a_reply_stops_before_a_new_user_turn_and_at_the_end_token():
    tokenizer = tiny.tokenizer()
    script = {0: " Yes.\nUSER: more", 1: " No.</s> never"}

    class Scripted(torch.nn.Module):
        """Writes a fixed text after each prompt, whatever the cache holds: only the stopping is under test."""

        config = tiny.model().config
        generation_config = tiny.model().generation_config
        device = torch.device("cpu")
        step = -1

        def forward(self, input_ids, **kwargs):
            self.step += 1
            logits = torch.zeros(len(input_ids), 1, 259)
            for k in range(len(input_ids)):
                ids = tokenizer(script[k if len(input_ids) == 2 else 0], add_special_tokens=False).input_ids
                logits[k, 0, ids[min(self.step, len(ids) - 1)]] = 1
            return type("Out", (), {"logits": logits})()

    import helpers.chat

    original = helpers.chat._select_cache
    helpers.chat._select_cache = lambda cache, index: cache
    try:
        answers = dict(LocalChat(Scripted(), tokenizer, "scripted", 2).complete([user("bbbb"), user("a")], 30))
    finally:
        helpers.chat._select_cache = original
    assert {(a.text, a.finish) for a in answers.values()} == {("Yes.", "stop"), ("No.", "stop")}


def test_the_second_stage_reads_on_over_an_empty_line():
    """A model that writes ":" and a line break before its answer has not answered yet."""
    from helpers.chat import LINE_END

    assert LINE_END.search(":\n\nYes") is None and LINE_END.search(" (B)\n").start("cut") == 4


def test_a_prompt_longer_than_the_context_is_refused_not_cut():
    chat = LocalChat(tiny.model(), tiny.tokenizer(), "tiny")
    with pytest.raises(UserError, match="more than tiny can read"):
        list(chat.complete([user("x" * 2048)], 10))


def test_finish_says_whether_the_limit_cut_the_answer():
    chat = LocalChat(_ending_model(), tiny.tokenizer(), "tiny")
    answers = [c for _, c in chat.complete(CONVERSATIONS, 40)]
    assert {a.finish for a in answers} <= {"stop", "length"}
    assert all((a.tokens == 40) == (a.finish == "length") for a in answers)
