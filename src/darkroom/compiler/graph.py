"""An ONNX model as a graph that can be asked and edited: who makes a tensor, who uses it, what is constant.

Edits go to a copy; the model that was given stays as it is. Knows ONNX's containers and no operator's meaning.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass
class Graph:
    """Nodes in running order, constants by name. ``inputs`` and ``outputs`` are as in the model."""

    nodes: list[onnx.NodeProto]
    constants: dict[str, onnx.TensorProto]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    model: onnx.ModelProto  # what it came from: its opset, producer and name

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "Graph":
        graph = model.graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        return cls(nodes, constants, inputs, list(graph.output), model)

    def to_model(self) -> onnx.ModelProto:
        """A model of its own, without the constants that nothing uses."""
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for name, tensor in self.constants.items() if name in used]
        graph = helper.make_graph(self.nodes, self.model.graph.name, self.inputs, self.outputs, kept)
        return helper.make_model(
            graph,
            opset_imports=list(self.model.opset_import),
            ir_version=self.model.ir_version,
            producer_name=self.model.producer_name,
            producer_version=self.model.producer_version,
        )

    def makers(self) -> dict[str, onnx.NodeProto]:
        """Tensor → the node that makes it."""
        return {name: node for node in self.nodes for name in node.output}

    def users(self) -> dict[str, list[onnx.NodeProto]]:
        """Tensor → the nodes that take it, once for each place they take it in."""
        users = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                users[name].append(node)
        return users

    def array(self, name: str) -> np.ndarray | None:
        """The values of a constant; None for what is computed."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def constant(self, name: str, array: np.ndarray) -> str:
        """Adds a constant, or replaces the one of that name; returns the name."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def is_output(self, name: str) -> bool:
        return any(value.name == name for value in self.outputs)

    def remove(self, nodes: Iterable[onnx.NodeProto]) -> None:
        gone = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in gone]

    def rename(self, old: str, new: str) -> None:
        """Every user of ``old`` takes ``new`` instead."""
        for node in self.nodes:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default
