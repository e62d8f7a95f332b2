"""Curves against scikit-learn's, cases worked by hand, and the figures they must agree with."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from catclf.logistic import sigmoid
from catclf.metrics import curves
from catclf.metrics.classification import (
    McNemar,
    calibration_error,
    evaluate_scores,
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
    return pairs.map(lambda found: (labels(*(y for y, _ in found)), row(*(z for _, z in found))))


few_scores = st.integers(-3, 3).map(float)  # many ties
any_scores = st.floats(-700, 700)
# Steps of 1/997, a prime: no probability but 0 and 1 comes near a bin's edge without being on it.
probabilities = st.sampled_from([0.0, 0.5, 1.0]) | st.integers(0, 997).map(lambda k: k / 997)


# Ranking: ROC, precision and recall


@given(examples(few_scores | any_scores))
def test_the_ranking_is_scikit_learns(case):
    Y, Z = case
    found = curves.ranking(Y, Z)
    if Y.min() == Y.max():
        assert found is None
        return
    fpr, tpr, scores = roc_curve(Y[0], Z[0], drop_intermediate=False)
    assert_allclose(found.false_positive_rate, fpr[1:], atol=1e-15)
    assert_allclose(found.recall, tpr[1:], atol=1e-15)
    assert_allclose(found.score, scores[1:])
    precision, recall, scores = precision_recall_curve(Y[0], Z[0])
    assert_allclose(found.precision[::-1], precision[:-1], atol=1e-15)
    assert_allclose(found.recall[::-1], recall[:-1], atol=1e-15)
    assert_allclose(found.score[::-1], scores)


@given(examples(few_scores))
def test_the_area_below_the_ranking_is_the_roc_auc(case):
    Y, Z = case
    found = curves.ranking(Y, Z)
    if found is not None:
        x, y = (np.append(0, v) for v in (found.false_positive_rate, found.recall))
        assert np.trapezoid(y, x) == pytest.approx(roc_auc(Y, Z), abs=1e-12)


def test_the_ranking_by_hand():
    # From the top: 3 (cat), then 1 (a cat and another) at once, -2 (other), -5 (cat).
    found = curves.ranking(labels(0, 1, 0, 1, 1), row(-2, 1, 1, 3, -5))
    assert found.score.tolist() == [3, 1, -2, -5]
    assert_allclose(found.recall, [1 / 3, 2 / 3, 2 / 3, 1])
    assert_allclose(found.false_positive_rate, [0, 1 / 2, 1, 1])
    assert_allclose(found.precision, [1, 2 / 3, 2 / 4, 3 / 5])


# Reliability


@given(examples(probabilities), st.integers(1, 20))
def test_the_reliability_is_scikit_learns(case, bins):
    Y, A = case
    # Its bins hold their upper edge, ours their lower: compare where no probability lies on one.
    A = np.clip(A, 1e-9, 1 - 1e-9) * (1 - 1e-7)
    found = curves.reliability(Y, A, bins)
    share, probability = calibration_curve(Y[0], A[0], n_bins=bins)
    assert_allclose(found.probability, probability)
    assert_allclose(found.share, share)


@given(examples(probabilities))
def test_the_reliability_adds_up_to_the_calibration_error(case):
    found = curves.reliability(*case)
    assert found.n.sum() == case[0].size
    gaps = found.n * np.abs(found.probability - found.share)
    assert gaps.sum() / found.n.sum() == pytest.approx(calibration_error(*case), abs=1e-12)


# Coverage


@given(examples(probabilities), st.sampled_from([0.3, 0.5, 0.8]))
def test_the_coverage_is_what_each_band_leaves(case, threshold):
    Y, A = case
    with np.errstate(divide="ignore"):
        Z = np.log(A) - np.log1p(-A)
    exact = sigmoid(Z)
    found = curves.coverage(Y, exact, threshold)
    assert (np.diff(found.coverage) > 0).all()
    for unsure, share, accuracy in zip(*found, strict=True):
        figures = evaluate_scores(Y, np.clip(Z, -50, 50), threshold, unsure=unsure)
        if 1 - unsure > 1e-9:  # a band as wide as a rounding error leaves nothing
            assert figures.coverage.value == pytest.approx(share)
            assert figures.sure_accuracy.value == pytest.approx(accuracy)


def test_the_coverage_by_hand():
    # Doubts 0.05 (right), 0.1 (wrong) and 0.1 (right), 0.4 (right), and one of 0.5.
    found = curves.coverage(labels(1, 0, 0, 1, 1), row(0.95, 0.9, 0.1, 0.6, 0.5))
    assert_allclose(found.unsure, [0.9, 0.6, 0.5])
    assert_allclose(found.coverage, [1 / 5, 3 / 5, 4 / 5])
    assert_allclose(found.accuracy, [1, 2 / 3, 3 / 4])
    assert len(curves.coverage(labels(1, 0), row(0.5, 0.5)).unsure) == 0


@pytest.mark.parametrize(("k", "kept"), [(0, 0), (1, 1), (500, 500), (501, 500), (30_000, 500)])
def test_thinned_keeps_both_ends(k, kept):
    found = curves.thinned(k)
    assert len(found) == kept == len(set(found))
    assert found[:1].tolist() == [0][:k]
    assert found[-1:].tolist() == [k - 1][:k]


# McNemar's test


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))
def test_mcnemar_is_the_binomial_test_on_the_discordant_images(only_a, only_b, both):
    right_a = np.repeat([True, False, True, False], [only_a, only_b, both, 3])
    right_b = np.repeat([False, True, True, False], [only_a, only_b, both, 3])
    found = mcnemar(right_a[None], right_b[None])
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found == McNemar(only_a, only_b, pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize(("only_a", "only_b"), [(5, 9), (0, 1), (300, 420), (9_000, 9_500)])
def test_mcnemar_is_exact_for_any_number_of_images(only_a, only_b):
    n, k = only_a + only_b, min(only_a, only_b)
    right_a = np.arange(n) < only_a
    tail = sum(comb(n, i) for i in range(k + 1)) if n < 1000 else None
    found = mcnemar(right_a, ~right_a)
    if tail is not None:
        assert found.p == float(Fraction(2 * tail, 2**n))
    assert found.p == pytest.approx(binomtest(only_a, n).pvalue, rel=1e-9)
    assert mcnemar(~right_a, right_a) == McNemar(only_b, only_a, found.p)


def test_mcnemar_beyond_what_a_float_holds_is_zero():
    right = np.ones(5000, dtype=bool)
    found = mcnemar(right, ~right)
    assert found == McNemar(5000, 0, 0.0)
    assert found.p_shown == "< 1e-300"
    assert McNemar(1, 15, 0.000518798828125).p_shown == "= 0.00052"
