"""Figures, models and lessons as pictures and pages, and the tags that SVG and HTML are made of.

A page is put together from pieces, so that no text from outside can become a tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from catclf.common.text import printable

_VOID = {"br", "img"}


class Markup(str):
    """Text that is HTML or SVG already; any other text is escaped on its way into a tag."""

    __slots__ = ()


def safe(piece: str) -> Markup:
    """Escape a text for tags and attributes, and in it what cannot be seen or written."""
    return piece if isinstance(piece, Markup) else Markup(escape(printable(piece)))


def joined(*pieces: str) -> Markup:
    """Put pieces one after another."""
    return Markup("".join(map(safe, pieces)))


def tag(name: str, /, *pieces: str, **attributes: str | float) -> Markup:
    """Put pieces into a tag with attributes.

    In an attribute's name a trailing underscore is dropped, any other stands for a hyphen. A
    number is rounded to a tenth.
    """
    opening = name
    for key, value in attributes.items():
        words = safe(value) if isinstance(value, str) else f"{round(value, 1):g}"
        opening += f' {key.rstrip("_").replace("_", "-")}="{words}"'
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{joined(*pieces)}</{name}>")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Write a table whose first row and first column are headings; wide ones can be scrolled."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = (
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest))
        for first, *rest in rows
    )
    above = [tag("caption", caption)] if caption else []
    inside = tag("table", *above, tag("thead", head), tag("tbody", *body))
    named = {"role": "group", "aria_label": caption} if caption else {}
    return tag("div", inside, class_="scroll", tabindex="0", **named)
