"""A folder of classes → an HDF5 file, and back; drawings → an HDF5 file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from catclf import files, hdf5_write
from catclf.dataset import Dataset, Progress, Split
from catclf.errors import DataError, OutputError
from catclf.folders import SPLIT_NAMES, ClassFolders

T = TypeVar("T")


def to_hdf5(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    split: Split = "train",
    cat_class: str | None = None,
    progress: Progress | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the images of a folder of classes to an HDF5 file of the course's layout.

    The images are those that `load_dataset` gives, in the same order.

    Returns
    -------
    int
        How many images were written.
    tuple of str
        What a person should know of how the folder was read, a line each.

    Raises
    ------
    DataError
        If the folder cannot be used.
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    hdf5_write.check_target(out)
    found = ClassFolders(Path(folder), split, cat_class)
    count = hdf5_write.write_hdf5(out, ((p.image, p.y) for p in found.photos(progress)), split)
    return count, found.notes()


def draw_to_hdf5(
    n: int, out: str | os.PathLike[str], seed: int = 0, progress: Progress | None = None
) -> None:
    """Write n drawings, half of them cats, to an HDF5 file; see `catclf.drawings.draw`.

    Raises
    ------
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    from catclf.drawings import drawings

    hdf5_write.write_hdf5(out, _counted(drawings(n, seed), n, progress))


def to_folder(
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
    temporary = target.with_name(f".catclf-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    digits = len(str(len(dataset) - 1))
    try:
        for name in dataset.classes:
            (temporary / name).mkdir(parents=True)
        rows = zip(dataset.images, dataset.Y[0], strict=True)
        for i, (image, y) in enumerate(_counted(rows, len(dataset), progress)):
            path = temporary / dataset.classes[int(y)] / f"{i:0{digits}}.png"
            Image.fromarray(np.ascontiguousarray(image)).save(path)
        if hasattr(os, "sync"):
            os.sync()  # the files reach the disk before their folder gets its name
        os.rename(temporary, target)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Find where the folder will be; raise OutputError if it could not, or should not, be made."""
    try:
        target = Path(os.path.realpath(folder))
        if target.exists():
            if not target.is_dir() or any(target.iterdir()):
                raise OSError("it is there and not an empty folder; name another")
            if target == Path.cwd():
                raise OSError("it is the current folder; name a new one")
        files.check_writable(target.parent / "file")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _cannot_write(folder, error) from error
    return target


def _check_names(dataset: Dataset) -> None:
    """Raise DataError unless both names can be a folder's, and be read back as a class's."""
    for name in dataset.classes:
        plain = name.replace("-", "").replace("_", "").replace(" ", "").isalnum()
        if not plain or len(name.encode()) > 100 or name.casefold() in SPLIT_NAMES:
            raise DataError(
                f"{dataset.name}: the class name {name[:100]!r} cannot be a folder's; "
                "expected letters, digits, blanks, - and _, and no split's name"
            )
    if dataset.classes[0].casefold() == dataset.classes[1].casefold():
        raise DataError(f"{dataset.name}: both classes are called {dataset.classes[0]!r}")


def _counted(things: Iterable[T], n: int, progress: Progress | None) -> Iterator[T]:
    for i, thing in enumerate(things):
        yield thing
        if progress is not None:
            progress(i + 1, n)


def _cannot_write(folder: str | os.PathLike[str], error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{os.fspath(folder)}: the folder cannot be written ({reason})")
