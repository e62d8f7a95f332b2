"""A folder of classes → an HDF5 file, and back; drawings → an HDF5 file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.common import files
from catclf.common.files import FileKind
from catclf.common.types import Progress
from catclf.data.dataset import Dataset, Split
from catclf.data.folders import SPLIT_NAMES, ClassFolders, Outcome
from catclf.data.hdf5 import writer as hdf5_write
from catclf.data.hdf5.writer import Chunk
from catclf.data.partial import Partial
from catclf.errors import DataError, OutputError

BLOCK = 256
"""Images that are taken from a data set at a time."""
FOLDER = FileKind("folder", OutputError)
T = TypeVar("T")


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Tell which way to go: from a folder, or else from a file; raise DataError if unknown."""
    try:
        return stat.S_ISDIR(os.stat(source).st_mode)
    except (FileNotFoundError, ValueError):  # ValueError: a null character in the name
        return False
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{os.fspath(source)}: it cannot be read ({reason})") from error


def to_hdf5(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    split: Split = "train",
    cat_class: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the images of a folder of classes to an HDF5 file of the course's layout.

    The images are those that `load_dataset` gives, in the same order. Until all are read they are
    gathered in a file beside `out`, see `partial_path`, which outlives an interruption.

    Parameters
    ----------
    folder : path
        It has a sub-folder for each class.
    out : path
        The file.
    split, cat_class
        As in `load_dataset`.
    resume : bool
        Whether to go on with a conversion that was interrupted.
    progress : callable, optional
        Called as progress(done, total).
    note : callable, optional
        Told, in a line each, what a person should know of earlier conversions and this one.

    Returns
    -------
    int
        How many images were written.
    tuple of str
        What a person should know of how the folder was read, a line each.

    Raises
    ------
    DataError
        If the folder cannot be used; CheckpointError if there is no going on.
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    hdf5_write.HDF5_FILE.check(out)
    found = ClassFolders(Path(folder), split, cat_class)
    about = {"split": split, "cat class": cat_class or "cat or cats", "photos": found.digest()}
    with Partial(partial_path(out), about, resume=resume, note=note) as partial:
        if len(partial.outcomes) > len(found.files):
            raise partial.damaged()
        found.outcomes += partial.outcomes
        for outcomes, images in _batches(found, progress):
            partial.add(outcomes, hdf5_write.compress(images) if images else b"")
        count = hdf5_write.write_hdf5(out, _gathered(partial, found), split)
    return count, found.notes()


def partial_path(out: str | os.PathLike[str]) -> str:
    """Name the file in which the images for `out` are gathered."""
    return f"{os.fspath(out)}.partial"


Batch = tuple[list[Outcome], list[NDArray[np.uint8]]]


def _batches(found: ClassFolders, progress: Progress | None) -> Iterator[Batch]:
    """Read images by as many as are compressed together, each time with the outcomes so far."""
    photos = found.photos(progress)
    more = True
    while more:
        done = len(found.outcomes)
        images = [photo.image for photo in islice(photos, hdf5_write.CHUNK)]
        more = len(images) == hdf5_write.CHUNK
        if len(found.outcomes) > done:
            yield found.outcomes[done:], images


def _gathered(partial: Partial, found: ClassFolders) -> Iterator[Chunk]:
    labels = (y for _, y in found.files)
    for outcomes, data in partial.records():
        known = [y for outcome, y in zip(outcomes, labels, strict=False) if outcome is None]
        if known:
            yield Chunk(data, known)


def draw_to_hdf5(
    n: int, out: str | os.PathLike[str], seed: int = 0, progress: Progress | None = None
) -> None:
    """Write n drawings, half of them cats, to an HDF5 file; see `catclf.data.drawn.scenes.draw`.

    Raises
    ------
    OutputError
        If the file cannot be written, or what is there is no HDF5 file.
    """
    from catclf.data.drawn.scenes import drawings

    def chunks() -> Iterator[Chunk]:
        rest = _counted(drawings(n, seed), n, progress)
        while block := list(islice(rest, hdf5_write.CHUNK)):
            yield Chunk(hdf5_write.compress([image for image, _ in block]), [y for _, y in block])

    hdf5_write.write_hdf5(out, chunks())


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
    digits = len(str(len(dataset) - 1))
    with FOLDER.errors(folder), files.making_folder(target) as temporary:
        for name in dataset.classes:
            (temporary / name).mkdir()
        rows = zip(_rows(dataset), dataset.Y[0], strict=True)
        for i, (image, y) in enumerate(_counted(rows, len(dataset), progress)):
            path = temporary / dataset.classes[int(y)] / f"{i:0{digits}}.png"
            Image.fromarray(image).save(path)


def _rows(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """Give the images one by one, of which a block at a time is in memory."""
    for start in range(0, len(dataset), BLOCK):
        yield from np.ascontiguousarray(dataset.images[start : start + BLOCK])


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
