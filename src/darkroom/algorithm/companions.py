"""A host with several GPUs is several processes: the job's own, and a companion for each further GPU.

The companions are started here, end with this process whatever ends it, and say here why they could not go on, so that
the job's log and failure file say it. What they do is ``companion``'s, and how they meet ``distributed``'s.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from darkroom.algorithm import seats
from darkroom.algorithm.failures import Failure, PeerError, ours, report
from darkroom.algorithm.leaving import leave
from darkroom.algorithm.seats import Seat
from darkroom.algorithm.stopping import StopSignal

MODULE = "darkroom.algorithm.companion"
GRACE_S = 10.0  # for what this process has to say, or to hear, of the end of a companion


@dataclass(frozen=True)
class End:
    """How a companion ended; ``told`` is a Failure as JSON, and ``follows`` says that it was another one's fault."""

    name: str
    code: int
    told: Mapping[str, Any] | None

    @property
    def first(self) -> bool:
        """Whether others ended because of it, as far as is known."""
        return self.code != 0 and not (self.told and self.told["follows"])

    @property
    def failure(self) -> Failure:
        if self.code < 0:  # no word in the failure file: the platform is to see a process that was killed
            how = f"was ended by signal {-self.code} ({signal.strsignal(-self.code)})"
            return Failure((f"Algorithm Error: {self.name.capitalize()} {how}.",), "", self.code)
        if self.told is None:
            return ours(f"{self.name.capitalize()} ended with exit code {self.code}")
        first, *more = self.told["lines"]
        whose = f" ({self.name})"
        return Failure((first + whose, *more), self.told["reason"] + whose, self.told["exit_code"])


class Companions:
    """``failure_file``: of the job, for a fault that this process does not come to tell of by itself."""

    def __init__(self, processes: int, failure_file: Path, stop: StopSignal, log: logging.Logger) -> None:
        self._place = socket.create_server(("127.0.0.1", 0))  # held from now on: nobody else is given this port
        self.seat = Seat(0, processes, self._place.getsockname()[1])
        self._failure_file, self._stop, self._log = failure_file, stop, log
        self._lines: list[socket.socket] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._ends: list[End] = []
        self._changed, self._over = threading.Condition(), threading.Event()

    def start(self, environ: Mapping[str, str]) -> socket.socket:
        """Gives the place where all are to meet."""
        for rank in range(1, self.seat.processes):
            line, theirs = socket.socketpair()
            self._lines.append(line)
            arguments = map(str, (rank, self.seat.processes, self.seat.port, theirs.fileno()))
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", MODULE, *arguments],
                    env=os.environ | dict(environ),
                    pass_fds=[theirs.fileno()],
                )
            thread = threading.Thread(target=self._hear, args=(rank, line, process), daemon=True)
            self._processes.append(process)
            self._threads.append(thread)
            thread.start()
        return self._place

    def look(self) -> None:
        """Raises PeerError where one of them has ended before all are there."""
        if any(end.code for end in self._ends):
            raise PeerError("one ended before all were there")

    def ask_to_stop(self) -> None:
        for line in self._lines:
            with suppress(OSError):
                line.send(b"s")

    def why(self, error: PeerError) -> Failure:
        """Why this process has lost them: another one can be faster than the word of who ended first."""
        with self._changed:
            self._changed.wait_for(lambda: self._first() or len(self._ends) == len(self._processes), GRACE_S)
            end = self._first()
        return end.failure if end else ours(f"The processes of this host have lost each other ({error})")

    def let_go(self) -> None:
        """They are not needed any more: how they end is of no interest."""
        self._over.set()

    def end(self) -> None:
        """None of them is left."""
        self.let_go()
        self._place.close()
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_WR)
        for process, thread in zip(self._processes, self._threads, strict=False):
            thread.join(GRACE_S)
            if thread.is_alive():
                process.kill()
                thread.join()

    def _first(self) -> End | None:
        return next((end for end in self._ends if end.first), None)

    def _hear(self, rank: int, line: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        """A thread of its own: what a companion says, until it has ended."""
        said = b""
        with line, suppress(ConnectionResetError):
            for data in iter(partial(line.recv, 4096), b""):
                said += data
        code = process.wait()
        end = End(seats.name(rank, self.seat.processes), code, _failure(said))
        with self._changed:
            self._ends.append(end)
            self._changed.notify_all()
        if end.first and not self._over.wait(GRACE_S) and not self._stop.asked:  # then it has a batch to break off
            self._give_up(end)

    def _give_up(self, end: End) -> None:
        """This process still waits for one that is gone, as GPUs may do for ever."""
        leave(report(end.failure, self._failure_file, self._log))


def _failure(said: bytes) -> Mapping[str, Any] | None:
    try:
        return json.loads(said)
    except ValueError:  # nothing, or it was killed in the middle of it
        return None
