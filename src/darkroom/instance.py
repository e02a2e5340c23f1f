"""Which server lives in a home folder: claimed by the server, read by the command line.

Knows processes by id and start time, so that an id used again by another program is never taken for the server,
and never signalled. Knows nothing of what the server does.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import Conflict
from darkroom.settings import Settings

FILE = "server.pid"
LOG = "server.log"


@dataclass(frozen=True)
class Instance:
    """A running server. ``started`` is the kernel's start time of the process, in clock ticks since boot."""

    pid: int
    started: int
    host: str
    port: int
    region: str

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def stop(self, timeout_s: float) -> bool:
        """SIGTERM, then wait until it has gone. False when it is still there after ``timeout_s``."""
        try:
            handle = os.pidfd_open(self.pid)  # holds on to the process: from here on the id cannot be reused
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            return bool(select.select([handle], [], [], timeout_s)[0])
        finally:
            os.close(handle)


@contextlib.contextmanager
def claim(settings: Settings) -> Iterator[Instance]:
    """Hold the home folder for this process, and say so in its pid file, until the block ends.

    The lock is the truth (the kernel drops it whatever becomes of us); the text is for readers.
    Raises Conflict("server") while another process holds it.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(settings.home / FILE, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"a server already runs on {settings.home}; stop it with: darkroom down"
            raise Conflict("server", str(settings.home), message) from None
        started = _start_time(os.getpid())
        assert started is not None, "this process runs"
        instance = Instance(os.getpid(), started, settings.host, settings.port, settings.region)
        _write(file, json.dumps(asdict(instance)) + "\n")
        try:
            yield instance
        finally:
            _write(file, "")


def find(home: Path) -> Instance | None:
    """The server that runs on ``home`` now; None where there is none, whatever an old pid file says."""
    try:
        instance = Instance(**json.loads((home / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return instance if instance.alive() else None


def _write(file: Any, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; None for a process that is not there, or has ended and is not collected yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat[stat.rindex(")") + 2 :].split()  # the name in parentheses may hold anything
    return None if state in "ZX" else int(fields[18])
