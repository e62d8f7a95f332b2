"""Two coordinate systems for the same descent, behind the lesson's two operations.

Gradient descent from zero keeps w in the span of the columns of X: w = Xc. With the Gram matrix
G = XᵀX (m, m), computed once,

    Z = wᵀX + b = cᵀG + b    and    dw = X dZᵀ  becomes  dc = dZᵀ,

so that a step costs m² products in place of 2·n_x·m, and the iterates are the very same. This is
the kernel form of a linear model (Schölkopf, Herbrich & Smola 2001, "A generalized representer
theorem").
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catclf import logistic
from catclf.common.threads import for_products
from catclf.errors import ParameterError
from catclf.logistic import Array
from catclf.solvers.examples import Examples, gradient


class Coordinates(Protocol):
    """A place for the parameters of K regressions: v (size, K), and b (K, 1) or a number."""

    name: str
    size: int

    def forward(self, v: Array, b: Array | float) -> Array:
        """Score the examples: Z (K, m)."""
        ...

    def gradient(
        self, v: Array, b: Array | float, Y: Array, weight: Array, *, cost: bool = True
    ) -> tuple[Array, Array, Array | float]:
        """Give Σ weight L (K,), and its gradient for v and b: dZ = weight (A − Y) carried back.

        That takes one pass over the examples. Without `cost` the first is 0.
        """
        ...

    def penalty(self, v: Array) -> Array:
        """Give the L2 penalty ‖w‖²/2, (K,)."""
        ...

    def penalty_gradient(self, v: Array) -> tuple[Array, Array | float]:
        """Give the gradient of ‖w‖²/2 for v and b, which is w itself in these coordinates."""
        ...

    def parameters(self, v: Array, b: Array | float) -> tuple[Array, Array]:
        """Turn v and b into the regressions' w (n_x, K) and b (K, 1)."""
        ...


class Primal:
    """The weights themselves: v is w, b is b. The examples are gone through in blocks."""

    name = "primal"

    def __init__(self, X: Array | Examples) -> None:
        self.examples = Examples.of(X)
        self.size = self.examples.n_x

    def forward(self, v: Array, b: Array | float) -> Array:
        return self.examples.scores(v, b)

    def gradient(
        self, v: Array, b: Array | float, Y: Array, weight: Array, *, cost: bool = True
    ) -> tuple[Array, Array, Array | float]:
        J, dv, db = self.examples.add_up(gradient, Y, weight, v, b, cost)
        return J[:, 0], dv, db

    def penalty(self, v: Array) -> Array:
        halves: Array = 0.5 * np.sum(v * v, axis=0)
        return halves

    def penalty_gradient(self, v: Array) -> tuple[Array, Array | float]:
        return v, 0.0

    def parameters(self, v: Array, b: Array | float) -> tuple[Array, Array]:
        return v, np.zeros((v.shape[1], 1)) + b


class Gram:
    """One number for each example: v is c.

    The bias is the weight of one more feature, always 1, so that the span holds it as well: G is
    XᵀX + 1, and the bias is Σc + b. Here b stays 0 but for a penalty, which spares the bias:
    where it shrinks c, b makes up for what Σc loses.
    """

    name = "gram"

    def __init__(self, X: Array | Examples, G: Array | None = None) -> None:
        self.X = X.matrix() if isinstance(X, Examples) else X
        self.size = self.X.shape[1]
        self.G: Array = np.dot(self.X.T, self.X) + 1.0 if G is None else G

    def subset(self, examples: NDArray[np.intp]) -> Gram:
        """Give the coordinates of some of the examples; their G is a block of this one."""
        return Gram(self.X[:, examples], self.G[np.ix_(examples, examples)])

    def forward(self, v: Array, b: Array | float) -> Array:
        return logistic.forward(v, b, self.G)

    def gradient(
        self, v: Array, b: Array | float, Y: Array, weight: Array, *, cost: bool = True
    ) -> tuple[Array, Array, Array | float]:
        Z = self.forward(v, b)
        dZ = weight * (logistic.sigmoid(Z) - Y)
        J = np.sum(weight * logistic.loss(Z, Y), axis=1) if cost else np.zeros(len(Z))
        return J, dZ.T, 0.0

    def penalty(self, v: Array) -> Array:
        halves: Array = 0.5 * (np.sum(v * np.dot(self.G, v), axis=0) - v.sum(axis=0) ** 2)
        return halves

    def penalty_gradient(self, v: Array) -> tuple[Array, Array | float]:
        return v, -v.sum(axis=0)[:, None]

    def parameters(self, v: Array, b: Array | float) -> tuple[Array, Array]:
        return np.dot(self.X, v), v.sum(axis=0)[:, None] + b


GRAM_SPEEDUP = 16
"""How many times faster a product is inside XᵀX than inside wᵀX, which waits for memory.

`python -m benchmarks gram` prints it: less where X stays in the cache, where Gram coordinates are
far ahead all the same; this much where X does not, as where the choice is close.
"""


PRIMAL_ELEMENT = 2.2
"""What a number in X costs in a primal step, two products on one thread, over one of G in Gram's.

`python -m benchmarks gram` prints it, divided by the threads.
"""


def cheaper(n_x: int, m: int, iterations: int) -> str:
    """Say which coordinates, primal or gram, so many steps on X (n_x, m) take less work in.

    Gram costs n_x·m² products once, at GRAM_SPEEDUP, and m² a step; primal PRIMAL_ELEMENT·n_x·m a
    step, shared out to threads.
    """
    gram = n_x * m * m / GRAM_SPEEDUP + iterations * m * m
    primal = iterations * PRIMAL_ELEMENT * n_x * m / for_products()
    return "gram" if gram < primal else "primal"


def choose(X: Array | Examples, iterations: int, coordinates: str = "auto") -> Primal | Gram:
    """Build the coordinates asked for; "auto" are the cheaper ones for so many steps on X.

    Gram coordinates need X and XᵀX in memory, and are not chosen where they do not fit.

    Raises
    ------
    ParameterError
        If `coordinates` is none of auto, primal and gram, or gram does not fit into memory.
    """
    if coordinates not in ("auto", "primal", "gram"):
        raise ParameterError(f"coordinates are auto, primal or gram, not {coordinates!r}")
    examples = Examples.of(X)
    n_x, m = examples.n_x, examples.m
    size = 8.0 * (n_x * m + 3 * m * m)
    if coordinates == "gram" and size > examples.memory:
        raise ParameterError(
            f"gram coordinates of {m} examples take {size / 1e6:.4g} MB, more than the "
            f"{max(examples.memory, 0) / 1e6:.4g} MB that may be used; leave them out, or raise "
            "--memory"
        )
    if coordinates == "auto":
        coordinates = cheaper(n_x, m, iterations) if size <= examples.memory else "primal"
    return Gram(X) if coordinates == "gram" else Primal(examples)
