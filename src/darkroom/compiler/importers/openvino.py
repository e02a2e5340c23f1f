"""TensorFlow Lite files and TensorFlow's graphs (frozen, or a SavedModel), read by OpenVINO's frontends, as ONNX.

OpenVINO's operators and ONNX's are near relatives: one function for each says how. What is not in the table is named in
the error. Knows no TensorFlow; needs OpenVINO installed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from darkroom.compiler.builder import Builder, Shape, Value
from darkroom.compiler.errors import CompileError, InputConfiguration, listing
from darkroom.compiler.inputs import UNNAMED, Input

LITE, FROZEN = (".tflite",), (".pb",)
SAVED_MODEL = "saved_model.pb"  # of a folder, whose weights lie in files beside it
EXPLICIT, VALID = "explicit", "valid"


def load_lite(root: Path, inputs: Sequence[Input]) -> onnx.ModelProto:
    return _load(root, inputs, LITE)


def load_frozen(root: Path, inputs: Sequence[Input]) -> onnx.ModelProto:
    return _load(root, inputs, FROZEN)


def _load(root: Path, inputs: Sequence[Input], suffixes: tuple[str, ...]) -> onnx.ModelProto:
    """Raises CompileError and InputConfiguration."""
    path = _find(root, suffixes)
    model = _read(path)
    given = _given(model, inputs, path.name)
    _reshape(model, given, path.name)
    return _Translation(Builder(), path.name).run(model, given)


def _find(root: Path, suffixes: tuple[str, ...]) -> Path:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    models = [path for path in found if path.suffix in suffixes]
    if len(models) != 1:
        raise InputConfiguration(
            f"expected one {' or '.join(suffixes)} file, found {len(models)}; the model holds: "
            f"{listing(path.name for path in found)}"
        )
    return models[0]


def _read(path: Path) -> Any:
    try:
        import openvino as ov  # noqa: PLC0415
    except ImportError:
        raise CompileError("reading TensorFlow's files needs OpenVINO; pip install openvino") from None
    try:
        model = ov.Core().read_model(path.parent if path.name == SAVED_MODEL else path)
    except Exception as error:  # of C++, by several names
        raise CompileError(f"{path.name} cannot be read: {_line(error)}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise CompileError(
            f"{path.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; models of one input and one "
            "output are compiled"
        )
    return model


def _given(model: Any, inputs: Sequence[Input], file: str) -> Input:
    """The one input under the name that the file has for it."""
    names = sorted(model.input(0).get_names()) or [UNNAMED]
    (given,) = inputs
    stems = {name.partition(":")[0] for name in names}
    if given.name not in (UNNAMED, *names, *stems):
        raise InputConfiguration(f"DataInputConfig names {given.name!r}; {file} has the input {names[0]!r}")
    return Input(given.name or names[0] or "input", given.shape)


def _reshape(model: Any, given: Input, file: str) -> None:
    """Sizes are fixed, the batch to one: what depends on them becomes constant."""
    shape = [extent or 1 for extent in given.shape]
    try:
        model.reshape(shape)
        _fold(model)
    except Exception as error:
        found = model.input(0).get_partial_shape()
        raise InputConfiguration(
            f"DataInputConfig says {shape}; {file} takes {found} and cannot take that: {_line(error)}"
        ) from error


def _fold(model: Any) -> None:
    from openvino.passes import ConstantFolding, Manager  # noqa: PLC0415

    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Exception from" not in line]
    return " ".join(lines)[:300] or type(error).__name__


# One graph ------------------------------------------------------------------------------------------------------------


@dataclass
class _Translation:
    """``values``: what each output of OpenVINO's graph is in ours, by (node, place)."""

    builder: Builder
    file: str
    values: dict[tuple[str, int], Value] = field(default_factory=dict)

    def run(self, model: Any, given: Input) -> onnx.ModelProto:
        answer: Value | None = None
        for node in model.get_ordered_ops():
            kind = node.get_type_name()
            if kind == "Parameter":
                value = self.builder.input(given.name, tuple(given.shape))
            elif kind == "Constant":
                value = self._constant(node)
            elif kind == "Result":
                answer = self._inputs(node)[0]
                continue
            elif kind in OPERATORS:
                value = OPERATORS[kind](_Node(self, node, self._inputs(node), given.shape[0]))
            else:
                offered = listing(sorted(OPERATORS), most=len(OPERATORS))
                raise CompileError(
                    f"{self.file}: operator {kind} ({node.get_friendly_name()}) is not offered: {offered}"
                )
            self.values[node.get_name(), 0] = value
        assert answer is not None  # a model has a result
        return self.builder.finish(self._rows(answer), "model")

    def _inputs(self, node: Any) -> list[Value]:
        found = []
        for place in range(node.get_input_size()):
            source = node.input_value(place)
            key = (source.get_node().get_name(), source.get_index())
            if key not in self.values:
                kind = source.get_node().get_type_name()
                raise CompileError(f"{self.file}: output {key[1]} of operator {kind} is not offered")
            found.append(self.values[key])
        return found

    def _constant(self, node: Any) -> Value:
        data = np.array(node.get_data())
        array = data.astype(np.int64) if data.dtype.kind in "iu" else data.astype(np.float32)
        return Value(node.get_friendly_name(), array.shape, array)

    def _rows(self, answer: Value) -> Value:
        """[batch, 1, 1, classes] → [batch, classes]."""
        if len(answer.shape) == 2:
            return answer
        if len(answer.shape) < 2 or any(extent != 1 for extent in answer.shape[1:-1]):
            raise CompileError(f"{self.file} answers with {list(answer.shape)}; expected [batch, classes]")
        shape = (answer.shape[0], answer.shape[-1])
        return self.builder.add("Reshape", "rows", [answer, np.array([0, -1])], shape)


