"""The lock that says whether a task's launcher lives: an open-file-description lock, handed on by inheritance.

The kernel frees it with the last copy of its descriptor, however the launcher ends, and testing it takes nothing. So
liveness needs no process ids, which the kernel gives away again.
"""

import fcntl
import os
import struct
from pathlib import Path

from darkroom.executors.records import LOCK

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, process id


def take(folder: Path) -> int | None:
    """The task's lock as an open descriptor, to close or to hand on; None where someone holds it."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, _request())
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def held(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, _request())
    finally:
        os.close(lock)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _request() -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
