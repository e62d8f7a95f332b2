"""HDF5 files of the course's layout → `Dataset`; `writer` writes them.

The file comes from strangers: its structure is checked by `catclf.common.hdf5` before h5py, and so
HDF5's library, opens it, and its sizes before memory is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import LazyArray
from catclf.common.files import is_lfs_pointer, open_regular
from catclf.common.hdf5 import Structure, StructureError, import_h5py
from catclf.common.hdf5.storage import VARIABLE_TEXT, ArrayInfo, check_storage, describe_array
from catclf.common.text import LONGEST_NAME
from catclf.data.dataset import CLASSES, CatClass, Dataset, Split, find_cats
from catclf.errors import DataError

MAX_RATIO = 200
"""An array may be so many times larger than its file."""
LARGE, MAX_RATIO_OF_LARGE = 256 * 2**20, 20
"""An array of more bytes than LARGE may be so many times larger."""
DAMAGED = (KeyError, RuntimeError, TypeError, ValueError)
"""Besides OSError, h5py raises these for damaged files."""
SAMPLE = 50
"""From so many images the range of numbers of another type is told."""


def load_hdf5(path: Path, split: Split, cat_class: CatClass, trust: bool = False) -> Dataset:
    """Read a file of the course's layout, but for its images, which are read when they are used.

    Parameters are as in `catclf.data.load.load_dataset`.
    """
    try:
        with ExitStack() as opened:
            file = open_regular(path)
            opened.callback(_close, file)
            if is_lfs_pointer(file.read(64)):
                raise DataError(
                    f"{path}: a Git LFS pointer, not the data itself; fetch it with: git lfs pull"
                )
            structure = Structure(file)
            x, y = _choose_keys(path, set(structure.members), split)
            keys = [x, y, *(key for key in ("list_classes", "source") if key in structure.members)]
            arrays = {key: describe_array(structure, key) for key in keys}
            _check_shapes(path, arrays, x, y)
            if not trust:
                _check_sizes(path, arrays, structure.size)
            for key in keys:
                check_storage(structure, key)
            file.seek(0)
            images, labels, names, sources = _open_arrays(path, file, x, y, arrays, opened)
    except (OSError, StructureError) as error:
        raise _unreadable(path, error) from error
    if not np.isin(labels, (0, 1)).all():
        values = ", ".join(f"{value:g}" for value in np.unique(labels)[:5])
        raise DataError(f"{path}: labels are {values}; expected 0 and 1 only")
    Y = labels.astype(np.int64).reshape(1, -1)
    classes, swapped = _name_classes(path, names, cat_class)
    groups = tuple(_text(source) for source in sources) if len(sources) == len(images) else ()
    return Dataset(images, 1 - Y if swapped else Y, classes, path.name, groups=groups)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{path}: not an HDF5 file that can be read ({reason})")


def _choose_keys(path: Path, members: set[str], split: Split) -> tuple[str, str]:
    """Name the arrays of images and labels: those of the split, or of the other if it has none."""
    other = "test" if split == "train" else "train"
    prefix = next((p for p in (split, other) if f"{p}_set_x" in members), None)
    if prefix is None:
        keys = ", ".join(map(repr, sorted(members)[:8])) or "nothing"
        raise DataError(f"{path}: holds {keys}; expected train_set_x or test_set_x")
    x, y = f"{prefix}_set_x", f"{prefix}_set_y"
    if y not in members:
        raise DataError(f"{path}: holds no arrays {x} and {y}")
    return x, y


def _open_arrays(
    path: Path, file: BinaryIO, x: str, y: str, arrays: dict[str, ArrayInfo], opened: ExitStack
) -> tuple[LazyArray, NDArray[Any], Sequence[Any], Sequence[Any]]:
    """Have HDF5 open the file; give images, labels, names of classes and sources.

    What is opened is closed when nothing refers to the images any more.
    """
    try:
        hdf5 = import_h5py().File(file, "r")
        opened.callback(_close, hdf5)
        array = hdf5[x]
        if array.dtype != "uint8":
            raise DataError(f"{path}: {x} is {arrays[x]}; {_remedy(array[:SAMPLE])}")
        names = hdf5["list_classes"][...] if "list_classes" in arrays else CLASSES
        sources = hdf5["source"][...] if "source" in arrays else ()
        labels = hdf5[y][...]
    except DAMAGED as error:
        raise StructureError(str(error)) from error
    # HDF5's library does one thing at a time, inflating included; zlib does not wait for others.
    simple = (
        array.chunks is not None
        and array.chunks[1:] == array.shape[1:]
        and (array.compression, array.shuffle, array.fletcher32) == ("gzip", False, False)
    )

    def read(start: int, stop: int) -> NDArray[Any]:
        try:
            rows: NDArray[Any] = _inflate(array, start, stop) if simple else array[start:stop]
        except (OSError, *DAMAGED) as error:
            raise _unreadable(path, error) from error
        return rows

    images = LazyArray(read, array.shape, np.uint8, array.chunks[0] if array.chunks else 1)
    finalize(images, opened.pop_all().close)
    return images, labels, names, sources


def _close(file: Any) -> None:
    with suppress(OSError, *DAMAGED):  # nothing was written
        file.close()


def _inflate(array: Any, start: int, stop: int) -> NDArray[np.uint8]:
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
    whole = np.frombuffer(data, np.uint8).reshape(-1, *array.shape[1:])
    return whole[start - first : stop - first]


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
    for key, n, count in (("list_classes", 2, "two"), ("source", m, str(m))):
        array = arrays.get(key)
        if array is None:
            continue
        if array.shape != (n,) or not (array.dtype[0] == "S" or array.dtype == VARIABLE_TEXT):
            raise DataError(f"{path}: {key} is {array}; expected {count} names")
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
    scales = [(0, 255, "x")]
    if pixels.dtype.kind == "f":
        scales = [(0, 1, "(255 * x)"), (-1, 1, "(127.5 * (x + 1))"), *scales]
    for least, most, scaled in scales:
        if least <= low and high <= most:
            how = f"store them as uint8, {scaled}.round().astype('uint8')"
            return f"they go from {least} to {most}: {how}"
    return f"they go from {low:g} to {high:g}; expected uint8 from 0 to 255"


def _name_classes(path: Path, names: Any, cat_class: CatClass) -> tuple[tuple[str, str], bool]:
    """Name the two classes, cat second, and tell whether the labels must be swapped for that."""
    text = [_text(name) for name in names]
    if text[0] == text[1] or max(map(len, text)) > LONGEST_NAME:
        raise DataError(f"{path}: list_classes is {str(text)[:100]}; expected two names")
    labels, missing = find_cats(text, cat_class)
    if cat_class and (missing or all(labels)):
        problem = f"no class is called {' or '.join(missing)}" if missing else "both are cats"
        raise DataError(f"{path}: {problem}; there are {', '.join(map(repr, text))}")
    swapped = labels == [1, 0]
    return (text[1], text[0]) if swapped else (text[0], text[1]), swapped


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
