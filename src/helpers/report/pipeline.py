"""The way through the course as one small drawing, with the lesson that you are in lit.

It is drawn in the colour of the text around it, so it works on a white and on a dark page.
"""

from __future__ import annotations

from html import escape

from IPython.display import HTML

# Boxes are lessons, plain words are what one hands to the next: (text, left end, width, row)
LESSONS = {
    "00": ("00 set-up", 2, 66, 0),
    "01": ("01 annotate", 148, 86, 0),
    "02": ("02 fine-tune", 2, 88, 1),
    "03": ("03 score", 222, 66, 1),
    "04": ("04 domains", 12, 80, 2),
    "05": ("05 roles", 102, 80, 2),
    "06": ("06 judge", 192, 80, 2),
    "07": ("07 designs", 282, 80, 2),
    "08": ("08 when it pays", 54, 122, 3),
    "09": ("09 beyond", 192, 122, 3),
}
THINGS = (("LIMA", 92, 34, 0), ("LIMA-Role", 254, 68, 0), ("LIMA + role models", 112, 86, 1), ("answers", 310, 58, 1))
ROWS = (2, 60, 118, 154)  # upper ends; a box is HIGH
HIGH, WIDTH, HEIGHT = 28, 374, 188
ARROWS = (  # from left to right or from top to bottom, as an SVG path
    "M70 16H88", "M128 16H146", "M236 16H252",
    "M109 28V42H45V56",
    "M90 74H108", "M200 74H218", "M288 74H306", "M339 86V108",
)  # fmt: skip
MERGES = "M288 28V42H109"  # LIMA-Role is trained on, too
TEXT = "The course's way: LIMA is annotated (lesson 01) and becomes LIMA-Role. Both are fine-tuned on (02). The models \
answer questions (03). Lessons 04 to 09 look at answers: by domain, at the roles, with a judge, at designs, when a role \
prompt pays, and beyond the paper."


def svg(lesson: str | None = None, style: str = "") -> str:
    """The drawing as SVG text. `lesson`: the number to light, such as "03". `style`: CSS for a file of its own."""
    here = f" You are in lesson {LESSONS[lesson][0]}." if lesson else ""
    to = f"to-{lesson or 'all'}"  # an id is one for a whole page
    parts = [f'<path d="{path}" marker-end="url(#{to})"/>' for path in ARROWS]
    parts.append(f'<path d="{MERGES}"/>')
    parts += [f'<rect x="2" y="{ROWS[2] - 8}" width="370" height="76" rx="8" stroke-dasharray="3 3"/>']
    for number, (_, left, wide, row) in LESSONS.items():
        lit = ' fill="#F0E442" stroke-width="2"' if number == lesson else ""
        parts.append(f'<rect x="{left}" y="{ROWS[row]}" width="{wide}" height="{HIGH}" rx="6"{lit}/>')
    for number, (text, left, wide, row) in (*LESSONS.items(), *((None, thing) for thing in THINGS)):
        lit, plain = number == lesson and lesson, number is None
        colour = "#222" if lit else "currentColor"
        words = text.split(" + ") if plain else [text]
        lines = [w + " +" * (k < len(words) - 1) for k, w in enumerate(words)]
        for k, line in enumerate(lines):
            y = ROWS[row] + HIGH / 2 + 4.5 + 14 * (k - (len(lines) - 1) / 2)
            look = 'font-style="italic"' if plain else 'font-weight="bold"' if lit else ""
            parts.append(f'<text x="{left + wide / 2:g}" y="{y:g}" fill="{colour}" stroke="none" {look}>{line}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(TEXT + here)}" style="width:100%;max-width:34rem;height:auto" fill="none" '
        f'stroke="currentColor" font-family="system-ui, sans-serif" font-size="12" text-anchor="middle">{style}'
        f'<defs><marker id="{to}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 1L6 4L0 7" fill="none" stroke="currentColor"/></marker></defs>{"".join(parts)}</svg>'
    )


def where(lesson: str) -> HTML:
    """Where lesson `lesson` ("00" to "09") stands in the course."""
    return HTML(svg(lesson))


def picture() -> str:
    """The drawing as a file for a page that is not ours, light or dark as the reader's screen is; no lesson is lit."""
    return svg(style="<style>svg{color:#222}@media (prefers-color-scheme:dark){svg{color:#e6e6e6}}</style>")
