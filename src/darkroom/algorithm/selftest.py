"""The stored model, tried once more through the endpoint's own code: it must answer as validation said.

On AWS the two prepare photos differently, and people lost up to 20 points between them; here a difference is a bug, and
the log says so. Knows the serving code only by its verdict.
"""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from darkroom.algorithm.course import Verdicts
from darkroom.algorithm.data.images import UNREADABLE, ImageSet
from darkroom.serving import selftest
from darkroom.serving.predictor import UnusableModel
from darkroom.serving.selftest import Label

MOST_IMAGES, MOST_SECONDS = 2000, 20.0


def compare(
    folder: Path,
    images: ImageSet,
    verdicts: Verdicts,
    total: int,
    threads: int,
    log: logging.Logger,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Log the accuracy of the model in ``folder`` on (some) validation images of ``total`` that all hosts have; warn
    where ``verdicts`` differ."""
    known = np.flatnonzero(~np.isnan(verdicts))
    chosen = np.random.default_rng(0).permutation(known)[:MOST_IMAGES]  # any number of the first is a fair sample
    used: list[int] = []
    try:
        served, count = selftest.accuracy(folder, _records(images, chosen, used, clock), threads)
    except UnusableModel as error:
        log.warning("The stored model cannot be served: %s", error)
        return
    trained = float(verdicts[used].mean())
    sample = "" if count == total else f" ({count} of {total} images)"
    log.info("Validation accuracy through the serving code: %.6f%s", served, sample)
    if count != len(used) or differs(served, trained, count):
        log.warning("During training it was %.6f for these images: please report this.", trained)


def differs(served: float, trained: float, count: int) -> bool:
    """More than rounding explains: one image of the batches may tip over where it is computed alone."""
    return abs(served - trained) > 0.002 + 1.5 / max(1, count)


def _records(
    images: ImageSet, chosen: np.ndarray, used: list[int], clock: Callable[[], float]
) -> Iterator[tuple[bytes, Label]]:
    end = clock() + MOST_SECONDS
    for k in map(int, chosen):
        if clock() > end:
            return
        try:
            data = images.samples.read(int(images.positions[k]))
        except UNREADABLE:
            continue
        used.append(k)
        label = images.classes[k]
        yield bytes(data), label if images.classes.ndim == 2 else int(label)
