"""The size of the images that the house works on."""

from __future__ import annotations

import numpy as np

from catclf.common.blocks import Rows
from catclf.errors import DataError

IMAGE_SIZE = 64
"""Width and height of an image, in pixels, unless a feature map takes others."""


def check_images(images: Rows, size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE)) -> None:
    """Raise DataError if these are not uint8 (m, height, width, 3), of this height and width."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*size, 3):
        raise DataError(
            f"images are {images.dtype} {images.shape}; expected uint8 (m, {size[0]}, {size[1]}, "
            "3), pixels from 0 to 255"
        )
