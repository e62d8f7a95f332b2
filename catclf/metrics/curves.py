"""Curves from labels Y and scores Z or probabilities A, (1, m): a point for each distinct score.

Images of one score cannot be told apart, so that no curve has a point between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array
from catclf.metrics import CALIBRATION_BINS, ROUNDING, Labels, calibration_bin


class Ranking(NamedTuple):
    """What calling the highest scores cats gives, for each distinct score; float64 (k,) each.

    Attributes
    ----------
    false_positive_rate, recall
        The shares of non-cats and of cats that are called cat; in [0, 1], rising.
    precision
        The share of cats among what is called cat, in [0, 1].
    score
        The lowest score called cat, falling.
    """

    false_positive_rate: Array
    recall: Array
    precision: Array
    score: Array


class Reliability(NamedTuple):
    """Bins of P(cat) of equal width, those that hold no image left out.

    Attributes
    ----------
    probability, share : float64 (k,)
        The mean P(cat) of each bin's images, and the share of cats among them; in [0, 1].
    n : int64 (k,)
        How many images each bin holds.
    """

    probability: Array
    share: Array
    n: NDArray[np.int64]


class Coverage(NamedTuple):
    """What is left to the model, and how well it does there; float64 (k,) each.

    Attributes
    ----------
    unsure
        The upper end of the band, from 1 - unsure to unsure, ends included; from near 1 to 0.5.
    coverage
        The share of images outside it; in (0, 1], rising.
    accuracy
        The share of those that come out right, in [0, 1].
    """

    unsure: Array
    coverage: Array
    accuracy: Array


def ranking(Y: Labels, Z: Array) -> Ranking | None:
    """Rank the images by score: the points of the ROC curve and of precision against recall.

    The ROC curve (Fawcett 2006, "An introduction to ROC analysis") is recall over the false
    positive rate, with a straight line to its first point from (0, 0). None if a class is missing.
    """
    n_1 = int(Y.sum())
    n_0 = Y.size - n_1
    if n_1 == 0 or n_0 == 0:
        return None
    order = np.argsort(-Z[0], kind="stable")
    z = Z[0, order]
    last = np.append(np.flatnonzero(np.diff(z)), Y.size - 1)  # of each run of equal scores
    tp = np.cumsum(Y[0, order])[last]
    called = last + 1
    return Ranking((called - tp) / n_0, tp / n_1, tp / called, z[last])


def reliability(Y: Labels, A: Array, bins: int = CALIBRATION_BINS) -> Reliability:
    """Compare probabilities with what comes true, bin by bin (DeGroot & Fienberg 1983).

    The bins are those of `catclf.metrics.calibration_error`.
    """
    bin_of = calibration_bin(A[0], bins)
    n = np.bincount(bin_of, minlength=bins)
    held = n > 0
    total, cats = (np.bincount(bin_of, weights=v, minlength=bins) for v in (A[0], Y[0]))
    return Reliability(total[held] / n[held], cats[held] / n[held], n[held])


def coverage(Y: Labels, A: Array, threshold: float = 0.5) -> Coverage:
    """Leave more and more of the images to the model, the surest first (Chow 1970).

    Each point's band is the narrowest that leaves out no more than its images; of P(cat) 0.5 no
    band leaves any.
    """
    doubt = np.minimum(A[0], 1 - A[0])
    order = np.argsort(doubt, kind="stable")
    d = doubt[order]
    last = np.append(np.flatnonzero(np.diff(d) > ROUNDING), Y.size - 1)
    right = np.cumsum((A[0, order] > threshold) == (Y[0, order] == 1))[last]
    unsure = np.append(1 - d[last[:-1] + 1], 0.5)
    sure = d[last] < 0.5 - ROUNDING
    return Coverage(*(v[sure] for v in (unsure, (last + 1) / Y.size, right / (last + 1))))
