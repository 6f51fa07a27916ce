"""What two orders of verdicts say: wins, ties and losses with their interval, and what the judge itself is like.

The one idea: a verdict counts only if it survives a change of places. An answer wins if it is chosen in both
orders; any other two verdicts are a tie; what could not be read is neither, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .. import stats

RESULTS = ("a", "tie", "b", "unparsed", "not judged", "role shown")


@dataclass(frozen=True)
class Comparison:
    """Verdicts on two arms. `table`: one line a question, with the columns of `COLUMNS`."""

    a: str
    b: str
    judge: str
    table: pd.DataFrame


# ab, ba: the arm that the judge chose in either order ("a", "b", "neither", None); settled: as `judge.Pair.settled`.
COLUMNS = ["id", "ab", "ba", "result", "settled", "words_a", "words_b", "repeated_a", "repeated_b"]


def arm(verdict: str | None, order: str) -> str | None:
    """The arm behind a choice: "A" is the answer shown first, which is b's in the order "ba"."""
    return {"A": order[0], "B": order[1], "neither": "neither"}.get(verdict)


def combine(ab: str | None, ba: str | None) -> str:
    """Two verdicts on a pair as one result: an arm wins if it is chosen twice; "unparsed" if one could not be read."""
    if ab is None or ba is None:
        return "unparsed"
    return ab if ab == ba and ab != "neither" else "tie"


@dataclass(frozen=True)
class Summary:
    """Counts of questions, and what the two orders say about the judge. Shares in 0..1."""

    n: int  # questions with a result: a + tie + b
    a: int
    tie: int
    b: int
    left_out: dict[str, int]  # unparsed, not judged, role shown
    settled: dict[str, int]  # empty, identical: counted in a, tie or b without asking
    net: stats.Interval  # (b - a) / n, bootstrap over questions
    first: stats.Interval  # of all verdicts for an answer, those for the one shown first (bootstrap over questions)
    agree: stats.Interval  # of questions with two verdicts, those with the same one twice
    words: tuple[float, float]  # mean length of both arms' answers
    longer: stats.Interval  # of questions that an arm won, those won by the longer answer
    choices: int  # verdicts for one of the answers, in either order
    repeated: tuple[int, int]  # answers of both arms in which a role prompt had to be hidden again


def summary(comparison: Comparison) -> Summary:
    """All that is counted in a comparison. Intervals at 95 %: Wilson's for shares of questions, else bootstrap over them."""
    table = comparison.table
    counts = {r: int((table.result == r).sum()) for r in RESULTS}
    counted = table[table.result.isin(["a", "tie", "b"])]
    n = len(counted)
    net = _net(counted.result, table.settled.notna())
    choices = [(i, chosen == o[0]) for o in ("ab", "ba") for i, chosen in enumerate(table[o]) if chosen in ("a", "b")]
    twice = table.dropna(subset=["ab", "ba"])
    won = counted[(counted.result != "tie") & (counted.words_a != counted.words_b) & counted.settled.isna()]
    longer = int(((won.words_b > won.words_a) == (won.result == "b")).sum())
    return Summary(
        n,
        counts["a"],
        counts["tie"],
        counts["b"],
        {r: counts[r] for r in RESULTS[3:]},
        {why: int((table.settled == why).sum()) for why in ("empty", "identical")},
        net,
        _first(choices),
        stats.wilson(int((twice.ab == twice.ba).sum()), len(twice)),
        (float(table.words_a.mean()), float(table.words_b.mean())),
        stats.wilson(longer, len(won)),
        len(choices),
        (int(table.repeated_a.sum()), int(table.repeated_b.sum())),
    )


def orders(comparison: Comparison, a: str | None = None, b: str | None = None) -> pd.DataFrame:
    """Wins, ties and losses as one order alone would have told them, and by both: what `plots.judge_bars` draws.

    Index: the row's name, with `a` and `b` as names of the arms. Columns: n, b, tie, a (questions), net, low, high
    (shares: b's wins minus a's, with bootstrap interval). Questions settled without the judge count in every row.
    """
    table, a, b = comparison.table, a or comparison.a, b or comparison.b
    counted = table.result.isin(["a", "tie", "b"])
    settled = table.settled.notna() & counted
    alone = {
        name: table[o].where(~settled, table.result).replace("neither", "tie") for name, o in ((a, "ab"), (b, "ba"))
    }
    rows = {f"{name} shown first": results for name, results in alone.items()} | {"both orders": table.result[counted]}
    lines = {}
    for name, results in rows.items():
        results = results[results.isin(["a", "tie", "b"])]
        line = {"n": len(results)} | {what: int((results == what).sum()) for what in ("b", "tie", "a")}
        lines[name] = line | _net(results, settled)._asdict()
    return pd.DataFrame.from_dict(lines, orient="index").rename(columns={"estimate": "net"})


