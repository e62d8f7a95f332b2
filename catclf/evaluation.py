"""Evaluation from end to end: labelled images → features → scores → metrics."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from catclf.data.dataset import Dataset
from catclf.data.duplicates import known
from catclf.data.load import load_dataset
from catclf.errors import DataError
from catclf.features import MAPS, FeatureMap
from catclf.logistic import sigmoid
from catclf.metrics import classification as metrics
from catclf.metrics.classification import Evaluation
from catclf.model import Model


def evaluate(
    model: Model, data: Dataset | str | os.PathLike[str] | None = None, *, unsure: float = 0.8
) -> tuple[Evaluation, NDArray[np.float64]]:
    """Compare a model with labelled images; `unsure` is the band's upper end.

    Returns
    -------
    Evaluation
        Every figure.
    A : float64 (1, m)
        The probability of each image.

    Raises
    ------
    DataError
        If the data cannot be read, or its classes are not the model's.
    """
    if not isinstance(data, Dataset):
        data = load_dataset(data, split="test", feature_map=to_read_for(model))
    Z = scores(model, data)
    T = model.temperature
    figures = metrics.evaluate_scores(data.Y, Z, model.threshold, T, unsure)
    return figures, sigmoid(Z / T)


def to_read_for(model: Model) -> FeatureMap | None:
    """Give the model's feature map if it must see the images as they are read."""
    return None if model.features.name in MAPS else model.features


def scores(model: Model, dataset: Dataset) -> NDArray[np.float64]:
    """Score labelled images: Z float64 (1, m), log-odds of class 1.

    Raises
    ------
    DataError
        If there are none, or their classes are not the model's.
    """
    if len(dataset) == 0:
        raise DataError(f"{dataset.name}: holds no images")
    if dataset.classes[1].casefold() != model.classes[1].casefold():
        raise DataError(
            f"{dataset.name}: its classes are {' and '.join(dataset.classes)}, "
            f"the model's {' and '.join(model.classes)}; name the model's with --cat-class"
        )
    taken = dataset.taken_by(model.features)
    return model.scores(dataset.images) if taken is None else model.weigh(taken)


def trained_on(model: Model, dataset: Dataset) -> int:
    """Count the images that the model was trained on, near-identical ones included."""
    return int(known(dataset.fingerprints, model.seen).sum())
