"""The hosts that train one network together, as the loop sees them: what they tell and ask each other. One process
alone is the simplest case; ``distributed`` has the others, hosts of one process each and one host of several processes,
each with a GPU of its own. Knows no sockets.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

Numbers = npt.NDArray[np.float64]


class Averaging(Protocol):
    """How processes average gradients, once for every update. Raises PeerError where another one is gone."""

    def begin(self, weight: float) -> None:
        """Backward may follow. This process's gradients count by ``weight``; with 0 there need not be any."""
        ...

    def end(self) -> bool:
        """Put the mean over all into gradients and other tensors. False where all weights are 0."""
        ...


class Hosts(Protocol):
    """Every call is made by all processes in the same order, and none returns before all have made it.

    Raises PeerError where another process is gone.
    """

    rank: int  # of this process, 0 … processes-1; rank 0 saves what is to be saved
    count: int  # of hosts
    processes: int  # one for each host, or several of the only host, which share its batches

    def everyone(self, value: Any) -> list[Any]:
        """What each process has said, in the order of their ranks: anything that JSON knows."""
        ...

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether it is set in any process."""
        ...

    def total(self, numbers: Numbers) -> Numbers:
        """The sum over the processes, of arrays of one shape."""
        ...

    def averaging(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Averaging:
        """Of the gradients of ``weights``, in the order that a network uses them in, and of ``others``."""
        ...

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Put what rank 0 has into the tensors of all."""
        ...

    def part(self) -> None:
        """Nothing more is said. A process may now end without the others."""
        ...


class Own:
    """The mean over one process."""

    def begin(self, weight: float) -> None:
        self._weight = weight

    def end(self) -> bool:
        return self._weight > 0


class Alone:
    """The only process of the one host of a job."""

    rank, count, processes = 0, 1, 1

    def everyone(self, value: Any) -> list[Any]:
        return [value]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        return flags

    def total(self, numbers: Numbers) -> Numbers:
        return numbers

    def averaging(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Averaging:
        return Own()

    def spread(self, tensors: Sequence[Tensor]) -> None:
        pass

    def part(self) -> None:
        pass


ALONE = Alone()


def shared(hosts: Hosts) -> bool:
    """Whether processes share the one host of the job, and each batch of its."""
    return hosts.processes > hosts.count


def of_each(number: int, hosts: Hosts) -> int:
    """What a process has of what its host has ``number`` of: cores, images of a batch; at least one."""
    return max(1, number * hosts.count // hosts.processes)


def merged(numbers: Numbers, hosts: Hosts) -> Numbers:
    """An array of which each process knows a part of its own, and has nan for the rest."""
    known = ~np.isnan(numbers)
    totals = hosts.total(np.where(known, numbers, 0.0))
    return np.where(hosts.total(known.astype(np.float64)) > 0, totals, np.nan)


def side_by_side(numbers: Numbers, hosts: Hosts) -> Numbers:
    """(rows, columns of all hosts), those of the first one first, from the (rows, columns) of each."""
    counts = hosts.everyone(numbers.shape[1])
    begin = sum(counts[: hosts.rank])
    told = np.full((len(numbers), sum(counts)), np.nan)
    told[:, begin : begin + numbers.shape[1]] = numbers
    return merged(told, hosts)
