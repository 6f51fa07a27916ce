"""The grid of prompt designs: no cell twice, the averages' intervals hold the truth, lesson 07 survives poor grids."""

from __future__ import annotations

import json
import math

import cells
import numpy as np
import pandas as pd
import pytest
import tiny

from helpers import finetune, paper, roles, run, score, stats
from helpers.analyse import designs
from helpers.benchmarks import BENCHMARKS, MULTI_DOMAIN
from helpers.data import lima
from helpers.errors import UserError
from helpers.report import plots

OWN = "{q} In this matter I speak as {r}."
ASKED = {**dict.fromkeys(BENCHMARKS, 2), "humaneval": 0}  # no program is run here


@pytest.fixture(scope="module", autouse=True)
def _threads(one_thread):
    import matplotlib

    matplotlib.use("Agg")


def open_run(folder, base, **overrides):
    settings = {"model": str(base), "stage1_tokens": 4, "stage2_tokens": 2, "design_questions": ASKED, "seeds": [0, 1]}
    settings |= {"experiment": {"max_steps": 1}, "designs": [0, 4, OWN]}
    return run.open_run("cpu", folder, **(settings | overrides))


@pytest.fixture
def counted(monkeypatch):
    """[(design, seed)] of what is trained, and the number of questions asked, from here on."""
    trained, asked, real, answer = [], [], finetune.finetune, score.answer

    def finetune_(profile, arm, rows, out, seed=0, *more, **watch):
        trained.append((profile.design, seed))
        return real(profile, arm, rows, out, seed, *more, **watch)

    def answer_(profile, chat, *more):
        complete = chat.complete
        chat.complete = lambda texts, *a, **k: (asked.extend(texts), complete(texts, *a, **k))[1]
        return answer(profile, chat, *more)

    monkeypatch.setattr(finetune, "finetune", finetune_)
    monkeypatch.setattr(score, "answer", answer_)
    return trained, asked


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    """(run, answers, lines told): designs 0, 4 and one of our own with two seeds of the tiny model."""
    this, told = open_run(tmp_path_factory.mktemp("grid") / "run", base), []
    return this, designs.grid(this, say=told.append), told


# --- the grid ---------------------------------------------------------------------------------------


def test_every_design_and_seed_answers_every_question_once_and_says_how_long_the_rest_takes(finished):
    _, answers, told = finished
    lines = answers.groupby(["design", "seed"]).question_id.nunique()
    assert set(lines.index) == {(d, s) for d in ("0", "4", OWN) for s in (0, 1)} and set(lines) == {14}
    assert answers.cell.nunique() == 6 and not answers.duplicated(["design", "seed", "question_id"]).any()
    assert sum("14 questions" in line for line in told) == 6
    assert told[-1].strip() == "6 of 6 cells, 0.0 minutes left"


