"""Prediction from end to end: image files, folders or bytes → features → model → label."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catclf.datasets import walk_files
from catclf.errors import DataError, NotAnImageError
from catclf.images import load_image
from catclf.model import Model


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
    """

    path: str
    label: str = ""
    probability: float = float("nan")
    error: str = ""


def predict(
    model: Model,
    sources: Iterable[str | os.PathLike[str] | tuple[str, bytes]],
    *,
    threshold: float | None = None,
) -> Iterator[Prediction]:
    """Predict images, one after another, in order.

    Parameters
    ----------
    model : Model
    sources : iterable
        Files; folders, read with all below them, where files that are no images are passed over;
        and pairs (name, content) of images already in memory.
    threshold : float, optional
        In place of the model's.

    Yields
    ------
    Prediction
        For each image; one with an `error` for each that cannot be read.
    """
    limit = model.threshold if threshold is None else threshold
    for name, content, inside_folder in _images_of(sources):
        if isinstance(content, DataError):
            yield Prediction(name, error=str(content))
            continue
        try:
            image = load_image(content)
        except NotAnImageError as error:
            if not inside_folder:
                yield Prediction(name, error=str(error))
        except DataError as error:
            yield Prediction(name, error=str(error))
        else:
            p = float(model.probabilities(image[None])[0, 0])
            yield Prediction(name, model.classes[int(p > limit)], p)


def _images_of(
    sources: Iterable[str | os.PathLike[str] | tuple[str, bytes]],
) -> Iterator[tuple[str, str | bytes | DataError, bool]]:
    """Give each image's name and path or content, and whether it was found in a folder."""
    for source in sources:
        if isinstance(source, tuple):
            yield source[0], source[1], False
            continue
        name = os.fspath(source)
        if not os.path.isdir(name):
            yield name, name, False
            continue
        empty = True
        try:
            for path in walk_files(Path(name)):
                empty = False
                yield str(path), str(path), True
        except DataError as error:
            yield name, error, False
        else:
            if empty:
                yield name, DataError("the folder holds no files"), False
