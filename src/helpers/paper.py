"""The paper's printed numbers, as data, so that every result can stand beside them.

Self-Prompt Tuning (arXiv 2407.08995). Accuracies and pass@1 in percent, means of four seeds; a
dagger in the name marks the best of the four seeds (Table 1's second rows: a selected maximum).
Figure 3's bars are not printed as numbers; only what the text says of them is here.
"""

from __future__ import annotations

BENCHMARKS = ("mmlu", "commonsense_qa", "strategyqa", "truthful_qa", "openbookqa", "humaneval", "gsm8k", "date")


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
ARM_ROWS = {"base": "Mistral-Instruct", "lima": "Mistral-LIMA", "role": "Mistral-Role"}  # to stand beside our arms

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

# Prompt design -> (average of the five multi-domain benchmarks, average of the three single-domain ones).
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
AUDIT = {"format": 100, "question description": 96, "role description": 97}  # of 100 entries of LIMA-Role, section 3.1
DECLINED = 14  # of LIMA's 1,030 questions, section 3.1
EXAMPLES = (  # Figure 2: the one-shot example, and GPT-4's answer for LIMA's first question
    "A: This question is a mathematical problem involving basic arithmetic and logic. To better solve it, I will act as "
    "an excellent math teacher who can always provide clear explanations for math-related problems.",
    "A: This question is a neuroscience problem involving cell biology and migration. To better solve it, I will act as "
    "a neuroscientist who specializes in the study of the brain and its cellular behaviors.",
)
