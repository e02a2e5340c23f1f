"""Hosts that are threads of the test's own process, for what needs no network."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from darkroom.algorithm.hosts import Averaging, Hosts, Numbers
from tests.algorithm.jobs import PATIENCE_S

T = TypeVar("T")


class Threads:
    """One of ``count`` hosts; all share ``table`` and meet at ``barrier``."""

    def __init__(self, rank: int, count: int, table: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.count, self.processes = rank, count, count
        self._table, self._barrier = table, barrier

    def everyone(self, value: Any) -> list[Any]:
        self._table[self.rank] = value
        self._barrier.wait(PATIENCE_S)
        told = list(self._table)
        self._barrier.wait(PATIENCE_S)
        return told

    def any(self, *flags: bool) -> tuple[bool, ...]:
        return tuple(any(told) for told in zip(*self.everyone(flags), strict=True))

    def total(self, numbers: Numbers) -> Numbers:
        return np.sum(self.everyone(numbers), axis=0)

    def averaging(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Averaging:
        raise NotImplementedError

    def spread(self, tensors: Sequence[Tensor]) -> None:
        raise NotImplementedError

    def part(self) -> None:
        pass


def on_each(count: int, act: Callable[[Hosts], T]) -> list[T]:
    """What ``act`` gives on each host; the first error."""
    table, barrier = [None] * count, threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: act(Threads(rank, count, table, barrier)), range(count)))
