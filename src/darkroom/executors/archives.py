"""Unpacks a model.tar.gz that came from anywhere: members stay inside the folder, and sizes stay bounded.

Knows tar and gzip, and nothing of tasks. The rules for members are those of ``tarfile``'s data filter.
"""

import gzip
import os
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

MAX_UNPACKED_BYTES = 64 * 2**30
MAX_RATIO = 200  # unpacked to packed bytes; gzip of zeros reaches 1000
RATIO_APPLIES_FROM_BYTES = 2**30  # small archives of zeros are harmless
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 2**20


class BadArchive(Exception):
    """The archive cannot be unpacked; the message says why, and names ``source``."""


class _TooMuch(Exception):
    """More came out than may."""


class _Bounded:
    """A stream that ends in _TooMuch after so many bytes, be they content, headers or padding."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _TooMuch
        return data


def unpack(archive: Path, folder: Path, source: str) -> None:
    """Unpack a gzipped (or plain) tar into an existing folder. ``source`` names it in messages. Raises BadArchive."""
    limit = min(max(RATIO_APPLIES_FROM_BYTES, archive.stat().st_size * MAX_RATIO), MAX_UNPACKED_BYTES)
    try:
        with open(archive, "rb") as file:
            zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            _unpack(_Bounded(gzip.GzipFile(fileobj=file) if zipped else file, limit), folder)
    except _TooMuch:
        raise BadArchive(f"{source} unpacks to more than {limit} bytes: refused") from None
    except tarfile.FilterError as error:
        raise BadArchive(f"{source} holds a member that may not be unpacked: {error}") from None
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadArchive(f"{source} is not a complete gzipped tar archive (model.tar.gz): {error}") from None
    except OSError as error:
        raise BadArchive(f"{source} cannot be unpacked: {error.strerror or error}") from None


def _unpack(stream: _Bounded, folder: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]  # it only reads
        for member in tar:
            if member.name.strip("/") not in ("", "."):  # the root folder itself; the SDKs' own archives name it ""
                _extract(tar, member, folder)
    while stream.read(CHUNK_BYTES):  # to the end, where gzip's checksum is
        pass


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()) or member.issparse():
        raise tarfile.SpecialFileError(member)
    if member.name.startswith("/"):
        raise tarfile.AbsolutePathError(member)
    tar.extract(tarfile.data_filter(member, os.fspath(folder)), folder, filter="fully_trusted")
