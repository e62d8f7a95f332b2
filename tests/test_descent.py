"""Descent in both coordinate systems, and how a run that diverges ends."""

import numpy as np
import pytest

from catclf import logistic
from catclf.errors import ParameterError
from catclf.logistic import cost, forward
from catclf.solvers.coordinates import Gram, Objective, Primal, choose
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n_x, m)), (rng.random((1, m)) < 0.4).astype(float)


def primal(X):
    return Primal(Examples(X.T))


def descend(coordinates, Y, l2=0.0, **settings):
    objective = Objective(Y, sample_weights(Y.shape[1]), l2)
    settings = {"learning_rate": 0.05, "iterations": 300, **settings}
    return gradient_descent(coordinates, objective, **settings)


@pytest.mark.parametrize(("n_x", "m"), [(40, 12), (12, 40)])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_gram_coordinates_give_the_same_iterates(n_x, m, l2):
    X, Y = problem(n_x, m)
    one, gram = (descend(system(X), Y, l2=l2) for system in (primal, Gram))
    assert np.abs(one.w - gram.w).max() <= 1e-10 * np.abs(one.w).max()
    np.testing.assert_allclose(one.b, gram.b, rtol=1e-10)
    np.testing.assert_allclose(one.costs, gram.costs, rtol=1e-12)
    np.testing.assert_allclose(one.Z, forward(gram.w, gram.b, X), rtol=1e-9)


@pytest.mark.parametrize("system", [primal, Gram])
def test_both_coordinates_take_the_lessons_steps(system):
    X, Y = problem(6, 5)
    w, b, costs = logistic.descend(X, Y, 0.05, 150)
    fit = descend(system(X), Y, iterations=150)
    np.testing.assert_allclose(fit.w, w, rtol=1e-10)
    np.testing.assert_allclose(fit.b, b, rtol=1e-10)
    np.testing.assert_allclose([J for _, J in fit.costs], costs, rtol=1e-12)


def test_the_cost_recorded_is_the_penalised_cost_before_the_step():
    X, Y = problem(10, 8)
    states = []
    fit = descend(Gram(X), Y, l2=0.5, iterations=201, watch=states.append)
    assert [iteration for iteration, _ in fit.costs] == [0, 100, 200]
    assert [state.iteration for state in states] == list(range(201))
    earlier = descend(Gram(X), Y, l2=0.5, iterations=120)  # what was watched has not changed since
    np.testing.assert_array_equal(Gram(X).parameters(*states[120][1:3])[0], earlier.w)
    assert fit.costs[0][1] == pytest.approx(np.log(2), rel=1e-15)
    before = descend(primal(X), Y, l2=0.5, iterations=200)
    J = cost(forward(before.w, before.b, X), Y) + 0.25 * np.sum(before.w**2)
    assert fit.costs[2][1] == pytest.approx(J, rel=1e-12)
    assert before.J == pytest.approx(J, rel=1e-12)


@pytest.mark.parametrize("system", [primal, Gram])
@pytest.mark.parametrize("change", [{"learning_rate": 1e308}, {"l2": 1e9}])
def test_a_cost_that_stops_being_finite_names_the_learning_rate(system, change):
    X, Y = problem(20, 10)
    with pytest.raises(ParameterError, match="learning rate"):
        descend(system(100 * X), Y, **change)


@pytest.mark.parametrize(
    ("n_x", "m", "iterations", "asked", "expected"),
    [
        (12288, 209, 2000, "auto", "gram"),
        (100, 5000, 2000, "auto", "primal"),
        (5, 5, 10, "primal", "primal"),
        (5, 5, 10, "gram", "gram"),
    ],
)
def test_the_cheaper_coordinates_are_chosen_unless_they_are_named(
    n_x, m, iterations, asked, expected
):
    examples = Examples(np.zeros((m, n_x), dtype=np.uint8))
    assert choose(examples, iterations, asked).name == expected
    assert choose(Examples(examples.rows, memory=100), iterations).name == "primal"
