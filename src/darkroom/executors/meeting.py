"""Where the tasks of a gang meet: a TCP port of this machine for each gang, found free, kept in a file, and held.

Ports come from below the range that the kernel gives to outgoing connections. A held port is bound and not listened at:
nobody else is given it, and the task that listens there may, as it says SO_REUSEADDR (torch's store does, and nearly
every server).
"""

import os
import socket
import threading
import zlib
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
        self._held: dict[str, socket.socket] = {}
        self._closed = False
        for gang, port in self._kept().items():
            if place := held(port):  # else its tasks have met there
                self._held[gang] = place

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
        with self._lock:
            (self._root / gang).unlink(missing_ok=True)
            if place := self._held.pop(gang, None):
                place.close()

    def close(self) -> None:
        """Hold nothing any more; what is in the files a later one takes over."""
        with self._lock:
            self._closed = True
            while self._held:
                self._held.popitem()[1].close()

    def _port(self, gang: str) -> int:
        kept = self._root / gang
        with self._lock:
            if kept.exists():
                return int(kept.read_text())
            place = self._free(zlib.crc32(gang.encode()))
            port = int(place.getsockname()[1])
            if self._closed:
                place.close()
            else:
                self._held[gang] = place
            partial = self._root / f".{gang}"
            partial.write_text(str(port))
            os.replace(partial, kept)
            return port

    def _free(self, begin: int) -> socket.socket:
        """A port that nobody has, looked for from a place that differs by gang: one just left may not be free yet."""
        taken = self._kept().values()
        for step in range(PORTS):
            port = FIRST + (begin + step) % PORTS
            if port not in taken and (place := held(port)):
                return place
        raise Unavailable(f"no TCP port from {FIRST} to {FIRST + PORTS - 1} is free for the hosts of a job to meet")

    def _kept(self) -> dict[str, int]:
        return {path.name: int(path.read_text()) for path in self._root.iterdir() if not path.name.startswith(".")}


def held(port: int) -> socket.socket | None:
    """The port, kept from everybody but one that is told of it; 0: any. None where somebody has it."""
    place = socket.socket()
    try:
        place.bind((ADDRESS, port))  # fails where anybody has it or holds it, for this is not said before:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        place.close()
        return None
    return place
