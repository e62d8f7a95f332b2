"""Features kept in an HDF5 file, so that a slow feature map sees each image once.

The file holds `network`, a digest of the map's settings, `images`, the SHA-256 of each image's
pixels, `features`, a row for each, and `sha256`, a digest of the three.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from catclf.common import interruption
from catclf.common.files import OutputFormat, open_regular
from catclf.common.hdf5 import Structure, StructureError, import_h5py, need
from catclf.common.hdf5.storage import ArrayInfo, check_storage, describe_array
from catclf.common.types import FeatureExtractor, Float32
from catclf.errors import DataError, OutputError

CACHE_FILE = OutputFormat("cache", OutputError)
SAVE_SECONDS = 60
"""How often what is new is saved."""
SAVING_SHARE = 1 / 20
"""The part of the time that saving may take; it is done less often where it takes more."""


class FeatureCache:
    """A feature map that asks another one for those images alone that it does not know yet.

    What is new is written every minute or so, and, as a context, when the block ends, however it
    ends. It may be used by several threads at once.

    Parameters
    ----------
    feature_map : FeatureExtractor
    path : path
        The file; where there is none, one is made.

    Raises
    ------
    DataError
        If what is there is no cache, is damaged, or is another map's.
    OutputError
        If it could not be written.
    """

    def __init__(self, feature_map: FeatureExtractor, path: str | os.PathLike[str]) -> None:
        self._map, self.path = feature_map, os.fspath(path)
        self.image_size, self.n_x = feature_map.image_size, feature_map.n_x
        self.enlarges = feature_map.enlarges
        self.settings = feature_map.settings
        settings = dict(feature_map.settings())
        for place in ("path", "network"):  # the same network elsewhere is the same
            settings.pop(place, None)
        self._network = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._rows = self._load() if CACHE_FILE.check(self.path) else {}
        self._changed, self._lock = False, Lock()
        self._due = time.monotonic() + SAVE_SECONDS

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Give X float32 (n_x, m) of images uint8 (m, height, width, 3), as the map would."""
        keys = [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]
        unknown = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if unknown:
            X = self._map.transform(images[list(unknown.values())])
            with self._lock:
                self._rows.update(zip(unknown, np.ascontiguousarray(X.T), strict=True))
                self._changed = True
                if time.monotonic() >= self._due:
                    self._write()
        rows = np.array([self._rows[key] for key in keys]).reshape(len(keys), self.n_x)
        return np.ascontiguousarray(rows.T)

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._changed:
                self._write()

    def _write(self) -> None:
        start = time.monotonic()
        content = _encode_cache(self._network, self._rows)
        with CACHE_FILE.replacing(self.path) as file:
            file.write(content)
        self._changed, end = False, time.monotonic()
        self._due = end + max(SAVE_SECONDS, (end - start) / SAVING_SHARE)

    def _load(self) -> dict[bytes, Float32]:
        try:
            with open_regular(self.path) as file:
                network, images, features = _read_cache(file)
        except (OSError, StructureError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise DataError(
                f"{self.path}: not a whole cache ({reason}); "
                "name another file, or delete it if it is a cache"
            ) from error
        if network != self._network or features.shape[1] != self.n_x:
            raise DataError(
                f"{self.path}: a cache of another network, or other settings; name another file"
            )
        return dict(zip((image.tobytes() for image in images), features, strict=True))


def _read_cache(file: BinaryIO) -> tuple[str, NDArray[np.uint8], Float32]:
    """Read a cache; raise StructureError unless it is what `_encode_cache` makes."""
    structure = Structure(file)
    names = {"network", "images", "features", "sha256"}
    need(set(structure.members) == names, "it has other members")
    infos = {name: describe_array(structure, name) for name in names}
    shape = infos["features"].shape
    need(len(shape) == 2 and shape[0] > 0 and shape[1] > 0, "features of no size")
    text = ArrayInfo((1,), "S64", 64)
    images, features = ArrayInfo((shape[0], 32), "uint8", 1), ArrayInfo(shape, "float32", 4)
    expected = {"network": text, "images": images, "features": features, "sha256": text}
    need(infos == expected, "arrays of another kind")
    need(sum(info.nbytes for info in infos.values()) <= structure.size, "it is too short")
    for name in names:
        check_storage(structure, name)
    file.seek(0)
    try:
        with import_h5py().File(file, "r") as opened:
            arrays = {name: opened[name][...] for name in names}
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StructureError(str(error)) from error
    network, sha256 = (arrays[name][0].decode("ascii", "replace") for name in ("network", "sha256"))
    need(sha256 == _digest(network, arrays["images"], arrays["features"]), "its digest is another")
    need(bool(np.isfinite(arrays["features"]).all()), "features that are not finite")
    return network, arrays["images"], arrays["features"]


def _encode_cache(network: str, rows: dict[bytes, Float32]) -> memoryview:
    """Make an HDF5 file in memory; an exception within HDF5 would crash the process."""
    keys = sorted(rows)
    images = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 32)
    features = np.array([rows[key] for key in keys])
    sha256, memory = _digest(network, images, features), io.BytesIO()
    with interruption.delayed(), import_h5py().File(memory, "w") as file:
        file["network"] = np.array([network.encode()])
        file["images"] = images
        file["features"] = features
        file["sha256"] = np.array([sha256.encode()])
    return memory.getbuffer()


def _digest(network: str, images: NDArray[np.uint8], features: Float32) -> str:
    digest = hashlib.sha256(f"{network} {features.shape}\n".encode())
    digest.update(images.data)
    digest.update(features.data)
    return digest.hexdigest()
