"""The paper's printed numbers, as data; `compare` puts ours beside them, `supports` asks what they can carry alone.

Self-Prompt Tuning (arXiv 2407.08995). Accuracies and pass@1 in percent. The LIMA and Role rows are means of four
seeds; a dagger in the name marks the best of the four (a selected maximum). ChatGPT, Llama-Chat and Mistral-Instruct
are one official model each. We have the paper's text only: it gives no numbers for the bars of Figures 3 and 5, so
what it says of them is all that is here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
from scipy.stats import norm

from . import stats

BENCHMARKS = ("mmlu", "commonsense_qa", "strategyqa", "truthful_qa", "openbookqa", "humaneval", "gsm8k", "date")
MULTI, SINGLE = BENCHMARKS[:5], BENCHMARKS[5:]  # Table 3's multi-domain and single-domain tasks

# MMLU's 35 subjects in 10 domains: a proposal (benchmarks/mmlu.py says why), the paper does not print its list
DOMAINS = {
    "math": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics high_school_statistics",
    "physics": "astronomy college_physics conceptual_physics high_school_physics",
    "chemistry": "college_chemistry high_school_chemistry",
    "biology": "college_biology high_school_biology",
    "computer science": "college_computer_science computer_security high_school_computer_science machine_learning",
    "history": "high_school_european_history high_school_us_history high_school_world_history prehistory",
    "philosophy": "formal_logic logical_fallacies moral_disputes moral_scenarios philosophy world_religions",
    "law": "international_law jurisprudence professional_law",
    "economics": "econometrics high_school_macroeconomics high_school_microeconomics",
    "psychology": "high_school_psychology professional_psychology",
}


def _row(*values: float) -> dict[str, float]:
    return dict(zip((*BENCHMARKS, "average"), values, strict=True))


TABLE1 = {
    "ChatGPT": _row(67.3, 76.9, 61.7, 60.2, 81.6, 68.3, 80.8, 67.8, 70.6),
    "Llama-Chat": _row(44.0, 58.6, 59.0, 40.4, 63.6, 13.7, 29.3, 49.3, 44.7),
    "Llama-LIMA": _row(40.4, 48.6, 55.5, 39.7, 48.2, 9.4, 13.5, 43.1, 37.3),
    "Llama-Role": _row(42.9, 57.3, 59.5, 47.8, 52.1, 8.7, 13.6, 43.1, 40.6),
    "Llama-LIMA†": _row(41.8, 49.5, 57.2, 38.9, 50.6, 9.4, 14.0, 44.2, 38.2),
    "Llama-Role†": _row(44.1, 58.0, 59.6, 48.0, 50.2, 8.5, 14.5, 42.8, 40.7),
    "Mistral-Instruct": _row(51.1, 66.4, 60.2, 51.8, 72.2, 33.2, 35.2, 56.4, 53.3),
    "Mistral-LIMA": _row(53.2, 52.6, 58.5, 43.9, 63.1, 25.9, 22.4, 40.6, 45.0),
    "Mistral-Role": _row(56.0, 59.8, 61.9, 46.1, 68.2, 26.6, 25.8, 42.7, 48.4),
    "Mistral-LIMA†": _row(53.4, 54.8, 59.3, 42.7, 63.4, 27.9, 20.4, 42.5, 45.6),
    "Mistral-Role†": _row(57.1, 61.3, 62.8, 45.3, 69.6, 27.8, 27.1, 42.0, 49.1),
}
# To stand beside our arms. The paper has no row for an untuned model: beside `base` stands its official instruct model.
ARM_ROWS = {"base": "Mistral-Instruct", "lima": "Mistral-LIMA", "role": "Mistral-Role"}

# Number of questions, mean words of a question, answer format.
TABLE2 = {
    "mmlu": (2000, 79.4, "option (A-D)"),
    "commonsense_qa": (1221, 27.8, "option (A-E)"),
    "strategyqa": (2290, 9.6, "yes or no"),
    "truthful_qa": (817, 47.3, "option (A-D)"),
    "openbookqa": (500, 26.5, "option (A-D)"),
    "humaneval": (164, 67.7, "code"),
    "gsm8k": (1319, 46.9, "arabic number"),
    "date": (369, 35.0, "option (A-F)"),
    "lima_test": (300, 21.3, "free"),
}

# Prompt design -> means of four seeds: (average of the five multi-domain benchmarks, average of the three single-domain ones).
TABLE3 = {
    0: (54.3, 29.6),
    1: (53.8, 29.5),
    2: (57.3, 31.0),
    3: (57.4, 31.8),
    4: (57.9, 24.7),
    5: (58.6, 31.3),
    6: (58.4, 32.9),
    7: (57.4, 30.6),
    8: (58.4, 31.7),
}

FIGURE3 = "Mistral-Role is ahead of Mistral-LIMA in 9 of 10 MMLU domains (28 of 34 subjects) and behind in chemistry."
FIGURE3_AHEAD = {"domains": (9, 10), "subjects": (28, 34)}  # ahead, of so many; Table 2's MMLU has 35 subjects, not 34
FIGURE3_BEHIND = ("chemistry",)  # the other nine domains are ahead; the paper's text does not list them
# Section 4.4: Mistral-Role answers better than Mistral-LIMA "5% of the time", read as wins minus losses, in points.
# It gives no number for wins, ties and losses. Against Mistral-Instruct and ChatGPT: "subpar", no number.
FIGURE5 = {"net win": 5.0, "questions": 300, "judge": "gpt-4-1106-preview"}
AUDIT = {"format": 100, "question description": 96, "role description": 97}  # of 100 entries of LIMA-Role, section 3.1
DECLINED = 14  # of LIMA's 1,030 questions, section 3.1
EXAMPLES = (  # Figure 2: the one-shot example, and GPT-4's answer for LIMA's first question
    "A: This question is a mathematical problem involving basic arithmetic and logic. To better solve it, I will act as "
    "an excellent math teacher who can always provide clear explanations for math-related problems.",
    "A: This question is a neuroscience problem involving cell biology and migration. To better solve it, I will act as "
    "a neuroscientist who specializes in the study of the brain and its cellular behaviors.",
)

Ours = Mapping[Hashable, tuple[float, float, float]]  # estimate, low, high; `stats.Interval` is one
COLUMNS = ("paper", "ours", "low", "high", "compatible?")
ROUNDING = 0.05  # the paper prints one decimal
CORRELATION = 0.5  # assumed between the answers of the paper's two arms, of which its text says nothing


def compare(table: str, ours: Ours | pd.DataFrame, margin: float = 5.0, level: float = 0.95) -> pd.DataFrame:
    """paper | ours | low | high | compatible? for the rows of `ours`, in points (percent).

    `ours` maps a key to (estimate, low, high), as shares in 0..1; for Table 2 numbers as they are:

        Table 1    (arm, benchmark or "average"); an arm is ours or a row of the paper, or two: "role - lima";
                   or the table of scores.csv
        Table 2    (benchmark, "questions" or "words")
        Table 3    (design, "multi" or "single")
        Figure 3   "domains" or "subjects" (share of them ahead); a domain, as in DOMAINS (role - lima)
        Figure 5   "net win" (wins minus losses)

    The rule: "no" if the two differ by more than sampling explains, which is our interval on the side of the paper's
    value and the paper's own 95 % (from its n questions; it prints no spread of seeds), square-and-add (Newcombe,
    Statist. Med. 17, 1998). Otherwise "yes" if that is at most `margin` points to either side, so that a gap of that
    size would have shown; "cannot tell" if it is more, or nothing was measured (NaN). A domain of Figure 3 has only a
    direction: "cannot tell" while our interval holds 0. Another model, fewer tokens or other questions can make a "no"
    as well as another truth. For Table 1 a last column names the paper's row: `base` is untuned, its row is not.
    Raises ValueError for a table or key that the paper does not have.
    """
    if isinstance(ours, pd.DataFrame):
        ours = scored(ours)
    scale, lines = 1 if table == "Table 2" else 100, []
    for key, interval in ours.items():
        value, se = printed(table, key)
        estimate, low, high = (scale * x for x in interval)
        lines.append((value, estimate, low, high, _compatible(value, se, estimate, low, high, margin, level)))
    keys = list(ours)
    several = keys and all(isinstance(key, tuple) for key in keys)
    beside = pd.DataFrame(lines, pd.MultiIndex.from_tuples(keys) if several else pd.Index(keys), COLUMNS)
    return beside.assign(**{"paper's row": [_named(key[0]) for key in keys]}) if table == "Table 1" else beside


def printed(table: str, key: Hashable) -> tuple[float | str, float]:
    """A value as printed (points; "ahead" or "behind" for a domain) and its standard error over questions. Keys: `compare`."""
    try:
        match table:
            case "Table 1":
                return _table1(*key)
            case "Table 2":
                return float(TABLE2[key[0]][("questions", "words").index(key[1])]), 0.0
            case "Table 3":
                value = TABLE3[key[0]][("multi", "single").index(key[1])]
                # Table 1 prints the benchmarks of designs 0 and 8 only, and p(1-p) hardly differs between the designs.
                return value, _error("Mistral-Role", {"multi": MULTI, "single": SINGLE}[key[1]])
            case "Figure 3" if key in FIGURE3_AHEAD:
                ahead, of = FIGURE3_AHEAD[key]
                return 100 * ahead / of, 100 * math.sqrt(ahead * (of - ahead) / of**3)
            case "Figure 3" if key in DOMAINS:
                return "behind" if key in FIGURE3_BEHIND else "ahead", 0.0
            case "Figure 5" if key == "net win":
                return FIGURE5["net win"], _figure5_se(ties=0.2)  # few ties: the widest
    except (KeyError, ValueError, TypeError, IndexError):
        pass
    raise ValueError(f"the paper prints nothing for {table!r}, {key!r}: see the keys of paper.compare")


def scored(scores: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Table 1 of our own run, for `compare`: means over seeds of accuracy, low and high by (arm, benchmark).

    The interval of one run: it speaks of other questions, not of other seeds. The average is there for an arm that
    answered all eight benchmarks; its interval is the root of the sum of squares.
    """
    means = scores.groupby(["arm", "benchmark"], sort=False)[["accuracy", "low", "high"]].mean()
    ours = {key: tuple(row) for key, row in zip(means.index, means.to_numpy().tolist())}
    for arm in dict.fromkeys(scores.arm):
        part = means.loc[arm]
        if set(part.index) == set(BENCHMARKS):
            average, half = part.accuracy.mean(), math.sqrt((((part.high - part.low) / 2) ** 2).sum()) / len(part)
            ours[arm, "average"] = (average, average - half, average + half)
    return ours


