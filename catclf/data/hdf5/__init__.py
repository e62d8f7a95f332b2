"""HDF5 files → `Dataset`: the course's layout, and what is like it; `writer` writes such files.

The file comes from strangers: its structure is checked by `catclf.common.hdf5` before h5py, and so
HDF5's library, opens it, and its sizes before memory is taken. `layout` tells which arrays it is.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import LazyArray, rows_of_block
from catclf.common.files import HEAD_BYTES, describe_content, is_locked, open_regular
from catclf.common.hdf5 import Structure, StructureError, import_h5py
from catclf.common.hdf5.storage import MAX_CHUNK, ArrayInfo, check_storage, describe_array
from catclf.common.text import LONGEST_NAME
from catclf.common.types import IMAGE_SIZE
from catclf.data.dataset import CLASSES, CatClass, Dataset, Split, find_cats
from catclf.data.folders import list_names
from catclf.data.hdf5.layout import check_shapes, choose_keys
from catclf.errors import DataError

MAX_RATIO = 200
"""An array may be so many times larger than its file, and so may its images be as 64 × 64."""
LARGE, MAX_RATIO_OF_LARGE = 256 * 2**20, 20
"""An array of more bytes than LARGE may be so many times larger."""
DAMAGED = (KeyError, RuntimeError, TypeError, ValueError)
"""Besides OSError, h5py raises these for damaged files."""
SAMPLE = 50
"""From so many images the range of numbers of another type is told."""
MOST_CLASSES = 1000
SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 3)
NOT_DATA = {
    "an empty file": "fetch it again",
    "a Git LFS pointer": "fetch the data with: git lfs pull",
    "a web page": "fetch the file that it is about (on GitHub: Raw)",
    "an archive": "unpack it, and name what was in it",
    "a catclf model": "name it with --model",
    "a NumPy file": "store its arrays by h5py: f['train_set_x'] = x; f['train_set_y'] = y",
    "a MATLAB file of before version 7.3": "save it again with: save('data.mat', '-v7.3')",
    "an ONNX network": "take features from it with --features onnx:PATH",
    "an image": "name the folder that holds one sub-folder per class; of one photo: catclf predict",
}
"""What to do with files of other kinds, as `describe_content` calls them."""


def load_hdf5(path: Path, split: Split, cat_class: CatClass, trust: bool = False) -> Dataset:
    """Read a file, but for its images, which are read, and resized, whenever they are used.

    Parameters are as in `catclf.data.load.load_dataset`. With images that are resized comes the
    size that they had.
    """
    try:
        with ExitStack() as opened:
            file = open_regular(path)
            opened.callback(_close, file)
            structure = Structure(file)
            x, y = choose_keys(path, structure, split)
            others = [key for key in ("list_classes", "source") if key in structure.members]
            arrays = {key: describe_array(structure, key) for key in (x, y, *others)}
            check_shapes(path, x, y, arrays[x], arrays[y])
            _check_names(path, arrays, arrays[x].shape[0])
            if not trust:
                _check_sizes(path, arrays, x, structure.size)
            for key in arrays:
                check_storage(structure, key, inflated_later=key == x)
            file.seek(0)
            images, labels, names, sources = _open_arrays(path, file, x, y, arrays, opened)
    except (OSError, StructureError) as error:
        raise _unreadable(path, error) from error
    text = [_text(name) for name in names]
    labels, classes, cats = _name_classes(path, labels.reshape(-1), text, cat_class)
    notes = []
    if guessed := not (x.endswith("_set_x") and y.endswith("_set_y")):
        notes.append(f"images are {x!r}, labels {y!r}")
    if guessed or (not cat_class and find_cats(classes, None)[1]):
        other = (text or ["0", "1"])[1 - cats[0]] if not cat_class and len(text) <= 2 else ""
        swap = f"; --cat-class {shlex.quote(other)} swaps" if other else ""
        notes.append(f"label {' or '.join(map(str, cats))} counts as cat{swap}")
    height, width = arrays[x].shape[1:3]
    if resized := arrays[x].shape[1:] != SHAPE:
        how = "resized to 64 × 64 as photos are" if (height, width) != SHAPE[:2] else "grey"
        notes.append(f"{x}, {arrays[x]}, is {how}")
    return Dataset(
        images,
        labels.reshape(1, -1),
        classes,
        path.name,
        groups=tuple(map(_text, sources)),
        notes=tuple(f"{path.name}: {note}" for note in notes),
        sizes=((width, height),) * len(images) if resized else (),
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    """Say what a file is that could not be read, and what to do."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    with suppress(OSError), open_regular(path) as file:
        if is_locked(file):
            return DataError(f"{path}: open in another program, which writes it; close it there")
        kind = describe_content(file.read(HEAD_BYTES))
        if kind not in ("", "an HDF5 file"):
            remedy = NOT_DATA.get(kind, "expected an HDF5 file or a folder of photos")
            return DataError(f"{path}: {kind}, not a data set; {remedy}")
    if isinstance(error, StructureError) and len(error.args) > 1:
        return DataError(f"{path}: {error.args[0]}; {error.args[1].format(path=str(path))}")
    remedy = "" if isinstance(error, OSError) else "; fetch it again, or write it anew"
    return DataError(f"{path}: not an HDF5 file that can be read ({reason}){remedy}")


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
            most = MAX_CHUNK // (prod(array.shape[1:]) * array.dtype.itemsize)
            sample = array[: max(1, min(SAMPLE, most))]
            raise DataError(f"{path}: {x} is {arrays[x]}; {_remedy(sample)}")
        names = hdf5["list_classes"][...] if "list_classes" in arrays else ()
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

    at_once, size = array.chunks[0] if array.chunks else 1, prod(array.shape[1:])
    # Images to be resized may be large: not all of a block are read at once.
    step = max(rows_of_block(size), min(at_once, MAX_CHUNK // size))

    def read_resized(start: int, stop: int) -> NDArray[Any]:
        parts = [_resize(read(at, min(at + step, stop))) for at in range(start, stop, step)]
        return np.concatenate(parts)

    reading = read if array.shape[1:] == SHAPE else read_resized
    images = LazyArray(reading, (len(array), *SHAPE), np.uint8, at_once)
    finalize(images, opened.pop_all().close)
    return images, labels, names, sources


def _resize(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink or enlarge images (m, height, width), or (..., 1) or (..., 3), as photos are."""
    from catclf.data.images import shrink

    size = pixels.shape[1:3]
    colours = pixels.reshape(len(pixels), *size, -1)
    return np.stack([shrink(image) for image in np.broadcast_to(colours, (len(pixels), *size, 3))])


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
        skipped, chunk = array.id.read_direct_chunk((at, *(0 for _ in array.shape[1:])))
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


def _check_names(path: Path, arrays: dict[str, ArrayInfo], m: int) -> None:
    names, sources = arrays.get("list_classes"), arrays.get("source")
    if names and not (
        len(names.shape) == 1
        and 2 <= names.shape[0] <= MOST_CLASSES
        and (names.is_text or names.dtype[0] in "ui")
    ):
        raise DataError(f"{path}: list_classes is {names}; expected a name for each class")
    if sources and not (sources.shape == (m,) and sources.is_text):
        raise DataError(f"{path}: source is {sources}; expected {m} names")
    for array in (names, sources):
        if array and array.itemsize > LONGEST_NAME:
            raise DataError(f"{path}: names of {array.itemsize} bytes")


def _check_sizes(path: Path, arrays: dict[str, ArrayInfo], x: str, size: int) -> None:
    checked = [(array.nbytes, MAX_RATIO_OF_LARGE, key) for key, array in arrays.items()]
    checked.append((arrays[x].shape[0] * prod(SHAPE), MAX_RATIO, x))  # what they are resized to
    for nbytes, ratio_of_large, key in checked:
        ratio = MAX_RATIO if nbytes <= LARGE else ratio_of_large
        if nbytes > ratio * size:
            raise DataError(
                f"{path}: {key} is {arrays[key]}, {nbytes / size:.0f} times the size of the file; "
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


def _name_classes(
    path: Path, labels: NDArray[Any], text: Sequence[str], cat_class: CatClass
) -> tuple[NDArray[np.int64], tuple[str, str], list[int]]:
    """Turn labels into 1 for cats and 0; name both classes; tell which numbers counted as cats."""
    if len(set(text)) < len(text) or any(len(name) > LONGEST_NAME for name in text):
        raise DataError(f"{path}: list_classes is {str(text)[:100]}; expected different names")
    values = np.array(sorted(set(labels.tolist())))  # np.unique takes long to load
    count = len(text) or 2
    if not text and len(values) > 2 and values[0] == 0:
        count = int(np.nan_to_num(values[-1]).clip(1, MOST_CLASSES - 1)) + 1
    if not np.isin(values, range(count)).all():
        expected = "0 and 1 only" if count == 2 else f"0 to {count - 1}"
        shown = ", ".join(f"{value:g}" for value in values[:5])
        mend = "; store y - 1" if values[0] == 1 else ""
        if len(values) == 2:
            mend = f"; store y > {max(values[0], 0):g}"
        raise DataError(f"{path}: labels are {shown}; expected {expected}{mend}")
    numbers = [str(i) for i in range(count)]
    known = text or (CLASSES if count == 2 else numbers)
    is_cat, missing = find_cats(known, cat_class)
    if missing and not find_cats(numbers, cat_class)[1]:
        is_cat, missing = find_cats(numbers, cat_class)
    if missing or all(is_cat):
        if cat_class or count > 2:
            problem = f"no class is called {' or '.join(missing)}" if missing else "all are cats"
            raise DataError(
                f"{path}: {problem}; there are {list_names([repr(name) for name in known])}; "
                "name those that are cats with --cat-class"
            )
        is_cat = [0, 1]
    Y = np.array(is_cat)[labels.astype(np.int64)]
    cats = [i for i, y in enumerate(is_cat) if y]
    if cat_class or count > 2 or not text:
        return Y, CLASSES, cats
    return Y, (text[1 - cats[0]], text[cats[0]]), cats


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
