"""Batches ahead of the loop that wants them: threads decode and cut, a bounded number of batches waits.

Decoders and cv2 work without Python's lock, so threads are enough. What becomes of an image is told by the caller's
``fill``; which images, by ``orders``.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from darkroom.algorithm.data.images import UNREADABLE, ImageSet
from darkroom.algorithm.data.labels import Classes
from darkroom.algorithm.data.views import Fill

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    order: npt.NDArray[np.int64]  # (N,) which images of the set
    images: npt.NDArray[np.uint8]  # (N, height, width, channels)
    labels: Classes  # (N,) or (N, classes)


def batches(
    images: ImageSet, orders: Iterable[npt.NDArray[np.int64]], fill: Fill, shape: tuple[int, int, int], threads: int
) -> Iterator[Batch]:
    """One batch for each array of ``orders``, in order. ``fill(k, out)`` writes each image, of ``shape`` (height,
    width, channels).

    An image that turns out unreadable is named in a warning and left out of its batch; a batch may become shorter so,
    or empty.
    """
    waiting: deque[Future[Batch]] = deque()
    orders = iter(orders)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for order in islice(orders, threads + 1):
                waiting.append(pool.submit(_batch, images, order, fill, shape))
            while waiting:
                batch = waiting.popleft().result()
                for order in islice(orders, 1):
                    waiting.append(pool.submit(_batch, images, order, fill, shape))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batch(images: ImageSet, order: npt.NDArray[np.int64], fill: Fill, shape: tuple[int, int, int]) -> Batch:
    good, pixels = list[int](), np.empty((len(order), *shape), np.uint8)
    for k in map(int, order):
        try:
            fill(k, pixels[len(good)])
            good.append(k)
        except UNREADABLE as error:
            log.warning("Left out of its batch: %s: %s", images.name(k), error)
    return Batch(np.array(good, dtype=np.int64), pixels[: len(good)], images.classes[good])
