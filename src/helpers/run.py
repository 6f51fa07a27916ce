"""A run: the steps of the course over one folder. Lessons, commands and tests all call these.

A step is a function of (profile, run folder): it reads what the step before wrote and makes what is
missing. So a lesson runs alone, in order, or from the command line with the same result, and what
was finished before costs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from . import annotate, finetune, judge, models, profiles, score
from .arms import LABELS, TUNED
from .data import REFERENCE, lima, source_for
from .errors import UserError
from .machine.places import root, seen_from
from .machine.resources import peak_gib
from .profiles import Profile
from .report import style

NEEDED_MB = 4_000  # two tuned models, a checkpoint, and the run's files


@dataclass
class Run:
    """A profile and a run folder, with every step of the course as a method. Its files: docs/DATA.md."""

    profile: Profile
    folder: Path
    overrides: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    # --- steps ---------------------------------------------------------------------------------

    def dialogues(self) -> list[lima.Dialogue]:
        """LIMA, or our own miniature of it: the `cpu` profile always trains on the miniature, which has its roles."""
        source = self.profile.source
        return lima.dialogues(source if source == "packaged" else source_for(source))

    def annotated(self, chat=None, say=print) -> list[dict[str, Any]]:
        """The rows of LIMA-Role: lima_role.jsonl, made by replaying (or asking) the annotator if missing."""
        path = self.folder / "lima_role.jsonl"
        return (
            lima.load_rows(path) if path.is_file() else annotate.annotate(self.dialogues(), self.folder, chat, say=say)
        )

    def model_folder(self, arm: str, seed: int = 0) -> Path:
        return self.folder / "models" / f"{arm}-seed{seed}"

    def tuned(self, arm: str, seed: int = 0, say=print) -> dict[str, Any]:
        """The manifest of a tuned arm; trains it if this run has not yet, and looks at held-out dialogues meanwhile."""
        rows = self.annotated(say=say)
        watch = finetune.watcher(self.profile, rows, arm, lambda: self.held_out(seed, say))
        return finetune.finetune(self.profile, arm, rows, self.model_folder(arm, seed), seed, say, watch=watch)

    def held_out(self, seed: int = 0, say=print) -> list[dict[str, Any]]:
        """A few short packaged dialogues that neither arm is trained on. A run on LIMA is not trained on any of them.

        If this run trains on all of them, it says so and returns some all the same.
        """
        if self.profile.source != "packaged":
            with tempfile.TemporaryDirectory() as folder:  # the run's own lima_role.jsonl holds LIMA
                rows = annotate.annotate(lima.dialogues("packaged"), Path(folder), say=lambda *_: None)
            return finetune.unseen(self.profile, rows, ())[: finetune.DIALOGUES]
        rows = self.annotated(say=say)
        if not (free := finetune.unseen(self.profile, rows, finetune.ARMS, seed)):
            say("this run trains on every dialogue: none is held out, and what follows shows dialogues that it knows")
            free = finetune.unseen(self.profile, rows, ())
        return free[: finetune.DIALOGUES]

    def learned(self, arm: str, seed: int = 0, say=print) -> pd.DataFrame:
        """The lines of `finetune.look` at held-out dialogues, with the step of the training at which they were seen.

        A model that nobody watched (of `python -m helpers finetune`) is looked at now, and so is its base.
        """
        trained = (self.model_folder(arm, seed) / "manifest.json").is_file()
        manifest = self.tuned(arm, seed, (lambda *_: None) if trained else say)
        if (kept := finetune.watched(self.model_folder(arm, seed))) is not None:
            return kept
        say(f"{arm}: nobody watched its training, so only before and after can be seen")
        lines, rows = [], lima.openings(self.held_out(seed, say))
        for step, name in ((0, "base"), (manifest["steps"], arm)):
            chat = self.chat(name, seed, say)
            seen = finetune.look(chat.model, chat.tokenizer, rows, arm, self.profile.design)
            lines += [{"step": step} | line for line in seen if line["part"] != "end"]
        return pd.DataFrame(lines)

    def chat(self, arm: str, seed: int = 0, say=print):
        """The arm's model, ready to answer: `lima` and `role` tuned (trained if missing), `base` as it came.

        `base_chat` is base asked in its own chat template; a UserError if it has none.
        """
        if arm not in score.SCORED:
            raise UserError(f"unknown arm {arm!r}: choose base, lima or role")
        if arm.startswith("base"):
            return score.local_chat(self.profile, prompt="chat" if arm == "base_chat" else "frame")
        self.tuned(arm, seed, say)
        return score.local_chat(self.profile, self.model_folder(arm, seed))

    def scored(self, benchmarks: Sequence[str] | None = None, limit: int | None = None, say=print) -> pd.DataFrame:
        """scores.csv for all arms and seeds, and for base in its own chat template, if it has one.

        Only what the journals do not hold yet is asked.
        """
        for arm in score.SCORED:
            for seed in self.profile.seeds[:1] if arm.startswith("base") else self.profile.seeds:
                try:
                    chat = self.chat(arm, seed, say)
                except UserError as error:
                    if arm != "base_chat":
                        raise
                    say(f"no row {LABELS[arm]!r}: {error}")
                    continue
                score.score(self.profile, chat, self.folder, arm, seed, benchmarks, limit, say)
                del chat  # one model in memory at a time
                models.release_memory()
        return self.scores()

    def scores(self) -> pd.DataFrame:
        return score.read_csv(self._own_or_reference("scores.csv"))

    def answers(self) -> pd.DataFrame:
        """answers.csv of this run, or of the packaged reference run if this one has not been scored yet."""
        return score.read_csv(self._own_or_reference("answers.csv"))

    def origin(self, name: str = "answers.csv") -> str:
        """ "this run" or "the packaged reference run": where `name` is read from."""
        return "this run" if self._own_or_reference(name).parent == self.folder else "the packaged reference run"

    def judged(
        self, a: str = "lima", b: str = "role", seed: int = 0, say=print
    ) -> tuple[list[judge.Pair], judge.Comparison, str]:
        """Open answers of two arms, the verdicts on them, and whose both are: "this run" or the packaged ones.

        This run's own where `python -m helpers judge` has left some for these arms, of the judge with most verdicts, or
        where no pair needs a judge. Else it is said what this run has and lacks, and the packaged ones are replayed.
        """
        files = {arm: self.folder / "generations" / f"{arm}-seed{seed}" / "open.jsonl" for arm in (a, b)}
        there, lacking = ([arm for arm in files if files[arm].is_file() is known] for known in (True, False))
        if lacking:
            said = "this run has " + (f"open answers of {_named(there)}, but " if there else "")
            said += f"{'none' if there else 'no open answers'} of {_named(lacking)}"
        else:
            pairs = judge.pairs(*map(judge.load_answers, files.values()))
            verdicts = judge.read(self.folder)
            judges = {record["judge"] for record in verdicts.values()} - {judge.PACKAGED_JUDGE}
            found = {name: sum(k in verdicts for p in pairs for k in judge.keys(name, p).values()) for name in judges}
            if any(found.values()) or all(pair.settled for pair in pairs):
                name = max(sorted(found), key=found.get) if any(found.values()) else "nobody"
                return pairs, judge.compare(pairs, (a, b), name, verdicts), "this run"
            said = f"this run has open answers of {_named(there)} to {len(pairs)} questions, but no verdict on them"
        say(f"{said}: reading the packaged answers and verdicts instead")
        pairs = judge.packaged_pairs(a, b)
        return pairs, judge.judge(pairs, (a, b), self.folder), "the packaged answers and verdicts"

    def live_pairs(self, n: int, say=print) -> list[judge.Pair]:
        """n open questions, answered by this run's own tuned models, role prompts hidden; none if it has not both.

        The shortest questions, and answers of half the usual length, so that it takes seconds. They are kept apart, in
        live/: the verdicts of `judged` stay as they are.
        """
        lacking = [arm for arm in TUNED if not (self.model_folder(arm) / "manifest.json").is_file()]
        if lacking or n < 1:
            return []
        asked = sorted(judge.questions(source_for(self.profile.source)), key=lambda q: len(q["question"]))[:n]
        short, rows = replace(self.profile, stage1_tokens=max(1, self.profile.stage1_tokens // 2)), []
        for arm in TUNED:
            rows.append(judge.answer(short, self.chat(arm, say=say), asked, self.folder / "live" / f"{arm}.jsonl", say))
            models.release_memory()
        return judge.pairs(*rows)

    def _own_or_reference(self, name: str) -> Path:
        own = self.folder / name
        if own.is_file() and set(score.ARMS) <= set(pd.read_csv(own, usecols=["arm"]).arm):
            return own
        if self.profile.name == "cpu":
            return REFERENCE / name
        raise UserError(f"this run has no complete {name} yet: run lesson 03 with profile {self.profile.name} first")

    # --- what a lesson leaves behind --------------------------------------------------------------

    def caption(self, data: str | None = None) -> str:
        """The stamp of a picture: profile, model, and the number of questions or whatever `data` says."""
        model = self.profile.model.rsplit("/", 1)[-1]
        return f"profile {self.profile.name} · {model} · {data or 'this run'}"

    def figure(
        self,
        figure,
        name: str,
        data: str | None = None,
        table: pd.DataFrame | None = None,
        caption: str | None = None,
    ):
        """Stamp a picture, keep it as figures/<name>.png, and return it for the notebook to show.

        `table`: the numbers it was drawn from, kept beside it as figures/<name>.csv. `caption`: the stamp of a picture
        that shows nothing of this run.
        """
        stamp = caption or self.caption(data)
        style.stamp(figure, stamp)
        target = self.folder / "figures" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, metadata={"Software": None, "Description": stamp})
        if table is not None:
            numbered = isinstance(table.index, pd.RangeIndex)
            table.to_csv(target.with_suffix(".csv"), index=not numbered, lineterminator="\n")
        import matplotlib.pyplot as plt

        plt.close(figure)  # else the notebook shows it twice
        return figure

    def record(self, lesson: str, **numbers: Any) -> dict[str, Any]:
        """Keep a lesson's numbers in metrics.json, with its minutes and peak memory; tests and report read them."""
        path = self.folder / "metrics.json"
        numbers["minutes"] = round((time.time() - self.began) / 60, 2)
        numbers["peak_memory_gib"] = round(peak_gib(), 2)
        with FileLock(path.with_suffix(".lock")):  # two lessons may be open at once
            metrics = json.loads(path.read_text()) if path.is_file() else {}
            temporary = path.with_suffix(".json.tmp")
            temporary.write_text(json.dumps(metrics | {lesson: numbers}, indent=1, sort_keys=True))
            temporary.replace(path)
        return numbers


