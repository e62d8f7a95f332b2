"""Temperatures and thresholds against searches that leave nothing out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.metrics.calibration import LIMITS, best_threshold, fit_temperature


def simulate(m, factor, seed=0):
    """Labels as likely as their scores say, and the scores times a factor."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.3, 2.0, (1, m))
    return (rng.random((1, m)) < 1 / (1 + np.exp(-z))).astype(np.int64), factor * z


def log_loss(Y, Z, T):
    z = np.where(Y == 1, Z, -Z) / T
    return float(np.mean(np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))))


def golden_section(f, low, high):
    """Find where a function with one valley is lowest (Kiefer 1953)."""
    share = (np.sqrt(5) - 1) / 2
    for _ in range(120):
        a, b = high - share * (high - low), low + share * (high - low)
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return (low + high) / 2


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_has_a_lower_log_loss(seed):
    Y, Z = simulate(60, [0.3, 1, 4][seed], seed)
    T = fit_temperature(Y, Z)
    lowest = log_loss(Y, Z, T)
    assert all(lowest <= log_loss(Y, Z, t) + 1e-15 for t in np.geomspace(*LIMITS, 4001))
    best = np.exp(golden_section(lambda t: log_loss(Y, Z, np.exp(t)), *np.log(LIMITS)))
    assert T == pytest.approx(best, rel=1e-6)
    assert log_loss(Y, Z, T * 1.01) > lowest < log_loss(Y, Z, T / 1.01)


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_separable_scores_end_at_the_lower_limit(size):
    Y = np.array([[0, 0, 1, 1]])
    Z = size * np.array([[-2.0, -1.0, 1.0, 3.0]])
    assert fit_temperature(Y, Z) == pytest.approx(LIMITS[0], rel=1e-6)


def test_scores_that_are_wrong_throughout_end_at_the_upper_limit():
    Y = np.array([[0, 0, 1, 1]])
    assert fit_temperature(1 - Y, Y * 4.0 - 2) == pytest.approx(LIMITS[1], rel=1e-6)


def balanced_accuracy(Y, A, threshold):
    called = A > threshold
    return (np.mean(called[Y == 1]) + np.mean(~called[Y == 0])) / 2


def cut_points(A):
    values = np.unique(A)
    return [0.0, *((values[1:] + values[:-1]) / 2), 1.0]


@st.composite
def labelled_probabilities(draw):
    """Probabilities on a coarse grid, so that many are equal, with both classes."""
    m = draw(st.integers(2, 30))
    labels = draw(st.lists(st.integers(0, 1), min_size=m, max_size=m))
    labels[:2] = 0, 1
    steps = draw(st.lists(st.integers(1, 19), min_size=m, max_size=m))
    return np.array([labels]), np.array([steps]) / 20


@settings(max_examples=150, deadline=None)
@given(labelled_probabilities())
def test_no_cut_point_has_a_higher_balanced_accuracy_and_ties_go_to_the_middle(example):
    Y, A = example
    found = best_threshold(Y, A)
    by_cut = {cut: balanced_accuracy(Y, A, cut) for cut in (*cut_points(A), *A[0], found)}
    highest = max(by_cut.values())
    assert by_cut[found] == pytest.approx(highest, abs=1e-12)
    tied = [abs(cut - 0.5) for cut in cut_points(A) if by_cut[cut] >= highest - 1e-12]
    assert abs(found - 0.5) == pytest.approx(min(tied), abs=1e-12)
