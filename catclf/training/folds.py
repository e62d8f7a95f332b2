"""Folds of cross-validation, and the regressions that they ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array


def stratified_folds(Y: NDArray[np.int64], k: int, seed: int = 0) -> NDArray[np.int64]:
    """Deal the examples into k folds, each with its share of both classes.

    The examples of each class are shuffled, then dealt out in turn; the second class goes on where
    the first one stopped, so that the folds' sizes differ by at most one.

    Parameters
    ----------
    Y : int64 (1, m)
        Labels, 0 or 1.
    k : int
        How many folds, from 2 to the size of the smaller class.
    seed : int
        Of the shuffle.

    Returns
    -------
    int64 (m,)
        The fold of each example, 0 to k − 1.
    """
    shuffled = np.random.default_rng(seed).permutation(Y.shape[1])
    dealt = shuffled[np.argsort(Y[0, shuffled], kind="stable")]
    folds = np.empty(Y.shape[1], dtype=np.int64)
    folds[dealt] = np.arange(Y.shape[1]) % k
    return folds


def sample_weights(m: int, folds: NDArray[np.int64] | None = None) -> Array:
    """Weigh the examples for several regressions at once: one on all, then one without each fold.

    Row 0 counts every example 1/m. Row 1 + f leaves fold f out: it counts that fold's examples 0,
    and the others one over their number. So all the regressions of a cross-validation are rows of
    the same matrix products.

    Returns
    -------
    float64 (1, m) without folds, (1 + k, m) with k of them
        Each row adds up to 1.
    """
    rows: Array = np.ones((1, m))
    if folds is not None:
        kept = np.arange(folds.max() + 1)[:, None] != folds[None, :]
        rows = np.vstack([rows, kept])
    rows /= rows.sum(axis=1, keepdims=True)
    return rows
