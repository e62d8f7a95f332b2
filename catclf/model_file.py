"""The file of a model, and every check that a stranger's file passes before it is believed.

The file is an uncompressed .npz of the arrays and of `meta`, JSON as text; see docs/formats.md.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from catclf import features
from catclf.common import npz
from catclf.common.files import (
    HEAD_BYTES,
    LFS_POINTER,
    OutputFormat,
    describe_content,
    open_regular,
)
from catclf.common.npz import Arrays
from catclf.common.text import LONGEST_NAME
from catclf.common.version import __version__
from catclf.errors import ModelError
from catclf.features import FeatureMap

FORMAT_VERSION = 1
NOT_MODELS = {
    LFS_POINTER: "fetch it with: git lfs pull",
    "an HDF5 file": "of images, make one with: catclf train {}; of Keras, export it as ONNX",
    "an ONNX network": "train on its features: catclf train DATA --features onnx:{}",
}
"""What to do with files of other kinds, as `describe_content` calls them."""
MAKE_ONE = "make one with: catclf train, of a network in ONNX with --features onnx:PATH"
MAX_FILE_BYTES = 256 * 2**20
PREFIX = "features_"
"""What the names of a feature map's own arrays begin with in the file."""
MODEL_FILE = OutputFormat(
    "model",
    ModelError,
    rb"PK.{28}w\.npy",  # a zip archive with its first member's name
    "what is there is no model; name another file",
)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "format_version": int,
    "catclf_version": str,
    "classes": dict,
    "features": dict,
    "image_size": (int, list),
    "threshold": (int, float),
    "temperature": (int, float),
}


def write_model(path: str | os.PathLike[str], fields: dict[str, Any], past: dict[str, Any]) -> None:
    """Write a model file of what `read_model` gives; all else is as in `Model.save`."""
    w, b, feature_map = fields["w"], fields["b"], fields["features"]
    if not (np.isfinite(w).all() and np.isfinite(b)):
        raise ModelError(f"{os.fspath(path)}: not written, for its weights are not finite")
    negative, positive = fields["classes"]
    meta = {
        **past,
        "format_version": FORMAT_VERSION,
        "catclf_version": fields["version"],
        "classes": {"negative": negative, "positive": positive},
        "features": {"name": feature_map.name, "settings": feature_map.settings()},
        "image_size": _image_size(feature_map),
        "threshold": fields["threshold"],
        "temperature": fields["temperature"],
    }
    arrays: Arrays = {
        "w": w,
        "b": np.array(b, dtype=np.float64),
        "costs": np.array(fields["costs"], dtype=np.float64).reshape(-1, 2),
        "seen": fields["seen"],
        **{PREFIX + name: array for name, array in feature_map.arrays().items()},
    }
    with MODEL_FILE.replacing(path) as file:
        npz.write_npz(file, meta, arrays)


