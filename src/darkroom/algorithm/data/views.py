"""How an image of a set becomes the (height, width, channels) that a network sees in one epoch: cut anew at random for
training, its centre for validation. Which image, and when, is not asked here."""

import math
from collections.abc import Callable

import numpy as np

from darkroom.algorithm.data.augment import Pixels, augment, jitter
from darkroom.algorithm.data.images import ImageSet
from darkroom.algorithm.data.order import draws
from darkroom.imaging.preprocess import MAX_ASPECT, Preprocess, resized_size
from darkroom.imaging.region import Box, region

Fill = Callable[[int, Pixels], None]  # writes image k into uint8 (height, width, channels)


def centre(images: ImageSet) -> Fill:
    """For sets whose ``pixels`` already are of that size."""

    def fill(k: int, out: Pixels) -> None:
        out[...] = images.pixels(k)

    return fill


def augmented(images: ImageSet, preprocess: Preprocess, kind: str | None, seed: int, epoch: int) -> Fill:
    """One epoch's view, by augmentation_type. The random draws are the image's own, whoever computes it."""
    if kind is None:
        return centre(images)
    if kind == "crop_color_transform":  # what is turned needs more of the picture than the crop

        def fill(k: int, out: Pixels) -> None:
            out[...] = augment(images.pixels(k), kind, *out.shape[:2], draws(seed, epoch, k))

        return fill

    def crop(k: int, out: Pixels) -> None:
        generator = draws(seed, epoch, k)
        region(images.read(k), lambda *size: random_crop(*size, preprocess, generator), out)
        if kind == "crop_color":
            out[...] = jitter(out, generator)

    return crop


def random_crop(height: int, width: int, preprocess: Preprocess, generator: np.random.Generator) -> tuple[Box, bool]:
    """A crop at a uniform place of the resized picture, in the pixels of one of that size; mirrored half the time."""
    top, tall = _middle(height, width)
    left, wide = _middle(width, height)
    rows, columns = resized_size(tall, wide, preprocess)
    down = int(generator.integers(rows - preprocess.height + 1)) * tall / rows
    right = int(generator.integers(columns - preprocess.width + 1)) * wide / columns
    box = Box(top + down, left + right, preprocess.height * tall / rows, preprocess.width * wide / columns)
    return box, bool(generator.random() < 0.5)


def _middle(side: int, other: int) -> tuple[int, int]:
    """(begin, length) of what is used of a side: a picture far longer than wide is cut to its middle first."""
    most = MAX_ASPECT * min(side, other)
    return max(0, side - most) // 2, min(side, most)


def random_resized_crop(
    height: int, width: int, generator: np.random.Generator, *, area: tuple[float, float] = (0.08, 1.0)
) -> tuple[Box, bool]:
    """A box of a random share of the picture's area and an aspect ratio of 3:4 to 4:3 (GoogLeNet's augmentation, as
    torchvision draws it); mirrored half the time. Ten misses give the largest box in the middle."""
    mirror, down, right, *tries = generator.random(23).tolist()  # one call: each costs more than all the arithmetic
    for share, shape in zip(tries[::2], tries[1::2], strict=True):
        size = (area[0] + share * (area[1] - area[0])) * height * width
        ratio = (3 / 4) ** (1 - 2 * shape)  # uniform in its logarithm
        tall, wide = round(math.sqrt(size / ratio)), round(math.sqrt(size * ratio))
        if 0 < tall <= height and 0 < wide <= width:
            return Box(int(down * (height - tall + 1)), int(right * (width - wide + 1)), tall, wide), mirror < 0.5
    tall, wide = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return Box((height - tall) / 2, (width - wide) / 2, tall, wide), mirror < 0.5
