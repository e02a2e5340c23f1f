"""What is left to do with the numbers that the last layer answers, in numpy: they are few."""

from collections.abc import Callable, Sequence

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import reading
from darkroom.runtimes.onnx_graph import Graph, Node

Call = Callable[[np.ndarray], np.ndarray]  # float32 (1, channels) → the same


def begins(graph: Graph, node: Node) -> bool:
    """Whether the node is one of those that are done here, rather than a layer."""
    if node.operator == "Gemm":
        return len(node.inputs) > 1 and node.inputs[1] in graph.constants
    return node.operator in ("Softmax", "Sigmoid")


def read(graph: Graph, name: str, channels: int) -> tuple[Sequence[Call], Sequence[Node], int]:
    """From the tensor ``name`` to the output: calls, the nodes they stand for, how many channels come out.

    Raises Unsupported.
    """
    calls: list[Call] = []
    nodes: list[Node] = []
    while name != graph.output.name:
        users = graph.users.get(name, ())
        if len(users) != 1 or users[0].inputs[0] != name or len(users[0].outputs) != 1:
            raise Unsupported("its answer is computed in more than one way")
        (node,) = users
        if node.operator == "Gemm" and begins(graph, node):
            call, channels = _matrix(graph, node, channels)
        elif node.operator == "Relu":
            call = _relu
        elif node.operator in ("Softmax", "Sigmoid"):
            call = softmax if node.operator == "Softmax" else _sigmoid
            if node.whole("axis", 1) not in (1, -1):
                raise Unsupported(f"its {node.operator} is one over axis {node.whole('axis', 1)}")
        else:
            raise Unsupported(f"its answer goes through a {node.operator}")
        calls.append(call)
        nodes.append(node)
        name = node.outputs[0]
    if graph.users.get(name):
        raise Unsupported("its answer is not the last thing that it computes")
    return calls, nodes, channels


def _relu(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(values, 0), np.float32)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Of the negative size, whose power overflows for none."""
    power = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1, power) / (1 + power), np.float32)


def _matrix(graph: Graph, node: Node, channels: int) -> tuple[Call, int]:
    """A Gemm in float32."""
    matrix = graph.constants[node.inputs[1]]
    if matrix.ndim != 2 or matrix.dtype != np.float32 or node.whole("transA", 0):
        raise Unsupported(f"its Gemm has a matrix of shape {matrix.shape} and {matrix.dtype}")
    matrix = matrix.T if node.whole("transB", 0) else matrix
    if matrix.shape[0] != channels or (node.real("alpha", 1.0), node.real("beta", 1.0)) != (1.0, 1.0):
        raise Unsupported(f"its Gemm has a matrix of shape {matrix.shape} for {channels} channels")
    kept = np.array(matrix, np.float32)  # a copy: the file goes
    bias = reading.numbers(graph, node, 2, kept.shape[1]) if len(node.inputs) > 2 else np.zeros(kept.shape[1])
    shift = bias.astype(np.float32)
    return lambda values: np.asarray(values @ kept + shift, np.float32), kept.shape[1]
