"""Images → HDF5 files of the course's layout."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from catclf.common import interruption
from catclf.common.files import OutputFormat
from catclf.common.hdf5 import import_h5py
from catclf.common.types import IMAGE_SIZE
from catclf.data.dataset import CLASSES, Split
from catclf.errors import OutputError

HDF5_FILE = OutputFormat(
    "data",
    OutputError,
    rb"\x89HDF\r\n\x1a\n",
    "what is there is no HDF5 file; name another file",
)
CHUNK = 16
"""Images are compressed by so many together."""
LEVEL = 4
"""How hard zlib tries; higher levels gain nothing on photos."""

Example = tuple[NDArray[np.uint8], int]
"""An image uint8 (64, 64, 3), and its label: 1 for a cat, else 0."""
Chunk = tuple[bytes, list[int]]
"""CHUNK images, fewer at the end, as the file holds them; and their labels, 1 for a cat."""


def write_hdf5(
    path: str | os.PathLike[str],
    examples: Iterable[Example],
    split: Split = "train",
) -> int:
    """Write examples as they come, one at least.

    The file appears whole or not at all, and little of it is in memory at any time.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    HDF5_FILE.check(path)  # before any image is read
    chunks = _compress(examples)
    first = next(chunks)  # before a file is opened: the images may turn out unusable
    with (
        HDF5_FILE.replacing(path) as temporary,
        open(temporary.name, "r+b", buffering=0) as file,
        interruption.delayed() as stops,  # an exception within HDF5 would crash the process
    ):
        return _write(_Disk(file), chain([first], chunks), split, stops)


def _compress(examples: Iterable[Example]) -> Iterator[Chunk]:
    """Compress examples as HDF5's own filter would, a last chunk made up by black images."""
    rest = iter(examples)
    while batch := list(islice(rest, CHUNK)):
        block = np.zeros((CHUNK, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        block[: len(batch)] = [image for image, _ in batch]
        yield zlib.compress(block.data, LEVEL), [y for _, y in batch]


def _write(disk: _Disk, chunks: Iterable[Chunk], split: Split, stops: list[int]) -> int:
    """Write chunks until there is a stop; give how many images there were."""
    shape = IMAGE_SIZE, IMAGE_SIZE, 3
    labels: list[int] = []
    try:
        with import_h5py().File(disk, "w") as file:
            x = file.create_dataset(
                f"{split}_set_x",
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=np.uint8,
                chunks=(CHUNK, *shape),
                compression="gzip",  # a shuffle before it does nothing to single bytes
                compression_opts=LEVEL,
            )
            for data, more in chunks:
                x.resize(len(labels) + len(more), axis=0)
                x.id.write_direct_chunk((len(labels), 0, 0, 0), data)
                labels += more
                if stops or disk.problem is not None:
                    break
            file[f"{split}_set_y"] = np.array(labels, dtype=np.int64)
            file["list_classes"] = np.array([name.encode() for name in CLASSES])
    finally:
        if disk.problem is not None:
            raise disk.problem
    return len(labels)


class _Disk:
    """A file that takes whatever HDF5 writes, and keeps to itself that it could not be written.

    HDF5 crashes at exit after a write that failed, on a full disk say; whoever uses this asks for
    the `problem` afterwards.
    """

    def __init__(self, file: FileIO) -> None:
        self.problem: OSError | None = None
        self.seek, self.tell = file.seek, file.tell
        self.read, self.readinto = file.read, file.readinto
        self._file = file

    def write(self, data: memoryview) -> int:
        left = data
        try:
            while len(left) and self.problem is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.problem = error
        return len(data)

    def truncate(self, size: int) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.problem = self.problem or error
            return size

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
