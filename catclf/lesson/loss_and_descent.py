"""Sections 1.3 and 2: loss and cost, and gradient descent, on one parameter and on all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.lesson.material import STEPS, Block, Material, Table
from catclf.logistic import Array, backward, cost, descend, forward, gradient, loss, sigmoid

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
    candidates; log is the natural logarithm, and the unit of the second the nat:

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
    After the {STEPS} steps it is {J:.6f} nats on this data: e⁻ᴶ = {np.exp(-J):.3f} is the
    probability that the true label gets, in the geometric mean.

    In 64-bit numbers σ(z) is exactly 1 from z = {full} on, and log(1 − ŷ) is −∞. catclf therefore
    computes the loss from z, as log(1 + eᶻ) − yz: the same, and
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
    J, log_loss = (np.array([mean(s * Z, Y) for s in t]) for mean in (squared_cost, cost))
    J, log_loss = J / J[120], log_loss / log_loss[120]
    # The chord whose middle the curve is furthest above.
    chords = [(i, j) for j in range(2, len(t)) for i in range(j % 2, j, 2)]
    left, right = max(chords, key=lambda ends: J[sum(ends) // 2] - (J[ends[0]] + J[ends[1]]) / 2)
    ends, middle = [left, right], (left + right) // 2
    curves = [
        Curve(t, J, "squared error"),
        Curve(t, log_loss, "log loss"),
        Curve(t[ends], J[ends], "a chord of the first", dashed=True),
    ]
    yield f"""
    Now the means over all m = {Y.size} images, along a straight line through parameter space: w =
    t·w* and b = t·b*, with w* and b* those that {STEPS} steps of descent reach. t goes from
    {-far:g}, on the far side of zero, to {far:g}; w* is at t = 1. Each curve is divided by its
    value at t = 0, so that both fit one picture.
    """
    title, top = "Squared error and log loss along a line", 1.3 * float(J.max())
    yield Chart(title, "t", "J(t) / J(0)", curves, y_range=(0.0, top))
    yield f"""
    A convex curve never rises above a chord, the straight line between two of its points. The
    squared error does: from t = {t[left]:.3g}, where J(t)/J(0) is {J[left]:.4f}, to t =
    {t[right]:.3g}, where it is {J[right]:.4f}. Half-way, at t = {t[middle]:.3g}, the chord is at
    {(J[left] + J[right]) / 2:.4f} and the curve at {J[middle]:.4f}.

    Nor is the second difference J(t−h) − 2J(t) + J(t+h) of a convex curve ever negative, but for
    rounding. At h = {t[1] - t[0]:.3g} the least of the squared error is {np.diff(J, 2).min():.1e},
    that of the log loss {np.diff(log_loss, 2).min():.1e}. The log loss is convex on every line and
    all data: its curvature is the mean of ŷ(1−ŷ)(dz/dt)², never negative.
    """


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
    ends = []
    for start in (0.0, 1.5):
        w = start
        for _ in range(5000):  # steps of α = 0.1; dJ/dw is the mean of (a − y) a(1 − a) x
            a = sigmoid(w * EIGHT_X)
            w -= 0.1 * float(np.mean((a - EIGHT_Y) * a * (1 - a) * EIGHT_X))
        ends.append(f"w = {w:.2f}, where J is {squared_cost(w * EIGHT_X, EIGHT_Y):.4f}")
    yield f"""
    Descent on it from w = 0 ends at {ends[0]}, and from w = 1.5 at {ends[1]}. Between the two
    minima it rises. The log loss is convex, and descent on it ends as low from any start.
    """


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


def one_feature(material: Material) -> tuple[int, Array, float]:
    """Choose a row of X: its number, u float64 (1, m), which is standardised, and a first w."""
    X, Y = material.X, material.Y
    deviation = np.maximum(X.std(axis=1), 1e-9)  # a row that does not vary correlates with nothing
    k = int(np.argmax(np.abs(np.dot(X, (Y - Y.mean()).T)[:, 0] / deviation)))
    u = (X[k : k + 1] - X[k].mean()) / deviation[k]
    return k, u, 2.0 if slope(0.0, u, Y) > 0 else -2.0  # beyond 0, seen from the minimum


def one_parameter(material: Material) -> Iterator[Block]:
    """Descend on a cost of one weight: by a good step, a short one and one too long."""
    X, Y, (k, u, start) = material.X, material.Y, one_feature(material)

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
    Where the slope dJ/dw is negative, w grows; where positive, it shrinks: always downhill, in
    shorter steps as the slope flattens. 200 steps reach w = {last:z.6f}, where the slope is
    {slope(last, u, Y):.1e}. The least second difference of the curve drawn is
    {np.diff(J, 2).min():.1e}, above zero: it is convex.

    The learning rate is ours to choose. At α = 0.02 the same 8 steps only reach w = {short:.4f}, J
    = {cost(short * u, Y):.6f}: too short. Too long a step leaps over the minimum and may end higher
    than before. At α = 64 the cost goes {", ".join(f"{cost(w * u, Y):.4f}" for w in long)}.
    """
    J_0, dw, _ = gradient(np.zeros((len(X), 1)), 0.0, X, Y)
    directions = np.vstack([-dw.T, np.random.default_rng(0).normal(size=(100, len(dw)))])
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= 1e-3 / np.maximum(lengths, 1e-12)  # at a minimum dw is zero
    falls = [J_0 - cost(z[None], Y) for z in np.dot(directions, X)]
    yield f"""
    With all 12288 weights the gradient dw, {dw.shape}, points where J grows fastest, and minus dw
    where it falls fastest. To see it: from w = 0 a step of length 0.001 along minus dw lowers the
    cost by {falls[0]:.2e}; of 100 random directions the best lowers it by {max(falls[1:]):.2e}. The
    rule for b is the same: b := b − α dJ/db.

    How large may α be? The slope of σ is nowhere above 1/4. So J bends upwards, in any direction,
    by no more than the mean of (‖x‖² + 1)/4, and with an α of up to one over that no step can raise
    the cost. For u alone that is 4; for all the pixels of this data, and b, α = 4 / mean(‖x‖² + 1)
    = {material.safe_step:.6g}. The course takes 0.005 for its photos, and 2,000 steps.
    """
