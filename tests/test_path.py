"""k folds × n values of λ at once, against each regression by itself."""

import numpy as np
import pytest

from catclf.logistic import cost
from catclf.solvers.coordinates import Gram, Primal
from catclf.solvers.folds import stratified_folds
from catclf.solvers.newton import newton
from catclf.solvers.path import cross_validated_path

L2S = (3.0, 0.3, 0.01)


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_x, m)) * rng.uniform(0.5, 3, (n_x, 1)) + rng.normal(size=(n_x, 1))
    Y = (X[:1] + rng.normal(size=(1, m)) > 0).astype(np.int64)
    Y[0, :6] = 0, 1, 0, 1, 0, 1
    return X, Y


def one_by_one(X, Y, folds, l2s, scaled):
    """Train each regression plainly, from zeros, on its training examples alone."""
    m, k = Y.shape[1], folds.max() + 1
    scores, costs = np.empty((len(l2s), m)), np.empty((len(l2s), k))
    for fold in range(k):
        kept = folds != fold
        # A copy goes with its example.
        part = np.hstack([copy[:, kept] for copy in np.split(X, X.shape[1] // m, axis=1)])
        y = np.tile(Y[:, kept], X.shape[1] // m).astype(float)
        mean = part.mean(axis=1, keepdims=True) if scaled else 0.0
        scale = part.std(axis=1, keepdims=True) if scaled else 1.0
        part, left = (part - mean) / scale, (X[:, :m][:, ~kept] - mean) / scale
        for j, l2 in enumerate(np.reshape(l2s, (len(l2s), -1))[:, fold if np.ndim(l2s) > 1 else 0]):
            fit = newton(Primal(part), y, np.full(y.shape, 1 / y.size), l2=l2, tolerance=1e-12)
            scores[j, ~kept] = fit.w[:, 0] @ left + fit.b[0, 0]
            J = cost(fit.w.T @ part + fit.b, y) + 0.5 * l2 * float(np.sum(fit.w**2))
            costs[j, fold] = J
    return scores, costs


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(("n_x", "m"), [(90, 23), (8, 61)])
def test_every_regression_is_the_one_trained_by_itself(n_x, m, copies, scaled):
    X, Y = problem(n_x, m)
    X = np.hstack(
        [X, *(X + np.random.default_rng(i).normal(size=X.shape) for i in range(1, copies))]
    )
    folds = stratified_folds(Y, 4)
    scores, costs = cross_validated_path(X, Y, folds, L2S, scaled=scaled, tolerance=1e-10)
    expected, lowest = one_by_one(X, Y, folds, L2S, scaled)
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(costs, lowest, rtol=1e-9)
    # The oracle would tell one λ from its neighbour, and one fold from another.
    assert np.abs(scores[0] - expected[1]).max() > 1e-3
    assert not np.allclose(scores, one_by_one(X, Y, np.roll(folds, 1), L2S, scaled)[0], atol=1e-3)


def test_a_fold_may_have_penalties_of_its_own():
    X, Y = problem(40, 22)
    folds = stratified_folds(Y, 3)
    own = np.outer(L2S, (1.0, 2.0, 0.5))
    found = cross_validated_path(X, Y, folds, own, tolerance=1e-10)
    for got, expected in zip(found, one_by_one(X, Y, folds, own, False), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert not np.allclose(found[1], cross_validated_path(X, Y, folds, L2S)[1])


def test_wide_data_take_one_gram_matrix_for_all(monkeypatch):
    X, Y = problem(300, 25)
    made = []

    class Counted(Gram):
        def __init__(self, X, G=None):
            super().__init__(X, G)
            made.append((self.X.shape, G is None))

    monkeypatch.setattr("catclf.solvers.coordinates.Gram", Counted)
    monkeypatch.setattr("catclf.solvers.parts.Gram", Counted)
    folds = stratified_folds(Y, 5)
    cross_validated_path(X, Y, folds, L2S)
    assert [shape for shape, computed in made if computed] == [(300, 25)]
    assert [shape for shape, computed in made if not computed] == [(5, 20)] * 5


def test_each_fold_is_announced():
    X, Y = problem(12, 20)
    told = []
    cross_validated_path(X, Y, stratified_folds(Y, 3), L2S, begin=told.append)
    assert told == [0, 1, 2]
