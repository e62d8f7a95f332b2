"""Figures from labels Y and scores Z or probabilities A; all arrays are (1, m)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array, cost, sigmoid

Labels = NDArray[np.int64]
Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""
CALIBRATION_BINS = 10


class Proportion(NamedTuple):
    """So many right out of n, with the 95% interval of their share."""

    correct: int
    n: int

    @property
    def value(self) -> float:
        """The share itself, in [0, 1]."""
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95%, in [0, 1] (Wilson 1927, JASA 22:209)."""
        p, n, z2 = self.value, self.n, Z_95 * Z_95
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z_95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        # At 0 of n and n of n the ends are 0 and 1 exactly, but for rounding.
        low = 0.0 if self.correct == 0 else centre - half
        high = 1.0 if self.correct == n else centre + half
        return low, high


def accuracy(Y: Labels, predicted: NDArray[np.bool_]) -> Proportion:
    """Count the examples whose predicted class is the right one."""
    return Proportion(int(np.sum(predicted == (Y == 1))), Y.size)


def majority(Y: Labels) -> Proportion:
    """Count what always answering the commoner class would get right."""
    cats = int(np.sum(Y))
    return Proportion(max(cats, Y.size - cats), Y.size)


def roc_auc(Y: Labels, Z: Array) -> float | None:
    """Compute the chance that a random cat scores above a random non-cat, ties counting half.

    From the rank sum: (R − n₁(n₁+1)/2) / (n₁n₀) (Mann & Whitney 1947). None if a class is missing.
    """
    positive = Y[0] == 1
    n_1 = int(positive.sum())
    n_0 = Y.size - n_1
    if n_1 == 0 or n_0 == 0:
        return None
    _, where, counts = np.unique(Z[0], return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    ranks = (last_rank - (counts - 1) / 2)[where]  # equal scores share their mean rank
    return float((ranks[positive].sum() - n_1 * (n_1 + 1) / 2) / (n_1 * n_0))


def calibration_error(Y: Labels, A: Array, bins: int = CALIBRATION_BINS) -> float:
    """Compute the expected calibration error: how far P(cat) lies from the share of cats.

    Σ over equal-width bins of P(cat): (n_bin / m) · |mean P(cat) − share of cats|
    (Naeini, Cooper & Hauskrecht 2015), in [0, 1].
    """
    bin_of = np.minimum((A[0] * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=A[0] - Y[0], minlength=bins)
    return float(np.abs(gaps).sum() / Y.size)


@dataclass(frozen=True)
class Evaluation:
    """Every figure of one model on one data set; None where a figure is undefined.

    Attributes
    ----------
    confusion : ((TN, FP), (FN, TP))
        Rows are the true classes, columns the predicted ones, non-cat first.
    log_loss : float
        Nats, mean over n.
    ece, ece_uncalibrated : float
        Expected calibration error, with the model's temperature and without.
    unsure : float
        The band from 1 - unsure to unsure, ends included, in which the model counts as unsure.
    coverage : Proportion
        How many images lie outside it.
    sure_accuracy : Proportion or None
        How many of those come out right.
    """

    n: int
    accuracy: Proportion
    majority: Proportion
    balanced_accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    confusion: tuple[tuple[int, int], tuple[int, int]]
    roc_auc: float | None
    log_loss: float
    brier: float
    ece: float
    ece_uncalibrated: float
    unsure: float
    coverage: Proportion
    sure_accuracy: Proportion | None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def evaluate_scores(
    Y: Labels, Z: Array, threshold: float = 0.5, temperature: float = 1.0, unsure: float = 0.8
) -> Evaluation:
    """Compute every figure from labels int64 (1, m) and scores float64 (1, m), m at least 1.

    The probability is σ(Z / temperature); an example is called a cat where it lies above
    `threshold`.
    """
    calibrated = Z / temperature
    A = sigmoid(calibrated)
    sure = np.minimum(A, 1 - A) < min(unsure, 1 - unsure) - 1e-12
    predicted = A > threshold
    actual = Y == 1
    tp, fp = int(np.sum(predicted & actual)), int(np.sum(predicted & ~actual))
    fn, tn = int(np.sum(~predicted & actual)), int(np.sum(~predicted & ~actual))
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return Evaluation(
        n=Y.size,
        accuracy=accuracy(Y, predicted),
        majority=majority(Y),
        balanced_accuracy=(
            None if recall is None or specificity is None else (recall + specificity) / 2
        ),
        precision=_ratio(tp, tp + fp),
        recall=recall,
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        confusion=((tn, fp), (fn, tp)),
        roc_auc=roc_auc(Y, Z),
        log_loss=cost(calibrated, Y.astype(np.float64)),
        brier=float(np.mean((A - Y) ** 2)),
        ece=calibration_error(Y, A),
        ece_uncalibrated=calibration_error(Y, sigmoid(Z)),
        unsure=unsure,
        coverage=Proportion(int(sure.sum()), Y.size),
        sure_accuracy=accuracy(Y[sure], predicted[sure]) if sure.any() else None,
    )
