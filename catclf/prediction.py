"""Prediction from end to end: image files, folders or bytes → features → model → label."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catclf.dataset import MAX_FILE_BYTES
from catclf.errors import DataError, NotAnImageError
from catclf.folders import meant_as_image, walk_files
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
    kind : type, optional
        Of the error.
    """

    path: str
    label: str = ""
    probability: float = float("nan")
    error: str = ""
    kind: type[DataError] | None = None


def predict(
    model: Model,
    sources: Iterable[str | os.PathLike[str] | tuple[str, bytes]],
    *,
    threshold: float | None = None,
    unsure: float | None = None,
    max_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Prediction]:
    """Predict images, one after another, in order.

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
        if unsure is not None and min(p, 1 - p) >= min(unsure, 1 - unsure) - 1e-12:
            return "unsure"
        return model.classes[int(p > limit)]

    def one(name: str, source: str | bytes) -> Prediction:
        try:
            image = load_image(source, size=model.features.image_size, max_bytes=max_bytes)
        except DataError as error:
            return Prediction(name, error=str(error), kind=type(error))
        p = float(model.probabilities(image[None])[0, 0])
        return Prediction(name, label(p), p)

    return _predict(sources, one)


def _predict(
    sources: Iterable[str | os.PathLike[str] | tuple[str, bytes]],
    one: Callable[[str, str | bytes], Prediction],
) -> Iterator[Prediction]:
    for source in sources:
        if isinstance(source, tuple):
            yield one(*source)
            continue
        name = os.fspath(source)
        if not os.path.isdir(name):
            yield one(name, name)
            continue
        empty = True
        for found in walk_files(Path(name)):
            if isinstance(found, DataError):
                prediction = Prediction(name, error=str(found).removeprefix(f"{name}: "))
            else:
                prediction = one(str(found), str(found))
                if prediction.kind is NotAnImageError and not meant_as_image(found):
                    continue
            empty = False
            yield prediction
        if empty:
            yield Prediction(name, error="the folder holds no images")
