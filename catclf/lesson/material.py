"""What the lesson is told on, and the blocks that it is told in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from catclf.common.chart import Chart
from catclf.data.dataset import Dataset
from catclf.errors import DataError
from catclf.logistic import Array
from catclf.solvers.coordinates import Objective, choose
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples

MOST_IMAGES = 600
"""The lesson takes so many images at most, so that nothing takes long."""
STEPS = 500
"""The w and b that several sections use are reached in so many steps of descent."""


class Table:
    """A small table, given by its columns' names and formats; `rows` holds the cells as text."""

    def __init__(self, columns: Mapping[str, str], rows: Iterable[Iterable[object]]) -> None:
        self.header, formats = list(columns), columns.values()
        self.rows = [[format(v, f) for v, f in zip(row, formats, strict=True)] for row in rows]


Block = str | Table | Chart
"""Text is paragraphs, parted by empty lines; one that is indented, a formula, is not wrapped."""


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """Take a text apart into paragraphs, none indented any more; tell which are formulas."""
    for paragraph in textwrap.dedent(text).strip("\n").split("\n\n"):
        yield textwrap.dedent(paragraph), paragraph.startswith(" ")


class Material:
    """The examples that the lesson is told on: all of a data set, or 600 of a larger one.

    Attributes
    ----------
    images : uint8 (m, 64, 64, 3)
    X : float64 (12288, m)
        Pixels in [0, 1].
    Y : float64 (1, m)
        Labels, 0 or 1.
    dataset : Dataset
        What they were taken from; the m images are spread evenly over it.

    Raises
    ------
    DataError
        If no pixel goes with the label at all, as where one class has no images.
    """

    def __init__(self, dataset: Dataset) -> None:
        chosen = evenly_spread(len(dataset), MOST_IMAGES)
        self.dataset, self.images = dataset, dataset.images[chosen]
        self.X = self.images.reshape(len(self.images), -1).T / 255.0
        self.Y = dataset.Y[:, chosen].astype(np.float64)
        if np.abs(np.dot(self.X, (self.Y - self.Y.mean()).T)).max() < 1e-9:
            raise DataError(
                f"{dataset.name}: no pixel tells the two classes apart; the lesson needs images of "
                "a cat and of a non-cat that differ: try catclf lesson drawn"
            )

    @cached_property
    def few(self) -> tuple[Array, Array]:
        """Choose X and Y of 20 examples, spread evenly, for what is slow."""
        chosen = evenly_spread(self.Y.size, 20)
        return self.X[:, chosen], self.Y[:, chosen]

    @cached_property
    def safe_step(self) -> float:
        """Compute a step size with which no step raises the cost: α = 4 / mean(‖x‖² + 1).

        The slope of the sigmoid is 1/4 at most, so that the curvature of J in any direction is at
        most the mean of (‖x‖² + 1)/4; a step of up to one over that cannot overshoot.
        """
        return 4.0 / float(np.mean(np.sum(self.X * self.X, axis=0) + 1.0))

    @cached_property
    def learned(self) -> tuple[Array, float]:
        """Learn w float64 (12288, 1) and b by 500 steps of that size from zero.

        They are the steps of `catclf.logistic.descend`, taken in the faster way of `train`.
        """
        fit = gradient_descent(
            choose(Examples(self.X.T), STEPS),
            Objective(self.Y, sample_weights(self.Y.size)),
            learning_rate=self.safe_step,
            iterations=STEPS,
        )
        return fit.w, float(np.ravel(fit.b)[0])


def evenly_spread(m: int, most: int) -> NDArray[np.int64]:
    """Choose at most so many of m examples, spread evenly over them."""
    return np.rint(np.linspace(0, m - 1, min(m, most))).astype(np.int64)
