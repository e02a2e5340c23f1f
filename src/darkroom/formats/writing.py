"""RecordIO written: the ``.rec`` with its ``.idx``, and the image record as im2rec makes it.

Imports no arrays: packing thousands of photos takes half a second, of which numpy's start would be a fifth.
"""

import errno
import os
import struct
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from darkroom.formats.framing import MAX_LENGTH, framed

IMAGE = struct.Struct("<IfQQ")  # number of labels after the header (0: the one in it), label, id, id2
_MAX_ID = (1 << 64) - 1
_BUFFER = 1 << 20  # bytes: some twenty photos a system call

Payload = bytes | bytearray | memoryview


def image_record(labels: Sequence[float], identity: int, identity2: int, data: Payload) -> bytes:
    """Payload of one image record: header and the image's bytes. One label goes into the header, several follow it; a
    label beyond float32 becomes infinite. Raises ValueError."""
    if not labels:
        raise ValueError("an image record needs at least one label")
    if not (0 <= identity <= _MAX_ID and 0 <= identity2 <= _MAX_ID):
        raise ValueError(f"the record ids {identity} and {identity2} must lie between 0 and 2**64 - 1")
    _check_length(IMAGE.size + len(data) + (4 * len(labels) if len(labels) > 1 else 0))
    singles = array("f", labels)
    if len(singles) == 1:
        return b"".join((IMAGE.pack(0, singles[0], identity, identity2), data))
    if sys.byteorder == "big":
        singles.byteswap()
    return b"".join((IMAGE.pack(len(singles), 0.0, identity, identity2), singles.tobytes(), data))


def _check_length(length: int) -> None:
    if length > MAX_LENGTH:
        raise ValueError(f"a record of {length} bytes is too long: RecordIO holds less than 512 MiB each")


class RecordWriter:
    """Writes ``path`` and, beside it, the ``.idx`` (one ``key<TAB>offset`` line a record).

    Both appear under their names at ``close``; a ``with`` block that fails, or calls ``abandon``, leaves neither, nor
    changes what was there. Raises OSError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.index_path = self.path.with_suffix(".idx")
        for place in (self.path, self.index_path):
            if place.is_dir():  # else it would be found at the end, with one of the two in its place
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(place))
        self._data = open(_part(self.path), "wb", _BUFFER)  # noqa: SIM115 - closed by close and abandon
        self._index = open(_part(self.index_path), "w", encoding="ascii", newline="\n")  # noqa: SIM115
        self.count = self._offset = 0

    def write(self, payload: Payload, key: int | None = None) -> int:
        """Append one record; returns its offset. ``key`` defaults to the position. Raises ValueError over 512 MiB."""
        _check_length(len(payload))
        offset = self._offset
        pieces = list(framed(bytes(payload)))
        self._data.writelines(pieces)
        self._offset += sum(map(len, pieces))
        self._index.write(f"{self.count if key is None else key}\t{offset}\n")
        self.count += 1
        return offset

    def close(self) -> None:
        try:
            self._data.close()
            self._index.close()
            os.replace(_part(self.path), self.path)
            os.replace(_part(self.index_path), self.index_path)
        except OSError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Remove what was written so far."""
        for file in (self._data, self._index):
            with suppress(OSError):  # a full disk refuses here what it refused before
                file.close()
        _part(self.path).unlink(missing_ok=True)
        _part(self.index_path).unlink(missing_ok=True)

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._data.closed:
            self.close()
        else:
            self.abandon()


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")
