"""A trained model: parameters, the features they weigh, class names, provenance; load and save."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import features, logistic
from catclf.common import files, npz, text
from catclf.common.blocks import Rows, each, pieces
from catclf.common.files import FileKind
from catclf.common.image_size import check_images
from catclf.common.text import LONGEST_NAME
from catclf.common.version import __version__
from catclf.errors import ModelError
from catclf.features import FeatureMap
from catclf.logistic import Array

FORMAT_VERSION = 1
MAX_FILE_BYTES = 256 * 2**20
PREFIX = "features_"
"""Of the names of a feature map's own arrays in the file."""
MODEL_FILE = FileKind(
    "model",
    ModelError,
    rb"PK.{28}w\.npy",  # a zip archive with its first member's name
    "what is there is no model; name another file",
)


@dataclass(frozen=True)
class Model:
    """A logistic regression on a feature map.

    Attributes
    ----------
    w : float64 (n_x, 1)
    b : float
    classes : (str, str)
        Names of class 0 and class 1; the probability is that of class 1.
    features : FeatureMap
        What turns images into X.
    threshold : float
        An image whose probability lies above it is called class 1.
    temperature : float
        T by which scores are divided before they become probabilities.
    costs : list of (iteration, cost in nats)
    provenance : dict
        How the model came about: solver, training data, cross-validation; plain JSON values.
    version : str
        Of the catclf that made it.
    seen : uint64 (k,)
        Fingerprints of the training images, ascending, each once; see `catclf.data.duplicates`.
    """

    w: Array
    b: float
    classes: tuple[str, str]
    features: FeatureMap
    threshold: float = 0.5
    temperature: float = 1.0
    costs: list[tuple[int, float]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    version: str = __version__
    seen: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def scores(self, images: Rows) -> Array:
        """Score images: Z float64 (1, m), log-odds of class 1.

        They are uint8 (m, height, width, 3), of the size that the features are taken from.

        The score of an image is the same, to the last bit, whatever images come with it.

        Raises
        ------
        DataError
            If the images are of another type or shape.
        ModelError
            If a score is not finite.
        """
        check_images(images, self.features.image_size)
        return self._finite(np.concatenate([np.zeros((1, 0)), *each(self._scores, images)], axis=1))

    def weigh(self, rows: Rows) -> Array:
        """Score features, a row (n_x,) for each image: Z float64 (1, m), log-odds of class 1.

        Raises
        ------
        ModelError
            If a score is not finite.
        """
        return self._finite(np.concatenate([np.zeros((1, 0)), *each(self._weigh, rows)], axis=1))

    def _finite(self, Z: Array) -> Array:
        if not np.isfinite(Z).all():
            raise ModelError("the model gives scores that are not finite; train it again")
        return Z

    def _scores(self, images: NDArray[np.uint8]) -> Array:
        Z = np.empty((1, len(images)))
        for part in pieces(images, features.BATCH):
            Z[:, part] = self._weigh(self.features.transform(images[part]).T)
        return Z

    def _weigh(self, rows: NDArray[Any]) -> Array:
        x = np.ascontiguousarray(rows, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # what these would warn of is told
            # A product for each image: in one for all, the last digits can be others.
            Z: Array = np.matmul(x[:, None], self.w)[None, :, 0, 0] + self.b
        return Z

    def probabilities(self, images: NDArray[np.uint8]) -> Array:
        """Give each image's probability of class 1: A = σ(Z/T) float64 (1, m), in [0, 1]."""
        return logistic.sigmoid(self.scores(images) / self.temperature)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, whole or not at all; the name is taken as given.

        Raises
        ------
        ModelError
            If it cannot be written, what is there is no model, or the weights are not finite; what
            was there before stays.
        """
        MODEL_FILE.check(path)
        if not (np.isfinite(self.w).all() and np.isfinite(self.b)):
            raise ModelError(f"{os.fspath(path)}: not written, for its weights are not finite")
        meta = {
            "format_version": FORMAT_VERSION,
            "catclf_version": self.version,
            "classes": {"negative": self.classes[0], "positive": self.classes[1]},
            "features": {"name": self.features.name, "settings": self.features.settings()},
            "image_size": _image_size(self.features),
            "threshold": self.threshold,
            "temperature": self.temperature,
            **self.provenance,
        }
        arrays: dict[str, Any] = {
            "w": self.w,
            "b": np.array(self.b, dtype=np.float64),
            "costs": np.array(self.costs, dtype=np.float64).reshape(-1, 2),
            "seen": self.seen,
            **{PREFIX + key: array for key, array in self.features.arrays().items()},
        }
        meta["sha256"] = npz.digest(meta, arrays)
        arrays["meta"] = np.array(json.dumps(meta, sort_keys=True, allow_nan=False))
        with MODEL_FILE.replacing(path) as file:
            np.savez(file, **arrays)


def _image_size(feature_map: FeatureMap) -> int | list[int]:
    """Give the side of the square images that a map takes, or the height and width of others."""
    height, width = feature_map.image_size
    return height if height == width else [height, width]


_OWN_META: dict[str, type | tuple[type, ...]] = {
    "format_version": int,
    "catclf_version": str,
    "classes": dict,
    "features": dict,
    "image_size": (int, list),
    "threshold": (int, float),
    "temperature": (int, float),
}


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file and check it.

    Raises
    ------
    ModelError
        If the file is missing, is no catclf model, is damaged, holds weights that are not finite,
        or was written by a newer version.
    """
    name = os.fspath(path)
    arrays = _read_arrays(name)
    own = {key for key in arrays if not key.startswith(PREFIX)}
    if own != {"w", "b", "costs", "seen", "meta"} or arrays["meta"].dtype.kind != "U":
        raise ModelError(f"{name}: not a catclf model; make one with: catclf train")
    try:
        meta = json.loads(arrays.pop("meta").item(), parse_float=_finite, parse_constant=_finite)
        text.check_depth(meta)
        version = meta["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelError(
                f"{name}: model format {version} is newer than this catclf {__version__} reads "
                f"({FORMAT_VERSION}); upgrade catclf"
            )
        if not all(isinstance(meta[key], kind) for key, kind in _OWN_META.items()):
            raise ValueError("a setting of the wrong type")
        if version != FORMAT_VERSION:
            raise ValueError("an unknown format version")
        if meta["features"]["name"] not in (*features.MAPS, features.ONNX):
            raise ModelError(
                f"{name}: its features, {meta['features']['name']!r}, are not known to this catclf "
                f"{__version__}; upgrade catclf"
            )
        if meta.pop("sha256") != npz.digest(meta, arrays):
            raise ValueError("its content does not match its SHA-256")
        return _build(arrays, meta, os.path.dirname(name))
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ModelError(f"{name}: a damaged catclf model ({error})") from error


def _finite(number: str) -> float:
    value = float(number)
    if not np.isfinite(value):
        raise ValueError("a number that is not finite")
    return value


def _build(arrays: dict[str, NDArray[Any]], meta: dict[str, Any], near: str) -> Model:
    w, b, costs, seen = arrays["w"], arrays["b"], arrays["costs"], arrays["seen"]
    if any(array.dtype != np.float64 for array in (w, b, costs)):
        raise ValueError("arrays that are not float64")
    extra = {k.removeprefix(PREFIX): array for k, array in arrays.items() if k.startswith(PREFIX)}
    described = meta["features"]
    feature_map = features.restore_map(described["name"], described["settings"], extra, near)
    if meta["image_size"] != _image_size(feature_map):
        raise ValueError("images of another size than its features take")
    if set(extra) != set(feature_map.arrays()):
        raise ValueError("arrays that do not belong to its features")
    if w.shape != (feature_map.n_x, 1) or b.shape != () or costs.shape != (len(costs), 2):
        raise ValueError(f"shapes w {w.shape}, b {b.shape}, costs {costs.shape}")
    if seen.dtype != np.uint64 or seen.ndim != 1 or not (seen[:-1] < seen[1:]).all():
        raise ValueError("fingerprints that are not uint64 in ascending order")
    if not all(np.isfinite(array).all() for array in (w, b, costs, *extra.values())):
        raise ValueError("weights that are not finite")
    classes = (meta["classes"]["negative"], meta["classes"]["positive"])
    if not all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in classes):
        raise ValueError("class names")
    if not 0 <= meta["threshold"] <= 1:
        raise ValueError("threshold")
    if not 0 < meta["temperature"] < np.inf:
        raise ValueError("temperature")
    return Model(
        w=w,
        b=float(b),
        classes=classes,
        features=feature_map,
        threshold=float(meta["threshold"]),
        temperature=float(meta["temperature"]),
        costs=[(int(iteration), float(cost)) for iteration, cost in costs],
        provenance={key: value for key, value in meta.items() if key not in _OWN_META},
        version=meta["catclf_version"],
        seen=seen,
    )


def _read_arrays(name: str) -> dict[str, NDArray[Any]]:
    try:
        with files.open_regular(name) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"{name}: no such model; make one with: catclf train") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{name}: the model cannot be read ({reason})") from error
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{name}: not a catclf model (more than {MAX_FILE_BYTES // 2**20} MiB)")
    try:
        return npz.read(data)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{name}: not a catclf model, or a damaged one ({reason})") from error
