"""What MXNet's operators are in ONNX: one table, one function an operator. The networks of its model zoos need no more.

Everything is computed in float32, as MXNet does for inference; Dropout is gone, and so are casts between float types.
Semantics are those of MXNet 1.9.1's src/operator.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom.compiler.builder import Builder, Shape, Value, text
from darkroom.compiler.errors import CompileError, listing
from darkroom.compiler.importers.mxnet_graph import Node
from darkroom.compiler.importers.mxnet_pooling import pooled


@dataclass(frozen=True)
class Operation:
    """One node with its inputs, ready to be translated."""

    node: Node
    inputs: tuple[Value, ...]
    builder: Builder

    @property
    def x(self) -> Value:
        """The first input, which is data."""
        return self.input(0)

    def input(self, place: int) -> Value:
        if place >= len(self.inputs):
            raise self.node.error(f"has {len(self.inputs)} inputs; expected at least {place + 1}")
        return self.inputs[place]

    def array(self, place: int, what: str, shape: Shape) -> Value:
        """A learned value. Raises CompileError unless it has this shape."""
        value = self.input(place)
        if value.array is None:
            raise self.node.error(f"its {what} {value.name!r} is computed; expected an array of the params file")
        if value.shape != shape:
            raise self.node.error(
                f"its {what} {value.name!r} has the shape {text(value.shape)} in the params file; the graph expects "
                f"{text(shape)} for an input of {text(self.x.shape)}"
            )
        return value

    def add(self, op: str, shape: Shape, *inputs: Value | np.ndarray, suffix: str = "", **attributes: Any) -> Value:
        name = self.node.name + (f"_{suffix}" if suffix else "")
        return self.builder.add(op, name, inputs or (self.x,), shape, **attributes)

    def rank(self, *allowed: int) -> int:
        rank = len(self.x.shape)
        if rank not in allowed:
            raise self.node.error(f"its input has the shape {text(self.x.shape)}; expected {allowed} dimensions")
        return rank

    def channels(self) -> int:
        """Of the data, in its second place."""
        channels = self.x.shape[1] if len(self.x.shape) > 1 else None
        if channels is None:
            raise self.node.error(f"its input has the shape {text(self.x.shape)}; expected [batch, channels, …]")
        return channels


def convolution(o: Operation) -> Value:
    n = o.node
    spatial = o.rank(3, 4, 5) - 2
    kernel = _window(o, "kernel", spatial)
    stride, dilate = (_window(o, name, spatial, 1) for name in ("stride", "dilate"))
    pad = _window(o, "pad", spatial, 0, least=0)
    filters, groups = n.integer("num_filter"), n.integer("num_group", 1)
    n.text("layout", "None", ("None", "NCW", "NCHW", "NCDHW"))
    channels = o.channels()
    if groups < 1 or channels % groups or filters % groups:
        raise n.error(f"num_group is {groups}; expected a divisor of its {channels} channels and {filters} filters")
    weight = o.array(1, "weight", (filters, channels // groups, *kernel))
    bias = () if n.flag("no_bias") else (o.array(2, "bias", (filters,)),)
    reach = [d * (k - 1) + 1 for d, k in zip(dilate, kernel, strict=True)]
    sides = [(s + 2 * p - r) // t + 1 for s, p, r, t in zip(_sides(o), pad, reach, stride, strict=True)]
    settings: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": (*pad, *pad),
        "dilations": dilate,
        "group": groups,
    }
    return o.add("Conv", (o.x.shape[0], filters, *sides), o.x, weight, *bias, **settings)


def fully_connected(o: Operation) -> Value:
    hidden = o.node.integer("num_hidden")
    x = o.x
    flat = o.node.flag("flatten", True)
    if flat and len(x.shape) > 2:
        x = flatten(o)
    elif len(x.shape) != 2:
        raise o.node.error(f"its input has the shape {text(x.shape)}; expected [batch, features]")
    features = x.shape[1]
    assert features is not None
    weight = o.input(1)
    if weight.shape != (hidden, features):
        weight = o.array(1, "weight", (hidden, features))
    bias = () if o.node.flag("no_bias") else (o.array(2, "bias", (hidden,)),)
    return o.add("Gemm", (x.shape[0], hidden), x, weight, *bias, transB=1)


def batch_norm(o: Operation) -> Value:
    if o.node.integer("axis", 1) not in (1, 1 - len(o.x.shape)):
        raise o.node.error(f"axis is {o.node.integer('axis')}; expected 1, the channels")
    if o.node.flag("output_mean_var"):
        raise o.node.error("output_mean_var is True; expected one output")
    shape = (o.channels(),)
    gamma, beta, mean, variance = (
        o.array(place, what, shape) for place, what in enumerate(("gamma", "beta", "moving mean", "moving variance"), 1)
    )
    if o.node.flag("fix_gamma", True):  # then gamma counts as 1, whatever the file says
        gamma = Value(f"{o.node.name}_fixed_gamma", shape, np.ones(shape, np.float32))
    return o.add("BatchNormalization", o.x.shape, o.x, gamma, beta, mean, variance, epsilon=o.node.real("eps", 1e-3))


def activation(o: Operation) -> Value:
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}
    return o.add(kinds[o.node.text("act_type", "", tuple(kinds))], o.x.shape)


def leaky_relu(o: Operation) -> Value:
    n, shape = o.node, o.x.shape
    kind, slope = n.text("act_type", "leaky", ("leaky", "elu", "prelu", "rrelu", "selu", "gelu")), n.real("slope", 0.25)
    if kind == "leaky":
        return o.add("LeakyRelu", shape, alpha=slope)
    if kind == "rrelu":  # random in training; its mean in inference
        bounds = n.real("lower_bound", 0.125), n.real("upper_bound", 0.334)
        return o.add("LeakyRelu", shape, alpha=sum(bounds) / 2)
    if kind == "elu":
        return o.add("Elu", shape, alpha=slope)
    if kind == "selu":
        return o.add("Selu", shape)
    if kind == "gelu":
        return _gelu(o)
    gamma = o.input(1)
    if gamma.array is None or gamma.shape not in ((1,), (o.channels(),)):
        gamma = o.array(1, "gamma", (o.channels(),))
    assert gamma.array is not None
    return o.add("PRelu", shape, o.x, gamma.array.reshape(-1, *[1] * (len(shape) - 2)))


def _gelu(o: Operation) -> Value:
    shape = o.x.shape
    inner = o.add("Mul", shape, o.x, _scalar(1 / math.sqrt(2)), suffix="scaled")
    bell = o.add("Erf", shape, inner, suffix="erf")
    share = o.add("Add", shape, bell, _scalar(1), suffix="share")
    product = o.add("Mul", shape, o.x, share, suffix="product")
    return o.add("Mul", shape, product, _scalar(0.5))


def flatten(o: Operation) -> Value:
    features = math.prod(extent or 1 for extent in o.x.shape[1:])
    return o.add("Flatten", (o.x.shape[0], features), suffix="" if o.node.op.lower() == "flatten" else "flat", axis=1)


def reshape(o: Operation) -> Value:
    """To (batch, …) with the batch kept as it is: 0, -1 or, for a batch of that size, its number in the first place."""
    wanted = o.node.integers("shape")
    batch, *rest = o.x.shape
    if not wanted or o.node.flag("reverse") or any(extent < -1 for extent in wanted) or wanted.count(-1) > 1:
        raise o.node.error(f"shape is {wanted}; expected the batch first, then extents of 0, -1 or more")
    sizes = [
        o.x.shape[place] if extent == 0 and place < len(o.x.shape) else extent for place, extent in enumerate(wanted)
    ]
    total = math.prod(extent or 1 for extent in rest)
    if sizes[0] not in (batch, -1):
        raise o.node.error(f"shape is {wanted} for an input of {text(o.x.shape)}; expected to keep the batch")
    known = math.prod(extent or 1 for extent in sizes[1:] if extent != -1)
    if known and -1 in sizes[1:]:
        sizes = [sizes[0], *(total // known if extent == -1 else extent for extent in sizes[1:])]
    if math.prod(extent or 1 for extent in sizes[1:]) != total or min(extent or 1 for extent in sizes[1:] or [1]) < 1:
        raise o.node.error(f"shape is {wanted} for an input of {text(o.x.shape)}; expected {total} values in each item")
    to = np.array([-1, *(extent or 1 for extent in sizes[1:])], np.int64)
    return o.add("Reshape", (batch, *sizes[1:]), o.x, to)


def softmax_output(o: Operation) -> Value:
    """The label is of no use in inference; ``multi_output`` has the classes in the second place."""
    if o.node.flag("multi_output") or (len(o.x.shape) == 2 and not o.node.flag("preserve_shape")):
        return o.add("Softmax", o.x.shape, o.x, axis=1)
    if o.node.flag("preserve_shape"):
        return o.add("Softmax", o.x.shape, o.x, axis=-1)
    raise o.node.error(f"its input has the shape {text(o.x.shape)}; expected [batch, classes]")


def softmax(o: Operation) -> Value:
    x, temperature = o.x, o.node.real("temperature", 1.0)
    if o.node.flag("use_length"):
        raise o.node.error("use_length is True; expected a softmax over all values")
    if temperature != 1:
        x = o.add("Mul", x.shape, x, _scalar(1 / temperature), suffix="temperature")
    return o.add("Softmax", x.shape, x, axis=o.node.integer("axis", -1))


def softmax_activation(o: Operation) -> Value:
    if o.node.text("mode", "instance", ("instance", "channel")) == "instance":
        o.rank(2)
    return o.add("Softmax", o.x.shape, o.x, axis=1)


def same(o: Operation) -> Value:
    return o.x


def cast(o: Operation) -> Value:
    o.node.text("dtype", "", ("float16", "float32", "float64", "bfloat16"))
    return o.x


def dropout(o: Operation) -> Value:
    o.node.text("mode", "training", ("training",))
    return o.x


def concat(o: Operation) -> Value:
    axis = o.node.integer("dim", 1)
    first, rank = o.x.shape, len(o.x.shape)
    axis += rank if axis < 0 else 0
    for value in o.inputs:
        if not 0 < axis < rank or len(value.shape) != rank or _without(value.shape, axis) != _without(first, axis):
            shapes = listing(text(value.shape) for value in o.inputs)
            raise o.node.error(f"joins {shapes} along {axis}; expected shapes that differ only there, after the batch")
    joined = sum(value.shape[axis] or 0 for value in o.inputs)
    return o.add("Concat", (*first[:axis], joined, *first[axis + 1 :]), *o.inputs, axis=axis)


def clip(o: Operation) -> Value:
    bounds = np.float32(o.node.real("a_min")), np.float32(o.node.real("a_max"))
    return o.add("Clip", o.x.shape, o.x, *map(np.asarray, bounds))


def lrn(o: Operation) -> Value:
    o.rank(4)
    settings: dict[str, Any] = {
        "alpha": o.node.real("alpha", 1e-4),
        "beta": o.node.real("beta", 0.75),
        "bias": o.node.real("knorm", 2),
    }
    size = o.node.integer("nsize")
    if size < 1 or size % 2 == 0:
        raise o.node.error(f"nsize is {size}; expected an odd number")
    return o.add("LRN", o.x.shape, size=size, **settings)


def pooling(o: Operation) -> Value:
    return pooled(o.node, o.x, o.builder)


def _binary(op: str) -> "Translation":
    def translate(o: Operation) -> Value:
        a, b = o.input(0), o.input(1)
        shape = _broadcast(a.shape, b.shape)
        if shape is None:
            raise o.node.error(f"takes {text(a.shape)} and {text(b.shape)}; expected equal shapes")
        return o.add(op, shape, a, b)

    return translate


def _with_scalar(op: str, *, scalar_first: bool = False) -> "Translation":
    def translate(o: Operation) -> Value:
        scalar = _scalar(o.node.real("scalar"))
        operands = (scalar, o.x) if scalar_first else (o.x, scalar)
        return o.add(op, o.x.shape, *operands)

    return translate


def _unary(op: str) -> "Translation":
    return lambda o: o.add(op, o.x.shape)


def _scalar(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def _sides(o: Operation) -> list[int]:
    sides = [extent for extent in o.x.shape[2:] if extent is not None]
    if len(sides) != len(o.x.shape) - 2:
        raise o.node.error(f"its input has the shape {text(o.x.shape)}; expected to know all but the batch")
    return sides


def _window(o: Operation, name: str, spatial: int, default: int | None = None, least: int = 1) -> tuple[int, ...]:
    values = o.node.integers(name, () if default is None else (default,) * spatial)
    if len(values) != spatial or min(values) < least or max(values) > 1 << 20:
        raise o.node.error(f"{name} is {values} for an input of {text(o.x.shape)}; expected {spatial} extents")
    return values


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    if len(a) != len(b):
        return None
    if all(x == y or 1 in (x, y) for x, y in zip(a, b, strict=True)):
        return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))
    return None


Translation = Callable[[Operation], Value]

_PLUS, _MINUS, _TIMES, _OVER = _binary("Add"), _binary("Sub"), _binary("Mul"), _binary("Div")

TRANSLATIONS: Mapping[str, Translation] = {
    "Activation": activation,
    "BatchNorm": batch_norm,
    "BatchNorm_v1": batch_norm,
    "BlockGrad": same,
    "Cast": cast,
    "Concat": concat,
    "Convolution": convolution,
    "Convolution_v1": convolution,
    "CuDNNBatchNorm": batch_norm,
    "Dropout": dropout,
    "Flatten": flatten,
    "FullyConnected": fully_connected,
    "LRN": lrn,
    "LeakyReLU": leaky_relu,
    "LinearRegressionOutput": same,
    "LogisticRegressionOutput": _unary("Sigmoid"),
    "MAERegressionOutput": same,
    "Pooling": pooling,
    "Pooling_v1": pooling,
    "Reshape": reshape,
    "Softmax": softmax_output,
    "SoftmaxActivation": softmax_activation,
    "SoftmaxOutput": softmax_output,
    "_DivScalar": _with_scalar("Div"),
    "_MinusScalar": _with_scalar("Sub"),
    "_MulScalar": _with_scalar("Mul"),
    "_Plus": _PLUS,
    "_PlusScalar": _with_scalar("Add"),
    "_RDivScalar": _with_scalar("Div", scalar_first=True),
    "_RMinusScalar": _with_scalar("Sub", scalar_first=True),
    "_copy": same,
    "_div_scalar": _with_scalar("Div"),
    "_minus_scalar": _with_scalar("Sub"),
    "_mul_scalar": _with_scalar("Mul"),
    "_plus": _PLUS,
    "_plus_scalar": _with_scalar("Add"),
    "_rdiv_scalar": _with_scalar("Div", scalar_first=True),
    "_rminus_scalar": _with_scalar("Sub", scalar_first=True),
    "broadcast_add": _PLUS,
    "broadcast_div": _OVER,
    "broadcast_mul": _TIMES,
    "broadcast_plus": _PLUS,
    "broadcast_sub": _MINUS,
    "cast": cast,
    "clip": clip,
    "concat": concat,
    "elemwise_add": _PLUS,
    "elemwise_div": _OVER,
    "elemwise_mul": _TIMES,
    "elemwise_sub": _MINUS,
    "flatten": flatten,
    "identity": same,
    "relu": _unary("Relu"),
    "reshape": reshape,
    "sigmoid": _unary("Sigmoid"),
    "softmax": softmax,
    "tanh": _unary("Tanh"),
}
OUTPUTS = {"SoftmaxOutput", "Softmax", "LogisticRegressionOutput", "LinearRegressionOutput", "MAERegressionOutput"}


def translate(node: Node, inputs: tuple[Value, ...], builder: Builder) -> Value:
    """Raises CompileError for an operator that is not in the table, or is used in a way that is not offered."""
    translation = TRANSLATIONS.get(node.op)
    if translation is None:
        known = listing(sorted(TRANSLATIONS), most=len(TRANSLATIONS))
        raise CompileError(f"the operator {node.op} of node {node.name!r} is not offered; those that are: {known}")
    return translation(Operation(node, inputs, builder))
