"""Training from end to end: data → features → training → model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from catclf import features as feature_maps
from catclf.common.blocks import LazyArray, Rows
from catclf.common.types import Progress
from catclf.data.dataset import Dataset
from catclf.data.load import load_dataset
from catclf.errors import DataError, ParameterError
from catclf.features import FeatureMap
from catclf.features.extraction import bytes_in_memory, extract
from catclf.features.patches import DICTIONARY, MOST_FEATURES, MOST_WORDS, POSITIONS
from catclf.logistic import sigmoid
from catclf.metrics import classification as metrics
from catclf.metrics.calibration import calibrate
from catclf.model import Model, Provenance
from catclf.solvers.checkpoint import Checkpoint
from catclf.solvers.cross_validation import fit_and_cross_validate, grouped_folds
from catclf.solvers.examples import Examples
from catclf.solvers.fit import Fit
from catclf.solvers.solver import Solver

FOLD_SEED = 0
MOST_SEEN = 2**24
"""Fingerprints that a model keeps, evenly drawn of more: it must stay small enough to be read."""


def check_settings(
    *,
    features: str | FeatureMap | None = None,
    dictionary: int | None = None,
    pool: int | None = None,
    l2: float | None = None,
    cv: int = 5,
    maximise: str = "accuracy",
    auto: bool = False,
    **solver: Any,
) -> tuple[Solver, dict[str, int]]:
    """Check the settings of a training run, before work is spent on it.

    Returns
    -------
    Solver
        As the settings say.
    dict
        The settings of the feature map, of those that were given.

    Raises
    ------
    ParameterError
        Naming the first setting that makes no sense.
    """
    given = {"dictionary": dictionary, "pool": pool}
    of_map = {key: value for key, value in given.items() if value is not None}
    problem = None
    if isinstance(features, str) and features not in feature_maps.MAPS:
        problem = f"features are {', '.join(feature_maps.MAPS)} or onnx:PATH, not {features!r}"
    elif of_map and features != "patches" and not (auto and features is None):
        problem = f"{' and '.join(of_map)} can be set with --features patches alone"
    elif dictionary is not None and not 1 <= dictionary <= MOST_WORDS:
        problem = f"the dictionary has 1 to {MOST_WORDS} patches, not {dictionary}"
    elif pool is not None and not 1 <= pool <= POSITIONS:
        problem = f"the grid of patches has 1 to {POSITIONS} cells each way, not {pool}"
    elif (dictionary or DICTIONARY) * (pool or 1) ** 2 > MOST_FEATURES:
        problem = f"dictionary times pool squared may be {MOST_FEATURES} at most: try fewer cells"
    elif auto and l2 == 0:
        problem = "with --auto l2 must be above 0, not 0"
    elif maximise not in ("accuracy", "balanced-accuracy"):
        problem = f"maximise is accuracy or balanced-accuracy, not {maximise!r}"
    elif maximise != "accuracy" and cv == 0:
        problem = "a threshold for balanced accuracy needs cross-validation, not 0 folds"
    elif cv < 0 or cv == 1 or (auto and cv == 0):
        none = "" if auto else ", or 0 for none"
        problem = f"cross-validation needs 2 folds or more{none}, not {cv}"
    if problem:
        raise ParameterError(problem)
    how = Solver(name=solver.pop("solver", "descent"), l2=float(l2 or 0.0), **solver)
    if auto and l2 is None:
        return how, of_map
    how.check()
    return how, of_map


def check_classes(dataset: Dataset) -> None:
    """Raise DataError if a class has no images."""
    missing = [name for name, count in dataset.counts.items() if count == 0]
    if missing:
        raise DataError(f"{dataset.name}: holds no {missing[0]}; training needs both classes")


def train(
    data: Dataset | str | os.PathLike[str] | None = None,
    *,
    features: str | FeatureMap | None = None,
    dictionary: int | None = None,
    pool: int | None = None,
    solver: str = "descent",
    learning_rate: float = 0.005,
    iterations: int = 2000,
    l2: float | None = None,
    tolerance: float = 1e-8,
    coordinates: str = "auto",
    cv: int = 5,
    maximise: str = "accuracy",
    callback: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """Train a logistic regression; without settings, the lesson's own.

    That is pixels / 255, zeros, and 2,000 steps of full-batch gradient descent at a rate of 0.005.

    Parameters
    ----------
    data : Dataset or what `load_dataset` takes
        The training images.
    features : "pixels", "patches", "conv" or a FeatureMap, optional
        What the regression sees; pixels by default. A network of one's own is
        `catclf.features.open_network("onnx:PATH", normalise)`.
    dictionary, pool : int, optional
        Of patches: how many there are, and into how many cells, each way, they are pooled.
    solver, learning_rate, iterations, l2, tolerance, coordinates
        See `catclf.solvers.solver.Solver`.
    cv : int
        Folds of cross-validation, 0 for none; fewer where a class has fewer examples.
    maximise : "accuracy" or "balanced-accuracy"
        What the threshold on the probability serves; "accuracy" leaves it at 0.5.
    callback : callable, optional
        Called as callback(iteration, cost) before each step.
    checkpoint : Checkpoint, optional
        What keeps this run's progress, to be gone on from.

    Returns
    -------
    Model
        Its `provenance` holds the settings, the data's counts and digest, and how many training
        images, and images of left-out folds, come out right. Cross-validation also fits its
        temperature.

    Raises
    ------
    DataError
        If the data cannot be read or has one class only.
    ParameterError
        If a setting makes no sense, or the cost stops being finite.
    CheckpointError
        If the run to be gone on with was another one.
    """
    (attempt,) = train_rates(
        data,
        [learning_rate],
        features=features,
        dictionary=dictionary,
        pool=pool,
        solver=solver,
        iterations=iterations,
        l2=l2,
        tolerance=tolerance,
        coordinates=coordinates,
        cv=cv,
        maximise=maximise,
        callback=callback,
        checkpoint=checkpoint,
    )
    assert attempt.model is not None  # the only one did not diverge
    return attempt.model


@dataclass(frozen=True)
class Attempt:
    """What training at one learning rate came to.

    Attributes
    ----------
    learning_rate : float
    costs : list of (iteration, cost in nats)
        As in the model, and that after the last iteration as well; empty if it diverged.
    model : Model or None
        None if it diverged.
    """

    learning_rate: float
    costs: list[tuple[int, float]]
    model: Model | None

    @property
    def cost(self) -> float:
        """The cost in the end, in nats; infinite if it diverged."""
        return self.costs[-1][1] if self.costs else inf


def train_rates(
    data: Dataset | str | os.PathLike[str] | None,
    learning_rates: Sequence[float],
    *,
    callback: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Attempt]:
    """Train at each of several learning rates, on the same features and folds.

    A rate at which training diverges does not end it, as long as there are others. The settings
    are those of `train`; the callback's iterations are counted on from rate to rate. A checkpoint
    goes with one rate alone. Before, progress(done, total) counts images whose features are made.

    Raises
    ------
    DataError
        If the data cannot be read or has one class only.
    ParameterError
        If a setting makes no sense, or the cost stops being finite at every rate.
    """
    checked = [check_settings(**settings, learning_rate=rate) for rate in learning_rates]
    of_map = checked[0][1]
    if len(checked) > 1 and checked[0][0].name != "descent":
        raise ParameterError("several learning rates are for the solver descent alone, not newton")
    features = settings.get("features") or "pixels"
    dataset = read(data, features)
    check_classes(dataset)
    if checkpoint is not None:
        if len(checked) > 1:
            raise ParameterError("a checkpoint is for one learning rate, not several")
        checkpoint.begin(
            {
                **settings,
                "features": features if isinstance(features, str) else features.settings(),
                **checked[0][0].settings(),
                "classes": dataset.classes,
                "data": dataset.sha256,
            }
        )
    folds = _folds(dataset, settings.get("cv", 5))
    if isinstance(features, str):
        features = feature_maps.fit_map(features, dataset.images, **of_map)
    taken = dataset.features_of(features)
    seen = examples(features, dataset.images, dataset.memory, taken, progress)
    attempts, errors = [], {}
    for i, (how, _) in enumerate(checked):
        told = None if callback is None else _from(i * how.iterations, callback)
        try:
            fit, out_of_fold = fit_and_cross_validate(
                how,
                seen,
                dataset.Y,
                scaled=features.standardised,
                folds=folds,
                callback=told,
                journal=checkpoint,
            )
        except ParameterError as error:
            errors[how.learning_rate] = error
            attempts.append(Attempt(how.learning_rate, [], None))
            continue
        maximise = settings.get("maximise", "accuracy")
        model = assemble(dataset, features, how, fit, folds, out_of_fold, maximise)
        last = [(how.iterations, fit.J)] if how.name == "descent" else []
        attempts.append(Attempt(how.learning_rate, fit.costs + last, model))
    if len(errors) == len(attempts):
        raise errors[min(errors)]
    return attempts


@runtime_checkable
class Elsewhere(Protocol):
    """Images that lie on other machines, and are made ready for training there."""

    def examples(self, feature_map: FeatureMap, memory: float) -> Examples:
        """Prepare the images for training."""
        ...


def examples(
    feature_map: FeatureMap,
    images: Rows,
    memory: float = inf,
    taken: Rows | None = None,
    progress: Progress | None = None,
) -> Examples:
    """Prepare images uint8 (m, height, width, 3) for training.

    Pixels stay bytes, wherever they are, until a slice of them is used. Other features are made
    once, as by `catclf.features.extraction.extract`, unless they are `taken` already, float32
    (m, n_x).

    Raises
    ------
    DataError
        If the map takes images of another size.
    OutputError
        If there is no room for the features.
    """
    if isinstance(images, Elsewhere):
        return images.examples(feature_map, memory)
    if feature_map.divisor is not None:
        return Examples(images, scale=feature_map.divisor, memory=memory - bytes_in_memory(images))
    rows = extract(feature_map, images, memory, progress) if taken is None else taken
    if isinstance(rows, LazyArray):
        return Examples(rows, memory=0)
    return Examples(rows, memory=memory - bytes_in_memory(images) - rows.nbytes)


def read(
    data: Dataset | str | os.PathLike[str] | None, features: str | FeatureMap | None
) -> Dataset:
    """Load what is not loaded yet; a map that is made already takes its features meanwhile."""
    if isinstance(data, Dataset):
        return data
    if features is None or isinstance(features, str):
        return load_dataset(data)
    return load_dataset(data, feature_map=features).with_features(features, extract)


def _from(start: int, callback: Callable[[int, float], None]) -> Callable[[int, float], None]:
    return lambda iteration, J: callback(start + iteration, J)


def assemble(
    dataset: Dataset,
    feature_map: FeatureMap,
    solver: Solver,
    fit: Fit,
    folds: NDArray[np.int64] | None,
    out_of_fold: NDArray[np.float64] | None,
    maximise: str,
    **provenance: Any,
) -> Model:
    """Put a model together: calibrate it on the out-of-fold scores and note how it came about.

    Figures are counted at the temperature and the threshold that the model gets.
    """
    temperature, threshold = 1.0, 0.5
    if out_of_fold is not None:
        temperature, threshold = calibrate(dataset.Y, out_of_fold, maximise)

    def score(Z: NDArray[np.float64]) -> dict[str, int]:
        return metrics.accuracy(dataset.Y, sigmoid(Z / temperature) > threshold)._asdict()

    cross_validation = None
    if out_of_fold is not None and folds is not None:
        k = int(folds.max()) + 1
        cross_validation = {"folds": k, "seed": FOLD_SEED, **score(out_of_fold)}
    return Model(
        w=np.ascontiguousarray(fit.w),
        b=float(fit.b[0, 0]),
        classes=dataset.classes,
        features=feature_map,
        threshold=threshold,
        temperature=temperature,
        costs=fit.costs,
        provenance=Provenance(
            {
                "solver": solver.settings(),
                "data": {"name": dataset.name, "counts": dataset.counts, "sha256": dataset.sha256},
                "training": score(fit.Z[:, : len(dataset)]),
                "cross_validation": cross_validation,
                **provenance,
            }
        ),
        # np.unique would load numpy.ma, a fifth of what NumPy itself takes
        seen=_remembered(dataset.fingerprints),
    )


def _remembered(fingerprints: NDArray[np.uint64]) -> NDArray[np.uint64]:
    seen = np.array(sorted(set(fingerprints.tolist())), dtype=np.uint64)
    return seen[:: max(1, -(-len(seen) // MOST_SEEN))]


def _folds(dataset: Dataset, cv: int) -> NDArray[np.int64] | None:
    """Deal the examples into folds, near-identical images into one; None where that cannot be."""
    if min(cv, *dataset.counts.values()) < 2:
        return None
    try:
        return grouped_folds(dataset.Y, dataset.clusters, cv, FOLD_SEED)
    except DataError:  # all images of a class are one picture
        return None
