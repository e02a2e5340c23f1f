"""A plan as a PyTorch module, its layers named as in the plan: ``networks.mxnet`` only has to rename.

Takes and gives what ``networks.resnet`` does: (N, channels, height, width), RGB 0..255, to logits (N, classes). The
first BatchNorm holds the constants that the published weights expect (mean and deviation of ImageNet's colours, unless
others are given) and never learns: one preprocessing serves all networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.networks.architecture import Architecture
from darkroom.networks.batch_norm import normalised, normalised_relu
from darkroom.networks.conv3x3 import convolved
from darkroom.networks.plan import (
    INPUT,
    INPUT_NORM,
    NORM_EPS,
    Add,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Mean,
    Norm,
    Relu,
    plan_of,
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in 0..1
BN_MOMENTUM = 0.1


class PlannedNet(nn.Module):
    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.plan = plan_of(architecture)
        self._last_use: dict[int, int] = {}
        for number, step in enumerate(self.plan.steps):
            if (module := _module(step.layer)) is not None:
                self.add_module(step.name, module)
            self._last_use |= dict.fromkeys(step.sources, number)
        self._activated = self._norms_before_relu()
        self.bn_data = self.get_submodule(INPUT_NORM)
        self.bn_data.eval()
        for constant in self.bn_data.parameters():
            constant.requires_grad_(False)

    def _norms_before_relu(self) -> dict[int, Relu]:
        """The ReLU of each normalisation that nothing else reads: the two are computed as one."""
        norms = {number for number, step in enumerate(self.plan.steps) if isinstance(step.layer, Norm)}
        return {
            number - 1: step.layer
            for number, step in enumerate(self.plan.steps)
            if isinstance(step.layer, Relu) and step.sources == (number - 1,) and number - 1 in norms
            if self._last_use[number - 1] == number
        }

    @torch.no_grad()
    def normalise_input(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        """Have the network subtract ``mean`` and divide by ``std``, of RGB in 0..1; a grey image has their averages."""
        means, deviations = torch.tensor(mean) * 255, torch.tensor(std) * 255
        if self.architecture.image_shape[0] == 1:
            means, deviations = means.mean(0, keepdim=True), deviations.mean(0, keepdim=True)
        self.bn_data.reset_parameters()
        self.bn_data.running_mean.copy_(means)
        self.bn_data.running_var.copy_(deviations**2 - NORM_EPS)

    def train(self, mode: bool = True) -> "PlannedNet":
        super().train(mode)
        self.bn_data.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        values = {INPUT: images if images.is_floating_point() else images.float()}
        x = images
        for number, step in enumerate(self.plan.steps):
            # what nobody reads again may be overwritten, and need not be kept
            inputs = [
                values.pop(source) if self._last_use[source] == number else values[source] for source in step.sources
            ]
            if isinstance(step.layer, Norm):
                x = self._normalise(step.name, inputs[0], self._activated.get(number))
            elif isinstance(step.layer, Relu) and step.sources[0] in self._activated:
                x = inputs[0]
            else:
                x = self._run(step.name, step.layer, inputs, last=step.sources[0] not in values)
            values[number] = x
        return x  # (N, classes)

    def _normalise(self, name: str, x: Tensor, relu: Relu | None) -> Tensor:
        norm = self.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d)
        return normalised(norm, x) if relu is None else normalised_relu(norm, x, relu.limit)

    def _run(self, name: str, layer: Layer, inputs: list[Tensor], *, last: bool) -> Tensor:
        x = inputs[0]
        match layer:
            case Relu(limit=None):
                return functional.relu(x, inplace=last)
            case Relu():
                return functional.relu6(x, inplace=last)
            case MaxPool():
                return functional.max_pool2d(x, layer.kernel, layer.stride, layer.pad, ceil_mode=layer.ceil)
            case Mean():
                return x.mean(dim=(2, 3))
            case Add():
                return inputs[0] + inputs[1]
            case Concat():
                return torch.cat(inputs, dim=1)
            case _:
                module = self.get_submodule(name)
                answer: Tensor = convolved(module, x) if isinstance(module, nn.Conv2d) else module(x)
                return answer


def _module(layer: Layer) -> nn.Module | None:
    """Of a layer that learns."""
    match layer:
        case Conv():
            return nn.Conv2d(
                layer.inputs,
                layer.outputs,
                layer.kernel,
                stride=layer.stride,
                padding=layer.pad,
                groups=layer.groups,
                bias=layer.bias,
            )
        case Norm():
            return nn.BatchNorm2d(layer.channels, eps=NORM_EPS, momentum=BN_MOMENTUM)
        case Linear():
            return nn.Linear(layer.inputs, layer.outputs)
        case _:
            return None
