"""Networks in ONNX files: what they make of images, against the same arithmetic in numpy."""

import numpy as np
import pytest

from catclf.errors import ModelError, ParameterError
from catclf.features.onnx import Onnx, parse_normalisation
from tests import onnx_graphs
from tests.onnx_graphs import FLOAT, MEAN, PLAIN, SCALE, helper, images, mixed, mixing, node, save


def assert_features(network, maps, m=3, **tolerance):
    """Compare features of `images(m)` with the means of maps (m, height, width, n_x)."""
    X = network.transform(images(m, *network.image_size))
    assert (X.dtype, X.shape) == (np.float32, (maps.shape[-1], m))
    tolerance = {"rtol": 1e-5, "atol": 1e-5, **tolerance}
    np.testing.assert_allclose(X.T, maps.mean(axis=(1, 2)), **tolerance)


# What a network makes of images


@pytest.mark.parametrize("batch", [1, "n", None])
def test_maps_are_averaged_over_space(tmp_path, batch):
    network = Onnx.open(mixing(tmp_path / "a.onnx", (batch, 3, 12, 10)), "imagenet")
    assert (network.image_size, network.n_x) == ((12, 10), 4)
    assert_features(network, mixed(images()))
    assert network.transform(images(0)).shape == (4, 0)


def test_a_network_of_the_other_layout(tmp_path):
    nodes = [node("MatMul", "x w", "z"), node("Add", "z b", "y")]
    weights = {"w": onnx_graphs.W.T, "b": onnx_graphs.B}
    network = Onnx.open(save(tmp_path / "a.onnx", nodes, weights, (1, 12, 10, 3)), "imagenet")
    assert_features(network, mixed(images()))


def test_space_is_found_where_an_inner_layout_is_another(tmp_path):
    """Converters leave transposes about: the two sides that are alike are space."""
    nodes = [node("Conv", "x w b", "z"), node("Transpose", "z", "y", perm=[0, 2, 3, 1])]
    path = save(tmp_path / "a.onnx", nodes, PLAIN, (1, 3, 12, 12))
    assert_features(Onnx.open(path, "imagenet"), mixed(images(3, 12, 12)))


@pytest.mark.parametrize(
    "shape",
    [("batch", "channels", "height", "width"), (None,) * 4, (1, 3, "h", "w"), (1, 3, "h", 12)],
)
def test_a_size_that_the_file_leaves_open_is_named(tmp_path, shape):
    path = mixing(tmp_path / "a.onnx", shape)
    with pytest.raises(ModelError, match=r"--onnx-size 224$"):
        Onnx.open(path, "imagenet")
    network = Onnx.open(path, "imagenet", size=12)
    assert_features(network, mixed(images(3, 12, 12)))
    again = Onnx.restore(network.settings(), {})
    np.testing.assert_array_equal(
        again.transform(images(1, 12, 12)), network.transform(images(1, 12, 12))
    )


def test_a_size_that_is_fixed_need_not_be_named(tmp_path):
    path = mixing(tmp_path / "a.onnx", (1, 3, 12, 12))
    assert Onnx.open(path, "imagenet", size=12).image_size == (12, 12)
    with pytest.raises(ModelError, match="takes 12 × 12 pixels: leave --onnx-size out"):
        Onnx.open(path, "imagenet", size=224)


def test_what_has_no_places_is_flattened(tmp_path):
    nodes = [node("Conv", "x w b", "z"), node("GlobalAveragePool", "z", "y")]
    path = save(tmp_path / "a.onnx", [*nodes, node("Flatten", "y", "f")], PLAIN)
    for output in ("y", "f"):
        assert_features(Onnx.open(path, "imagenet", output), mixed(images()))


@pytest.mark.parametrize("output", ["z", "y", None])
def test_an_inner_output(tmp_path, output):
    nodes = [node("Conv", "x w b", "z"), node("Relu", "z", "y")]
    network = Onnx.open(save(tmp_path / "a.onnx", nodes, PLAIN), "imagenet", output)
    assert network.settings()["output"] == (output or "y")
    z = mixed(images())
    assert_features(network, z if output == "z" else np.maximum(z, 0))


