"""Folders with a sub-folder per class → `Dataset`; and the files in a folder."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common import threads
from catclf.common.blocks import budget
from catclf.common.types import IMAGE_SIZE, FeatureExtractor, Progress
from catclf.data.dataset import CAT_NAMES, CLASSES, Dataset, Features, Split
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.errors import DataError, NotAnImageError

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".avif",
    ".heic", ".heif", ".tif", ".tiff",
])  # fmt: skip
"""What the name of a file ends in that is meant to be an image."""
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether there is a folder; raise DataError if it is not allowed to look there, say."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null character in the name
        return False
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{os.fspath(path)}: it cannot be read ({reason})") from error


def load_folder(
    folder: Path,
    split: Split,
    cat_class: str | None,
    max_bytes: int,
    memory: float | None,
    feature_map: FeatureExtractor | None,
    progress: Progress | None,
) -> Dataset:
    """Read a folder of classes; parameters as in `catclf.data.load.load_dataset`."""
    reader = FolderReader(folder, split, cat_class)
    n, n_x = len(reader.files), feature_map.n_x if feature_map else 0
    needed = n * (3 * IMAGE_SIZE**2 + 4 * n_x)
    allowed = budget(memory, needed)
    if needed > allowed:  # before any photo is read
        small = feature_map is None or feature_map.image_size == (IMAGE_SIZE, IMAGE_SIZE)
        convert = f"convert it first: catclf data convert {folder} out.h5"
        raise DataError(
            f"{folder}: {n} images take {needed / 1e6:.4g} MB of memory, and "
            f"{allowed / 1e6:.4g} MB is for data; "
            + (convert if small else "allow more with --memory")
        )
    images = np.empty((n, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    rows = np.empty((n, n_x), dtype=np.float32)
    labels, paths, sizes = [], [], []
    for i, photo in enumerate(reader.photos(progress, max_bytes, feature_map)):
        images[i] = photo.image
        labels.append(photo.y)
        paths.append(str(photo.path))
        sizes.append(photo.size)
        if photo.features is not None:
            rows[i] = photo.features
    m = len(labels)
    dataset = Dataset(
        images[:m],
        np.array(labels, dtype=np.int64).reshape(1, m),
        CLASSES,
        folder.resolve().name,
        tuple(paths),
        notes=reader.notes(),
        sizes=tuple(sizes),
        unreadable=tuple(reader.unreadable),
        features=Features(feature_map.settings(), rows[:m]) if feature_map else None,
    )
    return dataset.within(memory)


class Photo(NamedTuple):
    """An image uint8 (64, 64, 3), its label, its file, and its original's width and height.

    Where a map made features of the image before it was shrunk, float32 (n_x,), they come with it.
    """

    image: NDArray[np.uint8]
    y: int
    path: Path
    size: tuple[int, int]
    features: NDArray[np.float32] | None


class FolderReader:
    """Reads the images of a folder of classes, and counts what it leaves out.

    Attributes
    ----------
    files : list of (Path, int)
        Each file with its label, cats first.
    unreadable : list of str
        The damaged files that were met so far, each with the reason.

    Raises
    ------
    DataError
        If it holds no class folders, none of them is the cats', or a folder cannot be listed.
    """

    def __init__(self, folder: Path, split: Split, cat_class: str | None) -> None:
        self.folder = folder
        self.files: list[tuple[Path, int]] = []
        self.unreadable: list[str] = []
        self._skipped: Counter[str] = Counter()
        self._images: Counter[Path] = Counter()
        self._classes = _class_folders(folder, split, cat_class, self._skipped)
        for class_folder, y in self._classes:
            for path, kind in _entries(class_folder):
                if kind == "file":
                    self.files.append((path, y))
                else:
                    self._skipped["nested folder" if kind == "folder" else kind] += 1

    def photos(
        self,
        progress: Progress | None = None,
        max_bytes: int = MAX_FILE_BYTES,
        feature_map: FeatureExtractor | None = None,
    ) -> Iterator[Photo]:
        """Read the files, several at a time, and give those that are images, in order.

        Raises
        ------
        DataError
            At the end, if no file at all was an image.
        """
        from catclf.data.images import load_with_size, shrink

        wanted = feature_map.image_size if feature_map else (IMAGE_SIZE, IMAGE_SIZE)

        def read(path: Path, y: int) -> Photo | DataError:
            try:
                image, size = load_with_size(path, wanted, max_bytes=max_bytes)
                features = feature_map.transform(image[None])[:, 0] if feature_map else None
                return Photo(shrink(image), y, path, size, features)
            except DataError as error:
                return error

        def read_batch(batch: list[tuple[Path, int]]) -> list[Photo | DataError]:
            return [read(path, y) for path, y in batch]

        batches = threads.ordered(read_batch, threads.batches(self.files))
        results = zip(self.files, chain.from_iterable(batches), strict=True)
        for done, ((path, _), photo) in enumerate(results, 1):
            if isinstance(photo, Photo):
                self._images[path.parent] += 1
                yield photo
            elif isinstance(photo, NotAnImageError) and not meant_as_image(path):
                self._skipped["not an image"] += 1
            else:
                self.unreadable.append(f"{path}: {photo}")
            if progress is not None:
                progress(done, len(self.files))
        if not self._images:
            raise DataError(f"{self.folder}: its class folders hold no image that can be read")

    def notes(self) -> tuple[str, ...]:
        """Tell what was read and what was skipped, a line each."""
        lines = [f"{CLASSES[y]}: {sub.name} ({self._images[sub]})" for sub, y in self._classes]
        if self._skipped:
            kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(self._skipped.items()))
            lines.append(f"skipped: {kinds}")
        return (*lines, *(f"skipped {line}" for line in self.unreadable))


def _class_folders(
    folder: Path, split: Split, cat_class: str | None, skipped: Counter[str]
) -> list[tuple[Path, int]]:
    """List the class folders with their label, cats first; count what else is there."""
    subs = []
    for path, kind in _entries(folder):
        if kind == "folder":
            subs.append(path)
        else:
            skipped["outside the class folders" if kind == "file" else kind] += 1
    splits = [sub.name for sub in subs if sub.name.casefold() in SPLIT_NAMES]
    if splits:
        closest = next((name for name in splits if name.casefold().startswith(split)), splits[0])
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)}, not classes; "
            f"name one of them: {folder / closest}"
        )
    if not subs:
        raise DataError(f"{folder}: holds no folders; expected one sub-folder per class")
    cats = CAT_NAMES if cat_class is None else (cat_class.casefold(),)
    labelled = [(sub, int(sub.name.casefold() in cats)) for sub in subs]
    if not any(y for _, y in labelled):
        called = "cat or cats" if cat_class is None else repr(cat_class)
        raise DataError(
            f"{folder}: no sub-folder is called {called}; "
            f"found {', '.join(sub.name for sub in subs)}; "
            "name the one that holds the cats with --cat-class"
        )
    return sorted(labelled, key=lambda pair: -pair[1])


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """List a folder in a fixed order, each entry with what it is."""
    try:
        with os.scandir(folder) as entries:
            in_order = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be listed ({error.strerror})") from error
    for entry in in_order:
        hidden = entry.name.startswith(".")
        yield Path(entry.path), "hidden" if hidden else _kind(entry)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "link to a folder" if entry.is_symlink() else "folder"
        is_file = entry.is_file()
    except OSError:  # links that lead round in a circle
        is_file = False
    # What has an image's name and cannot be read, a link that leads nowhere, is missed.
    return "file" if is_file or meant_as_image(entry.name) else "not a regular file"


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
