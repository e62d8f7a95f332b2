"""Models on the features of a network: training, prediction, the cache, the options."""

import hashlib
import json
import os
import shutil
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf import load_dataset, load_model, predict, train, tune
from catclf.common.blocks import LazyArray
from catclf.common.threads import ordered
from catclf.data.dataset import join
from catclf.data.drawn import draw
from catclf.data.images import load_image
from catclf.errors import DataError, ModelError
from catclf.evaluation import evaluate_dataset
from catclf.features.cache import FeatureCache
from catclf.features.feature_map import extract
from catclf.features.onnx import PATH_VARIABLE, Onnx
from catclf.model import Model
from catclf.pictures.explanation import explain
from tests.onnx_graphs import FLOAT, UINT8, W, images, mixing, node, save, textured

WORDS = "--features onnx:net.onnx --onnx-normalise imagenet --solver newton --l2 0.1"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that colours tell apart, as PNG files of other sizes than the network's."""
    folder = tmp_path_factory.mktemp("photos")
    drawn, labels = draw(40, seed=3)
    for i, (image, label) in enumerate(zip(drawn, labels, strict=True)):
        path = folder / ("cat" if label else "other") / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).resize((90, 70 + i)).save(path)
    return folder


@pytest.fixture
def network(tmp_path):
    """A network of images of 24 × 20, in net.onnx."""
    return Onnx.open(textured(tmp_path / "net.onnx"), "unit")


@pytest.fixture
def square(tmp_path):
    """A network of images of 64 × 64, in net.onnx."""
    return Onnx.open(textured(tmp_path / "net.onnx", (1, 3, 64, 64)), "imagenet")


def test_train_predict_and_evaluate(catclf, photos, tmp_path, monkeypatch):
    textured(tmp_path / "net.onnx")
    catclf("train", photos, *WORDS.split(), "--out", "m.npz")
    model = load_model(tmp_path / "m.npz")
    network = model.features
    assert (network.name, network.n_x, network.view) == ("onnx", 16, (24, 20))
    with np.load(tmp_path / "m.npz") as npz:  # it holds no network
        assert sorted(npz) == ["b", "costs", "meta", "seen", "w"]
    # predict, eval and Python say the same.
    lines = catclf("predict", "-m", "m.npz", "--json", photos).stdout.splitlines()
    probabilities = {line["path"]: line["probability"] for line in map(json.loads, lines)}
    assert len(probabilities) == 40
    for prediction in predict(model, [photos]):
        assert prediction.probability == probabilities[prediction.path]
    told = json.loads(catclf("eval", "-m", "m.npz", photos, "--json", "--errors", 40).stdout)
    assert told["n"] == 40
    for error in told["errors"]:
        assert error["probability"] == probabilities[error["path"]]
    # The explanation adds up, and has as many regions as there are places.
    photo = next(photos.glob("*/*.png"))
    explanation = explain(model, load_image(photo, size=network.image_size))
    assert (explanation.shares.shape, explanation.regions.shape) == ((176, 144), (8, 8))
    np.testing.assert_allclose(explanation.total, explanation.log_odds, atol=1e-5)
    catclf("predict", "-m", "m.npz", photo, "--explain", "why.png")
    assert (tmp_path / "why.png").stat().st_size > 1000
    assert "net.onnx" in catclf("show", "m.npz").stdout
    assert "features onnx" in catclf("show", "m.npz", "--picture", "w.png", code=2).stderr


def test_where_a_models_network_is_looked_for(catclf, photos, tmp_path):
    net = textured(tmp_path / "net.onnx")
    catclf("train", photos, *WORDS.split(), "--out", "model/m.npz")
    photo = next(photos.glob("*/*.png"))

    def run(code=0, **env):
        done = catclf("predict", "-m", "model/m.npz", photo, code=code, env=env)
        return done.stdout if code == 0 else done.stderr.splitlines()[-1]

    expected = run()
    moved = tmp_path / "elsewhere" / "other.onnx"
    moved.parent.mkdir()
    shutil.move(net, moved)
    told = run(4)
    assert told.startswith("error: the model's network, net.onnx with SHA-256 ")
    assert f"neither at {net} nor beside the model; set {PATH_VARIABLE}" in told
    assert run(**{PATH_VARIABLE: str(moved)}) == expected
    shutil.copy(moved, moved.with_name("net.onnx"))
    assert run(**{PATH_VARIABLE: str(moved.parent)}) == expected
    shutil.copy(moved, tmp_path / "model" / "net.onnx")
    assert run() == expected
    # Another file of that name is not taken, neither alone nor before the right one.
    mixing(tmp_path / "net.onnx", (1, 3, 24, 20))
    assert run() == expected
    mixing(tmp_path / "model" / "net.onnx", (1, 3, 24, 20))
    assert f"{net}: not the network of the model, which is net.onnx with" in run(4)


