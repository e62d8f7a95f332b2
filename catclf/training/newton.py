"""Newton's method to the optimum of the penalised cost, with a line search.

The cost J = Σᵢ weightᵢ L(zᵢ, yᵢ) + (λ/2)‖w‖² has, in z, the slopes dZ = weight (A − Y) and the
curvatures D = weight A (1 − A). Each step solves H s = −g for w and b together, where for w alone
g = X dZᵀ + λw and H = X D Xᵀ + λI, in whichever of three ways is cheapest:

- in Gram coordinates, one m × m system;
- the n_x × n_x system itself, where it is small;
- else conjugate gradients on products with H, each a forward and a backward pass, stopped early
  while the gradient is still large (Dembo, Eisenstat & Steihaug 1982, "Inexact Newton methods").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from catclf.errors import ParameterError
from catclf.logistic import Array, backward, forward, loss, sigmoid
from catclf.training.coordinates import Coordinates, Gram
from catclf.training.fit import Fit, Keep, State

MAX_STEPS = 100
MAX_CG_STEPS = 1000
SMALL = 2048
"""Up to so many features the n_x × n_x system is solved rather than iterated on."""


def newton(
    coordinates: Coordinates,
    Y: Array,
    sample_weight: Array,
    *,
    l2: float,
    tolerance: float = 1e-8,
    start: State | None = None,
    callback: Callable[[int, float], None] | None = None,
    keep: Keep | None = None,
) -> Fit:
    """Minimise the penalised cost; the bias is not penalised.

    Parameters
    ----------
    coordinates : Primal or Gram
        Of X (n_x, m).
    Y, sample_weight : float64 (1, m)
        Labels, 0 or 1; what each example counts, adding up to 1.
    l2 : float
        λ, above 0: without a penalty, separable data have no optimum.
    tolerance : float
        Stop when the gradient's norm is at most this share of its norm at zero parameters.
    start : State, optional
        Where to begin or to go on, in these coordinates; else at zeros, and there too if the start
        is worse.
    callback : callable, optional
        Called as callback(step, cost) before each step.
    keep : callable, optional
        Called as keep(state) before each step.

    Raises
    ------
    ParameterError
        If l2 is not above 0.
    """
    if not l2 > 0:
        raise ParameterError("newton needs an l2 above 0; without, the optimum may lie at infinity")
    system = _system(coordinates)
    zeros = State(0, np.zeros((coordinates.size, 1)), 0.0, [])
    first, v, bias, costs = start or zeros
    b = float(np.asarray(bias).item())
    Z = forward(v, b, system.M)
    here = system.inner(v, v), 0.0, 0.0
    if not _cost(Z, Y, sample_weight, l2, here, 0.0) <= np.log(2):
        # Worse than zeros: scores may be saturated, and H singular there.
        first, v, b, costs, Z = 0, zeros.v, 0.0, zeros.costs, np.zeros_like(Z)
    at_zero = _norm(system, zeros.v, sample_weight * (0.5 - Y), l2)
    for step in range(first, MAX_STEPS):
        if keep is not None:
            keep(State(step, v, b, costs))
        A = sigmoid(Z)
        dZ = sample_weight * (A - Y)
        # With a floor, for H would be singular in b where all scores saturate.
        D = sample_weight * np.maximum(A * (1.0 - A), 1e-10)
        J = float(np.sum(sample_weight * loss(Z, Y)) + 0.5 * l2 * system.inner(v, v))
        costs.append((step, J))
        if callback is not None:
            callback(step, J)
        norm = _norm(system, v, dZ, l2)
        if norm <= tolerance * at_zero:
            break
        dv, db = system.solve(v, dZ, D, l2, norm / at_zero)
        moved = forward(dv, db, system.M)
        # Along the step Z moves in a line and the penalty in a parabola: trying costs no product.
        slope = float(np.sum(dZ * moved)) + l2 * system.inner(v, dv)
        curve = system.inner(v, v), system.inner(v, dv), system.inner(dv, dv)
        t = 1.0
        while not _cost(Z + t * moved, Y, sample_weight, l2, curve, t) <= J + 1e-4 * t * slope:
            t *= 0.5
            if t < 1e-10:  # nothing lowers the cost: this is the optimum, to rounding
                break
        else:
            v, b = v + t * dv, b + t * db
            Z = forward(v, b, system.M)  # afresh: what follows, follows from v and b alone
            continue
        break
    J = _cost(Z, Y, sample_weight, l2, (system.inner(v, v), 0.0, 0.0), 0.0)
    return Fit(system.weights(v), np.array([[b]]), Z, costs, J, v)


def _cost(
    Z: Array, Y: Array, weight: Array, l2: float, curve: tuple[float, float, float], t: float
) -> float:
    at, along, across = curve
    penalty = 0.5 * l2 * (at + 2 * t * along + t * t * across)
    return float(np.sum(weight * loss(Z, Y))) + penalty


class _System(Protocol):
    """How to measure and how to solve, in one system of coordinates."""

    M: Array
    """Z = vᵀM + b."""

    def weights(self, v: Array) -> Array: ...

    def inner(self, u: Array, v: Array) -> float:
        """The inner product of two parameters' w."""
        ...

    def gradient(self, v: Array, dZ: Array, l2: float) -> Array:
        """The gradient's w, in these coordinates."""
        ...

    def solve(
        self, v: Array, dZ: Array, D: Array, l2: float, relative_norm: float
    ) -> tuple[Array, float]:
        """Newton's step for v and b."""
        ...


