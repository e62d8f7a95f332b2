"""Where in an image a feature comes from: dividing what it weighs among the positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Array


def cells(n: int, count: int) -> NDArray[np.int64]:
    """Give where each of `count` cells along n positions begins, as even as can be."""
    return np.linspace(0, n, count + 1).astype(np.int64)[:-1]


def spread(terms: Array, activations: NDArray[np.floating]) -> Array:
    """Divide each feature's term among the positions of its cell, by what each gave to it.

    A feature pooled from a_p ≥ 0 over the positions p of a cell has w x = Σ_p w x a_p / Σ_q a_q.
    Where the feature is the mean of the a_p this is w a_p / n: the class activation map of Zhou et
    al. 2016, "Learning deep features for discriminative localization".

    Parameters
    ----------
    terms : float64 (rows, columns, K)
        w x of each feature of each cell of a grid.
    activations : float (height, width, K)
        What each position gives to the features of its cell, none below 0.

    Returns
    -------
    float64 (height, width)
        The share of each position; they add up to the terms. A cell to which no position gives
        anything has none.
    """
    height, width, _ = activations.shape
    rows, columns = cells(height, terms.shape[0]), cells(width, terms.shape[1])
    activations = activations.astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(activations, rows, axis=0), columns, axis=1)
    rates = np.divide(terms, sums, out=np.zeros_like(sums), where=sums > 0)
    rates = rates.repeat(np.diff(rows, append=height), axis=0)
    rates = rates.repeat(np.diff(columns, append=width), axis=1)
    shares: Array = np.einsum("yxk,yxk->yx", rates, activations)
    return shares
