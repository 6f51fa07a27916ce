"""Prints how long a journal of 100,000 annotations takes to load, and the memory of the process that did it.

python tests/perf/journal_load.py
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

ROWS = 100_000


def main() -> None:
    import json

    from helpers.chat import journal, practice

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for i in range(ROWS):
                record = {
                    "key": journal.key("gpt-4o", {"max_tokens": 160, "temperature": 0}, str(i)),
                    "annotator": "gpt-4o",
                    "id": f"{i:06}",
                    "reply": practice.role_reply(f"Question number {i}?"),
                    "finish": "stop",
                    "tokens": [310, 42],
                }
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        megabytes = path.stat().st_size / 1e6
        began = time.perf_counter()
        with journal.Journal(path) as answers:
            seconds = time.perf_counter() - began
            assert len(answers) == ROWS
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{ROWS:,} rows, {megabytes:.0f} MB: loaded in {seconds:.2f} s, peak {peak:.0f} MiB (wanted: under 2 s, 300 MiB)"
    )


if __name__ == "__main__":
    main()
