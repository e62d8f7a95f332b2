"""Choose the feature map and the penalty by cross-validated log loss, then train on everything.

For each map a path of λ, from strong to weak, is followed by Newton's method with warm starts in
every fold. Mirrored copies are added to the training folds only. Images of one group, and
near-identical ones, stay in one fold. Nothing is measured on images that a regression has seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catclf import features as feature_maps
from catclf.common import stopping
from catclf.common.blocks import concatenate, mirror
from catclf.data.dataset import Dataset
from catclf.features import FeatureMap
from catclf.features.patches import DICTIONARY
from catclf.features.pixels import Pixels
from catclf.logistic import Array, cost
from catclf.metrics import classification as metrics
from catclf.model import Model
from catclf.solvers.cross_validation import (
    cross_validate_path,
    fit_and_cross_validate,
    grouped_folds,
)
from catclf.solvers.examples import Examples
from catclf.solvers.solver import Solver
from catclf.training import FOLD_SEED, assemble, check_classes, check_settings, examples, read

L2_PATH = tuple(float(f"{value:.1e}") for value in np.logspace(1, -4, 11))
"""λ of the penalty, from strong to weak."""
MOST_PIXELS = 1000
"""Pixels are tried on up to so many images: beyond, they take long and have never won."""
TOLERANCE = 1e-4
"""Of Newton's method while choosing; the model itself is trained to 1e-8."""

Progress = Callable[[str, float, float | None], None]


@dataclass(frozen=True)
class Trial:
    """What cross-validation found of one feature map with one penalty."""

    features: str
    l2: float
    log_loss: float
    accuracy: metrics.Proportion


@dataclass(frozen=True)
class Tuning:
    """What was tried, and the model that came of the best.

    Attributes
    ----------
    trials : list of Trial
        In the order in which they were tried.
    best : Trial
        The one of lowest log loss.
    model : Model
        Trained with it on all images, mirrored copies included.
    complete : bool
        Whether everything was tried, or the work interrupted.
    """

    trials: list[Trial]
    best: Trial
    model: Model
    complete: bool


def tune(
    data: Dataset | str | os.PathLike[str] | None = None,
    *,
    features: str | FeatureMap | None = None,
    l2: float | None = None,
    dictionary: int | None = None,
    pool: int | None = None,
    cv: int = 5,
    maximise: str = "accuracy",
    progress: Progress | None = None,
) -> Tuning:
    """Try feature maps and penalties; train with the best.

    Parameters
    ----------
    data : Dataset or what `load_dataset` takes
        Its `groups`, where it has them, are kept within one fold.
    features, l2, dictionary, pool : optional
        Choices that are made already; what is left is tuned.
    cv : int
        Folds, at least 2.
    maximise : "accuracy" or "balanced-accuracy"
        What the threshold on the probability serves; "accuracy" leaves it at 0.5.
    progress : callable, optional
        Called as progress(what is being done, seconds spent, seconds in all); the last is an
        estimate, and None before the first fold is done.

    Raises
    ------
    ParameterError, DataError
        If a choice makes no sense, or a class has too few images, or groups, for two folds.
    KeyboardInterrupt
        If interrupted before any feature map was tried to the end.
    """
    _, of_map = check_settings(
        features=features,
        dictionary=dictionary,
        pool=pool,
        l2=l2,
        cv=cv,
        maximise=maximise,
        auto=True,
    )
    dataset = read(data, features)
    check_classes(dataset)
    folds = grouped_folds(dataset.Y, _groups(dataset), cv, FOLD_SEED)
    maps = [features] if features else _worth_trying(len(dataset))
    names = [one if isinstance(one, str) else one.name for one in maps]
    path = L2_PATH if l2 is None else (l2,)
    clock = _Clock(names, len(dataset), int(folds.max()) + 1, progress)
    trials: list[Trial] = []
    best: tuple[Trial, FeatureMap, Examples, Array] | None = None
    complete = True
    for one, name in zip(maps, names, strict=True):
        try:
            clock.features(name)
            if isinstance(one, str):
                own = of_map if name == "patches" else {}
                feature_map = feature_maps.fit_map(name, dataset.images, **own)
            else:
                feature_map = one
            images, taken = dataset.images, dataset.features_of(feature_map)
            if not feature_map.symmetric:
                images, taken = concatenate([images, mirror(images)]), None
            seen = examples(feature_map, images, dataset.memory, taken)
            scores, _ = cross_validate_path(
                seen,
                dataset.Y,
                folds,
                path,
                scaled=feature_map.standardised,
                tolerance=TOLERANCE,
                begin=clock.fold,
            )
        except KeyboardInterrupt:
            if best is None:
                raise
            stopping.heed()
            complete = False
            break
        for value, Z in zip(path, scores[:, None, :], strict=True):
            log_loss = cost(Z, dataset.Y.astype(np.float64))
            trials.append(Trial(name, value, log_loss, metrics.accuracy(dataset.Y, Z > 0)))
            if best is None or log_loss < best[0].log_loss:
                best = trials[-1], feature_map, seen, Z
    assert best is not None  # a map was tried to the end
    try:
        model = _refit(dataset, *best, trials, folds, maximise)
    except KeyboardInterrupt:  # the choice is made: a moment more keeps it
        stopping.heed()
        model = _refit(dataset, *best, trials, folds, maximise)
    return Tuning(trials, best[0], model, complete)


