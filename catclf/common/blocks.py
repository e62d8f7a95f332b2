"""Arrays that stay on disk and are read in blocks, of which some are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, TypeVar
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.threads import ordered
from catclf.errors import DataError, OutputError

R = TypeVar("R")

BLOCK_BYTES = 12 * 2**20
"""The most that is read at a time, unless a single chunk of a file is larger."""
FAN_IN = 4
"""Sums of blocks that are added up at a time, and then of those, and so on: a fixed tree."""
MOST_ROWS = FAN_IN**5
"""Of a block; a block of fewer has another power of FAN_IN, so that trees over them are alike."""
READERS = 2
"""Threads that read ahead; with twice as many blocks at most."""


class Stored:
    """An array (m, ...) whose rows are read when they are asked for.

    It is indexed as an array is: by a number, a slice, or an array of numbers or of truth values.

    Parameters
    ----------
    read : callable
        read(start, stop) → those rows.
    shape : tuple of int
    dtype : dtype
    multiple : int
        A block has a multiple of so many rows, such as are stored together.

    Attributes
    ----------
    keep : int
        How many bytes of blocks may stay in memory once they are read; those at the front.
    bytes_read : int
        How much has been read so far.
    """

    def __init__(
        self,
        read: Callable[[int, int], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: Any = np.uint8,
        multiple: int = 1,
    ) -> None:
        self._read, self.shape, self.dtype = read, shape, np.dtype(dtype)
        self.row_bytes: int = int(np.prod(shape[1:])) * self.dtype.itemsize
        self.rows = rows_of_block(self.row_bytes, multiple)
        self.keep = self.bytes_read = 0
        self._kept: dict[int, NDArray[Any]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for _, block in in_blocks(self):
            yield from block

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.shape[0] * self.row_bytes

    def forget(self) -> None:
        """Keep nothing in memory, from now on."""
        self.keep = 0
        self._kept.clear()

    def each(self, work: Callable[[NDArray[Any]], R]) -> Iterator[R]:
        """Give what `work` makes of each block, in order."""
        return (work(block) for _, block in in_blocks(self))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        m = len(self)
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(m)
            firsts = range(start - start % self.rows, stop, self.rows)
            if len(firsts) == 1:
                return self._block(firsts[0])[start - firsts[0] : stop - firsts[0]]
            out = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
            for first in firsts:
                begin, end = max(start, first), min(stop, first + self.rows)
                out[begin - start : end - start] = self._block(first)[begin - first : end - first]
            return out
        if isinstance(index, int | np.integer):
            row = range(m)[int(index)]
            found: NDArray[Any] = self._block(row - row % self.rows)[row % self.rows]
            return found
        wanted = np.arange(m)[index]
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        blocks = wanted // self.rows
        for number in np.unique(blocks):
            here = blocks == number
            first = int(number) * self.rows
            out[here] = self._block(first)[wanted[here] - first]
        return out

    def _block(self, start: int) -> NDArray[Any]:
        kept = self._kept.get(start)
        if kept is not None:
            return kept
        block = self._read(start, min(start + self.rows, len(self)))
        with self._lock:
            self.bytes_read += block.nbytes
        if (start + len(block)) * self.row_bytes <= self.keep:
            self._kept[start] = block
        return block


Rows = NDArray[Any] | Stored


def joined(parts: Sequence[Rows]) -> Rows:
    """Put arrays one after another; what is on disk stays there."""
    if not any(isinstance(part, Stored) for part in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    ends = np.cumsum([len(part) for part in parts])

    def read(start: int, stop: int) -> NDArray[Any]:
        found = [
            part[max(start - (end - len(part)), 0) : stop - (end - len(part))]
            for part, end in zip(parts, ends.tolist(), strict=True)
            if start < end and stop > end - len(part)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)

    return Stored(read, (int(ends[-1]), *parts[0].shape[1:]), parts[0].dtype)


def mirrored(images: Rows) -> Rows:
    """Give images (m, 64, 64, 3) left to right."""
    if not isinstance(images, Stored):
        return images[:, :, ::-1]
    return Stored(lambda start, stop: images[start:stop][:, :, ::-1], images.shape, images.dtype)


def rows_of_block(row_bytes: int, multiple: int = 1) -> int:
    """Say how many rows a block has, of so many bytes each: a power of FAN_IN, or a multiple."""
    rows = MOST_ROWS
    while rows > 1 and rows * row_bytes > BLOCK_BYTES:
        rows //= FAN_IN
    return max(1, rows // multiple) * multiple


def pieces(rows: Rows, size: int | None = None) -> Iterator[slice]:
    """Divide the rows into blocks, of a size if given; each is read by itself, by any thread."""
    if size is None:
        size = rows.rows if isinstance(rows, Stored) else rows_of_block(rows[:1].nbytes)
    for start in range(0, len(rows), size):
        yield slice(start, min(start + size, len(rows)))


def in_blocks(rows: Rows) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Go through the rows in blocks; of what is stored, the next are read while one is in use."""
    threads = READERS if isinstance(rows, Stored) else 1
    yield from ordered(lambda part: (part, rows[part]), pieces(rows), threads)


def each(work: Callable[[NDArray[Any]], R], rows: Rows) -> Iterator[R]:
    """Give what `work` makes of each block of the rows, in order, wherever the block is."""
    if isinstance(rows, Stored):
        return rows.each(work)
    return (work(block) for _, block in in_blocks(rows))


def store(blocks: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> Stored:
    """Write blocks of rows to a nameless temporary file, which is gone with the process.

    Raises
    ------
    OutputError
        If there is no room for it.
    """
    file = TemporaryFile()  # noqa: SIM115  # closed with what reads it
    try:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)
        file.flush()
    except OSError as error:
        raise OutputError(
            f"the temporary file for features cannot be written ({error.strerror}); "
            "name a folder with more room in TMPDIR"
        ) from error

    lock = Lock()

    def read(start: int, stop: int) -> NDArray[Any]:
        rows = np.empty((stop - start, *shape[1:]), dtype)
        with lock:
            file.seek(start * stored.row_bytes)
            if file.readinto(rows.data) != rows.nbytes:
                raise DataError("the temporary file for features was cut short")
        return rows

    stored = Stored(read, shape, dtype)
    finalize(stored, file.close)
    return stored