def apart(name: str = "mmlu", correlation: float = CORRELATION, model: str = "Mistral") -> float:
    """On what share of a benchmark's questions exactly one of Role and LIMA is right: 0.25 for MMLU.

    Table 1's two accuracies and an assumed `correlation` between the arms' answers give it. The course's one figure for
    "what do 2,000 questions show?" is stats.detectable(2000, paper.apart()): 3.1 points. With the share of a run of your
    own in its place the same function says what that run would show.
    """
    se = _difference(f"{model}-LIMA", f"{model}-Role", name, correlation)[1]
    return TABLE2[name][0] * (se / 100) ** 2


def supports(correlation: float = CORRELATION, ties: float = 0.35, level: float = 0.95) -> pd.DataFrame:
    """What the paper's own numbers carry: every difference Role - LIMA with z, p and what so many questions can show.

    Differences, standard errors and `detectable` (found with 80 % power) in points; `p Holm` is corrected for the eight
    benchmarks of a model. `supported`: "yes" after the correction, "uncorrected" only before it, "no". Standard errors
    are those of one run over n questions; `correlation` between the arms' answers (0: as if unpaired) and the share of
    `ties` in Figure 5 are assumptions. The paper prints no spread over its four seeds, so even a "yes" says nothing
    of a fifth. `signs` asks about the eight benchmarks together.
    """
    questions = {name: TABLE2[name][0] for name in BENCHMARKS}
    questions["average"] = sum(questions.values())
    lines = {
        (f"Table 1, {model}", name): (n, *_difference(f"{model}-LIMA", f"{model}-Role", name, correlation))
        for model in ("Llama", "Mistral")
        for name, n in questions.items()
    }
    lines["Figure 5, Mistral", "net win"] = (FIGURE5["questions"], FIGURE5["net win"], _figure5_se(ties))
    table = pd.DataFrame(list(lines.values()), pd.MultiIndex.from_tuples(lines), ["n", "difference", "se"])
    table["z"] = table.difference / table.se
    table["p"] = 2 * norm.sf(table.z.abs())
    table["p Holm"] = table.p
    for model in ("Llama", "Mistral"):
        eight = [(f"Table 1, {model}", name) for name in BENCHMARKS]
        table.loc[eight, "p Holm"] = stats.holm(table.p[eight])
    spread = table.n * (table.se / 100) ** 2  # of one question's difference: `apart`, where there is one benchmark
    table["detectable"] = [100 * stats.detectable(n, share, level=level) for n, share in zip(table.n, spread)]
    found = (table[["p", "p Holm"]] < 1 - level).sum(axis=1)
    table["supported"] = found.map({0: "no", 1: "uncorrected", 2: "yes"})
    return table


