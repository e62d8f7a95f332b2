"""Check every figure against published values, cases worked by hand and slow direct formulas."""

from fractions import Fraction
from math import inf, isfinite, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from catclf.logistic import sigmoid
from catclf.metrics.classification import (
    Z_95,
    Proportion,
    accuracy,
    calibration_error,
    evaluate_scores,
    majority,
    roc_auc,
)

Row = NDArray[np.float64]
Labels = NDArray[np.int64]


def row(*values: float) -> Row:
    return np.array([values], dtype=np.float64)


def labels(*values: int) -> Labels:
    return np.array([values], dtype=np.int64)


def examples(scores: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Labels, Row]]:
    """Some labels, and as many scores."""
    pairs = st.lists(st.tuples(st.integers(0, 1), scores), min_size=1, max_size=40)
    return pairs.map(lambda found: (labels(*(y for y, _ in found)), row(*(z for _, z in found))))


few_scores = st.integers(-3, 3).map(float)  # many ties
off_threshold = st.integers(-12, 11).map(lambda k: k / 2 + 0.25)
counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# Wilson's interval


def wald(correct: int, n: int) -> tuple[float, float]:
    p = correct / n
    half = Z_95 * sqrt(p * (1 - p) / n)
    return p - half, p + half


# Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
NEWCOMBE = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
}


@pytest.mark.parametrize(("case", "published"), NEWCOMBE.items())
def test_interval_equals_the_published_one(
    case: tuple[int, int], published: tuple[float, float]
) -> None:
    assert Proportion(*case).interval == pytest.approx(published, abs=5e-5)
    assert wald(*case) != pytest.approx(published, abs=5e-5)


def bisect(correct: int, n: int, inside: float, outside: float) -> float:
    """The share, from `inside` towards `outside`, at which a score test at 5% begins to reject."""
    z = NormalDist().inv_cdf(0.975)
    for _ in range(200):
        p = (inside + outside) / 2
        if abs(correct / n - p) <= z * sqrt(p * (1 - p) / n):
            inside = p
        else:
            outside = p
    return inside


@pytest.mark.parametrize(
    ("correct", "n"), [(35, 50), (33, 50), (1, 2), (1, 1000), (4817, 4818), (207, 209)]
)
def test_interval_holds_the_shares_that_a_score_test_accepts(correct: int, n: int) -> None:
    p = correct / n
    expected = bisect(correct, n, p, 0.0), bisect(correct, n, p, 1.0)
    assert Proportion(correct, n).interval == pytest.approx(expected, abs=1e-12)
    assert wald(correct, n) != pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 3, 50, 10**6])
def test_interval_of_none_and_of_all(n: int) -> None:
    z2 = NormalDist().inv_cdf(0.975) ** 2
    low, high = Proportion(0, n).interval
    assert low == 0.0
    assert high == pytest.approx(z2 / (n + z2), rel=1e-12)
    low, high = Proportion(n, n).interval
    assert low == pytest.approx(n / (n + z2), rel=1e-12)
    assert high == 1.0


@given(counts)
def test_interval_contains_the_value_and_lies_within_0_and_1(case: tuple[int, int]) -> None:
    share = Proportion(*case)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    assert low < high


@given(counts, st.integers(2, 50))
def test_interval_narrows_with_more_examples(case: tuple[int, int], times: int) -> None:
    few = Proportion(*case).interval
    many = Proportion(case[0] * times, case[1] * times).interval
    assert many[1] - many[0] < few[1] - few[0]


@given(counts)
def test_interval_of_the_wrong_ones_is_the_mirror_image(case: tuple[int, int]) -> None:
    low, high = Proportion(*case).interval
    mirrored = Proportion(case[1] - case[0], case[1]).interval
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


# Counts


def test_accuracy_and_majority_are_counts() -> None:
    Y = labels(1, 0, 0, 1, 0)
    predicted = np.array([[True, True, False, False, False]])
    assert accuracy(Y, predicted) == Proportion(3, 5)
    assert accuracy(Y, ~predicted) == Proportion(2, 5)
    assert Proportion(3, 5).value == 0.6
    assert majority(Y) == majority(1 - Y) == Proportion(3, 5)
    assert majority(labels(1, 1)) == majority(labels(0, 0)) == Proportion(2, 2)


