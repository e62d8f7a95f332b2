"""Scaling features before training, and taking the scale back into w and b afterwards."""

from __future__ import annotations

import numpy as np

from catclf.logistic import Array


def standardise(X: Array, sample_weight: Array | None = None) -> tuple[Array, Array, Array]:
    """Shift and scale each feature to a mean of 0 and a standard deviation of 1 on these examples.

    A feature that does not vary is shifted only.

    Returns
    -------
    scaled : float64 (n_x, m)
    mean, scale : float64 (n_x, 1)
    """
    mean = X.mean(axis=1, keepdims=True)
    scale = X.std(axis=1, keepdims=True)
    scale[scale < 1e-12 * (1 + np.abs(mean))] = 1.0
    scaled: Array = (X - mean) / scale
    return scaled, mean, scale


def fold_back(w: Array, b: Array, mean: Array, scale: Array) -> tuple[Array, Array]:
    """Turn parameters for scaled features into the same regression's for the features themselves.

    wᵀ(x − mean)/scale + b = (w/scale)ᵀx + (b − wᵀ(mean/scale)).
    """
    unscaled: Array = w / scale
    return unscaled, b - np.dot(unscaled.T, mean)
