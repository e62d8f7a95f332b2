"""Arrays that are read in blocks when they are asked for, and how much may stay in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, TypeVar
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.threads import ordered
from catclf.errors import DataError, OutputError, ParameterError

R = TypeVar("R")

BLOCK_BYTES = 12 * 2**20
"""So much is read at a time at most, unless a single chunk of a file is larger."""
FAN_IN = 4
"""So many sums of blocks are added up at a time, then as many of those, and so on: a fixed tree."""
MOST_ROWS = FAN_IN**5
"""A block has so many rows, or a smaller power of FAN_IN, so that trees over blocks are alike."""
READERS = 2
"""So many threads read ahead, by twice as many blocks at most."""


class LazyArray:
    """An array (m, ...) whose rows are read, from a file for one, when they are asked for.

    It is indexed as an array is: by a number, a slice, or an array of numbers or of truth values.

    Parameters
    ----------
    read : callable
        read(start, stop) → those rows.
    shape : tuple of int
    dtype : dtype
    multiple : int
        A block has a multiple of so many rows, such as are compressed together.

    Attributes
    ----------
    block_rows : int
        How many rows are read at a time.
    cache_bytes : int
        How many bytes of blocks may stay in memory once they are read; those at the front.
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
        self.block_rows = rows_of_block(self.row_bytes, multiple)
        self.cache_bytes = 0
        self._cache: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for _, block in in_blocks(self):
            yield from block

    @property
    def nbytes(self) -> int:
        return self.shape[0] * self.row_bytes

    def stop_caching(self) -> None:
        """Keep nothing in memory, from now on."""
        self.cache_bytes = 0
        self._cache.clear()

    def map_blocks(self, work: Callable[[NDArray[Any]], R]) -> Iterator[R]:
        """Give what `work` makes of each block, in order."""
        return (work(block) for _, block in in_blocks(self))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if isinstance(index, int | np.integer):
            row = range(len(self))[int(index)]
            first = row - row % self.block_rows
            image: NDArray[Any] = self._block(first)[row - first]
            return image
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            first = start - start % self.block_rows
            if step == 1 and start < stop <= first + self.block_rows:
                return self._block(first)[start - first : stop - first]
        rows = np.arange(len(self))[index]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for first in sorted(set((rows - rows % self.block_rows).tolist())):
            here = (first <= rows) & (rows < first + self.block_rows)
            out[here] = self._block(first)[rows[here] - first]
        return out

    def _block(self, start: int) -> NDArray[Any]:
        cached = self._cache.get(start)
        if cached is not None:
            return cached
        block = self._read(start, min(start + self.block_rows, len(self)))
        if (start + len(block)) * self.row_bytes <= self.cache_bytes:
            self._cache[start] = block
        return block


Rows = NDArray[Any] | LazyArray


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Put arrays one after another; what is on disk stays there."""
    if not any(isinstance(part, LazyArray) for part in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    lengths = [len(part) for part in parts]
    firsts = np.cumsum([0, *lengths]).tolist()

    def read(start: int, stop: int) -> NDArray[Any]:
        pieces = [
            part[max(start - first, 0) : stop - first]
            for part, first, length in zip(parts, firsts, lengths, strict=False)
            if start < first + length and first < stop
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    return LazyArray(read, (firsts[-1], *parts[0].shape[1:]), parts[0].dtype)


def mirror(images: Rows) -> Rows:
    """Give images (m, 64, 64, 3) left to right."""
    if not isinstance(images, LazyArray):
        return images[:, :, ::-1]
    return LazyArray(lambda start, stop: images[start:stop][:, :, ::-1], images.shape, images.dtype)


def rows_of_block(row_bytes: int, multiple: int = 1) -> int:
    """Say how many rows a block has, of so many bytes each: a power of FAN_IN, or a multiple."""
    rows = MOST_ROWS
    while rows > 1 and rows * row_bytes > BLOCK_BYTES:
        rows //= FAN_IN
    return max(1, rows // multiple) * multiple


def block_slices(rows: Rows, size: int | None = None) -> Iterator[slice]:
    """Divide the rows into blocks, of a size if given; each is read by itself, by any thread."""
    if size is None:
        size = rows.block_rows if isinstance(rows, LazyArray) else rows_of_block(rows[:1].nbytes)
    for start in range(0, len(rows), size):
        yield slice(start, min(start + size, len(rows)))


def in_blocks(rows: Rows) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Go through the rows in blocks; the next of a LazyArray are read while one is in use."""
    threads = READERS if isinstance(rows, LazyArray) else 1
    yield from ordered(lambda part: (part, rows[part]), block_slices(rows), threads)


def map_blocks(work: Callable[[NDArray[Any]], R], rows: Rows) -> Iterator[R]:
    """Give what `work` makes of each block of the rows, in order, wherever the block is."""
    if isinstance(rows, LazyArray):
        return rows.map_blocks(work)
    return (work(block) for _, block in in_blocks(rows))


def spill_to_disk(blocks: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> LazyArray:
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
        with suppress(OSError):
            file.close()
        raise OutputError(
            f"the temporary file for features cannot be written ({error.strerror}); "
            "name a folder with more room in TMPDIR"
        ) from error

    lock = Lock()

    def read(start: int, stop: int) -> NDArray[Any]:
        rows = np.empty((stop - start, *shape[1:]), dtype)
        with lock:
            file.seek(start * array.row_bytes)
            if file.readinto(rows.data) != rows.nbytes:
                raise DataError("the temporary file for features was cut short")
        return rows

    array = LazyArray(read, shape, dtype)
    finalize(array, file.close)
    return array


UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
LITTLE = 20_000_000
"""So many bytes of images fit anywhere, and what is made of them too."""
UNKNOWN = 2 * 10**9
"""So many bytes are taken to be available where the system does not say."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def parse_size(text: str | None) -> int | None:
    """Read a size such as 500MB or 2GB, in bytes; None stays None.

    Raises
    ------
    ParameterError
        If it is none, or below a megabyte.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().casefold())
    size = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not 1e6 <= size < 1e18:
        raise ParameterError(f"memory is a size from 1MB, such as 500MB or 2GB, not {text!r}")
    return int(size)


def available() -> int:
    """Estimate how many bytes can be taken without swapping, within the limit of a container."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError):
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if match:
            sizes = [int(match[1]) * 1024]
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or the word max
            sizes.append(int(Path(limit).read_text()))
    return max(min(sizes, default=UNKNOWN), 0)


def budget(size: float | None, needed: float) -> float:
    """Give the bytes that data may take in memory: `size`, else half of what there is.

    The system is asked only if so much is `needed` that it may matter.
    """
    if size is not None:
        return size
    return available() // 2 if needed > LITTLE else inf
