"""Answers a second: LocalChat beside lm-evaluation-harness 0.4.13, same model, prompts, dtype and token limits.

    pip install lm_eval==0.4.13      (in an environment that also has this course)
    SPT_DATA=... python tests/perf/lm_eval_throughput.py [--limit 256] [--model FOLDER] [--stage1-tokens 60]

Both answer real MMLU questions in two stages. The harness gets the prompt of stage 2 as a new request, as its tasks
do, and stops there at the first line end, where LocalChat waits for a line with something in it: answers are compared
up to the first line end. Its batch size is the fastest of 8, 16, 32 and 1 (its default) on an eighth of the questions.

In float32 the answers are equal wherever stage 2 reads the same tokens. Now and then it does not: the harness tokenizes
the model's reply anew, LocalChat goes on from the tokens that the model wrote. In bfloat16 answers change with the batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from dataclasses import replace

from helpers import benchmarks, models, profiles
from helpers.chat import LocalChat, frame, user


class Noting(LocalChat):
    """Keeps the tokens of each first reply: a text tells them only where the model wrote as the tokenizer would."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.wrote = {}

    def _continues(self, row, then, then_tokens):
        if row.reply is None:
            self.wrote[row.index] = list(row.written)
        return super()._continues(row, then, then_tokens)


def ours(chat, profile, prompts: list[str], trigger: str) -> tuple[list[tuple[str, str]], float]:
    began = time.time()
    done = dict(
        chat.complete([user(p) for p in prompts], profile.stage1_tokens, lambda i, _: trigger, profile.stage2_tokens)
    )
    seconds = time.time() - began
    return [(done[i].text, done[i].continued.split("\n")[0]) for i in range(len(prompts))], seconds


def theirs(harness, profile, prompts: list[str], trigger: str, batch: int) -> tuple[list[tuple[str, str]], float]:
    from lm_eval.api.instance import Instance

    def generate(texts: list[str], limit: int, until: list[str]) -> list[str]:
        settings = {"until": until, "max_gen_toks": limit, "do_sample": False}
        return harness.generate_until(
            [Instance("generate_until", {}, (text, settings), i) for i, text in enumerate(texts)], disable_tqdm=True
        )

    harness.batch_size_per_gpu = batch
    began = time.time()
    framed = [frame(user(p)) for p in prompts]
    first = generate(framed, profile.stage1_tokens, ["\nUSER:"])
    second = generate([p + z + trigger for p, z in zip(framed, first)], profile.stage2_tokens, ["\n"])
    return list(zip(first, second)), time.time() - began


def main() -> None:
    from lm_eval.models.huggingface import HFLM

    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=256, help="questions")
    parser.add_argument("--model", default=str(models.fetch_default()), help="a folder; default: the base model")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--stage1-tokens", type=int, default=profiles.get("cpu").stage1_tokens)
    asked = parser.parse_args()
    n, mmlu = asked.limit, benchmarks.get("mmlu")
    profile = replace(profiles.get("cpu"), model=asked.model, dtype=asked.dtype, stage1_tokens=asked.stage1_tokens)
    prompts = [mmlu.question(row) for row in mmlu.rows("local", n)]
    harness = HFLM(pretrained=asked.model, device="cpu", dtype=asked.dtype, batch_size=1)
    some = prompts[::8]
    rates = {}
    for batch in (8, 16, 32, 1):
        _, seconds = theirs(harness, profile, some, mmlu.STAGE2, batch)
        rates[batch] = len(some) / seconds
        print(f"lm_eval, batch {batch:2}: {rates[batch]:.2f} answers/s on {len(some)} questions", flush=True)
    best = max(rates, key=rates.get)
    their_answers, their_seconds = theirs(harness, profile, prompts, mmlu.STAGE2, best)
    print(f"lm_eval, batch {best:2}: {n / their_seconds:.2f} answers/s on {n} questions", flush=True)
    chat = Noting(*models.load(profile), "noting", profile.generation_batch, profile.generation_tokens)
    answers, seconds = ours(chat, profile, prompts, mmlu.STAGE2)
    written = statistics.mean(map(len, chat.wrote.values()))
    print(f"LocalChat:         {n / seconds:.2f} answers/s on {n} questions, {written:.0f} tokens each in stage 1")

    def tokens(text: str) -> list[int]:
        return chat.tokenizer(text, add_special_tokens=False).input_ids

    counts = Counter()
    for i, (prompt, mine, their) in enumerate(zip(prompts, answers, their_answers)):
        framed = frame(user(prompt))
        alike = tokens(framed + their[0] + mmlu.STAGE2) == tokens(framed) + chat.wrote[i] + tokens(mmlu.STAGE2)
        ours_shown, theirs_shown = (tuple(text.strip() for text in pair) for pair in (mine, their))
        counts[alike, ours_shown == theirs_shown] += 1
        if ours_shown != theirs_shown and asked.dtype == "float32":
            print(f"not equal, stage 2 read {'the same' if alike else 'other'} tokens: {ours_shown} and {theirs_shown}")
    for alike, what in ((True, "stage 2 read the same tokens"), (False, "the harness read other tokens")):
        print(f"{what}: {counts[alike, True]} of {counts[alike, True] + counts[alike, False]} answers equal")
    print(
        f"ratio to its best batch {their_seconds / seconds:.2f} (wanted 2.0), to batch 1 {n / seconds / rates[1]:.2f} (wanted 6)"
    )


if __name__ == "__main__":
    main()
