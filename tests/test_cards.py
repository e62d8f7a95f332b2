"""The data card's figures, and the contact sheet."""

import hashlib
import json

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf import load_dataset
from catclf.data.check import Card, make_card, mean_pictures
from catclf.data.dataset import CLASSES, Dataset
from catclf.data.drawn import draw
from catclf.pictures.png import (
    CAPTION,
    COLUMNS,
    GAP,
    HEADING,
    MARGIN,
    ROW,
    SIDE,
    contact_sheet,
    sample,
)


def test_the_card_of_a_folder(class_folder):
    paths = sorted(class_folder.rglob("*.png"))
    for path, size in zip(paths, [(10, 20), (300, 200), (100, 65)], strict=False):
        with Image.open(path) as image:
            changed = image.resize(size)
        changed.save(path)
    (class_folder / "dogs" / "copy.png").write_bytes(paths[-1].read_bytes())
    with Image.open(paths[-2]) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(class_folder / "dogs" / "turned.png")
    (class_folder / "dogs" / "bad.png").write_bytes(b"\x89PNG")
    data = load_dataset(class_folder)
    card = make_card(data, class_folder)
    assert (card.name, card.images, card.counts) == ("photos", 14, {"non-cat": 8, "cat": 6})
    assert (card.copies, card.near_copies, card.unreadable) == (1, 1, 1)
    assert card.originals == ((10, 20), (64, 64), (300, 200))
    assert card.size == sum(p.stat().st_size for p in class_folder.rglob("*.png")) - 4
    assert (card.file_sha256, card.sources, card.sha256) == (None, 0, data.sha256)


def test_the_card_of_drawings_and_their_mean_pictures(drawn):
    card = make_card(drawn, "drawn")
    assert (card.size, card.file_sha256, card.originals, card.sources) == (None, None, None, 0)
    means = mean_pictures(drawn)
    for y, name in enumerate(CLASSES):
        expected = drawn.images[drawn.Y[0] == y].astype(float).mean(axis=0)
        np.testing.assert_allclose(means[name], expected, atol=1e-9)
        np.testing.assert_allclose(card.colours[name], expected.mean(axis=(0, 1)), atol=0.051)
    cats = Dataset(drawn.images[:2], np.ones((1, 2), int), CLASSES, "d")
    assert list(mean_pictures(cats)) == ["cat"]
    assert contact_sheet(cats).height < contact_sheet(drawn).height / 2


def test_a_sample_is_spread_evenly():
    y = np.random.default_rng(3).permutation(1000) < 31 * 20
    data = Dataset(np.zeros((1000, 64, 64, 3), np.uint8), y[None].astype(int), CLASSES, "d")
    cats = np.flatnonzero(y)
    where = np.searchsorted(cats, sample(data, 1, 31))
    np.testing.assert_array_equal(where // 20, np.arange(31))
    np.testing.assert_array_equal(sample(data, 1, 1000), cats)


def test_the_sheet_shows_the_pixels_where_they_belong(drawn):
    image = np.asarray(contact_sheet(drawn))
    for y, top in ((1, HEADING), (0, HEADING + HEADING + 4 * ROW)):
        images = drawn.images[drawn.Y[0] == y]
        assert len(images) == 30  # all of them; and their mean comes first
        for k, expected in enumerate([np.rint(images.mean(axis=0)), *images]):
            left = MARGIN + k % COLUMNS * (SIDE + GAP)
            above = top + HEADING + k // COLUMNS * ROW
            tile = image[above : above + SIDE : 2, left : left + SIDE : 2]
            np.testing.assert_array_equal(tile, expected)


@pytest.mark.parametrize("caption", ["", "a.png", "W" * 5000, "猫\x1b[31m", "a" * 128])
def test_captions_stay_below_their_image_and_titles_are_shortened(caption):
    image = np.full((1, 64, 64, 3), 255, np.uint8)
    data = Dataset(image, np.ones((1, 1), int), CLASSES, caption * 20, paths=(caption,))
    sheet = np.asarray(contact_sheet(data))
    left, top = MARGIN + SIDE + GAP, HEADING + HEADING + SIDE
    ink = np.argwhere((sheet[top:, left - GAP // 2 :] < 200).any(axis=2))
    assert bool(len(ink)) == bool(caption)
    if caption:
        assert ink[:, 1].min() >= GAP // 2 - 1
        assert ink[:, 1].max() <= GAP // 2 + SIDE
        assert ink[:, 0].max() <= 2 * (CAPTION + 5)
    titles = np.argwhere((sheet < 200).any(axis=2))
    assert titles[:, 1].max() <= sheet.shape[1] - MARGIN


# The command


def test_info_prints_the_card_of_the_course(catclf, shared):
    path = shared / "datasets" / "course" / "train_catvnoncat.h5"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    out = catclf("data", "info", path).stdout
    for line in (
        " non-cat      137   65.6%   109, 108, 88",
        " cat           72   34.4%   116, 106, 95",
        "the same pixels again: 0",
        "near-identical to an earlier one, mirrored or not: 0",
        "bytes: 2,572,022",
        f"sha256 of the file: {digest}",
    ):
        assert line in out
    found = json.loads(catclf("data", "info", path, "--json").stdout)
    assert found["counts"] == {"non-cat": 137, "cat": 72}
    assert (found["size"], found["file_sha256"]) == (2_572_022, digest)
    assert set(found) == set(Card.__dataclass_fields__)


def test_info_writes_a_picture_and_replaces_nothing_else(catclf, class_folder, tmp_path):
    (class_folder / "dogs" / "bad.png").write_bytes(b"\x89PNG")
    done = catclf("data", "info", class_folder, "--picture", "sheet.png")
    assert done.stderr.endswith("wrote sheet.png\n")
    assert "originals: 64 × 64 the smallest" in done.stdout
    assert "files that cannot be read: 1\n" in done.stdout
    with Image.open(tmp_path / "sheet.png") as image:
        assert (image.format, image.width) == ("PNG", 1156)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["test_set_x"], file["test_set_y"] = draw(2, 2)[0], [1, 1]
        file["source"] = np.array([b"a", b"b"])
    out = catclf("data", "info", "a.h5", env={"COLUMNS": "40"}).stdout
    assert "different sources: 2\n" in out
    assert " -" in out
    (tmp_path / "mine").write_text("x")
    done = catclf("data", "info", class_folder, "--picture", "mine", code=3)
    assert (done.stdout, (tmp_path / "mine").read_text()) == ("", "x")
