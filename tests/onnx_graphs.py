"""Tiny networks in ONNX files, made for the tests, and the same arithmetic in numpy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.features.onnx import parse_normalisation

onnx = pytest.importorskip("onnx", reason="onnx, which makes the networks, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the extra onnx, is not installed")

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8

rng = np.random.default_rng(5)
W = rng.normal(size=(4, 3)).astype(np.float32)
B = rng.normal(size=4).astype(np.float32)
FILTERS = W.reshape(4, 3, 1, 1)
MEAN, SCALE = parse_normalisation("imagenet")


def save(path, nodes, weights=(), shape=(1, 3, 12, 10), *, kind=FLOAT, outputs=("y",), **more):
    """Write a network with one input x, and outputs of which nothing but the name is said."""
    inputs = more.pop("inputs", [("x", kind, shape)])
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(weights).items()],
    )
    opsets = [helper.make_opsetid("", 17), *more.pop("opsets", [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = Path(path)
    path.write_bytes(model.SerializeToString())
    return path


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


NODES = [node("Conv", "x w b", "y")]
PLAIN = {"w": FILTERS, "b": B}


def mixing(path, shape=(1, 3, 12, 10)):
    """Write a network that mixes the colours of each pixel: y = W x + B."""
    return save(path, NODES, PLAIN, shape)


def images(m=3, height=16, width=14):
    return np.random.default_rng(1).integers(0, 256, (m, height, width, 3), dtype=np.uint8)


def views(m=3, height=12, width=10):
    """Cut what a network of this size sees of larger `images`: the whole above its middle."""
    top, left = round(height / 6), round(width / 6)
    larger = images(m, height + 2 * top, width + 2 * left)
    bilinear = Image.Resampling.BILINEAR
    whole = [Image.fromarray(image).resize((width, height), bilinear) for image in larger]
    middle = larger[:, top : top + height, left : left + width]
    return np.concatenate([np.array(whole), middle], axis=1)


def mixed(pixels, mean=MEAN, scale=SCALE):
    """Do what `mixing` does, position by position: (m, height, width, 4)."""
    x = (pixels.astype(np.float64) - np.array(mean)) / np.array(scale)
    return np.einsum("fc,mhwc->mhwf", W, x) + B


def textured(path, shape=(1, 3, 24, 20)):
    """Write a network of one layer with filters of 3 × 3."""
    filters = np.random.default_rng(2).normal(size=(16, 3, 3, 3)).astype(np.float32)
    nodes = [node("Conv", "x w", "z"), node("Relu", "z", "y")]
    return save(path, nodes, {"w": filters}, shape)
