"""Answers to the exercises of lesson 08: right ones, and wrong ones with the message that names the mistake."""

from __future__ import annotations

from exercises.common import table

EXERCISES, answers = table()
