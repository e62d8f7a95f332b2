"""Folders with a sub-folder per class → `Dataset`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common import threads
from catclf.common.types import IMAGE_SIZE, SMALL, FeatureExtractor, Progress
from catclf.data.dataset import (
    CLASSES,
    CatClass,
    Dataset,
    Features,
    Split,
    check_fits,
    conversion,
)
from catclf.data.folders import LabelledFile, label_files, list_names, meant_as_image
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.errors import DataError, NotAnImageError


def load_folder(
    folder: Path,
    split: Split,
    cat_class: CatClass,
    max_bytes: int,
    memory: float | None,
    feature_map: FeatureExtractor | None,
    progress: Progress | None,
) -> Dataset:
    """Read a folder of classes; parameters as in `catclf.data.load.load_dataset`."""
    reader = FolderReader(folder, split, cat_class)
    n, n_x = len(reader.files), feature_map.n_x if feature_map else 0
    small = feature_map is None or feature_map.enlarges or feature_map.image_size == SMALL
    remedy = conversion(folder, split, cat_class) if small else "allow more with --memory"
    check_fits(folder, f"{n} images", n * (3 * IMAGE_SIZE**2 + 4 * n_x), memory, remedy)
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
    files : list of LabelledFile
        Cats first.
    unreadable : list of str
        The damaged files that were met so far, each with the reason.

    Raises
    ------
    DataError
        If it holds no classes, none of them is the cats', or a folder cannot be listed.
    """

    def __init__(self, folder: Path, split: Split, cat_class: CatClass) -> None:
        self.folder = folder
        self._classes, self.files, self._skipped = label_files(folder, split, cat_class)
        self.unreadable: list[str] = []
        self._images: Counter[tuple[str, str]] = Counter()  # by class, and folder below it

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

        wanted = feature_map.image_size if feature_map else SMALL

        def read(file: LabelledFile) -> Photo | DataError:
            try:
                image, size = load_with_size(file.path, wanted, max_bytes=max_bytes)
                features = feature_map.transform(image[None])[:, 0] if feature_map else None
                return Photo(shrink(image), file.y, file.path, size, features)
            except DataError as error:
                return error

        batches = threads.ordered(lambda batch: list(map(read, batch)), threads.batches(self.files))
        results = zip(self.files, chain.from_iterable(batches), strict=True)
        for done, (file, photo) in enumerate(results, 1):
            if isinstance(photo, Photo):
                self._images[file.class_name, file.below] += 1
                yield photo
            elif isinstance(photo, NotAnImageError) and not meant_as_image(file.path):
                self._skipped["not an image"] += 1
            else:
                self.unreadable.append(f"{file.path}: {photo}")
            if progress is not None:
                progress(done, len(self.files))
        if not self._images:
            skipped = "; ".join([*self._skipped_kinds(), *self.unreadable[:1]])
            raise DataError(
                f"{self.folder}: its classes hold no image that can be read"
                + (f" ({skipped})" if skipped else "")
            )

    def notes(self) -> tuple[str, ...]:
        """Tell what was read and what was skipped, a line each."""
        by_word = all(file.path.parent == self.folder for file in self.files)
        lines = ["no folders: the word that a name begins with is the class"] * by_word
        for name, y in self._classes.items():
            below = {place: n for (of, place), n in self._images.items() if of == name}
            line = f"{CLASSES[y]}: {name} ({sum(below.values())})"
            lower = [f"{place} ({n})" for place, n in below.items() if place]
            lines.append(f"{line}, in folders below: {list_names(lower)}" if lower else line)
        skipped = [f"skipped {line}" for line in self.unreadable]
        return (*lines, *self._skipped_kinds(), *skipped)

    def _skipped_kinds(self) -> list[str]:
        """Count what was skipped in a line, if there is any."""
        kinds = [f"{kind} ({n})" for kind, n in sorted(self._skipped.items()) if n]
        return [f"skipped: {', '.join(kinds)}"] if kinds else []
