"""Images → HDF5 files of the course's layout."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common.files import FileKind
from catclf.common.hdf5 import import_h5py
from catclf.common.types import IMAGE_SIZE
from catclf.data.dataset import CLASSES, Split
from catclf.errors import OutputError

HDF5_FILE = FileKind(
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


def write_hdf5(
    path: str | os.PathLike[str], examples: Iterable[Example], split: Split = "train"
) -> int:
    """Write examples as they come, one at least: each an image uint8 (64, 64, 3) and its label.

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
    count = 0
    chunks = _chunks(examples)
    first = next(chunks)  # before a file is opened: the images may turn out unusable
    with (
        HDF5_FILE.replacing(path) as temporary,
        open(temporary.name, "r+b", buffering=0) as file,
        _Writer(file, split) as writer,
    ):
        for chunk in chain([first], chunks):
            writer.write(chunk)
            count += len(chunk.labels)
    return count


class _Chunk(NamedTuple):
    """CHUNK images, fewer at the end, as the file holds them; and their labels, 1 for a cat."""

    data: bytes
    labels: list[int]


def _chunks(examples: Iterable[Example]) -> Iterator[_Chunk]:
    """Compress examples as HDF5's own filter would, a last chunk made up by black images."""
    rest = iter(examples)
    while batch := list(islice(rest, CHUNK)):
        block = np.zeros((CHUNK, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        block[: len(batch)] = [image for image, _ in batch]
        yield _Chunk(zlib.compress(block.data, LEVEL), [y for _, y in batch])


class _Writer:
    """Writes chunks, in a thread of its own.

    In the main thread Ctrl-C would be raised within HDF5, which crashes the process. Of all that
    one can wait for, SimpleQueue alone stays sound when Ctrl-C is raised in it.
    """

    def __init__(self, file: FileIO, split: Split) -> None:
        self._disk, self._split = _Disk(file), split
        self._chunks: SimpleQueue[_Chunk | None] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()  # whether the thread can take another
        self._ended = False
        self._error: Exception | None = None

    def write(self, chunk: _Chunk) -> None:
        """Wait until the chunk is written; raise what kept it from being so."""
        self._chunks.put(chunk)
        if not self._answers.get() and self._error is not None:
            raise self._error

    def __enter__(self) -> _Writer:
        Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until the thread has left HDF5, and raise Ctrl-C and the like only then."""
        interrupt: BaseException | None = None
        while not self._ended:
            try:
                self._chunks.put(None)
                with suppress(Empty):
                    self._answers.get(timeout=0.5)
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt
        if kind is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._write_file()
        except Exception as error:
            self._error = error
        self._error = self._disk.problem or self._error
        self._ended = True
        self._answers.put(False)

    def _write_file(self) -> None:
        shape = IMAGE_SIZE, IMAGE_SIZE, 3
        labels: list[int] = []
        with import_h5py().File(self._disk, "w") as file:
            x = file.create_dataset(
                f"{self._split}_set_x",
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=np.uint8,
                chunks=(CHUNK, *shape),
                compression="gzip",  # a shuffle before it does nothing to single bytes
                compression_opts=LEVEL,
            )
            for chunk in iter(self._chunks.get, None):
                start = len(labels)
                labels += chunk.labels
                x.resize(len(labels), axis=0)
                x.id.write_direct_chunk((start, 0, 0, 0), chunk.data)
                if self._disk.problem is not None:
                    return
                self._answers.put(True)
            file[f"{self._split}_set_y"] = np.array(labels, dtype=np.int64)
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
