"""The symbol file: the network as MXNet's graph JSON, as the built-in algorithm (MXNet 1.3) writes it.

The documented networks are byte for byte what AWS's algorithm writes: tools that were fed with AWS's files are fed with
these. Knows no tensors and no torch.
"""

from darkroom.networks import plan_symbol
from darkroom.networks.architecture import PREACT_RESNET, Architecture
from darkroom.networks.graph_json import Graph


def to_json(architecture: Architecture, *, multi_label: bool = False) -> str:
    """Graph of the network with its output, which stands for the loss too (``Graph.output``)."""
    graph = Graph()
    if architecture.network != PREACT_RESNET:
        plan_symbol.draw(graph, architecture, multi_label=multi_label)
        return graph.to_json()
    x = graph.add("_copy", "id", [graph.variable("data")])
    x = _residual_part(graph, _stem(graph, x, architecture), architecture)
    x = graph.batch_norm("bn1", x)
    x = graph.relu("relu1", x)
    x = graph.add("Pooling", "pool1", [x], {"global_pool": "True", "kernel": "(7, 7)", "pool_type": "avg"})
    x = graph.add("Flatten", "flatten0", [x])
    x = graph.layer("FullyConnected", "fc1", x, ("weight", "bias"), {"num_hidden": str(architecture.num_classes)})
    graph.output(x, multi_label=multi_label)
    return graph.to_json()


def _stem(graph: Graph, x: int, architecture: Architecture) -> int:
    x = graph.batch_norm("bn_data", x, fix_gamma=True)
    filters = architecture.filters[0]
    if architecture.small_stem:
        return graph.convolution("conv0", x, filters, 3, 1)
    x = graph.convolution("conv0", x, filters, 7, 2)
    x = graph.relu("relu0", graph.batch_norm("bn0", x))
    pooling = {"kernel": "(3, 3)", "pad": "(1, 1)", "pool_type": "max", "stride": "(2, 2)"}
    return graph.add("Pooling", "pooling0", [x], pooling)


def _residual_part(graph: Graph, x: int, architecture: Architecture) -> int:
    for stage, count in enumerate(architecture.units, start=1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            name = f"stage{stage}_unit{number}"
            x = _unit(graph, name, x, architecture.filters[stage], stride, architecture.bottleneck, first=number == 1)
    return x


def _unit(graph: Graph, name: str, x: int, filters: int, stride: int, bottleneck: bool, *, first: bool) -> int:
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
