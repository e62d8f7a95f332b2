"""Strokes on a picture: lines, marks, words in the font that Pillow carries; and saving it.

A `Canvas` is twice as large as the picture that comes of it: halved, its lines are smooth. Places
and sizes are given in pixels of the final picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from catclf.common.files import FileKind
from catclf.errors import OutputError

Point = tuple[float, float]
PNG_FILE = FileKind(
    "picture", OutputError, rb"\x89PNG", "what is there is no PNG; name another file"
)
OTHER_SUFFIXES = (".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf")


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if a picture could not, or should not, be written to `path`.

    What is there already is replaced only if it is a PNG, or empty.
    """
    with PNG_FILE.errors(path):
        if os.path.splitext(path)[1].casefold() in OTHER_SUFFIXES:
            raise OSError("pictures are PNG files; name it so")
    PNG_FILE.check(path)


def save(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a picture as PNG, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written, or what is there is no PNG; what was there before stays.
    """
    check_target(path)
    with PNG_FILE.replacing(path) as file:
        image.save(file, "PNG", optimize=True)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Give the font that Pillow carries (Aileron), `size` pixels high."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)  # always, where Pillow has FreeType
    return found


def drawable(words: str) -> str:
    """Replace what that font lacks: all but printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in words)


def width_of(words: str, size: int) -> int:
    """Measure a line of text, in pixels."""
    return round(font(size).getlength(drawable(words)))


class Canvas:
    """A picture being drawn, `width` × `height` pixels in the end."""

    def __init__(self, width: int, height: int, ground: str = "white") -> None:
        self.width, self.height, self.ground = width, height, ground
        self._image = Image.new("RGB", (2 * width, 2 * height), ground)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """Give the picture, RGB."""
        return self._image.reduce(2)

    def line(self, points: Sequence[Point], colour: str, width: float = 2) -> None:
        doubled = [(2 * x, 2 * y) for x, y in points]
        self._draw.line(doubled, colour, round(2 * width), joint="curve")

    def dashed(self, points: Sequence[Point], colour: str, width: float = 3) -> None:
        """Draw a line as dashes of 14 pixels, 10 apart."""
        corners = np.array(points)
        along = np.append(0.0, np.cumsum(np.hypot(*np.diff(corners, axis=0).T)))
        for start in np.arange(0.0, along[-1], 24.0):
            at = np.array([start, min(start + 14.0, along[-1])])
            ends = np.stack([np.interp(at, along, corners[:, k]) for k in (0, 1)], axis=1)
            self.line([(float(x), float(y)) for x, y in ends], colour, width)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        self._draw.rectangle((2 * left, 2 * top, 2 * right, 2 * bottom), colour)

    def mark(self, x: float, y: float, colour: str, corners: int = 0, radius: float = 9) -> None:
        """Draw a filled polygon of 3 to 5 corners; of any other number, a circle."""
        if 3 <= corners <= 5:
            self._draw.regular_polygon((2 * x, 2 * y, 2.4 * radius), corners, 0, colour)
        else:
            self._draw.circle((2 * x, 2 * y), 2 * radius, colour)

    def text(
        self, x: float, y: float, words: str, size: int, colour: str, anchor: str = "la"
    ) -> None:
        """Write a line; `anchor` says which point of it lies at (x, y), in Pillow's two letters."""
        self._draw.text((2 * x, 2 * y), drawable(words), colour, font(2 * size), anchor)

    def upright(self, x: float, y: float, words: str, size: int, colour: str) -> None:
        """Write a line to be read from the right, its middle at (x, y)."""
        strip = Canvas(width_of(words, size) + 4, size + 10, self.ground)
        strip.text(strip.width / 2, strip.height / 2, words, size, colour, "mm")
        turned = strip._image.rotate(90, expand=True)
        corner = round(2 * x) - turned.width // 2, round(2 * y) - turned.height // 2
        self._image.paste(turned, corner)

    def paste(self, picture: Image.Image, x: int, y: int) -> None:
        """Lay a picture on this one, its upper left corner at (x, y), pixel for pixel."""
        doubled = picture.convert("RGB").resize(
            (2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST
        )
        self._image.paste(doubled, (2 * x, 2 * y))


def wrapped(words: str, size: int, width: int) -> Iterator[str]:
    """Break a text into lines of at most `width` pixels; a longer word stays whole."""
    line = ""
    for word in words.split():
        longer = f"{line} {word}".lstrip()
        if line and width_of(longer, size) > width:
            yield line
            longer = word
        line = longer
    if line:
        yield line
