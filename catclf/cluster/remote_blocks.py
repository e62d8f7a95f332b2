"""Images of HDF5 files on the workers of a cluster, and the sums over them that training asks for.

A worker reads its blocks from the files itself and keeps them: bytes for pixels, float32 for other
features. A pass sends the parameters, and adds up in a tree what the blocks come to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import inf
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.cluster import Cluster, Recoverable
from catclf.common.blocks import FAN_IN, LazyArray, block_slices, budget, rows_of_block
from catclf.common.types import DRAWN
from catclf.data.dataset import CatClass, Dataset, Split, join
from catclf.data.load import COURSE_FILE, is_drawn, load_dataset
from catclf.errors import DataError
from catclf.features import BATCH, FeatureMap
from catclf.logistic import Array
from catclf.solvers.examples import Examples, Sums, Work, total

R = TypeVar("R")

MOST_BLOCKS = 4096
"""A task takes one to two milliseconds: of more images the blocks are larger."""
OPEN_FILES = 16
"""A worker keeps so many files open."""


@dataclass(frozen=True)
class RemoteFile:
    """An HDF5 file, as the workers must find it; `labels` is a digest of them."""

    path: str
    split: Split
    cat_class: str | tuple[str, ...] | None
    trust: bool
    labels: bytes


Rows = tuple[RemoteFile, int, int]
"""Rows from, and up to, of a file."""


def load(
    cluster: Cluster,
    sources: Sequence[str | None],
    split: Split,
    *,
    cat_class: CatClass = None,
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
    cat_class = cat_class if isinstance(cat_class, str | None) else tuple(cat_class)
    parts, files = [], []
    for source in sources:
        path = COURSE_FILE[split] if source is None else source
        if is_drawn(source, split) or os.path.isdir(path):
            raise DataError(
                f"{source or DRAWN}: workers read HDF5 files; make one with: catclf data convert"
            )
        part = load_dataset(path, split=split, cat_class=cat_class, trust=trust, memory=0)
        files.append(RemoteFile(os.path.abspath(path), split, cat_class, trust, _digest(part.Y)))
        parts.append(part)
    whole = join(parts)
    assert isinstance(whole.images, LazyArray)
    images = RemoteImages(cluster, whole.images, files, [len(part) for part in parts])
    return parts, replace(whole, images=images, memory=budget(memory, whole.nbytes))


class RemoteImages(LazyArray):
    """Images uint8 (m, 64, 64, 3) on the workers. Indexed, they are read here, from the files."""

    def __init__(
        self,
        cluster: Cluster,
        here: LazyArray,
        files: Sequence[RemoteFile],
        lengths: Sequence[int],
    ) -> None:
        super().__init__(lambda start, stop: here[start:stop], here.shape, here.dtype)
        self.cluster = cluster
        self.block_rows = here.block_rows
        # So many of a single machine's blocks that the tree of their sums is a part of its tree.
        size = here.block_rows * FAN_IN
        while size * MOST_BLOCKS < len(here):
            size *= FAN_IN
        self.slices = list(block_slices(here, size))
        rows = [_rows_of(files, lengths, part) for part in self.slices]
        self.blocks = Recoverable(cluster, lambda: cluster.map(_read, rows))

    def stop_caching(self) -> None:
        super().stop_caching()
        self.blocks.forget()

    def map_blocks(self, work: Callable[[NDArray[Any]], R]) -> Iterator[R]:
        def ask() -> list[Any]:
            return self.cluster.map(self.cluster.put(work), self.blocks.futures())

        return iter(self.cluster.results(ask))

    def examples(self, feature_map: FeatureMap, memory: float) -> RemoteExamples:
        """Prepare the images for training; see `catclf.training.make_examples`."""
        return RemoteExamples(self, feature_map, memory)


class RemoteExamples(Examples):
    """Examples whose rows are on the workers, in the blocks of the images."""

    remote = True

    def __init__(self, images: RemoteImages, feature_map: FeatureMap, memory: float) -> None:
        self._cluster, self._slices = images.cluster, images.slices
        self.m, self.n_x = len(images), feature_map.n_x
        self.mean, self.scale = None, feature_map.divisor
        self._labelled: tuple[Array, Array, Recoverable] | None = None
        if self.scale is not None:
            self._blocks, self._size = images.blocks, images.block_rows
            self.memory = memory - images.nbytes
            return

        def make() -> list[Any]:
            work = self._cluster.put(partial(_make_features, feature_map))
            futures = self._cluster.map(work, images.blocks.futures())
            images.stop_caching()  # each is dropped when its features are made
            return futures

        self._blocks, self._size = Recoverable(self._cluster, make), rows_of_block(4 * self.n_x)
        self.memory = memory - 4 * self.n_x * self.m

    def add_up(self, work: Work, Y: Array, sample_weight: Array, *parameters: Any) -> Sums:
        def ask() -> list[Any]:
            add_up = partial(_add_up, self._size, self.mean, self.scale, work, parameters)
            blocks, labels = self._blocks.futures(), self._labels(Y, sample_weight)
            sums = self._cluster.map(self._cluster.put(add_up), blocks, labels)
            while len(sums) > 1:
                several = [sums[i : i + FAN_IN] for i in range(0, len(sums), FAN_IN)]
                sums = self._cluster.map(_total, several)
            return sums

        sums: Sums
        (sums,) = self._cluster.results(ask)
        return sums

    def forward(self, w: Array, b: Array | float) -> Array:
        def ask() -> list[Any]:
            score = partial(_forward, self._size, self.mean, self.scale, w, b)
            return self._cluster.map(self._cluster.put(score), self._blocks.futures())

        return np.concatenate(self._cluster.results(ask), axis=1)

    def matrix(self) -> Array:
        rows = np.concatenate(self._cluster.results(self._blocks.futures))
        return Examples(rows, self.mean, self.scale).matrix()

    def _labels(self, Y: Array, sample_weight: Array) -> list[Any]:
        """Send Y and sample_weight to where the blocks are, unless they are there already."""
        if (
            self._labelled is None
            or self._labelled[0] is not Y
            or self._labelled[1] is not sample_weight
        ):
            labels = [(Y[:, part], sample_weight[:, part]) for part in self._slices]

            def make() -> list[Any]:
                return self._cluster.map(_keep, self._blocks.futures(), labels)

            self._labelled = Y, sample_weight, Recoverable(self._cluster, make)
        return self._labelled[2].futures()


def _digest(Y: NDArray[np.int64]) -> bytes:
    return hashlib.sha256(Y.astype(np.uint8).tobytes()).digest()


def _rows_of(files: Sequence[RemoteFile], lengths: Sequence[int], part: slice) -> list[Rows]:
    """Say which rows of which files a part of the whole is."""
    rows, first = [], 0
    for file, length in zip(files, lengths, strict=True):
        start, stop = max(part.start - first, 0), min(part.stop - first, length)
        if start < stop:
            rows.append((file, start, stop))
        first += length
    return rows


# What workers do.


def _read(block: list[Rows]) -> NDArray[np.uint8]:
    """Read the images of a block."""
    images = []
    for file, start, stop in block:
        try:
            modified = os.stat(file.path).st_mtime_ns
            images.append(_open(file, modified).images[start:stop])
        except (OSError, DataError) as error:
            from socket import gethostname

            reason = f"{file.path}: {error.strerror}" if isinstance(error, OSError) else error
            raise DataError(
                f"{reason}; DATA must be at this path on all machines, {gethostname()} too"
            ) from error
    return images[0] if len(images) == 1 else np.concatenate(images)


@lru_cache(OPEN_FILES)
def _open(file: RemoteFile, modified: int) -> Dataset:
    """Open a file on a worker, once while it stays as it is: the time is for the cache to know."""
    settings: dict[str, Any] = {"cat_class": file.cat_class, "trust": file.trust}
    dataset = load_dataset(file.path, split=file.split, memory=0, **settings)
    if _digest(dataset.Y) != file.labels:
        raise DataError(f"{file.path}: another file than where the command was given")
    return dataset


def _make_features(feature_map: FeatureMap, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = np.empty((len(images), feature_map.n_x), np.float32)
    for part in block_slices(images, BATCH):
        rows[part] = feature_map.transform(images[part]).T
    return rows


def _keep(rows: NDArray[Any], labels: tuple[Array, Array]) -> tuple[Array, Array]:
    """Give a block's Y and sample_weight; that they take its rows keeps them on the same worker."""
    return labels


def _add_up(
    size: int,
    mean: Any,
    scale: Any,
    work: Work,
    parameters: tuple[Any, ...],
    rows: NDArray[Any],
    labels: tuple[Array, Array],
) -> Sums:
    Y, sample_weight = labels
    return total(
        Examples(rows[part], mean, scale).add_up_slices(
            work, Y[:, part], sample_weight[:, part], *parameters
        )
        for part in block_slices(rows, size)
    )


def _total(several: list[Sums]) -> Sums:
    first = tuple(part.copy() for part in several[0])  # it may be asked for again
    return total([first, *several[1:]])


def _forward(size: int, mean: Any, scale: Any, w: Array, b: Any, rows: NDArray[Any]) -> Array:
    blocks = (Examples(rows[part], mean, scale) for part in block_slices(rows, size))
    return np.concatenate([block.forward_slices(w, b) for block in blocks], axis=1)
