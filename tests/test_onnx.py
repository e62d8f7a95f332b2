"""Networks in ONNX files: what they make of images, and the files, whose data may lie outside."""

from pathlib import Path

import numpy as np
import pytest

from catclf.errors import ModelError, ParameterError
from catclf.features.onnx import Onnx, parse_normalisation
from catclf.features.onnx import file as onnx_file
from catclf.features.views import resize
from tests import onnx_graphs
from tests.onnx_graphs import (
    FILTERS,
    FLOAT,
    MEAN,
    NODES,
    PLAIN,
    SCALE,
    B,
    helper,
    images,
    mixed,
    mixing,
    node,
    numpy_helper,
    onnx,
    save,
    views,
)  # fmt: skip


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
    assert (network.image_size, network.view, network.n_x) == ((16, 14), (12, 10), 4)
    assert_features(network, mixed(views()))
    assert network.transform(images(0)).shape == (4, 0)


def test_a_network_of_the_other_layout(tmp_path):
    nodes = [node("MatMul", "x w", "z"), node("Add", "z b", "y")]
    weights = {"w": onnx_graphs.W.T, "b": onnx_graphs.B}
    network = Onnx.open(save(tmp_path / "a.onnx", nodes, weights, (1, 12, 10, 3)), "imagenet")
    assert_features(network, mixed(views()))


def test_space_is_found_where_an_inner_layout_is_another(tmp_path):
    """Converters leave transposes about: the two sides that are alike are space."""
    nodes = [node("Conv", "x w b", "z"), node("Transpose", "z", "y", perm=[0, 2, 3, 1])]
    path = save(tmp_path / "a.onnx", nodes, PLAIN, (1, 3, 12, 12))
    assert_features(Onnx.open(path, "imagenet"), mixed(views(3, 12, 12)))


@pytest.mark.parametrize(
    "shape",
    [("batch", "channels", "height", "width"), (None,) * 4, (1, 3, "h", "w"), (1, 3, "h", 12)],
)
def test_a_size_that_the_file_leaves_open_is_named(tmp_path, shape):
    path = mixing(tmp_path / "a.onnx", shape)
    with pytest.raises(ModelError, match=r"--onnx-size 224$"):
        Onnx.open(path, "imagenet")
    network = Onnx.open(path, "imagenet", size=12)
    assert_features(network, mixed(views(3, 12, 12)))
    again = Onnx.restore(network.settings(), {})
    np.testing.assert_array_equal(
        again.transform(images(1, 16, 16)), network.transform(images(1, 16, 16))
    )


def test_a_size_that_is_fixed_need_not_be_named(tmp_path):
    path = mixing(tmp_path / "a.onnx", (1, 3, 12, 12))
    assert Onnx.open(path, "imagenet", size=12).view == (12, 12)
    with pytest.raises(ModelError, match="takes 12 × 12 pixels: leave --onnx-size out"):
        Onnx.open(path, "imagenet", size=224)


def test_what_has_no_places_is_flattened(tmp_path):
    nodes = [node("Conv", "x w b", "z"), node("GlobalAveragePool", "z", "y")]
    path = save(tmp_path / "a.onnx", [*nodes, node("Flatten", "y", "f")], PLAIN)
    for output in ("y", "f"):
        assert_features(Onnx.open(path, "imagenet", output), mixed(views()))


@pytest.mark.parametrize("output", ["z", "y", None])
def test_an_inner_output(tmp_path, output):
    nodes = [node("Conv", "x w b", "z"), node("Relu", "z", "y")]
    network = Onnx.open(save(tmp_path / "a.onnx", nodes, PLAIN), "imagenet", output)
    assert network.settings()["output"] == (output or "y")
    z = mixed(views())
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
    assert_features(network, mixed(views(), mean, scale), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "text", ["imagnet", "127", "1/0", "nan/1", "1/inf", "1,2/3", "1/2/3", "a/b", "/"]
)
def test_a_normalisation_that_is_none(text):
    with pytest.raises(ParameterError, match="onnx-normalise is imagenet"):
        parse_normalisation(text)


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8"])
def test_inputs_of_other_types(tmp_path, kind):
    to = getattr(onnx.TensorProto, kind)
    nodes = [node("Cast", "x", "c", to=FLOAT), node("Conv", "c w b", "y")]
    path = save(tmp_path / "a.onnx", nodes, PLAIN, kind=to)
    assert_features(Onnx.open(path, "none"), mixed(views(), (0, 0, 0), (1, 1, 1)), atol=0)
    if kind == "UINT8":
        with pytest.raises(ModelError, match="takes pixels as they are: --onnx-normalise none"):
            Onnx.open(path, "unit")


