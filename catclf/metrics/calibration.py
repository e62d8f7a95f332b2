"""Probabilities that mean something: a temperature, and the threshold that serves a goal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array, sigmoid

LIMITS = (0.05, 100.0)
"""The best temperature is sought between these."""


def fit_temperature(Y: NDArray[np.int64], Z: Array) -> float:
    """Find the T for which σ(Z/T) has the lowest log loss (Guo et al. 2017, "On calibration").

    Parameters
    ----------
    Y : int64 (1, m)
        Labels, 0 or 1.
    Z : float64 (1, m)
        Scores of examples that were not trained on.

    Returns
    -------
    float
        T, above 1 where the scores claim too much.
    """
    low, high = 1.0 / LIMITS[1], 1.0 / LIMITS[0]
    # In s = 1/T the log loss is convex with slope Σ (σ(sz) − y) z, which rises: halve the interval.
    for _ in range(100):
        s = 0.5 * (low + high)
        if np.sum((sigmoid(s * Z) - Y) * Z) > 0:
            high = s
        else:
            low = s
    return 1.0 / s


def best_threshold(Y: NDArray[np.int64], A: Array) -> float:
    """Find the threshold on probabilities with the highest balanced accuracy, ties nearest to 0.5.

    Y and A are (1, m), of examples that were not trained on, with both classes among them.
    """
    order = np.argsort(A[0], kind="stable")
    a, y = A[0, order], Y[0, order]
    cuts = np.flatnonzero(np.diff(a) > 0)  # between unequal neighbours
    thresholds = np.concatenate([[0.0], (a[cuts] + a[cuts + 1]) / 2, [1.0]])
    below = np.searchsorted(a, thresholds, side="right")  # how many lie at or below each
    cats_below = np.concatenate([[0], np.cumsum(y)])[below]
    n_1 = int(y.sum())
    balanced = (n_1 - cats_below) / n_1 + (below - cats_below) / (len(y) - n_1)
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def calibrate(Y: NDArray[np.int64], Z: Array, maximise: str = "accuracy") -> tuple[float, float]:
    """Choose temperature and threshold from scores Z (1, m) of examples not trained on.

    The threshold is 0.5, unless `maximise` is "balanced-accuracy".
    """
    temperature = fit_temperature(Y, Z)
    if maximise == "accuracy":
        return temperature, 0.5
    return temperature, best_threshold(Y, sigmoid(Z / temperature))
