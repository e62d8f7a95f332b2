"""What every feature map offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import inf
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import LazyArray, Rows, block_slices, in_blocks, spill_to_disk
from catclf.common.threads import for_products, ordered
from catclf.common.types import SMALL, Array, FeatureExtractor, Float32, Progress, check_images

BATCH = 64
"""How many images are transformed at a time: a block of them would need much memory."""


class FeatureMap(ABC):
    """A way to turn images into X, the regression's input.

    A map of one's own gives at least `name`, `n_x`, `transform` and `shares`, and has a line in
    `catclf.features.MAPS`.
    """

    name: ClassVar[str]

    image_size: tuple[int, int] = SMALL
    """Height and width of the images that it takes, in pixels."""

    enlarges = False
    """Whether it takes images of 64 × 64 pixels, too, and enlarges them."""

    n_x: int
    """How many features an image has."""

    standardised = True
    """Whether training scales each feature to a standard deviation of 1 first."""

    symmetric = False
    """Whether an image and its mirror image have the same features, or nearly; then training
    gains nothing from mirrored copies."""

    divisor: float | None = None
    """What bytes are divided by, where they themselves are the features; None for other maps."""

    @classmethod
    def fit(cls, images: Rows, *_: Any, **settings: Any) -> Self:
        """Make the map from images uint8 (m, 64, 64, 3), where it learns; most learn nothing."""
        return cls()

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Make the map that a model was trained on, of what `settings` and `arrays` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they do not describe such a map: a model file may say anything.
        """
        return cls()

    @abstractmethod
    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, height, width, 3) into X (n_x, m), columns being examples."""

    @abstractmethod
    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions: image uint8 (height, width, 3), w float64 (n_x, 1).

        The float64 (rows, columns) shares, in nats, row by row from the top, add up to wᵀx.
        """

    def settings(self) -> dict[str, Any]:
        """Give what a model file must say of the map, as JSON values."""
        return {}

    def arrays(self) -> dict[str, Float32]:
        """Give the arrays that a model file must hold to make the map again."""
        return {}


def cells(n: int, count: int) -> NDArray[np.int64]:
    """Give where each of `count` cells along n positions begins, as even as can be."""
    return np.linspace(0, n, count + 1).astype(np.int64)[:-1]


def share_out(terms: Array, activations: NDArray[np.floating]) -> Array:
    """Divide each feature's term among the positions of its cell, by what each gave to it.

    A feature pooled from a_p ≥ 0 over the positions p of a cell has w x = Σ_p w x a_p / Σ_q a_q.
    Where the feature is the mean of the a_p this is w a_p / n: the class activation map of Zhou et
    al. 2016, "Learning deep features for discriminative localization".

    Parameters
    ----------
    terms : float64 (rows, columns, K)
        w x of each feature of each cell of a grid.
    activations : float (height, width, K)
        What each position gives to the features of its cell, none below 0.

    Returns
    -------
    float64 (height, width)
        The share of each position; they add up to the terms. A cell to which no position gives
        anything has none.
    """
    height, width, _ = activations.shape
    rows, columns = cells(height, terms.shape[0]), cells(width, terms.shape[1])
    activations = activations.astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(activations, rows, axis=0), columns, axis=1)
    rates = np.divide(terms, sums, out=np.zeros_like(sums), where=sums > 0)
    rates = rates.repeat(np.diff(rows, append=height), axis=0)
    rates = rates.repeat(np.diff(columns, append=width), axis=1)
    shares: Array = np.einsum("yxk,yxk->yx", rates, activations)
    return shares


def extract(
    extractor: FeatureExtractor,
    images: Rows,
    memory: float = inf,
    progress: Progress | None = None,
) -> Rows:
    """Make features of images uint8 (m, height, width, 3): float32 (m, n_x).

    They are kept in a temporary file if they and the images together exceed `memory`, in bytes.
    `progress` is called as progress(done, total) in between.

    Raises
    ------
    DataError
        If the map takes images of another size.
    OutputError
        If there is no room for that file.
    """
    check_images(images, extractor.image_size, or_small=extractor.enlarges)
    if isinstance(images, LazyArray):
        images.stop_caching()  # they are read once more, and what comes of them is what is wanted
    shape = len(images), extractor.n_x
    blocks = _extract_batches(extractor, images, progress)
    if bytes_in_memory(images) + 4 * shape[0] * shape[1] > memory:
        return spill_to_disk(blocks, shape, np.float32)
    rows = np.empty(shape, dtype=np.float32)
    done = 0
    for block in blocks:
        rows[done : done + len(block)] = block
        done += len(block)
    return rows


def bytes_in_memory(images: Rows) -> int:
    """Count the bytes of the images that are, or may come to be, in memory."""
    return images.cache_bytes if isinstance(images, LazyArray) else images.nbytes


def _extract_batches(
    extractor: FeatureExtractor, images: Rows, progress: Progress | None
) -> Iterator[Float32]:
    batches = (block[part] for _, block in in_blocks(images) for part in block_slices(block, BATCH))
    done = 0
    for rows in ordered(lambda batch: extractor.transform(batch).T, batches, for_products()):
        yield rows
        done += len(rows)
        if progress is not None:
            progress(done, len(images))