def test_shares_are_where_the_output_has_them(tmp_path):
    """On one grid: a position of the whole covers 8 × 8 of it, one of the middle 6 × 6."""
    network = Onnx.open(mixing(tmp_path / "a.onnx"), "imagenet")
    w = np.random.default_rng(3).normal(size=(4, 1))
    shares = network.shares(images()[0], w)
    whole, middle = (mixed(views(1)) @ w)[0, :, :, 0].reshape(2, 12, 10) / 240
    expected = np.zeros((96, 80))
    for y, x in np.ndindex(12, 10):
        expected[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] += whole[y, x] / 64
        top, left = 12 + 6 * y, 10 + 6 * x
        expected[top : top + 6, left : left + 6] += middle[y, x] / 36
    np.testing.assert_allclose(shares, expected, atol=1e-7)
    np.testing.assert_allclose(shares.sum(), (w.T @ network.transform(images(1)))[0, 0], rtol=1e-5)


def test_the_whole_is_reduced_by_means_of_its_neighbours():
    """The weights fall to 0 over one of the smaller pixels; every byte comes out as a byte."""
    image = np.random.default_rng(0).integers(0, 256, (298, 35, 3), dtype=np.uint8)
    reductions = []
    for n, larger in ((224, 298), (27, 35)):
        away = np.arange(larger) + 0.5 - (np.arange(n)[:, None] + 0.5) * larger / n
        weights = np.clip(1 - np.abs(away) * n / larger, 0, None)
        reductions.append(weights / weights.sum(axis=1, keepdims=True))
    whole = np.einsum("yh,hwc,xw->yxc", reductions[0], image, reductions[1])
    np.testing.assert_allclose(resize(image, (224, 27)), whole, atol=1.01)  # it rounds twice
    assert resize(image, (298, 35)) is image


def test_models_of_one_view_and_networks_of_small_images_see_the_whole_alone(tmp_path):
    """Models made before there was a middle say so by the size of their images."""
    before = Onnx.open(mixing(tmp_path / "a.onnx"), "imagenet").settings()
    before["image_size"] = before.pop("view")
    small = Onnx.open(mixing(tmp_path / "b.onnx", (1, 3, 64, 64)), "imagenet")
    for network in (Onnx.restore(before, {}), small):
        assert network.image_size == network.view
        height, width = network.view
        one = images(1, height, width)
        assert_features(network, mixed(images(3, height, width)))
        shares = network.shares(one[0], np.ones((4, 1)))
        np.testing.assert_allclose(shares, mixed(one)[0].sum(axis=2) / shares.size, atol=1e-6)


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
        path, [node("Abs", "x", "y")], kind=onnx.TensorProto.INT64
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


# The structure of the files, and the data that lie outside them


