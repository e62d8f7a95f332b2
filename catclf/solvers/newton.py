"""Newton's method to the optimum of the penalised cost, with a line search."""

from __future__ import annotations

import numpy as np

from catclf import logistic
from catclf.errors import ParameterError
from catclf.logistic import Array
from catclf.solvers import Fit, State, Watch
from catclf.solvers.coordinates import Coordinates, Objective, Point

MAX_STEPS = 100
LINE_STEPS = 10
ROUNDING = 1e-14
"""Costs that differ by less, relatively, are the same but for rounding."""


def newton(
    coordinates: Coordinates,
    objective: Objective,
    *,
    tolerance: float = 1e-8,
    start: State | None = None,
    watch: Watch = lambda state: None,
) -> Fit:
    """Go to the minimum of the objective of a single regression.

    Parameters
    ----------
    coordinates : Primal or Gram
        Of X (n_x, m).
    objective : Objective
        With λ above 0: without a penalty, separable data have no optimum.
    tolerance : float
        Stop when the gradient's norm is at most this share of its norm at zero parameters.
    start : State, optional
        Where to begin or to go on, in these coordinates; else at zeros, and there too if the start
        is worse.
    watch : callable
        Called as watch(state) before each step.

    Raises
    ------
    ParameterError
        If l2 is not above 0.
    """
    if not objective.l2 > 0:
        raise ParameterError("newton needs an l2 above 0; without, the optimum may lie at infinity")

    def look(v: Array, b: Array) -> tuple[float, Point]:
        """Give the cost and its gradient: one pass over the examples."""
        J, dv, db = coordinates.gradient(v, b, objective)
        return float(J[0]), (dv, db)

    def norm(g: Point) -> float:
        return float(np.sqrt(max(coordinates.inner(g, g), 0.0)))

    def fit() -> Fit:
        w, bias = coordinates.parameters(v, b)
        return Fit(w, bias, coordinates.forward(v, b), costs, J, State(0, v, b, []))

    zeros = State(0, np.zeros((coordinates.size, 1)), np.zeros((1, 1)), [])
    first, v, b, costs = start or zeros
    J, g = at_zeros = look(zeros.v, zeros.b)
    norm_at_zeros = norm(g)
    if v.any() or b.any():
        J, g = look(v, b)
    if not at_zeros[0] >= J:
        # Worse than zeros: scores may be saturated, and H singular there.
        first, v, b, costs = zeros
        J, g = at_zeros
    for step in range(first, MAX_STEPS):
        costs.append((step, J))
        watch(State(step, v, b, costs))
        relative_norm = norm(g) / norm_at_zeros
        if relative_norm <= tolerance:
            break
        dv, db = coordinates.newton_step(v, b, objective, g, relative_norm)
        slope = coordinates.inner(g, (dv, db))
        t = 1.0
        if coordinates.solves:
            scores = coordinates.forward(v, b), coordinates.forward(dv, db)
            t = _lowest(*scores, objective, slope, objective.l2 * coordinates.penalty(dv).item())
        while True:
            J_there, g_there = look(v + t * dv, b + t * db)
            # Where rounding hides what the cost gains, the gradient tells (Hager & Zhang 2005).
            same = abs(J_there - J) <= ROUNDING * J
            if J_there <= J + 1e-4 * t * slope or (same and norm(g_there) < norm(g)):
                break
            t *= 0.5
            if same or t < 1e-10:
                return fit()  # nothing is gained any more: this is the optimum, to rounding
        v, b, J, g = v + t * dv, b + t * db, J_there, g_there
    return fit()


def _lowest(Z: Array, dZ: Array, objective: Objective, slope: float, penalty: float) -> float:
    """Find t where the cost of Z + t dZ is lowest, or nearly: Newton's method for t alone.

    Where the classes can be told apart, t = 1 goes less than half of the way at first.
    `slope` is that of the cost at t = 0; the penalty grows by penalty · t² beside its slope.
    """
    weighted, A = objective.sample_weight * dZ, logistic.sigmoid(Z)
    t, low, high = 1.0, 0.0, np.inf
    for _ in range(LINE_STEPS):
        A_there = logistic.sigmoid(Z + t * dZ)
        slope_there = slope + float(np.vdot(weighted, A_there - A)) + 2 * penalty * t
        if abs(slope_there) <= 0.01 * abs(slope):
            break
        low, high = (t, high) if slope_there < 0 else (low, t)
        curvature = float(np.vdot(weighted * dZ, A_there * (1 - A_there))) + 2 * penalty
        t -= slope_there / curvature
        if not low < t < high:
            t = 2 * low if high == np.inf else (low + high) / 2
    return t
