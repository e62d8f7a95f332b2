"""Training and evaluation from end to end: data → features → training → model → metrics."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import metrics
from catclf.datasets import Dataset, load_dataset
from catclf.errors import DataError, ParameterError
from catclf.features.pixels import Pixels
from catclf.logistic import sigmoid
from catclf.metrics import Evaluation
from catclf.model import Model
from catclf.training import coordinates as coordinate_systems
from catclf.training.descent import gradient_descent
from catclf.training.folds import sample_weights, stratified_folds

FOLD_SEED = 0


def check_settings(learning_rate: float, iterations: int, l2: float, cv: int) -> str | None:
    """Say what is wrong with the settings of a training run, or nothing."""
    if not (isfinite(learning_rate) and learning_rate > 0):
        return f"the learning rate must be a positive number, not {learning_rate:g}"
    if iterations < 1:
        return f"the iterations must be at least 1, not {iterations}"
    if not (isfinite(l2) and l2 >= 0):
        return f"l2 must be zero or a positive number, not {l2:g}"
    if cv < 0 or cv == 1:
        return f"cross-validation needs 2 folds or more, or 0 for none, not {cv}"
    return None


def train(
    data: Dataset | str | os.PathLike[str] | None = None,
    *,
    learning_rate: float = 0.005,
    iterations: int = 2000,
    l2: float = 0.0,
    cv: int = 5,
    coordinates: str = "auto",
    callback: Callable[[int, float], None] | None = None,
) -> Model:
    """Train the lesson's logistic regression: pixels / 255, zeros, full-batch gradient descent.

    Parameters
    ----------
    data : Dataset or what `load_dataset` takes
        The training images.
    learning_rate, iterations, l2
        α, the number of steps, and λ of the penalty (λ/2)‖w‖².
    cv : int
        Folds of cross-validation, 0 for none; fewer where a class has fewer examples.
    coordinates : "auto", "primal" or "gram"
        Where descent runs; the result is the same.
    callback : callable, optional
        Called as callback(iteration, cost) before each step.

    Returns
    -------
    Model
        Its `provenance` holds the settings, the data's counts and digest, and how many training
        images, and images of left-out folds, come out right.

    Raises
    ------
    DataError
        If the data cannot be read or has one class only.
    ParameterError
        If a setting makes no sense, or the cost stops being finite.
    """
    problem = check_settings(learning_rate, iterations, l2, cv)
    if problem:
        raise ParameterError(problem)
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    missing = [name for name, count in dataset.counts.items() if count == 0]
    if missing:
        raise DataError(f"{dataset.name}: holds no {missing[0]}; training needs both classes")

    m = len(dataset)
    k = min(cv, *dataset.counts.values())
    folds = stratified_folds(dataset.Y, k, FOLD_SEED) if k >= 2 else None
    features = Pixels()
    X = features.transform(dataset.images).astype(np.float64)
    system = coordinate_systems.choose(X, iterations, coordinates)
    fit = gradient_descent(
        system,
        dataset.Y.astype(np.float64),
        sample_weights(m, folds),
        learning_rate=learning_rate,
        iterations=iterations,
        l2=l2,
        callback=callback,
    )

    def score(Z: NDArray[np.float64]) -> dict[str, int]:
        right = metrics.accuracy(dataset.Y, Z > 0)
        return right._asdict()

    cross_validation = None
    if folds is not None:
        out_of_fold = fit.Z[1 + folds, np.arange(m)].reshape(1, m)
        cross_validation = {"folds": k, "seed": FOLD_SEED, **score(out_of_fold)}
    provenance: dict[str, Any] = {
        "solver": {
            "name": "gradient descent",
            "start": "zeros",
            "learning_rate": learning_rate,
            "iterations": iterations,
            "l2": l2,
            "coordinates": system.name,
        },
        "data": {"name": dataset.name, "counts": dataset.counts, "sha256": dataset.sha256},
        "training": score(fit.Z[:1]),
        "cross_validation": cross_validation,
    }
    w, b = np.ascontiguousarray(fit.w[:, :1]), float(fit.b[0, 0])
    return Model(w, b, dataset.classes, features, costs=fit.costs, provenance=provenance)


def evaluate(
    model: Model, data: Dataset | str | os.PathLike[str] | None = None
) -> tuple[Evaluation, NDArray[np.float64]]:
    """Compare a model with labelled images.

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
    dataset = data if isinstance(data, Dataset) else load_dataset(data, split="test")
    if dataset.classes != model.classes:
        raise DataError(
            f"{dataset.name}: its classes are {' and '.join(dataset.classes)}, "
            f"the model's {' and '.join(model.classes)}"
        )
    Z = model.scores(dataset.images)
    return metrics.evaluate_scores(dataset.Y, Z, model.threshold), sigmoid(Z)
