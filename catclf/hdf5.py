"""HDF5 files of the course's layout → `Dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.dataset import CAT_NAMES, CLASSES, Dataset, Split
from catclf.errors import DataError


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
