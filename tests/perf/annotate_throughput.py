"""Prints what `annotate` adds to the time of its server: 1,030 requests at 1 s latency and concurrency 64.

    python tests/perf/annotate_throughput.py

The ideal is 1,030 x 1 s / 64 = 16.1 s; the server is a process of its own on this machine.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

REQUESTS, LATENCY, CONCURRENCY = 1030, 1.0, 64


def serve(pipe) -> None:
    from helpers.chat.practice import PracticeServer

    with PracticeServer("fine", delay=LATENCY) as server:
        pipe.send(server.url)
        pipe.recv()
        pipe.send(sum(server.answered.values()))


def main() -> None:
    from helpers import annotate
    from helpers.chat import EndpointChat
    from helpers.data.lima import Dialogue

    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    url = ours.recv()
    dialogues = [Dialogue(f"{i:04}", "perf", (f"Question number {i}?", "An answer.")) for i in range(REQUESTS)]
    chat = EndpointChat("practice", url, concurrency=CONCURRENCY)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = annotate.annotate(dialogues, Path(folder), chat, packaged=False, say=lambda *_: None)
        seconds = time.perf_counter() - began
    ours.send("end")
    answered = ours.recv()
    process.join()
    ideal = REQUESTS * LATENCY / CONCURRENCY
    parsed = sum(row["outcome"] == "parsed" for row in rows)
    print(
        f"{answered} answers, {parsed} parsed: {seconds:.2f} s; ideal {ideal:.2f} s; ratio {seconds / ideal:.3f} (wanted: at most 1.15)"
    )


if __name__ == "__main__":
    main()
