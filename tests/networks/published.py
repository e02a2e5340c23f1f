"""State dicts with torchvision's names and random values, as files of pretrained weights hold them."""

import re

import torch
from safetensors.torch import save_file

from darkroom.networks import catalogue
from darkroom.networks.architecture import Architecture

_DOTS = re.compile(r"_(?=\d)|(?<=\d)_|_(?=conv|bn|squeeze|expand|downsample)")


def torchvision_state(network, depth=0, classes=5, channels=3, seed=0):
    """Ours under torchvision's names, without the input's BatchNorm, which torchvision does not have."""
    architecture = Architecture.of(depth, classes, (channels, 64, 64), network)
    net = catalogue.build(architecture, torch.Generator().manual_seed(seed))
    for name, buffer in net.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(seed))
    own = {key: value for key, value in net.state_dict().items() if not key.startswith("bn_data.")}
    return {dotted(key): value.clone() for key, value in own.items()}


def dotted(key):
    """``layer1_0_conv1.weight`` → ``layer1.0.conv1.weight``."""
    module, _, leaf = key.rpartition(".")
    return f"{_DOTS.sub('.', module)}.{leaf}"


def publish(path, network, depth=0, without=(), **more):
    """Write the file; gives the state in it."""
    state = {k: v for k, v in torchvision_state(network, depth, **more).items() if k not in without}
    save_file(state, path)
    return state
