"""Folders with a sub-folder per class → `Dataset`; and the files in a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from catclf.dataset import CAT_NAMES, CLASSES, Dataset, Progress, Split
from catclf.errors import DataError, NotAnImageError

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".avif",
    ".heic", ".heif", ".tif", ".tiff",
])  # fmt: skip
"""What a file is called that is meant to be an image."""
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing")


def load_folder(
    folder: Path, split: Split, cat_class: str | None, progress: Progress | None
) -> Dataset:
    """Read a folder of classes; parameters as in `catclf.datasets.load_dataset`."""
    from catclf.images import load_image

    skipped: Counter[str] = Counter()
    class_folders = _class_folders(folder, split, cat_class, skipped)
    files: list[tuple[Path, int]] = []
    for sub, y in class_folders:
        for path, kind in _entries(sub):
            if kind == "file":
                files.append((path, y))
            else:
                skipped["nested folder" if kind == "folder" else kind] += 1

    images, labels, paths, unreadable = [], [], [], []
    per_folder: Counter[Path] = Counter()
    for i, (path, y) in enumerate(files):
        try:
            images.append(load_image(path))
        except DataError as error:
            if isinstance(error, NotAnImageError) and not meant_as_image(path):
                skipped["not an image"] += 1
            else:
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
    name = folder.resolve().name
    return Dataset(np.stack(images), Y, CLASSES, name, tuple(paths), notes=notes)


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
        elif entry.is_dir():
            yield path, "link to a folder" if entry.is_symlink() else "folder"
        elif entry.is_file():
            yield path, "file"
        else:
            yield path, "not a regular file"


def meant_as_image(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is meant to be an image, so that one unread is missed."""
    return os.path.splitext(path)[1].casefold() in IMAGE_SUFFIXES


def walk_files(folder: Path) -> Iterator[Path | DataError]:
    """List the files in a folder and all below it, but for hidden ones and links to folders.

    A folder that cannot be listed comes as the error that tells of it.
    """
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not path.is_dir():
            yield path
            continue
        try:
            entries = list(_entries(path))
        except DataError as error:
            yield error
            continue
        waiting += [sub for sub, kind in reversed(entries) if kind in ("folder", "file")]
