"""Why a model says what it says of one image: the share of every region in the log-odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catclf.features.regions import cells
from catclf.logistic import Array
from catclf.model import Model

REGIONS = 8
"""The coarse grid has so many regions, each way, at most."""


@dataclass(frozen=True)
class Explanation:
    """The log-odds of an image, and what they are the sum of; all in nats.

    Attributes
    ----------
    log_odds : float
        log(P / (1 − P)) of the model's class 1.
    bias : float
        What is there whatever the image shows.
    shares : float64 (height, width)
        Of each position, row by row from the top; above 0 it speaks for class 1. As many
        positions as the feature map has; together they cover the image.
    """

    log_odds: float
    bias: float
    shares: Array

    @property
    def positive(self) -> float:
        """The sum of the shares above 0."""
        return float(self.shares[self.shares > 0].sum())

    @property
    def negative(self) -> float:
        """The sum of the shares below 0."""
        return float(self.shares[self.shares < 0].sum())

    @property
    def total(self) -> float:
        """Bias and shares together: the log-odds, to rounding."""
        return self.bias + self.positive + self.negative

    @property
    def regions(self) -> Array:
        """The shares added up in a grid of 8 × 8 regions, as even as can be: float64 (8, 8).

        There are fewer where the features know fewer places.
        """
        height, width = self.shares.shape
        rows = np.add.reduceat(self.shares, cells(height, min(REGIONS, height)), axis=0)
        regions: Array = np.add.reduceat(rows, cells(width, min(REGIONS, width)), axis=1)
        return regions


def explain(model: Model, image: NDArray[np.uint8]) -> Explanation:
    """Divide the log-odds of an image uint8 (height, width, 3) among its regions and the bias.

    With temperature T they are Z/T = b/T + Σ shares/T, where the feature map's shares add up to
    wᵀx: the terms of the sum wᵀx, each given to where its feature comes from.

    Raises
    ------
    DataError
        If the image is of another type or shape.
    ModelError
        If its score is not finite, or its features know nothing of places.
    """
    T = model.temperature
    log_odds = float(model.scores(image[None])[0, 0]) / T
    return Explanation(log_odds, model.b / T, model.features.shares(image, model.w) / T)
