"""Which network a name, a depth and an image shape stand for: stages, widths, stem. Plain numbers, no torch.

The default are the pre-activation ResNets (He et al. 2016, "Identity Mappings in Deep Residual Networks") that the
built-in algorithm trains. Their stages follow from the depth and their stem from the image height, so that the small
images of AWS's own samples also run with the ImageNet depths. The others are networks that pretrained weights are
published for, as they were published.
"""

from dataclasses import dataclass

IMAGENET_UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
CIFAR_DEPTHS = (20, 32, 44, 56, 110)
DEPTHS = (*IMAGENET_UNITS, *CIFAR_DEPTHS)
SMALL_HEIGHT = 32  # up to this many pixels the stem keeps the resolution

PREACT_RESNET = "preact_resnet"
RESNET = "resnet"
MOBILENET_V2 = "mobilenet_v2"
SQUEEZENET = "squeezenet1_1"
# The depths of each network; those of one size have none, and their num_layers is 0.
NETWORKS = {PREACT_RESNET: DEPTHS, RESNET: (18, 34, 50, 101, 152), MOBILENET_V2: (), SQUEEZENET: ()}
LEAST_SIDE = {SQUEEZENET: 25}  # pixels; its unpadded poolings leave nothing of less


class ArchitectureError(ValueError):
    """No such network; the message names the value and what to choose instead."""


@dataclass(frozen=True)
class Architecture:
    """One network. ``image_shape`` is (channels, height, width); ``small_stem``: 3x3/1 and no pooling, else 7x7/2
    (only the pre-activation ResNets have the choice)."""

    num_layers: int
    num_classes: int
    image_shape: tuple[int, int, int]
    small_stem: bool
    network: str = PREACT_RESNET

    @classmethod
    def of(
        cls, num_layers: int, num_classes: int, image_shape: tuple[int, int, int], network: str = PREACT_RESNET
    ) -> "Architecture":
        """The network that is trained for these hyperparameters. Raises ArchitectureError."""
        small_stem = network == PREACT_RESNET and image_shape[1] <= SMALL_HEIGHT
        return cls(num_layers if NETWORKS.get(network) else 0, num_classes, image_shape, small_stem, network)

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ArchitectureError(f"network {self.network!r} is not offered; choose one of {', '.join(NETWORKS)}")
        depths = NETWORKS[self.network]
        if depths and self.num_layers not in depths:
            of = "" if self.network == PREACT_RESNET else f" of {self.network}"
            raise ArchitectureError(f"num_layers {self.num_layers}{of} is not offered; choose one of {depths}")
        if self.num_classes < 1:
            raise ArchitectureError(f"num_classes {self.num_classes} must be at least 1")
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ArchitectureError(f"image_shape {self.image_shape} must be channels, height, width, each at least 1")
        if min(self.image_shape[1:]) < (least := LEAST_SIDE.get(self.network, 1)):
            raise ArchitectureError(f"image_shape {self.image_shape} is too small: {self.network} takes {least} pixels")

    @property
    def title(self) -> str:
        """What people call it."""
        if self.network in (MOBILENET_V2, SQUEEZENET):
            return {MOBILENET_V2: "MobileNetV2", SQUEEZENET: "SqueezeNet 1.1"}[self.network]
        return f"ResNet-{self.num_layers}" + (" v1.5" if self.network == RESNET else "")

    @property
    def units(self) -> tuple[int, ...]:
        """Residual units in each stage."""
        return IMAGENET_UNITS.get(self.num_layers) or ((self.num_layers - 2) // 6,) * 3

    @property
    def bottleneck(self) -> bool:
        return self.num_layers in IMAGENET_UNITS and self.num_layers >= 50

    @property
    def filters(self) -> tuple[int, ...]:
        """Channels of the stem, then of each stage's output."""
        if self.num_layers in CIFAR_DEPTHS:
            return (16, 16, 32, 64)
        return (64, 256, 512, 1024, 2048) if self.bottleneck else (64, 64, 128, 256, 512)
