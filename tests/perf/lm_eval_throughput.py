"""Answers a second: LocalChat beside lm-evaluation-harness 0.4.13, same model, prompts, float32 and token limits.

    pip install lm_eval==0.4.13      (in an environment that also has this course)
    SPT_DATA=... python tests/perf/lm_eval_throughput.py [questions]

Both answer real MMLU questions in two stages. The harness gets the prompt of stage 2 as a new request, as its tasks
do, and stops there at the first line end, where LocalChat waits for a line with something in it: answers are compared
up to the first line end. Its batch size is the fastest of 8, 16 and 32 on an eighth of the questions; then batch 1, its
default, on the same eighth.
"""

from __future__ import annotations

import sys
import time

from helpers import benchmarks, models, profiles, score
from helpers.chat import frame, user


def ours(profile, prompts: list[str], trigger: str) -> tuple[list[tuple[str, str]], float]:
    chat = score.local_chat(profile)
    began = time.time()
    done = dict(
        chat.complete([user(p) for p in prompts], profile.stage1_tokens, lambda i, _: trigger, profile.stage2_tokens)
    )
    seconds = time.time() - began
    return [(done[i].text, done[i].continued.split("\n")[0].strip()) for i in range(len(prompts))], seconds


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
    return [(a.strip(), b.strip()) for a, b in zip(first, second)], time.time() - began


def main() -> None:
    from lm_eval.models.huggingface import HFLM

    n = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    profile, mmlu = profiles.get("cpu"), benchmarks.get("mmlu")
    prompts = [mmlu.question(row) for row in mmlu.rows("local", n)]
    harness = HFLM(pretrained=str(models.fetch_default()), device="cpu", dtype="float32", batch_size=1)
    some = prompts[::8]
    rates = {}
    for batch in (8, 16, 32, 1):
        _, seconds = theirs(harness, profile, some, mmlu.STAGE2, batch)
        rates[batch] = len(some) / seconds
        print(f"lm_eval, batch {batch:2}: {rates[batch]:.2f} answers/s on {len(some)} questions", flush=True)
    best = max(rates, key=rates.get)
    answers, their_seconds = theirs(harness, profile, prompts, mmlu.STAGE2, best)
    print(f"lm_eval, batch {best:2}: {n / their_seconds:.2f} answers/s on {n} questions", flush=True)
    own, seconds = ours(profile, prompts, mmlu.STAGE2)
    equal = sum(a == b for a, b in zip(own, answers))
    for mine, their in zip(own, answers):
        if mine != their:
            print(f"not equal: {mine} and {their}")
    print(
        f"LocalChat:         {n / seconds:.2f} answers/s on {n} questions; {equal} of {n} answers equal in both stages"
    )
    print(
        f"ratio to its best batch {their_seconds / seconds:.2f} (wanted 2.0), to batch 1 {n / seconds / rates[1]:.2f} (wanted 6)"
    )


if __name__ == "__main__":
    main()
