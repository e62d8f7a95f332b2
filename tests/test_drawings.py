"""The drawn data set: its pixels, and what can be learnt from it."""

import hashlib

import numpy as np
import pytest

from catclf.data.drawn import draw

TOLERANCE = 0.05  # how far above the majority the mean colour alone may come


@pytest.fixture(scope="module")
def thousand():
    return draw(1000, seed=0)


def cross_validate(features, labels, ridge, folds=10):
    """Give the cross-validated accuracy of a ridge least-squares classifier, in its dual form."""
    hits = 0
    order = np.random.default_rng(0).permutation(len(labels))
    for test in np.array_split(order, folds):
        train = np.setdiff1d(order, test)
        centre = features[train].mean(axis=0)
        x, t = features[train] - centre, labels[train] - labels[train].mean()
        weights = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), t)
        scores = (features[test] - centre) @ weights + labels[train].mean()
        hits += int(np.sum((scores > 0.5) == (labels[test] == 1)))
    return hits / len(labels)


def colour_accuracy(images, labels):
    return cross_validate(images.mean(axis=(1, 2)) / 255.0, labels, ridge=1e-6, folds=5)


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


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_a_shorter_set_is_the_start_of_a_longer_one(n, thousand):
    images, labels = draw(n, seed=0)
    assert (images.shape, images.dtype) == ((n, 64, 64, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((n,), np.int64)
    np.testing.assert_array_equal(images, thousand[0][:n])
    np.testing.assert_array_equal(labels, thousand[1][:n])


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="negative"):
        draw(-1)


def test_each_pair_has_one_cat_in_either_order(thousand):
    pairs = thousand[1].reshape(-1, 2)
    assert set(pairs.sum(axis=1)) == {1}
    assert set(pairs[:, 0]) == {0, 1}


def test_all_drawings_differ(thousand):
    images = [*thousand[0], *draw(10, seed=1)[0]]
    assert len({image.tobytes() for image in images}) == 1010


def test_colour_gives_nothing_away(thousand):
    images, labels = thousand
    assert abs(colour_accuracy(images, labels) - 0.5) <= TOLERANCE
    # It would be noticed: a tint of 12 of 255 is enough.
    tinted = images.astype(np.int64)
    tinted[labels == 1, :, :, 0] += 12
    assert colour_accuracy(np.clip(tinted, 0, 255).astype(np.uint8), labels) > 0.5 + TOLERANCE


def test_pixels_can_be_learnt_from(thousand):
    images, labels = thousand[0][:200], thousand[1][:200]
    accuracy = cross_validate(images.reshape(200, -1) / 255.0, labels, ridge=300.0, folds=5)
    assert 0.62 < accuracy < 0.95
