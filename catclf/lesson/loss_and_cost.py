"""Section 1.3: squared error against log loss, the sign of the loss, and the cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.lesson.gradient_descent import cost_after, scores_of_descent
from catclf.lesson.material import STEPS, Block, Material, Table
from catclf.logistic import Array, cost, forward, loss, sigmoid

EIGHT_X = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 20.0]])
EIGHT_Y = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
"""Eight examples with one feature, on which the squared error has two minima."""


def squared_cost(Z: Array, Y: Array) -> float:
    """Average the squared error over the m examples: ½(ŷ − y)²."""
    return float(np.mean(0.5 * (sigmoid(Z) - Y) ** 2))


def losses(material: Material) -> Iterator[Block]:
    """Weigh squared error against log loss, mend the sign, and average to the cost."""
    yield """
    A loss says how far a prediction ŷ is from the truth y, for one example. The lesson has two
    candidates:

        squared error  ½(ŷ − y)²
        log loss  −(y log ŷ + (1−y) log(1−ŷ))

    For an example with y = 1, from a good prediction to a bad one:
    """
    z, y = np.array([4.0, 2.0, 0.0, -2.0, -4.0, -8.0]), np.ones(1)
    rows = np.transpose([sigmoid(z), 0.5 * (sigmoid(z) - y) ** 2, loss(z, y)])
    yield Table({"ŷ": ".4f", "squared error": ".4f", "log loss": ".4f"}, rows)
    yield """
    However wrong it is, the squared error stays below ½: far out it is flat, and descent has no
    slope to go down. The log loss goes on rising.
    """
    yield from _along_a_line(material)
    yield from _two_minima()
    yield from _sign_slip(material)
    J = cost(forward(*material.learned, material.X), material.Y)
    full = next(z for z in range(1, 100) if sigmoid(np.array(float(z))) == 1.0)
    yield f"""
    The cost is the mean of the losses of all m examples, a number:

        J(w, b) = (1/m) Σ L(ŷ⁽ⁱ⁾, y⁽ⁱ⁾)

    At w = 0, b = 0 it is log 2 = {cost_after(material, 0, 0):.6f} on any data, as every ŷ is ½.
    After the {STEPS} steps it is {J:.6f} on this data. A cost is measured in nats: e⁻ᴶ =
    {np.exp(-J):.3f} is the probability that the true label gets, in the geometric mean.

    In 64-bit numbers σ(z) is exactly 1 from z = {full} on, and log(1 − ŷ) infinite. catclf
    therefore computes the loss from z, as log(1 + eᶻ) − yz: the same, and
    {loss(np.array(800.0), np.array(0.0)):.0f} for z = 800, y = 0.
    """


def _along_a_line(material: Material) -> Iterator[Block]:
    """Show on the data that the mean squared error is not convex, and the mean log loss is."""
    Y, Z = material.Y, forward(*material.learned, material.X)
    # At t = 0 the squared error is 1/8. Were it convex, it would not fall below its tangent there,
    # which reaches ½ at a t below 0. But it never reaches ½: up to twice that t it must bend back.
    slope = float(np.mean((0.5 - Y) * Z)) / 4
    far = float(f"{-0.75 / slope:.1g}")
    t = np.linspace(-far, far, 241)
    J_square = np.array([squared_cost(s * Z, Y) for s in t])
    J_log = np.array([cost(s * Z, Y) for s in t])
    square, log_loss = J_square / J_square[120], J_log / J_log[120]
    left, right = worst_chord(J_square)
    ends, middle = [left, right], (left + right) // 2
    curves = [
        Curve(t, square, "squared error"),
        Curve(t, log_loss, "log loss"),
        Curve(t[ends], square[ends], "a chord of the first", dashed=True),
    ]
    yield f"""
    Now the means over all m = {Y.size} images, along a straight line through parameter space: w =
    t·w* and b = t·b*, with w* and b* those that {STEPS} steps of descent reach. t goes from
    {-far:g}, on the far side of zero, to {far:g}; w* is at t = 1. Each curve is divided by its
    value at t = 0, so that both fit one picture.
    """
    title, top = "Squared error and log loss along a line", 1.3 * float(square.max())
    yield Chart(title, "t", "J(t) / J(0)", curves, y_range=(0.0, top))
    yield f"""
    A convex curve never rises above a chord, the straight line between two of its points. The
    squared error does: from t = {t[left]:.3g}, where J is {J_square[left]:.4f}, to t =
    {t[right]:.3g}, where it is {J_square[right]:.4f}. Half-way, at t = {t[middle]:.3g}, the chord
    is at {(J_square[left] + J_square[right]) / 2:.4f} and the curve at {J_square[middle]:.4f}.

    Nor is the second difference J(t−h) − 2J(t) + J(t+h) of a convex curve ever negative, but for
    rounding. The least of the squared error is {np.diff(J_square, 2).min():.1e}, that of the log
    loss {np.diff(J_log, 2).min():.1e}. The log loss is convex on every line and all data: its
    curvature is the mean of ŷ(1−ŷ)(dz/dt)².
    """


def worst_chord(J: Array) -> tuple[int, int]:
    """Find the ends of the chord whose middle a curve is furthest above."""
    chords = [(i, j) for j in range(2, len(J)) for i in range(j % 2, j, 2)]
    return max(chords, key=lambda ends: J[sum(ends) // 2] - (J[ends[0]] + J[ends[1]]) / 2)


def _two_minima() -> Iterator[Block]:
    """Show squared error with two minima, on eight examples made for it."""
    line = np.linspace(-1.0, 4.0, 501)
    J = np.array([squared_cost(w * EIGHT_X, EIGHT_Y) for w in line])
    yield """
    "Many local optima", the lesson says. Eight examples with one feature and no b are enough for
    two: seven with x = 1, of which six have y = 1 and one y = 0, and one with x = 20 and y = 0. The
    squared error over the one weight w:
    """
    yield Chart("Squared error of eight examples by one weight", "w", "J(w)", [Curve(line, J)])
    ends = [descend_on_squared_error(start, EIGHT_X, EIGHT_Y) for start in (0.0, 1.5)]
    words = [f"w = {w:.2f}, where J is {squared_cost(w * EIGHT_X, EIGHT_Y):.4f}" for w in ends]
    yield f"""
    Descent on it from w = 0 ends at {words[0]}, and from w = 1.5 at {words[1]}. Between the two
    minima it rises. The log loss, being convex, has one minimum.
    """


def descend_on_squared_error(w: float, x: Array, Y: Array) -> float:
    """Take 5,000 steps of α = 0.1 by one weight: dJ/dw is the mean of (a − y) a(1 − a) x."""
    for _ in range(5000):
        a = sigmoid(w * x)
        w -= 0.1 * float(np.mean((a - Y) * a * (1 - a) * x))
    return w


def misprinted_cost(Z: Array, Y: Array) -> float:
    """Average the loss as the lesson prints it, −(y log ŷ) + (1−y) log(1−ŷ)."""
    return float(np.mean((2 * Y - 1) * loss(Z, Y)))  # for y = 0 the right loss, with a minus


def misprinted_error(A: Array, Y: Array) -> Array:
    """Differentiate that loss by z: dZ = −y(1 − a) − (1 − y)a."""
    return -Y * (1 - A) - (1 - Y) * A


def _sign_slip(material: Material) -> Iterator[Block]:
    """Show what the lesson's loss, with its lost bracket, does."""
    Y, step = material.Y, material.safe_step
    yield """
    Slip 1 of 3: the lesson prints its loss with a bracket closed too early,

        printed  −(y log ŷ) + (1−y) log(1−ŷ)
        right    −(y log ŷ + (1−y) log(1−ŷ))

    so that for y = 0 the sign is wrong. An example with y = 0, from good to bad:
    """
    a = np.array([0.1, 0.5, 0.9, 0.99, 0.9999])
    rows = np.transpose([a, np.log(1 - a), -np.log(1 - a)])
    yield Table({"ŷ": "g", "as printed": ".4f", "right": ".4f"}, rows)
    yield f"""
    As printed, the worse the prediction the lower the loss, without end. What descent makes of it
    in 10 steps on this data, at α = {step:.6g}, short enough for it (section 4 says why):
    """
    scores = scores_of_descent(material, misprinted_error, 10)
    yield Table(
        {"step": "", "J printed": "z.4f", "J right": ".4f", "ŷ > 0.5": ".0%"},
        [
            (i, misprinted_cost(scores[i], Y), cost(scores[i], Y), np.mean(scores[i] > 0))
            for i in (0, 1, 5, 10)
        ],
    )
    yield f"""
    The misprint rewards the answer 1, whatever the label. By the right loss 10 steps end at J =
    {cost_after(material, step, 10):.4f}.
    """
