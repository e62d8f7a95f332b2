"""Types that many rooms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Rows
from catclf.errors import DataError

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called as progress(done, total)."""


class FeatureExtractor(Protocol):
    """What makes features of images, perhaps while these are read: a feature map, or its cache."""

    image_size: tuple[int, int]
    """Height and width of the images that it takes, in pixels."""

    enlarges: bool
    """Whether it takes images of 64 × 64 pixels, too, and enlarges them."""

    n_x: int
    """How many features an image has."""

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn images uint8 (m, height, width, 3) into X (n_x, m), columns being examples."""
        ...

    def settings(self) -> dict[str, Any]:
        """Give what tells this map from others, as JSON values."""
        ...


DRAWN = "drawn"
"""The drawings are named so, as data and where a model says what it was trained on."""
IMAGE_SIZE = 64
"""Width and height of an image, in pixels, unless a feature map takes others."""


SMALL = (IMAGE_SIZE, IMAGE_SIZE)


def check_images(images: Rows, size: tuple[int, int] = SMALL, *, or_small: bool = False) -> None:
    """Raise DataError if these are not uint8 (m, height, width, 3), of this size or `or_small`."""
    shapes = [(*one, 3) for one in dict.fromkeys((size, SMALL) if or_small else (size,))]
    if images.dtype != np.uint8 or images.shape[1:] not in shapes:
        expected = " or ".join(f"(m, {', '.join(map(str, shape))})" for shape in shapes)
        raise DataError(
            f"images are {images.dtype} {images.shape}; expected uint8 {expected}, "
            "pixels from 0 to 255"
        )
