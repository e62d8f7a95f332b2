"""The gradient check: all forms of one gradient against one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.lesson.blocks import STEPS, Block, Material, Table
from catclf.lesson.gradients import gradient_loops, gradient_vectorized
from catclf.lesson.graph import Node, backward
from catclf.lesson.graphs import cost_graph
from catclf.logistic import Array, cost, forward, sigmoid
from catclf.logistic import backward as carry_back


def gradient_graph(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute cost, dw and db by the computation graph; parameters as in `gradient_loops`."""
    W, B = Node(w), Node(b)
    J = cost_graph(W, B, X, Y)
    backward(J)
    return float(J.value), W.grad, float(B.grad)


def gradient_nudged(w: Array, b: float, X: Array, Y: Array, h: float = 1e-5) -> tuple[Array, float]:
    """Compute dw and db by central differences, one parameter at a time."""
    Z = forward(w, b, X)

    def nudged(row: Array | float) -> float:
        return (cost(Z + h * row, Y) - cost(Z - h * row, Y)) / (2 * h)

    # Z is all that J sees of a parameter, and moving w[k] by h moves Z by h · X[k].
    return np.array([[nudged(row)] for row in X]), nudged(1.0)


def gradient_lost_minus(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute cost, and a wrong gradient: with the lesson's misprint dZ = AY."""
    m, Z = X.shape[1], forward(w, b, X)
    dw, db = carry_back(X, sigmoid(Z) * Y)
    return cost(Z, Y), dw / m, float(db[0, 0]) / m


def gradient_check(material: Material) -> Iterator[Block]:
    """Compare all forms of the gradient with one another and with central differences."""
    X, Y = material.part
    w, b = material.learned
    yield (
        "A gradient that is nearly right trains nearly well, and nobody notices. So check it: "
        f"the four forms on {X.shape[1]} examples, all 12289 derivatives, at the w and b that "
        f"{STEPS} steps of descent reach. A difference is the largest of any derivative, divided "
        "by the largest derivative."
    )
    _, dw_loops, db_loops = gradient_loops(w, b, X, Y)
    _, dw_graph, db_graph = gradient_graph(w, b, X, Y)
    _, dw, db = gradient_vectorized(w, b, X, Y)
    dw_nudged, db_nudged = gradient_nudged(w, b, X, Y)
    _, dw_wrong, db_wrong = gradient_lost_minus(w, b, X, Y)
    vectorized = np.append(dw, db)
    forms = [
        ("two loops", dw_loops, db_loops),
        ("computation graph", dw_graph, db_graph),
        ("central differences", dw_nudged, db_nudged),
        ("dZ = AY, the slip", dw_wrong, db_wrong),
    ]
    yield Table(
        ["vectorized against", "difference"],
        [[name, apart(np.append(v, d), vectorized)] for name, v, d in forms],
    )
    yield (
        "The first two agree but for rounding. Central differences divide a small difference by a "
        "small h; what they can show is limited. Too large an h, and the curve bends between the "
        "two points; too small, and rounding takes over:"
    )
    few, labels = material.X[:: len(material.X) // 8], material.Y
    full = gradient_vectorized(w, b, material.X, material.Y)[1][:: len(material.X) // 8]
    Z = forward(w, b, material.X)
    rows = []
    for power in (0, -2, -4, -6, -8, -10, -12):
        h = 10.0**power
        nudged = np.array(
            [[(cost(Z + h * r, labels) - cost(Z - h * r, labels)) / (2 * h)] for r in few]
        )
        rows.append([f"1e{power}", apart(nudged, full)])
    yield Table(["h", "difference"], rows)
    J_graph, dw_graph, _ = gradient_graph(w, b, material.X, material.Y)
    J, dw, _ = gradient_vectorized(w, b, material.X, material.Y)
    yield (
        f"On all m = {material.m} images at once, graph and vectorized form: J = {J_graph:.12f} "
        f"and {J:.12f}, dw apart by {apart(dw_graph, dw)}."
    )
    yield "That is the lesson. Its whole training, 2,000 steps, is catclf train."


def apart(a: Array, b: Array) -> str:
    """Write the largest difference, relative to the largest value."""
    scale = float(np.abs(b).max())
    return f"{float(np.abs(a - b).max()) / scale:.1e}" if scale else f"{np.abs(a).max():.1e}"
