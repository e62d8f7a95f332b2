"""A contact sheet: the mean picture and a sample of each class of a data set, with captions."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf.data.card import SHOWN, mean_pictures, sample
from catclf.data.dataset import Dataset
from catclf.pictures.png import cut, width_of, write

COLUMNS = 8
SIDE = 128
"""An image takes so many pixels, each way: twice its own."""
GAP, MARGIN, HEADING, CAPTION = 12, 24, 52, 12  # in pixels; a caption's letters are that high
ROW = SIDE + 2 * (CAPTION + 4) + GAP
WIDTH = 2 * MARGIN + COLUMNS * (SIDE + GAP) - GAP


def contact_sheet(dataset: Dataset) -> Image.Image:
    """Show the mean picture and a sample of each class, cats first: RGB, 1156 pixels wide."""
    means = mean_pictures(dataset)
    sections = []
    for y in (1, 0):
        name = dataset.classes[y]
        if name not in means:
            continue
        rows = sample(dataset, y, SHOWN)
        images = [np.rint(means[name]).astype(np.uint8), *dataset.images[rows]]
        paths = dataset.paths
        captions = [os.path.basename(paths[i]) if paths else f"row {i}" for i in rows]
        heading = f"{name}: {dataset.counts[name]} images"
        sections.append((heading, images, ["mean of all", *captions]))
    heights = [HEADING + ROW * -(-len(images) // COLUMNS) for _, images, _ in sections]
    picture = Image.new("RGB", (WIDTH, HEADING + sum(heights) + MARGIN), "white")
    _heading(picture, MARGIN, f"{dataset.name}: {len(dataset)} images", 22)
    top = HEADING
    for (heading, images, captions), height in zip(sections, heights, strict=True):
        _heading(picture, top + HEADING // 2 - 4, heading, 16)
        _rows(picture, top + HEADING, images, captions)
        top += height
    return picture


def _heading(picture: Image.Image, y: int, words: str, size: int) -> None:
    write(picture, (MARGIN, y), cut(words, size, WIDTH - 2 * MARGIN), size)


def _rows(
    picture: Image.Image, top: int, images: Sequence[NDArray[np.uint8]], captions: Sequence[str]
) -> None:
    """Lay images out in rows of eight, each with its caption below, in two lines at most."""
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = MARGIN + k % COLUMNS * (SIDE + GAP), top + k // COLUMNS * ROW
        large = Image.fromarray(np.ascontiguousarray(image)).resize(
            (SIDE, SIDE), Image.Resampling.NEAREST
        )
        picture.paste(large, (x, y))
        for i, line in enumerate(_lines(caption)):
            write(picture, (x, y + SIDE + 3 + i * (CAPTION + 4)), line, CAPTION, "#555555")


def _lines(caption: str) -> tuple[str, str]:
    """Break a caption into two lines, after a mark within a name, for it may have no blanks."""
    most = min(len(caption), SIDE)  # no letter is narrower than a pixel
    n = max(k for k in range(most + 1) if width_of(caption[:k], CAPTION) <= SIDE)
    if n < len(caption):
        n = max((k + 1 for k in range(n // 2, n) if caption[k] in " _-."), default=n)
    return caption[:n], cut(caption[n:].lstrip(), CAPTION, SIDE)
