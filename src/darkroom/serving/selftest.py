"""Accuracy of a finished model through the endpoint's own code, on photos as they are in the channel."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from darkroom.serving.content import Refused
from darkroom.serving.predictor import Predictor, load

Label = int | np.ndarray  # a class, or 0/1 for each class (classes,) of a multi-label model
THRESHOLD = 0.5  # a label counts as given from here on
AHEAD = 4  # pictures decoded while one is looked at, for each thread


def accuracy(model_dir: Path, records: Iterable[tuple[bytes, Label]], threads: int = 2) -> tuple[float, int]:
    """(share of right answers, number of photos). Photos that an endpoint would refuse are left out of both.

    For a multi-label model the share is over every photo and class, as the algorithm reports it.
    Raises UnusableModel.
    """
    predictor = load(model_dir, threads)
    right, count = 0.0, 0
    for rows, label in _decoded(predictor, records, threads):
        right += _share_right(predictor.infer(rows)[0], label)
        count += 1
    return (right / count if count else 0.0), count


def _share_right(probabilities: np.ndarray, label: Label) -> float:
    if isinstance(label, np.ndarray):
        return float(((probabilities >= THRESHOLD) == (label >= THRESHOLD)).mean())
    return float(int(probabilities.argmax()) == label)


def _decoded(
    predictor: Predictor, records: Iterable[tuple[bytes, Label]], threads: int
) -> Iterator[tuple[np.ndarray, Label]]:
    """Rows and label in order, decoded some way ahead, so that neither waits for the other nor all are in memory."""
    waiting: deque[tuple[Future[np.ndarray], Label]] = deque()
    with ThreadPoolExecutor(threads, "decode") as pool:
        for data, label in records:
            waiting.append((pool.submit(predictor.input.read, data, None), label))
            if len(waiting) > AHEAD * threads:
                yield from _result(*waiting.popleft())
        while waiting:
            yield from _result(*waiting.popleft())


def _result(rows: "Future[np.ndarray]", label: Label) -> Iterator[tuple[np.ndarray, Label]]:
    try:
        yield rows.result(), label
    except Refused:
        return
