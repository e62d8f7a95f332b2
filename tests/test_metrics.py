"""Figures and curves against published values, scikit-learn, cases by hand and slow formulas."""

from fractions import Fraction
from math import comb, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from catclf.logistic import sigmoid
from catclf.metrics import (
    TEMPERATURES,
    McNemar,
    Proportion,
    best_threshold,
    calibration_error,
    curves,
    evaluate_scores,
    fit_temperature,
    is_unsure,
    mcnemar,
    roc_auc,
)


def labels(*values):
    return np.array([values], dtype=np.int64)


def row(*values):
    return np.array([values], dtype=np.float64)


def examples(scores):
    """Some labels, and as many scores."""
    pairs = st.lists(st.tuples(st.integers(0, 1), scores), min_size=1, max_size=40)
    return pairs.map(lambda pairs: (labels(*(y for y, _ in pairs)), row(*(z for _, z in pairs))))


few_scores = st.integers(-3, 3).map(float)  # many ties
# Steps of 1/997, a prime: no probability but 0 and 1 comes near a bin's edge without being on it.
probabilities = st.sampled_from([0.0, 0.5, 1.0]) | st.integers(0, 997).map(lambda k: k / 997)
counts = (st.integers(1, 60) | st.integers(1, 10**6)).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n))
)


# Proportions


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_equals_the_published_one(correct, n, low, high):
    assert Proportion(correct, n).interval == pytest.approx((low, high), abs=5e-5)


@given(counts)
def test_interval_ends_where_a_score_test_begins_to_reject(case):
    share, (correct, n) = Proportion(*case), case
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    assert (low == 0, high == 1) == (correct == 0, correct == n)
    for end in (low, high):
        if 0 < end < 1:
            reach = NormalDist().inv_cdf(0.975) * sqrt(end * (1 - end) / n)
            assert abs(end - share.value) == pytest.approx(reach, rel=1e-6)


# Ranking: ROC, its area, precision and recall


@given(examples(few_scores))
def test_roc_auc_counts_the_pairs_won(case):
    Y, Z = case
    if Y.min() == Y.max():
        assert roc_auc(Y, Z) is None
        return
    cats, others = Z[Y == 1], Z[Y == 0]
    won = sum(1.0 if c > o else 0.5 if c == o else 0.0 for c in cats for o in others)
    assert roc_auc(Y, Z) == pytest.approx(won / (len(cats) * len(others)), abs=1e-12)
    ranked = curves.ranking(Y, Z)
    x, y = (np.append(0, v) for v in (ranked.false_positive_rate, ranked.recall))
    assert np.trapezoid(y, x) == pytest.approx(roc_auc(Y, Z), abs=1e-12)


@given(examples(few_scores | st.floats(-700, 700)))
def test_the_ranking_is_scikit_learns(case):
    Y, Z = case
    ranked = curves.ranking(Y, Z)
    if Y.min() == Y.max():
        assert ranked is None
        return
    fpr, tpr, scores = roc_curve(Y[0], Z[0], drop_intermediate=False)
    assert_allclose(ranked.false_positive_rate, fpr[1:], atol=1e-15)
    assert_allclose(ranked.recall, tpr[1:], atol=1e-15)
    assert_allclose(ranked.score, scores[1:])
    precision, recall, scores = precision_recall_curve(Y[0], Z[0])
    assert_allclose(ranked.precision[::-1], precision[:-1], atol=1e-15)
    assert_allclose(ranked.recall[::-1], recall[:-1], atol=1e-15)
    assert_allclose(ranked.score[::-1], scores)


# Calibration


def slow_calibration_error(Y, A, bins):
    """Σ (n_bin / m) · |mean P − share of cats|, bin by bin, with exact edges."""
    total = Fraction(0)
    for k in range(bins):
        low, high = Fraction(k, bins), Fraction(k + 1, bins)
        gaps = [
            Fraction(float(a)) - int(y)
            for a, y in zip(A[0], Y[0], strict=True)
            if low <= Fraction(float(a)) < high or (a == 1 and k == bins - 1)
        ]
        total += abs(sum(gaps, Fraction(0))) / Y.size
    return float(total)