@pytest.mark.parametrize(
    "change",
    [
        {"path": None},
        {"view": [24]},
        {"view": [24, 0]},
        {"image_size": [24, 26]},
        {"image_size": [32.0, 26.0]},
        {"image_size": None},
        {"n_x": 17},
        {"n_x": 10**9},
        {"mean": [1.0, 2.0]},
        {"scale": [1.0, 1.0, 0.0]},
        {"network": "n" * 5000},
    ],
)
def test_settings_that_cannot_be(tmp_path, change, network):
    model = Model(np.ones((16, 1)), 0.0, ("non-cat", "cat"), network)
    model.save(tmp_path / "m.npz")
    load_model(tmp_path / "m.npz")
    network._settings.update(change)
    model.save(tmp_path / "m.npz")
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path / "m.npz")


def test_a_model_cannot_send_for_another_machines_file(monkeypatch, network):
    """On Windows a path with two slashes in front asks another machine for a file."""
    looked = []
    monkeypatch.setattr(os.path, "isfile", lambda path: looked.append(path) or False)
    for path in ("//host/share/net.onnx", r"\\host\share\net.onnx"):
        with pytest.raises(ModelError, match="neither at"):
            Onnx({**network.settings(), "path": path}, "near").transform(images(1, 32, 26))
    assert looked == [os.path.join("near", "net.onnx"), ""] * 2


# Data that is no folder of photos


