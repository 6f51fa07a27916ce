"""The three models that are compared: their names, labels and colours.

base   not tuned
lima   tuned on the dialogues
role   tuned on the dialogues with role prompts
"""

from __future__ import annotations

ARMS = ("base", "lima", "role")
TUNED = ("lima", "role")
COLOURS = {"base": "#777777", "lima": "#0072B2", "role": "#D55E00"}
LABELS = {"base": "base (not tuned)", "lima": "LIMA", "role": "LIMA-Role"}
