"""Pictures show what they say: planted weights, dictionaries, filters, heat maps."""

import colorsys

import numpy as np
import pytest
from PIL import Image

from catclf.data.images import load_photo
from catclf.errors import ImageError
from catclf.features.conv import Conv
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels
from catclf.model import Model
from catclf.pictures import explanation as pictures
from catclf.pictures.explanation import Explanation, explain

CLASSES = ("non-cat", "cat")
LEFT, TOP = pictures._LEFT, pictures._TOP


def model_on(feature_map, w):
    return Model(np.asarray(w, dtype=float).reshape(-1, 1), 0.3, CLASSES, feature_map)


def hues(picture, box):
    """Say of what hue the picture is in a box, on the whole: its mean colour's, in degrees."""
    r, g, b = np.asarray(picture.crop(box)).reshape(-1, 3).mean(axis=0) / 255
    hue, saturation, _ = colorsys.rgb_to_hsv(r, g, b)
    return "none" if saturation < 0.05 else "orange" if 10 < 360 * hue < 50 else "blue"


# Weights


def test_planted_weights_of_pixels_are_seen_where_they_are():
    w = np.zeros((64, 64, 3))
    w[8:16, 40:48, 0] = 1.0  # red speaks for a cat
    w[40:56, 4:20] = -0.5
    picture = pictures.weights(model_on(Pixels(), w), "m.npz")
    assert picture.size[0] == pictures.WIDTH
    assert picture.mode == "RGB"
    colours = np.asarray(picture)

    def at(left, y, x):
        return tuple(int(c) for c in colours[TOP + 9 * y + 4, left + 9 * x + 4])

    right = LEFT + pictures.PHOTO + pictures._GAP
    assert at(LEFT, 12, 44) == (255, 128, 128)
    assert at(LEFT, 48, 12) == (64, 64, 64)
    assert at(LEFT, 0, 0) == (128, 128, 128)
    assert at(right, 48, 12) == pictures.AGAINST  # −1.5 in all: the largest
    assert at(right, 12, 44) == pytest.approx((227, 148, 85), abs=1)  # +1: two thirds of the way
    assert at(right, 0, 0) == (255, 255, 255)
    # Every pixel is a square of 9 × 9.
    square = colours[TOP + 72 : TOP + 81, right + 360 : right + 369]
    assert (square == square[0, 0]).all()


def patches(dictionary, pool):
    whitening, offset = np.eye(108, dtype=np.float32), np.zeros(108, np.float32)
    return Patches(whitening, offset, dictionary.reshape(-1, 108).astype(np.float32), pool)


