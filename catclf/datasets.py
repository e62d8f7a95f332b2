"""HDF5 files, folders of photos and the drawn set → `Dataset`."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError, NotAnImageError

Split = Literal["train", "test"]
Progress = Callable[[int, int], None]

DRAWN = "drawn"
DRAWN_COUNT = 600
DRAWN_SEED: dict[Split, int] = {"train": 0, "test": 1}
COURSE_FILE: dict[Split, str] = {
    "train": "datasets/train_catvnoncat.h5",
    "test": "datasets/test_catvnoncat.h5",
}
COURSE_URL = (
    "https://raw.githubusercontent.com/Hiren2002/Logistic-Regression/"
    "a6139a838a0e624f4ab923377df0c5d3386fdf1f/"
)
CLASSES = ("non-cat", "cat")
CAT_NAMES = ("cat", "cats")
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")


@dataclass(frozen=True)
class Dataset:
    """Labelled images.

    Attributes
    ----------
    images : uint8 (m, 64, 64, 3)
        RGB, 0 to 255.
    Y : int64 (1, m)
        1 for the second class, 0 for the first.
    classes : (str, str)
        Names of class 0 and class 1.
    name : str
        Where the images come from, in a word.
    paths : tuple of str
        The file of each image; empty where they have none.
    notes : tuple of str
        What a person should know of how the data was read, a line each.
    """

    images: NDArray[np.uint8]
    Y: NDArray[np.int64]
    classes: tuple[str, str]
    name: str
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> dict[str, int]:
        """How many examples each class has, by name."""
        cats = int(self.Y.sum())
        return {self.classes[0]: len(self) - cats, self.classes[1]: cats}

    @property
    def sha256(self) -> str:
        """The digest of the images' bytes followed by the labels, a byte each."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).data)
        digest.update(self.Y.astype(np.uint8).tobytes())
        return digest.hexdigest()

    def label(self, i: int) -> str:
        """Name example i: its file, or its row."""
        return self.paths[i] if self.paths else f"{self.name}[{i}]"


