"""Gradient descent, full batch, from zeros: the lesson's training."""

from __future__ import annotations

import numpy as np

from catclf.errors import ParameterError
from catclf.logistic import Array, loss
from catclf.solvers import Fit, State, Watch
from catclf.solvers.coordinates import Coordinates, Objective

RECORD_EVERY = 100


def gradient_descent(
    coordinates: Coordinates,
    objective: Objective,
    *,
    learning_rate: float,
    iterations: int,
    start: State | None = None,
    watch: Watch = lambda state: None,
) -> Fit:
    """Take so many steps v := v − α dv, b := b − α db on K regressions at once.

    Parameters
    ----------
    coordinates : Primal or Gram
        Of X (n_x, m).
    objective : Objective
        What each regression minimises.
    learning_rate, iterations
        α, and the number of steps.
    start : State, optional
        Where to go on from; else from zeros.
    watch : callable
        Called as watch(state) before each step.

    Raises
    ------
    ParameterError
        If the cost or the weights stop being finite.
    """

    def check(iteration: int, *values: Array) -> None:
        if not all(np.isfinite(value).all() for value in values):
            raise ParameterError(
                f"the cost stopped being finite by iteration {iteration} "
                f"with learning rate {learning_rate:g} and l2 {l2:g}; try a smaller learning rate"
            )

    Y, sample_weight, l2 = objective
    K = len(sample_weight)
    zeros = State(0, np.zeros((coordinates.size, K)), np.zeros((K, 1)), [])
    first, v, b, costs = start or zeros
    with np.errstate(over="ignore", invalid="ignore"):  # what these would warn of, check() tells
        for iteration in range(first, iterations):
            record = iteration % RECORD_EVERY == 0
            J, dv, db = coordinates.gradient(v, b, objective, cost=record)
            if record:
                check(iteration, J)
                costs.append((iteration, float(J[0])))
            watch(State(iteration, v, b, costs))
            # Not in place: a state that was watched stays as it was.
            v = v - learning_rate * dv
            b = b - learning_rate * db
        Z = coordinates.forward(v, b)
        w, bias = coordinates.parameters(v, b)
        J = np.sum(sample_weight * loss(Z, Y), axis=1)
        J = J + l2 * coordinates.penalty(v) if l2 else J
        check(iterations, Z, w, bias, J)
    return Fit(w, bias, Z, costs, float(J[0]))
