"""Pictures show what they say: planted weights, heat maps, dictionaries, curves."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catclf.data.images import load_image, load_photo
from catclf.features.conv import Conv
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels
from catclf.model import Model
from catclf.pictures import heat_maps as pictures
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


# Tints


@settings(deadline=None)
@given(value=st.floats(-3, 3), ground=st.floats(0, 255))
def test_a_tint_goes_from_the_ground_to_its_colour(value, ground):
    colour = pictures.tint(np.array([[value]]), 2.0, np.array([[ground]]))[0, 0].astype(float)
    end = np.array(pictures.FOR if value > 0 else pictures.AGAINST)
    share = min(abs(value) / 2, 1)
    np.testing.assert_allclose(colour, share * end + (1 - share) * ground, atol=0.51)


def test_the_two_colours_differ_to_every_eye():
    # Seen by a dichromat, by the matrices of Viénot, Brettel & Mollon 1999 in linear RGB.
    def linear(colour):
        c = np.array(colour) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)

    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for seen in (protan, deutan):
        orange, blue = seen @ linear(pictures.FOR), seen @ linear(pictures.AGAINST)
        assert orange[0] > 1.15 * orange[2] * 5  # yellowish
        assert blue[2] > 1.5 * blue[0]  # bluish


def test_weights_of_nothing_but_zeros_are_drawn():
    assert (pictures.tint(np.zeros((2, 2)), 0.0) == 255).all()
    for feature_map in (Pixels(), Conv()):
        pictures.weights(model_on(feature_map, np.zeros(feature_map.n_x)), "m.npz")


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


def test_a_dictionary_is_in_the_order_of_its_weights(drawn):
    whole = Patches.fit(drawn.images, dictionary=30)
    dictionary = np.zeros((30, 6, 6, 3), dtype=np.float32)
    for k in range(30):
        dictionary[k, k // 6, k % 6] = 1.0  # each word is a dot in a place of its own
    feature_map = Patches(whole.whitening, whole.offset, dictionary.reshape(30, -1), 2)
    order = np.random.default_rng(0).permutation(30)
    w = np.empty((4, 30))
    w[:, order] = np.linspace(2, -1, 30) + np.array([[1.0], [-1.0], [0.5], [-0.5]])
    picture = pictures.weights(model_on(feature_map, w), "m.npz")
    colours = np.asarray(picture)
    each, frame = 48, 5
    for i, k in enumerate(order):
        y, x = divmod(i, 25)
        top, left = TOP + each * y, LEFT + each * x
        dot = colours[top + frame + 6 * (k // 6) + 3, left + frame + 6 * (k % 6) + 3]
        assert tuple(dot) == (255, 255, 255)
        weight = w[:, k].sum()
        expected = pictures.tint(np.array([[weight]]), 8.0)[0, 0]
        np.testing.assert_allclose(colours[top + 2, left + 20], expected, atol=1)


def test_of_a_large_dictionary_the_two_ends_are_shown(drawn):
    whole = Patches.fit(drawn.images, dictionary=450)
    model = model_on(whole, np.linspace(-1, 1, 450))
    few = Patches(whole.whitening, whole.offset, whole.dictionary[:400], 1)
    height = pictures.weights(model_on(few, np.ones(400)), "m.npz").height
    large = pictures.weights(model, "m.npz")
    assert large.height - height in (0, 40)  # the same 16 rows, a line of caption more at most
    last = (LEFT + 24 * 48, TOP + 15 * 48, LEFT + 24 * 48 + 46, TOP + 15 * 48 + 4)
    assert hues(large, last) == "blue"
    assert hues(large, (LEFT, TOP, LEFT + 46, TOP + 4)) == "orange"


def test_the_filters_of_the_first_layer_are_seen():
    feature_map = Conv()
    picture = pictures.weights(model_on(feature_map, np.zeros(256)), "m.npz")
    colours, filters = np.asarray(picture).astype(int), feature_map.first_layer
    assert filters.shape == (3, 3, 3, 24)
    for i in (0, 9, 23):
        y, x = divmod(i, 8)
        part = filters[:, :, :, i]
        for row in range(3):
            for column in range(3):
                top, left = TOP + 168 * y + 48 * row, LEFT + 168 * x + 48 * column
                expected = 127.5 + 127.5 * part[row, column] / np.abs(part).max()
                np.testing.assert_allclose(colours[top + 22, left + 22], expected, atol=1)


# Explanations


@pytest.mark.parametrize("size", [(300, 200), (90, 400), (64, 64), (2000, 900), (1, 1), (900, 3)])
def test_a_photo_keeps_its_proportions(tmp_path, size):
    Image.new("RGB", size, "teal").save(tmp_path / "photo.png")
    photo = load_photo(tmp_path / "photo.png", 576)
    width, height = size
    assert max(photo.shape[:2]) == 576
    assert photo.shape[1] / photo.shape[0] == pytest.approx(width / height, rel=0.2)
    assert (photo == (0, 128, 128)).all()
    found = Explanation(0.0, 0.0, np.zeros((8, 8)))
    picture = pictures.heat_map(photo, found, "cat", "cat", "photo.png")
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
    (tmp_path / "notes.txt").write_text("no image")
    for name in ("notes.txt", "none.png", "."):
        with pytest.raises(Exception, match=r".") as first:
            load_photo(tmp_path / name, 50)
        with pytest.raises(type(first.value), match=str(first.value)[:9]):
            load_image(tmp_path / name)


def heat(picture, photo, rows, columns, box):
    """Name the hue of the part of the heat map that shows these shares."""
    height, width = photo.shape[:2]
    left, top = LEFT + width + pictures._GAP, TOP
    y_0, y_1, x_0, x_1 = box
    return hues(
        picture,
        (
            left + width * x_0 // columns + 2,
            top + height * y_0 // rows + 2,
            left + width * x_1 // columns - 2,
            top + height * y_1 // rows - 2,
        ),
    )


def test_what_speaks_for_a_cat_is_orange_where_it_is(tmp_path):
    w = np.zeros((64, 64, 3))
    w[8:16, 40:48] = 0.1
    w[48:56, 0:16] = -0.1
    image = np.full((64, 64, 3), 200, dtype=np.uint8)
    found = explain(model_on(Pixels(), w), image)
    for shape in ((576, 400, 3), (320, 576, 3)):
        photo = np.full(shape, 200, dtype=np.uint8)
        picture = pictures.heat_map(photo, found, "cat", "cat", "a.jpg")
        assert heat(picture, photo, 64, 64, (8, 16, 40, 48)) == "orange"
        assert heat(picture, photo, 64, 64, (48, 56, 0, 16)) == "blue"
        assert heat(picture, photo, 64, 64, (8, 16, 0, 40)) == "none"
        assert heat(picture, photo, 64, 64, (16, 48, 0, 64)) == "none"


def test_the_parts_of_the_network_are_seen_where_they_are():
    shares = np.zeros((8, 8))
    shares[1, 6], shares[5, 2] = 0.4, -0.2
    photo = np.full((400, 576, 3), 90, dtype=np.uint8)
    picture = pictures.heat_map(photo, Explanation(0.2, 0.0, shares), "cat", "cat", "a.jpg")
    assert heat(picture, photo, 8, 8, (1, 2, 6, 7)) == "orange"
    assert heat(picture, photo, 8, 8, (5, 6, 2, 3)) == "blue"
    assert heat(picture, photo, 8, 8, (0, 8, 0, 2)) == "none"


HOSTILE = ["ünïcode 猫.png", "\x1b[31mred", "new\nline", "\u202egnp", "\udcff", "", "x" * 5000]


@pytest.mark.parametrize("words", HOSTILE)
def test_any_name_can_be_drawn(words):
    photo = np.zeros((60, 576, 3), dtype=np.uint8)
    found = Explanation(1.0, 0.5, np.full((8, 8), 0.5 / 64))
    picture = pictures.heat_map(photo, found, words, words, words * 3)
    assert picture.height < 1000
    margin = np.asarray(picture.crop((pictures.WIDTH - 8, 0, pictures.WIDTH, picture.height)))
    assert (margin == 255).all()  # nothing runs over the edge
    model = Model(np.ones((12288, 1)), 0.0, (words, words), Pixels())
    assert pictures.weights(model, words).height < 1000
    assert pictures.cost_curves({words: [(0, 1.0)]}, data=words, steps=words).size == (1440, 960)


# Curves


def ink(picture, colour):
    """The places (x, y) of a colour."""
    y, x = np.nonzero((np.asarray(picture) == colour).all(axis=2))
    return x, y


def test_a_cost_that_falls_by_equal_factors_is_a_straight_line():
    costs = [(100 * i, 0.7 * 0.8**i) for i in range(20)]
    picture = pictures.cost_curves({"": costs}, data="photos", steps="iteration")
    x, y = ink(picture, (0, 114, 178))  # the first of the colours
    slope, start = np.polyfit(x, y, 1)
    assert slope > 0  # downwards
    assert np.abs(y - (slope * x + start)).max() < 14  # the marks' size
    bent = [(100 * i, 0.7 - 0.03 * i) for i in range(20)]
    x, y = ink(pictures.cost_curves({"": bent}, data="photos", steps="iteration"), (0, 114, 178))
    assert np.abs(y - np.polyval(np.polyfit(x, y, 1), x)).max() > 30


def test_curves_are_overlaid_and_one_that_diverged_is_named_alone():
    curves = {
        "learning rate 0.1": [(0, 0.7), (100, 0.1)],
        "learning rate 0.01": [(0, 0.7), (100, 0.4)],
        "learning rate 9 (diverged)": [],
    }
    several = pictures.cost_curves(curves, data="photos", steps="iteration")
    names = list(curves)
    legend = 96 + 48 * 2  # below it are the axes
    for colour, drawn in (((0, 114, 178), True), ((213, 94, 0), True), ((0, 158, 115), False)):
        _, y = ink(several, colour)
        assert (y < legend).any()
        assert (y > legend + 20).any() == drawn
    del curves[names[2]]
    without = pictures.cost_curves(curves, data="photos", steps="iteration")
    assert not len(ink(without, (0, 158, 115))[0])


def test_a_cost_of_zero_does_not_stop_the_drawing():
    pictures.cost_curves({"": [(0, 0.7), (100, 0.0)]}, data="d", steps="iteration")
    pictures.cost_curves({"": [(0, 0.0)]}, data="d", steps="iteration")
