"""HDF5 files of the course's layout → `Dataset`, and images → such files; the only user of h5py."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from itertools import chain, islice
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import files
from catclf.dataset import CAT_NAMES, CLASSES, IMAGE_SIZE, Dataset, Split
from catclf.errors import DataError, OutputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK = 16
"""Images that are compressed together."""
BLOCK = 256
"""Images that are written at a time; three such blocks are in memory at most."""

Example = tuple[NDArray[np.uint8], int]


def load_hdf5(path: Path, split: Split, cat_class: str | None) -> Dataset:
    try:
        with open(path, "rb") as head:
            if head.read(24) == b"version https://git-lfs.":
                raise DataError(
                    f"{path}: a Git LFS pointer, not the data itself; fetch it with: git lfs pull"
                )
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
    import h5py

    try:
        with h5py.File(path, "r") as file:
            other: Split = "test" if split == "train" else "train"
            prefix = next((p for p in (split, other) if f"{p}_set_x" in file), None)
            if prefix is None:
                keys = ", ".join(sorted(file)[:8]) or "nothing"
                raise DataError(f"{path}: holds {keys}; expected train_set_x or test_set_x")
            x, y = file[f"{prefix}_set_x"], file.get(f"{prefix}_set_y")
            if not isinstance(x, h5py.Dataset) or not isinstance(y, h5py.Dataset):
                raise DataError(f"{path}: holds no arrays {prefix}_set_x and {prefix}_set_y")
            if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (64, 64, 3) or len(x) == 0:
                raise DataError(
                    f"{path}: {prefix}_set_x is {x.dtype} {x.shape}; "
                    "expected uint8 (m, 64, 64, 3), pixels from 0 to 255"
                )
            images, labels = x[:], y[:]
            sources = file["source"][:] if "source" in file else ()
            names = file["list_classes"][:] if "list_classes" in file else CLASSES
    except DataError:
        raise
    except Exception as error:  # h5py raises most of Python's kinds on damaged files
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not an HDF5 file that can be read ({reason})") from error
    Y = _check_labels(path, labels, len(images))
    classes, flipped = _check_classes(path, names, cat_class)
    groups = tuple(_text(source) for source in sources) if len(sources) == len(Y[0]) else ()
    return Dataset(images, 1 - Y if flipped else Y, classes, path.name, groups=groups)


def _check_labels(path: Path, labels: NDArray[Any], m: int) -> NDArray[np.int64]:
    if labels.dtype.kind not in "buif" or labels.shape not in ((m,), (1, m), (m, 1)):
        raise DataError(
            f"{path}: labels are {labels.dtype} {labels.shape}; expected {m} numbers, 0 or 1"
        )
    if not np.isin(labels, (0, 1)).all():
        found = ", ".join(f"{value:g}" for value in np.unique(labels)[:5])
        raise DataError(f"{path}: labels are {found}; expected 0 and 1 only")
    return labels.astype(np.int64).reshape(1, m)


def _check_classes(path: Path, names: Any, cat_class: str | None) -> tuple[tuple[str, str], bool]:
    """Name the two classes, cat second, and tell whether the labels must be swapped for that."""
    text = [_text(name) for name in names]
    if len(text) != 2 or text[0] == text[1]:
        raise DataError(f"{path}: list_classes is {text}; expected two names")
    wanted = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    cats = [i for i, name in enumerate(text) if name.casefold() in wanted]
    if cat_class is not None and not cats:
        raise DataError(f"{path}: no class is called {cat_class!r}; there are {', '.join(text)}")
    flipped = cats == [0]
    return (text[1], text[0]) if flipped else (text[0], text[1]), flipped


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if an HDF5 file could not, or should not, be written to `path`.

    What is there already is replaced only if it is an HDF5 file, or empty.
    """
    try:
        files.check_writable(path)
        if os.path.exists(path):
            with open(path, "rb") as file:
                head = file.read(len(SIGNATURE))
            if head not in (b"", SIGNATURE):
                raise OSError("what is there is no HDF5 file; name another file")
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_hdf5(
    path: str | os.PathLike[str],
    examples: Iterable[Example],
    split: Split = "train",
) -> int:
    """Write images uint8 (64, 64, 3), one at least, with their labels, 1 for a cat, as they come.

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
    check_target(path)
    rest = iter(examples)
    count = 0
    try:
        with (
            files.replacing(path) as temporary,
            open(temporary.name, "r+b", buffering=0) as file,
        ):
            writer = _Writer(file, split)
            writer.start()
            try:
                while writer.problem is None and (block := list(islice(rest, BLOCK))):
                    writer.take(block)
                    count += len(block)
            finally:
                writer.finish()
            if writer.problem is not None:
                raise writer.problem
    except OSError as error:
        raise _cannot_write(path, error) from error
    return count


class _Writer(Thread):
    """A thread that writes blocks of examples as they come, until one is empty.

    In the main thread Ctrl-C would be raised within HDF5, which crashes the process.
    """

    def __init__(self, file: FileIO, split: Split) -> None:
        super().__init__(daemon=True)
        self.problem: Exception | None = None
        self.done = Event()  # join() cannot be relied on once Ctrl-C has interrupted it
        self._file, self._split = file, split
        self._blocks: Queue[list[Example]] = Queue(maxsize=1)

    def take(self, block: list[Example]) -> None:
        """Wait until the block can be taken, or the thread has ended."""
        while not self.done.is_set():
            with suppress(Full):
                self._blocks.put(block, timeout=0.5)
                return

    def finish(self) -> None:
        """Wait for the last block, which takes a moment; Ctrl-C and the like are raised then."""
        interrupted: BaseException | None = None
        while not self.done.is_set():
            try:
                self.take([])
                self.done.wait()
            except BaseException as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def run(self) -> None:
        blocks = iter(self._blocks.get, [])
        disk = _Disk(self._file)
        try:
            for first in blocks:  # nothing is open before there is something to write
                _write_blocks(disk, chain([first], blocks), self._split)
        except Exception as error:
            self.problem = error
        self.problem = disk.problem or self.problem
        self.done.set()


def _write_blocks(disk: _Disk, blocks: Iterable[list[Example]], split: Split) -> None:
    import h5py

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
            compression_opts=4,
        )
        for block in blocks:
            if disk.problem is not None:
                return
            start = len(labels)
            labels += [y for _, y in block]
            x.resize(len(labels), axis=0)
            x[start:] = np.stack([image for image, _ in block])
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


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> OutputError:
    reason = error.strerror or error
    return OutputError(f"{os.fspath(path)}: the data cannot be written ({reason})")
