"""The lesson's features: the pixels themselves, flattened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Array, Float32
from catclf.features.feature_map import FeatureMap


class Pixels(FeatureMap):
    """Flatten each image to a column of 12,288 numbers in [0, 1]: x = pixel / 255."""

    name = "pixels"
    n_x = 64 * 64 * 3
    standardised = False
    divisor = 255.0

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, 64, 64, 3) into X float32 (12288, m), pixels in [0, 1]."""
        columns = images.reshape(len(images), self.n_x).T
        return np.divide(columns, 255, dtype=np.float32)

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the 64 × 64 pixels: w x, added up over red, green and blue."""
        terms = w * self.transform(image[None])
        shares: Array = terms.reshape(64, 64, 3).sum(axis=2)
        return shares
