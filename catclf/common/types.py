"""Types that many rooms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called as progress(done, total)."""


class FeatureExtractor(Protocol):
    """What makes features of images, perhaps while these are read: a feature map, or its cache."""

    image_size: tuple[int, int]
    """Height and width of the images that it takes, in pixels."""

    n_x: int
    """How many features an image has."""

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn images uint8 (m, height, width, 3) into X (n_x, m), columns being examples."""
        ...

    def settings(self) -> dict[str, Any]:
        """Give what tells this map from others, as JSON values."""
        ...
