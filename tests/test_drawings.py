"""Check the drawn data set: format, reproducibility and what can be learnt from it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from catclf.data.drawn.scenes import draw

TOLERANCE = 0.05  # how far above the majority the mean colour alone may come

Pictures = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture(scope="module")
def thousand() -> Pictures:
    return draw(1000, seed=0)


def cross_validate(
    features: NDArray[np.float64], labels: NDArray[np.int64], ridge: float, folds: int = 10
) -> float:
    """Return the cross-validated accuracy of a ridge least-squares classifier.

    The dual form is used where there are more features than examples.
    """
    hits = 0
    order = np.random.default_rng(0).permutation(len(labels))
    for test in np.array_split(order, folds):
        train = np.setdiff1d(order, test)
        centre = features[train].mean(axis=0)
        x, t = features[train] - centre, labels[train] - labels[train].mean()
        if x.shape[1] > x.shape[0]:
            weights = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), t)
        else:
            weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ t)
        scores = (features[test] - centre) @ weights + labels[train].mean()
        hits += int(np.sum((scores > 0.5) == (labels[test] == 1)))
    return hits / len(labels)


def colour_accuracy(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    return cross_validate(images.mean(axis=(1, 2)) / 255.0, labels, ridge=1e-9)


def digest(n: int, seed: int) -> str:
    images, labels = draw(n, seed)
    return hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_shape_and_dtype(n: int) -> None:
    images, labels = draw(n, seed=1)
    assert images.shape == (n, 64, 64, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (n,)
    assert labels.dtype == np.int64


def test_none() -> None:
    images, labels = draw(0)
    assert images.shape == (0, 64, 64, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (0,)
    assert labels.dtype == np.int64


def test_negative_count() -> None:
    with pytest.raises(ValueError, match="negative"):
        draw(-1)


@pytest.mark.parametrize("seed", [0, 5, -3])
def test_balanced_in_pairs(seed: int) -> None:
    labels = draw(41, seed)[1]
    assert set(labels[:40].reshape(20, 2).sum(axis=1)) == {1}
    assert abs(int(np.sum(labels == 1)) - int(np.sum(labels == 0))) == 1
    assert len(set(labels[:40:2])) == 2, "the order within pairs never changes"


def test_prefix_stable() -> None:
    short, long = draw(9, seed=4), draw(60, seed=4)
    np.testing.assert_array_equal(short[0], long[0][:9])
    np.testing.assert_array_equal(short[1], long[1][:9])


def test_same_in_another_process() -> None:
    code = (
        "import hashlib; from catclf.data.drawn.scenes import draw; x, y = draw(20, 7); "
        "print(hashlib.sha256(x.tobytes() + y.astype('<i8').tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[1]
    for hash_seed in ("1", "2"):
        other = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        )
        assert other.stdout.strip() == digest(20, 7)


def test_seeds_differ() -> None:
    assert digest(10, 0) == digest(10, 0)
    first, second = draw(10, 0)[0], draw(10, 1)[0]
    assert all(not np.array_equal(a, b) for a in first for b in second)


def test_all_distinct(thousand: Pictures) -> None:
    assert len({image.tobytes() for image in thousand[0]}) == 1000


def test_colour_gives_nothing_away(thousand: Pictures) -> None:
    assert abs(colour_accuracy(*thousand) - 0.5) <= TOLERANCE


def test_colour_check_catches_a_tint(thousand: Pictures) -> None:
    images, labels = thousand
    tinted = images.astype(np.int64)
    tinted[labels == 1, :, :, 0] += 12
    assert colour_accuracy(np.clip(tinted, 0, 255).astype(np.uint8), labels) > 0.5 + TOLERANCE


def test_pixels_can_be_learnt_from(thousand: Pictures) -> None:
    images, labels = thousand[0][:300], thousand[1][:300]
    accuracy = cross_validate(images.reshape(300, -1) / 255.0, labels, ridge=300.0, folds=5)
    assert 0.62 < accuracy < 0.95
