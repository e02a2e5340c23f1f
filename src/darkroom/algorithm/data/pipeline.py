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

from darkroom.algorithm.data.augment import Pixels
from darkroom.algorithm.data.images import ImageSet
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
    """One batch for each array of ``orders``, in order. ``fill`` writes its images, of ``shape`` (height, width,
    channels).

    An image that turns out unreadable is named in a warning and left out of its batch; a batch may become shorter so,
    or empty.
    """
    waiting: deque[Future[Batch]] = deque()
    orders = iter(orders)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:

        def submit(count: int) -> None:
            for order in islice(orders, count):
                # here and not in the pool: what its threads free goes back to the system, and is zeroed to be had again
                pixels = np.empty((len(order), *shape), np.uint8)
                waiting.append(pool.submit(_batch, images, order, fill, pixels))

        try:
            submit(threads + 1)
            while waiting:
                batch = waiting.popleft().result()
                submit(1)
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batch(images: ImageSet, order: npt.NDArray[np.int64], fill: Fill, pixels: Pixels) -> Batch:
    if failed := fill(order, pixels):
        for place, error in sorted(failed.items()):
            log.warning("Left out of its batch: %s: %s", images.name(int(order[place])), error)
        good = np.setdiff1d(np.arange(len(order)), list(failed))
        order, pixels = order[good], pixels[good]
    return Batch(order, pixels, images.classes[order])
