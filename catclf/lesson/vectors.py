"""Sections 4 on m examples and 5: the loop over examples, and the same without a loop."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from catclf.lesson.blocks import (
    Block,
    Formula,
    Material,
    Table,
    change,
    descend,
    figure,
    places,
    seconds,
)
from catclf.lesson.check import apart, gradient_graph, gradient_lost_minus, gradient_nudged
from catclf.lesson.gradients import gradient_loops, gradient_vectorized
from catclf.lesson.graphs import BIAS, W1, W2, two_features
from catclf.logistic import Array, backward, forward, sigmoid

TOO_LONG = 0.5
"""σ(0), which the lesson's misprinted update would take for the step size."""


def gradient_two_features(
    w1: float, w2: float, b: float, X: Array, Y: Array
) -> tuple[float, float, float, float]:
    """Compute J, dw1, dw2 and db as the lesson writes it out, for X (2, m)."""
    m = X.shape[1]
    J = dw1 = dw2 = db = 0.0
    for i in range(m):
        z = w1 * X[0, i] + w2 * X[1, i] + b
        a = 1 / (1 + math.exp(-z))
        J += -(Y[0, i] * math.log(a) + (1 - Y[0, i]) * math.log(1 - a))
        dz = a - Y[0, i]
        dw1 += X[0, i] * dz
        dw2 += X[1, i] * dz
        db += dz
    return J / m, dw1 / m, dw2 / m, db / m


def loop_over_examples(material: Material) -> Iterator[Block]:
    """Run the lesson's loop over m examples."""
    X, Y = two_features(material), material.Y
    yield (
        f"All m = {material.m} examples, with the same two features: X is now {X.shape}. The "
        "lesson's program for one step of descent, as it is run here:"
    )
    yield Formula(
        "J = dw1 = dw2 = db = 0\n"
        "for i in 1 to m:\n"
        "    z = w1·x1[i] + w2·x2[i] + b\n"
        "    a = σ(z)\n"
        "    J += −(y log a + (1−y) log(1−a))\n"
        "    dz = a − y[i]\n"
        "    dw1 += x1[i] · dz\n"
        "    dw2 += x2[i] · dz\n"
        "    db  += dz\n"
        "J /= m; dw1 /= m; dw2 /= m; db /= m"
    )
    yield (
        "(Here the lesson has the minus right, before both terms, but loses a bracket: its line "
        "begins −[ and has no ].) Its result, and that of the computation graph of the last "
        "section, made of arrays:"
    )
    w = np.array([[W1], [W2]])
    loop = gradient_two_features(W1, W2, BIAS, X, Y)
    J, dw, db = gradient_graph(w, BIAS, X, Y)
    graph = (J, float(dw[0, 0]), float(dw[1, 0]), db)
    yield Table(
        ["", "loop", "graph"],
        [
            [name, places(p, 8), places(q, 8)]
            for name, p, q in zip(("J", "dw1", "dw2", "db"), loop, graph, strict=True)
        ],
    )
    w1, w2, b = W1, W2, BIAS
    for _ in range(100):
        _, *d = gradient_two_features(w1, w2, b, X, Y)
        w1, w2, b = w1 - d[0], w2 - d[1], b - d[2]
    end = gradient_two_features(w1, w2, b, X, Y)[0]
    yield (
        f"100 such steps at α = 1 take the cost from {loop[0]:.6f} to {end:.6f}, with "
        f"w1 = {w1:.4f}, w2 = {w2:.4f}, b = {b:.4f}."
    )
    each, n = material.loop_seconds, material.part[0].shape[1]
    yield (
        "With n_x features a second loop runs inside the first, over the features: "
        "gradient_loops in catclf/lesson/gradients.py. On all 12288 features it takes "
        f"{_time(each)} for an example (timed on {n}), and so about "
        f"{_time(each * material.m)} for one step on all m = {material.m}; for the 2,000 steps of "
        f"a training {_time(2000 * each * material.m)}."
    )


def vectorization(material: Material) -> Iterator[Block]:
    """Do without loops, and mend the two slips of the lesson's last formulas."""
    x, (w, b) = material.X[:, :1], material.learned

    def loop() -> float:
        z = 0.0
        for k in range(len(x)):
            z += w[k, 0] * x[k, 0]
        return z + b

    def vector() -> float:
        return float((np.dot(w.T, x) + b)[0, 0])

    slow, fast = seconds(loop), seconds(vector, most=1.5)
    yield "First z = wᵀx + b of one image, by a loop over its 12288 features and by np.dot:"
    yield Table(
        ["", "z", "time"],
        [
            ["loop", f"{loop():.9f}", _time(slow)],
            ["np.dot", f"{vector():.9f}", _time(fast)],
            ["ratio", "", _ratio(slow, fast)],
        ],
    )
    if slow < fast:
        yield "np.dot was slower here, which is not its nature: this machine is busy. Try again."
    try:
        np.dot(w, x)
    except ValueError as error:
        yield (
            "np.dot(w, x), as printed, is for flat arrays of shape (12288,). On columns, shape "
            f'(12288, 1), numpy refuses: "{error}". Write np.dot(w.T, x).'
        )
    yield from _whole_step(material)
    yield from _lost_minus(material)
    yield from _sigma_for_alpha(material)


