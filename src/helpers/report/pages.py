"""HTML pages from notebooks and Markdown: one layout for the report, the lessons, the documents and the slides.

A page holds its style and its pictures, so it opens from disk without a network. `write` knows which file of the course
becomes which page, and turns every link between the files into a link between the pages.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape, unescape
from io import BytesIO
from os.path import relpath
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from ..machine.places import root
from .pictures import alternative

Menu = Sequence[tuple[str, str]]  # (label, page), from the folder of all pages
DRAWN = re.compile(r'run\.figure\(.*?"(\w+)"', re.DOTALL)  # a cell that keeps a picture, and the picture's name
HEADING = re.compile(r'<h([1-6])[^>]*?>(.*?)(?:<a class="anchor-link"[^>]*>.*?</a>)?</h\1>', re.DOTALL)
LINK = re.compile(r'<a ([^>]*?)href="([^"]*)"([^>]*)>(.*?)</a>', re.DOTALL)
IMAGE = re.compile(r'<img\b[^>]*?\bsrc="(?!data:)([^"]+)"[^>]*>')
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
SOURCE = re.compile(r"<style>[^<]*\.output_html[^<]*</style>")  # of `show.source`: colours for a light page only


@cache
def _environment():
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def render(template: str, **values: Any) -> str:
    """One of the `.html.jinja` files of this folder, filled in."""
    return _environment().get_template(f"{template}.html.jinja").render(values)


@cache
def code_colours() -> str:
    """CSS of highlighted code, for a light and for a dark page."""
    from pygments.formatters import HtmlFormatter

    light, dark = (
        re.sub(
            r"^pre .*\n|background: [^;]+;? ?", "", HtmlFormatter(style=style).get_style_defs(".highlight"), flags=re.M
        )
        for style in ("default", "github-dark")
    )
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


# --- notebooks and Markdown as HTML ----------------------------------------------------------------


@cache
def _exporter():
    from nbconvert import HTMLExporter

    return HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)


def notebook_html(notebook: Any, folder: Path) -> str:
    """The cells of a notebook with their outputs. `folder`: the run whose numbers describe the pictures."""
    for cell in notebook.cells:
        names = iter(DRAWN.findall(cell.source))
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": alternative(folder, next(names, ""))}
    html = _exporter().from_notebook_node(notebook)[0]
    return SOURCE.sub("", html).replace('<div class="output_html">', '<div class="highlight">')


def markdown_html(text: str) -> str:
    from nbconvert.filters import markdown2html

    return markdown2html(text)


def slug(text: str) -> str:
    """The name of a heading in links, as on GitHub: "The paper's Table 3" is the-papers-table-3."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", unescape(re.sub(r"<[^>]+>", "", text)).strip().lower()))


def _with_names(html: str) -> tuple[str, list[tuple[str, str]]]:
    """(the HTML with a name for each heading, its second-level headings as (name, text))."""
    seen: dict[str, int] = {}
    contents = []

    def named(match: re.Match) -> str:
        level, text = match[1], match[2].strip()
        name = slug(text)
        seen[name] = seen.get(name, -1) + 1
        name += f"-{seen[name]}" if seen[name] else ""
        if level == "2":
            contents.append((name, re.sub(r"</?a\b[^>]*>", "", text)))
        return f'<h{level} id="{name}">{text}</h{level}>'

    return HEADING.sub(named, html), contents


def relinked(html: str, follow: Callable[[str], str | None]) -> str:
    """Links within the course led to where `follow` says; if that is None, their text stays without the link."""

    def linked(match: re.Match) -> str:
        before, href, after, text = match.groups()
        if re.match(r"[a-z]+:|#", href):
            return match[0]
        to = follow(href)
        return f'<a {before}href="{escape(to)}"{after}>{text}</a>' if to else text

    return LINK.sub(linked, html)


def _scrolling(html: str) -> str:
    """Every table in a box that scrolls, and that the keyboard reaches."""
    box = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
    return TABLE.sub(lambda table: f"{box}{table[0]}</div>", html)


def inlined(html: str, folder: Path) -> str:
    """Pictures of files in `folder` moved into the HTML; one from the web, such as a badge, leaves its text."""

    def found(match: re.Match) -> str:
        path = folder / match[1]
        if "://" in match[1] or not path.is_file():
            alt = re.search(r'\balt="([^"]*)"', match[0])
            return alt[1] if alt else ""
        return match[0].replace(match[1], picture_data(path))

    return IMAGE.sub(found, html)


def picture_data(path: Path) -> str:
    """A picture as the text of an `src`; a PNG with 256 colours, which are enough for a chart and take a third."""
    from PIL import Image

    kind, data = ("svg+xml", path.read_bytes()) if path.suffix == ".svg" else ("png", b"")
    if not data:
        with Image.open(path) as image:
            made = BytesIO()
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
        data = made.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# --- pages of a folder -----------------------------------------------------------------------------


