"""Two coordinate systems for the same descent, behind the lesson's two operations.

Gradient descent from zero keeps w in the span of the columns of X: w = Xc. With the Gram matrix
G = XᵀX (m, m), computed once,

    Z = wᵀX + b = cᵀG + b    and    dw = X dZᵀ/m  becomes  dc = dZᵀ/m,

so that a step costs m² products in place of 2·n_x·m, and the iterates are the very same. The L2
penalty's gradient is λw = X(λc), so dc gains λc. This is the kernel form of a linear model
(Schölkopf, Herbrich & Smola 2001, "A generalized representer theorem").
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from catclf import logistic
from catclf.errors import ParameterError
from catclf.logistic import Array


class Coordinates(Protocol):
    """A place for the parameters v, and the two operations on them."""

    name: str
    size: int
    """How many numbers v has for each regression."""

    def forward(self, v: Array, b: Array) -> Array:
        """Score the examples: v (size, K), b (K, 1) → Z (K, m)."""
        ...

    def backward(self, dZ: Array) -> tuple[Array, Array]:
        """Carry dZ (K, m) back: sums over examples for v (size, K) and for b (K, 1)."""
        ...

    def squared_norm(self, v: Array) -> Array:
        """Measure ‖w‖² of each regression, (K,)."""
        ...

    def weights(self, v: Array) -> Array:
        """Turn v into w (n_x, K)."""
        ...


class Primal:
    """The weights themselves: v is w."""

    name = "primal"

    def __init__(self, X: Array) -> None:
        self.X = X
        self.size = X.shape[0]

    def forward(self, v: Array, b: Array) -> Array:
        return logistic.forward(v, b, self.X)

    def backward(self, dZ: Array) -> tuple[Array, Array]:
        return logistic.backward(self.X, dZ)

    def squared_norm(self, v: Array) -> Array:
        norms: Array = np.sum(v * v, axis=0)
        return norms

    def weights(self, v: Array) -> Array:
        return v


class Gram:
    """One number for each example: v is c, w = Xc."""

    name = "gram"

    def __init__(self, X: Array) -> None:
        self.X = X
        self.size = X.shape[1]
        self.G: Array = np.dot(X.T, X)

    def forward(self, v: Array, b: Array) -> Array:
        return logistic.forward(v, b, self.G)

    def backward(self, dZ: Array) -> tuple[Array, Array]:
        return dZ.T, np.sum(dZ, axis=1, keepdims=True)

    def squared_norm(self, v: Array) -> Array:
        norms: Array = np.sum(v * np.dot(self.G, v), axis=0)
        return norms

    def weights(self, v: Array) -> Array:
        w: Array = np.dot(self.X, v)
        return w


# One product inside G's matrix-matrix product takes about 1/16 of the time of one inside a
# matrix-vector product, which waits for memory: benchmarks/descent.py prints both rates.
PRODUCTS_PER_STEP_PRODUCT = 16


def choose(X: Array, iterations: int, coordinates: str = "auto") -> Coordinates:
    """Pick the coordinates in which so many steps on X (n_x, m) are cheaper.

    Gram costs n_x·m²/16 once and m² a step; primal costs 2·n_x·m a step.

    Raises
    ------
    ParameterError
        If `coordinates` is none of auto, primal and gram.
    """
    if coordinates not in ("auto", "primal", "gram"):
        raise ParameterError(f"coordinates are auto, primal or gram, not {coordinates!r}")
    if coordinates == "auto":
        n_x, m = X.shape
        gram = n_x * m * m / PRODUCTS_PER_STEP_PRODUCT + iterations * m * m
        primal = iterations * 2 * n_x * m
        coordinates = "gram" if gram < primal else "primal"
    return Gram(X) if coordinates == "gram" else Primal(X)
