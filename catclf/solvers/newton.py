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
from catclf.logistic import Array, forward, loss, sigmoid
from catclf.solvers.coordinates import Coordinates, Gram, Primal
from catclf.solvers.examples import curvature, hessian, hessian_product
from catclf.solvers.fit import Fit, Keep, State

MAX_STEPS = 100
MAX_CG_STEPS = 1000
ROUNDING = 1e-14
"""Costs that differ by less, relatively, are the same but for rounding."""
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
    system = _system(coordinates, Y, sample_weight, l2)

    def look(v: Array, b: float) -> tuple[float, Array, float]:
        """Give the cost and its gradient at v and b: one pass over the examples."""
        J, dv, db = system.gradient(v, b)
        return J + 0.5 * l2 * system.inner(v, v), dv + l2 * v, db

    def norm(dv: Array, db: float) -> float:
        return float(np.sqrt(max(system.inner(dv, dv), 0.0) + db * db))

    def done() -> Fit:
        return Fit(system.weights(v), np.array([[b]]), system.forward(v, b), costs, J, v)

    zeros = State(0, np.zeros((coordinates.size, 1)), 0.0, [])
    first, v, bias, costs = start or zeros
    b = float(np.asarray(bias).item())
    J, g_v, g_b = at_zeros = look(zeros.v, 0.0)
    norm_at_zeros = norm(g_v, g_b)
    if v.any() or b:
        J, g_v, g_b = look(v, b)
    if not at_zeros[0] >= J:
        # Worse than zeros: scores may be saturated, and H singular there.
        first, v, b, costs = 0, zeros.v, 0.0, zeros.costs
        J, g_v, g_b = at_zeros
    for step in range(first, MAX_STEPS):
        if keep is not None:
            keep(State(step, v, b, costs))
        costs.append((step, J))
        if callback is not None:
            callback(step, J)
        relative_norm = norm(g_v, g_b) / norm_at_zeros
        if relative_norm <= tolerance:
            break
        dv, db = system.solve(v, b, (g_v, g_b), relative_norm)
        slope = system.inner(g_v, dv) + g_b * db
        t = 1.0
        while True:
            there = look(v + t * dv, b + t * db)
            enough = there[0] <= J + 1e-4 * t * slope
            # Where rounding hides what the cost gains, the gradient tells (Hager & Zhang 2005).
            same = abs(there[0] - J) <= ROUNDING * J
            if enough or (same and norm(*there[1:]) < norm(g_v, g_b)):
                break
            t *= 0.5
            if same or t < 1e-10:
                return done()  # nothing is gained any more: this is the optimum, to rounding
        v, b = v + t * dv, b + t * db
        J, g_v, g_b = there
    return done()


class _System(Protocol):
    """How to measure and how to solve, in one system of coordinates, for Y, weight and l2."""

    def weights(self, v: Array) -> Array: ...

    def forward(self, v: Array, b: float) -> Array:
        """Score the examples: Z (1, m)."""
        ...

    def inner(self, u: Array, v: Array) -> float:
        """The inner product of two parameters' w."""
        ...

    def gradient(self, v: Array, b: float) -> tuple[float, Array, float]:
        """The cost without a penalty, and its gradient in these coordinates and for b."""
        ...

    def solve(
        self, v: Array, b: float, g: tuple[Array, float], relative_norm: float
    ) -> tuple[Array, float]:
        """Newton's step for v and b, where the penalised cost has the gradient g."""
        ...


def _system(coordinates: Coordinates, Y: Array, weight: Array, l2: float) -> _System:
    if isinstance(coordinates, Gram):
        return _InGram(coordinates, Y, weight, l2)
    assert isinstance(coordinates, Primal)
    kind = _Direct if coordinates.size <= SMALL else _Iterative
    return kind(coordinates, Y, weight, l2)


