"""Evaluation from end to end: labelled images → features → scores → metrics."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import map_blocks
from catclf.common.types import Progress
from catclf.data.dataset import Dataset
from catclf.data.duplicates import match_fingerprints
from catclf.data.load import load_dataset
from catclf.errors import DataError
from catclf.features import map_while_reading
from catclf.logistic import Array, sigmoid
from catclf.metrics import (
    Evaluation,
    McNemar,
    Proportion,
    evaluate_scores,
    mcnemar,
)
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
        If the data cannot be read, it is empty, or its classes are not the model's.
    """
    if not isinstance(data, Dataset):
        feature_map = map_while_reading(model.features)
        data = load_dataset(data, split="test", feature_map=feature_map)
    result = evaluate_dataset(model, data, unsure=unsure)
    return result.figures, result.A


@dataclass(frozen=True)
class Result:
    """One model on the images of one data set.

    Attributes
    ----------
    name : str
        What tells the model from the others.
    path : str
        Its file.
    Z : float64 (1, m)
        Scores, divided by the model's temperature: log-odds of the cat.
    A : float64 (1, m)
        P(cat), which is σ(Z).
    """

    name: str
    path: str
    model: Model
    dataset: Dataset
    figures: Evaluation
    Z: Array
    A: Array

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image comes out right, bool (1, m)."""
        right: NDArray[np.bool_] = (self.A > self.model.threshold) == (self.dataset.Y == 1)
        return right

    @cached_property
    def overlap(self) -> int:
        """How many of the images, or near-identical ones, the model was trained on."""
        return int(match_fingerprints(self.dataset.signatures.fingerprints, self.model.seen).sum())

    def worst(self, n: int) -> NDArray[np.int64]:
        """Find the n mistakes that the model is surest of, the surest first."""
        wrong = np.flatnonzero(~self.right[0])
        gap = np.abs(self.A - self.dataset.Y)[0, wrong]
        return wrong[np.argsort(-gap, kind="stable")][:n]

    def least_sure(self, n: int) -> NDArray[np.int64]:
        """Find the n images whose P(cat) is nearest to the model's threshold, the nearest first."""
        return np.argsort(np.abs(self.A[0] - self.model.threshold), kind="stable")[:n]

    def list_images(self, indices: NDArray[np.int64]) -> list[dict[str, object]]:
        """Give the file, the class and P(cat) of the images with these indices."""
        return [
            {
                "path": self.dataset.label(i),
                "class": self.dataset.classes[int(self.dataset.Y[0, i])],
                "probability": float(self.A[0, i]),
            }
            for i in indices
        ]


def evaluate_dataset(
    model: Model,
    dataset: Dataset,
    *,
    name: str = "",
    path: str = "",
    unsure: float = 0.8,
    progress: Progress | None = None,
) -> Result:
    """Run a model over labelled images; `unsure` is the upper end of its unsure band.

    In between, progress(done, total) counts the images whose features are made.

    Raises
    ------
    DataError
        If the data set is empty, or its classes are not the model's.
    """
    if len(dataset) == 0:
        raise DataError(f"{dataset.name}: holds no images")
    if dataset.classes[1].casefold() != model.classes[1].casefold():
        raise DataError(
            f"{dataset.name}: its classes are {' and '.join(dataset.classes)}, "
            f"the model's {' and '.join(model.classes)}; "
            "say with --cat-class which counts as cat, or leave that out as in training"
        )
    rows = dataset.features_of(model.features)
    if rows is None:
        Z = model.scores(dataset.images, progress)
    else:
        Z = np.concatenate(list(map_blocks(model.weigh, rows)), axis=1)
    T = model.temperature
    figures = evaluate_scores(dataset.Y, Z, model.threshold, T, unsure)
    return Result(name, path, model, dataset, figures, Z / T, sigmoid(Z / T))


def compare_with_first(results: Sequence[Result]) -> list[tuple[Result, McNemar]]:
    """Compare each model but the first with the first: A is the other, B the first."""
    first = results[0]
    return [(other, mcnemar(other.right, first.right)) for other in results[1:]]


def comparison_as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Give McNemar's tests as plain JSON values."""
    return [
        {
            "model": other.name,
            "against": results[0].name,
            "only_model_right": test.only_a,
            "only_against_right": test.only_b,
            "p": test.p,
        }
        for other, test in compare_with_first(results)
    ]


def figures_as_json(result: Result) -> dict[str, object]:
    """Give the figures as plain JSON values, of proportions their share."""
    values: dict[str, object] = {}
    for name, value in vars(result.figures).items():
        values[name] = value.value if isinstance(value, Proportion) else value
        if name == "accuracy":
            values["accuracy_interval"] = value.interval
    return {**values, "trusted": result.model.distrust is None}


def figure_rows(figures: Evaluation, cat: str) -> list[tuple[str, str, str]]:
    """Give each figure's name, its value and its 95% interval, if it has one."""

    def ratio(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.2%}"

    low, high = sorted((figures.unsure, 1 - figures.unsure))
    sure = figures.sure_accuracy.percent if figures.sure_accuracy else ("undefined", "")
    return [
        ("accuracy", *figures.accuracy.percent),
        ("majority baseline", *figures.majority.percent),
        ("balanced accuracy", ratio(figures.balanced_accuracy), ""),
        (f"precision ({cat})", ratio(figures.precision), ""),
        (f"recall ({cat})", ratio(figures.recall), ""),
        ("F1", ratio(figures.f1), ""),
        ("ROC-AUC", "undefined" if figures.roc_auc is None else f"{figures.roc_auc:.4f}", ""),
        ("log loss (nats)", f"{figures.log_loss:.4f}", ""),
        ("Brier score", f"{figures.brier:.4f}", ""),
        ("calibration error", ratio(figures.ece), ""),
        ("  before calibration", ratio(figures.ece_uncalibrated), ""),
        (f"sure: not {low:.2g} to {high:.2g}", *figures.coverage.percent),
        ("  accuracy where sure", *sure),
    ]


def short_names(paths: Sequence[str]) -> list[str]:
    """Name models by their files' names, and as much of the folders as tells them apart."""
    parts = [PurePath(path.removesuffix(".npz")).parts for path in paths]
    for k in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-k:]) for part in parts]
        if len(set(names)) == len(names) and all(names):
            return names
    return list(paths)
