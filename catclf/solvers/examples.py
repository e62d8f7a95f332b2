"""Examples in blocks, wherever they are, and the sums over them that training asks for.

Gradients, costs and Hessians are sums over examples, so they can be added up from pieces: a slice
of a matrix in memory, a block of a file, a partition on another machine. `add_up` is all that a
source of examples has to offer; the pieces themselves are the lesson's two operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from math import inf
from typing import Any

import numpy as np

from catclf.common.blocks import FAN_IN, Rows, block_slices, in_blocks
from catclf.common.threads import for_products, ordered
from catclf.logistic import Array, backward, forward, loss, sigmoid

SLICE_BYTES = 3 * 2**20
"""X is made float64 in slices of this size, which stay in the processor's cache for both products.

From bytes a pass is six times faster so than from a float64 matrix in memory, for which the
products wait.
"""
FLOOR = 1e-10
"""The least curvature A (1 − A): the Hessian would be singular in b where all scores saturate."""

Sums = tuple[Array, ...]
Work = Callable[..., Sums]
"""work(X, Y, sample_weight, *parameters) → what a slice X (n_x, s) adds to each sum."""


class Examples:
    """m examples of n_x features, (row − mean) / scale each.

    Parameters
    ----------
    rows : (m, ...)
        A row for each example, flattened; an array, or images that stay on disk.
    mean, scale : float64 (n_x, 1), or float, optional
        What is taken off each feature, and what it is divided by.
    memory : float, optional
        How many bytes X may take where it is wanted whole.
    """

    remote = False
    """Whether other machines hold the rows, and share a pass over them."""

    def __init__(
        self,
        rows: Rows,
        mean: Array | float | None = None,
        scale: Array | float | None = None,
        memory: float = inf,
    ) -> None:
        self.rows, self.mean, self.scale, self.memory = rows, mean, scale, memory
        self.m = len(rows)
        self.n_x = int(np.prod(rows.shape[1:]))

    def add_up(self, work: Work, Y: Array, sample_weight: Array, *parameters: Any) -> Sums:
        """Add up what `work` gives for each slice of X, Y (1, m) and sample_weight (K, m)."""

        def of_block(part: slice) -> Sums:
            block = Examples(self.rows[part], self.mean, self.scale)
            return block.add_up_slices(work, Y[:, part], sample_weight[:, part], *parameters)

        return total(ordered(of_block, block_slices(self.rows), for_products()))

    def forward(self, w: Array, b: Array | float) -> Array:
        """Score all examples: Z = wᵀX + b float64 (K, m)."""

        def of_block(part: slice) -> Array:
            return Examples(self.rows[part], self.mean, self.scale).forward_slices(w, b)

        scores = ordered(of_block, block_slices(self.rows), for_products())
        return np.concatenate(list(scores), axis=1)

    def matrix(self) -> Array:
        """Give X whole: float64 (n_x, m)."""
        if self.rows.dtype == np.float64 and self.mean is None and self.scale is None:
            return self.rows[:].reshape(self.m, -1).T
        X = np.empty((self.m, self.n_x))
        for part, rows in in_blocks(self.rows):
            for inner, x in Examples(rows, self.mean, self.scale).slices():
                X[part][inner] = x.T
        return X.T

    # Of examples that are in memory, such as one block:

    def slices(self) -> Iterator[tuple[slice, Array]]:
        """Give X float64 (n_x, s), so many examples at a time as fit the cache.

        Each slice takes the place of the one before.
        """
        flat = self.rows[:].reshape(self.m, -1)
        mean = self.mean.T if isinstance(self.mean, np.ndarray) else self.mean
        scale = self.scale.T if isinstance(self.scale, np.ndarray) else self.scale
        size = max(1, SLICE_BYTES // (8 * self.n_x))
        # One place for all slices: memory that is asked for anew is not in the cache, and where
        # malloc gives it back each time, as Dask has its workers do, a pass takes five times as
        # long.
        place = np.empty((min(size, self.m), self.n_x))
        for start in range(0, self.m, size):
            part = slice(start, min(start + size, self.m))
            x, room = flat[part], place[: part.stop - start]
            if mean is not None:
                x = np.subtract(x, mean, out=room, dtype=np.float64)
            if scale is not None:
                x = np.divide(x, scale, out=room, dtype=np.float64)
            if x.dtype != np.float64:
                np.copyto(room, x)
                x = room
            yield part, x.T

    def add_up_slices(self, work: Work, Y: Array, sample_weight: Array, *parameters: Any) -> Sums:
        """Add up what `work` gives for each slice, one after another."""
        totals: Sums = ()
        for part, X in self.slices():
            totals = plus(totals, work(X, Y[:, part], sample_weight[:, part], *parameters))
        return totals

    def forward_slices(self, w: Array, b: Array | float) -> Array:
        """Score the examples, a slice at a time: float64 (K, m)."""
        return np.concatenate([forward(w, b, X) for _, X in self.slices()], axis=1)


def plus(totals: Sums, more: Sums) -> Sums:
    """Add two results of `work`; one may be of nothing yet, and the first is changed."""
    if not (totals and more):
        return totals or more
    for sum_, one in zip(totals, more, strict=True):
        np.add(sum_, one, out=sum_)
    return totals


def total(blocks: Iterable[Sums]) -> Sums:
    """Add up the blocks' sums in a tree, each time FAN_IN of those below; they are changed.

    A part of the tree can so be added up elsewhere: the whole comes out the same to the bit,
    whichever threads, processes or machines have done what.
    """
    levels: list[Sums] = [()]  # of each, the sum of what does not make FAN_IN yet
    for count, leaf in enumerate(blocks, 1):
        level, full = 0, leaf
        while True:
            levels[level] = full = plus(levels[level], full)
            if count % FAN_IN ** (level + 1):
                break
            levels[level] = ()
            level += 1
            if level == len(levels):
                levels.append(())
    rest: Sums = ()
    for sums in levels:
        rest = plus(sums, rest)
    return rest


# What is asked of X, Y and sample_weight, a slice at a time.


def gradient(
    X: Array, Y: Array, sample_weight: Array, w: Array, b: Array, cost: bool = True
) -> Sums:
    """Give Σ sample_weight L (K, 1), X dZᵀ (n_x, K) and Σ dZ (K, 1).

    Here dZ = sample_weight (A − Y). Without `cost` the first is 0.
    """
    Z = forward(w, b, X)
    J = np.sum(sample_weight * loss(Z, Y), axis=1, keepdims=True) if cost else np.zeros((len(Z), 1))
    return J, *backward(X, sample_weight * (sigmoid(Z) - Y))


def curvature(A: Array, sample_weight: Array) -> Array:
    """Give the second derivatives of the cost by each score, sample_weight A (1 − A) or a floor."""
    D: Array = sample_weight * np.maximum(A * (1.0 - A), FLOOR)
    return D


def hessian_product(
    X: Array, Y: Array, sample_weight: Array, w: Array, b: Array, p: Array, q: Array
) -> Sums:
    """Multiply the Hessian at w, b, without a penalty, by (p, q): X u and Σ u, u = D (pᵀX + q)ᵀ."""
    Z = forward(np.hstack([w, p]), np.vstack([b, q]), X)
    return backward(X, curvature(sigmoid(Z[:1]), sample_weight) * Z[1:])


def hessian(X: Array, Y: Array, sample_weight: Array, w: Array, b: Array) -> Sums:
    """Give the Hessian at w, b, without a penalty: X D Xᵀ (n_x, n_x), X D 1 (n_x, 1) and Σ D."""
    D = curvature(sigmoid(forward(w, b, X)), sample_weight)
    XD = X * D
    return np.dot(XD, X.T), XD.sum(axis=1, keepdims=True), D.sum(axis=1, keepdims=True)


# Scaling features before training, and taking the scale back into w and b afterwards.


def standardise(examples: Examples, sample_weight: Array) -> tuple[Examples, Array, Array]:
    """Shift and scale each feature to a mean of 0 and a standard deviation of 1.

    A feature that does not vary is shifted only. It takes two passes.

    Parameters
    ----------
    examples : Examples
        Not scaled yet.
    sample_weight : float64 (1, m)
        What each example counts, adding up to 1; those that count 0 are scaled like the others.

    Returns
    -------
    scaled : Examples
    mean, scale : float64 (n_x, 1)
    """
    (mean,) = examples.add_up(_weighted, sample_weight, sample_weight)
    (square,) = examples.add_up(_weighted_squares, sample_weight, sample_weight, mean)
    scale = np.sqrt(square)
    scale[scale < 1e-12 * (1 + np.abs(mean))] = 1.0
    scaled = copy(examples)
    scaled.mean, scaled.scale = mean, scale
    return scaled, mean, scale


def _weighted(X: Array, Y: Array, sample_weight: Array) -> Sums:
    return (np.dot(X, sample_weight.T),)


def _weighted_squares(X: Array, Y: Array, sample_weight: Array, mean: Array) -> Sums:
    return (np.dot((X - mean) ** 2, sample_weight.T),)


def unstandardise(w: Array, b: Array, mean: Array, scale: Array) -> tuple[Array, Array]:
    """Turn parameters for scaled features into the same regression's for the features themselves.

    wᵀ(x − mean)/scale + b = (w/scale)ᵀx + (b − wᵀ(mean/scale)).
    """
    unscaled: Array = w / scale
    return unscaled, b - np.dot(unscaled.T, mean)
