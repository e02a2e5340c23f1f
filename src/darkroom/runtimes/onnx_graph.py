"""An ONNX file as a plain graph: nodes in running order and constants as arrays over the file's own bytes.

For a runtime that is no engine: workers have neither onnx nor an engine to read with. Nothing in the file is trusted:
sizes are checked before anything is allocated, and a graph that comes out of here has no loop and no loose end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from darkroom.runtimes.onnx_scan import ScanError, fields, message, scan

MAX_ELEMENTS = 1 << 28  # of one constant
MAX_SPELLED = 1 << 20  # of one whose numbers are written one by one
MAX_RANK = 8

FLOAT, UINT8, INT8 = 1, 2, 3  # of TensorProto.DataType
TYPES: Mapping[int, Any] = {
    FLOAT: "<f4", UINT8: "u1", INT8: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8",
    12: "<u4", 13: "<u8",
}  # fmt: skip

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_TAKEN, _MADE, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
_NAME, _REAL, _WHOLE, _TEXT, _TENSOR, _REALS, _WHOLES = 1, 2, 3, 4, 5, 7, 8  # of AttributeProto
_DIMS, _TYPE, _FLOATS, _INT32S, _INT64S, _TENSOR_NAME, _RAW, _DOUBLES, _UINT64S = 1, 2, 4, 5, 7, 8, 9, 10, 11
_SPELLINGS: Mapping[int, frozenset[int]] = {  # the field that spells a type's values where they are not raw
    _FLOATS: frozenset({FLOAT}),
    _INT32S: frozenset({UINT8, INT8, 4, 5, 6, 9, 10}),
    _INT64S: frozenset({7}),
    _DOUBLES: frozenset({11}),
    _UINT64S: frozenset({12, 13}),
}

Attribute = int | float | bytes | np.ndarray | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """``inputs``: "" where an optional one is left out."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def whole(self, name: str, default: int) -> int:
        """Raises ScanError where the attribute is something else, as the others do."""
        return int(self._of(name, default, int))

    def real(self, name: str, default: float) -> float:
        return float(self._of(name, default, float))

    def wholes(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        return tuple(map(int, self._of(name, tuple(default), tuple)))

    def text(self, name: str, default: str) -> str:
        value: bytes = self._of(name, default.encode(), bytes)
        return value.decode("utf-8", "replace")

    def _of(self, name: str, default: Attribute, kind: type) -> Any:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise ScanError(f"the attribute {name!r} of its {self.operator} is {str(value)[:40]!r}")
        return value


@dataclass(frozen=True)
class Value:
    """An input or output of the graph. ``shape``: None for what is left open; None altogether where it is not said."""

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """One input, one output. Every node takes what comes before it: constants, the input, or a node's output."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    input: Value
    output: Value

    @cached_property
    def users(self) -> Mapping[str, Sequence[Node]]:
        """Tensor → the nodes that take it, once for each place they take it in."""
        users: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                users[name].append(node)
        return users

    @cached_property
    def makers(self) -> Mapping[str, Node]:
        """Tensor → the node that makes it."""
        return {name: node for node in self.nodes for name in node.outputs}


def read(data: bytes | memoryview) -> Graph:
    """Raises ScanError for what is no graph of known operators, or one that does not hang together."""
    scan(data)
    (graph,) = (message(value) for number, value in fields(memoryview(data)) if number == _GRAPH)
    nodes: list[Node] = []
    constants: dict[str, np.ndarray] = {}
    inputs, outputs = [], []
    for number, value in fields(graph):
        if number == _NODE:
            nodes.append(_node(message(value)))
        elif number == _INITIALIZER:
            _keep(constants, *_tensor(message(value)))
        elif number == _INPUT:
            inputs.append(_value(message(value)))
        elif number == _OUTPUT:
            outputs.append(_value(message(value)))
    inputs = [given for given in inputs if given.name not in constants]  # older files list constants among them
    if len(inputs) != 1 or len(outputs) != 1:
        raise ScanError(f"it has {len(inputs)} inputs and {len(outputs)} outputs; expected one each")
    computing = []
    for node in nodes:
        if node.operator == "Constant":
            _keep(constants, *_constant(node))
        else:
            computing.append(node)
    _check_order(computing, {*constants, inputs[0].name}, outputs[0].name)
    return Graph(tuple(computing), constants, inputs[0], outputs[0])


def _check_order(nodes: Iterable[Node], given: set[str], output: str) -> None:
    """A tensor is made once, and taken after it was made; then there is no loop."""
    made = set(given)
    for node in nodes:
        for name in node.inputs:
            if name and name not in made:
                raise ScanError(f"its {node.operator} takes {name[:100]!r}, which nothing before it makes")
        for name in node.outputs:
            if name in made or not name:
                raise ScanError(f"its {node.operator} makes {name[:100]!r}, which is there already")
            made.add(name)
    if output not in made:
        raise ScanError(f"nothing makes its output {output[:100]!r}")


def _keep(constants: dict[str, np.ndarray], name: str, array: np.ndarray) -> None:
    if name in constants or not name:
        raise ScanError(f"two of its constants are named {name[:100]!r}")
    constants[name] = array


def _constant(node: Node) -> tuple[str, np.ndarray]:
    value = node.attributes.get("value", node.attributes.get("value_int", node.attributes.get("value_ints")))
    if value is None or len(node.outputs) != 1 or isinstance(value, bytes):
        raise ScanError("a Constant of it has no value that is a tensor")
    return node.outputs[0], np.asarray(value)


def _node(view: memoryview) -> Node:
    operator, inputs, outputs = "", [], []
    attributes: dict[str, Attribute] = {}
    for number, value in fields(view):
        if number == _OPERATOR:
            operator = _text(value)
        elif number == _TAKEN:
            inputs.append(_text(value))
        elif number == _MADE:
            outputs.append(_text(value))
        elif number == _ATTRIBUTE:
            name, attribute = _attribute(message(value))
            if attribute is not None:
                attributes[name] = attribute
    if not outputs:
        raise ScanError(f"its {operator} makes nothing")
    return Node(operator, tuple(inputs), tuple(outputs), attributes)


def _attribute(view: memoryview) -> tuple[str, Attribute | None]:
    """Lists of texts are not read: no operator that is served here has one."""
    name = ""
    found: Attribute | None = None
    wholes: list[int] = []
    reals: list[float] = []
    for number, value in fields(view):
        if number == _NAME:
            name = _text(value)
        elif number == _WHOLE:
            found = _signed(value)
        elif number == _REAL:
            (found,) = _floats(value, 1)
        elif number == _TEXT:
            found = bytes(message(value))
        elif number == _TENSOR:
            found = _tensor(message(value))[1]
        elif number == _WHOLES:
            wholes += [_signed(value)] if isinstance(value, int) else _varints(value, None).tolist()
        elif number == _REALS:
            reals += _floats(value, None)
    return name, tuple(wholes) or tuple(reals) or found


def _value(view: memoryview) -> Value:
    name, kind, shape = "", 0, None
    for number, part in fields(view):
        if number == 1:
            name = _text(part)
        elif number == 2:
            for inner, tensor in fields(message(part)):
                if inner == 1:
                    kind, shape = _tensor_type(message(tensor))
    return Value(name, kind, shape)


def _tensor_type(view: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
    kind, shape = 0, None
    for number, part in fields(view):
        if number == 1:
            kind = _signed(part)
        elif number == 2:
            shape = tuple(_extent(message(value)) for inner, value in fields(message(part)) if inner == 1)
    return kind, shape


def _extent(view: memoryview) -> int | None:
    sizes = [_signed(value) for number, value in fields(view) if number == 1]
    return sizes[-1] if sizes else None


def _tensor(view: memoryview) -> tuple[str, np.ndarray]:
    """Its name and values; those of raw bytes are a view of the file."""
    name, kind = "", 0
    dims: list[int] = []
    spelled: dict[int, list[int | memoryview]] = defaultdict(list)
    for number, value in fields(view):
        if number == _TENSOR_NAME:
            name = _text(value)
        elif number == _TYPE:
            kind = _signed(value)
        elif number == _DIMS:
            dims += [_signed(value)] if isinstance(value, int) else _varints(value, None).tolist()
        elif number == _RAW or number in _SPELLINGS:
            spelled[number].append(value)
    if kind not in TYPES:
        raise ScanError(f"its constant {name[:100]!r} is of type {kind}, which is not one of those served")
    if len(dims) > MAX_RANK or any(extent < 0 for extent in dims) or prod(dims) > MAX_ELEMENTS:
        raise ScanError(f"its constant {name[:100]!r} is of shape {dims[:MAX_RANK]}, more than is served")
    return name, _values(name, kind, prod(dims), spelled).reshape(dims)


def _values(name: str, kind: int, count: int, spelled: Mapping[int, Sequence[int | memoryview]]) -> np.ndarray:
    dtype = np.dtype(TYPES[kind])
    if not count and not spelled:
        return np.empty(0, dtype)
    if len(spelled) != 1:
        raise ScanError(f"its constant {name[:100]!r} has its values in {len(spelled)} places; expected one")
    ((number, parts),) = spelled.items()
    if number == _RAW:
        raw = message(parts[-1])
        if len(raw) != count * dtype.itemsize:
            raise ScanError(f"its constant {name[:100]!r} has {len(raw)} bytes; expected {count * dtype.itemsize}")
        return np.frombuffer(raw, dtype)
    if kind not in _SPELLINGS[number] or count > MAX_SPELLED or len(parts) > MAX_SPELLED:
        raise ScanError(f"the values of its constant {name[:100]!r} are not where those of their type are")
    if number in (_FLOATS, _DOUBLES):
        found: np.ndarray = np.frombuffer(b"".join(map(message, parts))[: dtype.itemsize * (count + 1)], np.uint8)
        found = found.view(dtype) if found.size % dtype.itemsize == 0 else found[:0].view(dtype)
    else:
        numbers = [part if isinstance(part, int) else _varints(part, count) for part in parts]
        wide = np.concatenate([np.atleast_1d(np.asarray(_wrap(part), np.int64)) for part in numbers])
        found = wide.astype(np.uint16).view(dtype) if kind == 10 else wide.astype(dtype)
    if found.size != count:
        raise ScanError(f"its constant {name[:100]!r} has not the {count} values that its shape asks for")
    return found


def _wrap(value: int | np.ndarray) -> int | np.ndarray:
    return _signed(value) if isinstance(value, int) else value


def _varints(value: int | memoryview, most: int | None) -> np.ndarray:
    """int64 of packed numbers, ``most`` at most."""
    data = np.frombuffer(message(value), np.uint8)
    ends = np.flatnonzero(data < 0x80)
    lengths = np.diff(ends, prepend=-1)
    if not data.size:
        return np.empty(0, np.int64)
    if data[-1] >= 0x80 or lengths.max() > 10 or len(ends) > (MAX_SPELLED if most is None else most):
        raise ScanError("it is no ONNX model: a list of numbers is damaged")
    numbers = np.zeros(len(ends), np.uint64)
    starts = ends - lengths + 1
    for k in range(int(lengths.max())):
        longer = lengths > k
        numbers[longer] |= (data[starts[longer] + k].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * k)
    return numbers.view(np.int64)


def _signed(value: int | memoryview) -> int:
    """A number as int64: the wire has it in two's complement."""
    if not isinstance(value, int):
        raise ScanError("it is no ONNX model: a number was expected where there is none")
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _floats(value: int | memoryview, count: int | None) -> list[float]:
    view = message(value)
    if len(view) % 4 or count not in (None, len(view) // 4):
        raise ScanError("it is no ONNX model: a number was expected where there is none")
    return [float(number) for number in np.frombuffer(view, "<f4")]


def _text(value: int | memoryview) -> str:
    return bytes(message(value)).decode("utf-8", "replace")
