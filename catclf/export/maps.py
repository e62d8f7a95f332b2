"""The nodes of each feature map: the image, float32 (n, 3, height, width), → X (n, n_x)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from catclf.common.types import Float32
from catclf.export.graph import Graph, both_ways, cut_middle, integers
from catclf.export.network import own_network
from catclf.features.conv import SIDE, VIEW, Conv, read_network
from catclf.features.feature_map import cells
from catclf.features.patches import CONTRAST_FLOOR, POSITIONS, Patches
from catclf.features.patches import SIDE as PATCH
from catclf.features.pixels import Pixels
from catclf.features.views import reduction


def pixels(graph: Graph, image: str, of: Pixels) -> str:
    """Flatten the image row by row, the three colours of a pixel side by side."""
    rows = graph.add("Transpose", image, perm=[0, 2, 3, 1])
    return graph.add("Flatten", graph.add("Div", rows, np.float32(255)))


def patches(graph: Graph, image: str, of: Patches) -> str:
    """Code each patch, at its own position of maps of 59 × 59, and pool the codes."""
    size = PATCH * PATCH * 3
    numbers = graph.add("Conv", image, _filters(np.eye(size, dtype=np.float32), PATCH))
    centred = graph.add("Sub", numbers, graph.add("ReduceMean", numbers, axes=[1]))
    variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[1])
    contrast = graph.add("Sqrt", graph.add("Add", variance, np.float32(CONTRAST_FLOOR)))
    normalised = graph.add("Div", centred, contrast)
    whitened = graph.add("Conv", normalised, _filters(of.whitening, 1), -of.offset @ of.whitening)
    squares = graph.add("ReduceSum", graph.add("Mul", whitened, whitened), integers(1))
    similarity = graph.add("Conv", whitened, _filters(2 * of.dictionary.T, 1))
    apart = graph.add("Sub", graph.add("Add", squares, np.float32(1)), similarity)
    z = graph.add("Sqrt", graph.add("Relu", apart))
    codes = graph.add("Relu", graph.add("Sub", graph.add("ReduceMean", z, axes=[1]), z))
    starts = cells(POSITIONS, of.pool)
    in_cell = np.arange(POSITIONS) >= starts[:, None]
    in_cell[:-1] &= ~in_cell[1:]
    pooling = (in_cell / in_cell.sum(axis=1, keepdims=True)).astype(np.float32)
    pooled = graph.add("Sqrt", both_ways(graph, codes, pooling))
    return graph.add("Flatten", graph.add("Transpose", pooled, perm=[0, 2, 3, 1]))


def conv(graph: Graph, image: str, of: Conv) -> str:
    """Run the shipped network on both views, one batch, and average what it makes of them."""
    network = read_network()
    whole = both_ways(graph, image, reduction(SIDE, VIEW).astype(np.float32))
    middle = cut_middle(graph, image, (SIDE, SIDE), (VIEW, VIEW))
    views = graph.add("Concat", whole, middle, axis=0)
    a = graph.add("Add", graph.add("Mul", views, network.scale), network.shift)
    for layer in network.layers:
        k = len(layer.weight)
        weight = layer.weight.transpose(3, 2, 0, 1)
        z = graph.add("Conv", a, weight, layer.bias, pads=[k // 2] * 4)
        if layer.residual:
            z = graph.add("Add", z, a)
        a = graph.add("Relu", z)
        if layer.pooled:
            a = graph.add("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2])
    means = graph.add("Reshape", graph.add("GlobalAveragePool", a), integers(2, -1, of.n_x))
    return graph.add("ReduceMean", means, axes=[0], keepdims=0)


def _filters(matrix: Float32, side: int) -> Float32:
    """Turn a matrix that patches (n, side · side · channels) are multiplied by into filters."""
    return matrix.T.reshape(matrix.shape[1], side, side, -1).transpose(0, 3, 1, 2)


NODES: dict[str, Callable[[Graph, str, Any], str]] = {
    "pixels": pixels,
    "patches": patches,
    "conv": conv,
    "onnx": own_network,
}
"""What adds a map's nodes to a graph, by the map's name."""
