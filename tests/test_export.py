"""Models written as ONNX networks: run by onnxruntime, and by a browser, against `predict`."""

import html
import json
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf import __version__, load_image, load_model, predict
from catclf.data.drawn import draw
from catclf.errors import ModelError
from catclf.export import write_onnx
from catclf.features import MAPS, Pixels
from catclf.features.conv import shipped
from catclf.features.onnx import Onnx
from catclf.model import Model
from catclf.training import train
from tests.onnx_graphs import (
    FLOAT,
    NODES,
    PLAIN,
    B,
    W,
    helper,
    mixing,
    node,
    numpy_helper,
    onnx,
    save,
)
from tests.test_browser import FLAGS

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
TensorProto = onnx.TensorProto

DOCS = Path(__file__).resolve().parents[1] / "docs" / "onnx.md"
KINDS = ["conv", "pixels", "patches", "patches in cells"]


def code(language):
    """The one block of the docs' last section in this language."""
    section = DOCS.read_text(encoding="utf-8").split("## A model in other programs")[1]
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return block


def run(path, images, n=1):
    """What onnxruntime makes of images, n at a time: probabilities and labels."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"image": images[i : i + n]}) for i in range(0, len(images), n)]
    probabilities, labels = map(np.concatenate, zip(*parts, strict=True))
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (len(images),))
    assert (labels.dtype, labels.shape) == (np.int64, (len(images),))
    return probabilities, labels


@cache
def model_on(kind):
    """A model on a kind of features: the one that is shipped, or one of drawings."""
    if kind == "conv":
        return load_model(shipped("photos.npz"))
    settings = {"patches": {"dictionary": 60}, "patches in cells": {"dictionary": 20, "pool": 4}}
    how = {"features": kind.split()[0], "solver": "newton", "l2": 0.01, "cv": 0}
    made = train("drawn", **how, **settings.get(kind, {}))
    return replace(made, threshold=0.6, temperature=1.7)


@pytest.fixture
def model():
    """A small model, quickly made."""
    w = np.random.default_rng(0).normal(0, 0.01, (Pixels.n_x, 1))
    return Model(w, 0.5, ("non-cat", "cat"), Pixels())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_photos_get_the_probability_of_predict(shared, kind, tmp_path):
    paths = sorted((shared / "photos").glob("*/*.jpg"))
    assert len(paths) == 213
    model = model_on(kind)
    write_onnx(model, tmp_path / "m.onnx")
    images = np.stack([load_image(path, size=model.features.image_size) for path in paths])
    expected = list(predict(model, paths))
    for n in (1, 17):
        probabilities, labels = run(tmp_path / "m.onnx", images, n)
        np.testing.assert_allclose(probabilities, [e.probability for e in expected], 0, 1e-5)
        assert [model.classes[label] for label in labels] == [e.label for e in expected]
    assert 0 < labels.sum() < len(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_get_the_probability_of_the_model(kind, tmp_path):
    model, (images, _) = model_on(kind), draw(20, seed=5)
    height, width = model.features.image_size
    images = np.stack([Image.fromarray(image).resize((width, height)) for image in images])
    images[0] = 0
    write_onnx(model, tmp_path / "m.onnx")
    probabilities, _ = run(tmp_path / "m.onnx", images, 7)
    np.testing.assert_allclose(probabilities, model.probabilities(images)[0], 0, 1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_a_label_is_1_above_the_threshold(model, threshold, tmp_path):
    write_onnx(replace(model, threshold=threshold), tmp_path / "m.onnx")
    probabilities, labels = run(tmp_path / "m.onnx", draw(60)[0])
    np.testing.assert_array_equal(labels, probabilities > threshold)


def test_the_command_says_what_the_file_needs(catclf, tmp_path):
    name = "[red]x[/red].onnx"
    done = catclf("export", "photos", name)
    assert done.stdout == f"wrote {name}\n"
    assert "photos.npz" in done.stderr
    network = onnx.load(tmp_path / name)
    onnx.checker.check_model(network, full_check=True)
    assert (network.ir_version, network.opset_import[0].version) == (8, 17)
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    shown = json.loads(catclf("show", "photos", "--json").stdout)
    assert metadata["model_sha256"] == shown["sha256"]
    assert json.loads(metadata["classes"]) == ["non-cat", "cat"]
    assert float(metadata["threshold"]) == shown["threshold"]
    assert (metadata["catclf_version"], metadata["trusted"]) == (__version__, "with photos")
    for word in ("EXIF", "white", "RGB", "96 pixels wide", "bilinear"):
        assert word in metadata["preprocessing"]


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_onnx(model_on("conv"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_only_a_network_of_this_command_is_replaced(catclf, model, tmp_path):
    model.save(tmp_path / "m.npz")
    done = catclf("export", "m.npz", "m.npz", code=3)
    assert "error: m.npz: the network cannot be written (what is there is no" in done.stderr
    assert load_model(tmp_path / "m.npz").b == model.b
    empty = onnx.helper.make_graph([], "mine", [], [])
    onnx.save(onnx.helper.make_model(empty, producer_name="pytorch"), tmp_path / "mine.onnx")
    catclf("export", "m.npz", "mine.onnx", code=3)
    catclf("export", "m.npz", "m.onnx")
    catclf("export", "photos", "m.onnx")
    assert (
        onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape.dim[1].dim_value == 96
    )
    assert catclf("export", "m.npz", "m.npz/x.onnx", code=3).stderr.endswith("is not a folder)\n")
    (tmp_path / "text.npz").write_text("not a model")
    assert "error: text.npz: text, not a" in catclf("export", "text.npz", "n.onnx", code=4).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "m.npz", "m.onnx", "mine.onnx", "text.npz"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(catclf_process, tmp_path):
    done = catclf_process("export", "photos", "m.onnx", code=3, largest=100_000)
    assert "error: m.onnx: the network cannot be written (File too large)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_a_line_says_how_to_get_it(catclf, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = catclf("export", "photos", "m.onnx", code=4)
    assert done.stderr.endswith("needs the package onnx: pip install 'catclf[onnx]'\n")
    assert list(tmp_path.iterdir()) == []


# A network of one's own


def of_network(network):
    """A model on a network, with scores of about 1."""
    images = noise(network, 20)
    w = np.random.default_rng(3).normal(size=(network.n_x, 1))
    scores = Model(w, 0.0, ("non-cat", "cat"), network).scores(images)
    b = -float(scores.mean() / scores.std())
    return Model(w / scores.std(), b, ("non-cat", "cat"), network)


def noise(network, n):
    """Images of which each has its own colour."""
    rng = np.random.default_rng(4)
    images = rng.integers(0, 128, (n, *network.image_size, 3), dtype=np.uint8)
    return images + rng.integers(0, 128, (n, 1, 1, 3), dtype=np.uint8)


CAST, CONV = node("Cast", "x", "c", to=FLOAT), node("Conv", "c w b", "y")
BRANCHES = [
    helper.make_graph(
        [node("Conv", "x w b", "y")], name, [], [helper.make_tensor_value_info("y", FLOAT, None)]
    )
    for name in ("then", "else")
]
LAST = [node("MatMul", "x w", "z"), node("Add", "z b", "y")]
NETWORKS = {
    "first": (NODES, PLAIN, (1, 3, 12, 10), "imagenet", {}),
    "any batch": (NODES, PLAIN, ("n", 3, 12, 10), "127/128", {}),
    "64 pixels": (NODES, PLAIN, ("n", 3, 64, 64), "unit", {}),
    "last": (LAST, {"w": W.T, "b": B}, ("n", 12, 10, 3), "imagenet", {}),
    "float16": ([CAST, CONV], PLAIN, ("n", 3, 12, 10), "unit", {"kind": TensorProto.FLOAT16}),
    "double": ([CAST, CONV], PLAIN, ("n", 3, 12, 10), "unit", {"kind": TensorProto.DOUBLE}),
    "uint8": ([CAST, CONV], PLAIN, ("n", 3, 12, 10), "none", {"kind": TensorProto.UINT8}),
    "places first": (
        [node("Conv", "x w b", "z"), node("Transpose", "z", "y", perm=[0, 2, 3, 1])],
        PLAIN, ("n", 3, 12, 12), "unit", {},
    ),
    "no places": (
        [node("Conv", "x w b", "z"), node("GlobalAveragePool", "z", "y")],
        PLAIN, ("n", 3, 12, 10), "unit", {},
    ),
    "a graph within": (
        [node("Constant", "", "t", value_ints=[1]), node("Cast", "t", "i", to=TensorProto.BOOL),
         node("Squeeze", "i", "q"),
         node("If", "q", "y", then_branch=BRANCHES[0], else_branch=BRANCHES[1])],
        PLAIN, ("n", 3, 12, 10), "unit", {},
    ),
    "its own domain": (
        [node("Conv", "x w b", "z"), node("Gelu", "z", "y", domain="com.microsoft")],
        PLAIN, ("n", 3, 12, 10), "unit", {"opsets": [helper.make_opsetid("com.microsoft", 1)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_of_ones_own_is_taken_in(kind, tmp_path):
    nodes, weights, shape, normalise, more = NETWORKS[kind]
    path = save(tmp_path / "net.onnx", nodes, weights, shape, **more)
    assert_same(of_network(Onnx.open(path, normalise)), tmp_path, 1 if shape[0] == 1 else 7)


def assert_same(model, folder, n):
    """Compare a model with what is written of it, which must need no other file."""
    write_onnx(model, folder / "m.onnx")
    images = noise(model.features, 2 * n)
    (folder / "alone").mkdir()
    (folder / "m.onnx").rename(folder / "alone" / "m.onnx")
    network = onnx.load(folder / "alone" / "m.onnx", load_external_data=False)
    onnx.checker.check_model(network, full_check=True)
    probabilities, labels = run(folder / "alone" / "m.onnx", images, n)
    expected = model.probabilities(images)[0]
    np.testing.assert_allclose(probabilities, expected, 0, 1e-5)
    np.testing.assert_array_equal(labels, expected > 0.5)
    return network


@pytest.mark.parametrize("opset", [9, 12, 17, 21])
def test_older_operators_are_brought_up_and_newer_ones_stay(opset, tmp_path):
    path = mixing(tmp_path / "net.onnx", ("n", 3, 12, 10))
    network = onnx.load(path)
    network.opset_import[0].version = opset
    network.ir_version = 10 if opset == 21 else 4
    onnx.save(network, path)
    network = assert_same(of_network(Onnx.open(path, "unit")), tmp_path, 3)
    assert network.opset_import[0].version == max(opset, 17)
    assert network.ir_version == (10 if opset == 21 else 8)


def test_an_inner_tensor_and_external_data(tmp_path):
    nodes = [node("Conv", "x w b", "z"), node("Relu", "z", "y")]
    path = save(tmp_path / "net.onnx", nodes, PLAIN, ("n", 3, 12, 10))
    network = onnx.load(path)
    onnx.save(network, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").exists()
    assert_same(of_network(Onnx.open(path, "unit", "z")), tmp_path, 4)


def test_two_views_have_their_weights_in_common(tmp_path):
    weights = {"w": np.ones((100, 3, 20, 20), np.float32), "b": np.ones(100, np.float32)}
    path = save(tmp_path / "net.onnx", NODES, weights, (1, 3, 40, 40))
    write_onnx(of_network(Onnx.open(path, "unit")), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size < path.stat().st_size + 100_000


def test_a_network_that_cannot_be_brought_up_is_told_in_one_line(tmp_path, catclf, monkeypatch):
    network = onnx.load(mixing(tmp_path / "net.onnx"))
    network.opset_import[0].version = 11
    onnx.save(network, tmp_path / "net.onnx")
    of_network(Onnx.open(tmp_path / "net.onnx", "unit")).save(tmp_path / "m.npz")

    def fail(*_):
        raise RuntimeError("no\nadapter")

    def spoil(network, opset):
        network.graph.initializer[0].CopyFrom(numpy_helper.from_array(-PLAIN["w"], "w"))
        network.opset_import[0].version = opset
        return network

    def cut(network, opset):
        del network.graph.initializer[:]
        network.opset_import[0].version = opset
        return network

    for convert, words in (
        (fail, "net.onnx: cannot be brought to opset 17 (no adapter); export it anew"),
        (spoil, "does not do in ONNX of another version what it does as it is"),
        (cut, "what is to be written is no valid ONNX: "),
    ):
        monkeypatch.setattr(onnx.version_converter, "convert_version", convert)
        done = catclf("export", "m.npz", "m.onnx", "--quiet", code=4)
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
    (tmp_path / "net.onnx").unlink()
    assert "CATCLF_ONNX_PATH" in catclf("export", "m.npz", "m.onnx", code=4).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


# What is refused


def test_what_cannot_be_said_in_onnx_is_refused(model, tmp_path):
    class Means(Pixels):
        name = "means"

    for changed, words in (
        ({"features": Means()}, "features means cannot be written as ONNX"),
        ({"temperature": 1e-300}, "too large for float32"),
        ({"b": 1e300}, "too large for float32"),
    ):
        with pytest.raises(ModelError, match=words):
            write_onnx(replace(model, **changed), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_every_map_has_nodes():
    from catclf.export import maps

    assert set(maps.NODES) == {*MAPS, Onnx.name}


# What the docs show


def test_the_lines_of_python_in_the_docs(shared, tmp_path, monkeypatch):
    path = sorted((shared / "photos" / "cat").iterdir())[0]
    shutil.copy(path, tmp_path / "img.jpg")
    write_onnx(model_on("conv"), tmp_path / "photos.onnx")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code("python"), found)
    (expected,) = predict(model_on("conv"), [path])
    assert found["label"] == [model_on("conv").classes.index(expected.label)]
    assert found["probability"][0] == pytest.approx(expected.probability, abs=1e-5)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with onnxruntime-web in it, and the address where it is served."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, which fetches onnxruntime-web, is not installed")
    folder = tmp_path_factory.mktemp("site")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "onnxruntime-web"]
    try:
        subprocess.run(install, cwd=folder, capture_output=True, check=True, timeout=240)
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm does not fetch onnxruntime-web: {error}")
    (folder / "index.html").write_text(code("html"), encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()
    shutil.rmtree(folder / "node_modules")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conv", "pixels"])
def test_the_web_page_in_the_docs(site, kind, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    folder, address = site
    model = model_on(kind)
    write_onnx(model, folder / "photos.onnx")
    height, width = model.features.image_size
    image = draw(1, seed=5)[0][0]
    large = Image.fromarray(image).resize((width, height))
    large.save(folder / "img.jpg", "PNG")  # of its size, so that the canvas changes nothing
    done = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={tmp_path}", "--virtual-time-budget=60000",
         "--dump-dom", address],
        capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    answer = html.unescape(re.search(r'<p id="answer">(.*)</p>', done.stdout)[1])
    label, probability = answer.split()
    (expected,) = model.probabilities(np.asarray(large)[None])[0]
    assert label == model.classes[int(expected > model.threshold)]
    assert float(probability) == pytest.approx(expected, abs=1e-4)
