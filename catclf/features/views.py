"""Two views of an image: the whole, reduced, and its middle.

The whole shows where a cat is, its middle shows more of what it looks like.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Array

Pixel = TypeVar("Pixel", np.uint8, np.float32)


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image uint8 (height, width, 3) to this height and width, as photos are.

    Each pixel is a mean whose weights fall to 0 over a pixel of the smaller one; an image of that
    size stays as it is.
    """
    if image.shape[:2] == size:
        return image
    from PIL import Image

    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def reduction(n: int, size: int) -> Array:
    """Make the matrix float64 (size, n) that reduces n rows or columns as Pillow's BILINEAR does.

    Each is a mean whose weights fall to 0 over n / size pixels from its middle.
    """
    scale = n / size
    middles = scale * (np.arange(size) + 0.5)
    weights = np.maximum(0, 1 - np.abs(np.arange(n) + 0.5 - middles[:, None]) / scale)
    reduced: Array = weights / weights.sum(axis=1, keepdims=True)
    return reduced


def cut_middle(image: NDArray[Pixel], size: tuple[int, int]) -> NDArray[Pixel]:
    """Cut the middle of this height and width out of an image (height, width, 3)."""
    top, left = ((n - inner) // 2 for n, inner in zip(image.shape, size, strict=False))
    return image[top : top + size[0], left : left + size[1]]


def overlay(whole: Array, middle: Array, cells: tuple[int, int]) -> Array:
    """Lay the shares of positions of both views on one grid, which covers the image.

    Parameters
    ----------
    whole, middle : float64 (rows, columns)
        The share of each position, in nats.
    cells : (int, int)
        A position of the whole covers so many cells each way, one of the middle so many. The
        middle is in the middle only if their difference is even, or rows and columns are.

    Returns
    -------
    float64 (rows · cells[0], columns · cells[0])
        The share of each cell; they add up to the shares of the positions.
    """
    a, b = cells
    shares: Array = np.kron(whole, np.full((a, a), 1 / a**2))
    top, left = (n * (a - b) // 2 for n in middle.shape)
    inner = shares[top : top + len(middle) * b, left : left + middle.shape[1] * b]
    inner += np.kron(middle, np.full((b, b), 1 / b**2))
    return shares
