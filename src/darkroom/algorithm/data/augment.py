"""What augmentation_type does to a training image: pure functions of pixels and draws.

MXNet's native augmenter of 1.3 (src/io/image_aug_default.cc) at its old levels 1, 2 and 3, in its order:
affine warp, crop, colour, mirror. Images are uint8 (height, width, channels), RGB or grey, already resized.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

MAX_HUE, MAX_SATURATION, MAX_LIGHTNESS = 36, 50, 50  # OpenCV's HLS: hue 0 … 180, the others 0 … 255
MAX_DEGREES, MAX_SHEAR, MAX_ASPECT = 10, 0.1, 0.25


def augment(image: Pixels, kind: str, height: int, width: int, draws: np.random.Generator) -> Pixels:
    """(height, width, channels) cut out of an image at least that large. ``kind`` is the augmentation_type."""
    if kind == "crop_color_transform":
        image = warp(image, draws)
    image = random_crop(image, height, width, draws)
    if kind != "crop":
        image = jitter(image, draws)
    return image[:, ::-1] if draws.random() < 0.5 else image


def random_crop(image: Pixels, height: int, width: int, draws: np.random.Generator) -> Pixels:
    top = int(draws.integers(image.shape[0] - height + 1))
    left = int(draws.integers(image.shape[1] - width + 1))
    return image[top : top + height, left : left + width]


def warp(image: Pixels, draws: np.random.Generator) -> Pixels:
    """Rotation, shear and aspect ratio in one affine map about the centre; what comes from outside is white."""
    height, width = image.shape[:2]
    shear = draws.uniform(-MAX_SHEAR, MAX_SHEAR)
    angle = math.radians(int(draws.integers(-MAX_DEGREES, MAX_DEGREES + 1)))
    ratio = draws.uniform(1 - MAX_ASPECT, 1 + MAX_ASPECT)
    tall = 2 / (1 + ratio)
    wide = ratio * tall
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[tall * cos - shear * sin * wide, tall * sin + shear * cos * wide], [-sin * wide, cos * wide]])
    centre = np.array([width, height]) / 2
    matrix = np.column_stack([turn, centre - turn @ centre])
    out = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))
    return out.reshape(image.shape)  # cv2 drops the axis of a single channel


def jitter(image: Pixels, draws: np.random.Generator) -> Pixels:
    """One shift of hue, lightness and saturation for the whole image; grey images have none of the three to shift."""
    if image.shape[2] == 1:
        return image
    hue, saturation, lightness = (_shift(bound, draws) for bound in (MAX_HUE, MAX_SATURATION, MAX_LIGHTNESS))
    hls = cv2.cvtColor(image, cv2.COLOR_RGB2HLS).astype(np.int16)
    shifted = np.clip(hls + np.int16([hue, lightness, saturation]), 0, (180, 255, 255)).astype(np.uint8)
    return cv2.cvtColor(shifted, cv2.COLOR_HLS2RGB)


def _shift(bound: int, draws: np.random.Generator) -> int:
    first, second = draws.random(2)
    return int((first + 4 * second) / 5 * 2 * bound - bound)
