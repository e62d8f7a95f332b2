"""Images → features, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np

from catclf.common.blocks import LazyArray, Rows, block_slices, in_blocks, spill_to_disk
from catclf.common.image_size import check_images
from catclf.common.threads import for_products, ordered
from catclf.common.types import FeatureExtractor, Float32, Progress
from catclf.features import BATCH


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
    check_images(images, extractor.image_size)
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
