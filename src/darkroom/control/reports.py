"""Pages that a job leaves in what it packed, stored as objects of their own beside it: a browser opens them there."""

import tarfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from darkroom.objects.base import ObjectStore

MAX_REPORT_BYTES = 2**25


def found_in(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """Those of the files ``names`` that lie in an archive; none where it cannot be read."""
    found = {}
    with suppress(tarfile.TarError, EOFError), tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member) if member.isreg() and member.name in names else None
            if content is not None and member.size <= MAX_REPORT_BYTES:
                found[member.name] = content.read()
    return found


def put(objects: ObjectStore, bucket: str, key: str, text: bytes) -> None:
    """Raises DarkroomError."""
    kind = "text/html; charset=utf-8" if key.endswith(".html") else "application/json"
    writer = objects.writer()
    try:
        writer.write(text)
    except BaseException:
        writer.abort()
        raise
    objects.put(bucket, key, writer.commit(), {"ContentType": kind})
