"""Rewrites of a graph that change no answer: nodes that only change a tensor's shape go, and pools work on bytes."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from darkroom.runtimes.onnx_graph import FLOAT, Graph, Node

_FLAT = ((0, -1), (1, -1))  # shapes that a Reshape makes as Flatten does: one row for a photo


def simplify(graph: Graph) -> Graph:
    """Raises ScanError."""
    return pool_bytes(without_idle(graph))


def widened(graph: Graph) -> Graph:
    """Constants that are only stored in 16 bits, as float32."""
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        given = constants.get(node.inputs[0]) if node.operator == "Cast" and len(node.outputs) == 1 else None
        if given is not None and given.dtype == np.float16 and node.whole("to", 0) == FLOAT:
            constants[node.outputs[0]] = given.astype(np.float32)
        else:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def without_idle(graph: Graph) -> Graph:
    """Channels of one pixel in a row are the same numbers as channels of one pixel in a map."""
    names: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        if len(node.outputs) == 1 and _IDLE.get(node.operator, _never)(graph, node):
            names[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    output = replace(graph.output, name=names.get(graph.output.name, graph.output.name))
    return Graph(tuple(nodes), graph.constants, graph.input, output)


def _flattens(graph: Graph, node: Node) -> bool:
    return len(node.inputs) == 1 and node.whole("axis", 1) == 1


def _reshapes(graph: Graph, node: Node) -> bool:
    shape = graph.constants.get(node.inputs[1]) if len(node.inputs) == 2 else None
    return shape is not None and tuple(shape.ravel().tolist()) in _FLAT


def _squeezes(graph: Graph, node: Node) -> bool:
    given = graph.constants.get(node.inputs[1]) if len(node.inputs) == 2 else None
    axes = node.wholes("axes", ()) if given is None else given.ravel().tolist()
    return sorted(axis % 4 for axis in axes) == [2, 3]


def _always(graph: Graph, node: Node) -> bool:
    return bool(node.inputs)


def _never(graph: Graph, node: Node) -> bool:
    return False


_IDLE: Mapping[str, Callable[[Graph, Node], bool]] = {
    "Flatten": _flattens,
    "Reshape": _reshapes,
    "Squeeze": _squeezes,
    "Identity": _always,
    "Dropout": _always,  # where nothing is trained
}


def pool_bytes(graph: Graph) -> Graph:
    """MaxPool → QuantizeLinear becomes QuantizeLinear → MaxPool: the largest of what is rounded is the largest rounded.

    Who takes the pool in float32 still does.
    """
    nodes: list[Node] = []
    gone: set[Node] = set()
    for node in graph.nodes:
        if node in gone:
            continue
        if node.operator == "MaxPool" and len(node.outputs) == 1 and not _in_bytes(graph, node):
            pairs = [pair for user in graph.users[node.outputs[0]] if (pair := _pair(graph, user))]
            for quantise, dequantise in pairs:
                nodes += _pooled(graph, node, quantise, dequantise)
                gone |= {quantise, dequantise}
            if pairs and len(pairs) == len(graph.users[node.outputs[0]]) and graph.output.name != node.outputs[0]:
                continue
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _in_bytes(graph: Graph, node: Node) -> bool:
    maker = graph.makers.get(node.inputs[0])
    return maker is not None and maker.operator == "DequantizeLinear"


def _pair(graph: Graph, node: Node) -> tuple[Node, Node] | None:
    """A QuantizeLinear and the one DequantizeLinear that undoes it."""
    if node.operator != "QuantizeLinear" or node.outputs[0] == graph.output.name:
        return None
    users = graph.users[node.outputs[0]]
    if len(users) != 1 or users[0].operator != "DequantizeLinear" or users[0].inputs[1:] != node.inputs[1:]:
        return None
    return node, users[0]


def _pooled(graph: Graph, pool: Node, quantise: Node, dequantise: Node) -> list[Node]:
    """The bytes keep their name, though they are of the larger map now."""
    name = f"{dequantise.outputs[0]}_unpooled"
    while name in graph.makers or name in graph.constants or name == graph.input.name:
        name += "_"
    return [
        replace(quantise, inputs=(pool.inputs[0], *quantise.inputs[1:])),
        replace(dequantise, outputs=(name,)),
        replace(pool, inputs=(name,), outputs=dequantise.outputs),
    ]
