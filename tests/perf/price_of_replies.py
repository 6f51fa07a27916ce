"""Prints what 100 questions cost at an annotator that always thinks aloud, and at one that never answers in form.

    python tests/perf/price_of_replies.py

The practice server counts the calls; the price is that of gpt-5-mini in our own table.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

QUESTIONS, MODEL = 100, "gpt-5-mini"


def main() -> None:
    from helpers import annotate
    from helpers.chat import EndpointChat, money
    from helpers.chat.practice import PracticeServer
    from helpers.data.lima import Dialogue
    from helpers.errors import NothingOfUse

    dialogues = [Dialogue(f"{i:03}", "perf", (f"Question number {i}?", "An answer.")) for i in range(QUESTIONS)]
    for mood, wanted in (("thinks aloud", 100), ("chatty", 8)):
        with PracticeServer(mood) as server, tempfile.TemporaryDirectory() as folder:
            chat = EndpointChat(MODEL, server.url, price=money.PRICES[MODEL])
            try:
                rows = annotate.annotate(dialogues, Path(folder), chat, packaged=False, say=lambda *_: None)
                end = f"{sum(row['outcome'] == 'parsed' for row in rows)} parsed"
            except NothingOfUse as stopped:
                end = str(stopped)
        print(f"{mood}: {chat.meter} (wanted: at most {wanted} calls); {end}")


if __name__ == "__main__":
    main()
