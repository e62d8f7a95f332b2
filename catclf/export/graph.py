"""An ONNX graph in the making: nodes and their weights, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Graph:
    """Nodes in the order in which they are computed, and their weights."""

    def __init__(self) -> None:
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
