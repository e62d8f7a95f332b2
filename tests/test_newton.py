"""Newton's method in each system: the optimum, how it is reached, and the folds around it."""

import warnings

import numpy as np
import pytest

from catclf import load_dataset
from catclf.errors import ParameterError
from catclf.features.pixels import Pixels
from catclf.solvers import newton as module
from catclf.solvers.coordinates import Gram, Primal
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.fit import State
from catclf.solvers.folds import sample_weights, stratified_folds
from catclf.solvers.newton import newton
from catclf.solvers.solver import Solver
from catclf.solvers.standardise import fold_back, standardise

SHAPES = [(40, 12), (12, 40)]
SYSTEMS = ["_InGram", "_Direct", "_Iterative"]


def at(v, b):
    return State(0, v, b, [])


def problem(n_x, m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_x, m)) + rng.normal(size=(n_x, 1))
    Y = (rng.normal(size=(1, m)) + X[:1] - X[:1].mean() > 0).astype(float)
    Y[0, :4] = 0, 1, 0, 1  # both classes in each
    return X, Y


@pytest.fixture
def system(monkeypatch):
    """Give the coordinates that lead to the system named."""

    def made(name, X):
        monkeypatch.setattr(module, "SMALL", 0 if name == "_Iterative" else 2048)
        coordinates = Gram(X) if name == "_InGram" else Primal(X)
        assert type(module._system(coordinates, X, X, 1.0)).__name__ == name
        return coordinates

    return made


def uniform(Y):
    return np.full_like(Y, 1 / Y.size)


def objective(w, b, X, Y, weight, l2):
    """The penalised cost from its definition, by the probabilities of the true classes."""
    z = (w[:, 0] @ X + b) * np.where(Y[0] == 1, 1, -1)
    losses = np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))
    return float(weight[0] @ losses + 0.5 * l2 * w[:, 0] @ w[:, 0])


def gradient(w, b, X, Y, weight, l2):
    z = np.clip(w[:, 0] @ X + b, -700, 700)
    slope = weight[0] * (1 / (1 + np.exp(-z)) - Y[0])
    return np.append(X @ slope + l2 * w[:, 0], slope.sum())


def assert_optimal(fit, X, Y, weight, l2, share=1e-8):
    w, b = fit.w, fit.b[0, 0]
    start = np.linalg.norm(gradient(np.zeros_like(w), 0.0, X, Y, weight, l2))
    assert np.linalg.norm(gradient(w, b, X, Y, weight, l2)) <= 1.01 * share * start


@pytest.mark.parametrize(("n_x", "m"), SHAPES)
@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_every_system_reaches_the_same_optimum(system, n_x, m, l2):
    X, Y = problem(n_x, m)
    fits = [newton(system(s, X), Y, uniform(Y), l2=l2, tolerance=1e-12) for s in SYSTEMS]
    for fit in fits:
        assert (fit.w.shape, fit.b.shape, fit.Z.shape) == ((n_x, 1), (1, 1), (1, m))
        assert np.linalg.norm(fit.w - fits[0].w) <= 1e-8 * np.linalg.norm(fits[0].w)
        np.testing.assert_allclose(fit.b, fits[0].b, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.Z, fit.w.T @ X + fit.b, rtol=1e-8, atol=1e-9)
        J = objective(fit.w, fit.b[0, 0], X, Y, uniform(Y), l2)
        assert fit.costs[-1][1] == pytest.approx(J, rel=1e-10)
    other = newton(Primal(X), Y, uniform(Y), l2=l2 * 1.000001, tolerance=1e-12).w
    assert np.linalg.norm(other - fits[0].w) > 1e-8 * np.linalg.norm(fits[0].w)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(("n_x", "m"), SHAPES)
