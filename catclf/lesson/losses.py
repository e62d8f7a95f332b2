"""Section 1.3: squared error against log loss, the sign of the loss, and the cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.lesson.blocks import (
    STEPS,
    Block,
    Formula,
    Material,
    Table,
    change,
    descend,
    figure,
    places,
)
from catclf.logistic import Array, backward, cost, forward, loss, sigmoid

POINTS = 241
"""On a line through parameter space."""
EIGHT_X = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 20.0]])
EIGHT_Y = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
"""Eight examples with one feature, on which the squared error has two minima."""


def squared_cost(Z: Array, Y: Array) -> float:
    """Average the squared error over the m examples: ½(ŷ − y)²."""
    return float(np.mean(0.5 * (sigmoid(Z) - Y) ** 2))


def losses(material: Material) -> Iterator[Block]:
    """Weigh squared error against log loss, mend the sign, and average to the cost."""
    yield (
        "A loss says how far a prediction ŷ is from the truth y, for one example. The lesson has "
        "two candidates:"
    )
    yield Formula("squared error  ½(ŷ − y)²\nlog loss  −(y log ŷ + (1−y) log(1−ŷ))")
    yield "For an example with y = 1, from a good prediction to a bad one:"
    z = np.array([[4.0, 2.0, 0.0, -2.0, -4.0, -8.0]])
    one = np.ones_like(z)
    squares, logs, a = 0.5 * (sigmoid(z) - 1) ** 2, loss(z, one), sigmoid(z)
    yield Table(
        ["ŷ", "squared error", "log loss"],
        [[f"{a[0, i]:.4f}", f"{squares[0, i]:.4f}", f"{logs[0, i]:.4f}"] for i in range(z.size)],
    )
    yield (
        "However wrong it is, the squared error stays below ½: far out it is flat, and descent has "
        "no slope to go down. The log loss goes on rising."
    )
    yield from _along_a_line(material)
    yield from _two_minima()
    yield from _sign_slip(material)
    yield from _cost(material)


def _along_a_line(material: Material) -> Iterator[Block]:
    """Show on the data that the mean squared error is not convex, and the mean log loss is."""
    direction, words = _direction(material)
    length = _length(direction, material.Y)
    t = np.linspace(-length, length, POINTS)
    J_square, J_log = _costs_along(t, direction, material.Y)
    yield (
        f"Now the means over all m = {material.m} images, along a straight line through parameter "
        f"space: {words}. t goes from {-length:g} to {length:g}. Each curve is divided by its "
        "value at t = 0, so that both fit one picture; the top of it is a little above the "
        "squared error."
    )
    left, right, above = _worst_chord(J_square)
    middle = (left + right) // 2
    ends = np.array([left, right])
    relative = J_square / J_square[POINTS // 2]
    yield Chart(
        "Squared error and log loss along a line",
        "t",
        "J(t) / J(0)",
        [
            Curve(t, relative, "squared error"),
            Curve(t, J_log / J_log[POINTS // 2], "log loss"),
            Curve(t[ends], relative[ends], "a chord of the first", dashed=True),
        ],
        y_range=(0.0, 1.3 * float(relative.max())),
    )
    yield (
        "A convex curve never rises above a chord, the straight line between two of its points, "
        "and the second difference J(t−h) − 2J(t) + J(t+h) is never negative. At "
        f"{POINTS} values of t, the least second difference, and how far the curve rises above the "
        "middle of a chord, at most:"
    )
    _, _, log_above = _worst_chord(J_log)
    yield Table(
        ["", "squared error", "log loss"],
        [
            ["2nd difference", *(f"{np.diff(J, 2).min():.1e}" for J in (J_square, J_log))],
            ["above a chord", f"{above:.1e}", f"{log_above:.1e}"],
        ],
    )
    noise = _rounding(J_log)
    if above > _rounding(J_square):
        chord = (J_square[left] + J_square[right]) / 2
        yield (
            f"So the squared error is not convex. A chord that shows it: from t = {t[left]:.3g}, "
            f"where J is {J_square[left]:.4f}, to t = {t[right]:.3g}, where it is "
            f"{J_square[right]:.4f}. Half-way, at t = {t[middle]:.3g}, the chord is at {chord:.4f} "
            f"and the curve at {J_square[middle]:.4f}, above it."
        )
    else:
        yield "On this line no chord of the squared error shows it: these data are a special case."
    least = float(np.diff(J_log, 2).min())
    if log_above <= noise and least >= -noise:
        how = "" if log_above <= 0 <= least else f" (but for rounding, up to {noise:.0e})"
        yield (
            f"The log loss is convex here: no second difference is negative{how}, and no chord "
            "below the curve. For log loss that is so on every line and all data, as its curvature "
            "is the mean of ŷ(1−ŷ)(dz/dt)², which is never negative."
        )
    else:
        yield "The figures for the log loss are beyond rounding: a fault; please report it."
    slopes = [(J[1] - J[0]) / (t[1] - t[0]) for J in (J_square, J_log)]
    yield (
        f"At the left end the slope of the squared error is {slopes[0]:.1e}, that of the log loss "
        f"{slopes[1]:.1e}. Gradient descent goes by the slope."
    )


def _direction(material: Material) -> tuple[Array, str]:
    """Choose the line: the scores (1, m) at t = 1, and words for it."""
    w, b = material.learned
    Z = forward(w, b, material.X)
    if np.abs(Z).max() > 1e-6:
        return Z, (
            f"w = t·w* and b = t·b*, with w* and b* those that {STEPS} steps of descent reach. It "
            "comes from the far side of zero (left) through zero, and passes w* at t = 1"
        )
    return np.ones_like(Z), "w = 0 and b = t, as descent does not leave zero on this data"


def _length(direction: Array, Y: Array) -> float:
    """Find a round t up to which the squared error's curve bends both ways.

    It is convex at 0 and bounded, so it must bend back somewhere; the line is made longer until it
    shows. The first try makes the scores about 8.
    """
    wanted = 8.0 / float(np.sqrt(np.mean(direction**2)))
    length = float(f"{wanted:.1g}")
    for _ in range(20):
        J = _costs_along(np.linspace(-length, length, POINTS), direction, Y)[0]
        if _worst_chord(J)[2] > 1e-4:
            break
        length *= 2
    return length


def _costs_along(t: Array, direction: Array, Y: Array) -> tuple[Array, Array]:
    """Compute both costs where the scores are t times those of the direction."""
    both = [(squared_cost(s * direction, Y), cost(s * direction, Y)) for s in t]
    return np.array([J for J, _ in both]), np.array([J for _, J in both])


def _worst_chord(J: Array) -> tuple[int, int, float]:
    """Find the chord, between points of a grid, whose middle the curve is furthest above."""
    best = (0, len(J) - 1, -np.inf)
    for half in range(1, (len(J) + 1) // 2):
        above = J[half:-half] - (J[: -2 * half] + J[2 * half :]) / 2
        i = int(np.argmax(above))
        if above[i] > best[2]:
            best = (i, i + 2 * half, float(above[i]))
    return best


def _rounding(J: Array) -> float:
    """Bound what rounding alone can do to a second difference."""
    return 16 * float(np.finfo(np.float64).eps) * float(np.abs(J).max())


def _two_minima() -> Iterator[Block]:
    """Show squared error with two minima, on eight examples made for it."""
    w = np.linspace(-1.0, 4.0, 1001)
    J_square, J_log = _costs_along(w, EIGHT_X, EIGHT_Y)
    yield (
        '"Many local optima", the lesson says. Eight examples with one feature and no b are enough '
        "for two: seven with x = 1, of which six have y = 1 and one y = 0, and one with x = 20 and "
        "y = 0. The squared error over the one weight w:"
    )
    yield Chart("Squared error of eight examples, by one weight", "w", "J(w)", [Curve(w, J_square)])
    found = [
        f"{name} has {len(at)} {'minimum' if len(at) == 1 else 'minima'}, at w = "
        + " and ".join(f"{w[i]:.2f} (J = {J[i]:.4f})" for i in at)
        for name, J in (("Squared error", J_square), ("log loss", J_log))
        for at in [_minima(J)]
    ]
    end = squared_descent(0.0, EIGHT_X, EIGHT_Y, step=0.1, steps=2000)
    J_end = squared_cost(end * EIGHT_X, EIGHT_Y)
    yield (
        f"{'; '.join(found)}. Descent on the squared error from w = 0 ends at w = {end:.2f}, "
        f"J = {J_end:.4f}; the lowest on this curve is {J_square.min():.4f}."
    )


def squared_descent(w: float, x: Array, Y: Array, step: float, steps: int) -> float:
    """Descend on the squared error by one weight: dJ/dw is the mean of (a − y) a(1 − a) x."""
    for _ in range(steps):
        a = sigmoid(w * x)
        w -= step * float(np.mean((a - Y) * a * (1 - a) * x))
    return w


def _minima(J: Array) -> list[int]:
    falls = np.diff(J) < 0
    return [int(i) + 1 for i in np.flatnonzero(falls[:-1] & ~falls[1:])]


def misprinted_gradient(w: Array, b: float, X: Array, Y: Array) -> tuple[float, Array, float]:
    """Compute the cost and its gradient with the loss as the lesson prints it.

    −(y log a) + (1 − y) log(1 − a) has dZ = −y(1 − a) − (1 − y)a.
    """
    Z = forward(w, b, X)
    A = sigmoid(Z)
    dw, db = backward(X, -Y * (1 - A) - (1 - Y) * A)
    J = np.mean((2 * Y - 1) * loss(Z, Y))  # for y = 0 the right loss with the wrong sign
    return float(J), dw / X.shape[1], float(db[0, 0]) / X.shape[1]


def _sign_slip(material: Material) -> Iterator[Block]:
    """Show what the lesson's loss, with its lost bracket, does."""
    yield "Slip 1 of 3: the lesson prints its loss with a bracket closed too early,"
    yield Formula("printed  −(y log ŷ) + (1−y) log(1−ŷ)\nright    −(y log ŷ + (1−y) log(1−ŷ))")
    yield "so that for y = 0 the sign is wrong. An example with y = 0, from good to bad:"
    a = [0.1, 0.5, 0.9, 0.99, 0.9999]
    yield Table(
        ["ŷ", "as printed", "right"],
        [[f"{p:g}", f"{np.log(1 - p):.4f}", f"{-np.log(1 - p):.4f}"] for p in a],
    )
    yield (
        "As printed, the worse the prediction the lower the loss, without end. What descent makes "
        f"of it in 10 steps on this data, at α = {figure(material.safe_step)}, short enough for it "
        "(section 4 says why):"
    )
    w, b = np.zeros((len(material.X), 1)), 0.0
    printed = []
    for step in range(11):
        J, dw, db = misprinted_gradient(w, b, material.X, material.Y)
        Z = forward(w, b, material.X)
        if step in (0, 1, 5, 10):
            called = f"{np.mean(sigmoid(Z) > 0.5):.0%}"
            printed.append([str(step), places(J, 4), places(cost(Z, material.Y), 4), called])
        w, b = w - material.safe_step * dw, b - material.safe_step * db
    yield Table(["step", "J printed", "J right", "ŷ > 0.5"], printed)
    right = descend(material, material.safe_step, 10)
    zeros = int(material.m - material.Y.sum())
    both = [change(float(printed[0][k]), float(printed[-1][k])) for k in (1, 2)]
    yield (
        f"The cost as printed {both[0]}, the right one {both[1]}: "
        + (
            f"the misprint rewards the answer 1, and {printed[-1][3]} of the images get it. "
            if zeros
            else "no image here has y = 0, so on this data the misprint does not show. "
        )
        + f"By the right loss, in 10 steps, the cost {change(right[0], right[-1])}."
    )


def _cost(material: Material) -> Iterator[Block]:
    """Average the loss to the cost."""
    yield "The cost is the mean of the losses of all m examples, a number:"
    yield Formula("J(w, b) = (1/m) Σ L(ŷ⁽ⁱ⁾, y⁽ⁱ⁾)")
    zero = cost(np.zeros_like(material.Y), material.Y)
    J = cost(forward(*material.learned, material.X), material.Y)
    yield (
        f"At w = 0, b = 0 it is log 2 = {zero:.6f} on any data, as every ŷ is ½. After the {STEPS} "
        f"steps it is {J:.6f} on this data. A cost is measured in nats: e⁻ᴶ = {np.exp(-J):.3f} is "
        "the probability that the true label gets, in the geometric mean."
    )
    full = next(z for z in range(1, 100) if sigmoid(np.array(float(z))) == 1.0)
    yield (
        f"In 64-bit numbers σ(z) is exactly 1 from z = {full} on, and log(1 − ŷ) infinite. catclf "
        "therefore computes the loss from z, as log(1 + eᶻ) − yz: the same, and "
        f"{loss(np.array(800.0), np.array(0.0)):.0f} for z = 800, y = 0."
    )
