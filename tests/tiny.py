"""A tiny Llama with a byte-level tokenizer, made in memory: real code paths in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def tokenizer(bos: bool = False) -> PreTrainedTokenizerFast:
    """One token a byte; `bos`: the tokenizer puts a BOS in front by itself, as Llama's does."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", "<pad>", *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if bos:
        from tokenizers.processors import TemplateProcessing

        inner.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def model(seed: int = 0, layers: int = 3) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.2,  # large: greedy answers differ between prompts
    )
    return LlamaForCausalLM(config).eval()


def save(folder: Path, seed: int = 0, bos: bool = False) -> Path:
    model(seed).save_pretrained(folder)
    tokenizer(bos).save_pretrained(folder)
    return folder


def row(id: str, *turns: str) -> dict:
    """A row of LIMA-Role."""
    return {
        "id": id,
        "source": "test",
        "messages": [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(turns)],
        "role": {
            "question_description": "This question is a physics problem involving falling bodies.",
            "role_description": "a physicist who drops things on purpose",
            "text": "",
        },
        "annotator": "test",
        "outcome": "parsed",
    }


ROWS = [
    row("a", "Why do things fall?", "Because masses attract one another."),
    row("b", "Is it raining?", "No.", "And now?", "Yes, a little."),
    row("c", "Name a prime.", "Seven is one."),
    row("d", "Say hello.", "Hello to you!"),
]
