"""The one way from an image file to the pixels that a network sees. Frozen, and recorded in the model.

Training's validation, the endpoint and batch transform all call ``Preprocess.apply``; training's augmentation starts
from the same resized picture. Knows nothing of networks: values stay uint8, 0 to 255, as the algorithm's networks
expect them (their first layer normalises).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np

from darkroom.imaging.decode import decode

CROP, SQUASH = "crop", "squash"
MAX_ASPECT = 16  # a longer picture is cut to its middle first: a line of 1 x 60000 must not become 256 x 15 million
FIELD_OF_VIEW = 8, 7  # 256 : 224, the usual ratio of resized picture to crop


@dataclass(frozen=True)
class Preprocess:
    """``crop``: the shorter side to ``shorter_side`` (None: left as it is), then the centre (height, width); a picture
    that is too small for that is enlarged until it covers. ``squash``: straight to (height, width), aspect ignored."""

    height: int
    width: int
    channels: int = 3
    shorter_side: int | None = None
    mode: str = CROP

    def __post_init__(self) -> None:
        if not self.height or not self.width or min(self.height, self.width) < 1 or self.channels not in (1, 3):
            raise ValueError(
                f"no picture has the shape {self.channels},{self.height},{self.width}; channels are 1 or 3"
            )
        if self.shorter_side is not None and self.shorter_side < 1:
            raise ValueError(f"shorter_side {self.shorter_side} is not positive")
        if self.mode not in (CROP, SQUASH):
            raise ValueError(f"mode {self.mode!r} is neither {CROP!r} nor {SQUASH!r}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what ``apply`` gives."""
        return self.height, self.width, self.channels

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Preprocess":
        """Raises ValueError for a record that says more, or less, than this version understands."""
        known = {f.name for f in fields(cls)}
        if set(record) != known:
            raise ValueError(
                f"the record of preprocessing has {sorted(record)}; understood are exactly {sorted(known)}"
            )
        numbers = {name: record[name] for name in known - {"mode"} if record[name] is not None}
        if not all(type(number) is int for number in numbers.values()) or not isinstance(record["mode"], str):
            raise ValueError(f"the record of preprocessing, {dict(record)}, has values of the wrong type")
        return cls(**record)

    def apply(self, data: bytes | memoryview) -> np.ndarray:
        """uint8 (height, width, channels) of one image file. Raises BadImage."""
        return self.crop(self.resized(data))

    def resized(self, data: bytes | memoryview, allow_truncated: bool = False) -> np.ndarray:
        """The picture before its crop, uint8 (≥ height, ≥ width, channels). Raises BadImage."""
        return self.resize(decode(data, self.channels, self.cover, allow_truncated))

    @property
    def cover(self) -> tuple[int, int] | None:
        """The (height, width) that decoding may reduce a picture to; None: its own size matters."""
        if self.mode == SQUASH:
            return self.height, self.width
        if self.shorter_side is None:
            return None
        longest = max(self.shorter_side, self.height, self.width)
        return longest, longest

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W, C) → uint8 (≥ height, ≥ width, C), before the crop."""
        if self.mode == SQUASH:
            return _resize(pixels, self.height, self.width)
        pixels = _cut(pixels)
        return _resize(pixels, *resized_size(pixels.shape[0], pixels.shape[1], self))

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """The centre (height, width, C), offsets rounded down."""
        top, left = (pixels.shape[0] - self.height) // 2, (pixels.shape[1] - self.width) // 2
        return np.ascontiguousarray(pixels[top : top + self.height, left : left + self.width])


def resized_size(height: int, width: int, preprocess: Preprocess) -> tuple[int, int]:
    """(height, width) that a picture of that size is resized to before the crop.

    The longer side is rounded down, as MXNet and im2rec do; then both grow, where they must, to cover the crop.
    """
    shorter = preprocess.shorter_side or min(height, width)
    rows, columns = (shorter, width * shorter // height) if height <= width else (height * shorter // width, shorter)
    grow = max(preprocess.height / rows, preprocess.width / columns)
    if grow <= 1:
        return rows, columns
    return max(preprocess.height, int(rows * grow)), max(preprocess.width, int(columns * grow))


def shorter_side_for(resize: int | None, median_shorter_side: float, height: int, width: int) -> int:
    """What a model trained here records: the hyperparameter where it is given, else what suits the training pictures.

    Pictures somewhat larger than the crop keep their size (they were made for it); larger ones come to 8/7 of it.
    """
    longest = max(height, width)
    most = -(-longest * FIELD_OF_VIEW[0] // FIELD_OF_VIEW[1])
    return resize or min(max(math.floor(median_shorter_side), longest), most)


def _cut(pixels: np.ndarray) -> np.ndarray:
    """The middle of a picture that is more than MAX_ASPECT times longer than wide."""
    most = MAX_ASPECT * min(pixels.shape[:2])
    top, left = (max(0, side - most) // 2 for side in pixels.shape[:2])
    return pixels[top : top + most, left : left + most]


def _resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear; where both sides shrink to half or less (decoding has already taken out what it can), area means."""
    if pixels.shape[:2] == (height, width):
        return pixels
    halved = pixels.shape[0] >= 2 * height and pixels.shape[1] >= 2 * width
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if halved else cv2.INTER_LINEAR)
    return resized.reshape(height, width, pixels.shape[2])  # cv2 drops a single channel
