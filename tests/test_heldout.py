"""What a training is seen to teach: on dialogues that it does not train on, token by token, and for good."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
import tiny
import torch
import training

from helpers import finetune
from helpers.data import write_jsonl
from helpers.finetune.encode import IGNORED
from helpers.report import plots, show
from helpers.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")
QUIET = lambda *_: None  # noqa: E731


@pytest.fixture
def run(base, tmp_path, monkeypatch):
    """A run on sixteen short dialogues, the first two of them of several turns; three are looked at."""
    monkeypatch.setattr(finetune, "DIALOGUES", 3)
    turns = [["Is it raining?", "No.", "And now?", "Yes."]] * 2 + [
        ["Why?" * n, "Because it is so. " * n] for n in range(1, 15)
    ]
    folder = tmp_path / "run"
    folder.mkdir()
    write_jsonl([tiny.row(f"row-{n}", *some) for n, some in enumerate(turns)], folder / "lima_role.jsonl")
    return Run(training.settings(base, max_steps=7, batch_size=1), folder)


def test_dialogues_held_out_are_those_that_neither_manifest_says_were_seen(run):
    """Known before the training, also if the arms leave out different dialogues and so meet the others in another order."""
    lengths = [len(finetune.encode_dialogue(r, tiny.tokenizer(), "role").input_ids) for r in run.annotated(say=QUIET)]
    run.profile = replace(run.profile, max_tokens=sorted(lengths)[13])
    names = [str(row["id"]) for row in run.held_out(say=QUIET)]
    manifests = [run.tuned(arm, say=QUIET) for arm in finetune.ARMS]
    assert manifests[0]["dialogues_left_out"] != manifests[1]["dialogues_left_out"]
    assert len(names) == finetune.DIALOGUES
    for manifest in manifests:
        assert set(names) <= set(manifest["dialogues_unseen"]) - set(manifest["dialogues_left_out"])


def test_a_training_that_sees_every_dialogue_says_that_none_is_held_out(run):
    said = []
    run.profile = replace(run.profile, max_steps=None, epochs=1.0)
    assert len(run.held_out(say=lambda line: said.append(str(line)))) == finetune.DIALOGUES
    assert "none is held out" in said[-1]


def test_the_losses_of_a_look_are_those_of_training_and_each_has_its_part(base):
    model, tokenizer = tiny.model(), tiny.tokenizer()
    row, opening = tiny.ROWS[0], tiny.ROWS[0]["role"]
    for arm in finetune.ARMS:
        lines = pd.DataFrame(finetune.look(model, tokenizer, [row], arm))
        encoded = finetune.encode_dialogue(row, tokenizer, arm)
        ids, labels = (torch.tensor([x]) for x in (encoded.input_ids, encoded.labels))
        assert lines.nats.mean() == pytest.approx(model(input_ids=ids, labels=labels).loss.item(), abs=1e-3)
        assert list(lines.token) == [x for x in encoded.labels if x != IGNORED]
        text = {part: tokenizer.decode(list(lines[lines.part == part].token)).strip() for part in set(lines.part)}
        assert text["answer"] == row["messages"][1]["content"] and text["end"] == "</s>"
        assert ("opening" in text) is (arm == "role")
    assert text["opening"].startswith("[This question") and text["opening"].endswith(f"{opening['role_description']}.]")


def test_the_likeliest_token_is_the_one_that_greedy_decoding_writes():
    model, tokenizer = tiny.model(seed=1), tiny.tokenizer()
    lines = pd.DataFrame(finetune.look(model, tokenizer, tiny.ROWS, "lima"))
    wrong = lines[~lines.likeliest]
    assert (lines[lines.nats < 0.69].likeliest).all() and len(wrong) and (wrong.nats > 0.69).all()


def test_what_was_seen_in_training_is_there_in_a_rerun_that_trains_nothing(run, monkeypatch):
    table = run.learned("role", say=QUIET)
    assert list(table.step.unique()) == [0, 1, 3, 7] and set(table.part) == {"opening", "answer"}
    mean = table.groupby(["step", "part"]).nats.mean().unstack()
    assert (mean.loc[7] < mean.loc[0]).all(), "seven steps teach a tiny model something"
    monkeypatch.setattr("helpers.finetune.tune._finetune", lambda *_: pytest.fail("a finished run trains again"))
    pd.testing.assert_frame_equal(run.learned("role", say=QUIET), table)


def test_a_model_that_nobody_watched_shows_before_and_after(run):
    rows, said = run.annotated(say=QUIET), []
    finetune.finetune(run.profile, "role", rows, run.model_folder("role"), say=QUIET)
    found = run.learned("role", say=lambda line: said.append(str(line)))
    assert any("nobody watched" in line for line in said)
    (run.folder / "models" / "role-seed0").rename(run.folder / "models" / "alone")
    watched = run.learned("role", say=QUIET)
    ends = watched[watched.step.isin((0, 7))].reset_index(drop=True)
    assert list(ends.token) == list(found.token) and ends.nats.to_numpy() == pytest.approx(found.nats, abs=1e-3)


def test_a_training_that_is_watched_prints_no_progress_bars(run, capsys):
    run.profile = replace(run.profile, checkpoint_steps=2)  # a checkpoint shows one, if anything has let it
    capsys.readouterr()
    run.tuned("role", say=QUIET)
    assert capsys.readouterr().err == ""


def test_a_training_that_is_killed_and_started_again_keeps_what_was_seen_before(run):
    run.profile = replace(run.profile, checkpoint_steps=2)
    whole = run.learned("role", say=QUIET)
    folder = run.model_folder("role")
    folder.rename(folder.with_name("whole"))
    with pytest.raises(training.Stopped):
        run.tuned("role", say=training.stop_after(5))
    pd.testing.assert_frame_equal(run.learned("role", say=QUIET), whole)


# --- what a lesson shows of it ------------------------------------------------------------------------


def test_every_token_carries_its_loss_as_a_number_and_not_only_as_a_colour():
    tokenizer = tiny.tokenizer()
    ids = tokenizer("a <b").input_ids
    page = show.losses(tokenizer, ids, {"before": [4.2, 0.1, 2.0, 0.7], "after": [0.04, 0.1, 0.2, 0.3]}).data
    found = re.findall(r"<ruby style=\"background:(#\w+);[^>]*>([^<]+)<rt[^>]*>([\d.]+)</rt>", page)
    assert [(text, loss) for _, text, loss in found[:4]] == [
        ("a", "4.2"),
        ("&nbsp;", "0.1"),
        ("&lt;", "2.0"),
        ("b", "0.7"),
    ]
    shades = [shade for shade, _, _ in found]
    assert len(set(shades[:4])) == 3 and shades[0] != shades[4] and set(shades[4:]) == {show.LOSSES[0][1]}
    assert "<b>before</b>, mean 1.75 nats" in page and len(found) == 8


def test_the_picture_holds_the_mean_of_each_part_at_the_steps_where_it_was_seen():
    def seen(step, part, *nats):
        return [{"step": step, "dialogue": "a", "part": part, "token": 1, "nats": x, "likeliest": True} for x in nats]

    role = seen(0, "opening", 4, 6) + seen(0, "answer", 3, 3) + seen(9, "opening", 1, 2) + seen(9, "answer", 2, 3)
    learned = {"lima": pd.DataFrame(seen(0, "answer", 3) + seen(9, "answer", 2)), "role": pd.DataFrame(role)}
    figure = plots.learning(learned, {"lima": [3.0] * 9, "role": [2.0] * 9})
    drawn = {line.get_label(): line for line in figure.axes[1].lines}
    assert list(drawn["held out: role prompt"].get_ydata()) == [5, 1.5]
    assert list(drawn["held out: answer"].get_xdata()) == [0, 9] and list(drawn["held out: answer"].get_ydata()) == [
        3,
        2.5,
    ]
    assert "held out: role prompt" not in {line.get_label() for line in figure.axes[0].lines}
    lines = [line for line in figure.axes[1].lines if line.get_label().startswith("held out")]
    assert len({line.get_marker() for line in lines}) == 2, "the parts differ without colour, too"
