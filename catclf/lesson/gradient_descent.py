"""Section 2: gradient descent, on a cost of one parameter and on all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.lesson.material import Block, Material, Table
from catclf.logistic import Array, backward, cost, descend, forward, gradient, sigmoid


def cost_after(material: Material, learning_rate: float, steps: int) -> float:
    """Compute the cost after so many steps of descent from zero."""
    w, b, _ = descend(material.X, material.Y, learning_rate, steps)
    return cost(forward(w, b, material.X), material.Y)


def scores_of_descent(material: Material, error: Callable[..., Array], steps: int) -> list[Array]:
    """Descend from zero by dZ = error(A, Y), right or wrong; give Z before and after each step."""
    w, b, scores = np.zeros((len(material.X), 1)), np.zeros((1, 1)), [0 * material.Y]
    for _ in range(steps):
        dw, db = backward(material.X, error(sigmoid(scores[-1]), material.Y) / material.Y.size)
        w, b = w - material.safe_step * dw, b - material.safe_step * db
        scores.append(forward(w, b, material.X))
    return scores


def slope(w: float, u: Array, Y: Array) -> float:
    """Compute dJ/dw of the one-parameter cost: the mean of (σ(wu) − y) u."""
    return float(np.mean((sigmoid(w * u) - Y) * u))


def closest_feature(material: Material) -> tuple[int, Array]:
    """Choose the row of X that correlates with Y most; give its number and it, standardized."""
    X, Y = material.X, material.Y
    deviation = np.maximum(X.std(axis=1), 1e-9)  # a row that does not vary correlates with nothing
    k = int(np.argmax(np.abs(np.dot(X, (Y - Y.mean()).T)[:, 0] / deviation)))
    return k, (X[k : k + 1] - X[k].mean()) / deviation[k]


def one_parameter(material: Material) -> Iterator[Block]:
    """Descend on a cost of one weight: by a good step, a short one and one too long."""
    Y, (k, u) = material.Y, closest_feature(material)
    start = 2.0 if slope(0.0, u, Y) > 0 else -2.0  # beyond 0, seen from the minimum

    def weights(learning_rate: float, steps: int) -> list[float]:
        w = [start]
        for _ in range(steps):
            w.append(w[-1] - learning_rate * slope(w[-1], u, Y))
        return w

    yield f"""
    A cost with one parameter can be drawn whole. Take one row of X: number {k}, the
    {("red", "green", "blue")[k % 3]} at row {k // 192}, column {k % 192 // 3}, which goes with the
    label most closely; less its mean, and divided by its standard deviation. Call it u, of shape
    {u.shape}. With its weight w alone, and no b:

        J(w) = (1/m) Σ L(σ(w·u⁽ⁱ⁾), y⁽ⁱ⁾)
        w := w − α dJ/dw

    From w = {start:g}, with the learning rate α = 2:
    """
    good = weights(2.0, 8)
    yield Table(
        {"step": "", "w": "z.4f", "J(w)": ".6f", "dJ/dw": "z.6f"},
        [(i, w, cost(w * u, Y), slope(w, u, Y)) for i, w in enumerate(good)],
    )
    line = np.linspace(-3, 3, 181)
    J = np.array([cost(w * u, Y) for w in line])
    J_good = np.array([cost(w * u, Y) for w in good])
    curves = [
        Curve(np.array(good), J_good, "the steps", dots=True),
        Curve(line, J, "the cost", dashed=True),
    ]
    yield Chart("A cost of one weight, and 8 steps down it", "w", "J(w)", curves)
    last, short, long = weights(2.0, 200)[-1], weights(0.02, 8)[-1], weights(64.0, 5)
    yield f"""
    Where the slope dJ/dw is negative w grows, where it is positive w shrinks: always downhill, in
    shorter steps as the slope flattens. 200 steps reach w = {last:z.6f}, where the slope is
    {slope(last, u, Y):.1e}. The least second difference of the curve drawn is
    {np.diff(J, 2).min():.1e}, above zero: it is convex.

    The learning rate is ours to choose. At α = 0.02 the same 8 steps only reach w = {short:.4f}, J
    = {cost(short * u, Y):.6f}: too short. Too long a step leaps over the minimum and may end higher
    than before. At α = 64 the cost goes {", ".join(f"{cost(w * u, Y):.4f}" for w in long)}.
    """
    J_0, dw, _ = gradient(np.zeros((len(material.X), 1)), 0.0, material.X, Y)
    directions = np.vstack([-dw.T, np.random.default_rng(0).normal(size=(100, len(dw)))])
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= 1e-3 / np.maximum(lengths, 1e-12)  # at a minimum dw is zero
    falls = [J_0 - cost(z[None], Y) for z in np.dot(directions, material.X)]
    yield f"""
    With all 12288 weights the gradient dw, {dw.shape}, points where J grows fastest, and minus dw
    where it falls fastest. To see it: from w = 0 a step of length 0.001 along minus dw lowers the
    cost by {falls[0]:.2e}; of 100 random directions the best lowers it by {max(falls[1:]):.2e}.

    How long may a step be? The slope of σ is nowhere above 1/4. So J bends upwards, in any
    direction, by no more than the mean of (‖x‖² + 1)/4, and a step of up to one over that cannot
    raise the cost. For u alone that is 4; for all the pixels of this data, and b, α = 4 / mean(‖x‖²
    + 1) = {material.safe_step:.6g}. The course takes 0.005 for its photos, and 2,000 steps.
    """
