"""How a conversation is put to a model: the prompt of the paper's Figure 2, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..roles import SYSTEM

Messages = list[dict[str, str]]  # {"role": "user" | "assistant", "content": ...}; an assistant's last one is continued
Continue = Callable[[int, str], str | None]  # (index, first reply) -> text that continues the same turn, or None


@dataclass(frozen=True)
class Completion:
    text: str  # the reply, without the end token
    finish: str  # "stop" (the model ended its turn), "length" (cut at the limit), "too long", or a server's own reason
    prompt_tokens: int
    tokens: int  # generated in the first stage
    continued: str = ""  # what followed the text that `then` added
    opening: int = 0  # of the generated tokens, those of the opening, where it had room of its own
    thinking: str = ""  # what a reasoning model wrote before its reply; not a part of `text`
    thought: int = 0  # of the generated tokens, those of the thinking, hidden or not
    answered_as: str = ""  # the model that the server says it is, if that is not the one that was asked
    sent: int = 0  # tokens that were sent, as we estimate, if the server says that it read far fewer


def user(text: str) -> Messages:
    """A conversation that consists of one question."""
    return [{"role": "user", "content": text}]


def frame(messages: Messages, end: str = "") -> str:
    """The prompt of the paper's Figure 2: system line, USER/ASSISTANT turns, open at the assistant's.

    `end`: the model's end token, which closes each turn of the assistant as it does in the training text. Where the
    last message is the assistant's, its turn stays open: the model continues it.

    >>> frame(user("Can brain cells move?"))
    'Below is a chat between a user and an AI assistant.\\nUSER: Can brain cells move?\\nASSISTANT:'
    """
    return end.join(_pieces(messages))


def _pieces(messages: Messages) -> list[str]:
    """The text of `frame`, cut after each turn of the assistant: where an end token belongs."""
    pieces = [SYSTEM]
    for message in messages:
        mine = message["role"] == "assistant"
        pieces[-1] += f"\n{'ASSISTANT' if mine else 'USER'}: {message['content'].strip()}"
        pieces += [""] if mine else []
    if messages[-1]["role"] == "assistant":  # its turn stays open
        return pieces[:-1]
    return [*pieces[:-1], pieces[-1] + "\nASSISTANT:"]


def frame_ids(messages: Messages, tokenizer: Any) -> list[int]:
    """The token ids of `frame`. Only we write end tokens: a "</s>" within a text (it is HTML, too) is read as its letters."""
    first, *others = _pieces(messages)
    ids = list(tokenizer(first, split_special_tokens=True).input_ids)
    for piece in others:
        ids += [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
        ids += tokenizer(piece, add_special_tokens=False, split_special_tokens=True).input_ids
    return ids


TEMPLATE = (  # `frame` for servers; a system message takes the place of the fixed line
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% else %}" + SYSTEM + "{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '\nUSER: ' + message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}{{ '\nASSISTANT: ' + message['content'] | trim + eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '\nASSISTANT:' }}{% endif %}"
)


def chat_template(tokenizer: Any) -> str:
    """The chat template (Jinja) that asks as `frame` does; saved with a tuned model, every server asks it as we do.

    Servers add no BOS of their own behind a template, so it holds one where the tokenizer would add it.
    """
    bos = tokenizer("x").input_ids[0] == tokenizer.bos_token_id
    return ("{{ bos_token }}" if bos else "") + TEMPLATE