@given(examples(probabilities), st.integers(1, 20))
def test_calibration_error_equals_the_slow_sum_and_that_of_the_reliability(case, bins):
    Y, A = case
    error = calibration_error(Y, A, bins)
    assert error == pytest.approx(slow_calibration_error(Y, A, bins), abs=1e-12)
    bars = curves.reliability(Y, A, bins)
    assert bars.n.sum() == Y.size
    gaps = bars.n * np.abs(bars.probability - bars.share)
    assert gaps.sum() / Y.size == pytest.approx(error, abs=1e-12)


# Temperature and threshold


def simulate(m, factor, seed=0):
    """Labels as likely as their scores say, and the scores times a factor."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.3, 2.0, (1, m))
    return (rng.random((1, m)) < 1 / (1 + np.exp(-z))).astype(np.int64), factor * z


def log_loss(Y, Z, T):
    z = np.where(Y == 1, Z, -Z) / T
    return float(np.mean(np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))))


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_has_a_lower_log_loss(seed):
    Y, Z = simulate(60, [0.3, 1, 4][seed], seed)
    T = fit_temperature(Y, Z)
    lowest = log_loss(Y, Z, T)
    assert all(lowest <= log_loss(Y, Z, t) + 1e-15 for t in np.geomspace(*TEMPERATURES, 4001))
    assert log_loss(Y, Z, T * 1.001) > lowest < log_loss(Y, Z, T / 1.001)


@pytest.mark.parametrize(
    ("Y", "size", "limit"), [((0, 0, 1, 1), 1.0, 0), ((0, 0, 1, 1), 1e6, 0), ((1, 1, 0, 0), 1.0, 1)]
)
def test_scores_that_are_right_or_wrong_throughout_end_at_a_limit(Y, size, limit):
    T = fit_temperature(labels(*Y), size * row(-2, -1, 1, 3))
    assert T == pytest.approx(TEMPERATURES[limit], rel=1e-6)


def balanced_accuracy(Y, A, threshold):
    called = A > threshold
    return (np.mean(called[Y == 1]) + np.mean(~called[Y == 0])) / 2


coarse = st.integers(1, 19).map(lambda k: k / 20)  # many are equal


@settings(max_examples=150, deadline=None)
@given(examples(coarse).filter(lambda case: len(np.unique(case[0])) == 2))
def test_no_cut_point_has_a_higher_balanced_accuracy_and_ties_go_to_the_middle(example):
    Y, A = example
    found, values = best_threshold(Y, A), np.unique(A)
    cuts = [0.0, *((values[1:] + values[:-1]) / 2), 1.0]
    by_cut = {cut: balanced_accuracy(Y, A, cut) for cut in (*cuts, *A[0], found)}
    highest = max(by_cut.values())
    assert by_cut[found] == pytest.approx(highest, abs=1e-12)
    tied = [abs(cut - 0.5) for cut in cuts if by_cut[cut] >= highest - 1e-12]
    assert abs(found - 0.5) == pytest.approx(min(tied), abs=1e-12)


# Coverage


@pytest.mark.parametrize("unsure", [0.8, 0.2])
def test_the_unsure_band_includes_its_ends(unsure):
    A = row(0.0, 0.2 - 1e-9, 0.2, 1 - 0.8, 0.5, 0.8, 1 - 0.2, 0.8 + 1e-9, 1.0)
    expected = [False, False, True, True, True, True, True, False, False]
    assert is_unsure(A, unsure)[0].tolist() == expected
    assert [bool(is_unsure(p, unsure)) for p in A[0].tolist()] == expected


@given(examples(probabilities), st.sampled_from([0.3, 0.5, 0.8]))
@example((labels(1, 0), row(0.5, 0.5)), 0.5)
def test_the_coverage_is_what_each_band_leaves(case, threshold):
    Y, A = case
    with np.errstate(divide="ignore"):
        Z = np.log(A) - np.log1p(-A)
    covered = curves.coverage(Y, sigmoid(Z), threshold)
    assert (np.diff(covered.coverage) > 0).all()
    for unsure, share, right in zip(*covered, strict=True):
        figures = evaluate_scores(Y, np.clip(Z, -50, 50), threshold, unsure=unsure)
        if 1 - unsure > 1e-9:  # a band as wide as a rounding error leaves nothing
            assert figures.coverage.value == pytest.approx(share)
            assert figures.sure_accuracy.value == pytest.approx(right)


# McNemar's test


@given(st.integers(0, 60) | st.integers(300, 420), st.integers(0, 60) | st.just(320))
def test_mcnemar_is_the_exact_binomial_test_on_the_discordant_images(only_a, only_b):
    right_a = np.repeat([True, False, True, False], [only_a, only_b, 7, 3])
    right_b = np.repeat([False, True, True, False], [only_a, only_b, 7, 3])
    n, k = only_a + only_b, min(only_a, only_b)
    p = min(1.0, float(Fraction(2 * sum(comb(n, i) for i in range(k + 1)), 2**n)))
    assert mcnemar(right_a[None], right_b[None]) == McNemar(only_a, only_b, p)
    assert p == pytest.approx(binomtest(only_a, n).pvalue if n else 1.0, rel=1e-9)
    right = np.ones(5000, dtype=bool)  # beyond what a float holds
    assert mcnemar(right, ~right) == McNemar(5000, 0, 0.0)
    assert McNemar(5000, 0, 0.0).p_shown == "< 1e-300"


# All together

# Probabilities 3/4, 3/4, 5/6, 1/6 of the cats and 3/4, 3/4, 1/4, 1/4, 1/6, 1/2 of the others.
HAND_Y = labels(1, 1, 1, 1, 0, 0, 0, 0, 0, 0)
HAND_Z = row(*(log(3), log(3), log(5), -log(5)), *(log(3), log(3), -log(3), -log(3), -log(5), 0.0))


def test_evaluation_worked_by_hand():
    figures = evaluate_scores(HAND_Y, HAND_Z)
    assert figures.n == 10
    assert figures.confusion == ((4, 2), (1, 3))
    assert (figures.accuracy, figures.majority) == (Proportion(7, 10), Proportion(6, 10))
    assert Proportion(35, 50).percent == ("70.00%", "56.2% to 80.9%")
    assert figures.recall == pytest.approx(3 / 4)
    assert figures.precision == pytest.approx(3 / 5)
    assert figures.f1 == pytest.approx(2 / 3)
    assert figures.balanced_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert figures.roc_auc == pytest.approx((5 + 5 + 6 + 0.5) / 24)
    assert figures.brier == pytest.approx((2 / 16 + 26 / 36 + 20 / 16 + 1 / 36 + 1 / 4) / 10)
    chance = (3 / 4) ** 4 * (5 / 6) ** 2 * (1 / 6) * (1 / 4) ** 2 * (1 / 2)
    assert figures.log_loss == pytest.approx(-log(chance) / 10)
    assert figures.ece == pytest.approx((1 + 1 / 6 + 2 / 3 + 1 / 2 + 1 / 2) / 10)


@pytest.mark.parametrize("z", [0.0, 1.25, -3.5])
def test_a_probability_at_the_threshold_counts_as_non_cat(z):
    at = float(sigmoid(row(z))[0, 0])
    assert evaluate_scores(labels(1), row(z), at).confusion == ((0, 0), (1, 0))
    below = float(np.nextafter(at, 0))
    assert evaluate_scores(labels(1), row(z), below).confusion == ((0, 0), (0, 1))


@pytest.mark.parametrize(
    ("Y", "Z", "recall", "precision", "f1", "balanced_accuracy"),
    [
        ((1, 1), (2, -2), 0.5, 1.0, 2 / 3, None),
        ((0, 0), (2, -2), None, 0.0, 0.0, None),
        ((1, 0), (-1, -2), 0.0, None, 0.0, 0.5),
        ((0, 0), (-1, -2), None, None, None, None),
    ],
)
def test_undefined_figures_are_none(Y, Z, recall, precision, f1, balanced_accuracy):
    figures = evaluate_scores(labels(*Y), row(*Z))
    assert (figures.recall, figures.precision, figures.f1) == (recall, precision, f1)
    assert figures.balanced_accuracy == balanced_accuracy
    assert (figures.roc_auc is None) == (sum(Y) != 1)


@pytest.mark.parametrize("huge", [40.0, 1e4, 1e300])
def test_log_loss_of_huge_scores_is_finite(huge):
    Y = labels(1, 0, 1)
    assert evaluate_scores(Y, row(-huge, huge, huge)).log_loss == pytest.approx(huge * 2 / 3)
    assert evaluate_scores(Y, row(huge, -huge, huge)).log_loss == pytest.approx(0.0, abs=1e-15)
