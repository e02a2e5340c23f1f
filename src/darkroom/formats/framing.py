"""How RecordIO frames a record. Imports next to nothing: those who only pass records on need no arrays.

A record is ``u32 magic, u32 (flag << 29 | length), payload, zeros to a multiple of 4``, all little-endian; records
follow each other with nothing around them. Where a payload holds the magic at a multiple of 4 from its start, the
writer splits it there (flags first, middle, last) and drops those four bytes; the reader puts them back. [dmlc-core
recordio.h]
"""

import struct
from collections.abc import Iterator

MAGIC = 0xCED7230A
MAX_LENGTH = (1 << 29) - 1  # what 29 bits can say
WHOLE, FIRST, MIDDLE, LAST = range(4)

MAGIC_BYTES = struct.pack("<I", MAGIC)
FRAME = struct.Struct("<II")


def framed(payload: bytes) -> Iterator[bytes]:
    """The frames of one record, in pieces to be written one after the other."""
    cuts = list(_aligned_magics(payload))
    begins = [0, *(cut + 4 for cut in cuts)]
    ends = [*cuts, len(payload)]
    for part, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        flag = WHOLE if not cuts else FIRST if part == 0 else LAST if part == len(cuts) else MIDDLE
        yield FRAME.pack(MAGIC, flag << 29 | (end - begin))
        yield payload[begin:end]
        yield bytes(-(end - begin) % 4)


def _aligned_magics(payload: bytes) -> Iterator[int]:
    """Where the payload holds the magic at a multiple of 4; elsewhere it is left alone."""
    found = payload.find(MAGIC_BYTES)
    while found >= 0:
        if found % 4 == 0:
            yield found
        found = payload.find(MAGIC_BYTES, found + 4)  # the magic cannot overlap itself
