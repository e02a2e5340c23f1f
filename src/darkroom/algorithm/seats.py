"""Which of the processes of one host this is. Imports nothing, so that a process can say so before torch is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seat:
    """The place of one process among those of one host, which meet at ``port`` of loopback. Rank 0 is the job's own
    process, the others are its companions."""

    rank: int
    processes: int
    port: int

    @property
    def name(self) -> str:
        return name(self.rank, self.processes)


def name(rank: int, processes: int) -> str:
    """What the log calls a process."""
    return f"process {rank + 1} of {processes}"
