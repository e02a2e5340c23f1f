"""MXNet's graph JSON, node for node, attribute for attribute and space for space as MXNet 1.3's own writer makes it.

Knows operators and how they are written; which network they make up is for ``symbol`` and ``plan_symbol``.
"""

import json
from dataclasses import dataclass, field

MXNET_VERSION = 10300
_OUTPUTS = {"BatchNorm": 3, "MaxPooling": 2}  # the others have one
_BATCH_NORM = {"eps": "2e-05", "momentum": "0.9"}
_INIT = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}

Attributes = dict[str, str]


@dataclass
class Graph:
    """Nodes in the order of their making: inputs before what uses them, as MXNet's depth-first walk finds them."""

    nodes: list[dict[str, object]] = field(default_factory=list)
    row_pointers: list[int] = field(default_factory=lambda: [0])

    def add(
        self, op: str, name: str, inputs: list[int], attributes: Attributes | None = None, *, states: int = 0
    ) -> int:
        """Returns the node's number. The last ``states`` inputs are written by the node (moving statistics)."""
        node: dict[str, object] = {"op": op, "name": name}
        if attributes:
            node["attrs"] = dict(sorted(attributes.items()))
        node["inputs"] = [[i, 0, int(place >= len(inputs) - states)] for place, i in enumerate(inputs)]
        self.nodes.append(node)
        kind = "MaxPooling" if attributes and attributes.get("pool_type") == "max" else op
        self.row_pointers.append(self.row_pointers[-1] + _OUTPUTS.get(kind, 1))
        return len(self.nodes) - 1

    def variable(self, name: str, attributes: Attributes | None = None) -> int:
        return self.add("null", name, [], attributes)

    def layer(self, op: str, name: str, x: int, weights: tuple[str, ...], attributes: Attributes) -> int:
        """A node with weights of its own, which repeat its attributes."""
        return self.add(
            op, name, [x, *(self.variable(f"{name}_{weight}", attributes) for weight in weights)], attributes
        )

    def batch_norm(self, name: str, x: int, *, fix_gamma: bool = False, more: Attributes | None = None) -> int:
        attributes = {**_BATCH_NORM, "fix_gamma": str(fix_gamma), **(more or {})}
        learned = [self.variable(f"{name}_{weight}", attributes) for weight in ("gamma", "beta")]
        states = [self.variable(f"{name}_{state}", {**attributes, "__init__": init}) for state, init in _INIT.items()]
        return self.add("BatchNorm", name, [x, *learned, *states], attributes, states=len(states))

    def convolution(self, name: str, x: int, filters: int, kernel: int, stride: int, *, pad: bool = True) -> int:
        attributes = {"kernel": pair(kernel), "no_bias": "True", "num_filter": str(filters)}
        attributes |= {"pad": pair(kernel // 2)} if pad else {}
        attributes |= {"stride": pair(stride), "workspace": "256"}
        return self.layer("Convolution", name, x, ("weight",), attributes)

    def relu(self, name: str, x: int) -> int:
        return self.add("Activation", name, [x], {"act_type": "relu"})

    def output(self, x: int, *, multi_label: bool) -> int:
        """The network's output, which stands for the loss too.

        One label: SoftmaxOutput. Several: LogisticRegressionOutput, whose gradient is that of binary cross-entropy.
        Both are named "softmax", so that MXNet's Module finds the label name it expects.
        """
        op = "LogisticRegressionOutput" if multi_label else "SoftmaxOutput"
        return self.add(op, "softmax", [x, self.variable("softmax_label")])

    def count(self, op: str) -> int:
        return sum(node["op"] == op for node in self.nodes)

    def to_json(self) -> str:
        variables = [number for number, node in enumerate(self.nodes) if node["op"] == "null"]
        members = {
            "nodes": _block("[]", [_block("{}", _members(node), 4) for node in self.nodes], 2),
            "arg_nodes": _block("[]", variables, 2),
            "node_row_ptr": _block("[]", self.row_pointers, 2),
            "heads": f"[[{len(self.nodes) - 1}, 0, 0]]",
            "attrs": json.dumps({"mxnet_version": ["int", MXNET_VERSION]}),
        }
        return _block("{}", [f'"{key}": {value}' for key, value in members.items()], 0)


def pair(value: int) -> str:
    return f"({value}, {value})"


def _members(node: dict[str, object]) -> list[str]:
    return [f'"{key}": {_value(value)}' for key, value in node.items()]


def _value(value: object) -> str:
    if isinstance(value, dict) and len(value) > 1:
        return _block("{}", [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()], 6)
    return json.dumps(value)


def _block(brackets: str, entries: list[object] | list[str] | list[int], indent: int) -> str:
    """One entry a line, with the space that MXNet leaves after each comma."""
    space = " " * (indent + 2)
    inside = ", \n".join(f"{space}{entry}" for entry in entries)
    return f"{brackets[0]}\n{inside}\n{' ' * indent}{brackets[1]}"
