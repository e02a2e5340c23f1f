"""Networks that others published, as plans: a list of layers that knows its inputs. One plan is run by torch
(``planned``) and drawn as MXNet's graph (``plan_symbol``). Plain numbers, no torch.

A layer's name is its key in torchvision's state dict with ``_`` for ``.``: reading published weights is renaming.
Dropout before the last layer is left out: it is nothing in inference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from darkroom.networks.architecture import MOBILENET_V2, RESNET, SQUEEZENET, Architecture

NORM_EPS = 1e-5  # torchvision's
INPUT_NORM = "bn_data"
# (expanded by, channels, blocks, stride of the first) of Sandler et al. 2018, table 2
INVERTED_RESIDUALS = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
# (squeezed to, expanded to twice) of Iandola et al. 2016, version 1.1, by place in torchvision's ``features``
FIRES = {
    3: (16, 64),
    4: (16, 64),
    6: (32, 128),
    7: (32, 128),
    9: (48, 192),
    10: (48, 192),
    11: (64, 256),
    12: (64, 256),
}


@dataclass(frozen=True)
class Conv:
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    bias: bool = False


@dataclass(frozen=True)
class Norm:
    channels: int
    fixed: bool = False  # the input's: constants, and a gamma of 1


@dataclass(frozen=True)
class Relu:
    limit: float | None = None


@dataclass(frozen=True)
class MaxPool:
    kernel: int
    stride: int
    pad: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class Mean:
    """Over height and width, flattened."""


@dataclass(frozen=True)
class Add:
    pass


@dataclass(frozen=True)
class Concat:
    pass


@dataclass(frozen=True)
class Linear:
    inputs: int
    outputs: int


Layer = Conv | Norm | Relu | MaxPool | Mean | Add | Concat | Linear
INPUT = -1  # as a step's source: the images


@dataclass(frozen=True)
class Step:
    name: str
    layer: Layer
    sources: tuple[int, ...]  # numbers of earlier steps, or INPUT


@dataclass
class Plan:
    """``classifier``: the step with one output a class, which starts anew with other classes."""

    steps: list[Step] = field(default_factory=list)
    classifier: str = ""

    def add(self, name: str, layer: Layer, *sources: int) -> int:
        self.steps.append(Step(name, layer, sources))
        return len(self.steps) - 1


def plan_of(architecture: Architecture) -> Plan:
    """The plan of any network but the algorithm's own pre-activation ResNets."""
    plan = Plan()
    x = plan.add(INPUT_NORM, Norm(architecture.image_shape[0], fixed=True), INPUT)
    _DRAWN[architecture.network](plan, x, architecture)
    return plan


def _resnet(plan: Plan, x: int, architecture: Architecture) -> None:
    """Post-activation; a bottleneck strides in its 3x3 convolution ("v1.5", as torchvision's and timm's do)."""
    stem, *stages = architecture.filters
    x = _conv_norm(plan, x, "conv1", "bn1", Conv(architecture.image_shape[0], stem, 7, 2, 3))
    x = plan.add("maxpool", MaxPool(3, 2, 1), plan.add("relu", Relu(), x))
    inputs = stem
    for stage, (outputs, count) in enumerate(zip(stages, architecture.units, strict=True), start=1):
        for number in range(count):
            stride = 2 if stage > 1 and number == 0 else 1
            x = _residual(plan, x, f"layer{stage}_{number}", inputs, outputs, stride, architecture.bottleneck)
            inputs = outputs
    x = plan.add("avgpool", Mean(), x)
    plan.add("fc", Linear(inputs, architecture.num_classes), x)
    plan.classifier = "fc"


