"""Feature maps: what the regression sees. A map turns images into X; nothing else knows which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from catclf.errors import ParameterError
from catclf.features.conv import Conv
from catclf.features.feature_map import BATCH, FeatureMap
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels

if TYPE_CHECKING:
    from catclf.features.onnx import Onnx

__all__ = ["BATCH", "MAPS", "ONNX", "FeatureMap", "open_network", "restore_map"]

MAPS: dict[str, type[FeatureMap]] = {"pixels": Pixels, "patches": Patches, "conv": Conv}
"""The maps by name, as --features and model files have it."""
ONNX = "onnx"
"""The name of a map that is a network of the user's own."""


def restore_map(
    name: str, settings: dict[str, Any], arrays: dict[str, NDArray[Any]], folder: str = ""
) -> FeatureMap:
    """Make the feature map that a model file, in this folder, describes.

    Raises
    ------
    KeyError, TypeError, ValueError
        If there is no such map, or the description does not fit it.
    """
    if name == ONNX:
        from catclf.features.onnx import Onnx

        return Onnx.restore(settings, arrays, folder)
    return MAPS[name].restore(settings, arrays)


def open_network(
    name: str | None,
    normalise: str | None = None,
    output: str | None = None,
    size: int | None = None,
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
        if (normalise, output, size) != (None, None, None):
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

    return Onnx.open(path, normalise, output, size)
