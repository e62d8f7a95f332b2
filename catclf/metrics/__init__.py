"""Figures from labels Y and scores Z or probabilities A; all arrays are (1, m).

Labels are int64, 0 or 1; scores and probabilities are float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array, cost, sigmoid

Labels = NDArray[np.int64]
Z_95 = 1.959963984540054
"""This is the 97.5% quantile of the normal distribution."""
CALIBRATION_BINS = 10
"""P(cat) is compared with what comes true in so many bins."""
ROUNDING = 1e-12
"""1 - P(cat) may be off by so much; the ends of the unsure band are no sharper."""
TEMPERATURES = (0.05, 100.0)
"""The best temperature is sought between these."""


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

    @property
    def percent(self) -> tuple[str, str]:
        """Give the share and its interval in words, as "70.00%" and "56.2% to 80.9%"."""
        low, high = self.interval
        return f"{self.value:.2%}", f"{low:.1%} to {high:.1%}"


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


def calibration_bin(A: Array, bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Give the bin of each P(cat), int64 of A's shape: equal widths, lower edges included."""
    return np.minimum((A * bins).astype(np.int64), bins - 1)


def calibration_error(Y: Labels, A: Array, bins: int = CALIBRATION_BINS) -> float:
    """Compute the expected calibration error: how far P(cat) lies from the share of cats.

    Σ over the bins of P(cat): (n_bin / m) · |mean P(cat) − share of cats|
    (Naeini, Cooper & Hauskrecht 2015), in [0, 1].
    """
    gaps = np.bincount(calibration_bin(A[0], bins), weights=A[0] - Y[0], minlength=bins)
    return float(np.abs(gaps).sum() / Y.size)


def fit_temperature(Y: Labels, Z: Array) -> float:
    """Find the T for which σ(Z/T) has the lowest log loss (Guo et al. 2017, "On calibration").

    Z are scores of examples that were not trained on; T is above 1 where they claim too much.
    """
    low, high = 1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]
    # In s = 1/T the log loss is convex with slope Σ (σ(sz) − y) z, which rises: halve the interval.
    for _ in range(100):
        s = 0.5 * (low + high)
        if np.sum((sigmoid(s * Z) - Y) * Z) > 0:
            high = s
        else:
            low = s
    return 1.0 / s


def best_threshold(Y: Labels, A: Array) -> float:
    """Find the threshold on probabilities with the highest balanced accuracy, ties nearest to 0.5.

    Y and A are (1, m), of examples that were not trained on, with both classes among them.
    """
    order = np.argsort(A[0], kind="stable")
    a, y = A[0, order], Y[0, order]
    cuts = np.flatnonzero(np.diff(a) > 0)  # between unequal neighbours
    thresholds = np.concatenate([[0.0], (a[cuts] + a[cuts + 1]) / 2, [1.0]])
    below = np.searchsorted(a, thresholds, side="right")  # how many lie at or below each
    cats_below = np.concatenate([[0], np.cumsum(y)])[below]
    n_1 = int(y.sum())
    balanced = (n_1 - cats_below) / n_1 + (below - cats_below) / (len(y) - n_1)
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def is_unsure(A: Array | float, unsure: float) -> NDArray[np.bool_]:
    """Tell where P(cat) lies from 1 - unsure to unsure, ends included: bool of A's shape."""
    within: NDArray[np.bool_] = np.minimum(A, 1 - A) >= min(unsure, 1 - unsure) - ROUNDING
    return within


class McNemar(NamedTuple):
    """Two models on the same images: how often only one of them is right.

    Attributes
    ----------
    only_a, only_b : int
        Images that model A alone, and model B alone, gets right.
    p : float
        The chance of so uneven a split, or a more uneven one, were both as often right.
    """

    only_a: int
    only_b: int
    p: float

    @property
    def p_shown(self) -> str:
        """Write p to two digits; it is 0 only where it is too small for a float."""
        return f"= {self.p:.2g}" if self.p else "< 1e-300"


def mcnemar(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> McNemar:
    """Compare two models, each right or wrong on each image: bool arrays of one shape.

    McNemar's test (1947, Psychometrika 12:153) in its exact, two-sided form: were both equally
    good, each image on which one alone is right would be a fair coin's toss, so that of n of them
    the rarer side has k or fewer with chance 2 Σ_{i≤k} C(n, i) / 2ⁿ, at most 1.
    """
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(~right_a & right_b))
    n = only_a + only_b
    ways = term = 1  # in whole numbers: exact for every n
    for i in range(min(only_a, only_b)):
        term = term * (n - i) // (i + 1)
        ways += term
    return McNemar(only_a, only_b, min(1.0, 2 * ways / 2**n))


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


def evaluate_scores(
    Y: Labels, Z: Array, threshold: float = 0.5, temperature: float = 1.0, unsure: float = 0.8
) -> Evaluation:
    """Compute every figure from labels and scores, m at least 1.

    The probability is σ(Z / temperature); an example is called a cat where it lies above
    `threshold`.
    """
    calibrated = Z / temperature
    A = sigmoid(calibrated)
    sure = ~is_unsure(A, unsure)
    predicted = A > threshold
    actual = Y == 1
    tp, fp = int(np.sum(predicted & actual)), int(np.sum(predicted & ~actual))
    fn, tn = int(np.sum(~predicted & actual)), int(np.sum(~predicted & ~actual))

    def ratio(part: float, whole: float) -> float | None:
        return part / whole if whole else None

    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return Evaluation(
        n=Y.size,
        accuracy=accuracy(Y, predicted),
        majority=majority(Y),
        balanced_accuracy=(
            None if recall is None or specificity is None else (recall + specificity) / 2
        ),
        precision=ratio(tp, tp + fp),
        recall=recall,
        f1=ratio(2 * tp, 2 * tp + fp + fn),
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
