"""Words on a picture, in the font that Pillow carries; and saving it as PNG."""

from __future__ import annotations

import math
import os
from functools import cache, partial

from PIL import Image, ImageDraw, ImageFont

from catclf.common.files import FileKind
from catclf.common.text import shorten
from catclf.errors import OutputError

PNG_FILE = FileKind(
    "picture", OutputError, rb"\x89PNG", "what is there is no PNG; name another file"
)
OTHER_SUFFIXES = (".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf")


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if a picture could not, or should not, be written to `path`.

    What is there already is replaced only if it is a PNG, or empty.
    """
    if os.path.splitext(path)[1].casefold() in OTHER_SUFFIXES:
        with PNG_FILE.errors(path):
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
        image.save(file, "PNG")


def write(
    image: Image.Image,
    place: tuple[float, float],
    words: str,
    size: int,
    colour: str = "#1a1a1a",
    anchor: str = "la",
) -> None:
    """Write a line, its letters `size` pixels high.

    `anchor` says which point of it lies at `place`, in Pillow's two letters.
    """
    # Drawn twice as large, then halved: small letters keep their distances.
    font, words = _font(2 * size), _drawable(words)
    left, top, right, bottom = font.getbbox(words, anchor=anchor)
    left, top = left // 2 * 2, top // 2 * 2
    letters = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    ImageDraw.Draw(letters).text((-left, -top), words, 255, font, anchor)
    corner = round(place[0] + left / 2), round(place[1] + top / 2)
    image.paste(colour, corner, letters.reduce(2))


def width_of(words: str, size: int) -> float:
    """Measure a line of text, in pixels."""
    return _font(2 * size).getlength(_drawable(words)) / 2


def cut(words: str, size: int, width: int) -> str:
    """Leave out the middle of a line that is wider, in pixels."""
    return shorten(words, width, partial(width_of, size=size))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Give Aileron, the font that Pillow carries."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # always, where Pillow has FreeType
    return font


def _drawable(words: str) -> str:
    """Replace what that font lacks: all but printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in words)
