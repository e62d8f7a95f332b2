"""Choose the feature map and the penalty by cross-validated log loss, then train on everything.

For each map a path of λ, from strong to weak, is followed by Newton's method with warm starts in
every fold. Mirrored copies are added to the training folds only. Images of one group, and
near-identical ones, stay in one fold. Nothing is measured on images that a regression has seen.
The first map is tried on all images; each other one first races against the best so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catclf import metrics
from catclf.common import interruption
from catclf.data.dataset import Dataset
from catclf.errors import ParameterError
from catclf.features import FeatureMap, fit_map
from catclf.logistic import Array, cost
from catclf.model import Model
from catclf.solvers import FOLDS, Solver
from catclf.solvers.cross_validation import (
    cross_validate_path,
    fit_and_cross_validate,
    grouped_folds,
    stratified_folds,
)
from catclf.solvers.examples import Examples
from catclf.training import FOLD_SEED, Settings, Source, make_examples, make_model, read_dataset

L2_PATH = tuple(float(f"{value:.1e}") for value in np.logspace(1, -4, 11))
"""λ of the penalty, from strong to weak."""
MAPS_TRIED = ("conv", "pixels", "patches")
"""The cheapest first; the others race against the best so far."""
RACE_IMAGES, RACE_FOLDS = 500, 2
"""A map races on so many images at most, and is left out if it is behind after so many folds."""
TOLERANCE = 1e-4
"""Where Newton's method stops while choosing; the model itself is trained to 1e-8."""

Progress = Callable[[str, float, float | None], None]


@dataclass(frozen=True)
class Trial:
    """What cross-validation found of one feature map with one penalty.

    Of a map that was left out after the race, it is the best penalty on the images scored there.
    """

    features: str
    l2: float
    log_loss: float
    accuracy: metrics.Proportion
    left_out: bool = False

    @property
    def as_json(self) -> list[str | float]:
        """Give what a model file says of it."""
        mark = ["left out"] if self.left_out else []
        return [self.features, self.l2, self.log_loss, self.accuracy.value, *mark]


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
    k = int(folds.max()) + 1
    stages = _Stages((1 + k) + (1 + RACE_FOLDS) * (len(maps) - 1) + 1, progress)
    cross_validate = partial(_cross_validate, l2s=l2s, of_patches=settings.of_patches)
    trials: list[Trial] = []
    best, complete = None, False
    try:
        for one in maps:
            if best is not None:
                every = -(-len(dataset) // RACE_IMAGES)
                rows = np.flatnonzero(stratified_folds(dataset.Y, every, FOLD_SEED) == 0)
                few = replace(dataset, images=dataset.images[rows], Y=dataset.Y[:, rows])
                early = np.where(folds < RACE_FOLDS, folds, -1)[rows]
                racer = cross_validate(one, few, early, stages)
                if _is_behind(racer.best_scores, best.best_scores[:, rows], few.Y, early):
                    trials.append(replace(racer.best, left_out=True))
                    continue
                stages.planned += 1 + k
            candidate = cross_validate(one, dataset, folds, stages)
            trials += candidate.trials
            if best is None or candidate.best.log_loss < best.best.log_loss:
                best = candidate
        complete = True
    except KeyboardInterrupt:
        if best is None:
            raise
        interruption.heed()
    assert best is not None  # an interrupt before that was raised

    def train_best(best: _Candidate) -> Model:
        """Train on everything; the scores that cross-validation gave calibrate the model."""
        solver, examples = Solver("newton", l2=best.best.l2), best.examples
        labels, scaled = np.resize(dataset.Y, (1, examples.m)), best.feature_map.standardised
        fit, _ = fit_and_cross_validate(solver, examples, labels, scaled=scaled)
        how = dataset, best.feature_map, solver, fit, folds, best.best_scores, settings.maximise
        return make_model(*how, tried=[trial.as_json for trial in trials])

    try:
        model = train_best(best)
    except KeyboardInterrupt:  # the choice is made: a moment more keeps it
        interruption.heed()
        model = train_best(best)
    return Tuning(trials, best.best, model, complete)


class _Stages:
    """Tell how far the work is: each stage is taken to last as long as those before, on average."""

    def __init__(self, planned: int, progress: Progress | None) -> None:
        self.planned, self._begun, self._progress = planned, 0, progress
        self._start = time.perf_counter()

    def begin(self, name: str, fold: int | None = None) -> None:
        spent = time.perf_counter() - self._start
        total = spent / self._begun * self.planned if self._begun > 1 else None
        self._begun += 1
        if self._progress is not None:
            stage = "features" if fold is None else f"fold {fold + 1}"
            self._progress(f"{name}: {stage}", spent, total)


@dataclass(frozen=True)
class _Candidate:
    """A feature map that was cross-validated: a trial, and a row of scores (n, m), for each λ."""

    feature_map: FeatureMap
    examples: Examples
    trials: list[Trial]
    scores: Array

    @property
    def best(self) -> Trial:
        return min(self.trials, key=lambda trial: trial.log_loss)

    @property
    def best_scores(self) -> Array:
        """The scores with the best λ, (1, m)."""
        return self.scores[[self.trials.index(self.best)]]


def _cross_validate(
    one: str | FeatureMap,
    data: Dataset,
    folds: NDArray[np.int64],
    stages: _Stages,
    *,
    l2s: Sequence[float],
    of_patches: dict[str, int],
) -> _Candidate:
    """Cross-validate a map with each λ; images of fold −1 are trained on alone."""
    name = one if isinstance(one, str) else one.name
    stages.begin(name)
    feature_map = fit_map(one, data.images, of_patches)
    examples = make_examples(feature_map, data, mirrored=True)
    scores, _ = cross_validate_path(
        examples,
        data.Y,
        folds,
        l2s,
        scaled=feature_map.standardised,
        tolerance=TOLERANCE,
        begin=partial(stages.begin, name),
    )
    Y, labels = data.Y[:, folds >= 0], data.Y[:, folds >= 0].astype(np.float64)
    trials = [
        Trial(name, l2, cost(Z, labels), metrics.accuracy(Y, Z > 0))
        for l2, Z in zip(l2s, scores[:, None, folds >= 0], strict=True)
    ]
    return _Candidate(feature_map, examples, trials, scores)


def _is_behind(Z: Array, lead: Array, Y: NDArray[np.int64], folds: NDArray[np.int64]) -> bool:
    """Tell whether scores Z (1, m) trail those in the lead by more than their own spread.

    What is compared is the log loss; the spread is its range over the folds.
    """
    losses, leads = (
        [cost(z[:, folds == f], Y[:, folds == f].astype(np.float64)) for f in range(RACE_FOLDS)]
        for z in (Z, lead)
    )
    return bool(np.mean(losses) - np.mean(leads) > np.ptp(losses))


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
