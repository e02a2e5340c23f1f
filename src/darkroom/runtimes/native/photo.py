"""What a photo's bytes become before the first layer: a table, computed as the graph says it, for each channel."""

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import reading
from darkroom.runtimes.native.layers import Photo, Shape, Stored
from darkroom.runtimes.native.structures import BYTES, GROUP
from darkroom.runtimes.onnx_graph import FLOAT, UINT8, Graph, Node

_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def read(graph: Graph) -> tuple[Photo, list[Node]]:
    """The layer and the nodes that it stands for: from the input to where it is bytes again. Raises Unsupported."""
    shape = _shape(graph)
    values = np.broadcast_to(np.arange(256, dtype=np.float32)[:, np.newaxis], (1, shape.channels, 256, 1))
    nodes = _chain(graph)
    kinds = [node.operator for node in nodes]
    if sorted(kinds[:2]) != ["Cast", "Transpose"] or kinds[-1] != "QuantizeLinear":
        raise Unsupported("its input is not a photo that is rounded to bytes")
    for node in nodes[:2]:
        if node.whole("to", FLOAT) != FLOAT or node.wholes("perm", (0, 3, 1, 2)) != (0, 3, 1, 2):
            raise Unsupported("its input is no photo with channels last")
    for node in nodes[2:-1]:
        values = _applied(graph, node, values)
    levels = reading.levels(graph, nodes[-1])
    if levels.kind != BYTES:
        raise Unsupported("its photo becomes signed bytes")
    rounded = np.rint(values / np.float32(levels.scale)) + levels.zero
    if not np.isfinite(rounded).all():
        raise Unsupported("its photo becomes what is no number")
    table = np.clip(rounded, 0, 255).astype(np.uint8).reshape(shape.channels, 256)
    return Photo(shape, table, Stored(nodes[-1].outputs[0], shape, levels, GROUP)), nodes


def _shape(graph: Graph) -> Shape:
    given = graph.input
    if given.kind != UINT8 or given.shape is None or len(given.shape) != 4 or None in given.shape[1:]:
        raise Unsupported(f"it takes type {given.kind} of shape {given.shape}; expected the bytes of photos")
    rows, columns, channels = (extent or 0 for extent in given.shape[1:])
    if min(rows, columns, channels) < 1 or channels > GROUP:
        raise Unsupported(f"it takes photos of {rows} x {columns} pixels with {channels} channels")
    if given.shape[0] not in (None, 1):
        raise Unsupported(f"it takes {given.shape[0]} photos at once")
    return reading.bounded(Node("input", (), ("",)), Shape(channels, rows, columns))


def _chain(graph: Graph) -> list[Node]:
    """What is done to the photo, one after the other, up to where it is rounded."""
    nodes: list[Node] = []
    name = graph.input.name
    while not nodes or nodes[-1].operator != "QuantizeLinear":
        users = graph.users.get(name, ())
        if len(users) != 1 or len(users[0].outputs) != 1 or name == graph.output.name:
            raise Unsupported("its photo is taken in more than one way before it is rounded to bytes")
        nodes.append(users[0])
        name = users[0].outputs[0]
    return nodes


def _applied(graph: Graph, node: Node, values: np.ndarray) -> np.ndarray:
    """``values``: float32 (1, channels, 256, 1)."""
    channels = values.shape[1]
    if node.operator == "BatchNormalization":
        reading.normalisation(graph, node, channels)  # that there is one
        gamma, beta, mean, variance = (graph.constants[name].reshape(-1, 1, 1) for name in node.inputs[1:5])
        spread = np.sqrt(variance + np.float32(node.real("epsilon", 1e-5)))
        return np.asarray((values - mean) / spread * gamma + beta, np.float32)
    if node.operator not in _ARITHMETIC or len(node.inputs) != 2:
        raise Unsupported(f"its photo goes through a {node.operator}")
    place = 1 if node.inputs[0] not in graph.constants else 0
    operand = reading.constant(graph, node, place)
    if operand.shape not in ((), (1,), (channels, 1, 1), (1, channels, 1, 1)) or operand.dtype != np.float32:
        raise Unsupported(f"its {node.operator} takes a constant of shape {operand.shape}")
    pair = (values, operand) if place else (operand, values)
    with np.errstate(all="ignore"):  # what is no number is refused at the end
        return np.asarray(_ARITHMETIC[node.operator](*pair), np.float32)