def net_win(ties: float = 0.35, level: float = 0.95) -> pd.Series:
    """Figure 5's net win as a line of a table: n, net, low, high, as shares. The interval is ours, for that share of `ties`."""
    n, net = FIGURE5["questions"], FIGURE5["net win"] / 100
    half = norm.ppf(0.5 + level / 2) * _figure5_se(ties) / 100
    return pd.Series({"n": n, "net": net, "low": net - half, "high": net + half}, name="paper (GPT-4)")


def signs(model: str = "Mistral") -> stats.SignTest:
    """Is Role ahead of LIMA on more of Table 1's eight benchmarks than a coin would have it? Direction only, no size.

    The eight are answered by the same models, so they are not eight throws: p is too small.
    """
    return stats.sign_test([_difference(f"{model}-LIMA", f"{model}-Role", name, CORRELATION)[0] for name in BENCHMARKS])


def _compatible(value, se: float, estimate: float, low: float, high: float, margin: float, level: float) -> str:
    if not all(map(math.isfinite, (estimate, low, high))):
        return "cannot tell"
    if isinstance(value, str):
        return "cannot tell" if low <= 0 <= high else "yes" if (low > 0) == (value == "ahead") else "no"
    theirs, above, below = float(norm.ppf((1 + level) / 2)) * se, high - estimate, estimate - low
    if abs(estimate - value) > math.hypot(theirs, above if value > estimate else below) + ROUNDING:
        return "no"
    return "yes" if math.hypot(theirs, max(above, below)) <= margin else "cannot tell"


