"""What a worker weighs and how old it is, and how one that serves a compiled model gives memory back. Knows Linux and
glibc; elsewhere nothing is done, or said.

Jobs start with an allocator tuned to keep what it has (training is faster for it). A compiled model takes its memory
once, as it is loaded: what is free after that is better off with the machine.
"""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DONT_NEED = 4  # of Linux's mman.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # of glibc's malloc.h
_DEFAULT_BYTES = 128 * 1024  # glibc's own
ARENAS = 2  # threads share them: one each would keep what its largest photo took


def be_frugal() -> None:
    """From here on, as if the allocator had not been tuned."""
    libc = _libc()
    if hasattr(libc, "mallopt"):
        for parameter in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD):
            libc.mallopt(parameter, _DEFAULT_BYTES)
        libc.mallopt(_ARENA_MAX, ARENAS)


def give_back() -> None:
    """What is free goes back to the machine, and so does program text that was needed to start.

    Text is read again from the system's cache of files when it is called: of an engine's tens of megabytes, answering
    takes a fraction.
    """
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    if hasattr(libc, "madvise"):
        for start, size in _texts():
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONT_NEED)


def _texts() -> Iterator[tuple[int, int]]:
    """(address, bytes) of the mappings that run programs' files: nothing was ever written to them."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        span, permissions, _, _, inode, *path = line.split(maxsplit=5)
        if permissions == "r-xp" and inode != "0" and path:
            start, _, stop = span.partition("-")
            yield int(start, 16), int(stop, 16) - int(start, 16)


def readiness() -> str:
    """``0.43 s after its start, with 171 MiB of memory``; empty where the system does not say. ``darkroom bench`` reads
    it in the log."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return ""
    age_s = uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK")  # the 22nd field: when it started, in ticks
    mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return f"{age_s:.2f} s after its start, with {mib:.0f} MiB of memory"


def _libc() -> Any:
    return ctypes.CDLL(None)
