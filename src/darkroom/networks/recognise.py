"""Which published network tensors are of, by their names and shapes alone. Plain values, no torch, no files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.networks.architecture import MOBILENET_V2, NETWORKS, RESNET, SQUEEZENET, Architecture

Shapes = Mapping[str, tuple[int, ...]]  # by name, with "_" for torchvision's ".": "layer1_0_conv1_weight"

_UNIT = re.compile(r"layer([1-4])_([0-9]{1,2})_")


@dataclass(frozen=True)
class Published:
    """``num_layers`` is 0 where the network has one size."""

    network: str
    num_layers: int
    num_classes: int
    channels: int


def published(shapes: Shapes) -> Published | None:
    """The network whose landmarks are all there; every other tensor has yet to be held against it."""
    for network, stem, landmark, classifier in (
        (MOBILENET_V2, "features_0_0_weight", "features_1_conv_0_0_weight", "classifier_1_weight"),
        (SQUEEZENET, "features_0_weight", "features_3_squeeze_weight", "classifier_1_weight"),
        (RESNET, "conv1_weight", "layer1_0_conv1_weight", "fc_weight"),
    ):
        if len(shapes.get(stem, ())) == 4 and landmark in shapes:
            head = shapes.get(classifier, ())
            depth = _depth(shapes) if network == RESNET else 0
            if depth is None:
                return None
            return Published(network, depth, head[0] if len(head) >= 2 else 0, shapes[stem][1])
    return None


def _depth(shapes: Shapes) -> int | None:
    found = {(int(match[1]), int(match[2])) for name in shapes if (match := _UNIT.match(name))}
    units = tuple(sum(stage == wanted for stage, _ in found) for wanted in range(1, 5))
    bottleneck = "layer1_0_conv3_weight" in shapes
    for depth in NETWORKS[RESNET]:
        architecture = Architecture(depth, 1, (3, 224, 224), small_stem=False, network=RESNET)
        if (architecture.units, architecture.bottleneck) == (units, bottleneck):
            return depth
    return None
