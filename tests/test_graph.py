"""The computation graph: the gradient, and central differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catclf import logistic
from catclf.lesson.chain_rule import gradient_graph
from catclf.lesson.graph import Node, backward, dot, log, sigmoid, total


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_it_is_an_independent_oracle_of_the_gradient(n_x, m, seed):
    rng = np.random.default_rng(seed)
    w, b, X = rng.normal(size=(n_x, 1)), float(rng.normal()), rng.normal(size=(n_x, m))
    Y = rng.integers(0, 2, (1, m)).astype(float)
    J, dw, db = gradient_graph(w, b, X, Y)
    expected_J, expected_dw, expected_db = logistic.gradient(w, b, X, Y)
    assert pytest.approx(expected_J, rel=1e-10) == J
    np.testing.assert_allclose(dw, expected_dw, rtol=1e-8, atol=1e-12)
    assert db == pytest.approx(expected_db, rel=1e-8, abs=1e-12)


def test_every_operation_agrees_with_central_differences():
    rng = np.random.default_rng(1)
    # A column, a row and a number, each stretched to (4, 3) somewhere.
    values = [rng.uniform(0.5, 2, shape) for shape in ((4, 3), (4, 1), (1, 3), (3,), ())]

    def end(values):
        p, q, r, s, t = nodes = [Node(value) for value in values]
        ending = total(log(p * q + r) + sigmoid(2 - s * p) * t + dot(q, p) * r) + t * -2.0
        return ending, nodes

    J, nodes = end(values)
    backward(J)
    h = 1e-6
    for i, node in enumerate(nodes):
        for k in np.ndindex(values[i].shape):
            sides = []
            for step in (h, -h):
                moved = [value.copy() for value in values]
                moved[i][k] += step
                sides.append(float(end(moved)[0].value))
            assert node.grad[k] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-7)


def test_a_deep_graph_takes_no_stack_and_each_of_its_nodes_is_carried_back_once():
    first = node = Node(1.0)
    for _ in range(40):
        node = node + node  # 2⁴⁰ ways lead back
    for _ in range(10_000):
        node = node + 1.0
    backward(node)
    assert (node.value, first.grad) == (2.0**40 + 10_000, 2.0**40)
