"""An ONNX graph in the making: nodes and their weights, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from catclf.common.types import Float32


class Graph:
    """Nodes in the order in which they are computed, their weights, and what they rely on."""

    def __init__(self) -> None:
        self.batch: int | str = "n"
        self.ir_version, self.opsets = 8, {"": 17}  # of 2022: what reads ONNX reads these
        self.functions: list[FunctionProto] = []
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, op: str, *inputs: str | NDArray[Any] | np.float32, **attributes: Any) -> str:
        """Add a node that takes tensors, by name, and arrays; give the name of what it makes."""
        output = f"{op}_{len(self.nodes)}"
        names = [one if isinstance(one, str) else self._keep(np.asarray(one)) for one in inputs]
        self.nodes.append(helper.make_node(op, names, [output], output, **attributes))
        return output

    def _keep(self, array: NDArray[Any]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name


def integers(*values: int) -> NDArray[np.int64]:
    """Give the array in which nodes take axes, bounds and shapes."""
    return np.array(values, dtype=np.int64)


def both_ways(graph: Graph, maps: str, matrix: Float32) -> str:
    """Multiply the columns and the rows of each map by a matrix."""
    return graph.add("MatMul", graph.add("MatMul", matrix, maps), matrix.T)


def cut_middle(graph: Graph, maps: str, size: tuple[int, int], inner: tuple[int, int]) -> str:
    """Cut the middle, of height and width `inner`, out of maps of this size."""
    begin = [(n - kept) // 2 for n, kept in zip(size, inner, strict=True)]
    end = [start + kept for start, kept in zip(begin, inner, strict=True)]
    return graph.add("Slice", maps, integers(*begin), integers(*end), integers(2, 3))