class _InGram:
    """w = Xc. With K = XᵀX and S = √D, the step for c and b solves

    D (K dc + db) + λ dc = −(dZ + λc) = −q   and   Σ (dZ + D (K dc + db)) = 0.

    With dc = S y − q/λ the first becomes (SKS + λI) y = S (Kq/λ − db), which is symmetric, and
    positive however small D is. Summed up, both give Σ dc = −Σ c, and that gives db.
    """

    def __init__(self, coordinates: Gram, Y: Array, weight: Array, l2: float) -> None:
        self.Y, self.weight, self.l2 = Y, weight, l2
        self.X = coordinates.X
        self.K = coordinates.G - 1.0  # XᵀX itself: here the bias stands apart

    def weights(self, v: Array) -> Array:
        w: Array = np.dot(self.X, v)
        return w

    def forward(self, v: Array, b: float) -> Array:
        return forward(v, b, self.K)

    def inner(self, u: Array, v: Array) -> float:
        return float(np.vdot(u, np.dot(self.K, v)))

    def gradient(self, v: Array, b: float) -> tuple[float, Array, float]:
        Z = self.forward(v, b)
        dZ = self.weight * (sigmoid(Z) - self.Y)
        return float(np.sum(self.weight * loss(Z, self.Y))), dZ.T, float(dZ.sum())

    def solve(
        self, v: Array, b: float, g: tuple[Array, float], relative_norm: float
    ) -> tuple[Array, float]:
        q, sum_dZ = g
        S = np.sqrt(curvature(sigmoid(self.forward(v, b)), self.weight)).T
        SKS = S * self.K * S.T
        SKS[np.diag_indices_from(SKS)] += self.l2
        y = np.linalg.solve(SKS, np.hstack([S * np.dot(self.K, q / self.l2), S]))
        db = float((np.vdot(S, y[:, 0]) - sum_dZ / self.l2) / np.vdot(S, y[:, 1]))
        return S * (y[:, :1] - db * y[:, 1:]) - q / self.l2, db


class _Direct:
    """w itself, by the (n_x + 1) × (n_x + 1) system of w and b: one pass."""

    def __init__(self, coordinates: Primal, Y: Array, weight: Array, l2: float) -> None:
        self.Y, self.weight, self.l2 = Y, weight, l2
        self.coordinates, self.examples = coordinates, coordinates.examples

    def weights(self, v: Array) -> Array:
        return v

    def forward(self, v: Array, b: float) -> Array:
        return self.coordinates.forward(v, b)

    def inner(self, u: Array, v: Array) -> float:
        return float(np.vdot(u, v))

    def gradient(self, v: Array, b: float) -> tuple[float, Array, float]:
        J, dv, db = self.coordinates.gradient(v, b, self.Y, self.weight)
        return float(J[0]), dv, float(np.asarray(db).item())

    def solve(
        self, v: Array, b: float, g: tuple[Array, float], relative_norm: float
    ) -> tuple[Array, float]:
        n_x = self.examples.n_x
        XDX, XD, D = self.examples.add_up(hessian, self.Y, self.weight, v, b)
        H = np.empty((n_x + 1, n_x + 1))
        H[:n_x, :n_x] = XDX
        H[np.arange(n_x), np.arange(n_x)] += self.l2
        H[:n_x, n_x] = H[n_x, :n_x] = XD[:, 0]
        H[n_x, n_x] = D[0, 0] + np.finfo(float).tiny
        step = np.linalg.solve(H, -np.append(g[0][:, 0], g[1]))
        return step[:n_x, None], float(step[n_x])


class _Iterative(_Direct):
    """w itself, by conjugate gradients: one pass for each product with H, and no matrix but X."""

    def solve(
        self, v: Array, b: float, g: tuple[Array, float], relative_norm: float
    ) -> tuple[Array, float]:
        def product(p: Array) -> Array:
            direction = p[:-1], float(p[-1, 0])
            u, total = self.examples.add_up(hessian_product, self.Y, self.weight, v, b, *direction)
            return np.vstack([u + self.l2 * p[:-1], total])

        r = -np.vstack([g[0], [[g[1]]]])
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
