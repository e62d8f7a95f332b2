"""Images → HDF5 files of the course's layout."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common.files import FileKind
from catclf.common.hdf5 import import_h5py
from catclf.common.image_size import IMAGE_SIZE
from catclf.data.dataset import CLASSES, Split
from catclf.errors import OutputError

HDF5_FILE = FileKind(
    "data",
    OutputError,
    rb"\x89HDF\r\n\x1a\n",
    "what is there is no HDF5 file; name another file",
)
CHUNK = 16
"""Images that are compressed together."""
LEVEL = 4
"""Of compression; higher ones gain nothing on photos."""


class Chunk(NamedTuple):
    """CHUNK images, fewer at the end, as the file holds them; and their labels, 1 for a cat."""

    data: bytes
    labels: list[int]


def compress(images: Sequence[NDArray[np.uint8]]) -> bytes:
    """Compress up to CHUNK images, made up to as many by black ones, as HDF5's own filter would."""
    block = np.zeros((CHUNK, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    block[: len(images)] = images
    return zlib.compress(block.data, LEVEL)


def write_hdf5(
    path: str | os.PathLike[str], chunks: Iterable[Chunk], split: Split = "train"
) -> int:
    """Write chunks of images, one at least, as they come.

    The file appears whole or not at all, and little of it is in memory at any time.

    Returns
    -------
    int
        How many images there were.

    Raises
    ------
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    count = 0
    with (
        HDF5_FILE.replacing(path) as temporary,
        open(temporary.name, "r+b", buffering=0) as file,
    ):
        writer = _Writer(file, split)
        writer.start()
        try:
            for chunk in chunks:
                if writer.problem is not None:
                    break
                writer.take(chunk)
                count += len(chunk.labels)
        finally:
            writer.finish()
        if writer.problem is not None:
            raise writer.problem
    return count


class _Writer(Thread):
    """A thread that writes chunks as they come, until there is none.

    In the main thread Ctrl-C would be raised within HDF5, which crashes the process.
    """

    def __init__(self, file: FileIO, split: Split) -> None:
        super().__init__(daemon=True)
        self.problem: Exception | None = None
        self.ended = False
        self._file, self._split = file, split
        # Of all that can be waited for, these alone stay sound when Ctrl-C is raised in them.
        self._chunks: SimpleQueue[Chunk | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(16):
            self._room.put(None)

    def take(self, chunk: Chunk) -> None:
        """Wait until there is room for the chunk, or the thread has ended."""
        while not self.ended:
            with suppress(Empty):
                self._room.get(timeout=0.5)
                self._chunks.put(chunk)
                return

    def finish(self) -> None:
        """Wait for the last chunk, which takes a moment; Ctrl-C and the like are raised then."""
        interrupted: BaseException | None = None
        while not self.ended:
            try:
                self._chunks.put(None)
                with suppress(Empty):
                    self._room.get(timeout=0.5)
            except BaseException as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def run(self) -> None:
        disk = _Disk(self._file)
        try:
            chunks = self._taken()
            first = next(chunks, None)
            if first is not None:  # nothing is open before there is something to write
                _write_chunks(disk, chain([first], chunks), self._split)
        except Exception as error:
            self.problem = error
        self.problem = disk.problem or self.problem
        self.ended = True
        self._room.put(None)

    def _taken(self) -> Iterator[Chunk]:
        for chunk in iter(self._chunks.get, None):
            self._room.put(None)
            yield chunk


def _write_chunks(disk: _Disk, chunks: Iterable[Chunk], split: Split) -> None:
    h5py = import_h5py()

    side = IMAGE_SIZE
    labels: list[int] = []
    with h5py.File(disk, "w") as file:
        x = file.create_dataset(
            f"{split}_set_x",
            shape=(0, side, side, 3),
            maxshape=(None, side, side, 3),
            dtype=np.uint8,
            chunks=(CHUNK, side, side, 3),
            compression="gzip",  # a shuffle before it does nothing to single bytes
            compression_opts=LEVEL,
        )
        for chunk in chunks:
            if disk.problem is not None:
                return
            start = len(labels)
            labels += chunk.labels
            x.resize(len(labels), axis=0)
            x.id.write_direct_chunk((start, 0, 0, 0), chunk.data)
        file[f"{split}_set_y"] = np.array(labels, dtype=np.int64)
        file["list_classes"] = np.array([name.encode() for name in CLASSES])


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
