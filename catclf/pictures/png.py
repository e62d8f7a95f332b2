"""Pictures on photos: PNG files, words in the font that Pillow carries, the contact sheet."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from catclf.common.files import OutputFormat
from catclf.common.text import shorten
from catclf.data.check import mean_pictures
from catclf.data.dataset import Dataset
from catclf.errors import OutputError

PNG_FILE = OutputFormat(
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
    """Write a picture as PNG, whole or not at all; raise OutputError if that fails."""
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


COLUMNS = 8
SIDE = 128
"""An image takes so many pixels, each way: twice its own."""
GAP, MARGIN, HEADING, CAPTION = 12, 24, 52, 12  # in pixels; a caption's letters are that high
ROW = SIDE + 2 * (CAPTION + 4) + GAP
WIDTH = 2 * MARGIN + COLUMNS * (SIDE + GAP) - GAP
SHOWN = 31
"""The contact sheet shows so many images of each class at most: with their mean, four rows."""


def contact_sheet(dataset: Dataset) -> Image.Image:
    """Show the mean picture and a sample of each class, cats first: RGB, 1156 pixels wide."""
    means = mean_pictures(dataset)
    samples = {name: sample(dataset, y, SHOWN) for y, name in enumerate(dataset.classes)}
    names = [name for name in reversed(dataset.classes) if name in means]
    heights = [HEADING + ROW * -(-(1 + len(samples[name])) // COLUMNS) for name in names]
    picture = Image.new("RGB", (WIDTH, HEADING + sum(heights) + MARGIN), "white")
    _heading(picture, MARGIN, f"{dataset.name}: {len(dataset)} images", 22)
    top = HEADING
    for name, height in zip(names, heights, strict=True):
        _heading(picture, top + HEADING // 2 - 4, f"{name}: {dataset.counts[name]} images", 16)
        rows, paths = samples[name], dataset.paths
        captions = [os.path.basename(paths[i]) if paths else f"row {i}" for i in rows]
        images = [np.rint(means[name]).astype(np.uint8), *dataset.images[rows]]
        _rows(picture, top + HEADING, images, ["mean of all", *captions])
        top += height
    return picture


def sample(dataset: Dataset, y: int, n: int) -> NDArray[np.intp]:
    """Choose n images of class y, or all there are, spread evenly: one of each nth part."""
    rows = np.flatnonzero(dataset.Y[0] == y)
    if len(rows) <= n:
        return rows
    edges = np.linspace(0, len(rows), n + 1)
    inside = np.random.default_rng(0).random(n)
    return rows[(edges[:-1] + inside * np.diff(edges)).astype(np.intp)]


def enlarged(image: NDArray[np.uint8], times: int) -> Image.Image:
    """Make each pixel of an image (height, width, 3) a square of so many, each way."""
    return Image.fromarray(image.repeat(times, axis=0).repeat(times, axis=1))


def _heading(picture: Image.Image, y: int, words: str, size: int) -> None:
    write(picture, (MARGIN, y), cut(words, size, WIDTH - 2 * MARGIN), size)


def _rows(
    picture: Image.Image, top: int, images: Sequence[NDArray[np.uint8]], captions: Sequence[str]
) -> None:
    """Lay images out in rows of eight, each with its caption below, in two lines at most."""
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = MARGIN + k % COLUMNS * (SIDE + GAP), top + k // COLUMNS * ROW
        picture.paste(enlarged(image, SIDE // 64), (x, y))
        for i, line in enumerate(_lines(caption)):
            write(picture, (x, y + SIDE + 3 + i * (CAPTION + 4)), line, CAPTION, "#555555")


def _lines(caption: str) -> tuple[str, str]:
    """Break a caption into two lines, after a mark within a name, for it may have no blanks."""
    most = min(len(caption), SIDE)  # no letter is narrower than a pixel
    n = max(k for k in range(most + 1) if width_of(caption[:k], CAPTION) <= SIDE)
    if n < len(caption):
        n = max((k + 1 for k in range(n // 2, n) if caption[k] in " _-."), default=n)
    return caption[:n], cut(caption[n:].lstrip(), CAPTION, SIDE)
