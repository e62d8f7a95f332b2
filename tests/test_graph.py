"""The computation graph: the lesson's numbers, central differences, the gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catclf import logistic
from catclf.lesson.graph import Node, backward, dot, log, sigmoid, topological_order, total


def test_the_lessons_graph():
    a, b, c = Node(5.0), Node(3.0), Node(2.0)
    u = b * c
    v = a + u
    J = 3 * v
    assert [node.value for node in (u, v, J)] == [6, 11, 33]
    backward(J)
    assert [node.grad for node in (J, v, u, a, b, c)] == [1, 3, 3, 3, 6, 9]


def log_loss_graph(w, b, X, Y):
    """The cost as the lesson writes it, from nodes; gives J, w and b."""
    W, B = Node(w), Node(b)
    A = sigmoid(dot(W, Node(X)) + B)
    return total(Y * log(A) + (1 - Y) * log(1 - A)) * (-1 / Y.shape[1]), W, B


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_it_is_an_independent_oracle_of_backward(n_x, m, seed):
    rng = np.random.default_rng(seed)
    w, b, X = rng.normal(size=(n_x, 1)), float(rng.normal()), rng.normal(size=(n_x, m))
    Y = rng.integers(0, 2, (1, m)).astype(float)
    J, W, B = log_loss_graph(w, b, X, Y)
    backward(J)
    Z = logistic.forward(w, b, X)
    dw, db = logistic.backward(X, logistic.sigmoid(Z) - Y)
    assert float(J.value) == pytest.approx(logistic.cost(Z, Y), rel=1e-10)
    np.testing.assert_allclose(W.grad, dw / m, rtol=1e-8, atol=1e-12)
    assert B.grad.shape == ()
    assert float(B.grad) == pytest.approx(db[0, 0] / m, rel=1e-8, abs=1e-12)


def test_the_oracle_notices_a_wrong_gradient():
    rng = np.random.default_rng(0)
    w, X, Y = rng.normal(size=(3, 1)), rng.normal(size=(3, 5)), np.array([[0.0, 1, 1, 0, 1]])
    J, W, _ = log_loss_graph(w, 0.1, X, Y)
    backward(J)
    A = logistic.sigmoid(logistic.forward(w, 0.1, X))
    assert not np.allclose(W.grad, logistic.backward(X, A * Y)[0] / 5, rtol=0.1)


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
        assert node.grad.shape == values[i].shape
        for k in np.ndindex(values[i].shape):
            sides = []
            for step in (h, -h):
                moved = [value.copy() for value in values]
                moved[i][k] += step
                sides.append(float(end(moved)[0].value))
            assert node.grad[k] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-7)


def test_a_node_that_is_used_twice_gets_both_derivatives():
    x = Node(3.0)
    y = x * x + x
    backward(y)
    assert x.grad == 7  # 2x + 1
    backward(y)
    assert x.grad == 7  # and starts from nothing each time


def test_shared_parts_are_carried_back_once():
    # Each node doubles the last by using it twice: 2⁴⁰ paths, 41 nodes.
    first = node = Node(1.0)
    for _ in range(40):
        node = node + node
    backward(node)
    assert first.grad == 2.0**40


def test_inputs_come_before_what_is_computed_from_them():
    x = Node(2.0)
    y = log(x) * x + sigmoid(x)
    order = topological_order(y)
    place = {node: i for i, node in enumerate(order)}
    assert order[-1] is y
    assert all(place[source] < place[node] for node in order for source, _ in node.inputs)


def test_a_deep_graph_does_not_overflow_the_stack():
    first = node = Node(1.0)
    for _ in range(10_000):
        node = node + 1.0
    backward(node)
    assert (node.value, first.grad) == (10_001, 1)


def test_arrays_on_the_left_make_one_node():
    x = Node(np.ones((2, 2)))
    y = np.array([[1.0, 2.0]]) * x
    assert isinstance(y, Node)
    assert y.value.shape == (2, 2)
