"""HDF5 files, folders of photos and the drawn set → `Dataset`."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from glob import glob, has_magic
from math import inf
from pathlib import Path
from unicodedata import normalize

import numpy as np

from catclf.common.blocks import in_blocks
from catclf.common.types import DRAWN, IMAGE_SIZE, SMALL, FeatureExtractor, Progress
from catclf.data.dataset import CLASSES, CatClass, Dataset, Split, check_fits, conversion
from catclf.data.folder_reader import load_folder
from catclf.data.folders import is_folder
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.errors import DataError

ADDRESS = re.compile("(https?|ftp)://", re.IGNORECASE)
"""What an address on the web begins with."""
DRAWN_COUNT = 600
DRAWN_SEED: dict[Split, int] = {"train": 0, "test": 1}
COURSE_FILE: dict[Split, str] = {
    "train": "datasets/train_catvnoncat.h5",
    "test": "datasets/test_catvnoncat.h5",
}


def is_drawn(data: str | os.PathLike[str] | None, split: Split) -> bool:
    """Tell whether `load_dataset` takes drawings: by name, or for want of the course's file."""
    return not os.path.exists(COURSE_FILE[split]) if data is None else os.fspath(data) == DRAWN


def load_dataset(
    data: str | os.PathLike[str] | None = None,
    *,
    split: Split = "train",
    cat_class: CatClass = None,
    max_bytes: int = MAX_FILE_BYTES,
    trust: bool = False,
    memory: float | None = inf,
    on_disk: bool = False,
    feature_map: FeatureExtractor | None = None,
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
    cat_class : str or sequence of str, optional
        The classes that count as cat; those called cat or cats by default.
    max_bytes : int
        The largest image file of a folder that is read.
    trust : bool
        Whether to read an HDF5 file whose arrays are much larger than itself.
    memory : float
        How many bytes images may take in memory; None stands for half of what is available. Those
        of a larger HDF5 file are read when they are used, as often as they are; a larger folder is
        refused, and so is a larger file of images that must be resized.
    on_disk : bool
        Whether an HDF5 file's images are left where they are unless they must be resized.
    feature_map : FeatureExtractor, optional
        Makes features as a folder's images are read, from more pixels than are kept if it wants
        these. Of other data they are made afterwards; see `Dataset.with_features`.
    progress : callable, optional
        Called as progress(done, total) while images are read from a folder, or resized.

    Raises
    ------
    DataError
        If there is nothing there, it is not in one of these forms, it is a folder, or images to
        be resized, and would not fit into memory, or the map takes other images.
    """
    notes: tuple[str, ...] = ()
    if data is None:
        data = COURSE_FILE[split]
        if is_drawn(None, split):
            kind = "drawings" if split == "train" else "other drawings"
            notes = (
                f"no {data}: using {DRAWN_COUNT} {kind}; for the course's photos: "
                "catclf data fetch course",
            )
            data = DRAWN
    word = find_spelling(os.fspath(data))
    path = Path(word)
    expected = "expected an HDF5 file, a folder of classes, or 'drawn'"
    if not word:
        raise DataError(f"DATA is empty; {expected}")
    if word == DRAWN:
        from catclf.data.drawn import draw

        images, labels = draw(DRAWN_COUNT, DRAWN_SEED[split])
        dataset = Dataset(images, labels.reshape(1, -1), CLASSES, DRAWN, notes=notes)
    elif is_folder(path):
        return load_folder(path, split, cat_class, max_bytes, memory, feature_map, progress)
    elif path.is_file():
        from catclf.data.hdf5 import load_hdf5

        dataset = load_hdf5(path, split, cat_class, trust)
        if dataset.sizes:
            remedy = conversion(path, split, cat_class)
            check_fits(path, "its images, resized,", dataset.nbytes, memory, remedy)
            dataset = _read_images(dataset, progress)
        dataset = dataset.within(0 if on_disk else memory)
    elif ADDRESS.match(word):
        raise DataError(f"{word}: nothing is fetched; {_save_first(word)}")
    else:
        problem = "not a regular file" if path.exists() else "no such file or folder"
        raise DataError(f"{path}: {problem}; {expected}")
    if feature_map is not None and feature_map.image_size != SMALL and not feature_map.enlarges:
        height, width = feature_map.image_size
        raise DataError(
            f"{dataset.name}: its images have {IMAGE_SIZE} × {IMAGE_SIZE} pixels, and the features "
            f"are taken from {height} × {width}; name a folder of photos"
        )
    return dataset


def _read_images(dataset: Dataset, progress: Progress | None) -> Dataset:
    """Read images that are resized as they are read: once, not at every pass."""
    images = np.empty(dataset.images.shape, np.uint8)
    for part, block in in_blocks(dataset.images):
        images[part] = block
        if progress is not None:
            progress(part.stop, len(images))
    return replace(dataset, images=images)


def find_spelling(word: str) -> str:
    """Find the path that is meant where accents are stored in another form than they are typed in.

    An accent is a part of its letter (NFC), or a character of its own (NFD), as on a Mac.
    """
    forms = (word, normalize("NFC", word), normalize("NFD", word))
    return next(filter(os.path.exists, forms), word)


def _save_first(address: str) -> str:
    return f"data comes first into a file: curl -LO {shlex.quote(address)}"


def expand_pattern(word: str) -> list[str]:
    """List the files that a pattern such as data/part-*.h5 stands for, sorted; or the word itself.

    Raises
    ------
    DataError
        If it is a pattern, and there are none; or an address on the web.
    """
    word = find_spelling(word)
    if os.path.exists(word):
        return [word]
    if ADDRESS.match(word):
        for_image = f"for an image: curl -s -L {shlex.quote(word)} | catclf predict -"
        raise DataError(f"{word}: nothing is fetched; {for_image}; {_save_first(word)}")
    paths = sorted(glob(word)) if has_magic(word) else [word]
    if not paths:
        raise DataError(f"{word}: no file matches")
    return paths
