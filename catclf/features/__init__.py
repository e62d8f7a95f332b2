"""Feature maps: what the regression sees. A map turns images into X; nothing else knows which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Rows
from catclf.common.types import Array
from catclf.errors import ParameterError
from catclf.features.conv import Conv
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels

if TYPE_CHECKING:
    from catclf.features.onnx import Onnx


BATCH = 64
"""Images whose features are taken at a time: a block of them would need much memory."""


class FeatureMap(Protocol):
    """What every feature map offers."""

    name: str

    image_size: tuple[int, int]
    """Height and width of the images that it takes, in pixels."""

    n_x: int
    """How many features an image has."""

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn images uint8 (m, height, width, 3) into X (n_x, m), columns being examples."""
        ...

    def settings(self) -> dict[str, Any]:
        """Give what a model file must say of the map, as JSON values."""
        ...

    standardised: bool
    """Whether training scales each feature to a standard deviation of 1 first."""

    symmetric: bool
    """Whether an image and its mirror image have the same features, or nearly."""

    divisor: float | None
    """What bytes are divided by, where they themselves are the features; None for other maps."""

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions: image uint8 (height, width, 3), w float64 (n_x, 1).

        The float64 (rows, columns) shares, in nats, row by row from the top, add up to wᵀx.
        """
        ...

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Give the arrays that a model file must hold to make the map again."""
        ...


MAPS: dict[str, Any] = {"pixels": Pixels, "patches": Patches, "conv": Conv}
ONNX = "onnx"
"""The name of a map that is a network of the user's own."""


def network(
    name: str | None, normalise: str | None = None, output: str | None = None
) -> Onnx | None:
    """Open the network that a name of features such as onnx:PATH asks for; None for another name.

    Raises
    ------
    ParameterError
        If the path or `normalise` is missing or makes no sense, or settings of a network go without
        one.
    ModelError
        If the network cannot be used; see `catclf.features.onnx.Onnx.open`.
    """
    if name is None or not name.startswith(f"{ONNX}:"):
        if normalise is not None or output is not None:
            raise ParameterError("settings of a network go with --features onnx:PATH alone")
        return None
    path = name.removeprefix(f"{ONNX}:")
    if not path:
        raise ParameterError("no network is named: set --features to onnx:PATH, with its file")
    if normalise is None:
        raise ParameterError(
            "what the network wants of pixels cannot be guessed: set --onnx-normalise to imagenet, "
            "unit, none, or a mean and a scale as 127/128"
        )
    from catclf.features.onnx import Onnx

    return Onnx.open(path, normalise, output)


def fit(name: str, images: Rows, **settings: int) -> FeatureMap:
    """Make a feature map by name, learning from images where there is something to learn.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    fitted: FeatureMap = MAPS[name].fit(images, **settings)
    return fitted


def restore(
    name: str, settings: dict[str, Any], arrays: dict[str, NDArray[Any]], near: str = ""
) -> FeatureMap:
    """Make the feature map that a model file, in the folder `near`, describes.

    Raises
    ------
    KeyError, TypeError, ValueError
        If there is no such map, or the description does not fit it.
    """
    if name == ONNX:
        from catclf.features.onnx import Onnx

        return Onnx.restore(settings, near)
    restored: FeatureMap = MAPS[name].restore(settings, arrays)
    return restored
