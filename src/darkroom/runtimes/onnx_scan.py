"""What an ONNX file holds, read off its protobuf without any engine: operators, and whether it points to other files.

Engines follow references to files anywhere on the disk and load whatever operators they know, graphs within graphs
included. Only plain graphs of the operators below pass. Field numbers are those of onnx.proto.
"""

from collections.abc import Iterator

MAX_BYTES = (1 << 31) - 1  # protobuf's own limit
_NAMES = (
    "Add AveragePool BatchNormalization Cast Clip Concat Constant Conv DequantizeLinear Div Dropout Elu "
    "Erf Flatten Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LRN LeakyRelu "
    "LogSoftmax MatMul MaxPool Mul Neg PRelu Pad Pow QuantizeLinear ReduceMax ReduceMean ReduceSum Relu "
    "Reshape Selu Shape Sigmoid Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh Transpose "
    "Unsqueeze "
)
OPERATORS = frozenset(_NAMES.split())

_GRAPH, _FUNCTIONS = 7, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of NodeProto
_TENSOR, _SUBGRAPHS = 5, (6, 11, 22, 23)  # of AttributeProto: t; g, graphs, sparse_tensor(s)
_EXTERNAL, _LOCATION = 13, 14  # of TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types

Field = tuple[int, int | memoryview]


class ScanError(ValueError):
    """The file is no ONNX model, or holds what is not served; the message says what."""


def scan(data: bytes | memoryview) -> frozenset[str]:
    """The operators of the file's graph. Raises ScanError."""
    if not 0 < len(data) <= MAX_BYTES:
        raise ScanError(f"it has {len(data)} bytes; expected 1 to {MAX_BYTES}")
    parts = list(fields(memoryview(data)))
    graphs = [value for number, value in parts if number == _GRAPH]
    if len(graphs) != 1 or not isinstance(graphs[0], memoryview):
        raise ScanError("it is no ONNX model: it has no graph")
    if any(number == _FUNCTIONS for number, _ in parts):
        raise ScanError("it defines functions of its own; expected a plain graph")
    found = set()
    for number, value in fields(graphs[0]):
        if number == _NODE:
            found.add(_node(value))
        elif number == _INITIALIZER:
            _check_tensor(value)
        elif number == _SPARSE:
            raise ScanError("it holds sparse tensors; expected dense ones")
    return frozenset(found)


def _node(value: int | memoryview) -> str:
    operator, domain = "", ""
    for number, part in fields(message(value)):
        if number == _OP_TYPE:
            operator = bytes(message(part)).decode("utf-8", "replace")
        elif number == _DOMAIN:
            domain = bytes(message(part)).decode("utf-8", "replace")
        elif number == _ATTRIBUTE:
            _check_attribute(part)
    if operator not in OPERATORS or domain not in ("", "ai.onnx"):
        raise ScanError(f"its operator {'.'.join(filter(None, (domain, operator)))!r} is not one of those served")
    return operator


def _check_attribute(value: int | memoryview) -> None:
    for number, part in fields(message(value)):
        if number in _SUBGRAPHS:
            raise ScanError("it holds graphs within its graph, or sparse tensors; expected a plain graph")
        if number == _TENSOR:
            _check_tensor(part)


def _check_tensor(value: int | memoryview) -> None:
    for number, part in fields(message(value)):
        if number == _EXTERNAL or (number == _LOCATION and part != 0):
            raise ScanError("it refers to data in other files; expected all data in the file itself")


def message(value: int | memoryview) -> memoryview:
    """Raises ScanError for a number."""
    if not isinstance(value, memoryview):
        raise ScanError("it is no ONNX model: a message was expected where there is a number")
    return value


def fields(view: memoryview) -> Iterator[Field]:
    """(number, value) of one protobuf message; texts and floats are bytes. Raises ScanError where it ends too early."""
    place = 0
    while place < len(view):
        key, place = _varint(view, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(view, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(view, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ScanError("it is no ONNX model: its bytes are no protobuf")
        if place + size > len(view):
            raise ScanError("it ends before its data does: it was cut off, or is no ONNX model")
        yield number, view[place : place + size]
        place += size


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            raise ScanError("it ends before its data does: it was cut off, or is no ONNX model")
        byte = view[place]
        place += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, place
    raise ScanError("it is no ONNX model: its bytes are no protobuf")
