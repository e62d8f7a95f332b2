"""Prediction from end to end: image files, folders or bytes → features → model → label."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from catclf.common import threads
from catclf.data.folders import meant_as_image, walk_files
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.data.images import load_image
from catclf.errors import DataError, NotAnImageError
from catclf.metrics.classification import is_unsure
from catclf.model import Model

if TYPE_CHECKING:
    from catclf.cluster.client import Cluster

Source = str | os.PathLike[str] | tuple[str, bytes]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image, or why it says nothing.

    Attributes
    ----------
    path : str
    label : str
        The predicted class; empty where the image could not be read.
    probability : float
        Of the model's class 1; NaN where the image could not be read.
    error : str
        Why the image could not be read; empty where it could.
    kind : type, optional
        Of the error.
    """

    path: str
    label: str = ""
    probability: float = float("nan")
    error: str = ""
    kind: type[DataError] | None = None


@dataclass(frozen=True)
class _Found:
    """What is to be predicted: a file, or content, and the folder, if any, in which it was found.

    Without content, it is what a folder itself has come to: an error, or "" at its end.
    """

    name: str
    content: str | bytes | None
    folder: str | None = None
    error: str = ""


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
        Files; folders, read with all below them, where files that are no images, by name and by
        content, are passed over;
        and pairs (name, content) of images already in memory.
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

    def read(found: _Found) -> NDArray[np.uint8] | Prediction | None:
        if found.content is None:
            return Prediction(found.name, error=found.error) if found.error else None
        try:
            return load_image(found.content, size=model.features.image_size, max_bytes=max_bytes)
        except DataError as error:
            other = isinstance(error, NotAnImageError) and not meant_as_image(found.name)
            if other and found.folder is not None:
                return None
            return Prediction(found.name, error=str(error), kind=type(error))

    def several(batch: list[_Found]) -> list[tuple[_Found, Prediction | None]]:
        parts = [read(found) for found in batch]
        images = [part for part in parts if isinstance(part, np.ndarray)]
        A = iter(model.probabilities(np.stack(images))[0].tolist() if images else [])
        results: list[tuple[_Found, Prediction | None]] = []
        for found, part in zip(batch, parts, strict=True):
            if isinstance(part, np.ndarray):
                p = next(A)
                results.append((found, Prediction(found.name, label(p), p)))
            else:
                results.append((found, part))
        return results

    batches = threads.batches(_found(sources))
    if cluster is None:
        return _predictions(threads.ordered(several, batches))
    return _predictions(cluster.ordered(several, (_from_anywhere(batch) for batch in batches)))


def _from_anywhere(batch: list[_Found]) -> list[_Found]:
    """Name files in full, for a worker that may run in another folder."""
    return [
        replace(found, content=os.path.join(os.getcwd(), found.content))
        if isinstance(found.content, str)
        else found
        for found in batch
    ]


def _found(sources: Iterable[Source]) -> Iterator[_Found]:
    """List what is to be predicted, folders with all below them."""
    for source in sources:
        if isinstance(source, tuple):
            yield _Found(*source)
            continue
        name = os.fspath(source)
        if not os.path.isdir(name):
            yield _Found(name, name)
            continue
        for path in walk_files(Path(name)):
            if isinstance(path, DataError):
                error = str(path).removeprefix(f"{name}: ")
                yield _Found(name, None, folder=name, error=error)
            else:
                yield _Found(str(path), str(path), folder=name)
        yield _Found(name, None)


def _predictions(
    batches: Iterable[list[tuple[_Found, Prediction | None]]],
) -> Iterator[Prediction]:
    """Give the predictions one by one; tell of folders that hold no images."""
    empty = True
    for batch in batches:
        for found, prediction in batch:
            if prediction is not None:
                empty = empty and found.folder is None
                yield prediction
            elif found.folder is None:  # the end of a folder
                if empty:
                    yield Prediction(found.name, error="the folder holds no images")
                empty = True
