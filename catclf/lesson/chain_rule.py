"""Sections 3.1, 3.2 and 4: computation graphs, and the logistic regression of two features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from catclf.lesson.graph import Node, backward, dot, log, sigmoid, total
from catclf.lesson.material import Block, Material, Table
from catclf.logistic import Array

A, B, C = 5.0, 3.0, 2.0
"""The lesson's a, b and c."""
W1, W2, BIAS = 1.0, -2.0, 0.5
"""The two-feature regression starts at these w1, w2 and b; they mean nothing."""


def central_difference(J: Callable[[float], float], at: float | Array) -> float:
    """Compute a derivative by its definition, from both sides: (J(v + h) − J(v − h)) / 2h."""
    return (J(float(at) + 1e-6) - J(float(at) - 1e-6)) / 2e-6


def lesson_graph() -> dict[str, Node]:
    """Build J = 3(a + bc) at a = 5, b = 3, c = 2, with u = bc and v = a + u."""
    a, b, c = Node(A), Node(B), Node(C)
    u = b * c
    v = a + u
    return {"a": a, "b": b, "c": c, "u": u, "v": v, "J": 3 * v}


def forward_graph(material: Material) -> Iterator[Block]:
    """Compute J = 3(a + bc) from left to right."""
    a, b, c, u, v, J = (f"{node.value:g}" for node in lesson_graph().values())
    yield f"""
    A computation graph takes a formula apart into single steps. The lesson's is J = 3(a + bc), with
    u = bc, v = a + u and J = 3v: numbers, no data yet. Forward propagation, from left to right:

        a = {a} ──────────┐
        b = {b} ┐         ├ v = {v} ─ J = {J}
              ├ u = {u} ──┘
        c = {c} ┘

    So J = {J}. In catclf/lesson/graph.py a Node is one of these values; it remembers what it was
    computed from, and how. That is all that the way back needs.
    """


def backward_graph(material: Material) -> Iterator[Block]:
    """Compute the derivatives of J = 3(a + bc) from right to left."""
    nodes = lesson_graph()
    backward(nodes["J"])
    yield """
    Backpropagation, from right to left: each node asks, if I grow a little, how many times as much
    does J grow? Every step has a simple derivative of its own, and the chain rule multiplies them:

        dJ/dv = 3          as J = 3v
        dJ/du = dJ/dv · 1  as v = a + u
        dJ/da = dJ/dv · 1  as v = a + u
        dJ/db = dJ/du · c  as u = bc
        dJ/dc = dJ/du · b  as u = bc
    """
    J_of: dict[str, Callable[[float], float]] = {
        "v": lambda v: 3 * v,
        "u": lambda u: 3 * (A + u),
        "a": lambda a: 3 * (a + B * C),
        "b": lambda b: 3 * (A + b * C),
        "c": lambda c: 3 * (A + B * c),
    }
    derivatives = [(f"dJ/d{name}", nodes[name], J) for name, J in J_of.items()]
    yield Table(
        {"derivative": "", "graph": "g", "nudged": ".6f"},
        [(n, v.grad, central_difference(J, v.value)) for n, v, J in derivatives],
    )
    yield f"""
    "Nudged" computes each by its definition: J with the value 1e-06 greater, less J with it 1e-06
    smaller, divided by 2e-06. The graph needs one way back for all of them. An example: c
    up by 0.001, from {C:g} to 2.001, takes J up by 9 times that, to {J_of["c"](2.001):.3f}.
    """


def two_features(material: Material) -> Array:
    """Give two features of each image: its mean red and its mean blue, float64 (2, m)."""
    return np.vstack([material.X[0::3].mean(axis=0), material.X[2::3].mean(axis=0)])


def logistic_graph(material: Material) -> Iterator[Block]:
    """Carry the loss of one example back to w1, w2 and b."""
    i = int(np.argmax(material.Y))
    y, (x1, x2) = float(material.Y[0, i]), map(float, two_features(material)[:, i])
    w1, w2, b = Node(W1), Node(W2), Node(BIAS)
    z = w1 * x1 + w2 * x2 + b
    a = sigmoid(z)
    L = (y * log(a) + (1 - y) * log(1 - a)) * -1
    backward(L)
    yield f"""
    Now logistic regression as a graph, with two features. From each image two numbers: x1, the mean
    of its red, and x2, the mean of its blue, both 0 to 1. Image {i}, labelled {y:g}, has x1 =
    {x1:.4f} and x2 = {x2:.4f}. The parameters start somewhere: w1 = {W1:g}, w2 = {W2:g}, b =
    {BIAS:g}.

        x1, w1 ┐
        x2, w2 ├ z ── a ── L
             b ┘

        z = w1·x1 + w2·x2 + b
        a = σ(z)
        L = −(y log a + (1−y) log(1−a))

    Left to right: z = {z.value:.4f}, a = {a.value:.4f}, L = {L.value:.4f}. Right to left, by the
    lesson's formulas:

        dL/da  = −y/a + (1−y)/(1−a)
        dL/dz  = dL/da · a(1−a) = a − y
        dL/dw1 = x1 · dL/dz
        dL/dw2 = x2 · dL/dz
        dL/db  = dL/dz
    """

    def loss_of_a(a: float) -> float:
        return -(y * math.log(a) + (1 - y) * math.log(1 - a))

    def loss_of(w1: float, w2: float, b: float) -> float:
        return loss_of_a(1 / (1 + math.exp(-(w1 * x1 + w2 * x2 + b))))

    av = float(a.value)
    dz = av - y
    dw1, dw2, db = x1 * dz, x2 * dz, dz
    derivatives: list[tuple[str, Node, float, Callable[[float], float]]] = [
        ("dL/da", a, -y / av + (1 - y) / (1 - av), loss_of_a),
        ("dL/dz", z, dz, lambda z: loss_of(0, 0, z)),
        ("dL/dw1", w1, dw1, lambda w1: loss_of(w1, W2, BIAS)),
        ("dL/dw2", w2, dw2, lambda w2: loss_of(W1, w2, BIAS)),
        ("dL/db", b, db, lambda b: loss_of(W1, W2, b)),
    ]
    yield Table(
        {"": "", "formula": "z.4f", "graph": "z.4f", "nudged": "z.4f"},
        [(n, f, v.grad, central_difference(L, v.value)) for n, v, f, L in derivatives],
    )
    yield f"""
    The graph knows none of these formulas, only what log, σ, times and plus do; "nudged" knows no
    derivative at all. One step of descent with α = 1:

        w1 := {W1:g} − 1 · ({dw1:z.4f}) = {W1 - dw1:z.4f}
        w2 := {W2:g} − 1 · ({dw2:z.4f}) = {W2 - dw2:z.4f}
        b  := {BIAS:g} − 1 · ({db:z.4f}) = {BIAS - db:z.4f}

    It takes the loss of this example from {L.value:.6g} to
    {loss_of(W1 - dw1, W2 - dw2, BIAS - db):.6g}.
    """


def gradient_graph(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute the cost, dw and db by a computation graph; see `catclf.logistic.gradient`.

    The graph is J = −(1/m) Σ (y log a + (1−y) log(1−a)), a = σ(wᵀX + b).
    """
    W, bias = Node(w), Node(b)
    A = sigmoid(dot(W, Node(X)) + bias)
    J = total(Y * log(A) + (1 - Y) * log(1 - A)) * (-1 / Y.size)
    backward(J)
    return float(J.value), W.grad, float(bias.grad)
