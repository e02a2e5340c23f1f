"""One page of a listing: keys and rolled-up common prefixes, skipping whole prefixes by seeking past them.

Pure: it is given a way to seek, and refuses to know what it seeks in.
"""

from collections.abc import Callable, Iterable, Iterator

from darkroom.objects.base import Listing, Object
from darkroom.objects.names import after_prefix

Seek = Callable[[bytes, bytes, int], Iterable[Object]]  # (low, high, at most): objects with low <= key < high, in order


def page(seek: Seek, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
    """At most ``limit`` keys and common prefixes together that begin with ``prefix`` and are greater than ``after``."""
    objects: list[Object] = []
    prefixes: list[str] = []
    last = None
    if limit <= 0:
        return Listing(objects, prefixes, None)
    for item in _walk(seek, prefix, delimiter, after, limit + 1):
        if len(objects) + len(prefixes) == limit:
            return Listing(objects, prefixes, last)
        if isinstance(item, str):
            prefixes.append(last := item)
        else:
            objects.append(item)
            last = item.key
    return Listing(objects, prefixes, None)


def _walk(seek: Seek, prefix: str, delimiter: str, after: str, limit: int) -> Iterator[Object | str]:
    """Objects and common prefixes in order; the first ``limit`` are enough."""
    place: bytes | None = _start(prefix, delimiter, after)
    high = after_prefix(prefix.encode())
    while place is not None:
        rows, place = seek(place, high, limit), None
        for item in rows:
            common = common_prefix(item.key, prefix, delimiter)
            if common is None:
                yield item
            else:
                yield common
                place = after_prefix(common.encode())
                break


def _start(prefix: str, delimiter: str, after: str) -> bytes:
    """The least key that may be listed. What lies under a common prefix that is not greater than ``after`` may not."""
    if not after:
        return prefix.encode()
    common = common_prefix(after, prefix, delimiter)
    beyond = after.encode() + b"\0" if common is None else after_prefix(common.encode())
    return max(prefix.encode(), beyond)


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """``key`` up to the first delimiter behind ``prefix``; None where it is listed by itself."""
    if not delimiter or not key.startswith(prefix):
        return None
    cut = key.find(delimiter, len(prefix))
    return None if cut < 0 else key[: cut + len(delimiter)]
