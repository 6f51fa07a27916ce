"""What every picture of the course shows and cannot show, and what is in it, in words made from its numbers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pandas as pd

from .. import score

ROWS = 60  # lines of a picture's table that the page shows; the CSV has them all

PICTURES = {  # name of the figure -> (title, what it shows and what it cannot)
    "benchmarks": (
        "Eight benchmarks",
        "Accuracy of the three arms with 95 % intervals; the dotted ticks are random guessing. Where an interval "
        "holds the tick, these questions do not show that the model does better than guessing.",
    ),
    "mmlu_domains": (
        "MMLU by domain (Figure 3 of the paper)",
        "Accuracy by domain for both tuned arms, and their difference on the same questions. An interval that holds "
        "zero shows no difference. A cross is the score of always writing one letter, the one that LIMA-Role writes most. "
        "Among ten domains one looks special by luck alone in four of ten such pictures.",
    ),
    "role_clouds": (
        "The roles the model gave itself (Figure 4 of the paper)",
        "Role nouns the role arm wrote for MMLU questions; larger is more frequent. A cloud shows what "
        "kind of expert was chosen, not whether the answer was right.",
    ),
    "role_nouns": (
        "The same roles, counted",
        "How often each role noun of the clouds was given. Nouns with one count share a bar: a tie has no order. A bar of one or two is an anecdote.",
    ),
    "learning": (
        "What training teaches, on dialogues that it does not train on",
        "Loss before, during and after training, for role prompts and for answers. The role prompt's form is learned in few "
        "steps, the answers improve little. A lower loss means that the reference text was expected more, not that an answer is right.",
    ),
    "dropout_ramp": (
        "Attention dropout by layer",
        "The paper's recipe: 0.0 in the first layer, rising linearly to 0.25 in the last. A setting, not a result.",
    ),
    "moved_weights": (
        "What one training step does to 16-bit weights",
        "Left, the share of weights that one step changes; right, how much of float32's update they keep. Rounded to the "
        "nearest, most small steps are lost. One step on a small model; it says nothing of the accuracy after training.",
    ),
    "repetitions": (
        "What 20, 200 and 2,000 questions can show",
        "Simulated studies of one true gain, with as many questions that tell the arms apart as the paper's MMLU (assumed: a quarter). The narrower the bars, the more "
        "questions; small studies that exclude zero overshoot. It leaves out seeds, which no number of questions averages away.",
    ),
    "role_diversity": (
        "Do more diverse roles go with larger gains?",
        "The paper explains its unstable gains on single-domain tasks by a lack of role diversity. Left our diversity, right "
        "our gain with 95 % intervals. A correlation over eight benchmarks would not show a cause.",
    ),
    "judge": (
        "A judge compares both tuned models (Figure 5 of the paper)",
        "Wins, ties and losses of LIMA-Role in either order and in both. A pair on which the orders disagree is a tie, so a tie is "
        'not "equally good". It speaks of this judge, these two models and short answers.',
    ),
    "table3": (
        "The paper's nine prompt designs (its Table 3)",
        "The paper's averages with intervals over its questions. The designs answered the same questions, so overlapping "
        "intervals do not make two designs equal.",
    ),
    "designs": (
        "Our grid of prompt designs beside Table 3",
        "The designs that this run trained, and what the paper prints for them: averages over the multi-domain and the single-domain "
        "benchmarks with 95 % intervals, and how many replies open with a role prompt of their design. With few questions the order of our averages says nothing.",
    ),
    "recorder": (
        "Five models, one task, five texts before the answer",
        "Right answers to coin problems by the number of people, with 95 % intervals. The models differ only in what they learned "
        "to write before the answer. It shows where a self-written prompt pays; most questions have no such steps.",
    ),
    "role_likelihood": (
        "How likely is the reference answer after another role?",
        "Differences in nats per token, paired by dialogue, with 95 % intervals. Right of zero, the model's own role prompt makes "
        "the answer likelier. Likelier is not righter.",
    ),
    "learning_curve": (
        "How many dialogues does it take to learn the form?",
        "Well-formed role prompts and right answers after 15 to 120 dialogues, with 95 % intervals. On a laptop all sizes are "
        "moments of one training, and the first ones were passed at a higher learning rate than the last.",
    ),
    "robustness": (
        "The role prompt under odd questions",
        "Shares of replies with a well-formed role prompt, with a fitting role, and with the role leaking into the answer, by kind "
        "of question. A handful of questions a kind: the intervals are wide, and a rule decides what fits and what leaks.",
    ),
    "role_fidelity": (
        "Playing a given character (after the ROLEPL-AI report)",
        "Mean score from -1 to +1 for role knowledge, rejected unknown questions and consistent identity, with 95 % intervals. "
        "Where all scores are alike no interval can be computed; that is not certainty. A rule gives the scores, and it agrees with a reader only in part.",
    ),
    "annotated_roles": (
        "The roles in the training data",
        "How often the annotator gave each role noun to the training dialogues, by topic. Nouns with one count share a bar. What the model is taught, not what it "
        "does with it.",
    ),
}


def load(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(pictures with title, text, numbers and an alternative text made from the numbers; files that have no text here)."""
    files = {p.stem: p for p in sorted((folder / "figures").glob("*.png"))}
    described = []
    for name, (title, text) in PICTURES.items():
        header = files[name].read_bytes()[16:24] if name in files else b""  # of a PNG: its width and height
        if len(header) < 8:  # not drawn, or a kill cut it short
            continue
        width, height = struct.unpack(">II", header)
        table = numbers(folder, name)
        line = {"name": name, "file": f"figures/{name}.png", "title": title, "text": text}
        line |= {"width": width, "height": height, "alt": alternative(folder, name), "rows": []}
        if table is not None and (folder / "figures" / f"{name}.csv").is_file():
            line |= {"csv": f"figures/{name}.csv", "columns": [str(c).replace("_", " ") for c in table.columns]}
            line |= {"rows": [[_shown(v) for v in row] for row in table.head(ROWS).values], "total": len(table)}
        described.append(line)
    return described, [f"figures/{name}.png" for name in files if name not in PICTURES]


