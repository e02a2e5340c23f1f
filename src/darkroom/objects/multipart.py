"""Rules of joining parts, as pure functions: which parts, is anything to be copied, what ETag the whole has."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

from darkroom.errors import Conflict, Invalid, NotFound
from darkroom.objects.blobs import Extent
from darkroom.objects.names import StoredPart


def choose_parts(
    stored: Sequence[StoredPart], wanted: Sequence[tuple[int, str]], min_part_bytes: int
) -> list[StoredPart]:
    """The stored parts that the (number, etag) pairs name.

    Raises Invalid for none or for numbers that do not ascend, NotFound("part") for one that is not there or has
    another ETag, Conflict("part") for one but the last that is smaller than ``min_part_bytes``.
    """
    if not wanted:
        raise Invalid("name at least one part")
    numbers = [number for number, _ in wanted]
    if any(a >= b for a, b in pairwise(numbers)):
        raise Invalid("name the parts in ascending order, each once")
    by_number = {part.part.number: part for part in stored}
    chosen = []
    for number, etag in wanted:
        part = by_number.get(number)
        if part is None or part.part.etag != etag:
            raise NotFound("part", str(number))
        chosen.append(part)
    for part in chosen[:-1]:
        if part.part.size < min_part_bytes:
            text = f"part {part.part.number} has {part.part.size} bytes; all but the last need {min_part_bytes}"
            raise Conflict("part", str(part.part.number), text)
    return chosen


def contiguous(extents: Sequence[Extent], blob: str) -> bool:
    """Whether the extents, one after the other, are the beginning of one file."""
    place = 0
    for part, offset, size in extents:
        if part != blob or offset != place:
            return False
        place += size
    return True


def multipart_etag(etags: Sequence[str]) -> str:
    """The ETag of a joined object: MD5 over the parts' MD5s (their ETags, in hex), and how many they were."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"
