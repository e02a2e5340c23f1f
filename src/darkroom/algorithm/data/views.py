"""How an image of a set becomes the (height, width, channels) that a network sees in one epoch: cut anew at random for
training, its centre for validation. Which image, and when, is not asked here."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.augment import Pixels, augment, jitter
from darkroom.algorithm.data.images import UNREADABLE, ImageSet
from darkroom.algorithm.data.order import draws
from darkroom.imaging.preprocess import MAX_ASPECT, Preprocess, resized_size
from darkroom.imaging.region import Box, Cut, regions

Failed = dict[int, Exception]  # by place in the batch, why its image is not there
Choose = Callable[[int, int], tuple[Box, bool]]  # of a (height, width), what is cut and whether it is mirrored
Fill = Callable[[npt.NDArray[np.int64], Pixels], Failed]  # writes images (N,) into uint8 (N, height, width, channels)

TOGETHER = 16  # encoded pictures in memory at a time, for each thread


def centre(images: ImageSet) -> Fill:
    """For sets whose ``pixels`` already are of that size."""
    return one_by_one(images.pixels)


def one_by_one(view: Callable[[int], Pixels]) -> Fill:
    def fill(order: npt.NDArray[np.int64], out: Pixels) -> Failed:
        failed: Failed = {}
        for place, k in enumerate(order.tolist()):
            try:
                out[place] = view(k)
            except UNREADABLE as error:
                failed[place] = error
        return failed

    return fill


def augmented(images: ImageSet, preprocess: Preprocess, kind: str | None, seed: int, epoch: int) -> Fill:
    """One epoch's view, by augmentation_type. The random draws are the image's own, whoever computes it."""
    if kind is None:
        return centre(images)
    if kind == "crop_color_transform":  # what is turned needs more of the picture than the crop
        size = preprocess.height, preprocess.width
        return one_by_one(lambda k: augment(images.pixels(k), kind, *size, draws(seed, epoch, k)))

    def crop(order: npt.NDArray[np.int64], out: Pixels) -> Failed:
        generators = [draws(seed, epoch, k) for k in order.tolist()]
        boxes = (partial(random_crop, preprocess=preprocess, generator=generator) for generator in generators)
        failed = cut(images, order, boxes, out)
        for place, generator in enumerate(generators if kind == "crop_color" else ()):
            if place not in failed:
                out[place] = jitter(out[place], generator)
        return failed

    return crop


def cut(images: ImageSet, order: npt.NDArray[np.int64], boxes: Iterable[Choose], out: Pixels) -> Failed:
    """Of each image the box that is named for it, at the size of ``out``."""
    failed: Failed = {}
    todo = zip(range(len(order)), order.tolist(), boxes, strict=True)
    while some := list(islice(todo, TOGETHER)):
        cuts = dict[int, Cut]()
        for place, k, choose in some:
            try:
                cuts[place] = Cut(images.read(k), choose, out[place])
            except OSError as error:
                failed[place] = error
        places = list(cuts)
        failed.update({places[n]: error for n, error in regions(list(cuts.values())).items()})
    return failed


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
