"""Labelled images, wherever they came from."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import LazyArray, Rows, budget, concatenate, in_blocks
from catclf.common.types import FeatureExtractor, Progress, check_images
from catclf.errors import DataError

if TYPE_CHECKING:
    from catclf.data.duplicates import Signatures

Split = Literal["train", "test"]
CLASSES = ("non-cat", "cat")
CAT_NAMES = ("cat", "cats")
CatClass = str | Sequence[str] | None
"""The classes that count as cat, by name; None stands for CAT_NAMES."""


def find_cats(names: Sequence[str], cat_class: CatClass) -> tuple[list[int], list[str]]:
    """Label the classes of these names, 1 for cats, and tell which are missing of `cat_class`.

    Capitals do not matter, nor whether an accent is a character of its own, as on a Mac.
    """

    def normal(name: str) -> str:
        return normalize("NFC", normalize("NFC", name).casefold())

    asked = _in_list(cat_class)
    present, cats = ([normal(name) for name in some] for some in (names, asked or CAT_NAMES))
    labels = [int(name in cats) for name in present]
    if not asked:
        return labels, [] if any(labels) else ["cat or cats"]
    return labels, [repr(name) for name in asked if normal(name) not in present]


def _in_list(cat_class: CatClass) -> list[str]:
    return [cat_class] if isinstance(cat_class, str) else list(cat_class or ())


def check_fits(path: Path, what: str, nbytes: int, memory: float | None, remedy: str) -> None:
    """Raise DataError if images take more bytes than `memory`, or without, half of what is free."""
    allowed = budget(memory, nbytes)
    if nbytes > allowed:
        raise DataError(
            f"{path}: {what} take {nbytes / 1e6:.4g} MB of memory, and {allowed / 1e6:.4g} MB is "
            f"for data; {remedy}"
        )


def conversion(path: Path, split: Split, cat_class: CatClass) -> str:
    """Say how to make a file of images of 64 × 64, of which any number can be used."""
    named = [word for name in _in_list(cat_class) for word in ("--cat-class", name)]
    command = shlex.join([str(path), "out.h5", "--split", split, *named])
    return f"convert it first: catclf data convert {command}"


class Features(NamedTuple):
    """Features of images, float32 (m, n_x), and the settings of the map that made them."""

    settings: dict[str, Any]
    rows: Rows


@dataclass(frozen=True)
class Dataset:
    """Labelled images.

    Attributes
    ----------
    images : uint8 (m, 64, 64, 3)
        RGB, 0 to 255; an array, or images that stay on disk and are read like one.
    Y : int64 (1, m)
        1 for the second class, 0 for the first.
    classes : (str, str)
        Names of class 0 and class 1.
    name : str
        Where the images come from, in a word.
    paths : tuple of str
        The file of each image; empty where they have none.
    groups : tuple of str
        What each image belongs with, such as its source; empty where nothing is known.
    notes : tuple of str
        What a person should know of how the data was read, a line each.
    sizes : tuple of (int, int)
        Width and height of each image's original, in pixels; empty where nothing is known.
    unreadable : tuple of str
        The files that were left out because they are damaged, each with the reason.
    features : Features, optional
        Made by a map that takes larger images than are kept.
    memory : float
        How many bytes images and features may take in memory.
    """

    images: Rows
    Y: NDArray[np.int64]
    classes: tuple[str, str]
    name: str
    paths: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    unreadable: tuple[str, ...] = ()
    features: Features | None = None
    memory: float = inf

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.Y.shape != (1, len(self.images)) or not np.isin(self.Y, (0, 1)).all():
            raise DataError(
                f"{self.name}: labels are {self.Y.dtype} {self.Y.shape}; "
                f"expected (1, {len(self.images)}), 0 or 1 each"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> dict[str, int]:
        """How many examples each class has, by name."""
        cats = int(self.Y.sum())
        return {self.classes[0]: len(self) - cats, self.classes[1]: cats}

    @property
    def nbytes(self) -> int:
        """How many bytes images and features are, wherever they are."""
        return self.images.nbytes + (self.features.rows.nbytes if self.features else 0)

    @cached_property
    def sha256(self) -> str:
        """The digest of the images' bytes followed by the labels, a byte each."""
        digest = hashlib.sha256()
        for _, block in in_blocks(self.images):
            digest.update(np.ascontiguousarray(block).data)
        digest.update(self.Y.astype(np.uint8).tobytes())
        return digest.hexdigest()

    @cached_property
    def signatures(self) -> Signatures:
        """What near-identical images have in common; see `catclf.data.duplicates`."""
        from catclf.data.duplicates import signatures

        return signatures(self.images)

    @cached_property
    def duplicate_groups(self) -> NDArray[np.int64]:
        """Which picture each image shows: the index of the first near-identical one, (m,)."""
        from catclf.data.duplicates import group_duplicates

        return group_duplicates(self.signatures)

    def features_of(self, feature_map: FeatureExtractor) -> Rows | None:
        """Give the features, float32 (m, n_x), if this map has made them already."""
        made = self.features
        return made.rows if made and made.settings == feature_map.settings() else None

    def with_features(
        self,
        feature_map: FeatureExtractor,
        extract: Callable[[FeatureExtractor, Rows, float, Progress | None], Rows],
        progress: Progress | None = None,
    ) -> Dataset:
        """Make the features, with `extract`, that were not made as the images were read."""
        if self.features_of(feature_map) is not None:
            return self
        rows = extract(feature_map, self.images, self.memory, progress)
        return replace(self, features=Features(feature_map.settings(), rows))

    def within(self, memory: float | None) -> Dataset:
        """Read images and features into memory if they fit, in bytes; else what fits of them.

        None stands for half of the memory that is available.
        """
        images, features = self.images, self.features
        memory = budget(memory, self.nbytes)
        if isinstance(images, LazyArray):
            if images.nbytes <= memory:
                images = images[:]
            else:
                images.cache_bytes = int(memory)
        if features and isinstance(features.rows, LazyArray) and self.nbytes <= memory:
            features = Features(features.settings, features.rows[:])
        return replace(self, images=images, features=features, memory=memory)

    def grouped_by_folder(self) -> Dataset:
        """Keep the images of each folder together, whatever else they belonged with."""
        if not self.paths:
            return self
        return replace(self, groups=tuple(os.path.dirname(path) for path in self.paths))

    def label(self, i: int) -> str:
        """Name example i: its file, or its row."""
        return self.paths[i] if self.paths else f"{self.name}[{i}]"


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Put several data sets one after another.

    Raises
    ------
    DataError
        If their classes differ.
    """
    first = datasets[0]
    if len(datasets) == 1:
        return first
    for other in datasets[1:]:
        if other.classes != first.classes:
            raise DataError(
                f"{other.name}: its classes are {' and '.join(other.classes)}, "
                f"those of {first.name} {' and '.join(first.classes)}"
            )
    made = [d.features for d in datasets if d.features]
    features = None
    if len(made) == len(datasets) and all(f.settings == made[0].settings for f in made):
        features = Features(made[0].settings, concatenate([f.rows for f in made]))
    return Dataset(
        images=concatenate([d.images for d in datasets]),
        Y=np.concatenate([d.Y for d in datasets], axis=1),
        classes=first.classes,
        name=" + ".join(d.name for d in datasets),
        paths=tuple(d.label(i) for d in datasets for i in range(len(d))),
        groups=tuple(
            group
            for d in datasets
            for group in (d.groups or (f"{d.name}[{i}]" for i in range(len(d))))
        ),
        notes=tuple(note for d in datasets for note in d.notes),
        sizes=tuple(size for d in datasets for size in d.sizes)
        if all(d.sizes for d in datasets)
        else (),
        unreadable=tuple(line for d in datasets for line in d.unreadable),
        features=features,
    )
