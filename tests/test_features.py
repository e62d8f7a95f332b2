"""Feature maps against their formulas, written out slowly, and what a model file keeps of them."""

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import catclf
from catclf import features, load_image, load_model
from catclf.common.npz import check_digest, read_npz, take_meta, write_npz
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw
from catclf.errors import ModelError
from catclf.features import conv, patches
from catclf.features.conv import Conv
from catclf.features.feature_map import FeatureMap
from catclf.features.patches import Patches
from catclf.model import Model
from catclf.pictures.explanation import explain
from catclf.solvers.coordinates import Gram, Objective
from catclf.solvers.examples import unstandardise
from catclf.solvers.newton import newton

MAPS = ["pixels", "patches", "conv"]


@pytest.fixture(scope="module")
def images():
    return draw(24, seed=21)[0]


@pytest.fixture(scope="module")
def data(images):
    labels = draw(24, seed=21)[1]
    return Dataset(images, labels.reshape(1, -1), ("non-cat", "cat"), "drawn")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    monkeypatch.setattr(patches, "SAMPLES", 4000)


def fitted(name, images):
    return features.MAPS[name].fit(images, **({"dictionary": 7} if name == "patches" else {}))


@pytest.mark.parametrize("name", MAPS)
def test_a_map_gives_columns_that_do_not_depend_on_one_another_to_the_bit(name, images):
    feature_map = fitted(name, images)
    assert feature_map.name == name
    X = feature_map.transform(images[:5])
    assert (X.dtype, X.shape) == (np.float32, (feature_map.n_x, 5))
    assert np.isfinite(X).all()
    assert feature_map.transform(images[:0]).shape == (feature_map.n_x, 0)
    for i in range(5):
        np.testing.assert_array_equal(feature_map.transform(images[i : i + 1])[:, 0], X[:, i])
    np.testing.assert_array_equal(feature_map.transform(images[1:4][::-1]), X[:, 3:0:-1])


@pytest.mark.parametrize("name", ["pixels", "conv"])
def test_a_map_is_nearly_symmetric_if_it_says_so(name, images):
    feature_map = fitted(name, images)
    X, mirrored = (feature_map.transform(x) for x in (images, images[:, :, ::-1]))
    mean = X.mean(axis=1, keepdims=True)
    alike = np.corrcoef((X - mean).ravel(), (mirrored - mean).ravel())[0, 1]
    assert (alike > 0.8) == feature_map.symmetric == (name == "conv")


@pytest.mark.parametrize("name", ["pixels", "patches"])
def test_training_standardises_the_features_if_the_map_says_so(name, data):
    settings = {"dictionary": 7} if name == "patches" else {}
    model = catclf.train(data, features=name, solver="newton", l2=0.1, cv=0, **settings)
    X = model.features.transform(data.images).astype(float)
    mean, scale = 0 * X[:, :1], 1 + 0 * X[:, :1]
    if name == "patches":
        mean, scale = X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True)
    gram = Gram((X - mean) / scale)
    fit = newton(gram, Objective(data.Y.astype(float), np.full((1, 24), 1 / 24), 0.1))
    w, _ = unstandardise(fit.w, fit.b, mean, scale)
    np.testing.assert_allclose(model.w, w, rtol=1e-4, atol=1e-6 * np.abs(w).max())


class Means(FeatureMap):
    """The mean of red, green and blue: all that a map of one's own must say."""

    name = "means"
    n_x = 3

    def transform(self, images):
        return images.mean(axis=(1, 2), dtype=np.float32).T

    def shares(self, image, w):
        return (image @ w)[:, :, 0] / (64 * 64)


