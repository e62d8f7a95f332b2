"""Feature maps: what the regression sees. A map turns images into X; nothing else knows which."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.features.conv import Conv
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels
from catclf.logistic import Array
from catclf.stored import Rows, Stored


class FeatureMap(Protocol):
    """What every feature map offers."""

    name: str
    n_x: int
    """How many features an image has."""
    standardised: bool
    """Whether training scales each feature to a standard deviation of 1 first."""

    symmetric: bool
    """Whether an image and its mirror image have the same features."""

    divisor: float | None
    """What bytes are divided by, where they themselves are the features; None for other maps."""

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn images uint8 (m, 64, 64, 3) into X (n_x, m), columns being examples."""
        ...

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions: image uint8 (64, 64, 3), w float64 (n_x, 1).

        The float64 (height, width) shares, in nats, row by row from the top, add up to wᵀx.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """Give what a model file must say of the map, as JSON values."""
        ...

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Give the arrays that a model file must hold to make the map again."""
        ...


MAPS: dict[str, Any] = {"pixels": Pixels, "patches": Patches, "conv": Conv}


MOST_LEARNED_FROM = 10_000
"""Images that a map learns from; of more, so many are drawn."""


def fit(name: str, images: Rows, **settings: int) -> FeatureMap:
    """Make a feature map by name, learning from images where there is something to learn.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    if isinstance(images, Stored) or len(images) > MOST_LEARNED_FROM:
        n = min(len(images), MOST_LEARNED_FROM) if MAPS[name].learns else 0
        drawn = np.random.default_rng(0).choice(len(images), n, replace=False)
        images = images[np.sort(drawn)]
    fitted: FeatureMap = MAPS[name].fit(images, **settings)
    return fitted


def restore(name: str, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> FeatureMap:
    """Make the feature map that a model file describes.

    Raises
    ------
    KeyError, TypeError, ValueError
        If there is no such map, or the description does not fit it.
    """
    restored: FeatureMap = MAPS[name].restore(settings, arrays)
    return restored