def test_images_on_disk_are_taken_in_blocks(tmp_path, catclf, monkeypatch, square):
    monkeypatch.setattr("catclf.common.blocks.BLOCK_BYTES", 16 * 64 * 64 * 3)
    pixels, labels = draw(70, seed=4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("train_set_x", data=pixels, chunks=(8, 64, 64, 3), compression="gzip")
        file["train_set_y"] = labels
    most = []
    real = square.transform
    monkeypatch.setattr(square, "transform", lambda x: most.append(len(x)) or real(x))
    disk = load_dataset(tmp_path / "a.h5", memory=1e3, feature_map=square)
    disk = disk.with_features(square, extract)
    assert isinstance(disk.images, LazyArray)
    assert isinstance(disk.features.rows, LazyArray)
    assert (max(most), sum(most)) == (16, 70)
    ample = load_dataset(tmp_path / "a.h5", feature_map=square).with_features(square, extract)
    assert isinstance(ample.features.rows, np.ndarray)
    np.testing.assert_array_equal(disk.features.rows[:], ample.features.rows)
    np.testing.assert_array_equal(ample.features.rows, real(pixels).T)
    # What is taken is used, from disk, from memory, and joined; and no image is looked at again.
    most.clear()
    both = join([disk, disk]).within(1e9)
    np.testing.assert_array_equal(both.features.rows, np.tile(ample.features.rows, (2, 1)))
    one, other = (train(d, features=square, solver="newton", l2=0.1) for d in (disk, ample))
    np.testing.assert_allclose(one.w, other.w, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(evaluate_dataset(one, disk).Z, evaluate_dataset(one, ample).Z)
    assert not most
    # And the command, which keeps all on disk at first.
    catclf("train", "a.h5", *WORDS.split(), "--cache", "f.h5", "--out", "m.npz")
    np.testing.assert_allclose(load_model(tmp_path / "m.npz").w, one.w, rtol=1e-6, atol=1e-9)


def test_a_folder_with_features_that_would_not_fit_is_refused(tmp_path, photos):
    for shape, size, remedy in (
        ((1, 3, 24, 20), 40 * (64 * 64 * 3 + 4 * 16), "allow more with --memory"),
        ((1, 3, 64, 64), 40 * (64 * 64 * 3 + 4 * 16), "catclf data convert"),
    ):
        network = Onnx.open(textured(tmp_path / "net.onnx", shape), "unit")
        with pytest.raises(DataError, match=f"40 images take 0.4941 MB of memory.*{remedy}"):
            load_dataset(photos, memory=size - 1, feature_map=network)
        dataset = load_dataset(photos, memory=size, feature_map=network)
        assert dataset.features.rows.shape == (40, 16)


def test_images_of_another_size_are_refused(tmp_path, catclf):
    textured(tmp_path / "net.onnx")
    told = catclf("train", "drawn", *WORDS.split(), code=3).stderr
    assert told == (
        "error: drawn: its images have 64 × 64 pixels, and the features are taken from 32 × 26; "
        "name a folder of photos\n"
    )


def test_several_models_each_see_their_own_size(catclf, tmp_path, photos):
    textured(tmp_path / "net.onnx")
    catclf("train", photos, *WORDS.split(), "--out", "a.npz")
    catclf("train", photos, "--solver", "newton", "--l2", 0.1, "--out", "b.npz")
    words = [json.loads(catclf("eval", photos, "-m", f"{m}.npz", "--json").stdout) for m in "ab"]
    both = catclf("eval", photos, "-m", "b.npz", "-m", "a.npz", "-m", "photos", "--json")
    found = json.loads(both.stdout)["models"]
    for alone, one in zip(reversed(words), found, strict=False):
        assert all(one[key] == value for key, value in alone.items())
    assert both.stderr.count("cat: cat (") == 1


# --auto and the cache


def test_the_cache_lets_each_image_be_seen_once(tmp_path, photos, monkeypatch, network):
    plain = load_dataset(photos, feature_map=network)
    seen = []
    real = network.transform
    monkeypatch.setattr(network, "transform", lambda x: seen.append(len(x)) or real(x))
    path = tmp_path / "f.h5"
    for times in (1, 0):
        seen.clear()
        with FeatureCache(network, path) as cache:
            dataset = load_dataset(photos, feature_map=cache)
        assert sum(seen) == 40 * times
        np.testing.assert_array_equal(dataset.features.rows, plain.features.rows)
    content = path.read_bytes()
    moved = shutil.copytree(photos / "cat", tmp_path / "moved" / "cat").parent
    shutil.copytree(photos / "cat", moved / "other")
    with FeatureCache(network, path) as cache:
        load_dataset(moved, feature_map=cache)
    assert not sum(seen)  # what is elsewhere is known, what is gone stays
    assert path.read_bytes() == content


def test_a_cache_is_saved_on_the_way(tmp_path, drawn, monkeypatch, square):
    monkeypatch.setattr("catclf.features.cache.SAVE_SECONDS", 0)
    monkeypatch.setattr("catclf.features.cache.SAVING_SHARE", 1e9)
    cache, path = FeatureCache(square, tmp_path / "f.h5"), tmp_path / "f.h5"
    batches = [drawn.images[i : i + 2] for i in range(0, 60, 2)]
    list(ordered(cache.transform, batches, 4))
    again = FeatureCache(square, path)
    assert len(again._rows) == 60
    np.testing.assert_array_equal(again.transform(drawn.images), square.transform(drawn.images))


def test_auto_with_a_cache(catclf, tmp_path, photos):
    textured(tmp_path / "net.onnx")
    words = ("train", photos, *WORDS.split()[:4], "--auto", "--cache", "f.h5", "--json", "--quiet")
    first = json.loads(catclf(*words, "--out", "a.npz").stdout)
    catclf(*words, "--out", "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    tuned = tune(photos, features=Onnx.open(tmp_path / "net.onnx", "imagenet"))
    assert [t.log_loss for t in tuned.trials] == [trial[2] for trial in first["tried"]]
    for other in (("--onnx-normalise", "unit"), ("--onnx-output", "z")):
        told = catclf(*words, *other, "--out", "c.npz", code=3).stderr
        assert told == (
            "error: f.h5: a cache of another network, or other settings; name another file\n"
        )
    # The same network elsewhere is the same.
    shutil.move(tmp_path / "net.onnx", tmp_path / "moved.onnx")
    catclf(*words, "--features", "onnx:moved.onnx", "--out", "c.npz")


def test_what_is_no_cache_is_left_alone(tmp_path, photos, network):
    path = tmp_path / "f.h5"
    with FeatureCache(network, path) as cache:
        load_dataset(photos, feature_map=cache)
    whole = path.read_bytes()
    middle = whole.index(next(iter(cache._rows.values())).tobytes())
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = draw(6, seed=5)
    for damaged in (
        b"",
        b"hello",
        whole[:-1],
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        (tmp_path / "data.h5").read_bytes(),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"not a whole cache .*; name another file, or delete"):
            FeatureCache(network, path)
        assert path.read_bytes() == damaged


def test_what_was_taken_before_an_interruption_is_kept(tmp_path, photos, monkeypatch, network):
    path = tmp_path / "f.h5"

    def progress(done, total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), FeatureCache(network, path) as cache:
        load_dataset(photos, feature_map=cache, progress=progress)
    assert 20 <= len(FeatureCache(network, path)._rows) <= 40


# catclf show NET.onnx

AS_BYTES = [node("Cast", "x", "c", to=FLOAT), node("MatMul", "c w", "y")]
SHOWN = {
    "plain": (mixing, (1, 3, 12, 10), {"size": [12, 10], "image_size": [16, 14], "layout": "NCHW"}),
    "any size": (mixing, ("n", 3, "h", "w"), {"size": None, "image_size": [298, 298]}),
    "as bytes": (
        lambda path, shape: save(path, AS_BYTES, {"w": W.T}, shape, kind=UINT8),
        (1, 12, 10, 3),
        {"type": "uint8", "layout": "NHWC", "normalise": False, "output_size": [12, 10]},
    ),
    "no places": (
        lambda path, shape: save(path, [node("Flatten", "x", "\x1b[31m[red]y[/red]")], (), shape,
                                 outputs=["\x1b[31m[red]y[/red]"]),
        (1, 3, 64, 64),
        {"n_x": 12288, "output_size": None, "image_size": [64, 64]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SHOWN))
def test_what_would_be_done_with_a_network_is_shown(catclf, tmp_path, name):
    make, shape, expected = SHOWN[name]
    path = make(tmp_path / "a.onnx", shape)
    shown = json.loads(catclf("show", "a.onnx", "--json").stdout)
    assert {key: shown[key] for key in expected} == expected
    assert shown["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert shown["bytes"] == path.stat().st_size
    assert (shown["input"], shown["milliseconds"] > 0) == ("x", True)
    # What it says is what is done.
    normalise = "unit" if shown["normalise"] else "none"
    network = Onnx.open(path, normalise, size=None if shown["size"] else 224)
    assert (network.n_x, list(network.image_size)) == (shown["n_x"], shown["image_size"])
    text = catclf("show", "a.onnx", env={"COLUMNS": "300"}).stdout
    assert "\x1b" not in text
    for words in (shown["sha256"], "a.onnx", f"{shown['n_x']:,} an image", shown["layout"]):
        assert words in text
    assert ("--onnx-normalise must be given" in text) == shown["normalise"]
    assert ("left open (--onnx-size, here 224)" in text) == (shown["size"] is None)
    assert ("no places, so that predict --explain" in text) == (shown["output_size"] is None)
    assert "[red]y[/red]" in text or name != "no places"


@pytest.mark.parametrize("content", [b"", b"hello", b"version https://git-lfs.github.com", None])
def test_what_is_no_network_is_told_in_a_line(catclf, tmp_path, content):
    if content is not None:
        (tmp_path / "[red]x[bold].ONNX").write_bytes(content)
    done = catclf("show", "[red]x[bold].ONNX", code=4)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith("error: [red]x[bold].ONNX: ")


# Options, and the extra


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--features onnx:net.onnx", "set --onnx-normalise to imagenet"),
        ("--features onnx: --onnx-normalise unit", "error: no network is named"),
        ("--onnx-output y", "go with --features onnx:PATH alone"),
        ("--features conv --cache f.h5", "--cache is for features of an ONNX network"),
        (f"{WORDS} --cache m.npz --out m.npz", "--cache and --out name the same file"),
        (f"{WORDS} --scheduler local", "an ONNX network is for one machine, not for --scheduler"),
    ],
)
def test_options_that_make_no_sense(catclf, tmp_path, photos, words, told):
    textured(tmp_path / "net.onnx")
    assert told in catclf("train", photos, *words.split(), code=2).stderr
    assert not (tmp_path / "models").exists()


def test_without_the_extra_one_line_says_how_to_get_it(catclf, tmp_path, photos, monkeypatch):
    textured(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = catclf("train", photos, *WORDS.split(), code=4)
    assert (done.stdout, done.stderr) == (
        "",
        "error: features of an ONNX network need onnxruntime: pip install 'catclf[onnx]'\n",
    )