def test_the_gradient_vanishes_at_the_optimum(system, name, n_x, m):
    X, Y = problem(n_x, m)
    weight, l2, h = uniform(Y), 0.01, 1e-5
    rng = np.random.default_rng(1)
    at = rng.normal(size=n_x + 1) * 0.3
    both = lambda p: objective(p[:-1, None], p[-1], X, Y, weight, l2)  # noqa: E731
    steps = h * np.eye(n_x + 1)
    differences = np.array([(both(at + e) - both(at - e)) / (2 * h) for e in steps])
    analytic = gradient(at[:-1, None], at[-1], X, Y, weight, l2)
    np.testing.assert_allclose(differences, analytic, rtol=1e-6, atol=1e-9)

    fit = newton(system(name, X), Y, weight, l2=l2)
    assert_optimal(fit, X, Y, weight, l2)
    optimum = np.append(fit.w, fit.b)
    differences = np.array([(both(optimum + e) - both(optimum - e)) / (2 * h) for e in steps])
    assert np.abs(differences).max() <= 1e-7 * np.abs(analytic).max()


@pytest.mark.parametrize(("n_x", "m"), SHAPES)
def test_descent_with_the_same_penalty_ends_there(n_x, m):
    X, Y = problem(n_x, m)
    X -= X.mean(axis=1, keepdims=True)  # else descent takes long to find the bias
    descended = gradient_descent(
        Primal(X), Y, sample_weights(m), learning_rate=0.02, iterations=20_000, l2=0.1
    )
    fit = newton(Primal(X), Y, uniform(Y), l2=0.1)
    np.testing.assert_allclose(fit.w, descended.w, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.b, descended.b, rtol=1e-6)


SCIKIT = {
    "lbfgs": {"tol": 1e-10},
    "newton-cg": {"tol": 1e-10},
    "newton-cholesky": {"tol": 1e-10},
    "liblinear": {"tol": 1e-10, "intercept_scaling": 1e3},
    "sag": {"tol": 1e-10, "max_iter": 5000},
    "saga": {"tol": 1e-10, "max_iter": 5000},
}


def scikit(solver, X, Y, l2, **changes):
    reason = "scikit-learn, which Newton's method is compared with, is not installed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ran out: its cost is compared, not its word
        linear_model = pytest.importorskip("sklearn.linear_model", reason=reason)
        settings = {"max_iter": 5000, "random_state": 0, **SCIKIT[solver], **changes}
        C = 1 / (Y.size * l2)
        found = linear_model.LogisticRegression(C=C, solver=solver, **settings).fit(X.T, Y[0])
    return objective(found.coef_.T, found.intercept_[0], X, Y, uniform(Y), l2)


@pytest.mark.parametrize(("n_x", "m"), SHAPES)
@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("solver", SCIKIT)
def test_no_solver_of_scikit_learn_finds_a_lower_cost(solver, n_x, m, l2):
    X, Y = problem(n_x, m, seed=2)
    theirs = scikit(solver, X, Y, l2)
    for coordinates in (Gram(X), Primal(X)):
        fit = newton(coordinates, Y, uniform(Y), l2=l2)
        ours = objective(fit.w, fit.b[0, 0], X, Y, uniform(Y), l2)
        assert ours <= theirs * (1 + 1e-12)
        # And they come close, so that it is the same cost that both look for.
        assert theirs <= ours * (1 + (0.1 if solver in ("sag", "saga") else 1e-5))
    elsewhere = objective(fit.w * 1.001, fit.b[0, 0], X, Y, uniform(Y), l2)
    assert elsewhere > ours * (1 + 1e-12)


