"""Folders with a sub-folder per class → `Dataset`; and the files in a folder."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common import threads
from catclf.common.image_size import IMAGE_SIZE
from catclf.common.memory import budget
from catclf.common.types import FeatureExtractor, Progress
from catclf.data.dataset import CAT_NAMES, CLASSES, MAX_FILE_BYTES, Dataset, Features, Split
from catclf.errors import DataError, NotAnImageError

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".avif",
    ".heic", ".heif", ".tif", ".tiff",
])  # fmt: skip
"""What a file is called that is meant to be an image."""
Outcome = str | None
"""Of reading a file; see `ClassFolders`."""
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")


def load_folder(
    folder: Path,
    split: Split,
    cat_class: str | None,
    max_bytes: int,
    memory: float | None,
    progress: Progress | None,
    feature_map: FeatureExtractor | None = None,
) -> Dataset:
    """Read a folder of classes; parameters as in `catclf.data.load.load_dataset`."""
    found = ClassFolders(folder, split, cat_class)
    _check_memory(found, memory, feature_map)
    images = np.empty((len(found.files), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    labels, paths, sizes = [], [], []
    rows = np.empty((len(found.files), feature_map.n_x if feature_map else 0), dtype=np.float32)
    for i, photo in enumerate(found.photos(progress, max_bytes, feature_map)):
        images[i] = photo.image
        labels.append(photo.y)
        paths.append(str(photo.path))
        sizes.append(photo.size)
        if photo.x is not None:
            rows[i] = photo.x
    return Dataset(
        images[: len(labels)],
        np.array(labels, dtype=np.int64).reshape(1, -1),
        CLASSES,
        folder.resolve().name,
        tuple(paths),
        notes=found.notes(),
        sizes=tuple(sizes),
        unreadable=found.unreadable,
        features=Features(feature_map.settings(), rows[: len(labels)]) if feature_map else None,
    )


def _check_memory(
    found: ClassFolders, memory: float | None, feature_map: FeatureExtractor | None
) -> None:
    """Raise DataError, before any photo is read, if images and features would not fit."""
    own = feature_map is None or feature_map.image_size == (IMAGE_SIZE, IMAGE_SIZE)
    needed = len(found.files) * (3 * IMAGE_SIZE**2 + (4 * feature_map.n_x if feature_map else 0))
    allowed = budget(memory, needed)
    if needed <= allowed:
        return
    remedy = f"convert it first: catclf data convert {found.folder} out.h5"
    raise DataError(
        f"{found.folder}: {len(found.files)} images take {needed / 1e6:.4g} MB of memory, and "
        f"{allowed / 1e6:.4g} MB is for data; {remedy if own else 'allow more with --memory'}"
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
    outcomes : list of (str or None)
        What became of the files that were read so far: None if it is an image, "" if it is none
        and was not meant to be, else what is wrong with it. A list that an earlier reading left
        may be put here, to go on after that.
    """

    def __init__(self, folder: Path, split: Split, cat_class: str | None) -> None:
        self.folder = folder
        self.files: list[tuple[Path, int]] = []
        self.outcomes: list[Outcome] = []
        self._skipped: Counter[str] = Counter()
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
        feature_map: FeatureExtractor | None = None,
    ) -> Iterator[Photo]:
        """Read the images of the files that have no outcome yet; give them one each in turn.

        Raises
        ------
        DataError
            At the end, if no file at all was an image.
        """
        from catclf.data.images import load_sized, thumbnail

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

        left = self.files[len(self.outcomes) :]
        results = chain.from_iterable(threads.ordered(read, threads.batches(left)))
        for (path, _), found in zip(left, results, strict=True):
            if isinstance(found, Photo):
                self.outcomes.append(None)
                yield found
            else:
                skipped = isinstance(found, NotAnImageError) and not meant_as_image(path)
                self.outcomes.append("" if skipped else str(found))
            if progress is not None:
                progress(len(self.outcomes), len(self.files))
        if None not in self.outcomes:
            raise DataError(f"{self.folder}: its class folders hold no image that can be read")

    def digest(self) -> str:
        """Compute a SHA-256 of the files' names, sizes and times, by which a change is noticed."""
        sha256 = hashlib.sha256()
        for path, _ in self.files:
            size = time = 0
            with suppress(OSError):  # gone, or not to be looked at: so it will be when it is read
                status = os.stat(path)
                size, time = status.st_size, status.st_mtime_ns
            name = os.fsencode(os.path.relpath(path, self.folder))
            sha256.update(b"%d %d %d %s" % (size, time, len(name), name))
        return sha256.hexdigest()

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The files that turned out damaged so far, each with the reason."""
        known = zip(self.files, self.outcomes, strict=False)
        return tuple(f"{path}: {reason}" for (path, _), reason in known if reason)

    def notes(self) -> tuple[str, ...]:
        """Tell what was read and what was skipped, a line each."""
        known = list(zip(self.files, self.outcomes, strict=False))
        read = Counter(path.parent for (path, _), outcome in known if outcome is None)
        skipped = self._skipped + Counter({"not an image": self.outcomes.count("")})
        lines = [f"{CLASSES[y]}: {sub.name} ({read[sub]})" for sub, y in self._subs]
        if skipped:
            kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(skipped.items()))
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
