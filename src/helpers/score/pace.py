"""How long a run will take on this machine: a pass of training and a few answers are timed, and the rest is a rule of three."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from .. import models
from ..benchmarks import BENCHMARKS
from ..chat import LocalChat, user
from ..machine.devices import has_bfloat16
from ..profiles import Profile
from . import asking

TYPICAL = 0.6  # of its room an answer takes; the openings of LIMA-Role are in it
TOKENS = 512  # of the row that is timed


@dataclass(frozen=True)
class Pace:
    """Tokens a second on this machine, in training (read) and in scoring (written, many rows together)."""

    training: float
    writing: float

    def hours(self, profile: Profile, texts: Sequence[str], questions: int) -> tuple[float, float]:
        """(of training, of scoring): both arms and base, all seeds. `texts`: the dialogues; `questions`: asked of a model."""
        words = models.tokenizer(profile)
        tokens = sum(min(len(ids), profile.max_tokens) for ids in words(list(texts)).input_ids)
        if profile.max_steps:
            tokens *= min(1.0, profile.max_steps * profile.batch_size / len(texts) / profile.epochs)
        trained = 2 * len(profile.seeds) * profile.epochs * tokens
        models_ = 2 * len(profile.seeds) + 2  # base is scored in two frames
        written = models_ * questions * TYPICAL * (profile.stage1_tokens + profile.stage2_tokens)
        return trained / self.training / 3600, written / self.writing / 3600


def measured(profile: Profile, rows: int = 16, tokens: int = 24) -> Pace:
    """Time one pass of training over 512 tokens, and `rows` answers of `tokens` tokens; about 20 seconds on a laptop."""
    import torch

    model, words = models.load(profile, dtype="float32")
    known = model.get_input_embeddings().num_embeddings
    ids = torch.randint(known, (1, TOKENS), device=model.device)
    for _ in range(2):  # the first pass makes room
        began = time.perf_counter()
        with torch.autocast(profile.device, torch.bfloat16, enabled=has_bfloat16(profile.device)):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        loss.item()
        training = TOKENS / (time.perf_counter() - began)
    del loss
    model.zero_grad()
    model = model.to(getattr(torch, profile.dtype)).eval()
    chat = LocalChat(model, words, "pace", profile.generation_batch, profile.generation_tokens)
    asked = [user(f"Question {n}: what follows, and why?") for n in range(rows)]
    began = time.perf_counter()
    written = sum(reply.tokens for _, reply in chat.complete(asked, tokens))
    pace = Pace(training, written / (time.perf_counter() - began))
    del model, chat
    models.release_memory()
    return pace


def estimate(profile: Profile, texts: Sequence[str]) -> str:
    """A sentence: the device, and the hours that training and scoring both arms will take on it."""
    pace = measured(profile)
    asked = asking.questions(profile, list(BENCHMARKS))
    training, scoring = pace.hours(profile, texts, sum(map(len, asked.values())))
    arithmetic = "bfloat16" if has_bfloat16(profile.device) else "float32"
    return (
        f"device {profile.device}, arithmetic in {arithmetic}: about {_long(training)} of training and {_long(scoring)} of "
        f"scoring, by a measurement just now ({pace.training:.0f} tokens/s trained, {pace.writing:.0f} written)"
    )


def _long(hours: float) -> str:
    return f"{hours:.0f} hours" if hours >= 2 else f"{max(1, 60 * hours):.0f} minutes"
