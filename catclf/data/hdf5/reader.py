"""HDF5 files of the course's layout → `Dataset`.

The file comes from strangers: its structure is checked by `catclf.common.hdf5`
before h5py, and so HDF5's library, opens it, and its sizes before memory is taken.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Stored
from catclf.common.files import is_lfs_pointer, open_regular
from catclf.common.hdf5 import import_h5py
from catclf.common.hdf5.storage import VARIABLE_TEXT, ArrayInfo, check_storage, describe_array
from catclf.common.hdf5.structure import Structure, StructureError
from catclf.common.text import LONGEST_NAME
from catclf.data.dataset import CAT_NAMES, CLASSES, Dataset, Split
from catclf.errors import DataError

MAX_RATIO = 200
"""How much larger than its file an array may be."""
LARGE, MAX_RATIO_OF_LARGE = 256 * 2**20, 20
"""An array of more bytes than this may not be as much larger."""
DAMAGED = (KeyError, RuntimeError, TypeError, ValueError)
"""What h5py raises of damaged files, besides OSError."""
SAMPLE = 50
"""Images from which the range of numbers of another type is told."""


def load_hdf5(path: Path, split: Split, cat_class: str | None, trust: bool = False) -> Dataset:
    """Read a file of the course's layout, but for its images, which are read when they are used.

    Parameters are as in `catclf.data.load.load_dataset`.
    """
    try:
        file = open_regular(path)
        try:
            images, labels, names, sources = _read(path, file, split, trust)
        except BaseException:
            file.close()
            raise
    except (OSError, StructureError) as error:
        raise _unreadable(path, error) from error
    Y = _check_labels(path, labels, len(images))
    classes, flipped = _check_classes(path, names, cat_class)
    groups = tuple(_text(source) for source in sources) if len(sources) == len(Y[0]) else ()
    return Dataset(images, 1 - Y if flipped else Y, classes, path.name, groups=groups)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{path}: not an HDF5 file that can be read ({reason})")


def _read(path: Path, file: BinaryIO, split: Split, trust: bool) -> tuple[Stored, Any, Any, Any]:
    if is_lfs_pointer(file.read(64)):
        raise DataError(
            f"{path}: a Git LFS pointer, not the data itself; fetch it with: git lfs pull"
        )
    structure = Structure(file)
    held = structure.members
    other: Split = "test" if split == "train" else "train"
    prefix = next((p for p in (split, other) if f"{p}_set_x" in held), None)
    if prefix is None:
        keys = ", ".join(map(repr, sorted(held)[:8])) or "nothing"
        raise DataError(f"{path}: holds {keys}; expected train_set_x or test_set_x")
    x, y = f"{prefix}_set_x", f"{prefix}_set_y"
    if y not in held:
        raise DataError(f"{path}: holds no arrays {x} and {y}")
    extras = [key for key in ("list_classes", "source") if key in held]
    arrays = {key: describe_array(structure, key) for key in (x, y, *extras)}
    _check_shapes(path, arrays, x, y)
    if not trust:
        _check_sizes(path, arrays, structure.size)
    for key in arrays:
        check_storage(structure, key)

    h5py = import_h5py()
    file.seek(0)
    try:
        opened = h5py.File(file, "r")
        try:
            if arrays[x].dtype != "uint8":
                raise DataError(f"{path}: {x} is {arrays[x]}; {_remedy(opened[x][:SAMPLE])}")
            names, sources = (
                opened[key][...] if key in extras else default
                for key, default in (("list_classes", CLASSES), ("source", ()))
            )
            return _stored(path, file, opened, x), opened[y][...], names, sources
        except BaseException:
            opened.close()
            raise
    except DAMAGED as error:
        raise StructureError(str(error)) from error


def _stored(path: Path, file: BinaryIO, opened: Any, key: str) -> Stored:
    """Leave an array in its file, which is closed when nothing refers to the array any more."""
    array = opened[key]

    def read(start: int, stop: int) -> NDArray[Any]:
        try:
            rows: NDArray[Any] = inflated(array, start, stop) if simple else array[start:stop]
        except (OSError, *DAMAGED) as error:
            raise _unreadable(path, error) from error
        return rows

    # HDF5's library does one thing at a time, inflating included; zlib does not wait for others.
    simple = (
        array.chunks is not None
        and array.chunks[1:] == array.shape[1:]
        and (array.compression, array.shuffle, array.fletcher32) == ("gzip", False, False)
    )

    def close() -> None:
        with suppress(OSError):  # nothing was written
            opened.close()
            file.close()

    stored = Stored(read, array.shape, np.uint8, array.chunks[0] if array.chunks else 1)
    finalize(stored, close)
    return stored


def inflated(array: Any, start: int, stop: int) -> NDArray[np.uint8]:
    """Read rows of an array in compressed chunks of whole rows."""
    rows = array.chunks[0]
    size = int(np.prod(array.chunks))
    first = start - start % rows
    data = bytearray()
    for at in range(first, stop, rows):
        skipped, chunk = array.id.read_direct_chunk((at, 0, 0, 0))
        inflate = zlib.decompressobj()
        try:
            part = inflate.decompress(chunk, size + 1)  # however much there may be
        except zlib.error:
            part = b""
        if skipped or len(part) != size or not inflate.eof:
            raise ValueError("a chunk that cannot be inflated")
        data += part
    found = np.frombuffer(data, np.uint8).reshape(-1, *array.shape[1:])
    return found[start - first : stop - first]


def _check_shapes(path: Path, arrays: dict[str, ArrayInfo], x: str, y: str) -> None:
    shape = arrays[x].shape
    if len(shape) != 4 or shape[1:] != (64, 64, 3) or shape[0] == 0:
        raise DataError(
            f"{path}: {x} is {arrays[x]}; expected uint8 (m, 64, 64, 3), pixels from 0 to 255"
        )
    if arrays[x].dtype[0] not in "uif":
        raise DataError(f"{path}: {x} is {arrays[x]}; expected uint8, pixels from 0 to 255")
    m = shape[0]
    if arrays[y].dtype[0] not in "uifb" or arrays[y].shape not in ((m,), (1, m), (m, 1)):
        raise DataError(f"{path}: {y} is {arrays[y]}; expected {m} numbers, 0 or 1")
    for key, n in (("list_classes", 2), ("source", m)):
        array = arrays.get(key)
        if array is None:
            continue
        if array.shape != (n,) or not (array.dtype[0] == "S" or array.dtype == VARIABLE_TEXT):
            raise DataError(f"{path}: {key} is {array}; expected {'two' if n == 2 else n} names")
        if array.itemsize > LONGEST_NAME:
            raise DataError(f"{path}: {key} has names of {array.itemsize} bytes")


def _check_sizes(path: Path, arrays: dict[str, ArrayInfo], size: int) -> None:
    for key, array in arrays.items():
        ratio = MAX_RATIO if array.nbytes <= LARGE else MAX_RATIO_OF_LARGE
        if array.nbytes > ratio * size:
            raise DataError(
                f"{path}: {key} is {array}, {array.nbytes / size:.0f} times the size of the file; "
                f"at most {ratio} times is read; --trust reads it all the same"
            )


def _remedy(pixels: NDArray[Any]) -> str:
    """Say what to do with pixels of another type."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "some are not finite; expected uint8 from 0 to 255"
    if pixels.dtype.kind == "f" and low >= 0 and high <= 1:
        return "they go from 0 to 1: store them as uint8, (255 * x).round().astype('uint8')"
    if pixels.dtype.kind == "f" and low >= -1 and high <= 1:
        return (
            "they go from -1 to 1: store them as uint8, (127.5 * (x + 1)).round().astype('uint8')"
        )
    if low >= 0 and high <= 255:
        return "they go from 0 to 255: store them as uint8, x.round().astype('uint8')"
    return f"they go from {low:g} to {high:g}; expected uint8 from 0 to 255"


def _check_labels(path: Path, labels: NDArray[Any], m: int) -> NDArray[np.int64]:
    if not np.isin(labels, (0, 1)).all():
        found = ", ".join(f"{value:g}" for value in np.unique(labels)[:5])
        raise DataError(f"{path}: labels are {found}; expected 0 and 1 only")
    return labels.astype(np.int64).reshape(1, m)


def _check_classes(path: Path, names: Any, cat_class: str | None) -> tuple[tuple[str, str], bool]:
    """Name the two classes, cat second, and tell whether the labels must be swapped for that."""
    text = [_text(name) for name in names]
    if text[0] == text[1] or max(map(len, text)) > LONGEST_NAME:
        raise DataError(f"{path}: list_classes is {str(text)[:100]}; expected two names")
    wanted = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    cats = [i for i, name in enumerate(text) if name.casefold() in wanted]
    if cat_class is not None and not cats:
        raise DataError(
            f"{path}: no class is called {cat_class!r}; there are {', '.join(map(repr, text))}"
        )
    flipped = cats == [0]
    return (text[1], text[0]) if flipped else (text[0], text[1]), flipped


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