@pytest.mark.parametrize(
    ("text", "mean", "scale"),
    [
        ("unit", (0, 0, 0), (255, 255, 255)),
        ("none", (0, 0, 0), (1, 1, 1)),
        ("0.5/0.5", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        ("104,117,123/1", (104, 117, 123), (1, 1, 1)),
        ("0.485,0.456,0.406/0.229,0.224,0.225", MEAN, SCALE),
    ],
)
def test_normalisations(tmp_path, text, mean, scale):
    assert np.allclose(parse_normalisation(text), (mean, scale))
    network = Onnx.open(mixing(tmp_path / "a.onnx"), text)
    assert_features(network, mixed(images(), mean, scale), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "text", ["imagnet", "127", "1/0", "nan/1", "1/inf", "1,2/3", "1/2/3", "a/b", "/"]
)
def test_a_normalisation_that_is_none(text):
    with pytest.raises(ParameterError, match="onnx-normalise is imagenet"):
        parse_normalisation(text)


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8"])
def test_inputs_of_other_types(tmp_path, kind):
    to = getattr(onnx_graphs.onnx.TensorProto, kind)
    nodes = [node("Cast", "x", "c", to=FLOAT), node("Conv", "c w b", "y")]
    path = save(tmp_path / "a.onnx", nodes, PLAIN, kind=to)
    assert_features(Onnx.open(path, "none"), mixed(images(), (0, 0, 0), (1, 1, 1)), atol=0)
    if kind == "UINT8":
        with pytest.raises(ModelError, match="takes pixels as they are: --onnx-normalise none"):
            Onnx.open(path, "unit")


def test_shares_are_where_the_output_has_them(tmp_path):
    network = Onnx.open(mixing(tmp_path / "a.onnx"), "imagenet")
    w = np.random.default_rng(3).normal(size=(4, 1))
    shares = network.shares(images()[0], w)
    np.testing.assert_allclose(shares, (mixed(images()) @ w)[0, :, :, 0] / 120, atol=1e-6)
    np.testing.assert_allclose(shares.sum(), (w.T @ network.transform(images(1)))[0, 0], rtol=1e-5)


# What is refused


REFUSED = {
    "no such file": lambda path: path,
    "Git LFS pointer": lambda path: (
        path.write_bytes(b"version https://git-lfs.github.com") and path
    ),
    "damaged one": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n") and path,
    "onnxruntime does not load it": lambda path: path.write_bytes(b"") or path,
    "mine:Whatever": lambda path: save(
        path,
        [node("Whatever", "x", "y", domain="mine")],
        opsets=[helper.make_opsetid("mine", 1)],
    ),
    "left open: .* --onnx-size 224": lambda path: mixing(path, ("b", "c", "h", "w")),
    "for one image at a time": lambda path: mixing(path, (8, 3, 12, 10)),
    "expected an RGB image": lambda path: save(path, [node("Relu", "x", "y")], (), (1, 1, 12, 10)),
    "2048 pixels a side": lambda path: mixing(path, (1, 3, 12, 2049)),
    "inputs 'x', 'z'; expected one": lambda path: save(
        path,
        [node("Add", "x z", "y")],
        inputs=[("x", FLOAT, (1, 3, 4, 4)), ("z", FLOAT, (1, 3, 4, 4))],
    ),
    "tensor\\(int64\\)": lambda path: save(
        path, [node("Abs", "x", "y")], kind=onnx_graphs.onnx.TensorProto.INT64
    ),
    "is \\(\\) for one image": lambda path: save(path, [node("ReduceMean", "x", "y", keepdims=0)]),
    "holds no numbers": lambda path: save(path, [node("Greater", "x x", "y")]),
    "at most 65536 are taken": lambda path: save(
        path, [node("Flatten", "x", "y")], (), (1, 3, 200, 200)
    ),
    "numbers that are not finite": lambda path: save(
        path, [node("Constant", "", "c", value_float=3e38), node("Mul", "x c", "y")]
    ),
    "codec can't decode": lambda path: (
        path.write_bytes(mixing(path).read_bytes().replace(b"\x01y", b"\x01\xe1")) and path
    ),
    "has no output": lambda path: save(path, [node("Relu", "x", "y")], outputs=()),
    "cannot be run": lambda path: save(
        path, [node("Reshape", "x s", "y")], {"s": np.array([7, 7])}
    ),
    "other numbers each time": lambda path: save(path, [node("RandomUniformLike", "x", "y")]),
}


@pytest.mark.parametrize("words", list(REFUSED))
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, words, capfd):
    path = REFUSED[words](tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=words) as caught:
        Onnx.open(path, "imagenet")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    assert capfd.readouterr() == ("", "")


def test_an_output_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no tensor is called 'z'; the last ones are 'y'"):
        Onnx.open(mixing(tmp_path / "a.onnx"), "unit", "z")