def _table1(row: str, name: str) -> tuple[float, float]:
    names = [ARM_ROWS.get(arm, arm) for arm in row.split(" - ")]
    if len(names) == 2:
        return _difference(names[1], names[0], name, CORRELATION)
    (arm,) = names
    return TABLE1[arm][name], _error(arm, BENCHMARKS if name == "average" else (name,))


def _named(arm: str) -> str:
    """The row of Table 1 that stands beside an arm, or the two beside a difference of arms."""
    rows = ARM_ROWS | {"base": f"{ARM_ROWS['base']} (tuned; base is not)"}
    return " - ".join(rows.get(part, part) for part in arm.split(" - "))


def _error(row: str, over: Sequence[str]) -> float:
    """Standard error over questions, in points, of the mean of these benchmarks in a row of Table 1."""
    return math.sqrt(sum(_variance(TABLE1[row][name], name) for name in over)) / len(over)


def _difference(first: str, second: str, name: str, correlation: float) -> tuple[float, float]:
    """second - first on a benchmark or the average of all, and its standard error."""
    over = BENCHMARKS if name == "average" else (name,)
    variance = 0.0
    for k in over:
        a, b = _variance(TABLE1[first][k], k), _variance(TABLE1[second][k], k)
        variance += a + b - 2 * correlation * math.sqrt(a * b)
    return round(TABLE1[second][name] - TABLE1[first][name], 1), math.sqrt(variance) / len(over)


def _variance(percent: float, benchmark: str) -> float:
    """Variance of an accuracy over the questions of a benchmark, points squared."""
    return percent * (100 - percent) / TABLE2[benchmark][0]


def _figure5_se(ties: float) -> float:
    net = FIGURE5["net win"] / 100
    return 100 * math.sqrt((max(1 - ties, net) - net**2) / FIGURE5["questions"])  # a net win of 5 % leaves 95 % to ties


# --- lesson 08: what others have measured -----------------------------------------------------------

# Right answers of gpt-3.5-turbo in percent, from the last lines of the logs of the authors' earlier paper, Better
# Zero-Shot Reasoning with Role-Play Prompting (Kong et al. 2024; github.com/NKU-HLT/Role-Play-Prompting).
ROLE_PLAY_LOGS = pd.DataFrame(
    [("coin flip", 55.2, 89.4, 98.8), ("last letters", 23.8, 84.2, 53.2), ("object tracking", 38.7, 67.7, 73.5)],
    columns=["task", "zero-shot", "role-play", "step by step"],
)

CRITIQUES = pd.DataFrame(  # what was measured later, in our words
    [
        ("Zheng et al. 2024", "2311.10054", "162 personas, 2,410 factual questions", "no gain over no persona"),
        ("Jekyll & Hyde 2024", "2408.08631", "role prompts on 12 data sets", "worse on 7 of the 12"),
        ("Principled Personas 2025", "2508.19764", "personas with irrelevant details", "up to about 30 points worse"),
        (
            "Prompting Science 4, 2025",
            "2512.05858",
            "expert personas, GPQA and MMLU-Pro",
            "no gain, one model excepted",
        ),
        ("PRISM 2026", "2603.18507", "expert personas, two kinds of task", "alignment better, accuracy worse"),
        ("Pfau et al. 2024", "2404.15758", "filler tokens before an answer", "help only parallel computation"),
    ],
    columns=["who", "arXiv", "measured", "found"],
)
