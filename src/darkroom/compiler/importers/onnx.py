"""An ONNX file as it is, checked: known operators, all data in the file, one input and one output of known shape."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, shape_inference, version_converter

from darkroom.compiler.builder import OPSET
from darkroom.compiler.errors import CompileError, InputConfiguration, listing
from darkroom.compiler.graph import Graph
from darkroom.compiler.inputs import UNNAMED, Input
from darkroom.runtimes.onnx_scan import ScanError, scan

LEAST_OPSET = 13


def find(root: Path) -> Path:
    """Raises InputConfiguration, which lists what the folder holds."""
    found = sorted(path for path in root.iterdir() if path.is_file())
    models = [path for path in found if path.suffix == ".onnx"]
    if len(models) != 1:
        raise InputConfiguration(
            f"expected one .onnx file, found {len(models)}; the model holds: {listing(path.name for path in found)}"
        )
    return models[0]


def load(root: Path, inputs: Sequence[Input]) -> onnx.ModelProto:
    """Raises CompileError and InputConfiguration."""
    path = find(root)
    return checked(path.read_bytes(), inputs, path.name)


def checked(data: bytes, inputs: Sequence[Input], file: str) -> onnx.ModelProto:
    """The model in the bytes of a file of this name. Raises CompileError and InputConfiguration."""
    try:
        scan(data)
        model = onnx.ModelProto.FromString(data)
    except ScanError as error:
        raise CompileError(f"{file}: {error}") from None
    except Exception as error:  # protobuf's own class moves from version to version
        raise CompileError(f"{file} is no ONNX model: {error}") from error
    graph = Graph.of(_modern(model, file))
    _name_nodes(graph)
    _set_input(graph, inputs, file)
    if len(graph.outputs) != 1:
        names = listing(value.name for value in graph.outputs)
        raise CompileError(f"{file} has {len(graph.outputs)} outputs ({names}); models of one output are compiled")
    try:
        inferred = shape_inference.infer_shapes(graph.to_model(), check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred)
    except (onnx.checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise CompileError(f"{file} is not a valid model: {' '.join(str(error).split())[:300]}") from error
    return inferred


def _modern(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    """At least of the opset that has int8 for each channel. Raises CompileError."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise CompileError(f"{file} does not say the version of its operators; export it again")
    if versions[0] >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # of C++, by several names
        reason = " ".join(str(error).split())[:200]
        raise CompileError(
            f"{file} is of opset {versions[0]}, which cannot be raised ({reason}); export it again with opset {OPSET}"
        ) from error


def _name_nodes(graph: Graph) -> None:
    """Layers are told apart by name in reports; exporters may leave it out, or use one twice."""
    seen: set[str] = set()
    for node in graph.nodes:
        if not node.name or node.name in seen:
            node.name = next(name for name in node.output if name)
        seen.add(node.name)


def _set_input(graph: Graph, inputs: Sequence[Input], file: str) -> None:
    """The graph's one input takes the shape that was asked for, where its own leaves room for that."""
    names = [value.name for value in graph.inputs]
    if len(names) != 1:
        raise CompileError(f"{file} has {len(names)} inputs ({listing(names)}); models of one input are compiled")
    (value,) = graph.inputs
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        raise CompileError(f"{file} takes {kind}; expected FLOAT")
    if len(inputs) != 1 or inputs[0].name not in (names[0], UNNAMED):
        given = listing(f"{i.name or '(unnamed)'} {list(i.shape)}" for i in inputs)
        raise InputConfiguration(f"DataInputConfig names {given}; {file} has the input {names[0]!r}")
    own = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
    wanted = list(inputs[0].shape)
    if len(own) != len(wanted) or any(o not in (None, 0, w) for o, w in zip(own[1:], wanted[1:], strict=True)):
        raise InputConfiguration(f"DataInputConfig says {wanted} for {names[0]!r}; {file} says {own}")
    fixed = own[0] if own and own[0] else None  # a batch that the graph itself fixes stays: its inside may rely on it
    if fixed is not None and wanted[0] not in (None, fixed):
        raise InputConfiguration(f"DataInputConfig says a batch of {wanted[0]}; {file} fixes it to {fixed}")
    first = value.type.tensor_type.shape.dim[0]
    if fixed is None:
        first.dim_param = "batch"
    for dim, extent in zip(list(value.type.tensor_type.shape.dim)[1:], wanted[1:], strict=True):
        if extent is not None:
            dim.dim_value = extent