@dataclass(frozen=True)
class _Node:
    """One operator on its way. ``batch``: None stands for any."""

    translation: _Translation
    node: Any
    inputs: list[Value]
    batch: int | None

    @property
    def name(self) -> str:
        return str(self.node.get_friendly_name())

    @property
    def attributes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.node.get_attributes()
        return found

    @property
    def shape(self) -> Shape:
        """OpenVINO's, with the batch open where it is ours."""
        extents = list(self.node.get_output_shape(0))
        open_batch = (
            self.batch is None and bool(extents) and any(not v.shape or v.shape[0] is None for v in self.inputs)
        )
        return (None, *extents[1:]) if open_batch and extents[0] == 1 else tuple(extents)

    def add(self, op: str, inputs: Sequence[Value | np.ndarray] | None = None, **attributes: Any) -> Value:
        return self.step(op, self.inputs if inputs is None else inputs, self.shape, "", **attributes)

    def step(
        self, op: str, inputs: Sequence[Value | np.ndarray], shape: Shape, suffix: str, **attributes: Any
    ) -> Value:
        return self.translation.builder.add(op, self.name + suffix, list(inputs), shape, **attributes)

    def array(self, place: int) -> np.ndarray:
        """Of an input that must be constant. Raises CompileError."""
        found = self.inputs[place].array
        if found is None:
            kind = self.node.get_type_name()
            raise CompileError(
                f"{self.translation.file}: input {place} of {kind} ({self.name}) is computed; not offered"
            )
        return found


# Operators ------------------------------------------------------------------------------------------------------------


def _window(node: _Node, kernel: Sequence[int] | None = None) -> dict[str, Any]:
    """Strides, padding and the like, of convolutions and pooling. Sizes are fixed: padding is what it came to."""
    said = node.attributes
    window: dict[str, Any] = {"strides": list(said["strides"]), "pads": [*said["pads_begin"], *said["pads_end"]]}
    if said.get("auto_pad") == VALID:
        window["pads"] = [0] * len(window["pads"])
    if "dilations" in said:
        window["dilations"] = list(said["dilations"])
    if kernel is not None:
        window["kernel_shape"] = list(kernel)
    return window


def _convolution(node: _Node) -> Value:
    weight = node.array(1)
    return node.add("Conv", [node.inputs[0], weight], **_window(node, weight.shape[2:]))


