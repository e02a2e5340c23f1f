"""Where the tasks of a gang meet: a TCP port of this machine for each gang, found free and kept in a file.

Ports come from below the range that the kernel gives to outgoing connections, so that none of those takes one between
here and the moment when a task listens.
"""

import os
import socket
import threading
import zlib
from contextlib import closing
from pathlib import Path

from darkroom.contract.cores import available
from darkroom.errors import Unavailable
from darkroom.executors.base import Gang

ADDRESS, INTERFACE = "127.0.0.1", "lo"
FIRST, PORTS = 20_000, 12_000


class Meetings:
    """``root`` holds a file for each gang; it is this executor's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(exist_ok=True)
        self._lock = threading.Lock()

    def variables(self, gang: Gang) -> dict[str, str]:
        """What every task of the gang finds in its environment. Raises Unavailable."""
        return {
            "MASTER_ADDR": ADDRESS,
            "MASTER_PORT": str(self._port(gang.name)),
            "GLOO_SOCKET_IFNAME": INTERFACE,
            "NCCL_SOCKET_IFNAME": INTERFACE,
            "OMP_NUM_THREADS": str(max(1, available() // gang.size)),
        }

    def forget(self, gang: str) -> None:
        (self._root / gang).unlink(missing_ok=True)

    def _port(self, gang: str) -> int:
        kept = self._root / gang
        with self._lock:
            if kept.exists():
                return int(kept.read_text())
            port = self._free(zlib.crc32(gang.encode()))
            partial = self._root / f".{gang}"
            partial.write_text(str(port))
            os.replace(partial, kept)
            return port

    def _free(self, begin: int) -> int:
        """A port that nobody has, looked for from a place that differs by gang: one just left may not be free yet."""
        taken = {int(path.read_text()) for path in self._root.iterdir() if not path.name.startswith(".")}
        for step in range(PORTS):
            port = FIRST + (begin + step) % PORTS
            if port not in taken and _nobody_listens(port):
                return port
        raise Unavailable(f"no TCP port from {FIRST} to {FIRST + PORTS - 1} is free for the hosts of a job to meet")


def _nobody_listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
        return True
