"""Which residual network a depth and an image shape stand for: stages, widths, stem. Plain numbers, no torch.

The networks are the pre-activation ResNets (He et al. 2016, "Identity Mappings in Deep Residual Networks") that the
built-in algorithm trains. The stages follow from the depth and the stem from the image height, so that the small images
of AWS's own samples also run with the ImageNet depths.
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


class ArchitectureError(ValueError):
    """No such network; the message names the value and what to choose instead."""


@dataclass(frozen=True)
class Architecture:
    """One network. ``image_shape`` is (channels, height, width); ``small_stem``: 3x3/1 and no pooling, else 7x7/2."""

    num_layers: int
    num_classes: int
    image_shape: tuple[int, int, int]
    small_stem: bool

    @classmethod
    def of(cls, num_layers: int, num_classes: int, image_shape: tuple[int, int, int]) -> "Architecture":
        """The network the built-in algorithm trains for these hyperparameters. Raises ArchitectureError."""
        return cls(num_layers, num_classes, image_shape, small_stem=image_shape[1] <= SMALL_HEIGHT)

    def __post_init__(self) -> None:
        if self.num_layers not in DEPTHS:
            raise ArchitectureError(f"num_layers {self.num_layers} is not offered; choose one of {DEPTHS}")
        if self.num_classes < 1:
            raise ArchitectureError(f"num_classes {self.num_classes} must be at least 1")
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ArchitectureError(f"image_shape {self.image_shape} must be channels, height, width, each at least 1")

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