def _image_size(feature_map: FeatureMap) -> int | list[int]:
    """Give the side of the square images that a map takes, or the height and width of others."""
    height, width = feature_map.image_size
    return height if height == width else [height, width]


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a model file and check it.

    Returns
    -------
    fields : dict
        What `catclf.model.Model` is made of, but for its provenance.
    past : dict
        What the file says of how the model came about, as JSON values.

    Raises
    ------
    ModelError
        As `catclf.model.load_model` says.
    """
    name = os.fspath(path)
    arrays = _read_arrays(name)
    try:
        meta = npz.take_meta(arrays)
        _check_meta(meta, name)
        npz.check_digest(meta, arrays)
        feature_map = _restore(meta, arrays, os.path.dirname(name))
        _check_arrays(arrays, feature_map)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{name}: a damaged catclf model ({error})") from error
    classes = meta.pop("classes")
    fields = {
        "w": arrays["w"],
        "b": float(arrays["b"]),
        "classes": (classes["negative"], classes["positive"]),
        "features": feature_map,
        "threshold": float(meta.pop("threshold")),
        "temperature": float(meta.pop("temperature")),
        "costs": [(int(iteration), float(cost)) for iteration, cost in arrays["costs"]],
        "version": meta.pop("catclf_version"),
        "seen": arrays["seen"],
    }
    return fields, meta


def _read_arrays(name: str) -> Arrays:
    try:
        with open_regular(name) as file:
            kind = describe_content(file.read(HEAD_BYTES))
            if kind not in ("", "a catclf model", "a NumPy file"):
                remedy = NOT_MODELS.get(kind, MAKE_ONE).format(name)
                raise ModelError(f"{name}: {kind}, not a catclf model; {remedy}")
            file.seek(0)
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"{name}: no such model; make one with: catclf train") from None
    except IsADirectoryError:
        raise ModelError(f"{name}: a folder; name the model file in it, a .npz") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{name}: the model cannot be read ({reason})") from error
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{name}: not a catclf model (more than {MAX_FILE_BYTES // 2**20} MiB)")
    try:
        arrays = npz.read_npz(data)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{name}: not a catclf model, or a damaged one ({reason})") from error
    own = {key for key in arrays if not key.startswith(PREFIX)}
    if own != {"w", "b", "costs", "seen", "meta"} or arrays["meta"].dtype.kind != "U":
        raise ModelError(f"{name}: not a catclf model; make one with: catclf train")
    return arrays


def _check_meta(meta: dict[str, Any], name: str) -> None:
    version = meta["format_version"]
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelError(
            f"{name}: model format {version} is newer than this catclf {__version__} reads "
            f"({FORMAT_VERSION}); upgrade catclf"
        )
    if not all(isinstance(meta[key], kind) for key, kind in _TYPES.items()):
        raise ValueError("a setting of the wrong type")
    if version != FORMAT_VERSION:
        raise ValueError("an unknown format version")
    if meta["features"]["name"] not in (*features.MAPS, features.ONNX):
        raise ModelError(
            f"{name}: its features, {meta['features']['name']!r}, are not known to this catclf "
            f"{__version__}; upgrade catclf"
        )
    classes = (meta["classes"]["negative"], meta["classes"]["positive"])
    if not all(isinstance(label, str) and len(label) <= LONGEST_NAME for label in classes):
        raise ValueError("class names")
    if not 0 <= meta["threshold"] <= 1:
        raise ValueError("threshold")
    if not 0 < float(meta["temperature"]) < np.inf:
        raise ValueError("temperature")


def _restore(meta: dict[str, Any], arrays: Arrays, near: str) -> FeatureMap:
    """Take what describes the feature map out of `meta` and `arrays`, and make the map of it."""
    described, image_size = meta.pop("features"), meta.pop("image_size")
    del meta["format_version"]
    names = [name for name in arrays if name.startswith(PREFIX)]
    of_map = {name.removeprefix(PREFIX): arrays.pop(name) for name in names}
    feature_map = features.restore_map(described["name"], described["settings"], of_map, near)
    if image_size != _image_size(feature_map):
        raise ValueError("images of another size than its features take")
    if set(of_map) != set(feature_map.arrays()):
        raise ValueError("arrays that do not belong to its features")
    if not all(np.isfinite(array).all() for array in of_map.values()):
        raise ValueError("weights that are not finite")
    return feature_map


def _check_arrays(arrays: Arrays, feature_map: FeatureMap) -> None:
    w, b, costs, seen = (arrays[name] for name in ("w", "b", "costs", "seen"))
    if any(array.dtype != np.float64 for array in (w, b, costs)):
        raise ValueError("arrays that are not float64")
    if w.shape != (feature_map.n_x, 1) or b.shape != () or costs.shape != (len(costs), 2):
        raise ValueError(f"shapes w {w.shape}, b {b.shape}, costs {costs.shape}")
    if seen.dtype != np.uint64 or seen.ndim != 1 or not (seen[:-1] < seen[1:]).all():
        raise ValueError("fingerprints that are not uint64 in ascending order")
    if not all(np.isfinite(array).all() for array in (w, b, costs)):
        raise ValueError("weights that are not finite")


def describe_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Give a model file's path, size, SHA-256 and format; raise ModelError if it is gone."""
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise ModelError(f"{os.fspath(path)}: the model cannot be read ({error})") from error
    return {
        "model": os.path.abspath(path),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "format_version": FORMAT_VERSION,
    }
