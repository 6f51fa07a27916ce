"""MMLU (Hendrycks et al., 2021): four options, 35 subjects in 10 domains, as in the paper's Figure 3.

The paper samples 2,000 questions "balanced across 10 categories (35 subcategories)" without
printing the list. Ours is the one that follows Hendrycks' own grouping and gives 10 and 35; it is
a proposal, not the authors'.
"""

from __future__ import annotations

import random
from itertools import chain, zip_longest

from . import common

NAME = "mmlu"
STAGE2 = "\nTherefore, among A through D, the answer is"
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
DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects.split()}


def rows(source: str, limit: int | None = None, seed: int = 0) -> list[common.Row]:
    """Questions of the 35 subjects, one domain after the other in turn, so that any limit is balanced.

    The order within a domain is drawn with `seed` from its pooled questions (which reproduces the
    paper's mean length of 79.4 words; drawing equally by subject does not).
    """
    required = ("question", "subject", "choices", "answer")
    all_rows = common.read(source, NAME, "mmlu/test.jsonl.gz", ("cais/mmlu", "all", "test"), required)
    pools: dict[str, list[common.Row]] = {domain: [] for domain in DOMAINS}
    for row in all_rows:
        if domain := DOMAIN_OF.get(row["subject"]):
            pools[domain].append({**row, "domain": domain})
    for domain, pool in pools.items():
        random.Random(f"{seed}:{domain}").shuffle(pool)
    in_turn = [r for r in chain.from_iterable(zip_longest(*pools.values())) if r is not None]
    return in_turn[:limit]


def question(row: common.Row) -> str:
    return f"{row['question']} {common.render_options(dict(zip('ABCD', row['choices'])))}"


def gold(row: common.Row) -> str:
    return "ABCD"[row["answer"]]


def group(row: common.Row) -> str:
    return row["domain"]


def chance(row: common.Row) -> float:
    return 1 / len(row["choices"])


def extract(text: str) -> str | None:
    return common.letter(text, "ABCD")


def correct(row: common.Row, text: str) -> bool:
    return extract(text) == gold(row)
