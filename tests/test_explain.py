"""The shares of an image's regions: they add up, and they lie where they come from."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catclf.features.conv import Conv, cut_views, shipped
from catclf.features.patches import Patches
from catclf.features.pixels import Pixels
from catclf.logistic import forward
from catclf.model import Model
from catclf.pictures.explanation import Explanation

KINDS = ("pixels", "patches", "patches in cells", "conv")


@pytest.fixture(scope="module")
def maps(drawn):
    whole = Patches.fit(drawn.images[:8], dictionary=12)
    parts = whole.whitening, whole.offset, whole.dictionary
    return dict(zip(KINDS, (Pixels(), whole, Patches(*parts, 7), Conv()), strict=True))


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def flat(level):
    return np.full((64, 64, 3), level, dtype=np.uint8)


def half(level):
    """Noise on the left, one colour on the right: cells of patches without any code."""
    image = noise(5)
    image[:, 32:] = level
    return image


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(
    image=st.one_of(
        st.integers(0, 99).map(noise), st.integers(0, 255).map(flat), st.integers(0, 255).map(half)
    ),
    seed=st.integers(0, 999),
    size=st.sampled_from([1e-9, 1.0, 1e6]),
)
def test_the_shares_add_up_to_the_score(maps, kind, image, seed, size):
    feature_map = maps[kind]
    w = np.random.default_rng(seed).normal(0, size, (feature_map.n_x, 1))
    X = feature_map.transform(image[None])
    Z = forward(w, 0.0, X)[0, 0]
    shares = feature_map.shares(image, w)
    assert shares.dtype == np.float64
    assert np.isfinite(shares).all()
    # Relative to the terms: their sum may be as near to 0 as it likes.
    assert abs(shares.sum() - Z) <= 1e-9 * np.abs(w * X).sum() + 1e-300


def test_a_share_of_patches_is_its_part_of_the_codes_laid_on_its_pixels(maps, drawn):
    feature_map = maps["patches in cells"]
    image = drawn.images[1]
    w = np.random.default_rng(2).normal(size=(feature_map.n_x, 1))
    codes = feature_map._codes(image, feature_map._products()).astype(float)
    x = feature_map.transform(image[None])[:, 0].reshape(7, 7, 12)
    weights = w.reshape(7, 7, 12)
    cuts = [int(59 * i / 7) for i in range(8)]
    expected = np.zeros((64, 64))
    for i, j in np.ndindex(7, 7):
        cell = codes[cuts[i] : cuts[i + 1], cuts[j] : cuts[j + 1]]
        total = cell.sum(axis=(0, 1))
        terms = weights[i, j] * x[i, j] / np.where(total > 0, total, 1)
        for y, left in np.ndindex(cell.shape[:2]):
            top, start = cuts[i] + y, cuts[j] + left
            expected[top : top + 6, start : start + 6] += cell[y, left] @ terms / 36
    np.testing.assert_allclose(feature_map.shares(image, w), expected, rtol=1e-6, atol=1e-9)


def test_a_share_of_conv_is_the_class_activation_map(drawn):
    # Zhou et al. 2016: M(y, x) = Σ_k w_k f_k(y, x), here over the number of positions.
    feature_map, image = Conv(), drawn.images[2]
    w = np.random.default_rng(3).normal(size=(feature_map.n_x, 1))

    # The whole is seen in 8 × 8 positions, and so are the middle two thirds, each way.
    expected = np.zeros((24, 24))
    for f, start, side in zip(feature_map.last_map(cut_views(image)), (0, 4), (3, 2), strict=True):
        for y, x in np.ndindex(8, 8):
            top, left = start + side * y, start + side * x
            share = f[y, x].astype(float) @ w[:, 0] / (2 * 64)
            expected[top : top + side, left : left + side] += share / side**2
    shares = feature_map.shares(image, w)
    assert shares.shape == (24, 24)
    np.testing.assert_allclose(shares, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_regions_add_up_the_shares():
    for side in (1, 8):
        shares = np.arange((8 * side) ** 2, dtype=float).reshape(8 * side, -1) - 20
        explanation = Explanation(0.0, 0.0, shares)
        by_hand = shares.reshape(8, side, 8, side).sum(axis=(1, 3))
        np.testing.assert_allclose(explanation.regions, by_hand)
        assert explanation.positive + explanation.negative == pytest.approx(shares.sum())
        assert explanation.negative == -210


# At the command


def test_what_is_printed_adds_up_to_what_predict_says(catclf, tmp_path, class_folder):
    w = np.random.default_rng(7).normal(0, 0.001, (12288, 1))
    Model(w, 0.2, ("non-cat", "cat"), Pixels(), temperature=1.7).save(tmp_path / "pixels.npz")
    photo = sorted((class_folder / "Cats").iterdir())[0]
    for path in (tmp_path / "pixels.npz", shipped("photos.npz")):
        command = ("predict", "--model", path, photo)
        done = catclf(*command, "--json", "--explain", "why.png")
        assert [line for line in done.stderr.splitlines() if "not trust" not in line] == [
            f"model: {path}",
            "wrote why.png",
        ]
        answer = json.loads(done.stdout)
        why = answer.pop("explanation")
        assert answer == json.loads(catclf(*command, "--json").stdout)
        assert list(why) == ["log_odds", "bias", "positive", "negative", "regions"]
        logit = why["log_odds"]
        assert answer["probability"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-14)
        assert np.shape(why["regions"]) == (8, 8)
        assert why["bias"] + np.sum(why["regions"]) == pytest.approx(logit, abs=1e-6)

        text = catclf(*command, "--explain", "why.png").stdout
        line, _, table = text.partition("\n\n")
        assert line == catclf(*command).stdout.strip()
        rows = re.findall(r"^ (.+?) {2,}([-+][\d.]+) *$", table, re.MULTILINE)
        parts, (together, logit) = np.split(np.array([float(value) for _, value in rows]), [3])
        assert [name.strip() for name, _ in rows[::4]] == ["bias", "log-odds of cat"]
        assert together == logit == pytest.approx(parts.sum(), abs=2e-6)
        assert abs(float(re.search(r"difference +(\S+)", table)[1])) < 1e-9


def test_one_image_alone_can_be_explained_also_from_stdin(catclf, class_folder, tmp_path):
    photo = next((class_folder / "Cats").iterdir())
    before = photo.read_bytes()
    (tmp_path / "notes.txt").write_text("kept")
    for words, target, code, message in (
        ([class_folder], "why.png", 2, "one image"),
        ([photo, photo], "why.png", 2, "one image"),
        ([photo, "--csv"], "why.png", 2, "not with --csv"),
        ([photo], photo, 2, "would replace the photo itself"),
        (["none.jpg"], "why.png", 3, "error: none.jpg: no such file"),
        ([photo], "notes.txt", 3, "is no PNG"),
        ([photo], "notes.txt/why.png", 3, "not a folder"),
        ([photo], ".", 3, "not a regular file"),
    ):
        done = catclf("predict", *words, "--explain", target, code=code)
        assert message in " ".join(done.stderr.split())
        assert done.stdout == ""
    assert photo.read_bytes() == before
    assert (tmp_path / "notes.txt").read_text() == "kept"
    assert not (tmp_path / "why.png").exists()
    piped = catclf("predict", "-", "--explain", "a.png", "--json", input=before)
    named = catclf("predict", photo, "--explain", "b.png", "--json")
    a, b = json.loads(piped.stdout), json.loads(named.stdout)
    assert a["explanation"] == b["explanation"]
    with Image.open(tmp_path / "a.png") as first, Image.open(tmp_path / "b.png") as second:
        assert first.size == second.size
