"""Near-identical images: copies, resized or recompressed, mirrored or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 16
ALIKE = 0.995
"""Correlation of two 16 × 16 grey thumbnails from which on they count as one picture."""
BLOCK = 2048


def clusters(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number the pictures: near-identical images get the same number.

    Two images are near-identical if their thumbnails, or one's and the other's mirror image,
    correlate by 0.995 or more. Images of one colour are alike only to themselves.

    Parameters
    ----------
    images : uint8 (m, 64, 64, 3)

    Returns
    -------
    int64 (m,)
        The index of the first image of each one's cluster.
    """
    m = len(images)
    thumbnails = _thumbnails(images)
    mirrored = thumbnails.reshape(m, SIDE, SIDE)[:, :, ::-1].reshape(m, SIDE * SIDE)
    parent = np.arange(m)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for start in range(0, m, BLOCK):
        block = thumbnails[start : start + BLOCK]
        for other in (thumbnails, mirrored):
            alike = block @ other[start:].T >= ALIKE
            for i, j in zip(*np.nonzero(alike), strict=True):
                a, b = root(start + int(i)), root(start + int(j))
                parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(m)], dtype=np.int64)


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shrink to grey 16 × 16, with mean 0 and length 1: products are correlations."""
    k = 64 // SIDE
    small = np.empty((len(images), SIDE * SIDE), dtype=np.float32)
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        cells = block.reshape(len(block), SIDE, k, SIDE, k, 3).mean(axis=(2, 4, 5))
        small[start : start + BLOCK] = cells.reshape(len(block), -1)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    small /= np.maximum(length, 1.0)  # an image of one colour stays at 0, like nothing
    return small
