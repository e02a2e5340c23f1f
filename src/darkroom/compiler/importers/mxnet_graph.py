"""MXNet's symbol.json as checked nodes, whatever version wrote it. Knows the file's grammar and no operator.

A node refers to earlier nodes only, so that a graph cannot hold a cycle. Attributes are text; they are read by patterns
and never evaluated.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from darkroom.compiler.errors import CompileError, listing

MAX_BYTES = 1 << 26
MAX_NODES = 50_000  # the deepest network here has 1822

_ATTRIBUTE_KEYS = ("param", "attr", "attrs")  # before 0.9, before 0.12, since
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_TUPLE = re.compile(r"[(\[]?\s*([+-]?[0-9]{1,12}L?(?:\s*,\s*[+-]?[0-9]{1,12}L?)*)?\s*,?\s*[)\]]?")
_TRUE, _FALSE = {"True", "true", "1"}, {"False", "false", "0"}
_NONE = {None, "None", ""}


@dataclass(frozen=True)
class Node:
    """``inputs`` are (node, output) numbers; a variable has the operator "null" and no inputs."""

    index: int
    op: str
    name: str
    attributes: Mapping[str, str]
    inputs: tuple[tuple[int, int], ...]

    @property
    def is_variable(self) -> bool:
        return self.op == "null"

    def __str__(self) -> str:
        return f"{self.op} {self.name!r}"

    def text(self, name: str, default: str, choices: Sequence[str] = ()) -> str:
        value = self.attributes.get(name, default)
        if choices and value not in choices:
            raise self.error(f"{name} is {value!r}; expected one of {listing(choices)}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.attributes.get(name)
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        if value in _NONE:
            return default
        raise self.error(f"{name} is {value!r}; expected True or False")

    def real(self, name: str, default: float | None = None) -> float:
        value = self.attributes.get(name)
        if value in _NONE and default is not None:
            return default
        try:
            return float(value or "")
        except ValueError:
            raise self.error(f"{name} is {value!r}; expected a number") from None

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.attributes.get(name)
        if value in _NONE and default is not None:
            return default
        if not _INTEGER.fullmatch(value or ""):
            raise self.error(f"{name} is {value!r}; expected a whole number")
        return int(value or "")

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Of ``(3, 3)``, ``[3,3]``, ``(3L, 3L)`` or ``3``; ``default`` where there is none."""
        value = self.attributes.get(name)
        if value in _NONE:
            return default
        match = _TUPLE.fullmatch((value or "").strip())
        if match is None:
            raise self.error(f"{name} is {value!r}; expected whole numbers such as (3, 3)")
        return tuple(int(part.strip().rstrip("L")) for part in match[1].split(",")) if match[1] else default

    def error(self, message: str) -> CompileError:
        return CompileError(f"{self}: {message}")


@dataclass(frozen=True)
class Graph:
    """``nodes`` in an order in which inputs come first; ``head`` is the (node, output) that the model answers with."""

    nodes: tuple[Node, ...]
    head: tuple[int, int]
    version: str  # of the MXNet that wrote it, as it says; "" where it does not


def parse(data: bytes, file: str) -> Graph:
    """Raises CompileError for what is no symbol file, or refers to nodes that do not come before."""
    if len(data) > MAX_BYTES:
        raise CompileError(f"{file} has {len(data)} bytes, more than any symbol file ({MAX_BYTES})")
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CompileError(f"{file} is not readable as JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("nodes"), list) or "heads" not in record:
        keys = listing(record) if isinstance(record, dict) else type(record).__name__
        raise CompileError(f"{file} is no MXNet symbol: expected an object with nodes and heads, found {keys}")
    if not 0 < len(record["nodes"]) <= MAX_NODES:
        raise CompileError(f"{file} has {len(record['nodes'])} nodes; expected 1 to {MAX_NODES}")
    nodes = tuple(_node(number, entry, file) for number, entry in enumerate(record["nodes"]))
    return Graph(nodes, _head(record["heads"], nodes, file), _version(record))


def _node(number: int, entry: object, file: str) -> Node:
    if not isinstance(entry, dict) or not isinstance(entry.get("op"), str) or not isinstance(entry.get("name"), str):
        raise CompileError(f"{file}, node {number}: expected an object with op and name")
    attributes = {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for key in _ATTRIBUTE_KEYS
        if isinstance(entry.get(key), dict)
        for name, value in entry[key].items()
    }
    inputs = entry.get("inputs", [])
    where = f"{file}, node {number} ({entry['op']} {entry['name']!r})"
    if not isinstance(inputs, list):
        raise CompileError(f"{where}: inputs is no list")
    return Node(number, entry["op"], entry["name"], attributes, tuple(_input(number, i, where) for i in inputs))


def _input(number: int, entry: object, where: str) -> tuple[int, int]:
    pair = _pair(entry)
    if pair is None:
        raise CompileError(f"{where}: the input {entry!r} is not [node, output, version]")
    if not 0 <= pair[0] < number:
        raise CompileError(
            f"{where} takes node {pair[0]} as input; expected one of the {number} before it: a graph without cycles"
        )
    return pair


def _pair(entry: object) -> tuple[int, int] | None:
    if not isinstance(entry, list) or len(entry) not in (2, 3) or not all(type(n) is int for n in entry):
        return None
    return entry[0], entry[1]


def _head(heads: object, nodes: tuple[Node, ...], file: str) -> tuple[int, int]:
    pairs = [_pair(entry) for entry in heads] if isinstance(heads, list) else []
    if not pairs or any(pair is None or not 0 <= pair[0] < len(nodes) for pair in pairs):
        raise CompileError(f"{file}: heads is {json.dumps(heads)[:80]}; expected [[node, output, version]]")
    if len(pairs) > 1:
        names = listing(nodes[pair[0]].name for pair in pairs if pair)
        raise CompileError(f"{file} has {len(pairs)} outputs ({names}); models of one output are compiled")
    assert pairs[0] is not None
    return pairs[0]


def _version(record: Mapping[str, object]) -> str:
    attributes = record.get("attrs")
    entry = attributes.get("mxnet_version") if isinstance(attributes, dict) else None
    if not isinstance(entry, list) or len(entry) != 2 or type(entry[1]) is not int:
        return ""
    return f"{entry[1] // 10000}.{entry[1] // 100 % 100}.{entry[1] % 100}"