def _group_convolution(node: _Node) -> Value:
    weight = node.array(1)  # (groups, outputs, inputs, height, width)
    joined = weight.reshape(-1, *weight.shape[2:])
    return node.add("Conv", [node.inputs[0], joined], group=weight.shape[0], **_window(node, weight.shape[3:]))


def _max_pool(node: _Node) -> Value:
    ceil = int(node.attributes.get("rounding_type") == "ceil")
    return node.add("MaxPool", node.inputs[:1], ceil_mode=ceil, **_window(node, node.attributes["kernel"]))


def _average_pool(node: _Node) -> Value:
    counts = int(node.attributes.get("exclude-pad", node.attributes.get("exclude_pad")) is False)
    window = _window(node, node.attributes["kernel"])
    return node.add("AveragePool", node.inputs[:1], count_include_pad=counts, **window)


def _mean(node: _Node) -> Value:
    axes = sorted(int(axis) % len(node.inputs[0].shape) for axis in node.array(1).reshape(-1))
    return node.add("ReduceMean", node.inputs[:1], axes=axes, keepdims=int(bool(node.attributes["keep_dims"])))


def _matrix(node: _Node) -> Value:
    first, second = node.inputs
    if node.attributes.get("transpose_a"):
        raise CompileError(f"{node.translation.file}: MatMul with a transposed first factor is not offered")
    if second.array is None:
        return node.add("MatMul")
    weight = second.array if node.attributes.get("transpose_b") else second.array.T
    return node.add("Gemm", [first, np.ascontiguousarray(weight)], transB=1)


def _reshape_rows(node: _Node) -> Value:
    """The batch stays what it is."""
    extents = list(node.shape)
    target = [0 if extents and extents[0] is None and place == 0 else extent for place, extent in enumerate(extents)]
    return node.add("Reshape", [node.inputs[0], np.array(target, np.int64)])


def _transpose(node: _Node) -> Value:
    return node.add("Transpose", node.inputs[:1], perm=[int(axis) for axis in node.array(1)])


def _clamp(node: _Node) -> Value:
    bounds = [np.array(float(node.attributes[end]), np.float32) for end in ("min", "max")]
    return node.add("Clip", [node.inputs[0], *bounds])


def _pad(node: _Node) -> Value:
    begin, end = (node.array(place).reshape(-1).astype(np.int64) for place in (1, 2))
    value = node.inputs[3].array if len(node.inputs) > 3 else None
    filler = np.array(0.0 if value is None else float(value.reshape(-1)[0]), np.float32)
    return node.add("Pad", [node.inputs[0], np.concatenate([begin, end]), filler], mode="constant")


def _concat(node: _Node) -> Value:
    return node.add("Concat", axis=int(node.attributes["axis"]))


def _softmax(node: _Node) -> Value:
    return node.add("Softmax", axis=int(node.attributes["axis"]))


def _swish(node: _Node) -> Value:
    gate = node.step("Sigmoid", node.inputs[:1], node.shape, "_gate")
    return node.add("Mul", [node.inputs[0], gate])


def _same(op: str) -> Callable[[_Node], Value]:
    return lambda node: node.add(op)


def _pass(node: _Node) -> Value:
    return node.inputs[0]


OPERATORS: Mapping[str, Callable[[_Node], Value]] = {
    "Convolution": _convolution,
    "GroupConvolution": _group_convolution,
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "ReduceMean": _mean,
    "MatMul": _matrix,
    "Reshape": _reshape_rows,
    "Squeeze": _reshape_rows,
    "Unsqueeze": _reshape_rows,
    "Transpose": _transpose,
    "Clamp": _clamp,
    "Pad": _pad,
    "Concat": _concat,
    "Softmax": _softmax,
    "Swish": _swish,
    "Convert": _pass,
    "Add": _same("Add"),
    "Subtract": _same("Sub"),
    "Multiply": _same("Mul"),
    "Divide": _same("Div"),
    "Relu": _same("Relu"),
    "Sigmoid": _same("Sigmoid"),
    "Tanh": _same("Tanh"),
    "HSwish": _same("HardSwish"),
    "PRelu": _same("PRelu"),
}
