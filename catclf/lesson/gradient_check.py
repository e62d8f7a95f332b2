"""The gradient check: all forms of one gradient against one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.lesson.chain_rule import gradient_graph
from catclf.lesson.material import STEPS, Block, Material, Table
from catclf.lesson.vectorization import gradient_loops, gradient_nudged, lost_minus
from catclf.logistic import Array, backward, forward, gradient, sigmoid


def relative_difference(a: Array, b: Array) -> float:
    """Find the largest difference, relative to the largest value of b."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def compare_gradients(material: Material) -> Iterator[Block]:
    """Compare all forms of the gradient with one another and with central differences."""
    (X, Y), (w, b) = material.few, material.learned
    Z = forward(w, b, X)
    yield f"""
    A gradient that is nearly right trains nearly well, and nobody notices. So check it: the four
    forms on {Y.size} examples, all 12289 derivatives, at the w and b that {STEPS} steps of descent
    reach, and the slip of section 9, which must not pass. A difference is the largest of any
    derivative, divided by the largest derivative.
    """
    with_bias = np.vstack([X, np.ones_like(Y)])  # the bias is the weight of a feature that is 1
    forms = {
        "two loops": np.vstack(gradient_loops(w, b, X, Y)[1:]),
        "computation graph": np.vstack(gradient_graph(w, b, X, Y)[1:]),
        "central differences": gradient_nudged(Z, with_bias, Y),
        "dZ = AY, the slip": backward(with_bias, lost_minus(sigmoid(Z), Y))[0] / Y.size,
    }
    vectorized = np.vstack(gradient(w, b, X, Y)[1:])
    yield Table(
        {"vectorized against": "", "difference": ".1e"},
        [(name, relative_difference(form, vectorized)) for name, form in forms.items()],
    )
    yield """
    The first two agree but for rounding. Central differences divide a small difference by a small
    h; what they can show is limited. Too large an h, and the curve bends between the two points;
    too small, and rounding takes over. On all the images, for the 8 weights with the largest
    derivatives:
    """
    X, Y = material.X, material.Y
    _, dw, _ = gradient(w, b, X, Y)
    Z, largest = forward(w, b, X), np.argsort(-np.abs(dw[:, 0]))[:8]
    yield Table(
        {"h": ".0e", "difference": ".1e"},
        [
            (h, relative_difference(gradient_nudged(Z, X[largest], Y, h), dw[largest]))
            for h in (1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
        ],
    )
    yield "That is the lesson. Its whole training, 2,000 steps, is catclf train."
