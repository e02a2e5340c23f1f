"""Unpacks a model.tar.gz that came from anywhere: members stay inside the folder, and sizes and numbers stay bounded.

Knows tar and gzip, and nothing of tasks. The rules for members are those of ``tarfile``'s data filter, and on top of
them no link exists while files are written: what a link could redirect is not there yet. (The filter alone was fooled
more than once: CVE-2025-4138, CVE-2025-4330, CVE-2025-4517.)
"""

import errno
import gzip
import os
import tarfile
import zlib
from pathlib import Path, PurePath
from typing import BinaryIO

MAX_UNPACKED_BYTES = 64 * 2**30
MAX_RATIO = 200  # unpacked to packed bytes; gzip of zeros reaches 1000
RATIO_APPLIES_FROM_BYTES = 2**30  # small archives of zeros are harmless
MAX_MEMBERS = 20_000
MAX_EXTENDED_BYTES = 16 * 2**20  # of long names and further attributes, over all members: tarfile keeps them in memory
EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
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
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RecursionError, ValueError) as error:
        raise BadArchive(f"{source} is not a complete gzipped tar archive (model.tar.gz): {error}") from None
    except OSError as error:
        raise BadArchive(f"{source} cannot be unpacked: {error.strerror or error}") from None


class _Header(tarfile.TarInfo):
    """A member's header, refused where reading it would fill the memory."""

    def _proc_member(self, archive: "_Archive") -> tarfile.TarInfo:
        if self.type in EXTENDED:
            archive.extended_left -= self.size
            if archive.extended_left < 0:
                raise tarfile.ReadError(f"names and attributes of more than {MAX_EXTENDED_BYTES} bytes")
        header: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # typeshed does not know it
        return header


class _Archive(tarfile.TarFile):
    tarinfo = _Header
    extended_left = MAX_EXTENDED_BYTES


def _unpack(stream: _Bounded, folder: Path) -> None:
    links: list[tarfile.TarInfo] = []
    with _Archive.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]  # it only reads
        for number, member in enumerate(tar, 1):
            if number > MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
            if member.name.strip("/") in ("", "."):  # the root folder itself; the SDKs' own archives name it ""
                continue
            _check(member)
            if member.issym():
                links.append(member)
            else:
                _extract(tar, member, folder)
        _link(tar, links, folder)
    while stream.read(CHUNK_BYTES):  # to the end, where gzip's checksum is
        pass


def _check(member: tarfile.TarInfo) -> None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()) or member.issparse():
        raise tarfile.SpecialFileError(member)
    if member.name.startswith("/"):
        raise tarfile.AbsolutePathError(member)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    try:
        tar.extract(tarfile.data_filter(member, os.fspath(folder)), folder, filter="fully_trusted")
    except KeyError:
        raise tarfile.ReadError(f"{member.name!r} is a link to {member.linkname!r}, which is not there") from None


def _link(tar: tarfile.TarFile, links: list[tarfile.TarInfo], folder: Path) -> None:
    """Make the symbolic links: none below another one, and none that leads outside over the others."""
    inside = os.path.realpath(folder)
    names = {os.path.normpath(link.name) for link in links}
    for link in links:
        if any(str(parent) in names for parent in PurePath(os.path.normpath(link.name)).parents):
            raise tarfile.OutsideDestinationError(link, link.name)
        _extract(tar, link, folder)
    for link in links:
        try:
            target = os.path.realpath(os.path.join(inside, link.name), strict=True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):  # it leads nowhere
                continue
            raise
        if os.path.commonpath([inside, target]) != inside:
            raise tarfile.LinkOutsideDestinationError(link, target)
