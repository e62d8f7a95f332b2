"""A folder of classes or an HDF5 file → one of the course's layout; a file → a folder; drawings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from catclf.common import files
from catclf.common.files import OutputFormat
from catclf.common.types import Progress
from catclf.data.dataset import CatClass, Dataset, Split
from catclf.data.folder_reader import FolderReader
from catclf.data.folders import is_folder, is_split
from catclf.data.hdf5 import load_hdf5
from catclf.data.hdf5.writer import Example, write_hdf5
from catclf.errors import DataError, OutputError

FOLDER = OutputFormat("folder", OutputError)


def to_hdf5(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    split: Split = "train",
    cat_class: CatClass = None,
    progress: Progress | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the images of a folder of classes, or an HDF5 file, in the course's layout.

    The images are those that `load_dataset` gives, in the same order. The file appears whole or
    not at all. What is returned is how many images were written, and what a person should know of
    how they were read, a line each.

    Raises
    ------
    DataError
        If the folder or the file cannot be used.
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    if is_folder(source):
        reader = FolderReader(Path(source), split, cat_class)
        photos = ((photo.image, photo.y) for photo in reader.photos(progress))
        return write_hdf5(out, photos, split), reader.notes()
    dataset = load_hdf5(Path(source), split, cat_class)
    lost = ("what the images belong with (source) is not kept",) if dataset.groups else ()
    count = write_hdf5(out, _examples(dataset, progress), split)
    return count, (*dataset.notes, *lost)


def draw_to_hdf5(
    n: int, out: str | os.PathLike[str], seed: int = 0, progress: Progress | None = None
) -> None:
    """Write n drawings, half of them cats, to an HDF5 file; see `catclf.data.drawn.draw`.

    Raises
    ------
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    from catclf.data.drawn import drawings

    write_hdf5(out, _counted(drawings(n, seed), n, progress))


def dataset_to_folder(
    dataset: Dataset, folder: str | os.PathLike[str], progress: Progress | None = None
) -> None:
    """Write images as PNG files, named by their rows, into a new folder with one for each class.

    The folder appears whole or not at all.

    Raises
    ------
    DataError
        If a class has a name that no folder can have.
    OutputError
        If the folder is there and not empty, or cannot be written.
    """
    from PIL import Image

    target = check_folder(folder)
    _check_names(dataset)
    digits = len(str(len(dataset) - 1))
    with FOLDER.errors(folder), files.making_folder(target) as temporary:
        for name in dataset.classes:
            (temporary / name).mkdir()
        for i, (image, y) in enumerate(_examples(dataset, progress)):
            path = temporary / dataset.classes[y] / f"{i:0{digits}}.png"
            Image.fromarray(np.ascontiguousarray(image)).save(path)


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Find where the folder will be; raise OutputError if it could not, or should not, be made."""
    with FOLDER.errors(folder):
        target = files.resolve(folder)
        if target.exists():
            if not target.is_dir() or any(target.iterdir()):
                raise OSError("it is there and not an empty folder; name another")
            if target == Path.cwd():
                raise OSError("it is the current folder; name a new one")
        files.check_writable(target.parent / "file")
    return target


def _check_names(dataset: Dataset) -> None:
    """Raise DataError unless both names can be a folder's, and be read back as a class's."""
    for name in dataset.classes:
        plain = name.replace("-", "").replace("_", "").replace(" ", "").isalnum()
        if not plain or len(name.encode()) > 100 or is_split(name):
            raise DataError(
                f"{dataset.name}: the class name {name[:100]!r} cannot be a folder's; "
                "expected letters, digits, blanks, - and _, and no split's name"
            )
    if dataset.classes[0].casefold() == dataset.classes[1].casefold():
        raise DataError(f"{dataset.name}: both classes are called {dataset.classes[0]!r}")


def _examples(dataset: Dataset, progress: Progress | None) -> Iterator[Example]:
    examples = zip(dataset.images, dataset.Y[0].tolist(), strict=True)
    return _counted(examples, len(dataset), progress)


def _counted(examples: Iterable[Example], n: int, progress: Progress | None) -> Iterator[Example]:
    for done, example in enumerate(examples, 1):
        yield example
        if progress is not None:
            progress(done, n)
