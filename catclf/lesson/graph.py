"""A small computation graph: values from left to right, derivatives from right to left.

    a, b, c = Node(5), Node(3), Node(2)
    J = 3 * (a + b * c)  # J.value is 33
    backward(J)          # a.grad, b.grad, c.grad are 3, 6, 9

A node holds a number or an array; where numpy stretches one to fit the other, as b in wᵀX + b, its
derivative is summed back to its shape. No code is shared with `catclf.logistic`, which it checks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from catclf.common.types import Array

_numbers = itertools.count()
Rule = Callable[[Array], Array]  # dJ/d(value) → what it adds to dJ/d(one of the inputs)


class Node:
    """A value, the nodes that it was computed from, and, after `backward`, dJ/d(value)."""

    def __init__(self, value: ArrayLike, *inputs: tuple[Node, Rule]) -> None:
        self.number = next(_numbers)
        self.value, self.inputs = np.asarray(value, dtype=np.float64), inputs
        self.grad: Array = np.zeros_like(self.value)

    def __add__(self, other: Node | ArrayLike) -> Node:
        """Add: d(u + v)/du = 1 and d(u + v)/dv = 1."""
        v = _node(other)
        return Node(self.value + v.value, (self, lambda g: g), (v, lambda g: g))

    def __mul__(self, other: Node | ArrayLike) -> Node:
        """Multiply: d(uv)/du = v and d(uv)/dv = u."""
        u, v = self, _node(other)
        return Node(u.value * v.value, (u, lambda g: g * v.value), (v, lambda g: g * u.value))

    def __rsub__(self, other: ArrayLike) -> Node:
        return self * -1.0 + other

    __radd__, __rmul__ = __add__, __mul__
    __array_ufunc__ = None  # array * node is node * array, not an array of nodes


def log(u: Node) -> Node:
    """Take the natural logarithm: d(log u)/du = 1/u."""
    return Node(np.log(u.value), (u, lambda g: g / u.value))


def sigmoid(u: Node) -> Node:
    """Squash: s = 1 / (1 + e⁻ᵘ), ds/du = s(1 − s)."""
    s = 1.0 / (1.0 + np.exp(-u.value))
    return Node(s, (u, lambda g: g * s * (1.0 - s)))


def dot(w: Node, X: Node) -> Node:
    """Multiply columns: wᵀX, the lesson's np.dot(w, x); dw = X gᵀ and dX = w g."""
    return Node(w.value.T @ X.value, (w, lambda g: X.value @ g.T), (X, lambda g: w.value @ g))


def total(u: Node) -> Node:
    """Sum all entries: d(Σu)/du = 1 for each."""
    return Node(u.value.sum(), (u, lambda g: np.broadcast_to(g, u.value.shape)))


def backward(end: Node) -> None:
    """Set every node's grad to the derivative of `end` by it; over several ways, their sum.

    A node is made after its inputs, so that the youngest first is from right to left.
    """
    reached, waiting = {end}, [end]
    while waiting:
        sources = {source for source, _ in waiting.pop().inputs} - reached
        reached |= sources
        waiting += sources
    for node in reached:
        node.grad = np.zeros_like(node.value)
    end.grad = np.ones_like(end.value)
    for node in sorted(reached, key=lambda node: node.number, reverse=True):
        for source, rule in node.inputs:
            source.grad = source.grad + _summed(rule(node.grad), source.value.shape)


def _summed(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which a value of this shape was stretched."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    g = g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
    return g


def _node(value: Node | ArrayLike) -> Node:
    return value if isinstance(value, Node) else Node(value)
