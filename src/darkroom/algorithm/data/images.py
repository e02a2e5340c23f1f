"""A set of labelled images that can be asked for pixels: decoded once where they fit in memory, each time where not.

Finds the images that cannot be read before they can spoil an epoch. Knows no order and no augmentation.
"""

import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from darkroom.algorithm.data.augment import Pixels
from darkroom.algorithm.data.labels import Classes
from darkroom.algorithm.data.samples import Bytes, Samples
from darkroom.imaging.decode import BadImage

SECONDS_TO_CHECK = 60.0  # for all images of a channel; later ones are met, and left out, as they come
UNREADABLE = (BadImage, OSError)


class Memory:
    """Decoded pictures that may be kept, all sets together."""

    def __init__(self, size_bytes: int) -> None:
        self._free, self._lock = size_bytes, threading.Lock()

    def take(self, size_bytes: int) -> bool:
        with self._lock:
            if size_bytes > self._free:
                return False
            self._free -= size_bytes
            return True


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images k = 0 … len-1: those of ``samples`` at ``positions``, with their ``classes`` in the same order.

    ``to_pixels`` turns the bytes of a file into uint8 (height, width, channels), and raises BadImage.
    """

    samples: Samples
    positions: npt.NDArray[np.int64]
    classes: Classes
    to_pixels: Callable[[Bytes], Pixels]
    memory: Memory
    kept: dict[int, Pixels]  # by position

    @classmethod
    def of(cls, samples: Samples, classes: Classes, to_pixels: Callable[[Bytes], Pixels], memory: Memory) -> "ImageSet":
        return cls(samples, np.arange(len(samples)), classes, to_pixels, memory, {})

    def __len__(self) -> int:
        return len(self.positions)

    def pixels(self, k: int) -> Pixels:
        """Raises BadImage or OSError."""
        position = int(self.positions[k])
        if (known := self.kept.get(position)) is not None:
            return known
        pixels = self.to_pixels(self.samples.read(position))
        if self.memory.take(pixels.nbytes):
            self.kept[position] = pixels if pixels.base is None else pixels.copy()
        return pixels

    def read(self, k: int) -> Bytes:
        """The encoded image. Raises OSError."""
        return self.samples.read(int(self.positions[k]))

    def name(self, k: int) -> str:
        return self.samples.name(int(self.positions[k]))

    def left_out(self) -> list[int]:
        """Positions of the samples that are not in the set."""
        missing: list[int] = np.setdiff1d(np.arange(len(self.samples)), self.positions).tolist()
        return missing

    def only(self, part: npt.NDArray[np.int64]) -> "ImageSet":
        return replace(self, positions=self.positions[part], classes=self.classes[part])

    def without(self, bad: Sequence[int]) -> "ImageSet":
        good = np.setdiff1d(np.arange(len(self)), bad)
        return replace(self, positions=self.positions[good], classes=self.classes[good])


def unreadable(images: ImageSet, threads: int, seconds: float = SECONDS_TO_CHECK) -> dict[int, str]:
    """Images that cannot be decoded, with the reason. What is decoded is kept for the epochs, where memory allows.

    After ``seconds`` the rest goes unchecked.
    """
    end = time.monotonic() + seconds
    turns = iter(range(len(images)))  # each thread takes the next: a task an image would take more memory than labels

    def faults() -> dict[int, str]:
        return {k: reason for k in turns if time.monotonic() <= end and (reason := _fault(images, k))}

    pool = ThreadPoolExecutor(threads, thread_name_prefix="check")
    try:
        found = [pool.submit(faults) for _ in range(threads)]
        return dict(sorted(item for part in found for item in part.result().items()))
    finally:
        end = 0.0  # a stop in the middle must not wait for the rest
        pool.shutdown()


def _fault(images: ImageSet, k: int) -> str | None:
    try:
        images.pixels(k)
    except UNREADABLE as error:
        return str(error)
    return None


def median_shorter_side(samples: Samples, most: int = 500) -> float:
    """Pixels, by the headers of at most so many images spread over the set; 0 where none can be read."""
    sides = []
    for position in np.unique(np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(int)):
        try:
            with Image.open(io.BytesIO(samples.read(int(position)))) as image:
                sides.append(min(image.size))
        except Exception:
            continue  # an image that has no size has no part in the median; it is reported when it is decoded
    return float(np.median(sides)) if sides else 0.0
