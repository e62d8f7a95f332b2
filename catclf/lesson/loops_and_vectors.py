"""Sections 4 and 5: the loop over m examples, the same without a loop, and a check of both."""

from __future__ import annotations

import math
import timeit
from collections.abc import Callable, Iterator

import numpy as np

from catclf.lesson.chain_rule import BIAS, W1, W2, gradient_graph, two_features
from catclf.lesson.loss_and_descent import cost_after, scores_of_descent
from catclf.lesson.material import STEPS, Block, Material, Table
from catclf.logistic import Array, backward, cost, descend, forward, gradient, sigmoid


def gradient_loops(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute the cost, dw and db with the lesson's two loops: over examples, and over features.

    Parameters and results are those of `catclf.logistic.gradient`, which has no loop and is a
    thousand times as fast: w and dw float64 (n_x, 1), X float64 (n_x, m), Y (1, m), J in nats.
    """
    n_x, m = X.shape
    J, dw, db = 0.0, np.zeros((n_x, 1)), 0.0
    for i in range(m):
        z = b
        for j in range(n_x):
            z += w[j, 0] * X[j, i]
        a = 1.0 / (1.0 + math.exp(-z))
        y = Y[0, i]
        J += -(y * math.log(a) + (1.0 - y) * math.log(1.0 - a))
        dz = a - y
        for j in range(n_x):
            dw[j, 0] += X[j, i] * dz
        db += dz
    return J / m, dw / m, db / m


def loop_over_examples(material: Material) -> Iterator[Block]:
    """Run the lesson's loop over m examples."""
    X, Y, w, b = two_features(material), material.Y, np.array([[W1], [W2]]), BIAS
    yield f"""
    All m = {Y.size} examples, with the same two features: X is now {X.shape}. The lesson's program
    for J and its gradient; dz is short for dL/dz, dw1 for dJ/dw1:

        J = dw1 = dw2 = db = 0
        for i in 1 to m:
            z = w1·x1[i] + w2·x2[i] + b
            a = σ(z)
            J += −(y log a + (1−y) log(1−a))
            dz = a − y[i]
            dw1 += x1[i] · dz
            dw2 += x2[i] · dz
            db  += dz
        J /= m; dw1 /= m; dw2 /= m; db /= m

    (Here the lesson has the minus right, before both terms, but loses a bracket: its line begins −[
    and has no ].) With n_x features a second loop runs inside the first, over the features:
    gradient_loops in catclf/lesson/loops_and_vectors.py. What it gives for these two, and what the
    computation graph of the last section gives, made of arrays:
    """
    loops, graph = (np.vstack(form(w, b, X, Y))[:, 0] for form in (gradient_loops, gradient_graph))
    rows = zip(("J", "dw1", "dw2", "db"), loops, graph, strict=True)
    yield Table({"": "", "loops": "z.8f", "graph": "z.8f"}, rows)
    w, b, _ = descend(X, Y, 1.0, 100, w, b)
    yield f"""
    Then w1 := w1 − α dw1, likewise w2 and b, and again. 100 such steps at α = 1 take the cost from
    {loops[0]:.6f} to {cost(forward(w, b, X), Y):.6f}, with w1 = {w[0, 0]:z.4f}, w2 =
    {w[1, 0]:z.4f}, b = {b:z.4f}.
    """


def vectorized_step(material: Material) -> Iterator[Block]:
    """Do without loops, and mend the two slips of the lesson's last formulas."""
    X, Y, m, (w, b) = material.X, material.Y, material.Y.size, material.learned
    (few, labels), x = material.few, material.X[:, :1]

    def score_by_loop() -> float:
        z = 0.0
        for k in range(len(x)):
            z += w[k, 0] * x[k, 0]
        return z + b

    yield f"""
    The score of one image by a loop over its 12288 features, and by np.dot: z =
    {score_by_loop():z.9f} and {forward(w, b, x)[0, 0]:z.9f}. np.dot(w, x), as printed, is for flat
    arrays of shape (12288,). On columns, shape (12288, 1), numpy refuses it; write np.dot(w.T, x).

    A whole step without a loop, on all the images:

        Z = wᵀX + b         {Y.shape}
        A = σ(Z)            {Y.shape}
        dZ = A − Y          {Y.shape}
        dw = (1/m) X dZᵀ    {w.shape}
        db = (1/m) Σ dZ     a number
        w := w − α dw       {w.shape}
        b := b − α db       a number

    b is one number, added to each of the m scores: numpy stretches it to (1, m). The program is
    descend in catclf/logistic.py. The time of each form, for one image:
    """
    score = [_microseconds(score_by_loop, 20), _microseconds(lambda: forward(w, b, x), 1000)]
    slow = _microseconds(lambda: gradient_loops(w, b, few, labels), 3) / labels.size
    fast = _microseconds(lambda: gradient(w, b, X, Y), 20) / m
    yield Table(
        {"": "", "loops, µs": ",.0f", "no loop, µs": ",.1f", "ratio": ",.0f"},
        [("score", *score, score[0] / score[1]), ("gradient", slow, fast, slow / fast)],
    )
    yield f"""
    The gradient by loops was timed on {labels.size} images, the other on all m = {m}; both are the
    same (section 10). The 2,000 steps of a training take {2e-3 * m * slow:,.0f} seconds by loops
    and {2e-3 * m * fast:,.1f} without.
    """
    yield from _lost_minus(material)
    yield from _sigma_for_alpha(material)


def _microseconds(work: Callable[[], object], times: int) -> float:
    """Time some work: the shortest of so many times, which other programs disturbed least."""
    return 1e6 * min(timeit.repeat(work, number=1, repeat=times))


def gradient_nudged(Z: Array, X: Array, Y: Array, h: float = 1e-5) -> Array:
    """Compute dw float64 (n_x, 1) by central differences, one weight at a time, from Z (1, m).

    Z is all that J sees of a weight, and moving w[k] by h moves Z by h·X[k].
    """
    return np.array([[(cost(Z + h * x, Y) - cost(Z - h * x, Y)) / (2 * h)] for x in X])


def lost_minus(A: Array, Y: Array) -> Array:
    """Compute dZ as the lesson misprints it: AY."""
    return A * Y


def _lost_minus(material: Material) -> Iterator[Block]:
    """Show that dZ = AY is no gradient, and that descent by it goes astray."""
    X, Y, step, A = material.X, material.Y, material.safe_step, np.full_like(material.Y, 0.5)
    right, wrong = (np.vstack(backward(X, dZ)) / Y.size for dZ in (A - Y, lost_minus(A, Y)))
    k = int(np.argmax(np.abs(right - wrong)[:-1]))
    nudged = gradient_nudged(0 * Y, np.vstack([X[k], np.ones_like(Y)]), Y)[:, 0]
    yield f"""
    Slip 2 of 3: the lesson prints dZ = AY. The minus was lost: dZ = A − Y, of shape {Y.shape}. Both
    against the definition, J a little to either side (nudged), at w = 0, b = 0, in the weight where
    they are furthest apart (k = {k}) and in b:
    """
    rows = zip(("dw[k]", "db"), nudged, right[[k, -1], 0], wrong[[k, -1], 0], strict=True)
    yield Table({"": "", "nudged": "z.5f", "A − Y": "z.5f", "AY": "z.5f"}, rows)
    yield f"""
    And descent: 10 steps of α = {step:.6g} take the cost from log 2 to
    {cost_after(material, step, 10):.4f} with A − Y, and with AY to
    {cost(scores_of_descent(material, lost_minus, 10)[-1], Y):.4f}. AY, entry by entry, is never
    negative, and 0 where y = 0: it pushes scores down only, and those of the images with y = 1.
    """


def _sigma_for_alpha(material: Material) -> Iterator[Block]:
    """Show that σ is no step size."""
    (w, b), step = material.learned, material.safe_step
    A = sigmoid(forward(w, b, material.X))
    yield f"""
    Slip 3 of 3: the last two formulas are printed w := w − σ dw, b := b − σ db. The step size is α,
    a number that one chooses. σ is the sigmoid, no number: after {STEPS} steps its values on this
    data, one for each image, go from {A.min():.3f} to {A.max():.3f}, and σ(Z)·dw has the shape
    {np.broadcast_shapes(A.shape, w.shape)}: w less that is no w any more. Or take σ(0) = 0.5, its
    value before training, for the step. Against α = {step:.6g}, with which no step raises the cost
    (section 4):
    """
    yield Table(
        {"step": "", "J at α": ".4f", "J at 0.5": ",.4f"},
        [(i, cost_after(material, step, i), cost_after(material, 0.5, i)) for i in range(6)],
    )


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
    The first two agree but for rounding. Central differences ("nudged" so far) divide a small
    difference by a small h; what they can show is limited. Too large an h, and the curve bends
    between the two points; too small, and rounding takes over. On all the images, for the 8 weights
    with the largest derivatives:
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
