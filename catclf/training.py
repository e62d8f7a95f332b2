"""Training from end to end: data → features → training → model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import metrics
from catclf.common.blocks import LazyArray, concatenate, mirror
from catclf.common.types import Progress
from catclf.data.dataset import Dataset
from catclf.data.load import is_drawn, load_dataset
from catclf.errors import DataError, ParameterError
from catclf.features import FeatureMap, check_map, fit_map, map_while_reading
from catclf.features.feature_map import bytes_in_memory, extract
from catclf.logistic import sigmoid
from catclf.model import Model, Provenance
from catclf.solvers import DRAWN_LEARNING_RATE, FOLDS, Fit, Solver, State
from catclf.solvers.checkpoint import Checkpoint
from catclf.solvers.cross_validation import fit_and_cross_validate, grouped_folds
from catclf.solvers.examples import Examples

FOLD_SEED = 0
MOST_SEEN = 2**24
"""Fingerprints that a model keeps, evenly drawn of more: it must stay small enough to be read."""

Source = Dataset | str | os.PathLike[str] | None
"""A data set, or what `load_dataset` takes."""
Callback = Callable[[int, float], None]


@dataclass(frozen=True)
class Settings:
    """What the regression sees, and how it is cross-validated; checked as it is made.

    The attributes are as the parameters of `train`. With `auto` they are for `catclf.tuning`, which
    chooses what is not said; features of None are then all maps that are tried, else pixels.

    Raises
    ------
    ParameterError
        Naming the first setting that makes no sense.
    """

    features: str | FeatureMap | None = None
    dictionary: int | None = None
    pool: int | None = None
    cv: int = FOLDS
    maximise: str = "accuracy"
    auto: bool = False

    def __post_init__(self) -> None:
        unsaid = self.features is None and not self.auto
        check_map("pixels" if unsaid else self.features, self.of_patches)
        problem = None
        if self.maximise not in ("accuracy", "balanced-accuracy"):
            problem = f"maximise is accuracy or balanced-accuracy, not {self.maximise!r}"
        elif self.maximise != "accuracy" and self.cv == 0:
            problem = "a threshold for balanced accuracy needs cross-validation, not 0 folds"
        elif self.cv < 0 or self.cv == 1 or (self.auto and self.cv == 0):
            none = "" if self.auto else ", or 0 for none"
            problem = f"cross-validation needs 2 folds or more{none}, not {self.cv}"
        if problem:
            raise ParameterError(problem)

    @property
    def first_features(self) -> str | FeatureMap:
        """The features that are used, or tried first."""
        return self.features or ("conv" if self.auto else "pixels")

    @property
    def of_patches(self) -> dict[str, int]:
        """The settings of patches that are set."""
        both = {"dictionary": self.dictionary, "pool": self.pool}
        return {key: value for key, value in both.items() if value is not None}


def default_learning_rate(drawn: bool, features: str | FeatureMap | None) -> float:
    """Give the learning rate where none is named: the lesson's, or the one for drawn pixels."""
    return DRAWN_LEARNING_RATE if drawn and features in (None, "pixels") else Solver.learning_rate


