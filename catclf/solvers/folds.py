"""Folds of cross-validation, and the regressions that they ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError
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


def grouped_folds(
    Y: NDArray[np.int64], groups: NDArray[np.int64], k: int, seed: int = 0
) -> NDArray[np.int64]:
    """Deal whole groups into at most k folds, each with about its share of both classes.

    The largest group goes first, each to the fold that then holds the least of the group's classes;
    where every example is a group of its own, this is `stratified_folds`.

    Parameters
    ----------
    Y, groups : int64 (1, m), int64 (m,)
        Labels, 0 or 1; the number of each example's group.
    k, seed : int

    Raises
    ------
    DataError
        If a class has fewer than two groups: it would be missing from a training fold.
    """
    _, group = np.unique(groups, return_inverse=True)
    n = group.max() + 1
    counts = np.stack([np.bincount(group[Y[0] == y], minlength=n) for y in (0, 1)])
    k = min(k, *(counts > 0).sum(axis=1).tolist())
    if k < 2:
        raise DataError("cross-validation needs two examples, or groups of them, of each class")
    if n == Y.shape[1]:
        return stratified_folds(Y, k, seed)
    shuffled = np.random.default_rng(seed).permutation(n)
    mixed = np.all(counts > 0, axis=0)
    order = shuffled[np.lexsort((-counts.sum(axis=0)[shuffled], ~mixed[shuffled]))]
    relative = counts / counts.sum(axis=1, keepdims=True)
    held = np.zeros((k, 2))
    fold_of = np.empty(n, dtype=np.int64)
    for g in order:
        # Of the sum of squares of the folds' shares, what adding this group would add.
        added = 2 * held @ relative[:, g] + 1e-9 * held.sum(axis=1)
        # No class may end up in one fold alone: its second group keeps away from its first.
        alone = (held > 0).sum(axis=0) == 1
        added[(held[:, alone & (counts[:, g] > 0)] > 0).any(axis=1)] = np.inf
        fold_of[g] = np.argmin(added)
        held[fold_of[g]] += relative[:, g]
    return fold_of[group]


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
