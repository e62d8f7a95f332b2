"""The lesson's formulas against published cases, central differences and their own definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catclf.lesson.loops_and_vectors import gradient_loops
from catclf.logistic import cost, descend, forward, gradient, loss, sigmoid

FINITE = st.floats(-30, 30) | st.floats(-1e9, 1e9)

# Published with the course (design: columns are examples).
PUBLISHED = [
    {
        "w": [[1.0], [2.0]],
        "b": 1.5,
        "X": [[1.0, -2.0, -1.0], [3.0, 0.5, -3.2]],
        "Y": [[1.0, 1.0, 0.0]],
        "cost": 0.15900537707692405,
        "dw": [[0.25071532], [-0.06604096]],
        "db": -0.12500404500439652,
        "w after 100 steps": [[0.80956046], [2.0508202]],
        "b after 100 steps": 1.5948713189708588,
    },
    {
        "w": [[1.0], [2.0]],
        "b": 2.0,
        "X": [[1.0, 2.0, -1.0], [3.0, 4.0, -3.2]],
        "Y": [[1.0, 0.0, 1.0]],
        "cost": 5.801545319394553,
        "dw": [[0.99845601], [2.39507239]],
        "db": 0.001455578136784208,
        "w after 100 steps": [[0.19033591], [0.12259159]],
        "b after 100 steps": 1.9253598300845747,
    },
]


def small_problem(seed=0, n_x=5, m=9):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(n_x, m)), rng.normal(size=(n_x, 1))
    return w, 0.3, X, (rng.random((1, m)) < 0.5).astype(float)


@pytest.mark.parametrize("gradient", [gradient_loops, gradient])
@pytest.mark.parametrize("case", PUBLISHED)
def test_the_published_cases_come_out(gradient, case):
    w, X, Y = (np.array(case[key]) for key in ("w", "X", "Y"))
    J, dw, db = gradient(w, case["b"], X, Y)
    assert J == pytest.approx(case["cost"], rel=1e-14)
    np.testing.assert_allclose(dw, case["dw"], atol=5e-9)
    assert db == pytest.approx(case["db"], rel=1e-12)
    w, b, _ = descend(X, Y, 0.009, 100, w, case["b"])
    np.testing.assert_allclose(w, case["w after 100 steps"], atol=5e-9)
    assert b == pytest.approx(case["b after 100 steps"], rel=1e-14)


def central_differences(w, b, X, Y, h=1e-6):
    """The gradient by its definition: (J(θ + h) − J(θ − h)) / 2h, one parameter at a time."""
    dw = np.zeros_like(w)
    for j in range(len(w)):
        step = np.zeros_like(w)
        step[j] = h
        above, below = (cost(forward(w + s, b, X), Y) for s in (step, -step))
        dw[j] = (above - below) / (2 * h)
    above, below = (cost(forward(w, b + s, X), Y) for s in (h, -h))
    return dw, (above - below) / (2 * h)


def test_the_gradient_agrees_with_central_differences():
    w, b, X, Y = small_problem()
    _, dw, db = gradient(w, b, X, Y)
    slopes, slope = central_differences(w, b, X, Y)
    np.testing.assert_allclose(dw, slopes, rtol=1e-7, atol=1e-8)
    assert db == pytest.approx(slope, rel=1e-7)


@given(arrays(np.float64, st.integers(1, 20).map(lambda n: (1, n)), elements=FINITE))
def test_sigmoid_is_a_rising_symmetric_probability(Z):
    with np.errstate(all="raise", under="ignore"):
        A = sigmoid(Z)
    assert ((A >= 0) & (A <= 1)).all()
    np.testing.assert_allclose(A + sigmoid(-Z), 1.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(A, 1 / (1 + np.exp(-np.clip(Z, -700, 700))), rtol=0, atol=1e-15)
    order = np.argsort(Z[0])
    assert (np.diff(A[0, order]) >= 0).all()


@given(FINITE, st.sampled_from([0.0, 1.0]))
def test_loss_is_the_lessons_with_both_terms_negated_and_finite_at_any_score(z, y):
    with np.errstate(all="raise", under="ignore"):
        L = loss(np.array([[z]]), np.array([[y]]))[0, 0]
    # A score of the wrong sign costs its size, one of the right sign nothing, in the limit.
    assert 0 <= L == pytest.approx(max(-z if y else z, 0), rel=1e-9, abs=np.log(2) + 1e-9)
    if abs(z) < 25:
        a = 1 / (1 + np.exp(-z))
        lesson = -(y * np.log(a) + (1 - y) * np.log(1 - a))
        assert L == pytest.approx(lesson, rel=1e-4, abs=1e-12)
