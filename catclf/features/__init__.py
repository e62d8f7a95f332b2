"""Feature maps: what the regression sees. A map turns images into X; nothing else knows which."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.features.pixels import Pixels


class FeatureMap(Protocol):
    """What every feature map offers."""

    name: str
    n_x: int
    """How many features an image has."""

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn images (m, 64, 64, 3) into X (n_x, m), columns being examples."""
        ...


def by_name(name: str) -> FeatureMap:
    """Make the feature map that a model file names.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    return {"pixels": Pixels}[name]()