def alternative(folder: Path, name: str) -> str:
    """The alternative text of a picture: its title and its numbers in words."""
    title = PICTURES[name][0] if name in PICTURES else name.replace("_", " ") or "A picture that this lesson draws"
    return f"{title}{'' if title[-1] == '?' else '.'} {describe(numbers(folder, name))}".strip()


def numbers(folder: Path, name: str) -> pd.DataFrame | None:
    """The table that a picture was drawn from; a first, unnamed column is its index, and goes where it only counts."""
    path = folder / "figures" / f"{name}.csv"
    if path.is_file():
        table = pd.read_csv(path).rename(columns={"Unnamed: 0": ""})
        return table.drop(columns="") if "" in table.select_dtypes("number") else table
    scores = folder / "scores.csv"
    if name == "benchmarks" and scores.is_file():
        return score.read_csv(scores)[["benchmark", "arm", "accuracy"]]
    return None


FEW = 24  # numbers that an alternative text says one by one
BESIDE = ("n", "k", "seed", "seeds", "correct", "random", "p")  # columns that stand beside a result and are not one
TEXTS = ("wording", "verdict")  # columns of words that name no line
NAMES = ("step", "layer", "design", "dialogues", "people")  # columns that name a line, although they are numbers


def describe(table: pd.DataFrame | None) -> str:
    """What a picture's table holds, in words: its values if they are few, else the extremes of its first columns.

    If there are many and lines have two names (a domain and a noun), the highest value of each first name.
    """
    if table is None or table.empty:
        return ""
    words = [c for c in table if c in NAMES or (table[c].dtype.kind not in "iufb" and c not in TEXTS)]
    left_out = (*words, *BESIDE, *TEXTS)
    measured = [
        c for c in table.dropna(axis=1, how="all") if c not in left_out and not str(c).endswith(("low", "high"))
    ]
    few = table[measured].count().sum() <= FEW
    two = len(words) > 1 and table[words[0]].duplicated().any()
    said = [f"{len(table)} row{'s' if len(table) > 1 else ''}"]
    for column in measured[: 1 if two and not few else 4]:
        values, what = table[column].dropna(), column
        if two and not few:
            values, what = values[values.groupby(table[words[0]], sort=False).idxmax()], f"highest {column}"
        elif not few:
            values, what = values[[values.idxmin(), values.idxmax()]], f"lowest and highest {column}"
        lines = [[f"{c} {_shown(v)}" if c in NAMES else _shown(v) for c, v in zip(words, line)]
                 for line in table.loc[values.index, words].values]  # fmt: skip
        said.append(f"{what}: " + ", ".join(" ".join([*line, _shown(v)]) for line, v in zip(lines, values)))
    return f"{'; '.join(said).replace('_', ' ')}."


def _shown(value: Any) -> str:
    """A cell of a table for people."""
    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"
    return str(value)
