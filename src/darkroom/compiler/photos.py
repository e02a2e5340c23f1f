"""Which photos a compilation looks at, and what of them a network sees. Bounded, whatever a channel holds."""

import io
import random
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from darkroom.imaging.decode import BadImage
from darkroom.imaging.preprocess import Preprocess
from darkroom.runtimes.artifact import Tensor

NUMPY_MAGIC = b"\x93NUMPY"
SEED = 20

T = TypeVar("T")
Read = Callable[[bytes], np.ndarray]


def chosen(items: Iterable[T], count: int) -> list[T]:
    """At most ``count`` of them, each as likely as any other, the same each time; in the order they came."""
    generator = random.Random(SEED)
    kept: list[tuple[int, T]] = []
    for place, item in enumerate(items):
        if len(kept) < count:
            kept.append((place, item))
        elif (seat := generator.randrange(place + 1)) < count:
            kept[seat] = (place, item)
    return [item for _, item in sorted(kept, key=lambda entry: entry[0])]


def reader(expected: Tensor, preprocess: Preprocess | None) -> Read:
    """Bytes of a photo, or of a .npy array of the model's shape, → an array of one row. Raises BadImage."""

    def read(data: bytes) -> np.ndarray:
        if data.startswith(NUMPY_MAGIC):
            return _array(data, expected)
        if preprocess is None:
            raise BadImage("the model takes arrays, not photos: .npy files can be read")
        return preprocess.apply(data)[np.newaxis]

    return read


def _array(data: bytes, expected: Tensor) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadImage(f"the array cannot be read: {error}") from None
    item = expected.shape[1:]
    if array.shape not in (item, (1, *item)):
        raise BadImage(f"the array has the shape {array.shape}; the model takes {item}")
    return np.asarray(array.reshape(1, *item), dtype=expected.dtype)


def readable(items: Iterable[tuple[bytes, T]], read: Read) -> Iterator[tuple[np.ndarray, T]]:
    """Without those that an endpoint would refuse."""
    for data, label in items:
        try:
            yield read(data), label
        except BadImage:
            continue
