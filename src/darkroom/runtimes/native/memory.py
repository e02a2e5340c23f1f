"""Memory that lies still: zeros at the start of a page, large pages where the machine gives them."""

import contextlib
import mmap

import numpy as np

LARGE = 1 << 21  # bytes of a large page


class Memory:
    """``bytes``: uint8 of what was asked for; it stays as long as this or any array of it does."""

    def __init__(self, size: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # what is shared gets no large pages, and a child writes into it
        mapped = mmap.mmap(-1, size + LARGE, flags=flags)  # pages that nothing touches cost nothing
        whole = np.frombuffer(mapped, np.uint8)
        begin = -whole.ctypes.data % LARGE
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                mapped.madvise(mmap.MADV_HUGEPAGE, begin, size)
        self.bytes: np.ndarray = whole[begin : begin + size]

    @property
    def address(self) -> int:
        return int(self.bytes.ctypes.data)