@pytest.mark.parametrize("l2", [1e-1])
def test_no_solver_of_scikit_learn_finds_a_lower_cost_on_the_course_data(shared, l2):
    data = load_dataset(shared / "datasets/course/train_catvnoncat.h5")
    X, Y = Pixels().transform(data.images).astype(float), data.Y.astype(float)
    fit = newton(Gram(X), Y, uniform(Y), l2=l2)
    ours = objective(fit.w, fit.b[0, 0], X, Y, uniform(Y), l2)
    assert_optimal(fit, X, Y, uniform(Y), l2)
    for solver in ("lbfgs", "newton-cg"):
        theirs = scikit(solver, X, Y, l2, tol=1e-5)
        assert ours <= theirs * (1 + 1e-12)
        assert theirs <= ours * (1 + 1e-5)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_warm_start_reaches_the_same_optimum_in_fewer_steps(system, name):
    X, Y = problem(40, 60)
    near = newton(system(name, X), Y, uniform(Y), l2=0.011)
    cold, warm = (
        newton(system(name, X), Y, uniform(Y), l2=0.01, tolerance=1e-10, start=start)
        for start in (None, at(near.v, float(near.b[0, 0])))
    )
    assert np.linalg.norm(warm.w - cold.w) <= 1e-7 * np.linalg.norm(cold.w)
    assert len(warm.costs) < len(cold.costs)
    again = newton(system(name, X), Y, uniform(Y), l2=0.01, start=at(cold.v, float(cold.b[0, 0])))
    assert len(again.costs) == 1


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(("n_x", "m"), SHAPES)
@pytest.mark.parametrize("size", [1.0, 30.0, 1000.0])
def test_saturated_starts_still_converge(system, name, n_x, m, size):
    X, Y = problem(n_x, m)
    coordinates = system(name, X)
    cold = newton(coordinates, Y, uniform(Y), l2=0.01)
    direction = np.random.default_rng(3).normal(size=(coordinates.size, 1))
    fit = newton(coordinates, Y, uniform(Y), l2=0.01, start=at(size * direction, -size))
    assert_optimal(fit, X, Y, uniform(Y), 0.01)
    assert np.linalg.norm(fit.w - cold.w) <= 1e-5 * np.linalg.norm(cold.w)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("factor", [3.0, 10.0])
def test_steps_that_are_too_long_are_shortened(system, monkeypatch, name, factor):
    X, Y = problem(40, 12)
    coordinates = system(name, X)
    cold = newton(coordinates, Y, uniform(Y), l2=1e-4)
    looks = []
    kind = getattr(module, name)
    gradient = kind.gradient
    monkeypatch.setattr(kind, "gradient", lambda *given: looks.append(1) or gradient(*given))
    # Where every score is right and saturated, the penalty alone curves: a step leads to zero.
    far = at(factor * cold.v, factor * float(cold.b[0, 0]))
    fit = newton(coordinates, Y, uniform(Y), l2=1e-4, start=far)
    assert fit.costs[0][1] < np.log(2)
    assert len(looks) > 1 + len(fit.costs)  # at zeros, at the start, and more than once a step
    assert_optimal(fit, X, Y, uniform(Y), 1e-4)
    assert np.linalg.norm(fit.w - cold.w) <= 1e-5 * np.linalg.norm(cold.w)


