"""How much work training does: matrix products and bytes read, counted rather than timed."""

from collections import Counter

import numpy as np
import pytest

from catclf.solvers import Solver, coordinates
from catclf.solvers.coordinates import Gram, Primal, choose
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


class Products:
    """Count the calls of np.dot that read a matrix, and the bytes that they read."""

    def __init__(self, monkeypatch):
        self.by_name, self.bytes = Counter(), 0
        dot = np.dot

        def counted(a, b):
            shapes = {a.shape, b.shape}
            both = {(N_X, M), (M, N_X)}
            name = "XᵀX" if shapes == both else "X" if shapes & both else None
            if name is None and (M, M) in shapes:
                name = "G"
            if name:
                self.by_name[name] += 1
                self.bytes += max(a.nbytes, b.nbytes)
            return dot(a, b)

        monkeypatch.setattr(np, "dot", counted)


@pytest.fixture
def products(monkeypatch):
    return Products(monkeypatch)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X, Y = rng.random((N_X, M)), np.arange(M).reshape(1, -1) % 2
    return X, Y.astype(np.float64)


def primal(X):
    return Primal(Examples(X.T))


def descend(system, Y, weights, **more):
    gradient_descent(system, Y, weights, learning_rate=0.01, iterations=STEPS, **more)


@pytest.mark.parametrize("folds", [None, np.arange(M) % 5], ids=["one fit", "and five folds"])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_step_is_two_products_with_x_or_one_with_g(problem, products, l2, folds):
    X, Y = problem
    descend(primal(X), Y, sample_weights(M, folds), l2=l2)
    assert products.by_name == {"X": 2 * STEPS + 1}  # and the last scores
    assert products.bytes == (2 * STEPS + 1) * X.nbytes
    products.by_name.clear()
    descend(Gram(X), Y, sample_weights(M, folds), l2=l2)
    # In the end the scores, and w = Xc; a penalty takes one more where the cost is recorded.
    recorded = -(-STEPS // RECORD_EVERY) + 1 if l2 else 0
    assert products.by_name == {"XᵀX": 1, "G": STEPS + 1 + recorded, "X": 1}


def test_what_is_chosen_reads_fewer_bytes(problem, products):
    X, Y = problem
    read = {}
    for name in ("primal", "gram", "auto"):
        products.bytes = 0
        descend(choose(Examples(X.T), STEPS, name), Y, sample_weights(M))
        read[name] = products.bytes
    assert read["auto"] == read["gram"] < read["primal"] / 2


def test_newton_in_gram_coordinates_reads_x_twice_in_all(problem, products):
    X, Y = problem
    fit = newton(Gram(X), Y, sample_weights(M), l2=1e-3)
    assert len(fit.costs) > 4
    assert (products.by_name["XᵀX"], products.by_name["X"]) == (1, 1)


def test_newton_by_conjugate_gradients_makes_one_pass_for_each_product(
    problem, products, monkeypatch
):
    X, Y = problem
    monkeypatch.setattr(coordinates, "SMALL", 0)
    multiplied = []
    solve = Primal.newton_step

    def counted(self, *given):
        before = products.by_name["X"]
        step = solve(self, *given)
        multiplied.append(products.by_name["X"] - before)
        return step

    monkeypatch.setattr(Primal, "newton_step", counted)
    fit = newton(primal(X), Y, sample_weights(M), l2=1e-3)
    steps = len(multiplied)
    assert steps == len(fit.costs) - 1 > 2
    # A pass is two products, forward and backward, and so is one with H.
    assert all(n % 2 == 0 and n >= 2 for n in multiplied)
    # Around each solve a look at the cost and its gradient; one at zeros; the last scores.
    assert products.by_name["X"] == sum(multiplied) + 2 * (steps + 1) + 1


def test_a_path_of_penalties_reads_x_once_for_all_folds(problem, products):
    X, Y = problem
    Y = Y.astype(np.int64)
    cross_validate_path(Examples(X.T), Y, stratified_folds(Y, 5), (1.0, 0.1, 0.01))
    assert products.by_name == {"XᵀX": 1}


def test_training_with_folds_builds_one_gram_matrix(problem, products):
    X, Y = problem
    Y = Y.astype(np.int64)
    how = {"scaled": False, "folds": stratified_folds(Y, 5)}
    fit_and_cross_validate(Solver(iterations=STEPS), Examples(X.T), Y, **how)
    assert products.by_name == {"XᵀX": 1, "G": STEPS + 1, "X": 1}
