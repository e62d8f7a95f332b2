"""Newton's method in each system: the optimum, how it is reached, and scaled features."""

import numpy as np
import pytest

from catclf import load_dataset
from catclf.features.pixels import Pixels
from catclf.solvers import Solver, State
from catclf.solvers import coordinates as module
from catclf.solvers.coordinates import Gram, Objective, Primal
from catclf.solvers.cross_validation import fit_and_cross_validate, stratified_folds
from catclf.solvers.examples import Examples, standardise, unstandardise
from catclf.solvers.newton import newton

SHAPES = [(40, 12), (12, 40)]
SYSTEMS = ["gram", "solved", "iterated"]


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_x, m)) + rng.normal(size=(n_x, 1))
    Y = (rng.normal(size=(1, m)) + X[:1] - X[:1].mean() > 0).astype(float)
    Y[0, :4] = 0, 1, 0, 1  # both classes in each
    return X, Y


def primal(X):
    return Primal(Examples(X.T))


@pytest.fixture
def system(monkeypatch):
    """Give coordinates, and how Newton's system is solved in them, by name."""

    def made(name, X):
        monkeypatch.setattr(module, "SMALL", 0 if name == "iterated" else 2048)
        return Gram(X) if name == "gram" else primal(X)

    return made


def uniform(Y):
    return np.full_like(Y, 1 / Y.size)


def solve(coordinates, Y, weight=None, l2=0.01, **more):
    objective = Objective(Y, uniform(Y) if weight is None else weight, l2)
    return newton(coordinates, objective, **more)


def objective(w, b, X, Y, weight, l2):
    """The penalised cost from its definition, by the probabilities of the true classes."""
    z = (w[:, 0] @ X + b) * np.where(Y[0] == 1, 1, -1)
    losses = np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))
    return float(weight[0] @ losses + 0.5 * l2 * w[:, 0] @ w[:, 0])


def gradient(w, b, X, Y, weight, l2):
    z = np.clip(w[:, 0] @ X + b, -700, 700)
    slope = weight[0] * (1 / (1 + np.exp(-z)) - Y[0])
    return np.append(X @ slope + l2 * w[:, 0], slope.sum())


def assert_optimal(fit, X, Y, weight, l2):
    w, b = fit.w, fit.b[0, 0]
    start = np.linalg.norm(gradient(np.zeros_like(w), 0.0, X, Y, weight, l2))
    assert np.linalg.norm(gradient(w, b, X, Y, weight, l2)) <= 1.01e-8 * start


@pytest.mark.parametrize(("n_x", "m"), SHAPES)
@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_every_system_reaches_the_same_optimum(system, n_x, m, l2):
    X, Y = problem(n_x, m)
    fits = [solve(system(name, X), Y, l2=l2, tolerance=1e-12) for name in SYSTEMS]
    for fit in fits:
        assert (fit.w.shape, fit.b.shape, fit.Z.shape) == ((n_x, 1), (1, 1), (1, m))
        assert np.linalg.norm(fit.w - fits[0].w) <= 1e-8 * np.linalg.norm(fits[0].w)
        np.testing.assert_allclose(fit.b, fits[0].b, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.Z, fit.w.T @ X + fit.b, rtol=1e-8, atol=1e-9)
        J = objective(fit.w, fit.b[0, 0], X, Y, uniform(Y), l2)
        assert fit.costs[-1][1] == pytest.approx(J, rel=1e-10)
        assert_optimal(fit, X, Y, uniform(Y), l2)


def test_scikit_learn_finds_no_lower_cost_on_the_course_data(shared):
    reason = "scikit-learn, which Newton's method is compared with, is not installed"
    linear_model = pytest.importorskip("sklearn.linear_model", reason=reason)
    data = load_dataset(shared / "datasets/course/train_catvnoncat.h5")
    X, Y = Pixels().transform(data.images).astype(float), data.Y.astype(float)
    fit = solve(Gram(X), Y, l2=0.1)
    assert_optimal(fit, X, Y, uniform(Y), 0.1)
    model = linear_model.LogisticRegression(C=1 / (Y.size * 0.1), solver="newton-cg", tol=1e-5)
    model.fit(X.T, Y[0])
    ours = objective(fit.w, fit.b[0, 0], X, Y, uniform(Y), 0.1)
    theirs = objective(model.coef_.T, model.intercept_[0], X, Y, uniform(Y), 0.1)
    assert ours <= theirs * (1 + 1e-12)
    assert theirs <= ours * (1 + 1e-5)  # it is the same cost that both look for


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_warm_start_reaches_the_same_optimum_in_fewer_steps(system, name):
    X, Y = problem(40, 60)
    near = solve(system(name, X), Y, l2=0.011)
    cold, warm = (
        solve(system(name, X), Y, tolerance=1e-10, start=start) for start in (None, near.start)
    )
    assert np.linalg.norm(warm.w - cold.w) <= 1e-7 * np.linalg.norm(cold.w)
    assert len(warm.costs) < len(cold.costs)
    assert len(solve(system(name, X), Y, start=cold.start).costs) == 1


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(("n_x", "m"), SHAPES)
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_saturated_starts_still_converge(system, name, n_x, m, size):
    X, Y = problem(n_x, m)
    coordinates = system(name, X)
    direction = np.random.default_rng(3).normal(size=(coordinates.size, 1))
    fit = solve(coordinates, Y, start=State(0, size * direction, np.array([[-size]]), []))
    assert_optimal(fit, X, Y, uniform(Y), 0.01)


