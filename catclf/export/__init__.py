"""A model → an ONNX network that takes images and gives probabilities, for other programs."""

from __future__ import annotations

import json
import os

import numpy as np

from catclf.common.files import OutputFormat
from catclf.common.version import __version__
from catclf.errors import ModelError, OutputError
from catclf.features.onnx.file import NetworkFile
from catclf.features.onnx.network import load_session
from catclf.model import Model

ONNX_FILE = OutputFormat(
    "network",
    OutputError,
    rb"\x08.\x12\x06catclf",  # the version of the file, and the producer
    "what is there is no network that catclf export wrote; name another file",
)
PREPROCESSING = (
    "Turn the photo upright as its EXIF orientation says, lay what is transparent on white, and "
    "convert it to RGB of 8 bits. Squash the whole frame, uncropped, to {width} pixels wide and "
    "{height} high by antialiased bilinear resampling, as catclf does by Pillow's draft, at least "
    "twice that size, then BILINEAR with a reducing_gap of 2.0. The pixels, 0 to 255, go in as "
    "uint8 (n, {height}, {width}, 3), rows from the top. All else is in the graph."
)


def write_onnx(model: Model, path: str | os.PathLike[str], sha256: str = "") -> None:
    """Write a model as an ONNX network, whole or not at all.

    It takes `image`, uint8 (n, height, width, 3), and gives `probability`, float32 (n,), of class
    1, and `label`, int64 (n,), the class. `sha256`, the digest of the model's file, is kept in its
    metadata. Of what is there already, only such a network is replaced.

    Raises
    ------
    OutputError
        If it cannot be written.
    ModelError
        If the package onnx is missing, or the model cannot be said in ONNX and float32.
    """
    ONNX_FILE.check(path)
    try:
        from onnx import TensorProto, checker, helper
    except ImportError:
        raise ModelError(
            "to write ONNX needs the package onnx: pip install 'catclf[onnx]'"
        ) from None
    from catclf.export.graph import Graph, integers
    from catclf.export.maps import NODES

    if model.features.name not in NODES:
        raise ModelError(f"features {model.features.name} cannot be written as ONNX")
    with np.errstate(over="ignore"):
        w, b = (np.float32(value / model.temperature) for value in (model.w, model.b))
    if not (np.isfinite(w).all() and np.isfinite(b)):
        raise ModelError("the model's weights are too large for float32; train it again")
    graph = Graph()
    pixels = graph.add("Cast", "image", to=TensorProto.FLOAT)
    pixels = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    X = NODES[model.features.name](graph, pixels, model.features)
    A = graph.add("Sigmoid", graph.add("Add", graph.add("MatMul", X, w), b))
    A = graph.add("Reshape", A, integers(-1))
    above = graph.add("Greater", A, np.float32(model.threshold))
    graph.nodes += [
        helper.make_node("Identity", [A], ["probability"]),
        helper.make_node("Cast", [above], ["label"], to=TensorProto.INT64),
    ]
    height, width = model.features.image_size
    value = helper.make_tensor_value_info
    image = value("image", TensorProto.UINT8, [graph.batch, height, width, 3])
    probability = value("probability", TensorProto.FLOAT, [graph.batch])
    label = value("label", TensorProto.INT64, [graph.batch])
    network = helper.make_model(
        helper.make_graph(graph.nodes, "catclf", [image], [probability, label], graph.weights),
        opset_imports=[helper.make_opsetid(*used) for used in graph.opsets.items()],
        functions=graph.functions,
        ir_version=graph.ir_version,
        producer_name="catclf",
        producer_version=__version__,
    )
    metadata = {
        "classes": json.dumps(model.classes),
        "threshold": repr(model.threshold),
        "catclf_version": __version__,
        "model_sha256": sha256,
        "trusted": f"not with photos: {model.distrust}" if model.distrust else "with photos",
        "preprocessing": PREPROCESSING.format(height=height, width=width),
    }
    helper.set_model_props(network, metadata)
    try:
        data = network.SerializeToString(deterministic=True)
        checker.check_model(data, full_check=True)
    except Exception as error:  # of the C++ library and of Protocol Buffers
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"what is to be written is no valid ONNX: {reason}") from error
    _try(data, model)
    with ONNX_FILE.replacing(path) as file:
        file.write(data)


def _try(data: bytes, model: Model) -> None:
    """Run a network on noise; raise ModelError unless the model gives the same probability."""
    session = load_session("what is to be written", NetworkFile(data, {}, ""))
    noise = np.random.default_rng(0).integers(0, 256, (1, *model.features.image_size, 3), np.uint8)
    (probability,) = session.run(["probability"], {"image": noise})
    if not np.allclose(probability, model.probabilities(noise), rtol=0, atol=1e-3):
        raise ModelError("its network does not do in ONNX of another version what it does as it is")
