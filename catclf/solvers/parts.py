"""A regression on some of the examples, by which the others are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array
from catclf.solvers.coordinates import Gram, Primal, choose
from catclf.solvers.examples import Examples
from catclf.solvers.fit import Fit
from catclf.solvers.standardise import standardise


@dataclass(frozen=True)
class Part:
    """What a solver needs to train on some of the examples.

    Attributes
    ----------
    system : Primal or Gram
    chosen : int64 (n,)
        The examples that the system holds. A primal system holds all, and counts some 0.
    weight : float64 (1, n)
        What each of these counts; adds up to 1.
    """

    system: Primal | Gram
    chosen: NDArray[np.intp]
    weight: Array
    _left: NDArray[np.intp]
    _seen: Array | None

    def scores(self, fit: Fit) -> Array:
        """Score the examples that were not trained on: float64 (1, left)."""
        if self._seen is None:
            return fit.Z[:, self._left]
        Z: Array = np.dot(fit.w.T, self._seen) + fit.b
        return Z


def part(
    examples: Examples,
    kept: NDArray[np.bool_],
    *,
    scaled: bool,
    steps: int,
    coordinates: str = "auto",
    whole: Primal | Gram | None = None,
) -> Part:
    """Set up the training on the examples that are kept.

    Parameters
    ----------
    examples : Examples
    kept : bool (m,)
    scaled : bool
        Whether features are standardised, on the examples that are kept alone.
    steps, coordinates
        See `catclf.solvers.coordinates.choose`.
    whole : Primal or Gram, optional
        The coordinates of all examples, where features are not scaled.
    """
    rows, left = np.flatnonzero(kept), np.flatnonzero(~kept)
    weight = (kept / len(rows)).reshape(1, -1)
    if isinstance(whole, Gram):
        # With their inner products for features, what is left out has the scores for weights:
        # wᵀx = cᵀ(Xᵀx). X itself is not touched again.
        between = whole.G[np.ix_(left, rows)] - 1.0
        system = Gram(between, whole.G[np.ix_(rows, rows)])
        return Part(system, rows, weight[:, kept], left, np.eye(len(left)))
    if scaled:
        examples, _, _ = standardise(examples, weight)
    found = whole or choose(examples, steps, coordinates)
    if isinstance(found, Gram):
        return Part(found.subset(rows), rows, weight[:, kept], left, found.X[:, left])
    return Part(found, np.arange(examples.m), weight, left, None)
