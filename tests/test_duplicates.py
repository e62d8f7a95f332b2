"""Near-identical images are one picture; different ones are not."""

import numpy as np
import pytest
from image_files import COPIES

from catclf.data import duplicates
from catclf.data.drawn import draw
from catclf.data.duplicates import signatures


def groups(*sets):
    return duplicates.group_duplicates(*map(signatures, sets))


@pytest.fixture(scope="module")
def drawings():
    return draw(100, seed=11)[0]


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_the_same_picture(drawings, copy):
    images = drawings[:30]
    copies = np.stack([COPIES[copy](image) for image in images])
    found = groups(np.concatenate([images, copies]))
    np.testing.assert_array_equal(found, np.tile(np.arange(30), 2))
    assert found.dtype == np.int64


def test_other_pictures_are_others_also_upside_down(drawings):
    np.testing.assert_array_equal(groups(drawings), np.arange(len(drawings)))
    assert len(set(groups(np.concatenate([drawings[:5], drawings[:5, ::-1]])))) == 10
    assert groups(drawings[:0]).tolist() == []


def test_images_of_one_colour_are_alike_only_to_themselves():
    colours = [(0, 0, 0), (255, 255, 255), (10, 11, 13), (10, 11, 13), (200, 3, 77), (7, 7, 7)]
    images = np.array(colours, np.uint8)[:, None, None].repeat(64, axis=1).repeat(64, axis=2)
    np.testing.assert_array_equal(groups(images), np.arange(6))


def patterned(degrees):
    """An image between two patterns at right angles: two correlate by the cosine."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(256, 3)) * [0, 1, 1] + [1, 0, 0])[0][:, 1:]
    turn = np.radians(degrees)
    grid = 128 + 600 * (np.cos(turn) * basis[:, 0] + np.sin(turn) * basis[:, 1])
    small = np.clip(np.rint(grid), 0, 255).astype(np.uint8).reshape(16, 16)
    return np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)[:, :, None].repeat(3, axis=2)


def test_likeness_is_carried_from_image_to_image():
    a, between, c = (patterned(degrees) for degrees in (0, 4.5, 9))  # 0.995 is 5.7 degrees
    assert groups(np.stack([a, c])).tolist() == [0, 1]
    assert groups(np.stack([a, between, c])).tolist() == [0, 0, 0]
    assert groups(np.stack([c, a, between])).tolist() == [0, 0, 0]


def test_the_limit_is_a_correlation_of_995_thousandths():
    for degrees in range(1, 12):
        together = groups(np.stack([patterned(0), patterned(degrees)])).tolist() == [0, 0]
        assert together == (np.cos(np.radians(degrees)) >= 0.995)


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_the_blocks_do_not_matter(drawings, monkeypatch, block):
    images = np.concatenate([drawings[:25], drawings[4:20, :, ::-1], drawings[:10]])
    expected = np.concatenate([np.arange(25), np.arange(4, 20), np.arange(10)])
    monkeypatch.setattr(duplicates, "BLOCK", block)
    np.testing.assert_array_equal(groups(images), expected)


def test_many_copies_of_one_picture_in_several_sets_are_one(drawings, monkeypatch):
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    rows = np.random.default_rng(1).integers(0, 9, 60)
    first = [int(np.flatnonzero(rows == row)[0]) for row in rows]
    images = drawings[rows]
    np.testing.assert_array_equal(groups(images[:31], images[31:]), first)
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 50)  # by fingerprints, then
    np.testing.assert_array_equal(groups(images[:31], images[31:]), first)
    assert signatures(images).thumbnails.shape == (0, 256)


def test_thumbnails_are_made_once_in_a_run(catclf, class_folder, monkeypatch):
    """What is told of duplicates, the folds and the model's memory all take the same ones."""
    made, real = [], duplicates._thumbnails

    def counted(images):
        made.append(len(images))
        return real(images)

    monkeypatch.setattr(duplicates, "_thumbnails", counted)
    catclf("train", class_folder, "--iterations", 2, "--cv", 2, "--out", "m.npz")
    assert made == [12]
