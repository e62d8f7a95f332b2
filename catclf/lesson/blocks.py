"""What the lesson is told with, and what it is told on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catclf.common.chart import Chart
from catclf.data.dataset import Dataset
from catclf.lesson.gradients import gradient_loops, gradient_vectorized
from catclf.logistic import Array
from catclf.solvers.coordinates import choose
from catclf.solvers.descent import gradient_descent
from catclf.solvers.folds import sample_weights

MOST = 600
"""Images that the lesson takes at most, so that nothing takes long; as many as are drawn."""
SLICE = 20
"""Examples that the explicit loops run on."""
STEPS = 500
"""Of the descent whose w and b several sections use."""


@dataclass(frozen=True)
class Formula:
    """Lines that are shown as they are, 38 characters wide at most."""

    text: str


@dataclass(frozen=True)
class Table:
    """A small table; every cell is text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = str | Formula | Table | Chart


@dataclass(frozen=True)
class Material:
    """What the lesson is told on.

    Attributes
    ----------
    images : uint8 (m, 64, 64, 3)
    X : float64 (12288, m)
        Pixels in [0, 1].
    Y : float64 (1, m)
        Labels, 0 or 1.
    classes : (str, str)
    name : str
        Where the images come from.
    found : int
        How many images there were; the m here are spread evenly over them.
    """

    images: NDArray[np.uint8]
    X: Array
    Y: Array
    classes: tuple[str, str]
    name: str
    found: int

    @classmethod
    def of(cls, data: Dataset) -> Material:
        """Take a data set, or of a large one 600 images spread evenly over it."""
        chosen = _spread(len(data), MOST)
        images = data.images[chosen]
        X = images.reshape(len(images), -1).T / 255.0
        Y = data.Y[:, chosen].astype(np.float64)
        return cls(images, X, Y, data.classes, data.name, len(data))

    @property
    def m(self) -> int:
        return len(self.images)

    @cached_property
    def safe_step(self) -> float:
        """A step size with which no step raises the cost: α = 4 / mean(‖x‖² + 1).

        The slope of the sigmoid is 1/4 at most, so that the curvature of J in any direction is at
        most the mean of (‖x‖² + 1)/4; a step of up to one over that cannot overshoot.
        """
        return 4.0 / float(np.mean(np.sum(self.X * self.X, axis=0) + 1.0))

    @cached_property
    def learned(self) -> tuple[Array, float]:
        """The w (12288, 1) and b that 500 steps of that size reach from zero."""
        fit = gradient_descent(
            choose(self.X, STEPS),
            self.Y,
            sample_weights(self.m),
            learning_rate=self.safe_step,
            iterations=STEPS,
        )
        return fit.w, float(np.ravel(fit.b)[0])

    @cached_property
    def part(self) -> tuple[Array, Array]:
        """X and Y of a few examples, spread evenly, for what is slow."""
        chosen = _spread(self.m, SLICE)
        return self.X[:, chosen], self.Y[:, chosen]

    @cached_property
    def loop_seconds(self) -> float:
        """What one step by explicit loops takes for an example, timed on those few."""
        X, Y = self.part
        w, b = self.learned
        return seconds(lambda: gradient_loops(w, b, X, Y)) / Y.size


def _spread(m: int, most: int) -> NDArray[np.int64]:
    return np.rint(np.linspace(0, m - 1, min(m, most))).astype(np.int64)


Gradient = Callable[[Array, float, Array, Array], tuple[float, Array, float]]


def descend(
    material: Material, step: float, steps: int, gradient: Gradient = gradient_vectorized
) -> list[float]:
    """Give the cost, the right one, before each of so many steps from zero, and after the last."""
    w, b = np.zeros((len(material.X), 1)), 0.0
    costs = []
    for _ in range(steps):
        costs.append(gradient_vectorized(w, b, material.X, material.Y)[0])
        _, dw, db = gradient(w, b, material.X, material.Y)
        w, b = w - step * dw, b - step * db
    return [*costs, gradient_vectorized(w, b, material.X, material.Y)[0]]


def figure(value: float) -> str:
    """Write a number with as many digits as a learner can compare."""
    return f"{value:.6g}"


def places(value: float, n: int) -> str:
    """Write a number with n decimal places, and zero without a sign."""
    return f"{round(value, n) + 0.0:.{n}f}"


def change(before: float, after: float) -> str:
    """Say which way a cost went, to four decimal places."""
    if places(before, 4) == places(after, 4):
        return f"stays at {places(after, 4)}"
    verb = "rises" if after > before else "falls"
    return f"{verb} from {places(before, 4)} to {places(after, 4)}"


def seconds(work: Callable[[], object], most: float = 0.3) -> float:
    """Time some work: the shortest of many rounds, which other programs disturbed least."""
    times: list[float] = []
    while len(times) < 3 or (sum(times) < most and len(times) < 1000):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
