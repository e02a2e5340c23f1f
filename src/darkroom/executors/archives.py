"""Unpacks a model.tar.gz that came from anywhere: members stay inside the folder, and sizes stay bounded.

Knows tar and gzip, and nothing of tasks. Made with ``tarfile``'s data filter, whose refusals become our texts.
"""

import os
import tarfile
import zlib
from pathlib import Path

MAX_UNPACKED_BYTES = 64 * 2**30
MAX_RATIO = 200  # unpacked to packed bytes; gzip of zeros reaches 1000
RATIO_APPLIES_FROM_BYTES = 2**30  # small archives of zeros are harmless


class BadArchive(Exception):
    """The archive cannot be unpacked; the message says why, and names ``source``."""


def unpack(archive: Path, folder: Path, source: str) -> None:
    """Unpack a gzipped (or plain) tar into an existing folder. ``source`` names it in messages. Raises BadArchive."""
    bound = max(RATIO_APPLIES_FROM_BYTES, archive.stat().st_size * MAX_RATIO)
    bound = min(bound, MAX_UNPACKED_BYTES)
    unpacked = 0
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                if member.name.strip("/") in ("", "."):  # the root folder itself; the SDKs' own archives name it ""
                    continue
                unpacked += member.size
                if unpacked > bound:
                    raise BadArchive(
                        f"{source} unpacks to more than {bound} bytes ({MAX_RATIO} times its size): refused"
                    )
                _extract(tar, member, folder)
    except tarfile.FilterError as error:
        raise BadArchive(f"{source} holds a member that may not be unpacked: {error}") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BadArchive(f"{source} is not a complete gzipped tar archive (model.tar.gz): {error}") from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.SpecialFileError(member)
    if member.name.startswith("/"):
        raise tarfile.AbsolutePathError(member)
    safe = tarfile.data_filter(member, os.fspath(folder))
    tar.extract(safe, folder, filter="fully_trusted")
