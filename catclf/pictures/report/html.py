"""HTML put together from pieces, in which no text from outside can become a tag."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from catclf.common.text import printable

_VOID = {"br", "img", "meta"}


class Html(str):
    """Text that is HTML already; any other text is escaped on its way into a tag."""

    __slots__ = ()


def safe(piece: str) -> Html:
    """Escape a text for tags and attributes, and in it what cannot be seen or written."""
    return piece if isinstance(piece, Html) else Html(escape(printable(piece)))


def joined(*pieces: str) -> Html:
    """Put pieces one after another."""
    return Html("".join(map(safe, pieces)))


def tag(name: str, /, *pieces: str, **attributes: str) -> Html:
    """Put pieces into a tag; a trailing underscore of an attribute's name is dropped."""
    given = "".join(f' {key.rstrip("_")}="{safe(value)}"' for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(*pieces)}</{name}>")


def section(title: str, *pieces: str) -> Html:
    return tag("section", tag("h2", title), *pieces)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Write a table whose first row and first column are headings; wide ones can be scrolled."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = (
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest))
        for first, *rest in rows
    )
    drawn = tag(
        "table", tag("caption", caption), tag("thead", head), tag("tbody", *body)
    )  # fmt: skip
    return tag("div", drawn, class_="scroll", tabindex="0", role="group", **{"aria-label": caption})


def definitions(rows: Sequence[tuple[str, str]]) -> Html:
    """List terms and what they are."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", what)) for term, what in rows))


def page(title: str, generator: str, css: str, *pieces: str) -> str:
    """Put the pieces into a whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="generator", content=generator),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(css)),
    )
    body = tag("body", tag("main", *pieces))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
