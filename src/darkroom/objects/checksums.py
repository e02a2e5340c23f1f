"""Checksums that S3 knows, over streams, and over parts without reading them again.

A table of algorithms and pure functions; refuses to know headers, files and uploads.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from awscrt import checksums as crt


class Digest(Protocol):
    def update(self, chunk: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc:
    """A running CRC with the interface of a hashlib object; ``digest`` is big-endian, as S3 writes it."""

    def __init__(self, step: Callable[[bytes, int], int], width: int) -> None:
        self._step, self._width, self._value = step, width, 0

    def update(self, chunk: bytes, /) -> None:
        self._value = self._step(chunk, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


@dataclass(frozen=True)
class Algorithm:
    """``combine(crc of a, crc of b, length of b)`` is the CRC of a followed by b; None where that does not exist."""

    new: Callable[[], Digest]
    width: int  # bytes
    combine: Callable[[int, int, int], int] | None = None


# zlib's CRC32 is the faster one of two, and both release the interpreter lock.
ALGORITHMS = {
    "CRC32": Algorithm(lambda: Crc(zlib.crc32, 4), 4, crt.combine_crc32),
    "CRC32C": Algorithm(lambda: Crc(crt.crc32c, 4), 4, crt.combine_crc32c),
    "CRC64NVME": Algorithm(lambda: Crc(crt.crc64nvme, 8), 8, crt.combine_crc64nvme),
    "SHA1": Algorithm(hashlib.sha1, 20),
    "SHA256": Algorithm(hashlib.sha256, 32),
}


class Digests:
    """MD5 and the checksums asked for, over one stream."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._others = {name: ALGORITHMS[name].new() for name in names}

    def update(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        for digest in self._others.values():
            digest.update(chunk)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def checksums(self) -> dict[str, bytes]:
        return {name: digest.digest() for name, digest in self._others.items()}


def composite(name: str, parts: Sequence[bytes]) -> bytes:
    """The checksum of the parts' checksums: what S3 writes with "-N" behind it."""
    digest = ALGORITHMS[name].new()
    for part in parts:
        digest.update(part)
    return digest.digest()


def full_object(name: str, parts: Sequence[tuple[bytes, int]]) -> bytes:
    """The checksum of the whole from (checksum, size in bytes) of its parts. Only CRCs can be combined."""
    algorithm = ALGORITHMS[name]
    assert algorithm.combine is not None, f"{name} cannot be combined"
    value = 0
    for checksum, size in parts:
        value = algorithm.combine(value, int.from_bytes(checksum, "big"), size)
    return value.to_bytes(algorithm.width, "big")
