"""How much work training does: matrix products, counted rather than timed."""

from collections import Counter

import numpy as np
import pytest

from catclf.solvers import Solver, coordinates
from catclf.solvers.coordinates import Gram, Objective, Primal
from catclf.solvers.cross_validation import (
    cross_validate_path,
    fit_and_cross_validate,
    sample_weights,
    stratified_folds,
)
from catclf.solvers.descent import RECORD_EVERY, gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.newton import newton

N_X, M = 70, 23
STEPS = 50


@pytest.fixture
def products(monkeypatch):
    """Count the calls of np.dot that read a matrix, by the matrix."""
    counts, dot = Counter(), np.dot

    def counted(a, b):
        shapes = {a.shape, b.shape}
        both = {(N_X, M), (M, N_X)}
        if shapes == both:
            counts["XᵀX"] += 1
        elif shapes & both:
            counts["X"] += 1
        elif (M, M) in shapes:
            counts["G"] += 1
        return dot(a, b)

    monkeypatch.setattr(np, "dot", counted)
    return counts


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X, Y = rng.random((N_X, M)), np.arange(M).reshape(1, -1) % 2
    return X, Y.astype(np.float64)


def primal(X):
    return Primal(Examples(X.T))


def descend(system, *objective):
    gradient_descent(system, Objective(*objective), learning_rate=0.01, iterations=STEPS)


@pytest.mark.parametrize("folds", [None, np.arange(M) % 5], ids=["one fit", "and five folds"])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_step_is_two_products_with_x_or_one_with_g(problem, products, l2, folds):
    X, Y = problem
    descend(primal(X), Y, sample_weights(M, folds), l2)
    assert products == {"X": 2 * STEPS + 1}  # and the last scores
    products.clear()
    descend(Gram(X), Y, sample_weights(M, folds), l2)
    # In the end the scores, and w = Xc; a penalty takes one more where the cost is recorded.
    recorded = -(-STEPS // RECORD_EVERY) + 1 if l2 else 0
    assert products == {"XᵀX": 1, "G": STEPS + 1 + recorded, "X": 1}


def test_newton_in_gram_coordinates_reads_x_twice_in_all(problem, products):
    X, Y = problem
    fit = newton(Gram(X), Objective(Y, sample_weights(M), 1e-3))
    assert len(fit.costs) > 4
    assert (products["XᵀX"], products["X"]) == (1, 1)


def test_newton_by_conjugate_gradients_reads_x_twice_for_each_product(
    problem, products, monkeypatch
):
    X, Y = problem
    monkeypatch.setattr(coordinates, "SMALL", 0)
    fit = newton(primal(X), Objective(Y, sample_weights(M), 1e-3))
    steps = len(fit.costs) - 1
    assert steps > 2
    # A look at the cost and its gradient around each step; 73 products with H; the scores.
    assert products["X"] == pytest.approx(2 * (steps + 1) + 2 * 73 + 1, abs=12)


def test_a_path_of_penalties_reads_x_once_for_all_folds(problem, products):
    X, Y = problem
    Y = Y.astype(np.int64)
    cross_validate_path(Examples(X.T), Y, stratified_folds(Y, 5), (1.0, 0.1, 0.01))
    assert products == {"XᵀX": 1}


def test_training_with_folds_builds_one_gram_matrix(problem, products):
    X, Y = problem
    Y = Y.astype(np.int64)
    how = {"scaled": False, "folds": stratified_folds(Y, 5)}
    fit_and_cross_validate(Solver(iterations=STEPS), Examples(X.T), Y, **how)
    assert products == {"XᵀX": 1, "G": STEPS + 1, "X": 1}