def _named(arms: Sequence[str]) -> str:
    return " and ".join(LABELS.get(arm, arm) for arm in arms)


def start(profile: str = "cpu", folder: str | None = None, **overrides: Any) -> Run:
    """Open a run (made on first use) and say in one line what it is.

    `folder`: where files go; default runs/<profile> beside notebooks/. `overrides`: single settings of the
    profile to change, for an experiment in a folder of its own.
    """
    run = open_run(profile, folder, **overrides)
    style.use_style()
    changed = ", ".join(f"{k}={v}" for k, v in overrides.items())
    shown = seen_from(run.folder, root())
    shown = run.folder.name if shown.startswith("..") or os.path.isabs(shown) else shown
    print(f"profile {profile}{f' with {changed}' if changed else ''} · {run.profile.hardware} · files in {shown}")
    if run.profile.on_cpu and not (run.folder / "models").is_dir():
        texts = ["\n".join(d.turns) for d in run.dialogues()]
        print(score.pace.estimate(run.profile, texts))
    return run


def open_run(profile: str, folder: str | Path | None = None, **overrides: Any) -> Run:
    """As `start`, without printing. Refuses a folder that belongs to another profile, or a disk without room."""
    settings = profiles.get(profile, **overrides)
    source_for(settings.source)
    path = Path(folder) if folder else root() / "runs" / profile
    marker = path / "profile.json"
    overrides = {
        name: json.loads(json.dumps(settings.describe()[name])) for name in overrides
    }  # a Lora is a dict there
    mine = {"profile": profile, "overrides": overrides}
    if marker.is_file():
        try:
            theirs = json.loads(marker.read_text())
        except ValueError:
            raise UserError(
                f"{path.name}/profile.json is damaged: remove it if the folder is yours, or use --out"
            ) from None
        if theirs != mine:
            raise UserError(
                f"{path.name} belongs to profile {theirs['profile']!r} {theirs['overrides'] or ''}".rstrip()
                + f", not {profile!r} {overrides or ''}".rstrip()
                + ": choose another folder with --out (RUN in a lesson)"
            )
    else:
        need_space(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            marker.write_text(json.dumps(mine))
        except OSError as error:
            raise UserError(
                f"cannot write to {path.name} ({error.strerror}): choose another folder with --out"
            ) from None
    return Run(settings, path, overrides)


def need_space(path: Path, megabytes: int = NEEDED_MB) -> None:
    """Raise UserError unless the disk that holds `path` (or will) has room for a run."""
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free // 2**20
    if free < megabytes:
        raise UserError(
            f"no room for a run in {path.name}: {free} MB free, {megabytes} MB needed; free some or use --out"
        )