def _norm(system: _System, v: Array, dZ: Array, l2: float) -> float:
    gradient = system.gradient(v, dZ, l2)
    return float(np.sqrt(max(system.inner(gradient, gradient), 0.0) + dZ.sum() ** 2))


def _system(coordinates: Coordinates) -> _System:
    if isinstance(coordinates, Gram):
        return _InGram(coordinates)
    return (_Direct if coordinates.size <= SMALL else _Iterative)(coordinates.X)


class _InGram:
    """w = Xc. With K = XᵀX and S = √D, the step for c and b solves

    D (K dc + db) + λ dc = −(dZ + λc) = −q   and   Σ (dZ + D (K dc + db)) = 0.

    With dc = S y − q/λ the first becomes (SKS + λI) y = S (Kq/λ − db), which is symmetric, and
    positive however small D is. Summed up, both give Σ dc = −Σ c, and that gives db.
    """

    def __init__(self, coordinates: Gram) -> None:
        self.X = coordinates.X
        self.M = coordinates.G - 1.0  # XᵀX itself: here the bias stands apart

    def weights(self, v: Array) -> Array:
        w: Array = np.dot(self.X, v)
        return w

    def inner(self, u: Array, v: Array) -> float:
        return float(np.vdot(u, np.dot(self.M, v)))

    def gradient(self, v: Array, dZ: Array, l2: float) -> Array:
        return dZ.T + l2 * v

    def solve(
        self, v: Array, dZ: Array, D: Array, l2: float, relative_norm: float
    ) -> tuple[Array, float]:
        S = np.sqrt(D).T
        q = self.gradient(v, dZ, l2)
        SKS = S * self.M * S.T
        SKS[np.diag_indices_from(SKS)] += l2
        y = np.linalg.solve(SKS, np.hstack([S * np.dot(self.M, q / l2), S]))
        db = float((np.vdot(S, y[:, 0]) - dZ.sum() / l2) / np.vdot(S, y[:, 1]))
        return S * (y[:, :1] - db * y[:, 1:]) - q / l2, db


class _Direct:
    """w itself, by the (n_x + 1) × (n_x + 1) system of w and b."""

    def __init__(self, X: Array) -> None:
        self.M = X

    def weights(self, v: Array) -> Array:
        return v

    def inner(self, u: Array, v: Array) -> float:
        return float(np.vdot(u, v))

    def gradient(self, v: Array, dZ: Array, l2: float) -> Array:
        return backward(self.M, dZ)[0] + l2 * v

    def solve(
        self, v: Array, dZ: Array, D: Array, l2: float, relative_norm: float
    ) -> tuple[Array, float]:
        n_x = len(self.M)
        H = np.empty((n_x + 1, n_x + 1))
        XD = self.M * D
        H[:n_x, :n_x] = np.dot(XD, self.M.T)
        H[np.arange(n_x), np.arange(n_x)] += l2
        H[:n_x, n_x] = H[n_x, :n_x] = XD.sum(axis=1)
        H[n_x, n_x] = D.sum() + np.finfo(float).tiny
        g = np.append(self.gradient(v, dZ, l2)[:, 0], dZ.sum())
        step = np.linalg.solve(H, -g)
        return step[:n_x, None], float(step[n_x])


class _Iterative(_Direct):
    """w itself, by conjugate gradients: two passes over X a step, and no matrix but X."""

    def solve(
        self, v: Array, dZ: Array, D: Array, l2: float, relative_norm: float
    ) -> tuple[Array, float]:
        def product(p: Array) -> Array:
            u, total = backward(self.M, D * forward(p[:-1], float(p[-1, 0]), self.M))
            return np.vstack([u + l2 * p[:-1], total])

        r = -np.vstack([self.gradient(v, dZ, l2), [[dZ.sum()]]])
        s, p = np.zeros_like(r), r
        squared = float(np.vdot(r, r))
        enough = min(0.1, np.sqrt(relative_norm)) ** 2 * squared
        for _ in range(MAX_CG_STEPS):
            Hp = product(p)
            t = squared / float(np.vdot(p, Hp))
            s, r = s + t * p, r - t * Hp
            before, squared = squared, float(np.vdot(r, r))
            if squared <= enough:
                break
            p = r + (squared / before) * p
        return s[:-1], float(s[-1, 0])
