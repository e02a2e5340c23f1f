"""int8 in ONNX's own terms: QuantizeLinear and DequantizeLinear around what shall run in eight bits.

Weights: symmetric, one scale for each output channel. Activations: one scale for a tensor, zero exactly representable.
An engine that knows the pattern computes in int8; any other gives the same answers in float32. Knows no engine.

What shortcuts add up may be in eight bits as well (``additions``). Each of these choices saves a pass over a tensor,
or a subtraction for each of its values: both signs of a sum in int8 around zero; no rounding of what an engine still
has in its accumulators, that is a sum that goes one way only, and the branch that is computed last; pools of bytes.

Engines differ in what they still have (``fused``). Most add to what a convolution just computed only where the other
branch was a convolution too, and normalise a sum as it was rounded for the shortcut. Our own adds to any convolution
and writes the sum twice, both times from what is in its registers: nothing is rounded in between, and nothing lost.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper

from darkroom.compiler.graph import Graph

LAYERS = ("Conv", "Gemm")  # where the work is
POOLS = ("MaxPool", "GlobalAveragePool")
LEVELS = 255
WEIGHT_SUFFIX = "_weight_dequantize"


@dataclass(frozen=True)
class Range:
    """Of one activation, in its own units; what is beyond is clipped."""

    low: float
    high: float

    def scale_and_zero(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 and uint8 scalars: value = scale · (q - zero)."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = np.array(max(high - low, 1e-8) / LEVELS, np.float32)
        return scale, np.array(np.clip(np.rint(-low / scale), 0, LEVELS), np.uint8)

    def around_zero(self) -> tuple[np.ndarray, np.ndarray]:
        """The same in int8 with its zero at 0."""
        return np.array(max(self.high / 127, -self.low / 128, 1e-8 / LEVELS), np.float32), np.array(0, np.int8)


def layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that do the work, whatever they compute in."""
    graph = Graph.of(model)
    makers = graph.makers()
    return [n for n in graph.nodes if n.op_type in LAYERS and _weight_kind(graph, makers, n)]


def int8_layers(model: onnx.ModelProto) -> int:
    return sum(node.name.endswith(WEIGHT_SUFFIX) for node in model.graph.node)


def _weight_kind(graph: Graph, makers: Mapping[str, onnx.NodeProto], node: onnx.NodeProto) -> bool:
    """A constant, or one that is only stored in another type."""
    name = node.input[1]
    return name in graph.constants or (name in makers and makers[name].input[0] in graph.constants)


def activations(model: onnx.ModelProto, *, additions: bool, fused: bool = False) -> list[str]:
    """The tensors whose ranges ``quantize`` needs."""
    graph = Graph.of(model)
    names = dict.fromkeys(node.input[0] for node in layers(model))
    if additions:
        names |= dict.fromkeys([*_added(graph, fused), *_pooled(graph)])
    return list(names)


def _pooled(graph: Graph) -> list[str]:
    """Bytes are fewer to read; a tensor that others take as it is would be written twice for a mean."""
    users = graph.users()
    pools = [node for node in graph.nodes if node.op_type in POOLS]
    return [p.input[0] for p in pools if p.op_type == "MaxPool" or len(users[p.input[0]]) == 1]


def _added(graph: Graph, fused: bool) -> list[str]:
    """What goes into sums, and sums that go more than one way."""
    makers, users = graph.makers(), graph.users()
    order = {name: place for place, node in enumerate(graph.nodes) for name in node.output}
    names: list[str] = []
    for node in graph.nodes:
        if not _joins(graph, node):
            continue
        branches = sorted(node.input, key=lambda name: order.get(name, -1))
        alone = [name in makers and makers[name].op_type in LAYERS and len(users[name]) == 1 for name in branches]
        if all(alone) or (fused and alone[-1]):
            branches.pop()
        names += [*branches, *(node.output if len(users[node.output[0]]) > 1 else ())]
    return names


