"""Images → examples: what the regression sees of them, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
from numpy.typing import NDArray

from catclf.features import FeatureMap
from catclf.placed import Placed
from catclf.stored import Rows, Stored, in_blocks, store
from catclf.threads import for_products, ordered
from catclf.training.examples import Examples

BATCH = 64
"""Images whose features are made at a time."""


def examples(feature_map: FeatureMap, images: Rows, memory: float = inf) -> Examples:
    """Prepare images uint8 (m, 64, 64, 3) for training.

    Pixels stay bytes, wherever they are, until a slice of them is used. Other features are made
    once, and kept in a temporary file if they and the images together exceed `memory`, in bytes.

    Raises
    ------
    OutputError
        If there is no room for that file.
    """
    if isinstance(images, Placed):
        return images.examples(feature_map)
    if feature_map.divisor is not None:
        return Examples(images, scale=feature_map.divisor, memory=memory - _held(images))
    shape = len(images), feature_map.n_x
    size = 4 * len(images) * feature_map.n_x
    if isinstance(images, Stored):
        images.forget()  # they are read once more, and what comes of them is what is wanted
    if _held(images) + size > memory:
        rows: Rows = store(_extracted(feature_map, images), shape, np.float32)
        return Examples(rows, memory=0)
    rows = np.empty(shape, dtype=np.float32)
    done = 0
    for block in _extracted(feature_map, images):
        rows[done : done + len(block)] = block
        done += len(block)
    return Examples(rows, memory=memory - _held(images) - size)


def _held(images: Rows) -> int:
    return images.keep if isinstance(images, Stored) else images.nbytes


def _extracted(feature_map: FeatureMap, images: Rows) -> Iterator[NDArray[np.float32]]:
    batches = (
        block[start : start + BATCH]
        for _, block in in_blocks(images)
        for start in range(0, len(block), BATCH)
    )
    yield from ordered(lambda batch: feature_map.transform(batch).T, batches, for_products())
