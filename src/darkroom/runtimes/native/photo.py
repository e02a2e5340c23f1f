"""What a photo's bytes become before the first layer: a table, computed as the graph says it, for each channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import reading
from darkroom.runtimes.native.layers import Affine, Levels, Photo, Shape, Stored
from darkroom.runtimes.native.structures import BYTES, MOST_CHANNELS, SHORTS
from darkroom.runtimes.onnx_graph import FLOAT, UINT8, Graph, Node

_CHAIN = ("Transpose", "Cast", "BatchNormalization", "Add", "Sub", "Mul", "Div", "QuantizeLinear")
_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


@dataclass(frozen=True, eq=False)
class Taken:
    """The layer, and the nodes it stands for. ``affine``: what its bytes still go through to be the tensor ``name``."""

    layer: Photo
    nodes: Sequence[Node]
    name: str
    affine: Affine | None = None


def read(graph: Graph) -> Taken:
    """From the input to where it is bytes again; where it stays in float, the bytes as they are. Raises Unsupported."""
    shape = _shape(graph)
    values = np.broadcast_to(np.arange(256, dtype=np.float32)[:, np.newaxis], (1, shape.channels, 256, 1))
    nodes = _chain(graph)
    if sorted(node.operator for node in nodes[:2]) != ["Cast", "Transpose"]:
        raise Unsupported("its input is not a photo")
    for node in nodes[:2]:
        if node.whole("to", FLOAT) != FLOAT or node.wholes("perm", (0, 3, 1, 2)) != (0, 3, 1, 2):
            raise Unsupported("its input is no photo with channels last")
    rounds = nodes[-1].operator == "QuantizeLinear"
    for node in nodes[2:-1] if rounds else nodes[2:]:
        values = _applied(graph, node, values)
    if not np.isfinite(values).all():
        raise Unsupported("its photo becomes what is no number")
    name = nodes[-1].outputs[0]
    table = values.reshape(shape.channels, 256)
    if not rounds:
        return _as_it_is(graph, shape, table.astype(np.float64), nodes)
    levels = reading.levels(graph, nodes[-1])
    if levels.kind not in (BYTES, SHORTS):
        raise Unsupported("its photo becomes signed bytes")
    with np.errstate(over="ignore"):
        rounded = np.rint(table / np.float32(levels.scale)) + levels.zero
    rounded = np.clip(rounded, *levels.limits).astype(np.uint8 if levels.kind == BYTES else np.int16)
    return Taken(Photo(shape, rounded, Stored(name, shape, levels, group=1)), nodes, name)


def _as_it_is(graph: Graph, shape: Shape, table: np.ndarray, nodes: Sequence[Node]) -> Taken:
    """All that is done to it is a scale and a shift for each channel, whatever the operators are."""
    each = np.broadcast_to(np.arange(256, dtype=np.uint8), table.shape)
    into = Stored(graph.input.name, shape, Levels(BYTES, 1.0, 0), group=1)
    affine = Affine((table[:, -1] - table[:, 0]) / 255, table[:, 0])
    return Taken(Photo(shape, each, into), nodes, nodes[-1].outputs[0], affine)


def _shape(graph: Graph) -> Shape:
    given = graph.input
    if given.kind != UINT8 or given.shape is None or len(given.shape) != 4 or None in given.shape[1:]:
        raise Unsupported(f"it takes type {given.kind} of shape {given.shape}; expected the bytes of photos")
    rows, columns, channels = (extent or 0 for extent in given.shape[1:])
    if min(rows, columns, channels) < 1 or channels > MOST_CHANNELS:
        raise Unsupported(f"it takes photos of {rows} x {columns} pixels with {channels} channels")
    if given.shape[0] not in (None, 1):
        raise Unsupported(f"it takes {given.shape[0]} photos at once")
    return reading.bounded(Node("input", (), ("",)), Shape(channels, rows, columns))


def _chain(graph: Graph) -> list[Node]:
    """What is done to the photo, one after the other, up to where it is rounded or something else begins."""
    nodes: list[Node] = []
    name = graph.input.name
    while not nodes or nodes[-1].operator != "QuantizeLinear":
        users = graph.users.get(name, ())
        if len(users) != 1 or len(users[0].outputs) != 1 or users[0].operator not in _CHAIN:
            break
        nodes.append(users[0])
        name = users[0].outputs[0]
    if len(nodes) < 2 or name == graph.output.name:
        raise Unsupported("its input is not a photo")
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