def _whole_step(material: Material) -> Iterator[Block]:
    """Do one step of descent on all examples without a loop, and time it."""
    m, (w, b) = material.m, material.learned
    Z = forward(w, b, material.X)
    A = sigmoid(Z)
    dZ = A - material.Y
    dw, _ = backward(material.X, dZ)
    yield "A whole step without a loop, on all the images:"
    yield Table(
        ["formula", "shape"],
        [
            ["Z = wᵀX + b", str(Z.shape)],
            ["A = σ(Z)", str(A.shape)],
            ["dZ = A − Y", str(dZ.shape)],
            ["dw = (1/m) X dZᵀ", str(dw.shape)],
            ["db = (1/m) Σ dZ", "a number"],
            ["w := w − α dw", str(w.shape)],
            ["b := b − α db", "a number"],
        ],
    )
    yield "b is one number, added to each of the m scores: numpy stretches it to (1, m)."
    part, labels = material.part
    n = part.shape[1]
    loops = material.loop_seconds * m
    vectorized = seconds(lambda: gradient_vectorized(w, b, material.X, material.Y))
    yield Table(
        [f"one step, m = {m}", "time"],
        [
            ["two loops" if n == m else "two loops, scaled up", _time(loops)],
            ["vectorized", _time(vectorized)],
            ["ratio", _ratio(loops, vectorized)],
        ],
    )
    scaled = f"The loops were timed on {n} examples and scaled up to {m}. " if n < m else ""
    a, c = (form(w, b, part, labels) for form in (gradient_loops, gradient_vectorized))
    yield f"{scaled}Both compute the same: on {n} examples their dw differ by {apart(a[1], c[1])}."


def _lost_minus(material: Material) -> Iterator[Block]:
    """Show that dZ = AY is no gradient, and that descent by it goes astray."""
    yield (
        "Slip 2 of 3: the lesson prints dZ = AY. The minus was lost: dZ = A − Y, of shape "
        f"(1, {material.m}). Both against the definition, J a little to either side (nudged), at "
        "w = 0, b = 0, in the weight where they are furthest apart and in b:"
    )
    w = np.zeros((len(material.X), 1))
    right = gradient_vectorized(w, 0.0, material.X, material.Y)
    wrong = gradient_lost_minus(w, 0.0, material.X, material.Y)
    k = int(np.argmax(np.abs(right[1] - wrong[1])))
    # At w = 0 the other features add nothing to Z.
    dw, db = gradient_nudged(w[:1], 0.0, material.X[k : k + 1], material.Y)
    yield Table(
        ["", "nudged", "A − Y", "AY"],
        [
            ["dw[k]", *(places(v, 5) for v in (dw[0, 0], right[1][k, 0], wrong[1][k, 0]))],
            ["db", *(places(v, 5) for v in (db, right[2], wrong[2]))],
        ],
    )
    good = descend(material, material.safe_step, 10)
    bad = descend(material, material.safe_step, 10, gradient_lost_minus)
    yield (
        f"(k = {k}.) And descent: in 10 steps of α = {figure(material.safe_step)} the cost "
        f"{change(good[0], good[-1])} with A − Y; with AY it {change(bad[0], bad[-1])}. AY is "
        "never negative, and 0 where y = 0: it pushes scores down only, and those of the "
        "images with y = 1."
    )


def _sigma_for_alpha(material: Material) -> Iterator[Block]:
    """Show that σ is no step size."""
    w, b = material.learned
    A = sigmoid(forward(w, b, material.X))
    yield (
        "Slip 3 of 3: the last two formulas are printed w := w − σ dw, b := b − σ db. The step "
        "size is α, a number that one chooses. σ is the sigmoid, no number: its values on this "
        f"data go from {A.min():.3f} to {A.max():.3f}, one for each image. In numpy:"
    )
    yield Formula(f"w:        {w.shape}\nσ(Z)·dw:  {np.broadcast_shapes(A.shape, w.shape)}")
    yield (
        "w less an array of that shape is no w any more. Or take σ(0) = 0.5, its value before "
        f"training, for the step. Against α = {figure(material.safe_step)}, which section 4 found "
        "short enough:"
    )
    right = descend(material, material.safe_step, 5)
    long = descend(material, TOO_LONG, 5)
    yield Table(
        ["step", "J at α", "J at 0.5"],
        [
            [str(i), f"{p:.4f}", f"{q:.4f}"]
            for i, (p, q) in enumerate(zip(right, long, strict=True))
        ],
    )
    worst = max(long)
    if worst > long[0]:
        yield (
            f"At 0.5 the cost rises from {long[0]:.4f} to as much as {worst:,.4f}: far too long "
            "a step."
        )
    else:
        yield (
            "On this data a step of 0.5 does no harm, by luck. To see harm: catclf lesson drawn "
            "--section 9."
        )


def _ratio(slow: float, fast: float) -> str:
    ratio = slow / fast
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _time(s: float) -> str:
    """Write a time with a unit that suits it."""
    for limit, unit, factor in ((1e-3, "µs", 1e6), (1.0, "ms", 1e3), (120.0, "s", 1.0)):
        if s < limit:
            return f"{s * factor:.3g} {unit}"
    return f"{s / 60:,.0f} minutes"
