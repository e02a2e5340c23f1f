"""MXNet's model folder as an ONNX model: one ``-symbol.json``, the ``.params`` of the highest epoch. No mxnet needed.

The files are data: the graph is read by ``mxnet_graph``, the arrays are views of the mapped file, and what they would
cost to run is checked before anything runs.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from darkroom.compiler.builder import Builder, Value
from darkroom.compiler.errors import CompileError, InputConfiguration, listing
from darkroom.compiler.importers.mxnet_graph import Graph, Node, parse
from darkroom.compiler.importers.mxnet_operators import OUTPUTS, translate
from darkroom.compiler.inputs import Input
from darkroom.formats import params

AUXILIARY = {"model-shapes.json", "hyperparams.json"}  # .json files that are no symbol, as SageMaker's compiler has it

_EPOCH = re.compile(r".*?-?(?P<epoch>[0-9]{4,})\.params")
_STATES = ("moving_mean", "moving_var")  # which graphs of MXNet 0.8 do not list


def find(root: Path) -> tuple[Path, Path]:
    """(symbol, params). Raises InputConfiguration, which lists what the folder holds."""
    found = sorted(path for path in root.iterdir() if path.is_file())
    symbols = [path for path in found if path.suffix == ".json" and path.name not in AUXILIARY]
    symbols = [path for path in symbols if path.name.endswith("symbol.json")] or symbols
    holds = f"the model holds: {listing(path.name for path in found)}"
    if not symbols:
        raise InputConfiguration(f"No symbol file found for the MXNet model; expected one named *-symbol.json; {holds}")
    if len(symbols) > 1:
        raise InputConfiguration(f"Only one symbol file is allowed for an MXNet model; {holds}")
    files = [path for path in found if path.suffix == ".params"]
    if not files:
        raise InputConfiguration(f"No params file found for the MXNet model; expected one named *-0001.params; {holds}")
    return symbols[0], max(files, key=lambda path: (_epoch(path), path.name))


def _epoch(path: Path) -> int:
    match = _EPOCH.fullmatch(path.name)
    return int(match["epoch"]) if match else -1


def load(root: Path, inputs: Sequence[Input]) -> onnx.ModelProto:
    """float32 ONNX of the folder's model. Raises CompileError, InputConfiguration and OSError."""
    symbol, file = find(root)
    try:
        arrays = params.load(file)
    except params.ParamsError as error:
        raise CompileError(f"{file.name}, byte {error.offset}: {error.reason}") from error
    return convert(parse(symbol.read_bytes(), symbol.name), _named(arrays, file.name), inputs, file.name)


def _named(arrays: Mapping[str, np.ndarray], file: str) -> dict[str, np.ndarray]:
    """Without ``arg:`` and ``aux:``, which every array of a checkpoint has."""
    odd = [name for name in arrays if not name.startswith(("arg:", "aux:"))]
    if odd:
        raise CompileError(f"{file} names {listing(odd)}; expected names that start with arg: or aux:")
    return {name[4:]: array for name, array in arrays.items()}


def convert(graph: Graph, arrays: Mapping[str, np.ndarray], inputs: Sequence[Input], file: str) -> onnx.ModelProto:
    """``file`` names the arrays' origin in errors. Raises CompileError and InputConfiguration."""
    needed = _needed(graph)
    _check_inputs(graph, needed, arrays, inputs, file)
    builder = Builder()
    given = {i.name: i for i in inputs}
    values: dict[int, Value] = {}
    for node in graph.nodes:
        if node.index not in needed:
            continue
        if node.is_variable:
            values[node.index] = _variable(node, arrays, given, builder)
            continue
        operands = tuple(values[number] for number, _ in _operands(node))
        values[node.index] = translate(node, (*operands, *_unlisted(node, arrays)), builder)
    output = values[graph.head[0]]
    if output.array is not None or not builder.nodes:
        raise CompileError(f"{graph.nodes[graph.head[0]]} is the output, and nothing computes it")
    return builder.finish(output, graph.nodes[graph.head[0]].name)


def _operands(node: Node) -> tuple[tuple[int, int], ...]:
    """What inference needs: no labels. Raises CompileError for any but the first output of a node."""
    operands = node.inputs[:1] if node.op in OUTPUTS else node.inputs
    for number, output in operands:
        if output:
            raise node.error(f"takes output {output} of node {number}; expected output 0, the only one offered")
    return operands


def _needed(graph: Graph) -> set[int]:
    """Numbers of the nodes that the head depends on."""
    needed = {graph.head[0]}
    for node in reversed(graph.nodes):  # inputs come before
        if node.index in needed:
            needed.update(number for number, _ in _operands(node))
    return needed


def _check_inputs(
    graph: Graph, needed: set[int], arrays: Mapping[str, np.ndarray], inputs: Sequence[Input], file: str
) -> None:
    variables = {node.name: node.index in needed for node in graph.nodes if node.is_variable}
    free = [name for name, used in variables.items() if used and name not in arrays]
    given = [i.name for i in inputs]
    for name in given:
        if name not in variables:
            raise InputConfiguration(
                f"DataInputConfig names {name!r}, which the symbol does not have; its inputs are: {listing(free)}"
            )
        if name in arrays:
            raise InputConfiguration(f"DataInputConfig names {name!r}, an array of {file}; inputs are: {listing(free)}")
    missing = [name for name in free if name not in given]
    if missing:
        raise InputConfiguration(
            f"nothing says what {listing(missing)} are: they are in neither DataInputConfig (found: {listing(given)}) "
            f"nor {file} (found: {listing(arrays)})"
        )


def _variable(node: Node, arrays: Mapping[str, np.ndarray], given: Mapping[str, Input], builder: Builder) -> Value:
    if node.name in given:
        return builder.input(node.name, given[node.name].shape)
    array = arrays[node.name]
    return Value(node.name, array.shape, array)


def _unlisted(node: Node, arrays: Mapping[str, np.ndarray]) -> tuple[Value, ...]:
    """Moving statistics, which graphs of MXNet 0.8 leave to the reader."""
    if not node.op.startswith("BatchNorm") or len(node.inputs) != 3:
        return ()
    names = [f"{node.name}_{state}" for state in _STATES]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise node.error(f"its {listing(missing)} are not in the params file")
    return tuple(Value(name, arrays[name].shape, arrays[name]) for name in names)
