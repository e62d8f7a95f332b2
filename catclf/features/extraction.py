"""Images → examples: what the regression sees of them, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
from numpy.typing import NDArray

from catclf.cluster.remote_blocks import Placed
from catclf.common.blocks import Rows, Stored, in_blocks, pieces, store
from catclf.common.threads import for_products, ordered
from catclf.data.dataset import Progress, check_images
from catclf.features import BATCH, FeatureMap, Taker
from catclf.solvers.examples import Examples


def examples(
    feature_map: FeatureMap,
    images: Rows,
    memory: float = inf,
    taken: Rows | None = None,
    progress: Progress | None = None,
) -> Examples:
    """Prepare images uint8 (m, height, width, 3) for training.

    Pixels stay bytes, wherever they are, until a slice of them is used. Other features are made
    once, as by `features`, unless they are `taken` already, float32 (m, n_x).

    Raises
    ------
    DataError
        If the map takes images of another size.
    OutputError
        If there is no room for the features.
    """
    if isinstance(images, Placed):
        return images.examples(feature_map, memory)
    if feature_map.divisor is not None:
        return Examples(images, scale=feature_map.divisor, memory=memory - _held(images))
    rows = features(feature_map, images, memory, progress) if taken is None else taken
    if isinstance(rows, Stored):
        return Examples(rows, memory=0)
    return Examples(rows, memory=memory - _held(images) - rows.nbytes)


def features(
    feature_map: Taker, images: Rows, memory: float = inf, progress: Progress | None = None
) -> Rows:
    """Take features of images uint8 (m, height, width, 3): float32 (m, n_x).

    They are kept in a temporary file if they and the images together exceed `memory`, in bytes.
    `progress` is called as progress(done, total) in between.

    Raises
    ------
    DataError
        If the map takes images of another size.
    OutputError
        If there is no room for that file.
    """
    check_images(images, feature_map.image_size)
    shape = len(images), feature_map.n_x
    size = 4 * len(images) * feature_map.n_x
    if isinstance(images, Stored):
        images.forget()  # they are read once more, and what comes of them is what is wanted
    if _held(images) + size > memory:
        return store(_extracted(feature_map, images, progress), shape, np.float32)
    rows = np.empty(shape, dtype=np.float32)
    done = 0
    for block in _extracted(feature_map, images, progress):
        rows[done : done + len(block)] = block
        done += len(block)
    return rows


def _held(images: Rows) -> int:
    return images.keep if isinstance(images, Stored) else images.nbytes


def _extracted(
    feature_map: Taker, images: Rows, progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    batches = (block[part] for _, block in in_blocks(images) for part in pieces(block, BATCH))
    done = 0
    for rows in ordered(lambda batch: feature_map.transform(batch).T, batches, for_products()):
        yield rows
        done += len(rows)
        if progress is not None:
            progress(done, len(images))
