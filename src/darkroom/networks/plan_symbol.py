"""A plan drawn as MXNet's graph, with operators that MXNet 1.3 and every later 1.x has. Knows no tensors."""

from darkroom.networks.architecture import Architecture
from darkroom.networks.graph_json import Attributes, Graph, pair
from darkroom.networks.plan import (
    INPUT,
    NORM_EPS,
    Add,
    Concat,
    Conv,
    Linear,
    MaxPool,
    Mean,
    Norm,
    Relu,
    Step,
    plan_of,
)


def draw(graph: Graph, architecture: Architecture, *, multi_label: bool) -> None:
    """Add the whole network to an empty graph."""
    drawn = {INPUT: graph.add("_copy", "id", [graph.variable("data")])}
    last = 0
    for number, step in enumerate(plan_of(architecture).steps):
        last = drawn[number] = _draw(graph, step, [drawn[source] for source in step.sources])
    graph.output(last, multi_label=multi_label)


def _draw(graph: Graph, step: Step, sources: list[int]) -> int:
    name, layer, x = step.name, step.layer, sources[0]
    match layer:
        case Conv():
            return graph.layer("Convolution", name, x, _weights(layer.bias), _convolution(layer))
        case Norm():
            more = {"eps": f"{NORM_EPS:g}"} | ({"use_global_stats": "True"} if layer.fixed else {})
            return graph.batch_norm(name, x, fix_gamma=layer.fixed, more=more)
        case Relu(limit=None):
            return graph.relu(name, x)
        case Relu():
            return graph.add("clip", name, [x], {"a_min": "0", "a_max": f"{layer.limit:g}"})
        case MaxPool():
            return graph.add("Pooling", name, [x], _pooling(layer))
        case Mean():
            pooled = graph.add("Pooling", name, [x], {"global_pool": "True", "kernel": "(7, 7)", "pool_type": "avg"})
            return graph.add("Flatten", f"{name}_flat", [pooled])
        case Add():
            return graph.add("elemwise_add", name, sources)
        case Concat():
            return graph.add("Concat", name, sources, {"dim": "1", "num_args": str(len(sources))})
        case Linear():
            return graph.layer("FullyConnected", name, x, _weights(True), {"num_hidden": str(layer.outputs)})


def _weights(bias: bool) -> tuple[str, ...]:
    return ("weight", "bias") if bias else ("weight",)


def _convolution(layer: Conv) -> Attributes:
    return {
        "kernel": pair(layer.kernel),
        "no_bias": str(not layer.bias),
        "num_filter": str(layer.outputs),
        "num_group": str(layer.groups),
        "pad": pair(layer.pad),
        "stride": pair(layer.stride),
        "workspace": "256",
    }


def _pooling(layer: MaxPool) -> Attributes:
    return {
        "kernel": pair(layer.kernel),
        "pad": pair(layer.pad),
        "pool_type": "max",
        "pooling_convention": "full" if layer.ceil else "valid",
        "stride": pair(layer.stride),
    }
