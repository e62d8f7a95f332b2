"""Contact sheets: many small images with a caption each → one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf.data.card import SHOWN, mean_pictures, sample
from catclf.data.dataset import Dataset
from catclf.pictures.canvas import Canvas, width_of

COLUMNS = 8
SIDE = 128  # pixels of an image on the sheet, twice its own
GAP = 12
MARGIN = 24
SIZE = 12  # of a caption's letters
LINES = 2  # of a caption, at most
ROW = SIDE + LINES * (SIZE + 4) + GAP
HEADING = 52


@dataclass(frozen=True)
class Section:
    """Images uint8 (64, 64, 3) that belong together, under a heading, each with its caption."""

    heading: str
    images: Sequence[NDArray[np.uint8]]
    captions: Sequence[str]


def sheet(title: str, sections: Sequence[Section]) -> Image.Image:
    """Lay images out in rows of eight, each twice its size: RGB, 1156 pixels wide."""
    heights = [HEADING + ROW * -(-len(section.images) // COLUMNS) for section in sections]
    width = 2 * MARGIN + COLUMNS * (SIDE + GAP) - GAP
    canvas = Canvas(width, HEADING + sum(heights) + MARGIN)
    canvas.text(MARGIN, MARGIN, _fit(title, 22, width - 2 * MARGIN), 22, "black")
    top = HEADING
    for section, height in zip(sections, heights, strict=True):
        heading = _fit(section.heading, 16, width - 2 * MARGIN)
        canvas.text(MARGIN, top + HEADING / 2 - 4, heading, 16, "black")
        pairs = zip(section.images, section.captions, strict=True)
        for k, (image, caption) in enumerate(pairs):
            x = MARGIN + k % COLUMNS * (SIDE + GAP)
            y = top + HEADING + k // COLUMNS * ROW
            large = Image.fromarray(np.ascontiguousarray(image)).resize(
                (SIDE, SIDE), Image.Resampling.NEAREST
            )
            canvas.paste(large, x, y)
            for i, line in enumerate(_broken(caption)):
                canvas.text(x, y + SIDE + 3 + i * (SIZE + 4), line, SIZE, "#555555")
        top += height
    return canvas.finish()


def _broken(caption: str) -> list[str]:
    """Break a caption into two lines at most, within words, for file names have no blanks."""
    lines: list[str] = []
    while caption and len(lines) < LINES - 1:
        n = min(len(caption), SIDE)  # no letter is narrower than a pixel
        while width_of(caption[:n], SIZE) > SIDE:
            n -= 1
        if n < len(caption):
            n = 1 + max((k for k in range(n // 2, n) if caption[k] in " _-."), default=n - 1)
        lines.append(caption[:n])
        caption = caption[n:].lstrip()
    return [*lines, _fit(caption, SIZE, SIDE)] if caption else lines


def _fit(words: str, size: int, width: int) -> str:
    """Shorten a line to so many pixels, in its middle, where names differ least."""
    if len(words) <= width and width_of(words, size) <= width:
        return words
    n = min(len(words), width)  # no letter is narrower than a pixel
    while width_of(shorter := f"{words[: n // 2]}...{words[len(words) - n // 3 :]}", size) > width:
        n -= 1
    return shorter


def data_set(dataset: Dataset) -> Image.Image:
    """Show the mean picture and a sample of each class, cats first."""
    means = mean_pictures(dataset)
    sections = []
    for y in (1, 0):
        name = dataset.classes[y]
        if name in means:
            rows = sample(dataset, y, SHOWN)
            mean = np.rint(means[name]).astype(np.uint8)
            paths = dataset.paths
            titles = [os.path.basename(paths[i]) if paths else f"row {i}" for i in rows]
            sections.append(
                Section(
                    f"{name}: {dataset.counts[name]} images",
                    [mean, *dataset.images[rows]],
                    ["mean of all", *titles],
                )
            )
    return sheet(f"{dataset.name}: {len(dataset)} images", sections)
