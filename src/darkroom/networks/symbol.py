"""The symbol file: the network as MXNet's graph JSON, as the built-in algorithm (MXNet 1.3) writes it.

Node for node, attribute for attribute and space for space what MXNet's own writer makes of the same network: tools that
were fed with AWS's files are fed with these. Knows no tensors and no torch.
"""

import json
from dataclasses import dataclass, field

from darkroom.networks.architecture import Architecture

MXNET_VERSION = 10300
_OUTPUTS = {"BatchNorm": 3, "MaxPooling": 2}  # the others have one
_BATCH_NORM = {"eps": "2e-05", "momentum": "0.9"}
_INIT = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}

Attributes = dict[str, str]


def to_json(architecture: Architecture, *, multi_label: bool = False) -> str:
    """Graph of the network with its output, which stands for the loss too.

    One label: SoftmaxOutput. Several: LogisticRegressionOutput, whose gradient is that of binary cross-entropy. Both
    are named "softmax", so that MXNet's Module finds the label name it expects.
    """
    graph = _Graph()
    x = graph.add("_copy", "id", [graph.variable("data")])
    x = _residual_part(graph, _stem(graph, x, architecture), architecture)
    x = graph.batch_norm("bn1", x)
    x = graph.relu("relu1", x)
    x = graph.add("Pooling", "pool1", [x], {"global_pool": "True", "kernel": "(7, 7)", "pool_type": "avg"})
    x = graph.add("Flatten", "flatten0", [x])
    x = graph.layer("FullyConnected", "fc1", x, ("weight", "bias"), {"num_hidden": str(architecture.num_classes)})
    output = "LogisticRegressionOutput" if multi_label else "SoftmaxOutput"
    graph.add(output, "softmax", [x, graph.variable("softmax_label")])
    return graph.to_json()


def _stem(graph: "_Graph", x: int, architecture: Architecture) -> int:
    x = graph.batch_norm("bn_data", x, fix_gamma=True)
    filters = architecture.filters[0]
    if architecture.small_stem:
        return graph.convolution("conv0", x, filters, 3, 1)
    x = graph.convolution("conv0", x, filters, 7, 2)
    x = graph.relu("relu0", graph.batch_norm("bn0", x))
    pooling = {"kernel": "(3, 3)", "pad": "(1, 1)", "pool_type": "max", "stride": "(2, 2)"}
    return graph.add("Pooling", "pooling0", [x], pooling)


def _residual_part(graph: "_Graph", x: int, architecture: Architecture) -> int:
    for stage, count in enumerate(architecture.units, start=1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            name = f"stage{stage}_unit{number}"
            x = _unit(graph, name, x, architecture.filters[stage], stride, architecture.bottleneck, first=number == 1)
    return x


def _unit(graph: "_Graph", name: str, x: int, filters: int, stride: int, bottleneck: bool, *, first: bool) -> int:
    inner = filters // 4
    # (filters, kernel, stride) of each convolution
    convolutions = [(inner, 1, 1), (inner, 3, stride), (filters, 1, 1)] if bottleneck else []
    y = active = x
    for number, (outputs, kernel, step) in enumerate(convolutions or [(filters, 3, stride), (filters, 3, 1)], start=1):
        y = graph.relu(f"{name}_relu{number}", graph.batch_norm(f"{name}_bn{number}", y))
        active = y if number == 1 else active
        y = graph.convolution(f"{name}_conv{number}", y, outputs, kernel, step)
    shortcut = graph.convolution(f"{name}_sc", active, filters, 1, stride, pad=False) if first else x
    return graph.add("elemwise_add", f"_plus{graph.count('elemwise_add')}", [y, shortcut])


@dataclass
class _Graph:
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

    def batch_norm(self, name: str, x: int, *, fix_gamma: bool = False) -> int:
        attributes = {**_BATCH_NORM, "fix_gamma": str(fix_gamma)}
        learned = [self.variable(f"{name}_{weight}", attributes) for weight in ("gamma", "beta")]
        states = [self.variable(f"{name}_{state}", {**attributes, "__init__": init}) for state, init in _INIT.items()]
        return self.add("BatchNorm", name, [x, *learned, *states], attributes, states=len(states))

    def convolution(self, name: str, x: int, filters: int, kernel: int, stride: int, *, pad: bool = True) -> int:
        attributes = {"kernel": _pair(kernel), "no_bias": "True", "num_filter": str(filters)}
        attributes |= {"pad": _pair(kernel // 2)} if pad else {}
        attributes |= {"stride": _pair(stride), "workspace": "256"}
        return self.layer("Convolution", name, x, ("weight",), attributes)

    def relu(self, name: str, x: int) -> int:
        return self.add("Activation", name, [x], {"act_type": "relu"})

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


def _pair(value: int) -> str:
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
