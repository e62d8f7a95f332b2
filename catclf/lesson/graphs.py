"""Sections 3.1, 3.2 and 4: computation graphs, and the logistic regression of two features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp
from math import log as ln

import numpy as np

from catclf.lesson.blocks import Block, Formula, Material, Table, figure, places
from catclf.lesson.graph import Node, backward, dot, log, sigmoid, total
from catclf.logistic import Array

A, B, C = 5.0, 3.0, 2.0
"""The lesson's a, b, c."""
H = 1e-6
"""Half the width of a central difference."""
W1, W2, BIAS = 1.0, -2.0, 0.5
"""Where the two-feature regression starts: numbers of no meaning."""


def central_difference(J: Callable[[float], float], at: float, h: float = H) -> float:
    """Compute a derivative by its definition, from both sides: (J(v + h) − J(v − h)) / 2h."""
    return (J(at + h) - J(at - h)) / (2 * h)


def lesson_graph() -> dict[str, Node]:
    """Build J = 3(a + bc) at a = 5, b = 3, c = 2, with u = bc and v = a + u."""
    a, b, c = Node(A), Node(B), Node(C)
    u = b * c
    v = a + u
    return {"a": a, "b": b, "c": c, "u": u, "v": v, "J": 3 * v}


def forward_graph(material: Material) -> Iterator[Block]:
    """Compute J = 3(a + bc) from left to right."""
    nodes = lesson_graph()
    a, b, c, u, v, J = (f"{nodes[name].value:g}" for name in "abcuvJ")
    yield (
        "A computation graph takes a formula apart into single steps. The lesson's is "
        "J = 3(a + bc), with u = bc, v = a + u and J = 3v. All are numbers; no data yet. From left "
        "to right:"
    )
    yield Formula(
        f"a = {a} ──────────┐\n"
        f"b = {b} ┐         ├ v = {v} ─ J = {J}\n"
        f"      ├ u = {u} ──┘\n"
        f"c = {c} ┘"
    )
    yield Table(
        ["step", "value"],
        [["u = b · c", u], ["v = a + u", v], ["J = 3 · v", J]],
    )
    yield (
        f"So J = {J}. In catclf/lesson/graph.py a Node is one of these values; it remembers "
        "what it was computed from. That is all that the way back needs."
    )


def backward_graph(material: Material) -> Iterator[Block]:
    """Compute the derivatives of J = 3(a + bc) from right to left."""
    nodes = lesson_graph()
    backward(nodes["J"])
    yield (
        "From right to left each node asks: if I grow a little, how many times as much does J "
        "grow? Every step has a simple derivative of its own, and the chain rule multiplies them:"
    )
    yield Formula(
        "dJ/dv = 3          as J = 3v\n"
        "dJ/du = dJ/dv · 1  as v = a + u\n"
        "dJ/da = dJ/dv · 1  as v = a + u\n"
        "dJ/db = dJ/du · c  as u = bc\n"
        "dJ/dc = dJ/du · b  as u = bc"
    )

    def cost_of(name: str) -> Callable[[float], float]:
        def moved(value: float) -> float:
            at = {key: float(nodes[key].value) for key in "abc"} | {name: value}
            v = at.get("v", at["a"] + at.get("u", at["b"] * at["c"]))
            return 3 * v

        return moved

    yield Table(
        ["derivative", "graph", "nudged"],
        [
            [
                f"dJ/d{name}",
                f"{nodes[name].grad:g}",
                f"{central_difference(cost_of(name), float(nodes[name].value)):.6f}",
            ]
            for name in "vuabc"
        ],
    )
    yield (
        f'"Nudged" computes each by its definition: J with the value {H:g} greater, less J with it '
        f"{H:g} smaller, divided by {2 * H:g}. The graph needs one way back for all of them."
    )
    more = cost_of("c")(C + 0.001)
    yield (
        f"An example: with c at {C + 0.001:g} in place of {C:g}, J is {more:.3f}. c grew by 0.001 "
        f"and J by {more - float(nodes['J'].value):.3f}."
    )