@pytest.mark.parametrize("name", SYSTEMS)
def test_weights_count_examples_as_often_as_they_say(system, name):
    X, Y = problem(20, 15)
    times = np.random.default_rng(5).integers(1, 4, 15)
    repeated = np.repeat(np.arange(15), times)
    weighted = newton(system(name, X), Y, times[None] / times.sum(), l2=0.02, tolerance=1e-12)
    written = newton(
        system(name, X[:, repeated]),
        Y[:, repeated],
        uniform(Y[:, repeated]),
        l2=0.02,
        tolerance=1e-12,
    )
    np.testing.assert_allclose(weighted.w, written.w, rtol=1e-7, atol=1e-9)
    assert_optimal(weighted, X, Y, times[None] / times.sum(), 0.02)
    plain = newton(system(name, X), Y, uniform(Y), l2=0.02, tolerance=1e-12)
    assert np.linalg.norm(plain.w - weighted.w) > 1e-3 * np.linalg.norm(plain.w)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_weight_of_zero_leaves_the_example_out(system, name):
    X, Y = problem(20, 15)
    kept = np.arange(15) % 4 != 3
    weight = kept[None] / kept.sum()
    X[:, ~kept] *= 100
    zero = newton(system(name, X), Y, weight, l2=0.02, tolerance=1e-12)
    Xk, Yk = X[:, kept], Y[:, kept]
    without = newton(system(name, Xk), Yk, uniform(Yk), l2=0.02, tolerance=1e-12)
    np.testing.assert_allclose(zero.w, without.w, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(zero.b, without.b, rtol=1e-7)


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan")])
def test_newton_without_a_penalty_is_refused(l2):
    X, Y = problem(5, 6)
    with pytest.raises(ParameterError, match="l2 above 0"):
        newton(Gram(X), Y, uniform(Y), l2=l2)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("seed", range(5))
def test_the_cost_never_rises(system, name, seed):
    X, Y = problem(25, 40, seed)
    rng = np.random.default_rng(seed)
    coordinates = system(name, 10 * X)
    start = at(rng.normal(size=(coordinates.size, 1)), 3.0)
    seen = []
    fit = newton(
        coordinates, Y, uniform(Y), l2=1e-3, start=start, callback=lambda *told: seen.append(told)
    )
    assert fit.costs == seen
    assert [step for step, _ in seen] == list(range(len(seen)))
    costs = np.array([J for _, J in seen])
    assert len(costs) > 3
    assert (np.diff(costs) <= 1e-12 * costs[:-1]).all()


def test_separable_data_have_an_optimum_with_a_penalty():
    X = np.array([[-2.0, -1.0, 1.0, 2.0]])
    Y = np.array([[0.0, 0.0, 1.0, 1.0]])
    fits = [newton(c, Y, uniform(Y), l2=1e-6) for c in (Gram(X), Primal(X))]
    assert fits[0].w == pytest.approx(fits[1].w, rel=1e-6)
    assert_optimal(fits[1], X, Y, uniform(Y), 1e-6)
    assert fits[1].b[0, 0] == pytest.approx(0, abs=1e-6)


def test_columns_that_are_copies_leave_the_optimum_alone():
    X, Y = problem(10, 12)
    X2, Y2 = np.hstack([X, X]), np.hstack([Y, Y])
    once = newton(Gram(X), Y, uniform(Y), l2=0.01, tolerance=1e-12)
    twice = newton(Gram(X2), Y2, uniform(Y2), l2=0.01, tolerance=1e-12)
    np.testing.assert_allclose(once.w, twice.w, rtol=1e-7, atol=1e-10)


def test_a_subset_of_gram_coordinates_equals_those_made_afresh():
    X, _ = problem(30, 20)
    chosen = np.array([3, 4, 7, 19, 0])
    part, fresh = Gram(X).subset(chosen), Gram(X[:, chosen])
    np.testing.assert_array_equal(part.X, fresh.X)
    np.testing.assert_allclose(part.G, fresh.G, rtol=1e-12, atol=1e-12)
    assert part.size == fresh.size == 5
    assert not np.allclose(part.G, Gram(X[:, np.sort(chosen)]).G)


def standardised(X):
    uniform = np.full((1, X.shape[1]), 1 / X.shape[1])
    scaled, mean, scale = standardise(Examples.of(X), uniform)
    return scaled.matrix(), mean, scale


def test_standardised_features_have_mean_0_and_deviation_1():
    X, _ = problem(6, 50)
    X *= np.logspace(-3, 3, 6)[:, None]
    scaled, mean, scale = standardised(X)
    np.testing.assert_allclose(scaled.sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose((scaled**2).sum(axis=1), 50, rtol=1e-9)
    np.testing.assert_allclose(scaled * scale + mean, X, rtol=1e-9, atol=1e-9)


def test_folding_back_predicts_as_with_scaled_features():
    X, _ = problem(6, 9)
    scaled, mean, scale = standardised(X)
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(6, 1)), rng.normal(size=(1, 1))
    unscaled, bias = fold_back(w, b, mean, scale)
    np.testing.assert_allclose(unscaled.T @ X + bias, w.T @ scaled + b, rtol=1e-10, atol=1e-12)
    new = rng.normal(size=(6, 4))
    at_new = w.T @ ((new - mean) / scale) + b
    np.testing.assert_allclose(unscaled.T @ new + bias, at_new, rtol=1e-10)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6, 1e-20])
