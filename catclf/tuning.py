"""Choose the feature map and the penalty by cross-validated log loss, then train on everything.

For each map a path of λ, from strong to weak, is followed by Newton's method with warm starts in
every fold. Mirrored copies are added to the training folds only. Images of one group, and
near-identical ones, stay in one fold. Nothing is measured on images that a regression has seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catclf import metrics
from catclf.common import interruption
from catclf.data.dataset import Dataset
from catclf.errors import ParameterError
from catclf.features import FeatureMap, fit_map
from catclf.logistic import cost
from catclf.model import Model
from catclf.solvers import FOLDS, Solver
from catclf.solvers.cross_validation import (
    cross_validate_path,
    fit_and_cross_validate,
    grouped_folds,
)
from catclf.training import FOLD_SEED, Settings, Source, make_examples, make_model, read_dataset

L2_PATH = tuple(float(f"{value:.1e}") for value in np.logspace(1, -4, 11))
"""λ of the penalty, from strong to weak."""
MAPS_TRIED = ("conv", "patches", "pixels")
MOST_PIXELS = 1000
"""Pixels are tried on up to so many images: beyond, they take long and have never won."""
TOLERANCE = 1e-4
"""Where Newton's method stops while choosing; the model itself is trained to 1e-8."""

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
    """What was tried, in order, and the model that came of the best: that of lowest log loss.

    The model is trained on all images, mirrored copies included. It is complete if everything was
    tried; else the work was interrupted.
    """

    trials: list[Trial]
    best: Trial
    model: Model
    complete: bool


def tune(
    data: Source = None,
    *,
    features: str | FeatureMap | None = None,
    l2: float | None = None,
    dictionary: int | None = None,
    pool: int | None = None,
    cv: int = FOLDS,
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
    cv, maximise
        As in `catclf.training.train`; there are at least 2 folds.
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
    settings = Settings(features, dictionary, pool, cv, maximise, auto=True)
    return tune_with(data, settings, penalties(l2), progress)


def penalties(l2: float | None) -> Sequence[float]:
    """Give the values of λ to try: a path of them, or the one that is chosen already.

    Raises
    ------
    ParameterError
        If that is not above 0.
    """
    if l2 is None:
        return L2_PATH
    if l2 == 0:
        raise ParameterError("with --auto l2 must be above 0, not 0")
    return (Solver("newton", l2=l2).l2,)


def tune_with(
    data: Source, settings: Settings, l2s: Sequence[float], progress: Progress | None = None
) -> Tuning:
    """Try what `settings` leave open, with each λ; otherwise as `tune`."""
    dataset = read_dataset(data, settings.first_features)
    folds = grouped_folds(dataset.Y, _groups(dataset), settings.cv, FOLD_SEED)
    maps: Sequence[str | FeatureMap] = [settings.features] if settings.features else MAPS_TRIED
    if len(maps) > 1 and len(dataset) > MOST_PIXELS:
        maps = [name for name in maps if name != "pixels"]
    k, stages, start = int(folds.max()) + 1, 0, time.perf_counter()

    def begin(name: str, fold: int | None = None) -> None:
        """Tell what begins; each stage is taken to last as long as those before, on average."""
        nonlocal stages
        spent = time.perf_counter() - start
        total = spent / stages * (len(maps) * (1 + k) + 1) if stages > 1 else None
        stages += 1
        if progress is not None:
            stage = "features" if fold is None else f"fold {fold + 1} of {k}"
            progress(f"{name}: {stage}", spent, total)

    trials: list[Trial] = []
    best = None
    for one in maps:
        name = one if isinstance(one, str) else one.name
        try:
            begin(name)
            feature_map = fit_map(one, dataset.images, settings.of_patches)
            examples = make_examples(feature_map, dataset, mirrored=True)
            scores, _ = cross_validate_path(
                examples,
                dataset.Y,
                folds,
                l2s,
                scaled=feature_map.standardised,
                tolerance=TOLERANCE,
                begin=partial(begin, name),
            )
        except KeyboardInterrupt:
            if best is None:
                raise
            interruption.heed()
            break
        for l2, Z in zip(l2s, scores[:, None, :], strict=True):
            log_loss = cost(Z, dataset.Y.astype(np.float64))
            trials.append(Trial(name, l2, log_loss, metrics.accuracy(dataset.Y, Z > 0)))
            if best is None or log_loss < best.log_loss:
                best, best_map, best_examples, best_Z = trials[-1], feature_map, examples, Z
    assert best is not None  # an interrupt before that was raised

    def train_best() -> Model:
        """Train on everything; the scores that cross-validation gave calibrate the model."""
        solver, labels = Solver("newton", l2=best.l2), np.resize(dataset.Y, (1, best_examples.m))
        scaled = best_map.standardised
        fit, _ = fit_and_cross_validate(solver, best_examples, labels, scaled=scaled)
        how = dataset, best_map, solver, fit, folds, best_Z, settings.maximise
        tried = [[t.features, t.l2, t.log_loss, t.accuracy.value] for t in trials]
        return make_model(*how, tried=tried)

    try:
        model = train_best()
    except KeyboardInterrupt:  # the choice is made: a moment more keeps it
        interruption.heed()
        model = train_best()
    return Tuning(trials, best, model, complete=len(trials) == len(maps) * len(l2s))


def _groups(dataset: Dataset) -> NDArray[np.int64]:
    """Number the groups: those of the data set, joined where they share a near-identical image."""
    if not dataset.groups:
        return dataset.duplicate_groups

    def smallest(numbers: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give each image the smallest number in its group."""
        least = np.full(of.max() + 1, len(of))
        np.minimum.at(least, of, numbers)
        return least[of]

    _, group = np.unique(np.array(dataset.groups), return_inverse=True)
    while True:  # each round carries the smallest number over one more link
        joined = smallest(smallest(group, dataset.duplicate_groups), group)
        if (joined == group).all():
            return group.astype(np.int64)
        group = joined
