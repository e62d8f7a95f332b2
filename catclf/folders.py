"""Folders with a sub-folder per class → `Dataset`; and the files in a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf import threads
from catclf.dataset import (
    CAT_NAMES,
    CLASSES,
    IMAGE_SIZE,
    MAX_FILE_BYTES,
    Dataset,
    Progress,
    Split,
    Taken,
)
from catclf.errors import DataError, NotAnImageError

if TYPE_CHECKING:
    from catclf.features import Taker

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".avif",
    ".heic", ".heif", ".tif", ".tiff",
])  # fmt: skip
"""What a file is called that is meant to be an image."""
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")


def load_folder(
    folder: Path,
    split: Split,
    cat_class: str | None,
    max_bytes: int,
    progress: Progress | None,
    feature_map: Taker | None = None,
) -> Dataset:
    """Read a folder of classes; parameters as in `catclf.datasets.load_dataset`."""
    found = ClassFolders(folder, split, cat_class)
    images = np.empty((len(found.files), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    labels, paths, sizes = [], [], []
    X: list[NDArray[np.float32]] = []
    for i, photo in enumerate(found.photos(progress, max_bytes, feature_map)):
        images[i] = photo.image
        labels.append(photo.y)
        paths.append(str(photo.path))
        sizes.append(photo.size)
        if photo.x is not None:
            X.append(photo.x)
    return Dataset(
        images[: len(labels)],
        np.array(labels, dtype=np.int64).reshape(1, -1),
        CLASSES,
        folder.resolve().name,
        tuple(paths),
        notes=found.notes(),
        sizes=tuple(sizes),
        unreadable=tuple(found.unreadable),
        taken=Taken(feature_map.settings(), np.stack(X, axis=1)) if feature_map else None,
    )


class Photo(NamedTuple):
    """An image uint8 (64, 64, 3), its label, its file, and its original's width and height.

    Where a map took features of the image before it was shrunk, x float32 (n_x,) are these.
    """

    image: NDArray[np.uint8]
    y: int
    path: Path
    size: tuple[int, int]
    x: NDArray[np.float32] | None = None


class ClassFolders:
    """The files in a folder of classes, to be read one after another.

    Attributes
    ----------
    files : list of (Path, int)
        Each file with its label, cats first.
    unreadable : list of str
        The files that turned out damaged so far, each with the reason.
    """

    def __init__(self, folder: Path, split: Split, cat_class: str | None) -> None:
        self.folder = folder
        self.files: list[tuple[Path, int]] = []
        self.unreadable: list[str] = []
        self._skipped: Counter[str] = Counter()
        self._per_folder: Counter[Path] = Counter()
        self._subs = _class_folders(folder, split, cat_class, self._skipped)
        for sub, y in self._subs:
            for path, kind in _entries(sub):
                if kind == "file":
                    self.files.append((path, y))
                else:
                    self._skipped["nested folder" if kind == "folder" else kind] += 1

    def photos(
        self,
        progress: Progress | None = None,
        max_bytes: int = MAX_FILE_BYTES,
        feature_map: Taker | None = None,
    ) -> Iterator[Photo]:
        """Read the images; raise DataError at the end if there was none."""
        from catclf.images import load_sized, thumbnail

        def one(path: Path, y: int) -> Photo:
            if feature_map is None:
                image, size = load_sized(path, max_bytes=max_bytes)
                return Photo(image, y, path, size)
            image, size = load_sized(path, size=feature_map.image_size, max_bytes=max_bytes)
            x = feature_map.transform(image[None])[:, 0]
            return Photo(thumbnail(image), y, path, size, x)

        def read(batch: list[tuple[Path, int]]) -> list[Photo | DataError]:
            found: list[Photo | DataError] = []
            for path, y in batch:
                try:
                    found.append(one(path, y))
                except DataError as error:
                    found.append(error)
            return found

        results = chain.from_iterable(threads.ordered(read, threads.batches(self.files)))
        for done, ((path, _), found) in enumerate(zip(self.files, results, strict=True), 1):
            if isinstance(found, Photo):
                self._per_folder[path.parent] += 1
                yield found
            elif isinstance(found, NotAnImageError) and not meant_as_image(path):
                self._skipped["not an image"] += 1
            else:
                self.unreadable.append(f"{path}: {found}")
            if progress is not None:
                progress(done, len(self.files))
        if not self._per_folder:
            raise DataError(f"{self.folder}: its class folders hold no image that can be read")

    def notes(self) -> tuple[str, ...]:
        """Tell what was read and what was skipped, a line each."""
        lines = [f"{CLASSES[y]}: {sub.name} ({self._per_folder[sub]})" for sub, y in self._subs]
        if self._skipped:
            kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(self._skipped.items()))
            lines.append(f"skipped: {kinds}")
        return (*lines, *(f"skipped {line}" for line in self.unreadable))


def _class_folders(
    folder: Path, split: Split, cat_class: str | None, skipped: Counter[str]
) -> list[tuple[Path, int]]:
    """List the class folders with their label, cats first."""
    subs = []
    for path, kind in _entries(folder):
        if kind == "folder":
            subs.append(path)
        else:
            skipped["outside the class folders" if kind == "file" else kind] += 1
    splits = [sub.name for sub in subs if sub.name.casefold() in SPLIT_NAMES]
    if splits:
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)}, not classes; "
            f"name one of them: {folder / _closest(splits, split)}"
        )
    wanted = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    labelled = [(sub, int(sub.name.casefold() in wanted)) for sub in subs]
    labelled.sort(key=lambda pair: -pair[1])
    found = ", ".join(sub.name for sub in subs)
    if not any(y for _, y in labelled):
        if not subs:
            raise DataError(f"{folder}: holds no folders; expected one sub-folder per class")
        called = "cat or cats" if cat_class is None else repr(cat_class)
        raise DataError(
            f"{folder}: no sub-folder is called {called}; found {found}; "
            "name the one that holds the cats with --cat-class"
        )
    return labelled


def _closest(names: list[str], split: Split) -> str:
    return next((name for name in names if name.casefold().startswith(split)), names[0])


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
        else:
            yield path, _kind(entry)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "link to a folder" if entry.is_symlink() else "folder"
        return "file" if entry.is_file() else "not a regular file"
    except OSError:  # links that lead round in a circle
        return "not a regular file"


def meant_as_image(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is meant to be an image, so that one unread is missed."""
    return os.path.splitext(path)[1].casefold() in IMAGE_SUFFIXES


def walk_files(folder: Path) -> Iterator[Path | DataError]:
    """List the files in a folder and all below it, but for hidden ones and links to folders.

    A folder that cannot be listed comes as the error that tells of it.
    """
    levels = [iter([(folder, "folder")])]
    while levels:
        try:
            path, kind = next(levels[-1])
        except StopIteration:
            levels.pop()
        except DataError as error:
            levels.pop()
            yield error
        else:
            if kind == "folder":
                levels.append(_entries(path))
            elif kind == "file":
                yield path
