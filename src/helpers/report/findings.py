"""What each lesson found, in a sentence made from the numbers that it recorded, and which lessons a run has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import score
from ..arms import LABELS
from ..machine.places import root
from .pages import title_of


def percent(share: float) -> str:
    """0.214 is "21 %", with a space that does not break."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def points(difference: float, low: float, high: float) -> str:
    """A difference of shares with its interval, in percentage points."""
    return f"{100 * difference:+.1f} points (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"


def count(n: int, what: str) -> str:
    """1 and "seed" is "1 seed", 2 and "seed" is "2 seeds"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def tidy(text: str) -> str:
    """Numbers in running text: the same space before every percent sign, and a minus sign that is not a hyphen."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", re.sub(r"(?<=\d)\s?%", "\N{NO-BREAK SPACE}%", text))


# What a lesson found, from what it recorded in metrics.json. A lesson may also record the sentence itself, as `finding`.


def _set_up(m: dict[str, Any]) -> str:
    return f"This machine writes {m['tokens_per_second']} tokens per second. It can run: {m['runnable']}."


def _annotated(m: dict[str, Any]) -> str:
    return (
        f"The annotator gave a role to {m['parsed']} of {count(m['dialogues'], 'dialogue')} and declined {m['declined']}. "
        f"There are {m['distinct_role_nouns']} different role nouns."
    )


def _tuned(m: dict[str, Any]) -> str:
    said = (
        f"After {count(m['steps'], 'step')} the role arm opened {percent(m['role_rate'])} of {m['role_n']} replies to new "
        f"questions with a role prompt; LIMA opened {percent(m['lima_rate'])} so."
    )
    if "held_out" not in m:
        return said
    return (
        f"{said} On {count(m['held_out'], 'dialogue')} outside the training data, its loss per token of the role prompt "
        f"fell from {m['opening_before']:.2f} to {m['opening_after']:.2f} nats. In the answer it fell from "
        f"{m['answer_before']:.2f} to {m['answer_after']:.2f}."
    )


def _scored(m: dict[str, Any]) -> str:
    arms = (
        f"{LABELS[arm]} wrote {m[f'tokens_{arm}']} tokens a reply, {percent(m[f'cut_off_{arm}'])} were cut off and "
        f"{percent(m[f'unparsed_{arm}'])} unparsed."
        for arm in score.ARMS
    )
    return f"Each arm was asked {count(m['n_questions'], 'question')}. {' '.join(arms)}".replace("base (as", "Base (as")


def _domains(m: dict[str, Any]) -> str:
    said = (
        f"Of ten MMLU domains, LIMA-Role is ahead of LIMA in {m['domains_ahead']}, level in {m['domains_tied']} and behind "
        f"in {m['domains_behind']} (the paper: ahead in 9). Over all {count(m['n'], 'question')} the difference is "
        f"{points(m['difference'], m['low'], m['high'])}."
    )
    if "letter" not in m:
        return said
    return (
        f"{said} The role arm names {m['letter']} in {percent(m['letter_share'])} of its answers, and "
        f"{100 * m['role_accuracy']:.1f} % of its answers are right. Always {m['letter']} would be right in {100 * m['always_letter']:.1f} %."
    )


def _nouns(m: dict[str, Any]) -> str:
    most = listed([f"{noun} ({domain})" for domain, noun in m["top_nouns"].items() if noun])
    return f"The model wrote {count(m['distinct_nouns'], 'different role noun')} for {count(m['n'], 'MMLU question')}. The most frequent: {most}."


def _judged(m: dict[str, Any]) -> str:
    return (
        f"The judge ({m['judge']}) compared {count(m['n'], 'pair')} of answers, each in both orders. LIMA-Role wins "
        f"{m['role_wins']}, LIMA wins {m['lima_wins']}, and {m['ties']} are ties. The net win is "
        f"{points(m['net'], m['low'], m['high'])}. Both orders agree on {percent(m['orders_agree'])} of the pairs."
    )


def _designs(m: dict[str, Any]) -> str:
    shares = listed([f"{percent(share)} with design {name}" for name, share in m["well_formed"].items()])
    return (
        f"Each of {count(len(m['designs']), 'prompt design')} was asked {count(m['n'], 'question')}, with "
        f"{count(m['seeds'], 'seed')}. Replies that open with a role prompt of their design: {shares}."
    )


def _pays(m: dict[str, Any]) -> str:
    return (
        f"On {count(m['n_problems'], 'coin problem')}, {percent(m['record'])} of the answers are right after a record of each "
        f"state. After a scrambled record it is {percent(m['scrambled'])}, after a role prompt {percent(m['role'])}, without an "
        f"opening {percent(m['direct'])}. When a record was edited, {percent(m['follows'])} of the answers followed the edit. A "
        f"swapped role prompt costs {m['swap_nats']:+.3f} nats per token (95 % interval {m['swap_low']:+.3f} to {m['swap_high']:+.3f})."
    )


FINDINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "00": _set_up, "01": _annotated, "02": _tuned, "03": _scored, "04": _domains,
    "05": _nouns, "06": _judged, "07": _designs, "08": _pays,
}  # fmt: skip


def lessons(folder: Path, manifest: dict[str, Any], metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Every lesson of the course: its title, and if it was executed here its page, notebook, minutes and finding."""
    notebooks = {p.stem: p for p in sorted((root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    notebooks |= {p.stem: p for p in sorted((folder / "lessons").glob("[0-9][0-9]_*.ipynb"))}
    found, stopped = [], manifest.get("stopped", {"lesson": "", "left": []})
    for stem, path in sorted(notebooks.items()):
        page = folder / "lessons" / f"{stem}.html"
        own, state = metrics.get(stem[:2], {}), "" if page.is_file() else "not executed in this run"
        if stem == stopped["lesson"]:
            own, state = {}, "the run stopped in this lesson"  # what is recorded is of an earlier run
        elif stem in stopped["left"] and page.is_file():
            state = "not run this time: this page is an earlier one"
        line = {"title": title_of(path), "executed": page.is_file(), "page": f"lessons/{page.name}", "state": state}
        line |= {"notebook": f"lessons/{stem}.ipynb", "minutes": manifest["minutes"].get(stem, own.get("minutes"))}
        cannot = [sentence.rstrip(".") for sentence in own.get("cannot_say", [])]  # the page puts its own after
        found.append(line | {"finding": _finding(stem[:2], own), "cannot": cannot})
    return found


def _finding(lesson: str, own: dict[str, Any]) -> str:
    text = own.get("finding", "")
    if not text and own and lesson in FINDINGS:
        try:
            text = FINDINGS[lesson](own)
        except (KeyError, TypeError):  # by another version of the lesson, or nothing could be computed
            return ""
    text = " ".join(text) if isinstance(text, list) else text
    origin = own.get("origin", "this run")
    return tidy(text if origin == "this run" or not text else f"{text} (Computed from {origin}, not from this run.)")