def both_ways(comparison: Comparison) -> pd.DataFrame:
    """The result with empty answers as losses, and without these questions: n, b, tie, a, net, low, high, p.

    Net as in `orders`; p: the exact sign test of wins against losses. An empty answer is a fact about length, not a
    verdict on quality, so a result that needs it is a result about empty answers.
    """
    table = comparison.table[comparison.table.result.isin(["a", "tie", "b"])]
    lines = {}
    for name, part in (("empty answers lose", table), ("without them", table[table.settled != "empty"])):
        counts = {what: int((part.result == what).sum()) for what in ("b", "tie", "a")}
        p = stats.sign_test([1.0] * counts["b"] + [-1.0] * counts["a"] + [0.0]).p
        lines[name] = {"n": len(part), **counts, **_net(part.result, part.settled.notna())._asdict(), "p": p}
    return pd.DataFrame.from_dict(lines, orient="index").rename(columns={"estimate": "net"})


def _net(results: pd.Series, settled: pd.Series) -> stats.Interval:
    if settled.reindex(results.index).all():  # nobody has judged anything
        return stats.Interval(float("nan"), -1.0, 1.0)
    return stats.paired((results == "a").to_numpy(float), (results == "b").to_numpy(float))


def _first(choices: list[tuple[int, bool]]) -> stats.Interval:
    """Share of the first place from (question, whether the first was chosen); whole questions are drawn again.

    The two verdicts on a question are not independent: quality makes them differ, a taste for a place makes them alike.
    """
    questions, first = [i for i, _ in choices], [chosen for _, chosen in choices]
    n, k = len(set(questions)), sum(first)
    if k in (0, len(first)):  # all alike: a bootstrap would have nothing to vary and be sure of it
        return stats.wilson(n if k else 0, n)
    if n == 1:
        return stats.Interval(k / len(first), 0.0, 1.0)
    return stats.paired([0] * len(first), first, clusters=questions)


def remarks(comparison: Comparison) -> list[str]:
    """What a reader must know before believing the result: one sentence each, none where nothing is amiss."""
    s, said = summary(comparison), []
    table = comparison.table
    asked = int(table.settled.isna().sum()) - s.left_out["not judged"]
    if table.settled.notna().all():
        said.append("No pair needed a judge: nothing is said of how good the answers are.")
    if s.left_out["not judged"]:
        said.append(f"Not judged in both orders yet: {s.left_out['not judged']} of {len(table)} questions.")
    if asked and s.left_out["unparsed"] == asked:
        said.append("No verdict could be read: nothing can be concluded. Look at the raw replies.")
    elif s.left_out["unparsed"]:
        said.append(f"Left out because a verdict could not be read: {s.left_out['unparsed']} of {asked} questions.")
    if s.first.estimate > 0.9 and s.first.low > 0.5:
        said.append("The judge chooses the answer that it reads first: it judges places, and nothing can be concluded.")
    elif s.first.estimate < 0.1 and s.first.high < 0.5:
        said.append("The judge chooses the answer that it reads last: it judges places, and nothing can be concluded.")
    if s.left_out["role shown"]:
        said.append(f"Left out because an answer still shows a role prompt: {s.left_out['role shown']} questions.")
    if s.settled["empty"]:
        ways = [f"{max(w.a, w.b)} wins to {min(w.a, w.b)} (p = {w.p:.3f})" for w in both_ways(comparison).itertuples()]
        said.append(
            f"Lost without a judge because the answer is empty: {s.settled['empty']} questions. With them it is {ways[0]}, "
            f"without them {ways[1]}."
        )
    if 0 < s.n < 20:
        said.append(f"Too few questions with a result for their interval to mean much: {s.n}.")
    if s.net.estimate == s.net.estimate and s.net.low <= 0 <= s.net.high:
        said.append("The interval of the net win holds zero: these verdicts do not say which arm is better.")
    if not s.n and not said:
        said.append("No question has a result: nothing can be concluded.")
    return said


def lines(comparison: Comparison) -> list[str]:
    """A comparison in plain lines, for the command line."""
    s, a, b = summary(comparison), comparison.a, comparison.b
    left = ", ".join(f"{count} {why}" for why, count in s.left_out.items() if count)
    text = [f"judge {comparison.judge}: {s.n} questions with a result" + (f"; left out: {left}" if left else "")]
    if s.net.estimate == s.net.estimate:  # not NaN: somebody has judged
        text.append(f"  {b} wins {s.b}, tie {s.tie}, {a} wins {s.a}")
        text.append(f"  net win of {b}: {s.net.estimate:+.1%}, 95 % interval {s.net.low:+.1%} to {s.net.high:+.1%}")
    if s.choices:
        text.append(f"  the answer shown first is chosen in {s.first.estimate:.0%} of {s.choices} choices")
        text.append(
            f"  both orders agree in {s.agree.estimate:.0%}; mean words {a} {s.words[0]:.0f}, {b} {s.words[1]:.0f}"
        )
    return text + [f"  {remark}" for remark in remarks(comparison)]