def test_a_map_of_ones_own_is_a_class_and_a_line(catclf, class_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(features.MAPS, "means", Means)
    words = ("--features", "means", "--solver", "newton", "--l2", 0.1)
    catclf("train", class_folder, *words, "--out", "m.npz")
    photo = next(class_folder.glob("*/*"))
    catclf("predict", "-m", "m.npz", photo, "--explain", "why.png")
    catclf("eval", "-m", "m.npz", class_folder, "--report", "report")
    told = catclf("train", class_folder, "--features", "meens", code=2).stderr
    assert "features are pixels, patches, conv, means or onnx:PATH, not 'meens'" in told
    explanation = explain(load_model(tmp_path / "m.npz"), load_image(photo))
    np.testing.assert_allclose(explanation.total, explanation.log_odds, rtol=1e-4)


# patches


def codes_by_hand(feature_map, image):
    """The formula of the class's docstring, a patch at a time, in float64: (59, 59, K)."""
    W, mu, words = (array.astype(float) for array in feature_map.arrays().values())
    codes = np.empty((59, 59, len(words)))
    for y in range(59):
        for x in range(59):
            p = image[y : y + 6, x : x + 6].astype(float).ravel()
            normal = (p - p.sum() / 108) / np.sqrt(((p - p.sum() / 108) ** 2).sum() / 108 + 10)
            white = W @ (normal - mu)
            z = [np.sqrt(((white - word) ** 2).sum()) for word in words]
            codes[y, x] = [max(0.0, sum(z) / len(z) - one) for one in z]
    return codes


@pytest.mark.parametrize("cuts", [[0, 59], [0, 19, 39, 59]], ids=len)
def test_patches_equal_their_formula_patch_by_patch(images, cuts):
    feature_map = Patches.fit(images, dictionary=3, pool=len(cuts) - 1)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    several = np.stack([images[0], noise, np.full_like(noise, 128)])
    X = feature_map.transform(several)
    for j, image in enumerate(several):
        codes = codes_by_hand(feature_map, image)
        means = [
            codes[top:bottom, left:right].mean(axis=(0, 1))
            for top, bottom in pairwise(cuts)
            for left, right in pairwise(cuts)
        ]
        np.testing.assert_allclose(X[:, j], np.sqrt(np.ravel(means)), rtol=1e-4, atol=1e-5)


def test_the_same_images_give_the_same_dictionary_of_words_of_length_1(images):
    a, b, other = (Patches.fit(images, dictionary=6, seed=seed).arrays() for seed in (0, 0, 1))
    for key, array in a.items():
        np.testing.assert_array_equal(array, b[key])
    assert not np.array_equal(a["dictionary"], other["dictionary"])
    np.testing.assert_allclose(np.linalg.norm(a["dictionary"], axis=1), 1, rtol=1e-5)


def test_whitening_leaves_the_strong_components_with_a_variance_of_1(images, monkeypatch):
    monkeypatch.setattr(patches, "SAMPLES", 60_000)
    monkeypatch.setattr(patches, "ROUNDS", 0)
    feature_map = Patches.fit(images, dictionary=2)
    every = np.lib.stride_tricks.sliding_window_view(images, (1, 6, 6, 3))[:, ::2]
    every = every.reshape(-1, 108).astype(float)
    every -= every.mean(axis=1, keepdims=True)
    every /= np.sqrt((every**2).mean(axis=1, keepdims=True) + 10)
    covariance = np.cov(every.T)
    variances, axes = np.linalg.eigh(covariance)
    strong = axes[:, variances > 2]
    assert strong.shape[1] >= 5
    W = feature_map.whitening.astype(float)
    np.testing.assert_allclose(W, W.T, atol=1e-5)
    whitened = strong.T @ W @ covariance @ W @ strong
    np.testing.assert_allclose(whitened, np.eye(strong.shape[1]), atol=0.1)
    # And the weak ones are not blown up.
    assert np.diag(axes.T @ W @ covariance @ W @ axes).max() < 1.1


# model files


def model_of(feature_map):
    w = np.random.default_rng(0).normal(size=(feature_map.n_x, 1))
    return Model(w, 0.5, ("non-cat", "cat"), feature_map)


@pytest.mark.parametrize("name", MAPS)
def test_a_model_of_any_map_comes_back_with_the_same_predictions(name, images, tmp_path):
    model = model_of(fitted(name, images))
    model.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    np.testing.assert_array_equal(loaded.scores(images[:3]), model.scores(images[:3]))
    assert loaded.features.settings() == model.features.settings()


def rewritten(path, arrays=None, settings=None):
    """Write the model file again with other arrays, None leaving one out, or feature settings."""
    held = read_npz(path.read_bytes())
    meta = take_meta(held)
    check_digest(meta, held)
    meta["features"]["settings"].update(settings or {})
    held = {key: array for key, array in {**held, **(arrays or {})}.items() if array is not None}
    with open(path, "wb") as file:
        write_npz(file, meta, held)


@pytest.mark.parametrize(
    "change",
    [
        {"features_whitening": np.zeros((107, 108), np.float32)},
        {"features_offset": np.full(108, np.nan, np.float32)},
        {"features_dictionary": np.zeros((7, 107), np.float32)},
        {"features_dictionary": np.zeros((7, 108), np.float16)},
        {"features_dictionary": np.zeros((0, 108), np.float32)},
        {"features_dictionary": None},
        {"features_more": np.zeros(3, np.float32)},
        *({"pool": pool} for pool in (2, -1, "some", None)),
    ],
    ids=str,
)
def test_patches_that_do_not_fit_are_refused(images, tmp_path, change):
    path = tmp_path / "m.npz"
    model_of(Patches.fit(images, dictionary=7, pool=1)).save(path)
    rewritten(path)
    load_model(path)  # it is not the writing again that is refused
    rewritten(path, **{"settings" if "pool" in change else "arrays": change})
    with pytest.raises(ModelError, match="damaged") as caught:
        load_model(path)
    assert "SHA-256" not in str(caught.value)


# conv


def run_by_hand(meta, parts, image):
    """Run the network with each convolution, zeros around its map, as the sums it stands for."""
    a = image.astype(float) * meta["scale"] + meta["shift"]
    for layer in meta["layers"]:
        h, w, channels = a.shape
        if layer["op"] == "max_pool":
            a = a.reshape(h // 2, 2, w // 2, 2, channels).max(axis=(1, 3))
            continue
        weight, bias = (parts[f"{layer['name']}_{part}"] for part in ("weight", "bias"))
        k = len(weight)
        padded = np.pad(a, [(k // 2, k // 2), (k // 2, k // 2), (0, 0)])
        z = bias + (a if layer["residual"] else 0)
        for dy, dx in np.ndindex(k, k):
            z = z + padded[dy : dy + h, dx : dx + w] @ weight[dy, dx]
        a = np.maximum(z, 0)
    return a


def test_the_network_equals_its_sums_written_out(images):
    with np.load(conv.shipped(conv.FILE)) as npz:
        parts = dict(npz)
    meta = json.loads(str(parts.pop("meta")))
    image, network = np.array(Image.fromarray(images[0]).resize((96, 96))), Conv()
    views = conv.cut_views(image)
    whole, middle = (run_by_hand(meta, parts, view) for view in views)
    assert (whole > 0).any()
    last = network.last_map(views)
    np.testing.assert_allclose(last, [whole, middle], rtol=1e-3, atol=1e-3)
    x = (whole.mean(axis=(0, 1)) + middle.mean(axis=(0, 1))) / 2
    np.testing.assert_allclose(network.transform(image[None])[:, 0], x, rtol=1e-3, atol=1e-4)


def test_the_views_are_the_whole_and_the_middle_as_pillow_scales_them():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    whole, middle = conv.cut_views(image)
    scaled = Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(whole, scaled, atol=1.01)  # Pillow rounds twice
    np.testing.assert_array_equal(middle, image[16:80, 16:80])


def test_a_model_saves_no_network_and_refuses_another(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    model_of(Conv()).save(path)
    with np.load(path) as npz:
        assert set(npz) == {"w", "b", "costs", "seen", "meta"}
    load_model(path)
    monkeypatch.setattr(conv, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match="network of another catclf version"):
        load_model(path)
