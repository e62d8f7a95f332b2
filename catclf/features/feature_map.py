"""What every feature map offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Rows
from catclf.common.types import Array, Float32


class FeatureMap(ABC):
    """A way to turn images into X, the regression's input.

    A map of one's own gives at least `name`, `n_x`, `transform` and `shares`, and has a line in
    `catclf.features.MAPS`.
    """

    name: ClassVar[str]

    image_size: tuple[int, int] = (64, 64)
    """Height and width of the images that it takes, in pixels."""

    n_x: int
    """How many features an image has."""

    standardised = True
    """Whether training scales each feature to a standard deviation of 1 first."""

    symmetric = False
    """Whether an image and its mirror image have the same features, or nearly."""

    divisor: float | None = None
    """What bytes are divided by, where they themselves are the features; None for other maps."""

    @classmethod
    def fit(cls, images: Rows, *_: Any, **settings: Any) -> Self:
        """Make the map from images uint8 (m, 64, 64, 3), where it learns; most learn nothing."""
        return cls()

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Make the map that a model was trained on, of what `settings` and `arrays` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they do not describe such a map: a model file may say anything.
        """
        return cls()

    @abstractmethod
    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, height, width, 3) into X (n_x, m), columns being examples."""

    @abstractmethod
    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions: image uint8 (height, width, 3), w float64 (n_x, 1).

        The float64 (rows, columns) shares, in nats, row by row from the top, add up to wᵀx.
        """

    def settings(self) -> dict[str, Any]:
        """Give what a model file must say of the map, as JSON values."""
        return {}

    def arrays(self) -> dict[str, Float32]:
        """Give the arrays that a model file must hold to make the map again."""
        return {}
