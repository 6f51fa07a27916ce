"""Prints the seconds that the sandbox takes for all 164 HumanEval problems: the canonical solutions, and a wrong one each.

python tests/perf/humaneval_sandbox.py
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor


def main() -> None:
    from helpers.benchmarks import humaneval, sandbox

    rows = humaneval.rows("packaged")
    replies = {
        "canonical": [f"```python\n{row['canonical_solution']}```" for row in rows],
        "wrong": ["```python\n    return None\n```"] * len(rows),
    }
    print(f"isolation {sandbox.available()}, {os.cpu_count()} cores, {len(rows)} problems")
    for label, texts in replies.items():
        for threads in (1, 2):  # one after the other is how a score is made
            began = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                passed = sum(pool.map(humaneval.correct, rows, texts))
            seconds = time.perf_counter() - began
            print(f"{label}, {threads} at a time: {passed} passed, {seconds:.1f} s, {seconds / len(rows):.2f} s each")


if __name__ == "__main__":
    main()