# Area under the ROC curve


def pair_count(Y: Labels, Z: Row, tie: float = 0.5) -> float:
    """The share of (cat, non-cat) pairs in which the cat scores higher."""
    cats, others = Z[Y == 1], Z[Y == 0]
    won = sum(1.0 if c > o else tie if c == o else 0.0 for c in cats for o in others)
    return won / (len(cats) * len(others))


@given(examples(few_scores))
def test_roc_auc_counts_the_pairs_won(case: tuple[Labels, Row]) -> None:
    Y, Z = case
    if Y.min() == Y.max():
        assert roc_auc(Y, Z) is None
    else:
        assert roc_auc(Y, Z) == pytest.approx(pair_count(Y, Z), abs=1e-12)


def test_roc_auc_by_hand() -> None:
    Y, Z = labels(0, 1, 0, 1, 1), row(-2, 1, 1, 3, -5)
    # Of six pairs, 1 beats -2 and ties with 1, 3 beats both, -5 neither: 3.5.
    assert roc_auc(Y, Z) == pytest.approx(3.5 / 6)
    assert pair_count(Y, Z) == pytest.approx(3.5 / 6)
    assert pair_count(Y, Z, tie=0.0) == pytest.approx(3 / 6)
    assert roc_auc(Y, np.abs(Z)) == pytest.approx(4.5 / 6)  # another order


def test_roc_auc_of_perfect_reversed_and_equal_scores() -> None:
    Y = labels(0, 0, 1, 1, 1)
    assert roc_auc(Y, row(1, 2, 3, 4, 5)) == 1.0
    assert roc_auc(Y, row(5, 4, 3, 2, 1)) == 0.0
    assert roc_auc(Y, row(7, 7, 7, 7, 7)) == 0.5


@given(examples(few_scores))
def test_roc_auc_needs_only_the_order(case: tuple[Labels, Row]) -> None:
    Y, Z = case
    assert roc_auc(Y, Z) == roc_auc(Y, np.exp(Z) + Z**3)


@pytest.mark.parametrize("y", [0, 1])
def test_roc_auc_needs_both_classes(y: int) -> None:
    assert roc_auc(labels(y, y, y), row(1, 2, 3)) is None
    assert roc_auc(labels(y, 1 - y, y), row(1, 2, 3)) is not None


# Calibration


def slow_calibration_error(Y: Labels, A: Row, bins: int) -> float:
    """Σ (n_bin / m) · |mean P − share of cats|, bin by bin, with exact edges."""
    total = Fraction(0)
    for k in range(bins):
        low, high = Fraction(k, bins), Fraction(k + 1, bins)
        inside = [
            (Fraction(float(a)), int(y))
            for a, y in zip(A[0], Y[0], strict=True)
            if low <= Fraction(float(a)) < high or (a == 1 and k == bins - 1)
        ]
        if inside:
            n = len(inside)
            mean = sum((a for a, _ in inside), Fraction(0)) / n
            cats = Fraction(sum(y for _, y in inside), n)
            total += Fraction(n, Y.size) * abs(mean - cats)
    return float(total)


# Steps of 1/997, a prime: no probability but 0 and 1 comes near an edge without being on it.
probabilities = st.sampled_from([0.0, 1.0]) | st.integers(0, 997).map(lambda k: k / 997)


@given(examples(probabilities), st.integers(1, 20))
def test_calibration_error_equals_the_slow_sum(case: tuple[Labels, Row], bins: int) -> None:
    Y, A = case
    assert calibration_error(Y, A, bins) == pytest.approx(
        slow_calibration_error(Y, A, bins), abs=1e-12
    )


