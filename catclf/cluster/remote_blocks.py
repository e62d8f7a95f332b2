"""Images of HDF5 files on the workers of a cluster, and the sums over them that training asks for.

A worker reads its blocks from the files itself and keeps them: bytes for pixels, float32 for other
features. A pass sends the parameters, and adds up in a tree what the blocks come to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.cluster.client import Cluster
from catclf.common.blocks import FAN_IN, LazyArray, block_slices, rows_of_block
from catclf.common.memory import budget
from catclf.data import load as datasets
from catclf.data.dataset import Dataset, Split, join
from catclf.errors import DataError
from catclf.features import BATCH, FeatureMap
from catclf.logistic import Array
from catclf.solvers import examples
from catclf.solvers.examples import Examples, Sums, Work

R = TypeVar("R")

MOST_BLOCKS = 4096
"""A task takes one to two milliseconds: of more images the blocks are larger."""
OPEN_FILES = 16
"""Files that a worker keeps open."""


@dataclass(frozen=True)
class File:
    """An HDF5 file, as the workers must find it."""

    path: str
    split: Split
    cat_class: str | None
    trust: bool
    labels: bytes
    """A digest of them."""


Place = tuple[File, int, int]
"""Rows from, and up to, of a file."""


def load(
    cluster: Cluster,
    sources: Sequence[str | None],
    split: Split,
    *,
    cat_class: str | None = None,
    trust: bool = False,
    memory: float | None = inf,
) -> tuple[list[Dataset], Dataset]:
    """Put HDF5 files one after another, as one data set whose images are on the workers.

    Parameters are as in `catclf.data.load.load_dataset`; up to `memory` bytes may be taken
    here, for examples that are wanted whole.

    Returns
    -------
    parts : list of Dataset
        Each file, for itself; these are not on the workers.
    whole : Dataset

    Raises
    ------
    DataError
        If one is no HDF5 file, cannot be read, or has other classes than the first.
    """
    parts, files = [], []
    for source in sources:
        path = datasets.COURSE_FILE[split] if source is None else source
        if (
            path == datasets.DRAWN
            or os.path.isdir(path)
            or (source is None and not os.path.exists(path))
        ):
            raise DataError(
                f"{source or datasets.DRAWN}: workers read HDF5 files; make one with: "
                "catclf data convert"
            )
        part = datasets.load_dataset(path, split=split, cat_class=cat_class, trust=trust, memory=0)
        files.append(File(os.path.abspath(path), split, cat_class, trust, _digest(part.Y)))
        parts.append(part)
    whole = join(parts)
    assert isinstance(whole.images, LazyArray)
    images = Placed(cluster, whole.images, files, [len(part) for part in parts])
    return parts, replace(whole, images=images, memory=budget(memory, whole.nbytes))


class Blocks:
    """Arrays on the workers; each is made by a task, and so made again if its worker dies."""

    def __init__(self, cluster: Cluster, make: Callable[[], list[Any]]) -> None:
        self.cluster, self._make = cluster, make
        self._futures: list[Any] = []

    def futures(self) -> list[Any]:
        self._futures = self._futures or self._make()
        return self._futures

    def forget(self) -> None:
        """Let the workers drop them; they are made again when they are asked for."""
        self._futures = []


class Placed(LazyArray):
    """Images uint8 (m, 64, 64, 3) on the workers. Indexed, they are read here, from the files."""

    def __init__(
        self, cluster: Cluster, here: LazyArray, files: Sequence[File], lengths: Sequence[int]
    ) -> None:
        super().__init__(lambda start, stop: here[start:stop], here.shape, here.dtype)
        self.cluster = cluster
        self.block_rows = here.block_rows
        # So many of a single machine's blocks that the tree of their sums is a part of its tree.
        size = here.block_rows * FAN_IN
        while size * MOST_BLOCKS < len(here):
            size *= FAN_IN
        self.parts = list(block_slices(here, size))
        places = [_places(files, lengths, part) for part in self.parts]
        self.images = Blocks(cluster, lambda: cluster.map(_images, places))

    def stop_caching(self) -> None:
        super().stop_caching()
        self.images.forget()

    def map_blocks(self, work: Callable[[NDArray[Any]], R]) -> Iterator[R]:
        def ask() -> list[Any]:
            return self.cluster.map(_apply, self.images.futures(), given=self.cluster.put(work))

        found: list[R] = self.cluster.results(ask, self.stop_caching)
        self.cluster.tell_pass()
        return iter(found)

    def examples(self, feature_map: FeatureMap, memory: float) -> PlacedExamples:
        """Prepare the images for training; see `catclf.features.extraction`."""
        n_x, divisor = feature_map.n_x, feature_map.divisor
        if divisor is not None:
            left = memory - self.nbytes
            return PlacedExamples(self.images, self.parts, n_x, self.block_rows, left, divisor)

        def make() -> list[Any]:
            given = self.cluster.put(feature_map)
            futures = self.cluster.map(_features, self.images.futures(), given=given)
            self.stop_caching()  # each is dropped when its features are made
            return futures

        features = Blocks(self.cluster, make)
        left = memory - 4 * n_x * len(self)
        return PlacedExamples(features, self.parts, n_x, rows_of_block(4 * n_x), left)


class PlacedExamples(Examples):
    """Examples whose rows are on the workers, in blocks."""

    elsewhere = True

    def __init__(
        self,
        blocks: Blocks,
        parts: Sequence[slice],
        n_x: int,
        size: int,
        memory: float,
        scale: float | None = None,
    ) -> None:
        self.size = size
        self.mean, self.scale, self.memory = None, scale, memory
        self.m, self.n_x = parts[-1].stop, n_x
        self._blocks, self._parts, self._cluster = blocks, parts, blocks.cluster
        self._labelled: tuple[Array, Array, list[Any]] | None = None

    def add_up(self, work: Work, Y: Array, weight: Array, *parameters: Any) -> Sums:
        def ask() -> list[Any]:
            given = self._cluster.put((self.size, work, self.mean, self.scale, parameters))
            rows = self._blocks.futures()
            parts = self._cluster.map(_add_up, rows, self._labels(Y, weight), given=given)
            while len(parts) > 1:
                several = [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
                parts = self._cluster.map(_total, several)
            return parts

        (sums,) = self._cluster.results(ask, self._forget)
        self._cluster.tell_pass()
        totals: Sums = sums
        return totals

    def forward(self, w: Array, b: Array | float) -> Array:
        def ask() -> list[Any]:
            given = self._cluster.put((self.size, self.mean, self.scale, w, b))
            return self._cluster.map(_scores, self._blocks.futures(), given=given)

        found = self._cluster.results(ask, self._forget)
        self._cluster.tell_pass()
        return np.concatenate(found, axis=1)

    def matrix(self) -> Array:
        rows = np.concatenate(self._cluster.results(self._blocks.futures, self._forget))
        self._cluster.tell_pass()
        return Examples(rows, self.mean, self.scale).matrix()

    def _labels(self, Y: Array, weight: Array) -> list[Any]:
        """Send Y and weight to where the blocks are, unless they are there already."""
        if self._labelled is None or self._labelled[0] is not Y or self._labelled[1] is not weight:
            coded = [_coded(np.vstack([Y[:, part], weight[:, part]])) for part in self._parts]
            futures = self._cluster.map(_decoded, self._blocks.futures(), coded, given=len(Y))
            self._labelled = Y, weight, futures
        return self._labelled[2]

    def _forget(self) -> None:
        self._blocks.forget()
        self._labelled = None


def _digest(Y: NDArray[np.int64]) -> bytes:
    return hashlib.sha256(Y.astype(np.uint8).tobytes()).digest()


def _places(files: Sequence[File], lengths: Sequence[int], part: slice) -> list[Place]:
    """Say which rows of which files a part of the whole is."""
    places, first = [], 0
    for file, length in zip(files, lengths, strict=True):
        start, stop = max(part.start - first, 0), min(part.stop - first, length)
        if start < stop:
            places.append((file, start, stop))
        first += length
    return places


def _coded(columns: Array) -> tuple[Array, NDArray[Any]]:
    """Shorten columns of which many are equal: those that differ, and the number of each one's."""
    table, which = np.unique(columns, axis=1, return_inverse=True)
    return table, which.reshape(-1).astype(np.min_scalar_type(table.shape[1]))


