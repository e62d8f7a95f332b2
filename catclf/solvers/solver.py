"""One regression on X by either solver, with the cross-validation that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.errors import ParameterError
from catclf.logistic import Array
from catclf.solvers.coordinates import Coordinates, choose
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.fit import Fit, Journal
from catclf.solvers.folds import sample_weights
from catclf.solvers.newton import newton
from catclf.solvers.parts import part
from catclf.solvers.standardise import fold_back, standardise

Callback = Callable[[int, float], None]
NEWTON_STEPS = 20
"""About how many products with X Newton's method takes, for the choice of coordinates."""


@dataclass(frozen=True)
class Solver:
    """How to train: the lesson's gradient descent, or Newton's method.

    Attributes
    ----------
    name : "descent" or "newton"
    learning_rate, iterations : α and the number of steps, of descent
    l2 : λ of the penalty (λ/2)‖w‖²
    tolerance : relative norm of the gradient at which Newton's method stops
    coordinates : "auto", "primal" or "gram"
    """

    name: str = "descent"
    learning_rate: float = 0.005
    iterations: int = 2000
    l2: float = 0.0
    tolerance: float = 1e-8
    coordinates: str = "auto"

    def check(self) -> None:
        """Raise ParameterError, naming the setting, if one makes no sense."""
        problem = None
        if self.name not in ("descent", "newton"):
            problem = f"the solver is descent or newton, not {self.name!r}"
        elif not (isfinite(self.learning_rate) and self.learning_rate > 0):
            problem = f"the learning rate must be a positive number, not {self.learning_rate:g}"
        elif self.iterations < 1:
            problem = f"the iterations must be at least 1, not {self.iterations}"
        elif not (isfinite(self.l2) and self.l2 >= 0):
            problem = f"l2 must be zero or a positive number, not {self.l2:g}"
        elif self.name == "newton" and self.l2 == 0:
            problem = "newton needs an l2 above 0, not 0: try --l2 0.01"
        elif not 0 < self.tolerance < 1:
            problem = f"the tolerance must lie between 0 and 1, not {self.tolerance:g}"
        if problem:
            raise ParameterError(problem)

    def settings(self) -> dict[str, Any]:
        """Give the settings that this solver goes by, as JSON values."""
        unused = {"descent": {"tolerance"}, "newton": {"learning_rate", "iterations"}}[self.name]
        found = {key: value for key, value in asdict(self).items() if key not in unused}
        # From Python a setting may be a NumPy number, which JSON does not know.
        return {
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in found.items()
        }

    def _run(
        self,
        system: Coordinates,
        Y: Array,
        weights: Array,
        callback: Callback | None,
        journal: Journal,
        entry: int = 0,
    ) -> Fit:
        start = journal.start(entry, system.size, len(weights))
        keep = journal.keeper(entry)
        if self.name == "newton":
            return newton(
                system,
                Y,
                weights,
                l2=self.l2,
                tolerance=self.tolerance,
                start=start,
                callback=callback,
                keep=keep,
            )
        return gradient_descent(
            system,
            Y,
            weights,
            learning_rate=self.learning_rate,
            iterations=self.iterations,
            l2=self.l2,
            callback=callback,
            start=start,
            keep=keep,
        )

    def fit(
        self,
        X: Array | Examples,
        Y: NDArray[np.int64],
        *,
        scaled: bool,
        folds: NDArray[np.int64] | None = None,
        callback: Callback | None = None,
        journal: Journal | None = None,
    ) -> tuple[Fit, Array | None]:
        """Train on all examples and, given folds, on all but each of them.

        Parameters
        ----------
        X : float64 (n_x, m), or Examples
        Y : int64 (1, m)
        scaled : bool
            Whether features are standardised, on the training examples of each fit alone.
        folds : int64 (m,), optional
            The fold of each example.
        journal : Journal, optional
            What it holds is gone on from, and it is kept up to date.

        Returns
        -------
        fit : Fit
            Of one regression on all examples, for the features as they are given.
        out_of_fold : float64 (1, m) or None
            The score of each example under the regression that has not seen it.
        """
        examples = Examples.of(X)
        labels, m, noted = Y.astype(np.float64), examples.m, journal or Journal()
        steps = self.iterations if self.name == "descent" else NEWTON_STEPS
        coordinates = self.coordinates
        if self.name == "descent" and examples.elsewhere and coordinates == "auto":
            coordinates = "primal"  # the iterates are the same, and the passes are shared
        if not scaled:
            whole = choose(examples, steps, coordinates)
            if self.name == "descent":  # of all folds at once
                weights = sample_weights(m, folds)
                together = self._run(whole, labels, weights, callback, noted)
                fit = replace(
                    together,
                    w=together.w[:, :1],
                    b=together.b[:1],
                    Z=together.Z[:1],
                    v=together.v[:, :1],
                )
                if folds is None:
                    return fit, None
                return fit, together.Z[1 + folds, np.arange(m)].reshape(1, m)
            fit = self._run(whole, labels, sample_weights(m), callback, noted)
        else:
            whole = None
            standard, mean, scale = standardise(examples, sample_weights(m))
            system = choose(standard, steps, coordinates)
            found = self._run(system, labels, sample_weights(m), callback, noted)
            w, b = fold_back(found.w, found.b, mean, scale)
            fit = replace(found, w=w, b=b)
        if folds is None:
            return fit, None
        out_of_fold = np.empty((1, m))
        for fold in range(folds.max() + 1):
            left = folds == fold
            without = part(
                examples,
                ~left,
                scaled=scaled,
                steps=steps,
                coordinates=coordinates,
                whole=whole,
            )
            found = self._run(
                without.system, labels[:, without.chosen], without.weight, None, noted, 1 + fold
            )
            out_of_fold[:, left] = without.scores(found)
        return fit, out_of_fold
