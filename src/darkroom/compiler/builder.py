"""An ONNX graph in the making: every tensor's shape is known as it is added, so that sizes are checked before any
engine allocates them. Knows ONNX and no source framework.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from darkroom import __version__
from darkroom.compiler.errors import CompileError

OPSET, IR_VERSION = 17, 8  # what the oldest engines in use still read
MAX_ELEMENTS = 1 << 28  # of one tensor at batch 1, a gigabyte; ResNet-200 at 224 pixels has 3.2 million

Shape = tuple[int | None, ...]  # None: the batch, in the first place only


@dataclass(frozen=True)
class Value:
    """One tensor. ``array``: its values, where they are known before the graph runs."""

    name: str
    shape: Shape
    array: np.ndarray | None = None


@dataclass
class Builder:
    """Nodes in the order of their making; float32 throughout."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def input(self, name: str, shape: Shape) -> Value:
        self._names.add(name)
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, _dimensions(shape)))
        return Value(name, shape)

    def constant(self, name: str, array: np.ndarray) -> str:
        """The tensor's name. Floats become float32; whole numbers stay int64, as ONNX's shapes want them."""
        kept = array if array.dtype == np.int64 else _float32(array, name)
        name = self._unique(name)
        self.initializers[name] = numpy_helper.from_array(kept, name)
        return name

    def add(self, op: str, name: str, inputs: Sequence[Value | np.ndarray], shape: Shape, **attributes: Any) -> Value:
        """One node of one output of this shape. Raises CompileError for a tensor beyond all measure."""
        if math.prod(extent or 1 for extent in shape) > MAX_ELEMENTS or any(e is not None and e < 1 for e in shape):
            raise CompileError(
                f"{op} {name!r} would give a tensor of shape {text(shape)}; expected 1 to {MAX_ELEMENTS} elements"
            )
        output = self._unique(name)
        names = [self._input_name(value, f"{name}_{place}") for place, value in enumerate(inputs)]
        self.nodes.append(helper.make_node(op, names, [output], output, **attributes))
        return Value(output, shape)

    def _input_name(self, value: Value | np.ndarray, name: str) -> str:
        if isinstance(value, np.ndarray):
            return self.constant(name, value)
        if value.array is not None and value.name not in self.initializers:
            return self.constant(value.name, value.array)
        return value.name

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            candidate, count = f"{name}_{count}", count + 1
        self._names.add(candidate)
        return candidate

    def finish(self, output: Value, graph_name: str) -> onnx.ModelProto:
        """A checked model. Raises CompileError where ONNX's own checker objects."""
        info = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, _dimensions(output.shape))
        graph = helper.make_graph(self.nodes, graph_name, self.inputs, [info], list(self.initializers.values()))
        return model_of(graph)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(
        graph,
        producer_name="darkroom",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise CompileError(f"the imported graph is not valid: {error}") from error
    return model


def text(shape: Shape) -> str:
    return "[" + ", ".join("batch" if extent is None else str(extent) for extent in shape) + "]"


def _dimensions(shape: Shape) -> list[int | str]:
    return ["batch" if extent is None else extent for extent in shape]


def _float32(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise CompileError(f"the array {name} holds {array.dtype}; expected numbers")
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
        return np.ascontiguousarray(array, dtype=np.float32)
