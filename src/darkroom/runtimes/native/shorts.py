"""A graph of float32 in whole numbers of 16 bits, given how far from zero its tensors are on photos.

For processors that multiply shorts (AVX-512 VNNI) and have no bfloat16: they do twice as many in a second as of floats.
Sums of shorts have to fit 32 bits. So what a layer takes and what it multiplies with share the bits that there are, and
the weights of each output are as fine as their sum allows: none can overflow, whatever the photo. With some thousand
products for a sum that is 11 bits each, with some hundred 13; bfloat16 has 8.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isqrt

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native.layers import MAX_SUM
from darkroom.runtimes.native.reading import BOUNDS
from darkroom.runtimes.native.structures import LIMITS, SHORTS
from darkroom.runtimes.onnx_graph import Graph, Node

Range = tuple[float, float]  # the least and the most that was seen
Bounds = tuple[int, int]

LAYERS = ("Conv", "Gemm")
POOLS = ("MaxPool", "GlobalAveragePool")
HEADROOM = 2.0  # times what was seen is not clipped
MOST = LIMITS[SHORTS][1]
# The levels of a tensor, squared, times the products of a sum: the sum's 31 bits; one, as positive and negative weights
# are half each; two, as weights are a quarter of the largest on average; one, for twice the levels that weights have.
SHARED_BITS = 35
LEAST_SCALE = 1e-30  # of what never is anything but zero
SLACK = 1 << 12  # for scales that are rounded to float32


def quantised(graph: Graph, ranges: Mapping[str, Range]) -> Graph:
    """Each tensor of ``ranges`` rounded where it is made, for the layers, sums and pools that take it.

    Raises Unsupported, and ScanError for attributes that are not what they should be.
    """
    rewrite = _Rewrite(graph, ranges)
    rewrite.round(graph.input.name)
    for node in graph.nodes:
        rewrite.add(node)
    return Graph(tuple(rewrite.used()), rewrite.constants, graph.input, graph.output)


class _Rewrite:
    def __init__(self, graph: Graph, ranges: Mapping[str, Range]) -> None:
        self.graph, self.ranges = graph, ranges
        self.constants = dict(graph.constants)
        self.nodes: list[Node] = []
        self.rounded: dict[str, str] = {}  # tensor → what it is after 16 bits
        self.bounds: dict[str, Bounds] = {}  # of the same tensors, in levels
        self._names = {*graph.constants, *graph.makers, graph.input.name}

    def add(self, node: Node) -> None:
        given = node.inputs[0]
        if self._weight(node) is not None and given in self.rounded:
            node = self._taking(self._in_whole_numbers(node), range(1))
        elif node.operator == "Add" and not any(name in self.constants for name in node.inputs):
            node = self._taking(node, range(len(node.inputs)))
        elif node.operator in POOLS:
            node = self._taking(node, range(1))
        self.nodes.append(node)
        if node.operator == "MaxPool" and given in self.rounded:  # the largest of what is rounded is rounded
            self.rounded[node.outputs[0]], self.bounds[node.outputs[0]] = node.outputs[0], self.bounds[given]
            return
        for name in node.outputs:
            self.round(name)

    def round(self, name: str) -> None:
        if name not in self.ranges:
            return
        low, high = (HEADROOM * value for value in self.ranges[name])
        most = self._most(name, signed=low < 0)
        scale = max(-low, high) / most or LEAST_SCALE
        parameters = (self._constant(f"{name}_scale", np.float32(scale)), self._constant(f"{name}_zero", np.int16(0)))
        short, self.rounded[name] = self._fresh(f"{name}_short"), self._fresh(f"{name}_rounded")
        self.bounds[name] = (-most if low < 0 else 0, most)
        bounds = {BOUNDS: self.bounds[name]}
        self.nodes += [
            Node("QuantizeLinear", (name, *parameters), (short,), bounds),
            Node("DequantizeLinear", (short, *parameters), (self.rounded[name],), bounds),
        ]

    def used(self) -> list[Node]:
        """Without what is rounded for nobody."""
        kept = self.nodes
        for _ in range(2):  # a DequantizeLinear, then its QuantizeLinear
            taken = {name for node in kept for name in node.inputs} | {self.graph.output.name}
            kept = [node for node in kept if taken.intersection(node.outputs)]
        return kept

    def _most(self, name: str, *, signed: bool) -> int:
        """The level of the largest value: the more products a layer sums up, the fewer levels there are."""
        weights = [self._weight(node) for node in self._takers(name)]
        products = max((weight[0].size for weight in weights if weight is not None), default=1)
        return min(MOST, isqrt(2 ** (SHARED_BITS - signed) // products))

    def _takers(self, name: str) -> Iterable[Node]:
        """Of the tensor, or of the largest of it."""
        for node in self.graph.users.get(name, ()):
            yield node
            if node.operator == "MaxPool":
                yield from self._takers(node.outputs[0])

    def _weight(self, node: Node) -> np.ndarray | None:
        """Of a layer, where it is a constant in float32."""
        name = node.inputs[1] if node.operator in LAYERS and len(node.inputs) > 1 else ""
        weight = self.graph.constants.get(name)
        plain = weight is not None and weight.dtype == np.float32 and weight.ndim > 1 and weight.size > 0
        return weight if plain else None

    def _in_whole_numbers(self, node: Node) -> Node:
        """Weights of windows for one channel each stay in float: they are few, and floats multiply them."""
        weight = self._weight(node)
        if weight is None or node.whole("group", 1) > 1:
            return node
        whole, scale = levels(weight, self.bounds[node.inputs[0]])
        name = node.outputs[0]
        parts = {"weight": whole, "weight_scale": scale, "weight_zero": np.zeros(len(whole), np.int16)}
        inputs = tuple(self._constant(f"{name}_{part}", array) for part, array in parts.items())
        made = self._fresh(f"{name}_weight_rounded")
        self.nodes.append(Node("DequantizeLinear", inputs, (made,), {"axis": 0}))
        return replace(node, inputs=(node.inputs[0], made, *node.inputs[2:]))

    def _taking(self, node: Node, places: Sequence[int]) -> Node:
        inputs = [self.rounded.get(name, name) if k in places else name for k, name in enumerate(node.inputs)]
        return replace(node, inputs=tuple(inputs))

    def _constant(self, name: str, values: np.ndarray | np.generic) -> str:
        name = self._fresh(name)
        self.constants[name] = np.asarray(values)
        return name

    def _fresh(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def levels(weight: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Weights (outputs, …) as int16, and float32 (outputs,) what a level is worth: as little as it can be.

    No sum of them times anything within ``bounds`` leaves 32 bits. Raises Unsupported.
    """
    low, high = bounds
    flat = weight.reshape(len(weight), -1)
    if not np.isfinite(flat).all():
        raise Unsupported("it has weights that are no numbers")
    above = np.maximum(flat, 0).sum(axis=1, dtype=np.float64)
    below = np.minimum(flat, 0).sum(axis=1, dtype=np.float64)
    reach = np.maximum(above * high + below * low, -above * low - below * high)
    room = MAX_SUM - SLACK - flat.shape[1] * max(high, -low) / 2  # each weight is rounded by half a level at most
    scale = np.maximum(np.abs(flat).max(axis=1).astype(np.float64) / MOST, reach / room)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    whole = np.rint(flat / scale[:, np.newaxis]).clip(-MOST, MOST).astype(np.int16)
    return whole.reshape(weight.shape), scale
