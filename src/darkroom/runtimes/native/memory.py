"""Memory that lies still: zeros at the start of a page, which is a large one where that is asked for and to be had."""

import contextlib
import mmap

import numpy as np

LARGE = 1 << 21  # bytes of a large page


class Memory:
    """``bytes``: uint8 of what was asked for; it stays as long as this or any array of it does.

    ``large``: for what is read from one end to the other, which takes an address of every page; up to the end of the
    last large one, or its end would lie in hundreds of small ones.
    """

    def __init__(self, size: int, large: bool = False) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # what is shared gets no large pages, and a child writes into it
        page = LARGE if large else mmap.PAGESIZE
        taken = -(-size // page) * page
        mapped = mmap.mmap(-1, taken + page, flags=flags)  # pages that nothing touches cost nothing
        whole = np.frombuffer(mapped, np.uint8)
        begin = -whole.ctypes.data % page
        if large and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                mapped.madvise(mmap.MADV_HUGEPAGE, begin, taken)
        self.bytes: np.ndarray = whole[begin : begin + size]

    @property
    def address(self) -> int:
        return int(self.bytes.ctypes.data)
