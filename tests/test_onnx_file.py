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
    PLAIN,
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


@pytest.mark.parametrize("location", ["w.bin", "data/w.bin", "./w.bin"])
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
    """Against all that onnx's own code finds, in a network that has tensors everywhere."""

    def tensor(location):
        made = onnx.TensorProto(name="t", data_type=FLOAT)
        made.external_data.add(key="location", value=location)
        return made

    def graph(name, **more):
        made = onnx.GraphProto(name=name, **more)
        made.initializer.append(tensor(f"{name}/initializer"))
        made.sparse_initializer.add().values.CopyFrom(tensor(f"{name}/values"))
        made.sparse_initializer.add().indices.CopyFrom(tensor(f"{name}/indices"))
        return made

    def attributes(name, deep):
        one = onnx.AttributeProto(name="one")
        one.t.CopyFrom(tensor(f"{name}/t"))
        one.tensors.append(tensor(f"{name}/tensors"))
        one.sparse_tensor.values.CopyFrom(tensor(f"{name}/sparse"))
        one.sparse_tensors.add().indices.CopyFrom(tensor(f"{name}/sparses"))
        if deep:
            inner = graph(f"{name}/g")
            inner.node.add().attribute.extend(attributes(f"{name}/inner", deep - 1))
            one.g.CopyFrom(inner)
            one.graphs.append(graph(f"{name}/graphs"))
        return [one]

    model = onnx.ModelProto(ir_version=8)
    model.graph.CopyFrom(graph("graph"))
    model.graph.node.add().attribute.extend(attributes("node", 3))
    model.functions.add().node.add().attribute.extend(attributes("function", 1))
    model.functions.add().attribute_proto.extend(attributes("proto", 1))
    model.training_info.add().algorithm.CopyFrom(graph("algorithm"))
    model.training_info.add().initialization.CopyFrom(graph("initialization"))
    data = model.SerializeToString()

    def walk(message):
        if isinstance(message, onnx.TensorProto):
            yield from (one.value for one in message.external_data if one.key == "location")
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                many = value if not hasattr(value, "ListFields") else [value]
                for one in many:
                    yield from walk(one)

    expected = set(walk(model))
    assert len(expected) > 30
    assert onnx_file.find_locations(data) == expected


@pytest.mark.parametrize("name", ["z", "z" * 127, "z" * 128, "ü" * 20_000])
def test_an_added_output_is_what_protocol_buffers_read(tmp_path, name):
    data = save(tmp_path / "a.onnx", NODES, PLAIN).read_bytes()
    with_it = onnx.load_from_string(data + onnx_file.encode_output(name))
    assert [one.name for one in with_it.graph.output] == ["y", name]
    del with_it.graph.output[1]
    assert with_it == onnx.load_from_string(data)


def test_tensors_are_listed(tmp_path):
    nodes = [node("Split", "x", "a b", axis=2), node("Add", "a b", "y")]
    data = save(tmp_path / "a.onnx", nodes).read_bytes()
    assert onnx_file.list_tensors(data) == (["y"], ["a", "b", "y"])


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


def test_names_in_messages_keep_to_one_line(tmp_path):
    path = external(tmp_path / "a.onnx", "w\n.bin")
    with pytest.raises(ModelError, match=r"its external data 'w\\n.bin': no such file"):
        onnx_file.read_network(path)


def test_a_file_damaged_where_tensors_are_listed_alone_is_refused():
    data = onnx_file.encode_field(7, onnx_file.encode_field(12, b"\x07"))
    assert onnx_file.find_locations(data) == set()
    with pytest.raises(ModelError, match="a damaged one"):
        onnx_file.with_output("a.onnx", data, "y")
