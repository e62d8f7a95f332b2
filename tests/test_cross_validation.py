"""Folds, and what is left out against regressions trained plainly, each by itself."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catclf.errors import DataError, ParameterError
from catclf.logistic import cost
from catclf.solvers import Solver
from catclf.solvers.coordinates import Objective, Primal
from catclf.solvers.cross_validation import (
    cross_validate_path,
    fit_and_cross_validate,
    grouped_folds,
    stratified_folds,
)
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.newton import newton

L2S = (3.0, 0.3, 0.01)


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_x, m)) * rng.uniform(0.5, 3, (n_x, 1)) + rng.normal(size=(n_x, 1))
    Y = (X[:1] + rng.normal(size=(1, m)) > 0).astype(np.int64)
    Y[0, :6] = 0, 1, 0, 1, 0, 1
    return X, Y


# Folds


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=4, max_size=60), st.integers(2, 7), st.integers(0, 5))
def test_folds_share_out_both_classes_evenly(labels, k, seed):
    Y = np.array([labels], dtype=np.int64)
    folds = stratified_folds(Y, k, seed)
    for chosen in (np.ones(len(labels), bool), Y[0] == 0, Y[0] == 1):
        sizes = np.bincount(folds[chosen], minlength=k)
        assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds, stratified_folds(Y, k, seed))
    labels[:4] = False, True, False, True
    Y = np.array([labels], dtype=np.int64)
    alone = np.random.default_rng(seed).permutation(len(labels))
    k = min(k, sum(labels), len(labels) - sum(labels))
    np.testing.assert_array_equal(grouped_folds(Y, alone, k, seed), stratified_folds(Y, k, seed))


@st.composite
def grouped(draw_one):
    m = draw_one(st.integers(2, 40))
    labels = draw_one(st.lists(st.integers(0, 1), min_size=m, max_size=m))
    most = draw_one(st.integers(1, 12))
    groups = draw_one(st.lists(st.integers(0, most), min_size=m, max_size=m))
    return np.array([labels]), 5 * np.array(groups)


def sized(*sizes):
    """Labels and groups of which each holds so many of both classes."""
    labels = np.concatenate([np.repeat([0, 1], both) for both in sizes])
    return labels[None], np.repeat(np.arange(len(sizes)), np.sum(sizes, axis=1))


@settings(max_examples=200, deadline=None)
@example(sized((3, 0), (2, 1), (0, 4)), 5, 0)  # the second must not join the only other of a class
@example(sized((500, 0), (400, 1), (100, 99)), 5, 0)
@given(grouped(), st.integers(2, 7), st.integers(0, 3))
def test_groups_are_never_split_and_no_class_is_missing_from_training(example, k, seed):
    Y, groups = example
    if min(len(set(groups[Y[0] == y])) for y in (0, 1)) < 2:
        with pytest.raises(DataError, match="two examples, or groups"):
            grouped_folds(Y, groups, k, seed)
        return
    folds = grouped_folds(Y, groups, k, seed)
    assert folds.shape == groups.shape
    assert set(folds) <= set(range(k))
    assert len(set(folds)) == folds.max() + 1 >= 2  # no fold is empty
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    for fold in set(folds):
        assert set(Y[0, folds != fold]) == {0, 1}
    np.testing.assert_array_equal(folds, grouped_folds(Y, groups, k, seed))


def test_folds_of_groups_share_out_both_classes():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    Y = (rng.random((1, len(groups))) < 0.3).astype(np.int64)
    folds = grouped_folds(Y, groups, 5)
    for y in (0, 1):
        sizes = np.bincount(folds[Y[0] == y], minlength=5)
        assert sizes.max() <= 1.35 * sizes.min()


# A path of penalties


def one_by_one(X, Y, folds, l2s, scaled, train):
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
            objective = Objective(y, np.full(y.shape, 1 / y.size), l2)
            fit = train(Primal(Examples(part.T)), objective)
            scores[j, ~kept] = fit.w[:, 0] @ left + fit.b[0, 0]
            J = cost(fit.w.T @ part + fit.b, y) + 0.5 * l2 * float(np.sum(fit.w**2))
            costs[j, fold] = J
    return scores, costs


def exact_newton(*given):
    return newton(*given, tolerance=1e-12)


def path_of(X, Y, folds, l2s=L2S, **settings):
    return cross_validate_path(Examples(X.T), Y, folds, l2s, **settings)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(("n_x", "m"), [(90, 23), (8, 61)])
def test_every_regression_is_the_one_trained_by_itself(n_x, m, copies, scaled):
    X, Y = problem(n_x, m)
    more = (X + np.random.default_rng(i).normal(size=X.shape) for i in range(1, copies))
    X = np.hstack([X, *more])
    folds = stratified_folds(Y, 4)
    own = np.outer(L2S, (1.0, 2.0, 0.5, 1.0))  # a fold may have penalties of its own
    for l2s in (own, L2S):
        scores, costs = path_of(X, Y, folds, l2s, scaled=scaled, tolerance=1e-10)
        expected, lowest = one_by_one(X, Y, folds, l2s, scaled, exact_newton)
        np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(costs, lowest, rtol=1e-9)


# One setting of one solver


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    "solver",
    [
        Solver("newton", l2=0.05, tolerance=1e-12),
        Solver("descent", learning_rate=0.1, iterations=80, l2=0.05),
        Solver("descent", learning_rate=0.1, iterations=80, coordinates="gram"),
    ],
    ids=["newton", "descent", "descent in gram coordinates"],
)
def test_out_of_fold_scores_are_those_of_training_without_the_fold(solver, scaled):
    X, Y = problem(12, 31)
    folds = stratified_folds(Y, 4)

    def descend(*given):
        return gradient_descent(*given, learning_rate=0.1, iterations=80)

    fit, out = fit_and_cross_validate(solver, Examples(X.T), Y, scaled=scaled, folds=folds)
    train = exact_newton if solver.name == "newton" else descend
    expected, _ = one_by_one(X, Y, folds, [solver.l2], scaled, train)
    np.testing.assert_allclose(out, expected, rtol=1e-7, atol=1e-8)
    alone, none = fit_and_cross_validate(solver, Examples(X.T), Y, scaled=scaled)
    assert none is None
    np.testing.assert_allclose(fit.w, alone.w, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(fit.Z, fit.w.T @ X + fit.b, rtol=1e-7, atol=1e-9)
    assert np.abs(out - fit.Z).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adam"}, "solver is descent or newton, not 'adam'"),
        ({"learning_rate": 0.0}, "learning rate must be a positive number, not 0"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"l2": -0.5}, "l2 must be zero or a positive number, not -0.5"),
        ({"name": "newton"}, "newton needs an l2 above 0, not 0"),
        ({"tolerance": 1.0}, "tolerance must lie between 0 and 1, not 1"),
        ({"coordinates": "polar"}, "coordinates are auto, primal or gram, not 'polar'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings, message):
    with pytest.raises(ParameterError, match=message):
        Solver(**settings)