def test_calibration_error_uses_ten_bins_that_include_their_lower_edge() -> None:
    # In ten bins 0.31 and 0.25 are apart, 0.5 and 0.55 together, 0.95 and 1 together.
    Y, A = labels(1, 0, 1, 0, 1, 0), row(0.31, 0.25, 0.5, 0.55, 0.95, 1)
    assert calibration_error(Y, A) == pytest.approx((0.69 + 0.25 + 0.05 + 0.95) / 6)
    assert calibration_error(Y, A, bins=1) == pytest.approx(0.56 / 6)
    assert calibration_error(labels(1, 0), row(0.25, 0.2), bins=4) == pytest.approx(0.95 / 2)


def test_calibration_error_of_perfect_and_of_always_wrong() -> None:
    A = row(*[0.25] * 4, *[0.75] * 4, 0.0, 1.0)
    assert calibration_error(labels(1, 0, 0, 0, 1, 1, 1, 0, 0, 1), A) == 0.0
    assert calibration_error(labels(1, 1, 0, 0, 1, 1, 1, 0, 0, 1), A) == pytest.approx(0.1)
    assert calibration_error(labels(1, 0, 1), row(0, 1, 0)) == 1.0
    assert calibration_error(labels(1, 0, 1), row(1, 0, 1)) == 0.0


@given(examples(probabilities))
def test_calibration_error_lies_within_0_and_1(case: tuple[Labels, Row]) -> None:
    assert 0 <= calibration_error(*case) <= 1


# All together

# Probabilities 3/4, 3/4, 5/6, 1/6 of the cats and 3/4, 3/4, 1/4, 1/4, 1/6, 1/2 of the others.
HAND_Y = labels(1, 1, 1, 1, 0, 0, 0, 0, 0, 0)
HAND_Z = row(*(log(3), log(3), log(5), -log(5)), *(log(3), log(3), -log(3), -log(3), -log(5), 0.0))


def test_evaluation_worked_by_hand() -> None:
    found = evaluate_scores(HAND_Y, HAND_Z)
    assert found.n == 10
    assert found.confusion == ((4, 2), (1, 3))
    assert found.accuracy == Proportion(7, 10)
    assert found.majority == Proportion(6, 10)
    assert found.recall == pytest.approx(3 / 4)
    assert found.precision == pytest.approx(3 / 5)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found.roc_auc == pytest.approx((5 + 5 + 6 + 0.5) / 24)
    assert found.brier == pytest.approx((2 / 16 + 26 / 36 + 20 / 16 + 1 / 36 + 1 / 4) / 10)
    chance = (3 / 4) ** 4 * (5 / 6) ** 2 * (1 / 6) * (1 / 4) ** 2 * (1 / 2)
    assert found.log_loss == pytest.approx(-log(chance) / 10)
    assert found.ece == pytest.approx((1 + 1 / 6 + 2 / 3 + 1 / 2 + 1 / 2) / 10)


