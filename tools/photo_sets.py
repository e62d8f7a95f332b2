"""The photos that the shipped files learn from, and what is held out of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image

HOLD_SOURCES = ["arda"]
HOLD_KINDS = ["beaver", "car_side", "lotus", "panda"]
HOLD_SHARE = 0.03


class Photos(NamedTuple):
    """Images uint8 (m, 64, 64, 3), y (m,) with 1 for a cat, and each photo's source and kind."""

    x: np.ndarray
    y: np.ndarray
    source: np.ndarray
    kind: np.ndarray


def load(photos_train: Path, photos_more: Path) -> tuple[Photos, dict[str, str]]:
    """Read both sets, first the HDF5 file, then the JPEGs sorted by name; also their sha256."""
    with h5py.File(photos_train) as f:
        x, y = f["train_set_x"][:], f["train_set_y"][:].ravel().tolist()
        names = [s.decode().rsplit("_", 1) for s in f["source"][:]]
    files = sorted(photos_more.glob("*/*.jpg"))
    digest = hashlib.sha256()
    more = np.empty((len(files), 64, 64, 3), np.uint8)
    for i, path in enumerate(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
        more[i] = np.asarray(Image.open(path).convert("RGB"))
        y.append(int(path.parent.name == "cat"))
        words = path.stem.split("_")[:-1]
        names.append([words[0], "_".join(words[1:] or words)])
    sha256 = {
        "photos_train.h5": hashlib.sha256(photos_train.read_bytes()).hexdigest(),
        "photos_more (names and bytes, sorted)": digest.hexdigest(),
    }
    source, kind = np.array(names).T
    return Photos(np.concatenate([x, more]), np.array(y), source, kind), sha256


def split(
    photos: Photos,
    sources: list[str] = HOLD_SOURCES,
    kinds: list[str] = HOLD_KINDS,
    share: float = HOLD_SHARE,
) -> np.ndarray:
    """Name each photo's part: train, random, kinds or source NAME; all but the first held out."""
    part = np.full(len(photos.y), "train", "U40")
    part[np.random.default_rng(0).random(len(part)) < share] = "random"
    whole = np.isin(photos.source, sources)
    part[whole] = np.char.add("source ", photos.source[whole])
    part[(photos.source == "objects") & np.isin(photos.kind, kinds)] = "kinds"
    return part