def test_a_dictionary_is_in_the_order_of_its_weights():
    dictionary = np.zeros((30, 6, 6, 3))
    for k in range(30):
        dictionary[k, k // 6, k % 6] = 1.0  # each word is a dot in a place of its own
    feature_map = patches(dictionary, 2)
    order = np.random.default_rng(0).permutation(30)
    w = np.empty((4, 30))
    w[:, order] = np.linspace(2, -1, 30) + np.array([[1.0], [-1.0], [0.5], [-0.5]])
    colours = np.asarray(pictures.weights(model_on(feature_map, w), "m.npz"))
    each, frame = 48, 5
    for i, k in enumerate(order):
        y, x = divmod(i, 25)
        top, left = TOP + each * y, LEFT + each * x
        dot = colours[top + frame + 6 * (k // 6) + 3, left + frame + 6 * (k % 6) + 3]
        assert tuple(dot) == (255, 255, 255)
        expected = pictures.tint(np.array([[w[:, k].sum()]]), 8.0)[0, 0]
        np.testing.assert_allclose(colours[top + 2, left + 20], expected, atol=1)


def test_of_a_large_dictionary_the_two_ends_are_shown():
    feature_map = patches(np.random.default_rng(0).normal(size=(450, 108)), 1)
    picture = pictures.weights(model_on(feature_map, np.linspace(-1, 1, 450)), "m.npz")
    last = (LEFT + 24 * 48, TOP + 15 * 48, LEFT + 24 * 48 + 46, TOP + 15 * 48 + 4)
    assert hues(picture, last) == "blue"
    assert hues(picture, (LEFT, TOP, LEFT + 46, TOP + 4)) == "orange"


def test_the_filters_of_the_first_layer_are_seen():
    feature_map = Conv()
    picture = pictures.weights(model_on(feature_map, np.zeros(256)), "m.npz")
    colours, filters = np.asarray(picture).astype(int), feature_map.first_layer
    assert filters.shape == (3, 3, 3, 24)
    for i in (0, 9, 23):
        part = filters[:, :, :, i]
        top, left = TOP + 168 * (i // 8), LEFT + 168 * (i % 8)
        seen = colours[top + 22 : top + 144 : 48, left + 22 : left + 144 : 48]
        np.testing.assert_allclose(seen, 127.5 + 127.5 * part / np.abs(part).max(), atol=1)


# Explanations


@pytest.mark.parametrize("size", [(2000, 900), (1, 1), (3, 900)])
def test_a_photo_keeps_its_proportions(tmp_path, size):
    Image.new("RGB", size, "teal").save(tmp_path / "photo.png")
    photo = load_photo(tmp_path / "photo.png", 576)
    width, height = size
    assert max(photo.shape[:2]) == 576
    assert photo.shape[1] / photo.shape[0] == pytest.approx(width / height, rel=0.2)
    assert (photo == (0, 128, 128)).all()
    nothing = Explanation(0.0, 0.0, np.zeros((8, 8)))
    picture = pictures.heat_map(photo, nothing, "cat", "cat", "photo.png")
    assert picture.width == pictures.WIDTH
    assert picture.getpixel((LEFT + 1, TOP)) == (0, 128, 128)


def test_a_photo_is_read_as_the_classifier_reads_it(tmp_path):
    """Turned as its EXIF says, on white, and refused for the same reasons."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    colours = np.zeros((40, 80, 3), dtype=np.uint8)
    colours[:, :40] = 255
    Image.fromarray(colours).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    photo = load_photo(tmp_path / "turned.jpg", 200)
    assert photo.shape == (200, 100, 3)
    assert photo[:80].mean() > 250
    assert photo[120:].mean() < 5
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (load_photo(tmp_path / "clear.png", 50) == 255).all()
    with pytest.raises(ImageError, match="a folder, where an image file was expected"):
        load_photo(tmp_path, 50)


@pytest.mark.parametrize("shape", [(576, 400, 3), (320, 576, 3)])
def test_what_speaks_for_a_cat_is_orange_where_it_is(shape):
    w = np.zeros((64, 64, 3))
    w[8:16, 40:48], w[48:56, 0:16] = 0.1, -0.1
    pixels = explain(model_on(Pixels(), w), np.full((64, 64, 3), 200, dtype=np.uint8))
    shares = np.zeros((8, 8))
    shares[1, 5], shares[6, :2] = 0.4, -0.2
    for explanation in (pixels, Explanation(0.2, 0.0, shares)):
        photo = np.full(shape, 200, dtype=np.uint8)
        picture = pictures.heat_map(photo, explanation, "cat", "cat", "a.jpg")
        left = LEFT + shape[1] + pictures._GAP
        for (x_0, y_0, x_1, y_1), hue in (
            ((5, 1, 6, 2), "orange"),
            ((0, 6, 2, 7), "blue"),
            ((0, 1, 5, 2), "none"),
            ((0, 2, 8, 6), "none"),
        ):
            xs, ys = np.array([x_0, x_1]) * shape[1] // 8, np.array([y_0, y_1]) * shape[0] // 8
            box = left + xs[0] + 2, TOP + ys[0] + 2, left + xs[1] - 2, TOP + ys[1] - 2
            assert hues(picture, box) == hue


@pytest.mark.parametrize(
    "words", ["猫.png", "\x1b[31m\nred", "\u202egnp", "\udcff", "", "x" * 5000]
)
def test_any_name_can_be_drawn(words):
    photo = np.zeros((60, 576, 3), dtype=np.uint8)
    explanation = Explanation(1.0, 0.5, np.full((8, 8), 0.5 / 64))
    model = Model(np.zeros((12288, 1)), 0.0, (words, words), Pixels())  # of nothing but zeros
    for picture in (
        pictures.heat_map(photo, explanation, words, words, words * 3),
        pictures.weights(model, words),
    ):
        assert picture.height < 1000
        margin = np.asarray(picture.crop((pictures.WIDTH - 8, 0, pictures.WIDTH, picture.height)))
        assert (margin == 255).all()  # nothing runs over the edge
