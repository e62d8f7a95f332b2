"""The photos that the shipped files learn from, and what is held out of them."""

from __future__ import annotations

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

HOLD_SOURCES = ["animals10", "insta", "oxford", "web3"]
HOLD_BREEDS = ["abyssinian", "devon_rex", "siamese", "sphynx"]
HOLD_KINDS = ["capybara", "helicopter", "otter", "raccoon"]
HOLD_SHARE = 0.03


class Photos(NamedTuple):
    """Photos in the order of their table."""

    x: np.ndarray
    """The whole frames: uint8 (m, 96, 96, 3)."""
    y: np.ndarray
    """1 for a cat, else 0: int64 (m,)."""
    source: np.ndarray
    """Where a photo comes from, the same word for cats and others: str (m,)."""
    kind: np.ndarray
    """The breed or thing, where it is known, else "-": str (m,)."""
    suspect: np.ndarray
    """Whether the label is likely wrong, by the teacher: bool (m,)."""
    probability: np.ndarray
    """The teacher's probability of a cat: float32 (m,)."""
    teacher: np.ndarray
    """Principal components of the teacher's features: float32 (m, 96)."""
    sha256: str
    """Of the table, the teacher's components and the pixels."""


def load(folder: Path) -> Photos:
    """Read the folder photos_96: its table, its WebP files and teacher.npy."""
    with (folder / "photos_96.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))

    def read(row: dict[str, str]) -> np.ndarray:
        return np.asarray(Image.open(folder.parent / row["file"]).convert("RGB"))

    x = np.empty((len(rows), 96, 96, 3), np.uint8)
    with ThreadPoolExecutor() as pool:
        for i, image in enumerate(pool.map(read, rows)):
            x[i] = image
    teacher = np.load(folder / "teacher.npy")
    digest = hashlib.sha256((folder / "photos_96.tsv").read_bytes())
    digest.update(teacher.tobytes())
    digest.update(x)
    return Photos(
        x=x,
        y=np.array([int(row["label"]) for row in rows]),
        source=np.array([row["source"].removesuffix("_cat").removesuffix("_dog") for row in rows]),
        kind=np.array([row["kind"] for row in rows]),
        suspect=np.array([row["suspect"] == "1" for row in rows]),
        probability=np.array([row["teacher"] for row in rows], np.float32),
        teacher=teacher.astype(np.float32),
        sha256=digest.hexdigest(),
    )


def split(photos: Photos) -> np.ndarray:
    """Name each photo's part: train, or random, breeds, kinds or source NAME if held out."""
    part = np.full(len(photos.y), "train", "U40")
    part[np.random.default_rng(0).random(len(part)) < HOLD_SHARE] = "random"
    part[(photos.y == 1) & np.isin(photos.kind, HOLD_BREEDS)] = "breeds"
    part[(photos.y == 0) & np.isin(photos.kind, HOLD_KINDS)] = "kinds"
    whole = np.isin(photos.source, HOLD_SOURCES)
    part[whole] = np.char.add("source ", photos.source[whole])
    return part