def sources(folder: Path, texts: Sequence[str]) -> dict[str, tuple[Path, str]]:
    """{file of the course: (where it is read, its page)}: the executed lessons of a run, and `texts` of the course.

    A `README.md` is the first page, index.html. Texts that are not there, as in a student edition, are left out.
    """
    found = {}
    for path in sorted((folder / "lessons").glob("[0-9][0-9]_*.ipynb")):
        found[f"notebooks/{path.name}"] = (path, f"lessons/{path.stem}.html")
    for name in texts:
        if (root() / name).is_file():
            found[name] = (root() / name, "index.html" if name == "README.md" else name.replace(".md", ".html"))
    return found


def linked_texts(folder: Path) -> list[str]:
    """The documents of the course that the executed lessons of a run link to, and the glossary."""
    lessons = [path.read_text(encoding="utf-8") for path in (folder / "lessons").glob("*.ipynb")]
    return sorted({"docs/GLOSSARY.md", *re.findall(r"\]\(\.\./(docs/\w+\.md)", "".join(lessons))})


def write(folder: Path, target: Path, known: Mapping[str, tuple[Path, str]], menu: Menu, copy: bool = False) -> None:
    """Write the page of every file in `known` (of `sources`) below `target`.

    A link to another known file becomes a link to its page. One to any other file of the course is followed if `copy`
    is set (the file is copied); else its text stays without the link.
    """
    bodies = {name: html for name, (path, _) in known.items() if (html := _html(path, folder))}
    known = {name: known[name] for name in bodies}
    lessons = [name for name, (_, page) in known.items() if page.startswith("lessons/")]
    for name, html in bodies.items():
        page, beside = known[name][1], {}
        for way, step in (("before", -1), ("after", 1)):
            at = lessons.index(name) + step if name in lessons else -1
            if 0 <= at < len(lessons):
                beside[way] = (f"{Path(lessons[at]).stem}.html", title_of(known[lessons[at]][0]))
        follow = _follower(name, known, target if copy else None)
        (target / page).parent.mkdir(parents=True, exist_ok=True)
        (target / page).write_text(article(html, follow, name, from_page(menu, page), **beside), encoding="utf-8")


def from_page(menu: Menu, page: str) -> Menu:
    """The menu as a page in a subfolder links it."""
    return [(label, "../" * page.count("/") + to) for label, to in menu]


def index(title: str, text: str, entries: Mapping[str, str], page: str, menu: Menu) -> str:
    """A page that lists others: {link: what it is called}."""
    lines = [f"# {title}", "", text, "", *(f"- [{called}]({link})" for link, called in entries.items())]
    return article(markdown_html("\n".join(lines)), lambda link: link, "", from_page(menu, page))


def article(html: str, follow: Callable[[str], str | None], name: str, menu: Menu, **beside: Any) -> str:
    """A page of text: its title is its first heading; `follow` says where a link leads, or None if nowhere."""

    html, contents = _with_names(html)
    html = inlined(_scrolling(relinked(html, follow)), root() / dirname(name))
    first = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    title = unescape(re.sub(r"<[^>]+>", "", first[1])) if first else Path(name).stem
    at = html.find('<h2 id="')  # the contents stand after the opening
    opening, body = (html[:at], html[at:]) if at > 0 else ("", html)
    values = {"opening": opening, "body": body, "contents": contents, "colours": code_colours(), "menu": menu}
    return render("article", title=f"{title} · Self-Prompt Tuning", **values, **beside)


def _html(path: Path, folder: Path) -> str:
    """A notebook or a Markdown file as HTML; nothing for half a file, after a kill."""
    import nbformat

    try:
        if path.suffix == ".ipynb":
            return notebook_html(nbformat.read(path, as_version=4), folder)
        return markdown_html(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""


def _follower(name: str, known: Mapping[str, tuple[Path, str]], copy_to: Path | None) -> Callable[[str], str | None]:
    """Where links of the course's file `name` lead, from its page."""
    here = dirname(known[name][1])

    def follow(link: str) -> str | None:
        path, _, part = link.partition("#")
        wanted = normpath(join(dirname(name), path))
        if wanted in known:
            page = known[wanted][1]
        elif copy_to and (root() / wanted).is_file():
            page = wanted
            (copy_to / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root() / wanted, copy_to / page)
        else:
            return None
        return Path(relpath(page, here or ".")).as_posix() + (f"#{part}" if part else "")

    return follow


def title_of(path: Path) -> str:
    """The first line, a heading, of a notebook or a text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    return text.splitlines()[0].lstrip("# ")