def test_the_designs_differ_in_nothing_but_their_wording(base, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(designs.finetune, "finetune", lambda profile, arm, rows, out, seed, say: seen.setdefault(
        profile.design, (profile, arm, rows, seed)) and 1 / 0)  # fmt: skip
    for design in (0, 4, OWN):
        with pytest.raises(ZeroDivisionError):
            designs.grid(open_run(tmp_path / "run", base), [design], [0], say=lambda _: None)
    profiles = [{**profile.describe(), "design": None} for profile, *_ in seen.values()]
    assert profiles[0] == profiles[1] == profiles[2] and list(seen) == [0, 4, OWN]
    assert len({json.dumps([arm, rows, seed]) for _, arm, rows, seed in seen.values()}) == 1
    assert profiles[0]["max_steps"] == 1, "the short recipe of the experiments"
    rows = seen[4][2]
    assert len(rows) == 120 and rows == lima.openings(rows), "first turns, the answer's first sentence"


def test_a_finished_grid_is_neither_trained_nor_asked_again(finished, counted):
    this, answers, _ = finished
    before = (this.folder / "designs.csv").read_bytes()
    again = designs.grid(this, say=lambda _: None)
    assert counted == ([], []) and (this.folder / "designs.csv").read_bytes() == before
    columns = ["design", "seed", "benchmark", "question_id", "correct"]
    pd.testing.assert_frame_equal(again[columns], answers[columns], check_dtype=False)


def test_a_new_design_or_seed_costs_its_own_cells_only(base, tmp_path, counted):
    trained, asked = counted
    this = open_run(tmp_path / "run", base)
    designs.grid(this, [4], [0], say=lambda _: None)
    designs.grid(this, [4, 8], [0, 1], say=lambda _: None)
    assert trained == [(4, 0), (4, 1), (8, 0), (8, 1)] and len(asked) == 4 * 14


def test_a_grid_stopped_between_training_and_scoring_goes_on_and_ends_with_the_same_file(
    base, tmp_path, finished, counted, monkeypatch
):
    whole, _, _ = finished
    this, grade, graded = open_run(tmp_path / "run", base), score.grade, []

    def stopped(*args):
        graded.append(args)
        if len(graded) == 3:
            raise KeyboardInterrupt
        return grade(*args)

    monkeypatch.setattr(score, "grade", stopped)
    with pytest.raises(KeyboardInterrupt):
        designs.grid(this, say=lambda _: None)
    assert (this.folder / "models" / "design4-seed0" / "manifest.json").is_file()
    trained, asked = counted
    assert len(trained) == 3 and len(asked) == 3 * 14
    designs.grid(this, say=lambda _: None)
    assert len(asked) == 6 * 14, "what the journals hold is not asked again"
    assert (this.folder / "designs.csv").read_bytes() == (whole.folder / "designs.csv").read_bytes()


def test_weights_go_when_their_answers_are_kept_and_stay_on_demand(base, tmp_path):
    this = open_run(tmp_path / "run", base)
    designs.grid(this, [4], [0], keep=True, say=lambda _: None)
    assert (this.folder / "models" / "design4-seed0" / "model.safetensors").is_file()
    designs.grid(this, [4], [0], say=lambda _: None)
    assert list((this.folder / "models").iterdir()) == []


def test_with_the_full_recipe_designs_0_and_8_are_the_arms_of_lesson_02_and_keep_their_weights(base, tmp_path, counted):
    trained, asked = counted
    this = open_run(tmp_path / "run", base, experiment={}, openings_only=False, max_steps=1)
    for arm in ("lima", "role"):
        this.tuned(arm, 0, say=lambda _: None)
    before = len(trained)
    answers = designs.grid(this, [0, 8, 5], [0], say=lambda _: None)
    kept = sorted(p.name for p in (this.folder / "models").iterdir())
    assert kept == ["lima-seed0", "role-seed0"] and set(answers.arm) == {"lima", "role"}
    assert [design for design, _ in trained[before:]] == [8, 8, 5]  # the first two are found finished
    assert len(asked) == 3 * 14


def test_other_data_or_questions_make_another_cell(finished):
    settings, rows, asked = finished[0].profile, tiny.ROWS, {"date": [{"question_id": "a"}]}
    cells_ = [
        (settings, 4, 0, rows, asked),
        (settings, 5, 0, rows, asked),
        (settings, 4, 1, rows, asked),
        (settings, 4, 0, rows[:3], asked),
        (settings, 4, 0, rows, {"date": [{"question_id": "b"}]}),
        (run.profiles.get("cpu", max_steps=3), 4, 0, rows, asked),
        (run.profiles.get("cpu", stage1_tokens=9), 4, 0, rows, asked),
    ]
    names = [designs._identity(*cell) for cell in cells_]
    assert len(set(names)) == 7 and designs._identity(settings, 4, 0, list(rows), dict(asked)) == names[0]


def test_an_unknown_design_is_told_before_anything_is_trained(base, tmp_path, counted):
    for wrong in (9, "From now on, {r}"):
        with pytest.raises(UserError, match="Table 3 has designs 0 to 8"):
            designs.grid(open_run(tmp_path / "run", base), [4, wrong], say=lambda _: None)
    assert counted == ([], [])


# --- what it shows -----------------------------------------------------------------------------------

ROLE = roles.Role("This question is a law problem involving a lease.", "a notary who reads aloud")


@pytest.mark.parametrize("design", [*roles.DESIGNS, OWN])
def test_a_role_prompt_is_well_formed_in_its_own_design_and_in_no_other(design):
    text = ROLE.text(design) or None
    if design == 0:  # the control: nothing was taught
        assert not designs.well_formed(None, 0) and designs.well_formed(ROLE.text(8), 0)
        return
    assert designs.well_formed(text, design) and not designs.well_formed(text[:-1], design)
    others = [d for d in (*roles.DESIGNS, OWN) if d not in (0, design)]
    assert [d for d in others if designs.well_formed(text, d)] == ([1] if design == OWN else [])


def answers_of(design, right, seeds=(0,), role=None, names=BENCHMARKS) -> pd.DataFrame:
    """Four questions a benchmark; `right[seed, k]` or `right[k]` says whether question k is."""
    lines = [
        ("role", seed, name, f"{name}-{k}", name, "A", "A", int(np.atleast_2d(right)[seed % len(np.atleast_2d(right))][k]), role)
        for seed in seeds for name in names for k in range(4)
    ]  # fmt: skip
    frame = pd.DataFrame(lines, columns=score.ANSWERS[:9]).assign(tokens=10, finish="stop", design=str(design))
    return frame.assign(role=frame.role.astype("string"))


def test_the_table_has_a_line_for_each_design_of_table_3_and_empty_cells_where_nothing_was_run():
    table = designs.table(pd.concat([answers_of(8, [1, 0, 0, 0], role=ROLE.text(8)), answers_of(OWN, [1, 1, 1, 1])]))
    assert list(table.index) == [*map(str, range(9)), OWN]
    eight = table.loc["8"]
    assert (eight.n, eight.formed, eight.multi, eight.single) == (32, 1, 0.25, 0.25)
    assert eight.multi_low < 0.25 < eight.multi_high and eight.formed_low > 0.8
    assert table.loc["4", ["formed", "multi", "single_low"]].isna().all() and table.loc["4", "n"] == 0
    assert (table.paper_multi.dropna() * 100).round(1).tolist() == [v[0] for v in paper.TABLE3.values()]
    assert math.isnan(table.loc[OWN, "paper_multi"]) and table.loc[OWN, "multi"] == 1 > table.loc[OWN, "multi_low"]


def test_the_error_of_an_average_is_what_another_draw_of_questions_changes():
    """20,000 draws of Table 2's questions at Table 1's accuracies, averaged as Table 3 does."""
    rng = np.random.default_rng(0)
    for group, names in designs.GROUPS.items():
        n, p = ([t[name] for name in names] for t in ({k: v[0] for k, v in paper.TABLE2.items()},
                                                      {k: v / 100 for k, v in paper.TABLE1["Mistral-Role"].items()}))  # fmt: skip
        drawn = np.mean([rng.binomial(m, q, 20_000) / m for m, q in zip(n, p)], axis=0)
        assert designs.paper_error(group) == pytest.approx(drawn.std(), rel=0.02)
        by_formula = designs.average_error(dict(zip(names, p)), dict(zip(names, n)))
        assert designs.paper_error(group) == pytest.approx(by_formula)
        assert paper.printed("Table 3", (4, group))[1] == pytest.approx(100 * by_formula)


@pytest.mark.parametrize(
    "n, seeds, spread", [(3, 1, 0.0), (4, 1, 0.0), (50, 1, 0.0), (50, 4, 0.0), (50, 4, 0.08), (3, 4, 0.05)]
)
@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_the_interval_of_an_average_holds_the_truth_in_19_of_20_grids(n, seeds, spread, p):
    """Five benchmarks; the runs' true accuracy moves by `spread`; half of a question's luck is the question's own."""
    rng, held, rounds = np.random.default_rng(1), 0, 400
    for _ in range(rounds):
        level = np.clip(p + spread * rng.standard_normal(seeds), 0, 1)
        values = {}
        for name in MULTI_DOMAIN:
            own, other = rng.random((1, n)), rng.random((seeds, n))
            luck = np.where(rng.random((seeds, n)) < 0.5, own, other)
            values[name] = luck < level[:, None]
        estimate, low, high = designs.average(values)
        held += low <= p <= high
        assert low <= estimate <= high
    assert held / rounds >= 0.93


def test_three_right_of_three_are_not_certain_and_nothing_asked_is_nothing_known():
    estimate, low, _ = designs.average({name: np.ones((1, 3)) for name in MULTI_DOMAIN})
    assert estimate == 1 and low < 0.9
    assert designs.average({})[1:] == (0.0, 1.0) and math.isnan(designs.average({})[0])


def test_designs_are_compared_on_what_both_answered_and_many_at_once_by_a_wider_interval():
    zero, eight = answers_of(0, [0, 0, 1, 0], seeds=(0, 1)), answers_of(8, [1, 1, 1, 0], seeds=(1, 2))
    eight = eight[eight.question_id != "mmlu-0"]
    gain = designs.versus(pd.concat([zero, eight]), 8, "multi")
    assert gain.difference.estimate == pytest.approx((4 * 0.5 + 1 / 3) / 5)
    assert designs.versus(eight, 8, "multi") is None
    of_sixteen = designs.versus(pd.concat([zero, eight]), 8, "multi", level=1 - 0.05 / 16)
    assert of_sixteen.difference.low < gain.difference.low and "99.69 % interval" in of_sixteen.reason
    assert designs.versus(pd.concat([zero[zero.seed == 0], eight]), 8, "multi") is None


def test_two_seeds_of_a_question_are_one_question_in_the_well_formed_share():
    roles_ = [ROLE.text(8), ROLE.text(8)[:-1]]
    one = answers_of(8, [1, 0, 0, 0]).assign(role=roles_ * 16)
    table = designs.table(one).loc["8"]
    twice = designs.table(pd.concat([one, one.assign(seed=1)])).loc["8"]
    columns = ["n", "formed", "formed_low", "formed_high"]
    assert twice[columns].tolist() == table[columns].tolist() == [32, *stats.wilson(16, 32)]


def test_unparsed_answers_stand_beside_every_accuracy_and_are_told():
    read, unread = answers_of(0, [1, 0, 0, 0], role=ROLE.text(8)), answers_of(8, [0, 0, 0, 0], role=ROLE.text(8))
    half = unread.assign(prediction=unread.prediction.where(unread.benchmark.isin(MULTI_DOMAIN), None))
    table = designs.table(pd.concat([read, half]))
    columns = ["unparsed", "multi_unparsed", "single_unparsed"]
    assert table.loc["0", columns].tolist() == [0, 0, 0] and table.loc["8", columns].tolist() == [3 / 8, 0, 1]
    assert table.loc["4", columns].isna().all()
    assert "38% of the replies of design 8 could not be read and count as wrong" in designs.cannot_say(half)
    said = designs.cannot_say(pd.concat([read, unread.assign(prediction=None)]))
    (sentence,) = (s for s in said if "read" in s)
    assert sentence.startswith("no reply of design 8 could be read: its 0 % are about the form")


def test_what_a_grid_cannot_say():
    poor = pd.concat([answers_of(4, [1, 0, 0, 0], names=MULTI_DOMAIN), answers_of(8, [0, 0, 0, 1], names=MULTI_DOMAIN)])
    said = " / ".join(designs.cannot_say(poor))
    for part in ("one seed", "design 0 was not run", "designs 0, 1, 2, 3, 5, 6, 7 were not run",
                 "no answers to humaneval, gsm8k, date", "not one well-formed role prompt", "cannot be ranked"):  # fmt: skip
        assert part in said
    uneven = pd.concat([answers_of(0, [1, 0, 0, 0]), answers_of(8, [1, 0, 0, 0], (0, 1), ROLE.text(8))])
    said = " / ".join(designs.cannot_say(uneven))
    assert "different numbers of seeds" in said
    assert not any(part in said for part in ("one seed", "design 0 was", "no answers to", "not one well-formed"))
    assert designs.cannot_say(poor[:0]) == ["no design was run: there is nothing of ours to put beside the paper's"]


def test_the_pictures_show_the_table_and_a_phone_can_show_them():
    table = designs.table(pd.concat([answers_of(8, [1, 0, 0, 0]), answers_of(OWN, [1, 0, 0, 0])]))
    for figure in (plots.designs(table), plots.table3(table)):
        assert figure.get_figwidth() <= plots.PAGE
        figure.canvas.draw()
    ours = plots.designs(table).axes[1]
    assert len(ours.get_yticks()) == 2, "only the designs that ran have a row"
    dots = {round(float(y), 2): float(x) for line in ours.lines for x, y in zip(*line.get_data()) if np.isfinite(x)}
    assert dots == {1.15: 25.0, 0.85: 25.0, 0.15: 25.0, -0.15: 25.0}  # design 8 and our own, below it
    assert len(plots.table3(table).axes[0].get_yticks()) == 9


# --- the lesson --------------------------------------------------------------------------------------


@pytest.fixture
def lesson(monkeypatch, finished):
    monkeypatch.chdir(cells.NOTEBOOKS)
    this, _, _ = finished

    def run_lesson(**parameters):
        told = {"RUN": str(this.folder), "OVERRIDES": this.overrides} | parameters
        text, _ = cells.run("07", **told)
        return text, json.loads((this.folder / "metrics.json").read_text())["07"]

    return run_lesson


def test_a_grid_without_one_well_formed_role_says_so_and_the_lesson_goes_on(lesson, finished, counted):
    text, numbers = lesson()
    assert counted == ([], []) and "nobody was asked again" in text
    assert "not one well-formed role prompt" in text and "no answers to humaneval" in text
    assert "unparsed" in text and "98.75 % interval" in text  # two designs in two groups beside design 0
    assert numbers["designs"] == ["0", "4", OWN] and numbers["seeds"] == 2 and numbers["origin"] == "this run"
    assert any("not one well-formed" in sentence for sentence in numbers["cannot_say"])
    for name in ("designs", "table3"):
        assert (finished[0].folder / "figures" / f"{name}.csv").is_file()


def test_one_design_with_one_seed_is_shown_and_not_compared(lesson):
    text, numbers = lesson(DESIGNS=(4,), SEEDS=(1,))
    assert "one seed: " in text and "design 0 was not run" in text and "no two designs to correlate" in text
    assert text.count("a verdict needs two seeds") == 1 and "better than design 0?" not in text
    assert numbers["designs"] == ["4"]
    text, _ = lesson(DESIGNS=(4,), SEEDS=(0, 1))
    assert "no questions in common with design 0" in text and "a verdict needs two seeds" not in text


def test_training_nothing_reads_the_packaged_run(lesson):
    text, numbers = lesson(DESIGNS=())
    assert numbers["origin"] == "the packaged reference run" and "0 trainings" in text
    assert numbers["well_formed"]["8"] > 0.5 and numbers["well_formed"]["0"] == 0