def test_features_that_do_not_vary_give_no_nan(value):
    X, Y = problem(5, 21)
    X[2] = value
    scaled, _, scale = standardised(X)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled[2]).max() <= 1e-9 * (1 + abs(value))
    assert scale[2] == 1
    fit, out = Solver("newton", l2=0.1).fit(
        X, Y.astype(int), scaled=True, folds=stratified_folds(Y.astype(int), 3)
    )
    assert np.isfinite(fit.w).all()
    assert np.isfinite(out).all()
    assert abs(fit.w[2, 0]) < 1e-6


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
    Y = Y.astype(int)
    X[3] *= 20 if scaled else 1
    folds = stratified_folds(Y, 4)
    fit, out = solver.fit(X, Y, scaled=scaled, folds=folds)
    expected = np.empty((1, 31))
    for fold in range(4):
        kept = folds != fold
        part, labels = X[:, kept], Y[:, kept].astype(float)
        mean = part.mean(axis=1, keepdims=True) if scaled else 0.0
        scale = part.std(axis=1, keepdims=True) if scaled else 1.0
        if solver.name == "newton":
            found = newton(
                Primal((part - mean) / scale), labels, uniform(labels), l2=0.05, tolerance=1e-12
            )
        else:
            found = gradient_descent(
                Primal((part - mean) / scale),
                labels,
                sample_weights(kept.sum()),
                learning_rate=0.1,
                iterations=80,
                l2=solver.l2,
            )
        expected[:, ~kept] = found.w.T @ ((X[:, ~kept] - mean) / scale) + found.b
    np.testing.assert_allclose(out, expected, rtol=1e-7, atol=1e-8)
    alone, none = solver.fit(X, Y, scaled=scaled)
    assert none is None
    np.testing.assert_allclose(fit.w, alone.w, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(fit.Z, fit.w.T @ X + fit.b, rtol=1e-7, atol=1e-9)
    assert np.abs(out - fit.Z).max() > 1e-3


@pytest.mark.parametrize("solver", [Solver("newton", l2=0.05), Solver(iterations=50)])
def test_a_left_out_example_says_nothing_to_its_folds_regression(solver):
    X, Y = problem(12, 30)
    Y = Y.astype(int)
    folds = stratified_folds(Y, 3)
    strange = np.flatnonzero(folds == 1)[0]
    changed = X.copy()
    changed[:, strange] = 1e6 * np.random.default_rng(0).normal(size=12)
    before, after = (solver.fit(x, Y, scaled=True, folds=folds)[1][0] for x in (X, changed))
    same = (folds == 1) & (np.arange(30) != strange)
    np.testing.assert_array_equal(after[same], before[same])
    assert np.abs(after - before)[folds != 1].max() > 0.01  # those were trained on it


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adam"}, "solver is descent or newton, not 'adam'"),
        ({"learning_rate": 0.0}, "learning rate must be a positive number, not 0"),
        ({"learning_rate": float("inf")}, "learning rate must be a positive number, not inf"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"l2": -0.5}, "l2 must be zero or a positive number, not -0.5"),
        ({"l2": float("nan")}, "l2 must be zero or a positive number, not nan"),
        ({"name": "newton"}, "newton needs an l2 above 0, not 0"),
        ({"tolerance": 0.0}, "tolerance must lie between 0 and 1, not 0"),
        ({"tolerance": 1.0}, "tolerance must lie between 0 and 1, not 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings, message):
    with pytest.raises(ParameterError, match=message):
        Solver(**settings).check()
    Solver().check()
    Solver("newton", l2=0.1).check()


def test_a_solvers_settings_are_those_that_it_goes_by():
    descent, other = Solver().settings(), Solver("newton", l2=np.float64(0.5)).settings()
    assert set(descent) == {"name", "learning_rate", "iterations", "l2", "coordinates"}
    assert set(other) == {"name", "l2", "tolerance", "coordinates"}
    assert type(other["l2"]) is float
