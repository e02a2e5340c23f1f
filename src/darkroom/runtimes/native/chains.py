"""A graph as layers: each sum takes with it what follows, as far as it can be done before the sum is written.

What can be done is what ``network.h`` has an Epilogue for. A tensor that is taken in more than one way is where a sum
ends; from there it is written in the forms that are asked for, two at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from darkroom.runtimes.base import Unsupported
from darkroom.runtimes.native import photo, reading, tail
from darkroom.runtimes.native.layers import (
    MAX_SUM,
    Affine,
    Convolution,
    Ending,
    Largest,
    Layer,
    Levels,
    Mean,
    Rounding,
    Shape,
    Stored,
    Window,
    Write,
)
from darkroom.runtimes.native.structures import BYTES, FLOATS, SHORTS
from darkroom.runtimes.onnx_graph import Graph, Node

MOST_WRITES = 2
ROUNDED = 1e-4  # of the highest byte: a bound that is off by no more is one by how it was computed


@dataclass(frozen=True, eq=False)
class Network:
    """``answers``: channels of the last layer; ``tail``: what numpy makes of them; ``channels``: what comes out."""

    layers: Sequence[Layer]
    answers: int
    tail: Sequence[tail.Call]
    channels: int


def read(graph: Graph) -> Network:
    """Of a graph whose inputs are checked. Raises Unsupported, and ScanError for attributes that are not what they
    should be."""
    return _Walk(graph).network()


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[Layer] = []
        self.stored: dict[str, Stored] = {}  # a tensor by its name in the graph → where its values are
        self.done: set[Node] = set()
        self.answer: tuple[str, int] | None = None

    def network(self) -> Network:
        self._photo()
        for node in self.graph.nodes:
            if node not in self.done and node.operator in _LAYERS and not tail.begins(self.graph, node):
                self.done.add(node)
                _LAYERS[node.operator](self, node)
        if self.answer is None:
            raise Unsupported("its output is none that a layer answers")
        name, answers = self.answer
        calls, finishing, channels = tail.read(self.graph, name, answers)
        left = [node for node in self.graph.nodes if node not in self.done.union(finishing)]
        if left:
            raise Unsupported(f"its {left[0].operator} that makes {left[0].outputs[0][:80]!r} is in no known place")
        return Network(self.layers, answers, calls, channels)

    def _photo(self) -> None:
        taken = photo.read(self.graph)
        self.layers.append(taken.layer)
        self.done.update(taken.nodes)
        if taken.affine is None:
            return self._found(taken.layer.into)
        shape = taken.layer.shape
        itself = np.eye(shape.channels, dtype=np.int8).reshape(shape.channels, shape.channels, 1, 1)
        ending = self._ending(taken.name, taken.affine, shape)
        return self.layers.append(Convolution(taken.layer.into, itself, Window(1, 1), shape, ending))

    # -- layers ------------------------------------------------------------------------------------------------------

    def convolution(self, node: Node) -> None:
        given = self._taken(node)
        weight, scale, maker = reading.weight(self.graph, node)
        groups = node.whole("group", 1)
        alone = groups > 1 and groups == given.shape.channels == len(weight)
        if weight.ndim != 4 or weight.shape[1] != (1 if alone else given.shape.channels):
            raise Unsupported(f"its Conv of {given.shape.channels} channels has weights of shape {weight.shape}")
        if node.wholes("kernel_shape", weight.shape[2:]) != weight.shape[2:]:
            raise Unsupported("its Conv says another kernel than its weights have")
        if alone and (given.kind not in (BYTES, SHORTS) or weight[0].size > reading.MAX_ALONE):
            raise Unsupported(f"its Conv has a window of {weight.shape[2:]} for each channel, or one in float")
        rows, columns = weight.shape[2:]
        window = reading.window(node, rows, columns, groups if alone else 1)
        self._convolve(node, maker, given, weight, scale, window, alone)

    def matrix(self, node: Node) -> None:
        """A convolution with one window, as large as the map."""
        given = self._taken(node)
        weight, scale, maker = reading.weight(self.graph, node)
        shape = given.shape
        if weight.ndim != 2 or weight.shape[1] != shape.channels * shape.rows * shape.columns:
            raise Unsupported(f"its Gemm has weights of shape {weight.shape} for {shape}")
        plain = (node.whole("transA", 0), node.whole("transB", 0), node.real("alpha", 1.0), node.real("beta", 1.0))
        if plain != (0, 1, 1.0, 1.0):
            raise Unsupported("its Gemm is more than a matrix with its outputs in the first place")
        kernel = weight.reshape(len(weight), shape.channels, shape.rows, shape.columns)
        self._convolve(node, maker, given, kernel, scale, Window(shape.rows, shape.columns))

    def _convolve(
        self,
        node: Node,
        maker: Node | None,
        given: Stored,
        weight: np.ndarray,
        scale: np.ndarray,
        window: Window,
        alone: bool = False,
    ) -> None:
        """Sums are of bytes as they are: what stands for zero in them is taken off here, for the whole window."""
        if given.kind != _taken_by(weight, alone):
            raise Unsupported(f"its {node.operator} has weights of {weight.dtype} for what is something else")
        levels = given.levels or Levels(FLOATS, 1.0, 0)
        if weight.dtype == np.int16 and levels.most(weight) > MAX_SUM:
            raise Unsupported(f"its {node.operator} has sums of shorts that need more than 32 bits")
        count = len(weight)
        shape = reading.after(node, given.shape, window, count)
        bias = reading.numbers(self.graph, node, 2, count) if len(node.inputs) > 2 and node.inputs[2] else 0
        total = weight.reshape(count, -1).sum(axis=1, dtype=np.int64 if maker else np.float64)
        step = scale * levels.scale
        self.done.update([maker] if maker else [])
        ending = self._ending(node.outputs[0], Affine(step, bias - step * levels.zero * total), shape)
        self.layers.append(Convolution(given, weight, window, shape, ending, alone))

    def mean(self, node: Node) -> None:
        given = self._taken(node)
        pixels = given.shape.rows * given.shape.columns
        if pixels > reading.MAX_ELEMENTS >> 5:
            raise Unsupported(f"its {node.operator} sums up {pixels} pixels")
        levels = given.levels or Levels(FLOATS, 1.0, 0)
        each = np.ones(given.shape.channels)
        shape = Shape(given.shape.channels, 1, 1)
        affine = Affine(each * (levels.scale / pixels), each * (-levels.zero * levels.scale))
        self.layers.append(Mean(given, self._ending(node.outputs[0], affine, shape)))

    def largest(self, node: Node) -> None:
        given = self._taken(node)
        window = reading.pool_window(node)
        shape = reading.after(node, given.shape, window, given.shape.channels)
        into = replace(given, name=node.outputs[0], shape=shape)
        self.layers.append(Largest(given, window, into))
        self.stored[node.outputs[0]] = into

    def _taken(self, node: Node) -> Stored:
        given = self.stored.get(node.inputs[0]) if node.inputs else None
        if given is None or len(node.outputs) != 1:
            raise Unsupported(f"its {node.operator} takes what no layer has written")
        return given

    # -- what becomes of a sum ---------------------------------------------------------------------------------------

    def _ending(self, name: str, affine: Affine, shape: Shape) -> Ending:
        ending = Ending(affine, ())
        while (node := self._only_user(name)) is not None and (taken := self._absorbed(ending, node, shape)):
            ending, name = taken
        return self._written(ending, name, shape)

    def _only_user(self, name: str) -> Node | None:
        users = self.graph.users.get(name, ())
        alone = len(users) == 1 and name != self.graph.output.name and len(users[0].outputs) == 1
        return users[0] if alone else None

    def _absorbed(self, ending: Ending, node: Node, shape: Shape) -> tuple[Ending, str] | None:
        """The ending with the node in it, and the tensor it makes; None where that cannot be."""
        name = node.outputs[0]
        fresh = ending.rounding is None and ending.other is None
        if node.operator == "Relu":
            self.done.add(node)
            return replace(ending, least=0.0), name
        if node.operator == "BatchNormalization" and fresh and ending.least == -inf:
            affine = ending.affine.then(*reading.normalisation(self.graph, node, shape.channels))
            self.done.add(node)
            return replace(ending, affine=affine), name
        if node.operator == "QuantizeLinear" and fresh:
            return self._rounded(ending, node, shape)
        if node.operator == "Add" and ending.other is None and ending.least == -inf:
            return self._added(ending, node, shape)
        return None

    def _rounded(self, ending: Ending, node: Node, shape: Shape) -> tuple[Ending, str] | None:
        """A sum that goes through bytes for nothing but that something is added to it is not written for that."""
        back = self._only_user(node.outputs[0])
        add = self._only_user(back.outputs[0]) if back and back.operator == "DequantizeLinear" else None
        if back is None or add is None or add.operator != "Add":
            return None
        rounding = Rounding(self._levels(node, back), ending.least == 0)
        taken = self._added(replace(ending, rounding=rounding, least=-inf), add, shape)
        if taken:
            self.done.update((node, back))
        return taken

    def _added(self, ending: Ending, node: Node, shape: Shape) -> tuple[Ending, str] | None:
        """Where the other side is computed already: the layer that comes last adds."""
        others = [self.stored[name] for name in node.inputs if name in self.stored]
        if len(others) != 1 or len(node.inputs) != 2 or others[0].shape != shape:
            return None
        self.done.add(node)
        return replace(ending, other=others[0]), node.outputs[0]

    def _levels(self, quantise: Node, dequantise: Node) -> Levels:
        found = reading.levels(self.graph, quantise)
        if dequantise.inputs[0] != quantise.outputs[0] or reading.levels(self.graph, dequantise) != found:
            raise Unsupported("its bytes stand for other values than were rounded")
        return found

    # -- the forms it is written in ----------------------------------------------------------------------------------

    def _written(self, ending: Ending, name: str, shape: Shape) -> Ending:
        one = np.ones(shape.channels)
        direct = list(self._forms(name, Affine(one, 0 * one), shape))
        through: list[Write] = []
        for write in direct:
            through += self._forms_through(write, shape)
        if not 1 <= len(direct) + len(through) <= MOST_WRITES or (through and len(direct) > 1):
            raise Unsupported(f"a tensor of it ({name[:80]!r}) is wanted in {len(direct) + len(through)} forms")
        return replace(ending, writes=(*direct, *through), through=bool(through))

    def _forms(self, name: str, affine: Affine, shape: Shape) -> Iterator[Write]:
        """What is asked for of a tensor: as bytes, normalised and as bytes, or as it is."""
        plain = name == self.graph.output.name
        answer = plain
        for node in dict.fromkeys(self.graph.users.get(name, ())):
            if node.operator == "QuantizeLinear" and node.inputs[0] == name:
                levels = reading.levels(self.graph, node)
                self.done.add(node)
                stored = Stored(node.outputs[0], shape, levels)
                self._found(stored)
                within = affine.in_levels(levels)
                if levels.kind != SHORTS and within.high < levels.limits[1] * (1 - ROUNDED):
                    raise Unsupported("its Clip ends below what its bytes can be")
                yield Write(stored, within)
            elif (changed := self._changed(node, affine, shape)) is not None:
                self.done.add(node)
                yield from self._forms(node.outputs[0], changed, shape)
            else:
                plain = True
                answer = answer or tail.begins(self.graph, node)
        if plain:
            yield self._plain(name, affine, shape, answer)

    def _changed(self, node: Node, affine: Affine, shape: Shape) -> Affine | None:
        """The values after a Relu or BatchNormalization, where that is the order in which a write can do them."""
        if node.operator == "Relu" and len(node.outputs) == 1:
            return replace(affine, low=max(affine.low, 0.0))
        if node.operator == "Clip" and len(node.outputs) == 1 and (most := reading.top(self.graph, node)) is not None:
            return replace(affine, low=max(affine.low, 0.0), high=min(affine.high, most))
        if node.operator == "BatchNormalization" and (affine.low, affine.high) == (-inf, inf):
            return affine.then(*reading.normalisation(self.graph, node, shape.channels))
        return None

    def _forms_through(self, write: Write, shape: Shape) -> Iterator[Write]:
        """What is asked for of values that were bytes, other than the bytes themselves."""
        levels = write.stored.levels
        if levels is None:
            return
        each = np.ones(shape.channels)
        affine = Affine(each * levels.scale, each * (-levels.zero * levels.scale))
        for back in self.graph.users.get(write.stored.name, ()):
            for node in dict.fromkeys(self.graph.users.get(back.outputs[0], ())):
                if (changed := self._changed(node, affine, shape)) is not None:
                    self.done.add(node)
                    yield from self._forms(node.outputs[0], changed, shape)

    def _plain(self, name: str, affine: Affine, shape: Shape, answer: bool) -> Write:
        if affine.high < inf:
            raise Unsupported("its Clip is one of float32")
        if not answer:
            self.stored[name] = Stored(name, shape)
            return Write(self.stored[name], affine)
        if self.answer is not None or (shape.rows, shape.columns) != (1, 1):
            raise Unsupported(f"its answer has {shape.rows} x {shape.columns} pixels, or there are two")
        self.answer = name, shape.channels
        return Write(Stored(name, shape), affine, answer=True)

    def _found(self, stored: Stored) -> None:
        """Bytes are known by what they stand for."""
        for node in self.graph.users.get(stored.name, ()):
            if node.operator != "DequantizeLinear" or reading.levels(self.graph, node) != stored.levels:
                raise Unsupported("its bytes stand for other values than were rounded")
            self.done.add(node)
            self.stored[node.outputs[0]] = stored


def _taken_by(weight: np.ndarray, alone: bool) -> int:
    """What a layer with such weights takes."""
    if weight.dtype == np.float32:
        return SHORTS if alone else FLOATS
    return BYTES if weight.dtype == np.int8 else SHORTS


_LAYERS = {
    "Conv": _Walk.convolution,
    "Gemm": _Walk.matrix,
    "MaxPool": _Walk.largest,
    "GlobalAveragePool": _Walk.mean,
}
