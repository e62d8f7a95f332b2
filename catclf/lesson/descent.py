"""Section 2: gradient descent, on a cost of one parameter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.lesson.blocks import Block, Formula, Material, Table, figure, places
from catclf.lesson.gradients import gradient_vectorized
from catclf.logistic import Array, cost, sigmoid

START = 2.0
"""The first w, less or greater than 0: on the far side of 0 from the minimum."""
STEP = 2.0
"""α, for a feature of standard deviation 1; a step of up to 8 cannot raise the cost."""


def slope(w: float, u: Array, Y: Array) -> float:
    """Compute dJ/dw of the one-parameter cost: the mean of (σ(wu) − y) u."""
    return float(np.mean((sigmoid(w * u) - Y) * u))


def one_parameter(material: Material) -> Iterator[Block]:
    """Descend on a cost of one weight: a good step, a short one and one too long."""
    u, words = _feature(material)
    Y = material.Y
    yield (
        "A cost with one parameter can be drawn whole. "
        f"{words} Call it u, of shape (1, {material.m}). With its weight w alone, and no b:"
    )
    yield Formula("J(w) = (1/m) Σ L(σ(w·u⁽ⁱ⁾), y⁽ⁱ⁾)\nw := w − α dJ/dw")
    start = START if slope(0.0, u, Y) > 0 else -START
    steps = _steps(u, Y, start, STEP, 8)
    yield f"From w = {start:g}, with the learning rate α = {STEP:g}:"
    yield _table(steps, u, Y)
    w = np.linspace(-3, 3, 181)
    J = np.array([cost(v * u, Y) for v in w])
    yield Chart(
        "A cost of one weight, and 8 steps down it",
        "w",
        "J(w)",
        [
            Curve(
                np.array(steps), np.array([cost(v * u, Y) for v in steps]), "the steps", dots=True
            ),
            Curve(w, J, "the cost", dashed=True),
        ],
    )
    bend = float(np.diff(J, 2).min())
    minimum = _minimum(u, Y)
    yield (
        "Where the slope dJ/dw is negative w grows, where it is positive w shrinks: always "
        "downhill, in shorter steps as the slope flattens. "
        + (
            f"The slope is zero at w = {places(minimum, 6)}; the last w in the table is "
            f"{abs(steps[-1] - minimum):.1e} from it. "
            if minimum is not None
            else "It reaches zero nowhere: with this one feature every label can be met without a "
            "mistake, and the cost falls for ever. "
            if slope(0.0, u, Y)
            else ""
        )
        + f"The least second difference of the curve drawn is {bend:.1e}: "
        + ("it is convex." if bend > -1e-14 else "which rounding does not explain.")
    )
    yield from _other_steps(u, Y, start)
    yield from _steepest(material)
    yield (
        "How long may a step be? The slope of σ is nowhere above 1/4. So J bends upwards, in any "
        "direction, by no more than the mean of (‖x‖² + 1)/4, and a step of up to one over that "
        "cannot raise the cost. For u alone that is 4; for all the pixels of this data, and b, "
        f"α = 4 / mean(‖x‖² + 1) = {figure(material.safe_step)}. The course takes 0.005 "
        "for its photos, and 2,000 steps."
    )


def _feature(material: Material) -> tuple[Array, str]:
    """Choose the feature that goes with the label most closely, standardised."""
    X, Y = material.X, material.Y
    deviation = X.std(axis=1)
    if not deviation.any():
        return np.ones_like(Y), "All images are alike here, so the feature is 1 for each of them."
    centred = Y - Y.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num((X @ centred.T)[:, 0] / (deviation * material.m))
    k = int(np.argmax(np.abs(correlation) if centred.any() else deviation))
    u = (X[k : k + 1] - X[k].mean()) / deviation[k]
    row, column, channel = k // 192, k % 192 // 3, ("red", "green", "blue")[k % 3]
    return u, (
        f"Take one row of X: number {k}, the {channel} at row {row}, column {column}, which "
        f"{'goes with the label most closely' if centred.any() else 'varies most'}; less its mean, "
        "and divided by its standard deviation."
    )


def _steps(u: Array, Y: Array, start: float, alpha: float, n: int) -> list[float]:
    """Give w before each of n steps, and after the last."""
    w = [start]
    for _ in range(n):
        w.append(w[-1] - alpha * slope(w[-1], u, Y))
    return w


def _table(steps: list[float], u: Array, Y: Array) -> Table:
    rows = [
        [str(i), places(w, 4), places(cost(w * u, Y), 6), places(slope(w, u, Y), 6)]
        for i, w in enumerate(steps)
    ]
    return Table(["step", "w", "J(w)", "dJ/dw"], rows)


def _minimum(u: Array, Y: Array) -> float | None:
    """Find where the slope is zero, by halving; None if that is nowhere."""
    low, high = -1e3, 1e3
    if not slope(low, u, Y) < 0 < slope(high, u, Y):
        return None
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle, u, Y) < 0 else (low, middle)
    return (low + high) / 2


def _other_steps(u: Array, Y: Array, start: float) -> Iterator[Block]:
    """Take steps that are too short, and steps that are too long, if there are such."""
    short = _steps(u, Y, start, STEP / 100, 8)
    yield (
        f"The learning rate is ours to choose. At α = {STEP / 100:g} the same 8 steps only reach "
        f"w = {short[-1]:.4f}, J = {cost(short[-1] * u, Y):.6f}: too short."
    )
    for alpha in (8.0 * 2**k for k in range(1, 20)):
        long = _steps(u, Y, start, alpha, 5)
        costs = [cost(w * u, Y) for w in long]
        if costs[-1] > costs[0]:
            yield f"At α = {alpha:g} w leaps about:"
            yield _table(long, u, Y)
            yield (
                f"After 5 steps the cost is {costs[-1]:.4f}, above the {costs[0]:.4f} of the "
                "start: too long."
            )
            return
    yield (
        f"No step is too long for this feature: even at α = {alpha:g} 5 steps end at "
        f"J = {costs[-1]:.6f}, not above the start."
    )


def _steepest(material: Material, length: float = 1e-3, others: int = 100) -> Iterator[Block]:
    """Check that no direction falls faster than minus the gradient."""
    zeros = np.zeros((len(material.X), 1))
    J, dw, _ = gradient_vectorized(zeros, 0.0, material.X, material.Y)
    size = float(np.linalg.norm(dw))
    if size < 1e-12:
        yield "At w = 0 the gradient by w is zero on this data: there is no steepest direction."
        return
    directions = np.random.default_rng(0).normal(size=(others, len(dw)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    both = np.vstack([-dw.T / size, directions]) @ material.X * length
    falls = [J - cost(z[None], material.Y) for z in both]
    yield (
        f"With all 12288 weights the gradient dw, (12288, 1), points where J grows fastest, and "
        f"minus dw where it falls fastest. To see it: from w = 0 a step of length {length:g} "
        f"along minus dw lowers the cost by {falls[0]:.2e}; of {others} random directions the best "
        f"lowers it by {max(falls[1:]):.2e}."
    )