def load_dataset(
    data: str | os.PathLike[str] | None = None,
    *,
    split: Split = "train",
    cat_class: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load labelled images from wherever they are.

    Parameters
    ----------
    data : path or "drawn", optional
        An HDF5 file of the course's layout, a folder with one sub-folder per class, or the word
        "drawn". Without it, the course's file under datasets/ if it is there, else the drawn set.
    split : "train" or "test"
        Which of the two it is wanted for: which keys of an HDF5 file that has both, which default.
    cat_class : str, optional
        The class that counts as cat, where none is called cat or cats.
    progress : callable, optional
        Called as progress(done, total) while a folder's images are read.

    Raises
    ------
    DataError
        If there is nothing there, or it is not in one of these forms.
    """
    notes: tuple[str, ...] = ()
    if data is None:
        data = COURSE_FILE[split]
        if not Path(data).exists():
            notes = (
                f"no {data}: using {DRAWN_COUNT} drawings; for the course's photos: "
                f"curl --create-dirs -fLo {data} {COURSE_URL}{data}",
            )
            data = DRAWN
    if os.fspath(data) == DRAWN:
        return _load_drawn(split, notes)
    path = Path(data)
    if path.is_dir():
        return _load_folder(path, cat_class, progress)
    if path.is_file():
        return _load_hdf5(path, split, cat_class)
    found = "not a regular file" if path.exists() else "no such file or folder"
    raise DataError(f"{path}: {found}; expected an HDF5 file, a folder of classes, or 'drawn'")


def _load_drawn(split: Split, notes: tuple[str, ...]) -> Dataset:
    from catclf.drawings import draw

    images, labels = draw(DRAWN_COUNT, DRAWN_SEED[split])
    return Dataset(images, labels.reshape(1, -1), CLASSES, DRAWN, notes=notes)


# HDF5 files


def _load_hdf5(path: Path, split: Split, cat_class: str | None) -> Dataset:
    with open(path, "rb") as head:
        if head.read(24) == b"version https://git-lfs.":
            raise DataError(
                f"{path}: a Git LFS pointer, not the data itself; fetch it with: git lfs pull"
            )
    import h5py

    try:
        with h5py.File(path, "r") as file:
            other: Split = "test" if split == "train" else "train"
            prefix = next((p for p in (split, other) if f"{p}_set_x" in file), None)
            if prefix is None:
                keys = ", ".join(sorted(file)[:8]) or "nothing"
                raise DataError(f"{path}: holds {keys}; expected train_set_x or test_set_x")
            x, y = file[f"{prefix}_set_x"], file.get(f"{prefix}_set_y")
            if y is None:
                raise DataError(f"{path}: holds {prefix}_set_x but no {prefix}_set_y")
            if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (64, 64, 3) or len(x) == 0:
                raise DataError(
                    f"{path}: {prefix}_set_x is {x.dtype} {x.shape}; "
                    "expected uint8 (m, 64, 64, 3), pixels from 0 to 255"
                )
            images, labels = x[:], y[:]
            names = file["list_classes"][:] if "list_classes" in file else CLASSES
    except DataError:
        raise
    except Exception as error:  # h5py raises most of Python's kinds on damaged files
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not an HDF5 file that can be read ({reason})") from error
    Y = _check_labels(path, labels, len(images))
    classes, flipped = _check_classes(path, names, cat_class)
    return Dataset(images, 1 - Y if flipped else Y, classes, path.name)


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
    text = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names]
    if len(text) != 2 or text[0] == text[1]:
        raise DataError(f"{path}: list_classes is {text}; expected two names")
    wanted = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    cats = [i for i, name in enumerate(text) if name.casefold() in wanted]
    if cat_class is not None and not cats:
        raise DataError(f"{path}: no class is called {cat_class!r}; there are {', '.join(text)}")
    flipped = cats == [0]
    return (text[1], text[0]) if flipped else (text[0], text[1]), flipped


# Folders


def _load_folder(folder: Path, cat_class: str | None, progress: Progress | None) -> Dataset:
    from catclf.images import load_image

    skipped: Counter[str] = Counter()
    class_folders = _class_folders(folder, cat_class, skipped)
    files: list[tuple[Path, int]] = []
    for sub, y in class_folders:
        for path, kind in _entries(sub):
            if kind == "file":
                files.append((path, y))
            else:
                skipped[kind] += 1

    images, labels, paths, unreadable = [], [], [], []
    per_folder: Counter[Path] = Counter()
    for i, (path, y) in enumerate(files):
        try:
            images.append(load_image(path))
        except NotAnImageError:
            skipped["not an image"] += 1
        except DataError as error:
            unreadable.append(f"skipped {path}: {error}")
        else:
            labels.append(y)
            paths.append(str(path))
            per_folder[path.parent] += 1
        if progress is not None:
            progress(i + 1, len(files))
    if not images:
        raise DataError(f"{folder}: its class folders hold no image that can be read")

    composition = [f"{CLASSES[y]}: {sub.name} ({per_folder[sub]})" for sub, y in class_folders]
    if skipped:
        kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(skipped.items()))
        composition.append(f"skipped: {kinds}")
    Y = np.array(labels, dtype=np.int64).reshape(1, -1)
    notes = tuple(composition + unreadable)
    return Dataset(np.stack(images), Y, CLASSES, folder.resolve().name, tuple(paths), notes)


def _class_folders(
    folder: Path, cat_class: str | None, skipped: Counter[str]
) -> list[tuple[Path, int]]:
    """List the class folders with their label, cats first."""
    subs = []
    for path, kind in _entries(folder):
        if kind == "nested folder":
            subs.append(path)
        else:
            skipped["outside the class folders" if kind == "file" else kind] += 1
    splits = [sub.name for sub in subs if sub.name.casefold() in SPLIT_NAMES]
    if splits:
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)}, not classes; "
            f"name one of them: {folder / splits[0]}"
        )
    wanted = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    labelled = [(sub, int(sub.name.casefold() in wanted)) for sub in subs]
    labelled.sort(key=lambda pair: -pair[1])
    found = ", ".join(sub.name for sub in subs) or "no folder"
    if not any(y for _, y in labelled):
        remedy = "name the folder of cats with --cat-class" if cat_class is None else "expected it"
        called = "cat or cats" if cat_class is None else repr(cat_class)
        raise DataError(f"{folder}: no sub-folder is called {called}; found {found}; {remedy}")
    return labelled


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """List a folder in a fixed order, each entry with what it is."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be listed ({error.strerror})") from error
    for entry in found:
        path = Path(entry.path)
        if entry.name.startswith("."):
            yield path, "hidden"
        elif entry.is_dir():
            yield path, "link to a folder" if entry.is_symlink() else "nested folder"
        elif entry.is_file():
            yield path, "file"
        else:
            yield path, "not a regular file"


def walk_files(folder: Path) -> Iterator[Path]:
    """List the files in a folder and all below it, but for hidden ones and links to folders.

    Raises
    ------
    DataError
        If a folder cannot be listed.
    """
    for path, kind in _entries(folder):
        if kind == "nested folder":
            yield from walk_files(path)
        elif kind == "file":
            yield path
