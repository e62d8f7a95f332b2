"""The data card: what a data set holds, in figures and in a picture."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catclf.data.check import number_pictures
from catclf.data.dataset import Dataset

SHOWN = 31
"""The contact sheet shows so many images of each class at most: with their mean, four rows."""
SEED = 0


@dataclass(frozen=True)
class Card:
    """The figures of a data set.

    Attributes
    ----------
    name : str
    images : int
    counts : dict
        Images of each class, by name.
    sha256 : str
        Of the images' bytes followed by the labels', as models remember it.
    file_sha256 : str or None
        Of the file, if it is one.
    size : int or None
        Bytes in the file, or in the files of all images.
    originals : tuple of three (width, height), or None
        The smallest, median and largest original by number of pixels, where they are known.
    copies : int
        Images whose pixels an earlier image has already.
    near_copies : int
        Images that are near-identical to an earlier one, or its mirror image, besides these.
    sources : int
        Different groups that images belong to; 0 where nothing is known of them.
    unreadable : int
        Files left out because they are damaged.
    colours : dict
        The mean red, green and blue of each class's images, 0 to 255.
    """

    name: str
    images: int
    counts: dict[str, int]
    sha256: str
    file_sha256: str | None
    size: int | None
    originals: tuple[tuple[int, int], ...] | None
    copies: int
    near_copies: int
    sources: int
    unreadable: int
    colours: dict[str, tuple[float, ...]]


def make_card(dataset: Dataset, data: str | os.PathLike[str] | None = None) -> Card:
    """Draw up the card of a data set; `data` is where it was read from, if that was a file."""
    exact, near = number_pictures(dataset)
    row = np.arange(len(dataset))
    by_size = sorted(dataset.sizes, key=lambda size: (size[0] * size[1], size))
    file_sha256, size = None, None
    if data is not None and Path(data).is_file():
        with open(data, "rb") as file:
            file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    elif dataset.paths:
        size = sum(os.stat(path).st_size for path in dataset.paths)
    return Card(
        name=dataset.name,
        images=len(dataset),
        counts=dataset.counts,
        sha256=dataset.sha256,
        file_sha256=file_sha256,
        size=size,
        originals=(by_size[0], by_size[len(by_size) // 2], by_size[-1]) if by_size else None,
        copies=int((exact != row).sum()),
        near_copies=int(((near != row) & (exact == row)).sum()),
        sources=len(set(dataset.groups)),
        unreadable=len(dataset.unreadable),
        colours={
            name: tuple(float(round(value, 1)) for value in mean.mean(axis=(0, 1)))
            for name, mean in mean_pictures(dataset).items()
        },
    )


def mean_pictures(dataset: Dataset) -> dict[str, NDArray[np.float64]]:
    """Average the images of each class that has any: float64 (64, 64, 3), 0 to 255, by name."""
    means = {}
    for y, name in enumerate(dataset.classes):
        rows = np.flatnonzero(dataset.Y[0] == y)
        if len(rows):
            blocks = (dataset.images[rows[i : i + 1024]] for i in range(0, len(rows), 1024))
            means[name] = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(rows)
    return means


def sample(dataset: Dataset, y: int, n: int, seed: int = SEED) -> NDArray[np.intp]:
    """Choose n images of class y, or all there are, spread evenly: one of each nth part."""
    rows = np.flatnonzero(dataset.Y[0] == y)
    if len(rows) <= n:
        return rows
    edges = np.linspace(0, len(rows), n + 1)
    inside = np.random.default_rng(seed).random(n)
    return rows[(edges[:-1] + inside * np.diff(edges)).astype(np.intp)]
