"""The nodes of a network of the user's own, taken into a graph once for each view."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from catclf.errors import ModelError
from catclf.export.graph import Graph, cut_middle
from catclf.features.onnx import Onnx
from catclf.features.onnx.network import Network
from catclf.features.views import reduction


def own_network(graph: Graph, image: str, of: Onnx) -> str:
    """Run the network on each view, and average what comes of it, over places where it has any."""
    network = of.find_network()
    model = _read(network, graph.opsets[""])
    graph.ir_version = max(graph.ir_version, model.ir_version)
    for used in model.opset_import:
        graph.opsets[used.domain if used.domain != "ai.onnx" else ""] = used.version
    graph.functions += model.functions
    shapes = {one.name: one.type.tensor_type.shape for one in model.graph.input}
    graph.batch = shapes[network.input].dim[0].dim_value or graph.batch
    names = {tensor.name: f"network/{tensor.name}" for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    graph.weights += model.graph.initializer
    views = {"whole": image}
    if of.view != of.image_size:
        views["whole"] = _reduce(graph, image, of.image_size, of.view)
        views["middle"] = cut_middle(graph, image, of.image_size, of.view)
    grey = np.full((*of.view, 3), 128, dtype=np.uint8)
    places_last = network.has_places_last(network.run_plain(grey).shape)
    rows = []
    for prefix, view in views.items():
        of_view = {**names, network.input: _feed(graph, view, network), "": ""}
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]

        def renamed(name: str, prefix: str = prefix, names: dict[str, str] = of_view) -> str:
            return names.get(name, f"{prefix}/{name}")

        _rename(nodes, renamed)
        graph.nodes += nodes
        output = graph.add("Cast", renamed(network.output), to=TensorProto.FLOAT)
        if places_last is not None:
            maps = output if places_last else graph.add("Transpose", output, perm=[0, 3, 1, 2])
            output = graph.add("GlobalAveragePool", maps)
        rows.append(graph.add("Flatten", output))
    return graph.add("Mean", *rows)


def _read(network: Network, opset: int) -> ModelProto:
    """Read the network and its external data, its operators those of this version or a later."""
    try:
        model = onnx.load(network.name, format="protobuf")
        versions = [used.version for used in model.opset_import if used.domain in ("", "ai.onnx")]
        if min(versions, default=opset) < opset:
            model = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # of the C++ library and of Protocol Buffers
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{network.name}: cannot be brought to opset {opset} ({reason}); export it anew"
        ) from error
    return model


def _reduce(graph: Graph, image: str, size: tuple[int, int], view: tuple[int, int]) -> str:
    """Resize to a view as Pillow does: first along rows, weights of 22 bits, each sum to a byte."""
    maps = graph.add("Cast", image, to=TensorProto.DOUBLE)
    for axis in (1, 0):
        weights = np.floor(reduction(size[axis], view[axis]) * 2**22 + 0.5) / 2**22
        operands = (maps, weights.T) if axis else (weights, maps)
        sums = graph.add("MatMul", *operands)
        maps = graph.add("Floor", graph.add("Add", sums, np.array(0.5)))
    return graph.add("Cast", maps, to=TensorProto.FLOAT)


def _feed(graph: Graph, view: str, network: Network) -> str:
    """Turn a view into what the network takes."""
    if network.dtype != np.uint8:
        view = graph.add("Sub", view, network.mean.reshape(3, 1, 1))
        view = graph.add("Div", view, network.scale.reshape(3, 1, 1))
    if not network.channels_first:
        view = graph.add("Transpose", view, perm=[0, 2, 3, 1])
    return graph.add("Cast", view, to=helper.np_dtype_to_tensor_dtype(np.dtype(network.dtype)))


def _rename(nodes: Iterable[NodeProto], renamed: Callable[[str], str]) -> None:
    """Give the nodes, and those of the graphs within them, and their tensors other names."""
    for node in nodes:
        node.name = renamed(node.name)
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                for one in (*inner.input, *inner.output, *inner.initializer, *inner.value_info):
                    one.name = renamed(one.name)
                _rename(inner.node, renamed)
