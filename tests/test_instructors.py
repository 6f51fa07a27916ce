"""docs/INSTRUCTORS.md: plans that add up, and lessons that fit into their slots."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "INSTRUCTORS.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+):(\d\d) \| (\d+) \| (.+) \|$", re.MULTILINE)


def plans():
    """name -> days of (start in minutes, minutes, what)."""
    found = {}
    for part in re.split(r"^\*\*", TEXT.split("## Three plans")[1].split("\n## ")[0], flags=re.MULTILINE)[1:]:
        days = []
        for hour, minute, length, what in ROW.findall(part):
            start = 60 * int(hour) + int(minute)
            if not days or start < days[-1][-1][0]:
                days.append([])
            days[-1].append((start, int(length), what))
        found[part.split("**")[0]] = days
    return found


def test_each_plan_adds_up_to_the_minutes_it_names():
    lengths = {name: [day[-1][0] + day[-1][1] - day[0][0] for day in days] for name, days in plans().items()}
    assert lengths["90 minutes"] == [90] and lengths["Half a day"] == [240]
    assert len(lengths["Two days"]) == 2 and all(360 <= n <= 480 for n in lengths["Two days"])
    for days in plans().values():
        for day in days:
            for (start, length, what), (following, *_) in pairwise(day):
                assert start + length == following, what


def test_a_lesson_taught_in_full_fits_into_its_slot_and_nobody_sits_for_more_than_two_and_a_half_hours():
    for name, days in plans().items():
        for day in days:
            sat = 0
            for _, length, what in day:
                sat = 0 if re.match(r"Break|Lunch", what) else sat + length
                assert sat <= 150, (name, what)
                if lesson := re.search(r"Lesson (\d\d) in full(, with its exercises)?", what):
                    path = next((ROOT / "notebooks").glob(f"{lesson[1]}_*.ipynb"))
                    course = json.loads(path.read_text(encoding="utf-8"))["metadata"]["course"]
                    needed = course["teaching_minutes"] + (course["exercise_minutes"] if lesson[2] else 0)
                    assert length >= needed, (name, what, needed)


def test_two_days_teach_every_lesson():
    named = {n for day in plans()["Two days"] for *_, what in day for n in re.findall(r"Lesson (\d\d) in full", what)}
    assert named == {f"{n:02}" for n in range(10)}