def two_features(material: Material) -> Array:
    """Give two features of each image: its mean red and its mean blue, float64 (2, m)."""
    return np.vstack([material.X[0::3].mean(axis=0), material.X[2::3].mean(axis=0)])


def cost_graph(w: Node, b: Node, X: Array, Y: Array) -> Node:
    """Build the cost of logistic regression from nodes: J = −(1/m) Σ (y log a + (1−y) log(1−a))."""
    a = sigmoid(dot(w, Node(X)) + b)
    return total(Y * log(a) + (1 - Y) * log(1 - a)) * (-1 / Y.size)


def logistic_graph(material: Material) -> Iterator[Block]:
    """Carry the loss of one example back to w1, w2 and b."""
    i = int(np.argmax(material.Y))
    x1, x2 = (float(v) for v in two_features(material)[:, i])
    y = float(material.Y[0, i])
    yield (
        "Now logistic regression as a graph, with two features. From each image two numbers: x1, "
        f"the mean of its red, and x2, the mean of its blue, both 0 to 1. Image {i}, labelled "
        f"{y:g}, has x1 = {x1:.4f} and x2 = {x2:.4f}. The parameters start somewhere: w1 = {W1:g}, "
        f"w2 = {W2:g}, b = {BIAS:g}."
    )
    yield Formula(
        "x1, w1 ┐\n"
        "x2, w2 ├ z ── a ── L\n"
        "     b ┘\n\n"
        "z = w1·x1 + w2·x2 + b\na = σ(z)\nL = −(y log a + (1−y) log(1−a))"
    )
    w1, w2, b = Node(W1), Node(W2), Node(BIAS)
    z = w1 * x1 + w2 * x2 + b
    a = sigmoid(z)
    L = (y * log(a) + (1 - y) * log(1 - a)) * -1
    backward(L)
    yield (
        f"Left to right: z = {z.value:.4f}, a = {a.value:.4f}, L = {L.value:.4f}. Right to left, "
        "by the lesson's formulas:"
    )
    yield Formula(
        "dL/da  = −y/a + (1−y)/(1−a)\n"
        "dL/dz  = dL/da · a(1−a) = a − y\n"
        "dL/dw1 = x1 · dL/dz\n"
        "dL/dw2 = x2 · dL/dz\n"
        "dL/db  = dL/dz"
    )
    av, zv = float(a.value), float(z.value)
    dz = av - y
    formulas = [-y / av + (1 - y) / (1 - av), dz, x1 * dz, x2 * dz, dz]

    def of_a(v: float) -> float:
        return -ln(v) if y else -ln(1 - v)

    def of_z(v: float) -> float:
        return of_a(1 / (1 + exp(-v)))

    nudged = [
        central_difference(of_a, av),
        central_difference(of_z, zv),
        central_difference(lambda v: of_z(v * x1 + W2 * x2 + BIAS), W1),
        central_difference(lambda v: of_z(W1 * x1 + v * x2 + BIAS), W2),
        central_difference(lambda v: of_z(W1 * x1 + W2 * x2 + v), BIAS),
    ]
    names = ("dL/da", "dL/dz", "dL/dw1", "dL/dw2", "dL/db")
    rows = zip(names, formulas, (a, z, w1, w2, b), nudged, strict=True)
    yield Table(
        ["", "formula", "graph", "nudged"],
        [[n, places(f, 4), places(float(g.grad), 4), places(d, 4)] for n, f, g, d in rows],
    )
    yield (
        "The graph knows none of these formulas, only what log, σ, times and plus do; "
        '"nudged" knows no derivative at all. One step of descent with α = 1:'
    )
    new = [W1 - x1 * dz, W2 - x2 * dz, BIAS - dz]
    yield Formula(
        f"w1 := {W1:g} − 1 · ({places(formulas[2], 4)}) = {places(new[0], 4)}\n"
        f"w2 := {W2:g} − 1 · ({places(formulas[3], 4)}) = {places(new[1], 4)}\n"
        f"b  := {BIAS:g} − 1 · ({places(formulas[4], 4)}) = {places(new[2], 4)}"
    )
    after = of_z(new[0] * x1 + new[1] * x2 + new[2])
    yield f"It takes the loss of this example from {figure(float(L.value))} to {figure(after)}."