def external(path, location, *, inner=False, content=None):
    """Write `mixing`, its filters in another file."""
    tensor = numpy_helper.from_array(FILTERS, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(location))
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="length", value=str(FILTERS.nbytes))
    nodes = [node("Constant", "", "w", value=tensor)] if inner else []
    graph = helper.make_graph(
        [*nodes, *NODES],
        "tiny",
        [helper.make_tensor_value_info("x", FLOAT, (1, 3, 12, 10))],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(B, "b"), *([] if inner else [tensor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    if content is not None:
        content.parent.mkdir(exist_ok=True)
        content.write_bytes(FILTERS.tobytes())
    return path


@pytest.mark.parametrize("location", ["data/w.bin", "./w.bin"])
def test_external_data_is_read_from_the_networks_folder(tmp_path, location):
    folder = tmp_path / "net"
    path = external(folder / "a.onnx", location, content=folder / location)
    network = Onnx.open(path, "imagenet")
    np.testing.assert_allclose(
        network.transform(images()).T, mixed(views()).mean(axis=(1, 2)), rtol=1e-5, atol=1e-5
    )
    before = network.settings()["sha256"]
    (folder / location).write_bytes((2 * FILTERS).tobytes())
    assert Onnx.open(path, "imagenet").settings()["sha256"] != before
    (folder / location).unlink()
    with pytest.raises(ModelError, match=r"its external data .* no such file"):
        Onnx.open(path, "imagenet")


def test_external_data_elsewhere_is_never_opened(tmp_path, monkeypatch):
    folder, secret = tmp_path / "net", tmp_path / "w.bin"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    secret.write_bytes(FILTERS.tobytes())
    opened = []
    real = onnx_file.open_regular
    monkeypatch.setattr(
        onnx_file, "open_regular", lambda path: opened.append(str(path)) or real(path)
    )
    for inner in (False, True):
        for place in ("../w.bin", secret, "link.bin", "out/w.bin", "x/../../w.bin", "", "a\0b"):
            path = external(folder / "a.onnx", place, inner=inner)
            with pytest.raises(ModelError, match="lies outside its folder"):
                onnx_file.read_network(path)
        path = external(folder / "a.onnx", "*/_ORT_MEM_ADDR_/*", inner=inner)
        with pytest.raises(ModelError, match="no such file"):
            onnx_file.read_network(path)
    assert not [path for path in opened if Path(path).name == "w.bin"]


def test_external_data_is_found_wherever_a_tensor_can_be():
    """In a network of every message within every other, eight deep, each tensor with its place."""
    places = set()

    def fill(message, place):
        if isinstance(message, onnx.TensorProto):
            places.add(place)
            message.external_data.add(key="location", value=place)
            return
        for field in message.DESCRIPTOR.fields if place.count("/") < 8 else ():
            if field.message_type:
                part = getattr(message, field.name)
                fill(part.add() if hasattr(part, "add") else part, f"{place}/{field.name}")

    model = onnx.ModelProto(ir_version=8)
    fill(model, "")
    assert "/graph/node/attribute/g/sparse_initializer/indices" in places
    assert onnx_file.find_locations(model.SerializeToString()) == places


@pytest.mark.parametrize("name", ["z" * 127, "z" * 128, "ü" * 20_000])
def test_an_added_output_is_what_protocol_buffers_read(tmp_path, name):
    nodes = [node("Relu", "x", name), node("Relu", name, "y")]
    data = save(tmp_path / "a.onnx", nodes).read_bytes()
    assert onnx_file.with_output("a", data, "y") == data
    changed = onnx.load_from_string(onnx_file.with_output("a", data, name))
    assert [output.name for output in changed.graph.output] == ["y", name]
    del changed.graph.output[1]
    assert changed == onnx.load_from_string(data)


def test_a_file_that_only_nests_or_only_goes_on_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_FIELDS", 2000)
    deep = b""
    for _ in range(200):  # Graph.node, Attribute.g, Node.attribute
        for number in (1, 6, 5):
            deep = onnx_file.encode_field(number, deep)
    entry = onnx_file.encode_field(13, b"\x12\x00" * 2001)
    path = tmp_path / "a.onnx"
    for data, words in (
        (onnx_file.encode_field(7, onnx_file.encode_field(1, deep)), "nested too deeply"),
        (b"\x52\x00" * 2001, "too many parts"),
        (b"\x08\x01" * 2001, "too many parts"),
        (onnx_file.encode_field(7, onnx_file.encode_field(5, entry)), "too many parts"),
        (b"\xff" * 20, "does not end"),
    ):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=words):
            onnx_file.read_network(path)


def test_a_file_damaged_where_tensors_are_listed_alone_is_refused():
    data = onnx_file.encode_field(7, onnx_file.encode_field(12, b"\x07"))
    assert onnx_file.find_locations(data) == set()
    with pytest.raises(ModelError, match="a damaged one"):
        onnx_file.with_output("a.onnx", data, "y")
