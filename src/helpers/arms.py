"""The three arms that are compared: their names, labels and colours, markers; and one more row of the score table.

base        the model as it came, asked in the paper's frame as all arms are
lima        tuned on the dialogues
role        tuned on the dialogues with role prompts
base_chat   the model as it came, asked in its own chat template: what base could do without the paper's frame
"""

from __future__ import annotations

ARMS = ("base", "lima", "role")
TUNED = ("lima", "role")
COLOURS = {"base": "#777777", "lima": "#0072B2", "role": "#D55E00"}
MARKERS = {"base": "s", "lima": "o", "role": "^"}  # so that arms differ in grey print, too
LABELS = {"base": "base (as it came)", "base_chat": "base, own template", "lima": "LIMA", "role": "LIMA-Role"}
SCORED = ("base", "base_chat", "lima", "role")  # the rows that lesson 03 scores; only ARMS are compared