@pytest.mark.parametrize("name", SYSTEMS)
def test_steps_that_are_too_long_are_shortened(system, name):
    X, Y = problem(40, 12)
    cold = solve(system(name, X), Y, l2=1e-4)
    # Where every score is right and saturated, the penalty alone curves: a step leads to zero.
    far = State(0, 10 * cold.start.v, 10 * cold.start.b, [])
    fit = solve(system(name, X), Y, l2=1e-4, start=far)
    assert np.log(2) > fit.costs[0][1] > fit.costs[1][1]
    assert_optimal(fit, X, Y, uniform(Y), 1e-4)


@pytest.mark.parametrize("name", SYSTEMS)
def test_weights_count_examples_as_often_as_they_say(system, name):
    X, Y = problem(20, 15)
    times = np.random.default_rng(5).integers(0, 4, 15)
    X[:, times == 0] *= 100
    repeated = np.repeat(np.arange(15), times)
    weight = times[None] / times.sum()
    weighted = solve(system(name, X), Y, weight, tolerance=1e-12)
    written = solve(system(name, X[:, repeated]), Y[:, repeated], tolerance=1e-12)
    np.testing.assert_allclose(weighted.w, written.w, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(weighted.b, written.b, rtol=1e-7)
    assert 0 in times
    assert_optimal(weighted, X, Y, weight, 0.01)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("seed", range(3))
def test_the_cost_never_rises(system, name, seed):
    X, Y = problem(25, 40, seed)
    coordinates = system(name, 10 * X)
    direction = np.random.default_rng(seed).normal(size=(coordinates.size, 1))
    start, seen = State(0, direction, np.array([[3.0]]), []), []
    watch = lambda state: seen.append((state.iteration, state.costs[-1][1]))  # noqa: E731
    fit = solve(coordinates, Y, l2=1e-3, start=start, watch=watch)
    assert fit.costs == seen
    assert [step for step, _ in seen] == list(range(len(seen)))
    costs = np.array([J for _, J in seen])
    assert len(costs) > 3
    assert (np.diff(costs) <= 1e-12 * costs[:-1]).all()


@pytest.mark.parametrize("value", [0.1, -7.3, 1e6, 1e-20])
def test_standardised_features_can_be_folded_back_and_one_that_does_not_vary_does_no_harm(value):
    X, Y = problem(5, 21)
    X *= np.logspace(-3, 3, 5)[:, None]
    X[2], Y = value, Y.astype(int)
    scaled, mean, scale = standardise(Examples(X.T), uniform(Y.astype(float)))
    scaled, varies = scaled.matrix(), np.arange(5) != 2
    np.testing.assert_allclose(scaled.sum(axis=1)[varies], 0, atol=1e-9)
    np.testing.assert_allclose((scaled**2).sum(axis=1)[varies], 21, rtol=1e-9)
    assert np.abs(scaled[2]).max() <= 1e-9 * (1 + abs(value))
    assert scale[2] == 1
    w, b = np.linspace(-1, 1, 5)[:, None], np.array([[0.3]])
    unscaled, bias = unstandardise(w, b, mean, scale)
    np.testing.assert_allclose(unscaled.T @ X + bias, w.T @ scaled + b, rtol=1e-9, atol=1e-9)
    how = {"scaled": True, "folds": stratified_folds(Y, 3)}
    fit, out = fit_and_cross_validate(Solver("newton", l2=0.1), Examples(X.T), Y, **how)
    assert np.isfinite(fit.w).all()
    assert np.isfinite(out).all()
    assert abs(fit.w[2, 0]) < 1e-6


def test_the_lowest_point_along_a_step_saves_steps_where_classes_can_be_told_apart(system):
    X, Y = problem(60, 40)
    v, b, objective_ = np.zeros((40, 1)), np.zeros((1, 1)), Objective(Y, uniform(Y), 1e-6)
    gram, norms = system("gram", X), []
    while not norms or norms[-1] > 1e-8 * norms[0]:  # whole steps, as many as they take
        _, *g = gram.gradient(v, b, objective_)
        norms.append(np.sqrt(gram.inner(g, g)))
        dv, db = gram.newton_step(v, b, objective_, g, 1.0)
        v, b = v + dv, b + db
    fit = solve(gram, Y, l2=1e-6)
    assert_optimal(fit, X, Y, uniform(Y), 1e-6)
    assert len(fit.costs) < 0.7 * len(norms)
