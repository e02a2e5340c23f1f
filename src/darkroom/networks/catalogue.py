"""A network of any kind, from its architecture. Knows which module runs which."""

import torch

from darkroom.networks import resnet
from darkroom.networks.architecture import PREACT_RESNET, Architecture
from darkroom.networks.plan import plan_of
from darkroom.networks.planned import PlannedNet
from darkroom.networks.resnet import ResNet

Net = ResNet | PlannedNet  # (N, C, H, W) of 0..255 → logits (N, classes); has its ``architecture``


def empty(architecture: Architecture) -> Net:
    """The network without memory for its tensors (device "meta"), to load them into with ``assign=True``."""
    if architecture.network == PREACT_RESNET:
        return resnet.empty(architecture)
    with torch.device("meta"):
        return PlannedNet(architecture)


def build(architecture: Architecture, generator: torch.Generator | None = None) -> Net:
    """A freshly initialised network on the CPU; random numbers come from ``generator``."""
    net = empty(architecture).to_empty(device="cpu")
    resnet.initialise(net, generator)
    if isinstance(net, PlannedNet):
        net.normalise_input()
    return net


def classifier_of(architecture: Architecture) -> str:
    """Name of the last layer, which has an output a class."""
    return "fc1" if architecture.network == PREACT_RESNET else plan_of(architecture).classifier
