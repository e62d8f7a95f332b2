"""The drawn data set: its pixels, and what can be learnt from it."""

import hashlib

import numpy as np
import pytest

from catclf.data.drawn import draw


@pytest.fixture(scope="module")
def drawings():
    return draw(600, seed=0)


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        (0, "124c7218b48e2166d7b2a2158c2a9ea05b7ce3a76c705da555bfc5ed3e0d6718"),
        (-3, "7d63ed7ec9df093f072f19cc65b690fd4151a942be5ac1f6a92d3ffa016deb89"),
    ],
)
def test_the_drawings_are_the_same_to_the_pixel_everywhere(seed, digest):
    images, labels = draw(40, seed)
    content = images.tobytes() + labels.astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_shorter_set_is_the_start_of_a_longer_one(n, drawings):
    images, labels = draw(n, seed=0)
    assert (images.shape, images.dtype) == ((n, 64, 64, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((n,), np.int64)
    np.testing.assert_array_equal(images, drawings[0][:n])
    np.testing.assert_array_equal(labels, drawings[1][:n])


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="negative"):
        draw(-1)


def test_all_differ_and_each_pair_has_one_cat_in_either_order(drawings):
    pairs = drawings[1].reshape(-1, 2)
    assert set(pairs.sum(axis=1)) == {1}
    assert set(pairs[:, 0]) == {0, 1}
    images = [*drawings[0], *draw(10, seed=1)[0]]
    assert len({image.tobytes() for image in images}) == 610


def accuracy(features, labels, ridge):
    """Judge the second half by least squares (in its dual form) on the first."""
    half = len(labels) // 2
    x = features - features[:half].mean(axis=0)
    products = x[:half] @ x[:half].T + ridge * np.eye(half)
    weights = x[:half].T @ np.linalg.solve(products, labels[:half] - 0.5)
    return np.mean((x[half:] @ weights > 0) == labels[half:])


def test_shapes_tell_cats_and_colour_gives_nothing_away(drawings):
    images, labels = drawings
    assert 0.62 < accuracy(images.reshape(len(images), -1) / 255, labels, 300.0) < 0.95
    assert abs(accuracy(images.mean(axis=(1, 2)) / 255, labels, 1e-6) - 0.5) < 0.05
    tinted = images.astype(np.float64)
    tinted[labels == 1, :, :, 0] += 12
    assert accuracy(tinted.mean(axis=(1, 2)) / 255, labels, 1e-6) > 0.55  # it would be noticed