@pytest.mark.parametrize(
    ("threshold", "confusion"),
    [
        (0.0, ((0, 6), (0, 4))),
        (0.2, ((1, 5), (1, 3))),
        (0.4, ((3, 3), (1, 3))),
        (0.5, ((4, 2), (1, 3))),
        (0.8, ((6, 0), (3, 1))),
        (1.0, ((6, 0), (4, 0))),
    ],
)
def test_threshold_moves_the_confusion_and_nothing_else(
    threshold: float, confusion: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    found, usual = evaluate_scores(HAND_Y, HAND_Z, threshold), evaluate_scores(HAND_Y, HAND_Z)
    assert found.confusion == confusion
    assert found.accuracy == Proportion(confusion[0][0] + confusion[1][1], 10)
    for name in ("n", "majority", "roc_auc", "log_loss", "brier", "ece"):
        assert getattr(found, name) == getattr(usual, name)


@pytest.mark.parametrize("z", [0.0, 1.25, -3.5])
def test_a_probability_at_the_threshold_counts_as_non_cat(z: float) -> None:
    at = float(sigmoid(row(z))[0, 0])
    Y = labels(1)
    assert evaluate_scores(Y, row(z), at).confusion == ((0, 0), (1, 0))
    assert evaluate_scores(Y, row(z), float(np.nextafter(at, 0))).confusion == ((0, 0), (0, 1))


def test_undefined_figures_are_none() -> None:
    only_cats = evaluate_scores(labels(1, 1), row(2, -2))
    assert (only_cats.balanced_accuracy, only_cats.roc_auc) == (None, None)
    assert (only_cats.recall, only_cats.precision, only_cats.f1) == (0.5, 1.0, 2 / 3)

    only_others = evaluate_scores(labels(0, 0), row(2, -2))
    assert (only_others.balanced_accuracy, only_others.roc_auc) == (None, None)
    assert (only_others.recall, only_others.precision, only_others.f1) == (None, 0.0, 0.0)

    none_called = evaluate_scores(labels(1, 0), row(-1, -2))
    assert none_called.precision is None
    assert (none_called.recall, none_called.f1, none_called.balanced_accuracy) == (0.0, 0.0, 0.5)

    nothing_there = evaluate_scores(labels(0, 0), row(-1, -2))
    assert (nothing_there.recall, nothing_there.precision, nothing_there.f1) == (None, None, None)


@pytest.mark.parametrize("huge", [40.0, 1e4, 1e300])
def test_log_loss_of_huge_scores_is_finite(huge: float) -> None:
    Y = labels(1, 0, 1)
    assert evaluate_scores(Y, row(-huge, huge, huge)).log_loss == pytest.approx(huge * 2 / 3)
    assert evaluate_scores(Y, row(huge, -huge, huge)).log_loss == pytest.approx(0.0, abs=1e-15)
    with np.errstate(divide="ignore"):  # what the logarithm of 1 − P(cat) would give
        by_logarithm = float(-np.log(1 - sigmoid(row(huge)))[0, 0])
    assert by_logarithm == inf


@given(examples(st.floats(-1e6, 1e6)), st.floats(0, 1))
def test_figures_agree_with_each_other(case: tuple[Labels, Row], threshold: float) -> None:
    Y, Z = case
    found = evaluate_scores(Y, Z, threshold)
    (tn, fp), (fn, tp) = found.confusion
    assert found.n == tn + fp + fn + tp == Y.size
    assert tp + fn == Y.sum()
    assert tp + fp == (sigmoid(Z) > threshold).sum()
    assert found.accuracy == Proportion(tn + tp, found.n)
    assert found.majority == Proportion(max(tn + fp, fn + tp), found.n)
    assert found.roc_auc == roc_auc(Y, Z)
    assert found.ece == calibration_error(Y, sigmoid(Z), bins=10)
    assert 0 <= found.brier <= 1
    assert isfinite(found.log_loss)
    assert found.log_loss >= 0


@settings(max_examples=200)
@given(examples(off_threshold))
def test_swapping_the_classes_mirrors_everything(case: tuple[Labels, Row]) -> None:
    Y, Z = case
    found, mirror = evaluate_scores(Y, Z), evaluate_scores(1 - Y, -Z)
    (tn, fp), (fn, tp) = found.confusion
    assert mirror.confusion == ((tp, fn), (fp, tn))
    assert mirror.accuracy == found.accuracy
    assert mirror.majority == found.majority
    assert mirror.recall == (tn / (tn + fp) if tn + fp else None)
    assert mirror.precision == (tn / (tn + fn) if tn + fn else None)
    assert mirror.balanced_accuracy == pytest.approx(found.balanced_accuracy)
    assert mirror.roc_auc == pytest.approx(found.roc_auc)
    for name in ("log_loss", "brier", "ece"):
        assert getattr(mirror, name) == pytest.approx(getattr(found, name), abs=1e-12)


def test_swapping_the_labels_alone_is_no_mirror() -> None:
    found, half = evaluate_scores(HAND_Y, HAND_Z), evaluate_scores(1 - HAND_Y, HAND_Z)
    assert half.accuracy == Proportion(3, 10)
    assert half.roc_auc == pytest.approx(1 - (found.roc_auc or 0))
    for name in ("log_loss", "brier", "ece"):
        assert getattr(half, name) != pytest.approx(getattr(found, name), abs=1e-3)
