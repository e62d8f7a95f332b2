"""Logistic regression, as in the lesson: one formula, one function.

Columns are examples (scikit-learn has rows). The names are the lesson's:

    X (n_x, m)  features, one column for each of m examples
    Y (1, m)    labels, 1 for cat and 0 for non-cat
    w (n_x, 1)  weights, one for each feature
    b           bias, a number (or (1, 1))
    Z (1, m)    scores: log-odds of cat, in nats
    A (1, m)    activations: the probability of cat, in (0, 1)

The formulas up to `backward` hold for K regressions at once as well, on the same X: then w is
(n_x, K), b is (K, 1), and Z, A and dZ have K rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.floating]


def sigmoid(Z: Array) -> Array:
    """Squash log-odds to probabilities: σ(z) = 1 / (1 + e⁻ᶻ).

    It is computed as (1 + tanh(z/2)) / 2, the same function, which overflows for no z.
    """
    return 0.5 * (1.0 + np.tanh(0.5 * Z))


def forward(w: Array, b: Array | float, X: Floats) -> Array:
    """Score the examples: Z = wᵀX + b."""
    Z: Array = np.dot(w.T, X) + b
    return Z


def loss(Z: Array, Y: Array) -> Array:
    """Measure each example's log loss, in nats: L = −(y log a + (1 − y) log(1 − a)), a = σ(z).

    The minus stands before both terms. With a = σ(z) it simplifies to L = log(1 + eᶻ) − yz, which
    stays exact where a rounds to 0 or 1 and its logarithm would be infinite.
    """
    return np.logaddexp(0.0, Z) - Y * Z


def cost(Z: Array, Y: Array) -> float:
    """Average the loss over the m examples: J = (1/m) Σ L."""
    return float(np.mean(loss(Z, Y)))


def backward(X: Floats, dZ: Array) -> tuple[Array, Array]:
    """Carry dZ = A − Y back to the parameters, as sums over examples: (X dZᵀ, Σ dZ).

    Divided by m they are the gradient, dw = (1/m) X dZᵀ and db = (1/m) Σ dZ. As sums they can be
    added up over blocks of examples first.
    """
    return np.dot(X, dZ.T), dZ.sum(axis=1, keepdims=True)


def gradient(w: Array, b: float, X: Floats, Y: Array) -> tuple[float, Array, float]:
    """Compute the cost and its gradient, forward and backward, without a loop.

    Returns
    -------
    J : float
        Cost in nats, mean over m.
    dw : float64 (n_x, 1)
        ∂J/∂w.
    db : float
        ∂J/∂b.
    """
    m = X.shape[1]
    Z = forward(w, b, X)
    A = sigmoid(Z)
    dZ = A - Y
    sum_dw, sum_db = backward(X, dZ)
    return cost(Z, Y), sum_dw / m, float(sum_db[0, 0]) / m


def descend(
    X: Floats,
    Y: Array,
    learning_rate: float = 0.005,
    num_iterations: int = 2000,
    w: Array | None = None,
    b: float = 0.0,
) -> tuple[Array, float, list[float]]:
    """Train by gradient descent: w := w − α dw and b := b − α db, from zeros unless given.

    `catclf train` takes the very same steps, with less work: see `catclf.solvers.coordinates`.

    Returns
    -------
    w : float64 (n_x, 1)
    b : float
    costs : list of float
        The cost J in nats before steps 0, 100, 200, ...
    """
    if w is None:
        w = np.zeros((X.shape[0], 1))
    costs = []
    for i in range(num_iterations):
        J, dw, db = gradient(w, b, X, Y)
        if i % 100 == 0:
            costs.append(J)
        w = w - learning_rate * dw
        b = b - learning_rate * db
    return w, b, costs