def _worth_trying(m: int) -> list[str]:
    return ["conv", "patches", "pixels"] if m <= MOST_PIXELS else ["conv", "patches"]


def _groups(dataset: Dataset) -> NDArray[np.int64]:
    """Number the groups: those of the data set, joined where they share a near-identical image."""
    cluster = dataset.clusters
    if not dataset.groups:
        return cluster
    _, group = np.unique(np.array(dataset.groups), return_inverse=True)
    while True:  # each round carries the smallest number over one more link
        smallest = np.full(len(cluster), len(cluster))
        np.minimum.at(smallest, cluster, group)
        joined = smallest[cluster]
        smallest = np.full(group.max() + 1, len(cluster))
        np.minimum.at(smallest, group, joined)
        joined = smallest[group]
        if (joined == group).all():
            return group.astype(np.int64)
        group = joined


def _refit(
    dataset: Dataset,
    best: Trial,
    feature_map: FeatureMap,
    seen: Examples,
    Z: Array,
    trials: list[Trial],
    folds: NDArray[np.int64],
    maximise: str,
) -> Model:
    """Train with the best choice on everything; Z are the scores that cross-validation gave."""
    y = np.resize(dataset.Y, (1, seen.m))
    solver = Solver("newton", l2=best.l2)
    fit, _ = fit_and_cross_validate(solver, seen, y, scaled=feature_map.standardised)
    tried = [[t.features, t.l2, t.log_loss, t.accuracy.value] for t in trials]
    return assemble(dataset, feature_map, solver, fit, folds, Z, maximise, tried=tried)


EXTRACTION = {"conv": 1.0, "patches": 6.0, "pixels": 0.02}
"""Seconds that a map's features take, relative to one another."""
SIZES = {"conv": 256, "patches": DICTIONARY, "pixels": Pixels.n_x}


class _Clock:
    """Tell what is being done; from the first fold on, estimate how long it all will take."""

    def __init__(self, names: list[str], images: int, k: int, progress: Progress | None) -> None:
        self.names, self.images, self.k, self.progress = names, images, k, progress
        self.started = self.since = time.perf_counter()
        self.total: float | None = None
        self.extraction = 0.0
        self.name = ""

    def features(self, name: str) -> None:
        self.name = name
        self._begin("features")

    def fold(self, fold: int) -> None:
        if fold == 0:
            self.extraction = time.perf_counter() - self.since
        elif self.total is None:
            self._estimate()
        self._begin(f"fold {fold + 1} of {self.k}")

    def _begin(self, what: str) -> None:
        self.since = time.perf_counter()
        if self.progress is not None:
            self.progress(f"{self.name}: {what}", self.since - self.started, self.total)

    def _estimate(self) -> None:
        now = time.perf_counter()
        fold, first = now - self.since, self.names[0]
        rest = self.k * fold  # the training on everything takes about as long as a fold
        for name in self.names[1:]:
            rest += self.extraction * EXTRACTION[name] / EXTRACTION[first]
            rest += self.k * fold * self._work(name) / self._work(first)
        self.total = now - self.started + rest

    def _work(self, name: str) -> float:
        """Count the products of a step of Newton's method, about."""
        columns = self.images * (1 if name == "conv" else 2)
        small = min(SIZES[name], columns)
        return small * small * columns
