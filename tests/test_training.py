"""Descent in both coordinate systems, folds, and how a run that diverges ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.errors import ParameterError
from catclf.lesson.vectorization import gradient_loops
from catclf.logistic import cost, forward
from catclf.solvers.coordinates import Gram, Primal, choose
from catclf.solvers.descent import gradient_descent
from catclf.solvers.folds import sample_weights, stratified_folds


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n_x, m)), (rng.random((1, m)) < 0.4).astype(float)


def descend(coordinates, Y, weights=None, **settings):
    weights = sample_weights(Y.shape[1]) if weights is None else weights
    settings = {"learning_rate": 0.05, "iterations": 300, "l2": 0.0, **settings}
    return gradient_descent(coordinates, Y, weights, **settings)


@pytest.mark.parametrize(("n_x", "m"), [(40, 12), (12, 40)])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_gram_coordinates_give_the_same_iterates(n_x, m, l2):
    X, Y = problem(n_x, m)
    primal, gram = (descend(system(X), Y, l2=l2) for system in (Primal, Gram))
    scale = np.abs(primal.w).max()
    assert np.abs(primal.w - gram.w).max() <= 1e-10 * scale
    np.testing.assert_allclose(primal.b, gram.b, rtol=1e-10)
    np.testing.assert_allclose(primal.costs, gram.costs, rtol=1e-12)
    np.testing.assert_allclose(primal.Z, forward(gram.w, gram.b, X), rtol=1e-9)


def test_gram_coordinates_equal_the_lessons_loops():
    X, Y = problem(6, 5)
    w, b = np.zeros((6, 1)), 0.0
    for _ in range(30):
        _, dw, db = gradient_loops(w, b, X, Y)
        w, b = w - 0.05 * dw, b - 0.05 * db
    fit = descend(Gram(X), Y, iterations=30)
    np.testing.assert_allclose(fit.w, w, rtol=1e-10)
    np.testing.assert_allclose(fit.b, b, rtol=1e-10)


def test_a_different_step_size_would_be_noticed():
    X, Y = problem(6, 5)
    a, c = (descend(Gram(X), Y, learning_rate=rate).w for rate in (0.05, 0.0500001))
    assert np.abs(a - c).max() > 1e-10 * np.abs(a).max()


@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_folds_descended_together_equal_each_alone(l2):
    X, Y = problem(30, 14)
    folds = stratified_folds(Y.astype(int), 3)
    together = descend(Gram(X), Y, sample_weights(14, folds), l2=l2)
    for fold in range(3):
        kept = folds != fold
        alone = descend(Primal(X[:, kept]), Y[:, kept], l2=l2)
        np.testing.assert_allclose(together.w[:, [1 + fold]], alone.w, rtol=1e-9, atol=1e-12)
    full = descend(Gram(X), Y, l2=l2)
    np.testing.assert_allclose(together.w[:, :1], full.w, rtol=1e-10)


def test_the_cost_recorded_is_the_penalised_cost_before_the_step():
    X, Y = problem(10, 8)
    fit = descend(Gram(X), Y, l2=0.5, iterations=201)
    assert [iteration for iteration, _ in fit.costs] == [0, 100, 200]
    assert fit.costs[0][1] == pytest.approx(np.log(2), rel=1e-15)
    before = descend(Primal(X), Y, l2=0.5, iterations=200)
    J = cost(forward(before.w, before.b, X), Y) + 0.25 * np.sum(before.w**2)
    assert fit.costs[2][1] == pytest.approx(J, rel=1e-12)


def test_the_callback_sees_every_step():
    X, Y = problem(4, 4)
    seen = []
    descend(Gram(X), Y, iterations=150, callback=lambda i, J: seen.append((i, J)))
    assert [i for i, _ in seen] == list(range(150))
    assert seen[99][1] == seen[0][1] != seen[100][1]


@pytest.mark.parametrize("system", [Primal, Gram])
@pytest.mark.parametrize("change", [{"learning_rate": 1e308}, {"l2": 1e9, "iterations": 100}])
def test_a_cost_that_stops_being_finite_names_the_learning_rate(system, change):
    X, Y = problem(20, 10)
    with pytest.raises(ParameterError, match="learning rate"):
        descend(system(100 * X), Y, **change)


@pytest.mark.parametrize(
    ("n_x", "m", "iterations", "expected"),
    [(12288, 209, 2000, "gram"), (100, 5000, 2000, "primal"), (12288, 4000, 1, "primal")],
)
def test_the_cheaper_coordinates_are_chosen(n_x, m, iterations, expected):
    assert choose(np.zeros((n_x, m)), iterations).name == expected


def test_coordinates_can_be_forced():
    X, _ = problem(5, 5)
    assert choose(X, 10, "primal").name == "primal"
    assert choose(X, 10, "gram").name == "gram"
    with pytest.raises(ParameterError, match="polar"):
        choose(X, 10, "polar")


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=4, max_size=60), st.integers(2, 7), st.integers(0, 5))
def test_folds_share_out_both_classes_evenly(labels, k, seed):
    Y = np.array([labels], dtype=np.int64)
    folds = stratified_folds(Y, k, seed)
    for chosen in (np.ones(len(labels), bool), Y[0] == 0, Y[0] == 1):
        sizes = np.bincount(folds[chosen], minlength=k)
        assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds, stratified_folds(Y, k, seed))


def test_sample_weights_leave_each_fold_out_once():
    folds = np.array([0, 1, 1, 0, 2])
    weights = sample_weights(5, folds)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights[0], 0.2)
    for fold in range(3):
        np.testing.assert_array_equal(weights[1 + fold] == 0, folds == fold)
