"""Archives for tests, made member by member, so that odd ones can be made too."""

import io
import tarfile
from collections.abc import Mapping


def tar_gz(members: Mapping[str, bytes | tarfile.TarInfo | None]) -> bytes:
    """A gzipped tar. A value is a file's content, None for a folder, or a whole TarInfo (a link, a device, …)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, value in members.items():
            member = value if isinstance(value, tarfile.TarInfo) else tarfile.TarInfo()
            member.name = name
            if value is None:
                member.type = tarfile.DIRTYPE
            if isinstance(value, bytes):
                member.size = len(value)
            tar.addfile(member, io.BytesIO(value) if isinstance(value, bytes) else None)
    return buffer.getvalue()
