"""Prediction from end to end: image files, folders or bytes → features → model → label."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catclf.common import threads
from catclf.data.folders import meant_as_image, walk_files
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.data.images import load_image
from catclf.data.load import expand_pattern
from catclf.errors import DataError, NotAnImageError
from catclf.metrics import is_unsure
from catclf.model import Model

if TYPE_CHECKING:
    from catclf.cluster import Cluster

Source = str | os.PathLike[str] | tuple[str, bytes]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image, or why it says nothing.

    Attributes
    ----------
    path : str
        The image's file, or the name that it was given.
    label : str
        The predicted class; empty where the image could not be read.
    probability : float
        Of the model's class 1; NaN where the image could not be read.
    error : str
        Why the image could not be read; empty where it could.
    kind : type, optional
        The class of that error, where it is an image's and not a folder's.
    """

    path: str
    label: str = ""
    probability: float = float("nan")
    error: str = ""
    kind: type[DataError] | None = None


@dataclass(frozen=True)
class _Image:
    """An image that is to be read, from a file or from content in memory."""

    name: str
    source: str | bytes
    in_folder: bool = False


@dataclass(frozen=True)
class _Folder:
    """A mark in the order of images: here a folder's images begin, or end."""

    name: str
    ends: bool


def predict(
    model: Model,
    sources: Iterable[Source],
    *,
    threshold: float | None = None,
    unsure: float | None = None,
    max_bytes: int = MAX_FILE_BYTES,
    cluster: Cluster | None = None,
) -> Iterator[Prediction]:
    """Predict images in order, several at a time in threads of their own.

    Sources are taken ahead of the predictions, at most a few batches of 16 for each processor, and
    little more than these is in memory. An image's probability is the same whatever comes with it.

    Parameters
    ----------
    model : Model
    sources : iterable
        Files, or patterns such as photos/*.jpg that stand for several; folders, read with all
        below them, where files that are no images, by name and by content, are passed over; and
        pairs (name, content) of images already in memory.
    threshold : float, optional
        In place of the model's.
    unsure : float, optional
        Label what lies between 1 - unsure and unsure, ends included, "unsure".
    max_bytes : int
        The largest image file that is read.
    cluster : Cluster, optional
        Work there rather than in threads; its workers read the files, under the same names.

    Yields
    ------
    Prediction
        For each image; one with an `error` for each that cannot be read.

    Raises
    ------
    TypeError
        If `sources` is a single path rather than several.
    """
    if isinstance(sources, str | os.PathLike):
        raise TypeError(f"expected several sources, as [{os.fspath(sources)!r}], not one")
    limit = model.threshold if threshold is None else threshold

    def label(p: float) -> str:
        if unsure is not None and is_unsure(p, unsure):
            return "unsure"
        return model.classes[int(p > limit)]

    def read(image: _Image) -> NDArray[np.uint8] | Prediction | None:
        try:
            return load_image(image.source, size=model.features.image_size, max_bytes=max_bytes)
        except DataError as error:
            may_be_other = image.in_folder and not meant_as_image(image.name)
            if may_be_other and isinstance(error, NotAnImageError):
                return None
            return Prediction(image.name, error=str(error), kind=type(error))

    def predict_batch(batch: list[_Image | _Folder | Prediction]) -> list[_Folder | Prediction]:
        results: list[Any] = [read(item) if isinstance(item, _Image) else item for item in batch]
        rows = [i for i, result in enumerate(results) if isinstance(result, np.ndarray)]
        if rows:
            images = np.stack([results[i] for i in rows])
            for i, p in zip(rows, model.probabilities(images)[0].tolist(), strict=True):
                image = batch[i]
                assert isinstance(image, _Image)  # no other item was read
                results[i] = Prediction(image.name, label(p), p)
        return [result for result in results if result is not None]

    # A worker of a cluster may run in another folder.
    batches = threads.batches(_list_images(sources, os.getcwd() if cluster else ""))
    ordered = cluster.ordered if cluster else threads.ordered
    return _tell_empty_folders(chain.from_iterable(ordered(predict_batch, batches)))


def count_images(sources: Iterable[str]) -> int:
    """Count the files, and those in folders, and all below, that are images by their names."""
    n = 0
    for word in sources:
        with suppress(DataError):  # no file matches
            for name in map(Path, expand_pattern(word)):
                files = walk_files(name) if name.is_dir() else ()
                n += sum(isinstance(path, Path) and meant_as_image(path) for path in files)
                n += not name.is_dir()
    return n


def _list_images(sources: Iterable[Source], base: str) -> Iterator[_Image | _Folder | Prediction]:
    """List the images of all sources; files are named from the folder `base`."""
    for source in sources:
        if isinstance(source, tuple):
            yield _Image(*source)
            continue
        word = os.fspath(source)
        try:
            names = expand_pattern(word)
        except DataError as error:
            yield Prediction(word, error=str(error).removeprefix(f"{word}: "))
            continue
        for name in names:
            if not os.path.isdir(name):
                yield _Image(name, os.path.join(base, name))
                continue
            yield _Folder(name, ends=False)
            for path in walk_files(Path(name)):
                if isinstance(path, DataError):
                    yield Prediction(name, error=str(path).removeprefix(f"{name}: "))
                else:
                    yield _Image(str(path), os.path.join(base, path), in_folder=True)
            yield _Folder(name, ends=True)


def _tell_empty_folders(results: Iterable[_Folder | Prediction]) -> Iterator[Prediction]:
    """Pass the predictions on; where a folder ends of which there were none, say so."""
    empty = False
    for result in results:
        if isinstance(result, Prediction):
            empty = False
            yield result
        elif not result.ends:
            empty = True
        elif empty:
            yield Prediction(result.name, error="the folder holds no images")
            empty = False
