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
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import block_slices
from catclf.common.files import FileKind, open_regular
from catclf.common.hdf5 import import_h5py
from catclf.common.hdf5.storage import ArrayInfo, check_storage, describe_array
from catclf.common.hdf5.structure import Structure, StructureError, need
from catclf.errors import DataError, OutputError
from catclf.features import FeatureMap

CACHE_FILE = FileKind("cache", OutputError)
OF_PLACES = ("path", "network")
"""Settings of a map that say where its network lies: the same one elsewhere is the same."""

SAVE_SECONDS, SHARE = 60, 20
"""It is saved so often, or less: saving takes a twentieth of the time at most."""
ROWS = 1024
"""Rows that are written at a time."""

Float32 = NDArray[np.float32]


class FeatureCache:
    """A feature map that asks another one for those images alone that it does not know yet.

    What is new is written every minute or so, and, as a context, when the block ends, however it
    ends. It may be used by several threads at once.

    Parameters
    ----------
    feature_map : FeatureMap
    path : path
        The file; where there is none, one is made.

    Raises
    ------
    DataError
        If what is there is no cache, is damaged, or is another map's.
    OutputError
        If it could not be written.
    """

    def __init__(self, feature_map: FeatureMap, path: str | os.PathLike[str]) -> None:
        self._map, self.path = feature_map, os.fspath(path)
        self.image_size, self.n_x = feature_map.image_size, feature_map.n_x
        self.settings = feature_map.settings
        kept = {key: v for key, v in feature_map.settings().items() if key not in OF_PLACES}
        self._network = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        self._rows: dict[bytes, Float32] = {}
        self._new, self._lock = False, Lock()
        self._due = time.monotonic() + SAVE_SECONDS
        if CACHE_FILE.check(self.path):
            self._load()

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Give X float32 (n_x, m) of images uint8 (m, height, width, 3), as the map would."""
        keys = [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]
        unknown = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if unknown:
            X = self._map.transform(images[list(unknown.values())])
            with self._lock:
                self._rows.update(zip(unknown, np.ascontiguousarray(X.T), strict=True))
                self._new = True
                if time.monotonic() >= self._due:
                    self._save()
        rows = np.array([self._rows[key] for key in keys]).reshape(len(keys), self._map.n_x)
        return np.ascontiguousarray(rows.T)

    def save(self) -> None:
        """Write the file, if there is anything new, whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with self._lock:
            if self._new:
                self._save()

    def _save(self) -> None:
        start = time.monotonic()
        whole = _hdf5(self._network, self._rows)
        with CACHE_FILE.replacing(self.path) as file:
            file.write(whole)
        self._new, end = False, time.monotonic()
        self._due = end + max(SAVE_SECONDS, SHARE * (end - start))

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.save()

    def _load(self) -> None:
        remedy = "name another file, or delete it if it is a cache"
        try:
            with open_regular(self.path) as file:
                network, images, features = _read(file)
        except (OSError, StructureError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise DataError(f"{self.path}: not a whole cache ({reason}); {remedy}") from error
        if network != self._network or features.shape[1] != self._map.n_x:
            raise DataError(
                f"{self.path}: a cache of another network, or other settings; name another file"
            )
        keys = (image.tobytes() for image in images)
        self._rows = dict(zip(keys, features, strict=True))


def _read(file: BinaryIO) -> tuple[str, NDArray[np.uint8], Float32]:
    """Read a cache; raise StructureError unless it is what `FeatureCache.save` writes."""
    structure = Structure(file)
    names = {"network", "images", "features", "sha256"}
    need(set(structure.members) == names, "it has other members")
    arrays = {name: describe_array(structure, name) for name in names}
    shape = arrays["features"].shape
    need(len(shape) == 2 and shape[0] > 0 and shape[1] > 0, "features of no size")
    text = ArrayInfo((1,), "S64", 64)
    expected = {
        "network": text,
        "images": ArrayInfo((shape[0], 32), "uint8", 1),
        "features": ArrayInfo(shape, "float32", 4),
        "sha256": text,
    }
    need(arrays == expected, "arrays of another kind")
    need(sum(array.nbytes for array in arrays.values()) <= structure.size, "it is too short")
    for name in names:
        check_storage(structure, name)
    file.seek(0)
    h5py = import_h5py()
    try:
        with h5py.File(file, "r") as opened:
            held = {name: opened[name][...] for name in names}
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StructureError(str(error)) from error
    network = held["network"][0].decode("ascii", "replace")
    digest = _begin(network, shape, held["images"])
    digest.update(held["features"].data)
    stored = held["sha256"][0].decode("ascii", "replace")
    need(stored == digest.hexdigest(), "its digest is another")
    need(bool(np.isfinite(held["features"]).all()), "features that are not finite")
    return network, held["images"], held["features"]


def _hdf5(network: str, rows: dict[bytes, Float32]) -> memoryview:
    """Make an HDF5 file in memory, on a thread: Ctrl-C within HDF5 would crash the process."""
    memory, keys = io.BytesIO(), sorted(rows)
    images = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 32)
    shape = len(keys), len(rows[keys[0]])
    digest = _begin(network, shape, images)

    def write() -> None:
        with import_h5py().File(memory, "w") as file:
            file["network"] = np.array([network.encode()])
            file["images"] = images
            features = file.create_dataset("features", shape, np.float32)
            for part in block_slices(images, ROWS):
                features[part] = some = np.array([rows[key] for key in keys[part]])
                digest.update(some.data)
            file["sha256"] = np.array([digest.hexdigest().encode()])

    with ThreadPoolExecutor(1) as worker:
        worker.submit(write).result()
    return memory.getbuffer()


def _begin(network: str, shape: tuple[int, ...], images: NDArray[np.uint8]) -> Any:
    """Begin the digest that the features' bytes complete."""
    digest = hashlib.sha256(f"{network} {shape}\n".encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest
