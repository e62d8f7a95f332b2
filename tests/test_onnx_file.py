"""The structure of ONNX files, and the data that lie outside them."""

from pathlib import Path

import numpy as np
import pytest

from catclf.errors import ModelError
from catclf.features.onnx import Onnx
from catclf.features.onnx import file as onnx_file
from tests.onnx_graphs import (
    FILTERS,
    FLOAT,
    NODES,
    B,
    helper,
    images,
    mixed,
    node,
    numpy_helper,
    onnx,
    save,
)


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
        network.transform(images()).T, mixed(images()).mean(axis=(1, 2)), rtol=1e-5, atol=1e-5
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
