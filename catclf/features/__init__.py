"""Feature maps: what the regression sees. A map turns images into X; nothing else knows which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from catclf.common.blocks import Rows
from catclf.common.types import SMALL
from catclf.errors import ParameterError
from catclf.features.conv import Conv
from catclf.features.feature_map import BATCH, FeatureMap
from catclf.features.patches import DICTIONARY, MOST_FEATURES, MOST_WORDS, POSITIONS, Patches
from catclf.features.pixels import Pixels

if TYPE_CHECKING:
    from catclf.features.onnx import Onnx

__all__ = [
    "BATCH",
    "MAPS",
    "ONNX",
    "FeatureMap",
    "check_map",
    "fit_map",
    "map_while_reading",
    "open_network",
    "restore_map",
]

MAPS: dict[str, type[FeatureMap]] = {"pixels": Pixels, "patches": Patches, "conv": Conv}
"""The maps by name, as --features and model files have it."""
ONNX = "onnx"
"""The name of a map that is a network of the user's own."""


def check_map(name: str | FeatureMap | None, of_patches: dict[str, int]) -> None:
    """Check which map is asked for, None if it is still to be chosen, and the settings of patches.

    Raises
    ------
    ParameterError
        Naming the first that makes no sense.
    """
    dictionary, pool = of_patches.get("dictionary", DICTIONARY), of_patches.get("pool", 1)
    problem = None
    if isinstance(name, str) and name not in MAPS:
        problem = f"features are {', '.join(MAPS)} or onnx:PATH, not {name!r}"
    elif of_patches and name not in ("patches", None):
        problem = f"{' and '.join(of_patches)} can be set with --features patches alone"
    elif not 1 <= dictionary <= MOST_WORDS:
        problem = f"the dictionary has 1 to {MOST_WORDS} patches, not {dictionary}"
    elif not 1 <= pool <= POSITIONS:
        problem = f"the grid of patches has 1 to {POSITIONS} cells each way, not {pool}"
    elif dictionary * pool**2 > MOST_FEATURES:
        most = f"may be {MOST_FEATURES} at most"
        problem = f"dictionary times pool squared {most}: try fewer cells"
    if problem:
        raise ParameterError(problem)


def fit_map(name: str | FeatureMap, images: Rows, of_patches: dict[str, int]) -> FeatureMap:
    """Make the map of this name from images uint8 (m, 64, 64, 3); one that is made stays as it is.

    The settings of patches are for that map alone.
    """
    return MAPS[name].fit(images, **of_patches) if isinstance(name, str) else name


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


def map_while_reading(features: str | FeatureMap | None) -> FeatureMap | None:
    """Give the map that must see images as they are read, for it takes more than is kept of them.

    That is one of these features, a map or a name in `MAPS`; None for all others.
    """
    if isinstance(features, str):
        features = MAPS[features]() if MAPS[features].image_size != SMALL else None
    if features is None or (features.name in MAPS and features.image_size == SMALL):
        return None
    return features


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
