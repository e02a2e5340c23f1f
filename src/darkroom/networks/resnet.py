"""The residual networks of the image-classification algorithm, in PyTorch.

Module names are MXNet's (``stage1_unit1.bn1`` is ``stage1_unit1_bn1``), registered in the order of the symbol's
arguments: ``networks.mxnet`` only has to rename. Knows nothing of files, training or photographs.

Input is what a decoder gives: (N, channels, height, width), RGB 0..255, uint8 or float, any memory format; the first
BatchNorm normalises it. Output is logits (N, classes).
"""

import math

import torch
from torch import Tensor, nn

from darkroom.networks.architecture import Architecture
from darkroom.networks.batch_norm import normalised_relu, normalised_relu_beside
from darkroom.networks.conv3x3 import convolved
from darkroom.networks.first_layer import normalised_conv
from darkroom.networks.stem import stem

BN_EPS = 2e-5
BN_MOMENTUM = 0.1  # weight of the new batch; MXNet's 0.9 is the weight of the old average


def build(
    num_layers: int,
    num_classes: int,
    image_shape: tuple[int, int, int] = (3, 224, 224),
    *,
    generator: torch.Generator | None = None,
) -> "ResNet":
    """A freshly initialised network on the CPU; random numbers come from ``generator``. Raises ArchitectureError."""
    net = empty(Architecture.of(num_layers, num_classes, image_shape)).to_empty(device="cpu")
    initialise(net, generator)
    return net


def empty(architecture: Architecture) -> "ResNet":
    """The network without memory for its tensors (device "meta"), to load them into with ``assign=True``."""
    with torch.device("meta"):
        return ResNet(architecture)


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator | None = None) -> None:
    """Xavier (gaussian, fan in, magnitude 2) weights, as MXNet's example does; zero biases; identity BatchNorms."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


class ResNet(nn.Module):
    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        stem, *stages = architecture.filters
        channels = architecture.image_shape[0]
        self.bn_data = _norm(channels)
        self.bn_data.weight.requires_grad_(False)  # fix_gamma: it stays 1, and MXNet ignores what a file says
        if architecture.small_stem:
            self.conv0 = _conv(channels, stem, 3)
        else:
            self.conv0 = _conv(channels, stem, 7, stride=2)
            self.bn0 = _norm(stem)
        self.units: list[str] = []
        unit, inputs = Bottleneck if architecture.bottleneck else Basic, stem
        for stage, (outputs, count) in enumerate(zip(stages, architecture.units, strict=True), start=1):
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                self.units.append(f"stage{stage}_unit{number}")
                self.add_module(self.units[-1], unit(inputs, outputs, stride, first=number == 1))
                inputs = outputs
        self.bn1 = _norm(inputs)
        self.fc1 = nn.Linear(inputs, architecture.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = images if images.is_floating_point() else images.float()
        if self.architecture.small_stem:
            x = normalised_conv(self.bn_data, self.conv0, x)
        else:
            x = stem(self.bn_data, self.conv0, self.bn0, x)
        for name in self.units:
            x = self.get_submodule(name)(x)
        x = normalised_relu(self.bn1, x)
        return self.fc1(x.mean(dim=(2, 3)))  # (N, features) -> (N, classes)


class Basic(nn.Module):
    """BN-ReLU-3x3, BN-ReLU-3x3, added to the input, or to a 1x1 projection of the first pre-activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, first: bool) -> None:
        super().__init__()
        self.bn1 = _norm(inputs)
        self.conv1 = _conv(inputs, outputs, 3, stride)
        self.bn2 = _norm(outputs)
        self.conv2 = _conv(outputs, outputs, 3)
        self.sc = _conv(inputs, outputs, 1, stride) if first else None

    def forward(self, x: Tensor) -> Tensor:
        active, x = normalised_relu_beside(self.bn1, x) if self.sc is None else (normalised_relu(self.bn1, x), x)
        y = convolved(self.conv1, active)
        return convolved(self.conv2, normalised_relu(self.bn2, y), more=x if self.sc is None else self.sc(active))


class Bottleneck(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3 (which strides), BN-ReLU-1x1, added as in Basic; a quarter of the width inside."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, first: bool) -> None:
        super().__init__()
        inner = outputs // 4
        self.bn1 = _norm(inputs)
        self.conv1 = _conv(inputs, inner, 1)
        self.bn2 = _norm(inner)
        self.conv2 = _conv(inner, inner, 3, stride)
        self.bn3 = _norm(inner)
        self.conv3 = _conv(inner, outputs, 1)
        self.sc = _conv(inputs, outputs, 1, stride) if first else None

    def forward(self, x: Tensor) -> Tensor:
        active, x = normalised_relu_beside(self.bn1, x) if self.sc is None else (normalised_relu(self.bn1, x), x)
        y = self.conv1(active)
        y = convolved(self.conv2, normalised_relu(self.bn2, y))
        y = self.conv3(normalised_relu(self.bn3, y))
        return y.add_(x if self.sc is None else self.sc(active))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)
