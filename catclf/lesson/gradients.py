"""The lesson's two ways to compute one gradient: explicit loops, and vectorized.

Both are here to be compared with one another and with what training does; nothing trains with
them.
"""

from __future__ import annotations

import math

import numpy as np

from catclf.logistic import Array, backward, cost, forward, sigmoid


def gradient_loops(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute cost, dw and db with the lesson's two loops: over examples, and over features.

    Parameters
    ----------
    w : float64 (n_x, 1)
    b : float
    X : float64 (n_x, m)
        Columns are examples.
    Y : (1, m)
        Labels, 0 or 1.

    Returns
    -------
    J : float
        Cost in nats, mean over m.
    dw : float64 (n_x, 1)
        ∂J/∂w.
    db : float
        ∂J/∂b.
    """
    n_x, m = X.shape
    J, dw, db = 0.0, np.zeros((n_x, 1)), 0.0
    for i in range(m):
        z = b
        for j in range(n_x):
            z += w[j, 0] * X[j, i]
        a = 1.0 / (1.0 + math.exp(-z))
        y = Y[0, i]
        J += -(y * math.log(a) + (1.0 - y) * math.log(1.0 - a))
        dz = a - y
        for j in range(n_x):
            dw[j, 0] += X[j, i] * dz
        db += dz
    return J / m, dw / m, db / m


def gradient_vectorized(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute the same cost, dw and db without a loop; parameters as in `gradient_loops`."""
    m = X.shape[1]
    Z = forward(w, b, X)
    A = sigmoid(Z)
    dZ = A - Y
    dw, db = backward(X, dZ)
    return cost(Z, Y), dw / m, float(db[0, 0]) / m
