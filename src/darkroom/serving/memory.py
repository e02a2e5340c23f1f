"""How a worker that serves a compiled model gives memory back. Knows glibc; elsewhere nothing is done.

Jobs start with an allocator tuned to keep what it has (training is faster for it). A compiled model takes its memory
once, as it is loaded: what is free after that is better off with the machine.
"""

import ctypes
from typing import Any

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
    """What is free goes back to the machine."""
    libc = _libc()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _libc() -> Any:
    return ctypes.CDLL(None)