# What workers do. The last parameter is what `Cluster.map` is given.


def _images(places: list[Place], _: None) -> NDArray[np.uint8]:
    """Read a block."""
    found = []
    for file, start, stop in places:
        try:
            changed = os.stat(file.path).st_mtime_ns
            found.append(_opened(file, changed).images[start:stop])
        except (OSError, DataError) as error:
            from socket import gethostname

            reason = f"{file.path}: {error.strerror}" if isinstance(error, OSError) else error
            raise DataError(
                f"{reason}; DATA must be at this path on all machines, {gethostname()} too"
            ) from error
    return found[0] if len(found) == 1 else np.concatenate(found)


@lru_cache(OPEN_FILES)
def _opened(file: File, changed: int) -> Dataset:
    how: dict[str, Any] = {"cat_class": file.cat_class, "trust": file.trust}
    found = datasets.load_dataset(file.path, split=file.split, memory=0, **how)
    if _digest(found.Y) != file.labels:
        raise DataError(f"{file.path}: another file than where the command was given")
    return found


def _features(images: NDArray[np.uint8], feature_map: FeatureMap) -> NDArray[np.float32]:
    rows = np.empty((len(images), feature_map.n_x), np.float32)
    for part in block_slices(images, BATCH):
        rows[part] = feature_map.transform(images[part]).T
    return rows


def _decoded(rows: NDArray[Any], coded: tuple[Array, NDArray[Any]], n: int) -> tuple[Array, Array]:
    """Give a block's Y and weight; that they take its rows keeps them on the same worker."""
    table, which = coded
    columns = table[:, which]
    return columns[:n], columns[n:]


def _add_up(rows: NDArray[Any], labels: tuple[Array, Array], given: tuple[Any, ...]) -> Sums:
    size, work, mean, scale, parameters = given
    Y, weight = labels
    return examples.total(
        examples.add_up_block(
            work, rows[part], mean, scale, Y[:, part], weight[:, part], *parameters
        )
        for part in block_slices(rows, size)
    )


def _total(several: list[Sums], _: None) -> Sums:
    first = tuple(part.copy() for part in several[0])  # it may be asked for again
    return examples.total([first, *several[1:]])


def _scores(rows: NDArray[Any], given: tuple[Any, ...]) -> Array:
    size, *settings = given
    found = [examples.forward_block(rows[part], *settings) for part in block_slices(rows, size)]
    return np.concatenate(found, axis=1)


def _apply(rows: NDArray[Any], work: Callable[[NDArray[Any]], R]) -> R:
    return work(rows)