def train(
    data: Source = None,
    *,
    features: str | FeatureMap | None = None,
    dictionary: int | None = None,
    pool: int | None = None,
    solver: str = Solver.name,
    learning_rate: float | None = None,
    iterations: int = Solver.iterations,
    l2: float | None = None,
    tolerance: float = Solver.tolerance,
    coordinates: str = Solver.coordinates,
    cv: int = FOLDS,
    maximise: str = "accuracy",
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """Train a logistic regression; without settings, the lesson's own.

    That is pixels / 255, zeros, and 2,000 steps of full-batch gradient descent at a rate of 0.005
    (0.0007 if `data` is "drawn", or comes to that).

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
        See `catclf.solvers.Solver`.
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
        Cross-validation fits its temperature and, if asked to, its threshold.

    Raises
    ------
    DataError
        If the data cannot be read or has one class only.
    ParameterError
        If a setting makes no sense, or the cost stops being finite.
    CheckpointError
        If the run to be gone on with was another one.
    """
    settings = Settings(features, dictionary, pool, cv, maximise)
    if learning_rate is None:
        drawn = not isinstance(data, Dataset) and is_drawn(data, "train")
        learning_rate = default_learning_rate(drawn, features)
    how = Solver(solver, learning_rate, iterations, l2 or 0.0, tolerance, coordinates)
    (attempt,) = train_with(data, settings, [how], callback=callback, checkpoint=checkpoint)
    return attempt.model


@dataclass(frozen=True)
class Attempt:
    """What training with one of several solvers came to: a model, or the error that it diverged.

    `costs` (iteration, cost in nats) are the model's, and that after the last iteration as well;
    there are none if it diverged.
    """

    learning_rate: float
    outcome: Model | ParameterError
    costs: list[tuple[int, float]]

    @property
    def cost(self) -> float:
        """The cost in the end, in nats; infinite if it diverged."""
        return self.costs[-1][1] if self.costs else inf

    @property
    def model(self) -> Model:
        """The model; raises ParameterError if training diverged."""
        if isinstance(self.outcome, ParameterError):
            raise self.outcome
        return self.outcome


def train_with(
    data: Source,
    settings: Settings,
    solvers: Sequence[Solver],
    *,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> list[Attempt]:
    """Train with each of several solvers, on the same features and folds.

    They are descents at several learning rates, or a single one of any kind. A rate at which
    training diverges does not end it. The callback's iterations are counted on from rate to rate. A
    checkpoint goes with one rate alone. Before, progress(done, total) counts images whose features
    are made.

    Raises
    ------
    DataError
        If the data cannot be read or has one class only.
    ParameterError
        If the solvers do not go together.
    CheckpointError
        If the run to be gone on with was another one.
    """
    if len(solvers) > 1 and solvers[0].name != "descent":
        raise ParameterError("several learning rates are for the solver descent alone, not newton")
    features = settings.first_features
    dataset = read_dataset(data, features)
    if checkpoint is not None:
        checkpoint.begin(
            {
                **vars(settings),
                "features": features if isinstance(features, str) else features.settings(),
                "solver": solvers[0].name,
                **solvers[0].settings(),
                "classes": dataset.classes,
                "data": dataset.sha256,
            }
        )
    folds = None
    if settings.cv:
        groups = dataset.duplicate_groups  # near-identical images stay in one fold
        with suppress(DataError):  # too few images of a class, or all of them one picture
            folds = grouped_folds(dataset.Y, groups, settings.cv, FOLD_SEED)
    feature_map = fit_map(features, dataset.images, settings.of_patches)
    examples = make_examples(feature_map, dataset, progress=progress)
    attempts, before = [], 0

    def watch(entry: int, state: State) -> None:
        if checkpoint is not None:
            checkpoint.keep(entry, state)
        if callback is not None and entry == 0:
            callback(before + state.iteration, state.costs[-1][1])

    how: dict[str, Any] = {"scaled": feature_map.standardised, "folds": folds, "watch": watch}
    if checkpoint is not None:
        how["start"] = checkpoint.start

    for solver in solvers:
        try:
            fit, out_of_fold = fit_and_cross_validate(solver, examples, dataset.Y, **how)
        except ParameterError as error:
            attempts.append(Attempt(solver.learning_rate, error, []))
        else:
            model = make_model(
                dataset, feature_map, solver, fit, folds, out_of_fold, settings.maximise
            )
            last = [(solver.iterations, fit.J)] if solver.name == "descent" else []
            attempts.append(Attempt(solver.learning_rate, model, fit.costs + last))
        before += solver.iterations
    return attempts


def read_dataset(data: Source, features: str | FeatureMap) -> Dataset:
    """Load what is not loaded yet, with features that are made meanwhile if the map wants that.

    Raises
    ------
    DataError
        If the data cannot be read, or a class has no images.
    """
    if isinstance(data, Dataset):
        dataset = data
    else:
        dataset = load_dataset(data, feature_map=map_while_reading(features))
    missing = [name for name, count in dataset.counts.items() if count == 0]
    if missing:
        raise DataError(f"{dataset.name}: holds no {missing[0]}; training needs both classes")
    return dataset


def make_examples(
    feature_map: FeatureMap,
    dataset: Dataset,
    *,
    mirrored: bool = False,
    progress: Progress | None = None,
) -> Examples:
    """Prepare images for training; after them, if `mirrored`, their mirror images.

    There are no mirror images where these have the same features. Pixels stay bytes, wherever they
    are, until a slice of them is used. Other features are made once, as by
    `catclf.features.feature_map.extract`, unless the data set has them.

    Raises
    ------
    DataError
        If the map takes images of another size.
    OutputError
        If there is no room for the features.
    """
    images, memory, rows = dataset.images, dataset.memory, dataset.features_of(feature_map)
    if hasattr(images, "examples"):  # they are on other machines, and are made ready there
        remote: Examples = images.examples(feature_map, memory)
        return remote
    if mirrored and not feature_map.symmetric:
        images, rows = concatenate([images, mirror(images)]), None
    if feature_map.divisor is not None:
        return Examples(images, scale=feature_map.divisor, memory=memory - bytes_in_memory(images))
    if rows is None:
        rows = extract(feature_map, images, memory, progress)
    if isinstance(rows, LazyArray):
        return Examples(rows, memory=0)
    return Examples(rows, memory=memory - bytes_in_memory(images) - rows.nbytes)


def make_model(
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
    temperature, threshold, cross_validation = 1.0, 0.5, None

    def score(Z: NDArray[np.float64]) -> dict[str, int]:
        return metrics.accuracy(dataset.Y, sigmoid(Z / temperature) > threshold)._asdict()

    if folds is not None and out_of_fold is not None:
        temperature = metrics.fit_temperature(dataset.Y, out_of_fold)
        if maximise != "accuracy":
            threshold = metrics.best_threshold(dataset.Y, sigmoid(out_of_fold / temperature))
        k = int(folds.max()) + 1
        cross_validation = {"folds": k, "seed": FOLD_SEED, **score(out_of_fold)}
    # np.unique would load numpy.ma, a fifth of what NumPy itself takes.
    seen = np.array(sorted(set(dataset.signatures.fingerprints.tolist())), dtype=np.uint64)
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
        seen=seen[:: max(1, -(-len(seen) // MOST_SEEN))],
    )