def _residual(plan: Plan, x: int, name: str, inputs: int, outputs: int, stride: int, bottleneck: bool) -> int:
    inner = outputs // 4
    convolutions = [Conv(inputs, outputs, 3, stride, 1), Conv(outputs, outputs, 3, 1, 1)]
    if bottleneck:
        convolutions = [Conv(inputs, inner, 1), Conv(inner, inner, 3, stride, 1), Conv(inner, outputs, 1)]
    y = x
    for number, convolution in enumerate(convolutions, start=1):
        y = _conv_norm(plan, y, f"{name}_conv{number}", f"{name}_bn{number}", convolution)
        if number < len(convolutions):
            y = plan.add(f"{name}_relu{number}", Relu(), y)
    if stride > 1 or inputs != outputs:
        x = _conv_norm(plan, x, f"{name}_downsample_0", f"{name}_downsample_1", Conv(inputs, outputs, 1, stride))
    return plan.add(f"{name}_relu", Relu(), plan.add(f"{name}_plus", Add(), y, x))


def _mobilenet_v2(plan: Plan, x: int, architecture: Architecture) -> None:
    def conv_norm_relu6(x: int, name: str, convolution: Conv) -> int:
        y = _conv_norm(plan, x, f"{name}_0", f"{name}_1", convolution)
        return plan.add(f"{name}_2", Relu(6.0), y)

    x = conv_norm_relu6(x, "features_0", Conv(architecture.image_shape[0], 32, 3, 2, 1))
    inputs, block = 32, 0
    for expansion, outputs, count, first_stride in INVERTED_RESIDUALS:
        for number in range(count):
            block += 1
            stride, name = first_stride if number == 0 else 1, f"features_{block}_conv"
            inner, y, place = inputs * expansion, x, 0
            if expansion > 1:
                y, place = conv_norm_relu6(y, f"{name}_0", Conv(inputs, inner, 1)), 1
            y = conv_norm_relu6(y, f"{name}_{place}", Conv(inner, inner, 3, stride, 1, groups=inner))
            y = _conv_norm(plan, y, f"{name}_{place + 1}", f"{name}_{place + 2}", Conv(inner, outputs, 1))
            x = plan.add(f"features_{block}_plus", Add(), x, y) if stride == 1 and inputs == outputs else y
            inputs = outputs
    x = conv_norm_relu6(x, f"features_{block + 1}", Conv(inputs, 1280, 1))
    x = plan.add("avgpool", Mean(), x)
    plan.add("classifier_1", Linear(1280, architecture.num_classes), x)
    plan.classifier = "classifier_1"


def _squeezenet(plan: Plan, x: int, architecture: Architecture) -> None:
    def conv_relu(x: int, name: str, convolution: Conv) -> int:
        return plan.add(f"{name}_relu", Relu(), plan.add(name, convolution, x))

    x = conv_relu(x, "features_0", Conv(architecture.image_shape[0], 64, 3, 2, bias=True))
    inputs = 64
    for place in range(2, 13):
        name = f"features_{place}"
        if place not in FIRES:
            x = plan.add(name, MaxPool(3, 2, ceil=True), x)
            continue
        squeezed, expanded = FIRES[place]
        x = conv_relu(x, f"{name}_squeeze", Conv(inputs, squeezed, 1, bias=True))
        one = conv_relu(x, f"{name}_expand1x1", Conv(squeezed, expanded, 1, bias=True))
        three = conv_relu(x, f"{name}_expand3x3", Conv(squeezed, expanded, 3, 1, 1, bias=True))
        x, inputs = plan.add(name, Concat(), one, three), 2 * expanded
    x = conv_relu(x, "classifier_1", Conv(inputs, architecture.num_classes, 1, bias=True))
    plan.add("avgpool", Mean(), x)
    plan.classifier = "classifier_1"


def _conv_norm(plan: Plan, x: int, conv: str, norm: str, convolution: Conv) -> int:
    return plan.add(norm, Norm(convolution.outputs), plan.add(conv, convolution, x))


_DRAWN: dict[str, Callable[[Plan, int, Architecture], None]] = {
    RESNET: _resnet,
    MOBILENET_V2: _mobilenet_v2,
    SQUEEZENET: _squeezenet,
}