def _joins(graph: Graph, node: onnx.NodeProto) -> bool:
    """The sum of a shortcut and its residual: both are computed."""
    return node.op_type == "Add" and not any(name in graph.constants for name in node.input)


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    keep: Collection[str] = (),
    *,
    additions: bool = False,
    fused: bool = False,
    weight_bits: int = 8,
) -> onnx.ModelProto:
    """``ranges``: of the tensors that ``activations`` names; ``keep``: names of layers that stay in float32.

    ``additions`` also puts what shortcuts add up into eight bits: faster, and a little less exact. ``fused``: for an
    engine that adds and normalises in its registers.
    ``weight_bits`` 7 is for processors whose sums of eight-bit products overflow.
    """
    graph = Graph.of(model)
    inputs = {node.input[0] for node in layers(model)}  # bytes for these: engines multiply bytes by signed weights
    signed = (
        {name for name in _added(graph, fused) if name in ranges and ranges[name].low < 0} - inputs if additions else ()
    )
    rewrite = _Rewrite(graph, ranges, 2 ** (weight_bits - 1) - 1, signed)
    for value in graph.inputs:
        rewrite.quantize_tensors([value.name])
    for node in graph.nodes:
        if node.op_type in LAYERS and node.name not in keep and node.input[0] in ranges:
            rewrite.quantize_weight(node)
            rewrite.take_quantized(node, [0])
        elif additions and _joins(graph, node):
            rewrite.take_quantized(node, range(len(node.input)))
        elif additions and node.op_type in (POOLS if fused else ("BatchNormalization", *POOLS)):
            rewrite.take_quantized(node, [0])
        rewrite.nodes.append(node)
        if not (additions and node.op_type == "MaxPool" and node.input[0] in rewrite.pairs.values()):
            rewrite.quantize_tensors(node.output)  # the largest of bytes is one of them
    graph.nodes = rewrite.used()
    return graph.to_model()


@dataclass
class _Rewrite:
    graph: Graph
    ranges: Mapping[str, Range]
    limit: int  # of a weight
    signed: Collection[str]  # tensors in int8
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    pairs: dict[str, str] = field(default_factory=dict)  # tensor → what it is after eight bits

    def quantize_tensors(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.ranges:
                found = self.ranges[name]
                scale, zero = found.around_zero() if name in self.signed else found.scale_and_zero()
                parameters = [
                    self.graph.constant(f"{name}_scale", scale),
                    self.graph.constant(f"{name}_zero", zero),
                ]
                self.pairs[name] = f"{name}_dequantized"
                small = f"{name}_quantized"
                self.nodes += [
                    helper.make_node("QuantizeLinear", [name, *parameters], [small], f"{name}_quantize"),
                    helper.make_node(
                        "DequantizeLinear", [small, *parameters], [self.pairs[name]], f"{name}_dequantize"
                    ),
                ]

    def take_quantized(self, node: onnx.NodeProto, places: Iterable[int]) -> None:
        for place in places:
            node.input[place] = self.pairs.get(node.input[place], node.input[place])

    def quantize_weight(self, node: onnx.NodeProto) -> None:
        """Output channels are in the first place: convolutions have them there, and so do matrices under transB."""
        weight = self.graph.array(node.input[1])
        if weight is None:
            return
        name = node.name or node.output[0]
        scale = np.abs(weight).reshape(len(weight), -1).max(axis=1) / self.limit
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        levels = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).clip(-self.limit, self.limit)
        inputs = [
            self.graph.constant(f"{name}_weight_int8", levels.astype(np.int8)),
            self.graph.constant(f"{name}_weight_scale", scale),
            self.graph.constant(f"{name}_weight_zero", np.zeros(len(weight), np.int8)),
        ]
        output = f"{name}_weight_dequantized"
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [output], f"{name}{WEIGHT_SUFFIX}", axis=0))
        node.input[1] = output

    def used(self) -> list[onnx.NodeProto]:
        """Without pairs that nothing takes."""
        taken = {name for node in self.nodes for name in node.input} | {value.name for value in self.graph.outputs}
        kept = [node for node in self.nodes if any(name in taken for name in node.output)]
        taken = {name for node in kept for name in node.input} | {value.name for value in self.graph.outputs}
        return [node for node in kept if any(name in taken for name in node.output)]
