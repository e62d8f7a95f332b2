"""Scaling features before training, and taking the scale back into w and b afterwards."""

from __future__ import annotations

from copy import copy

import numpy as np

from catclf.logistic import Array
from catclf.solvers.examples import Examples, Sums


def standardise(examples: Examples, weight: Array) -> tuple[Examples, Array, Array]:
    """Shift and scale each feature to a mean of 0 and a standard deviation of 1.

    A feature that does not vary is shifted only. It takes two passes.

    Parameters
    ----------
    examples : Examples
        Not scaled yet.
    weight : float64 (1, m)
        What each example counts, adding up to 1; those that count 0 are scaled like the others.

    Returns
    -------
    scaled : Examples
    mean, scale : float64 (n_x, 1)
    """
    (mean,) = examples.add_up(_weighted, weight, weight)
    (square,) = examples.add_up(_weighted_squares, weight, weight, mean)
    scale = np.sqrt(square)
    scale[scale < 1e-12 * (1 + np.abs(mean))] = 1.0
    scaled = copy(examples)
    scaled.mean, scaled.scale = mean, scale
    return scaled, mean, scale


def _weighted(X: Array, Y: Array, weight: Array) -> Sums:
    return (np.dot(X, weight.T),)


def _weighted_squares(X: Array, Y: Array, weight: Array, mean: Array) -> Sums:
    return (np.dot((X - mean) ** 2, weight.T),)


def fold_back(w: Array, b: Array, mean: Array, scale: Array) -> tuple[Array, Array]:
    """Turn parameters for scaled features into the same regression's for the features themselves.

    wᵀ(x − mean)/scale + b = (w/scale)ᵀx + (b − wᵀ(mean/scale)).
    """
    unscaled: Array = w / scale
    return unscaled, b - np.dot(unscaled.T, mean)
