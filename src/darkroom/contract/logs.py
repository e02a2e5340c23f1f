"""The one format of a log stream on disk, and its one writer: ``<13 digits of epoch ms> <message>`` a line.

Escapes keep a message on one line. Timestamps never decrease within a stream, whatever the clock does: clients drop
late events, and readers search the file by halves. A tab is written ``#011``, as CloudWatch Logs shows it, so that
metric regexes written for AWS match here. What a crash cut short stays unread, and never spoils the line after it.

Knows nothing of groups, names or services. The launcher imports this: keep it light.
"""

import os
from collections.abc import Iterable, Iterator

MAX_MESSAGE_BYTES = 256 * 1024  # longer messages are split
STAMP_DIGITS = 13  # of epoch milliseconds, until the year 2286
_LATEST_MS = 10**STAMP_DIGITS - 1
_TAIL_BYTES = 64 * 1024


def encode(timestamp_ms: int, message: str) -> bytes:
    """One line of the file, newline included. The caller cuts longer messages (``split``)."""
    text = message.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "#011")
    return f"{min(max(timestamp_ms, 0), _LATEST_MS):013d} {text}\n".encode("utf-8", "backslashreplace")


def decode(line: bytes) -> tuple[int, str]:
    """(epoch ms, message) of one whole line. Raises ValueError for a line that a crash cut short."""
    if not line.endswith(b"\n"):
        raise ValueError("unfinished line")
    text = line[STAMP_DIGITS + 1 : -1].decode("utf-8", "replace")
    if "\\" in text:  # each "\\\\" is one backslash, so what is left between them holds only \n and \r
        text = "\\".join(piece.replace("\\n", "\n").replace("\\r", "\r") for piece in text.split("\\\\"))
    return stamp(line), text


def stamp(line: bytes) -> int:
    """Epoch ms of a line. Raises ValueError where it does not begin with a whole stamp."""
    digits = line[:STAMP_DIGITS]
    if len(digits) < STAMP_DIGITS or not digits.isdigit() or line[STAMP_DIGITS : STAMP_DIGITS + 1] != b" ":
        raise ValueError("no timestamp")
    return int(digits)


def split(message: str) -> Iterator[str]:
    """The message in pieces of at most MAX_MESSAGE_BYTES of UTF-8, at least one."""
    data = message.encode("utf-8", "backslashreplace")
    if len(data) <= MAX_MESSAGE_BYTES:
        yield message
        return
    while data:
        end = boundary(data, MAX_MESSAGE_BYTES)
        yield data[:end].decode()
        data = data[end:]


def boundary(data: bytes, limit: int) -> int:
    """The largest place up to ``limit`` that does not cut a UTF-8 character in two."""
    end = min(limit, len(data))
    for place in range(end, max(end - 4, 0), -1):
        if place == len(data) or data[place] & 0xC0 != 0x80:
            return place
    return end  # not UTF-8 at all: cut anywhere


class Writer:
    """Appends to one stream's file. Timestamps that lie before the last one are raised to it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._last_ms, self._torn = _end_of(self._file)

    def write(self, events: Iterable[tuple[int, str]]) -> None:
        """Append (epoch ms, message) pairs in one go. Raises OSError when the disk is full; later lines stay whole."""
        lines = [b"\n"] if self._torn else []
        for timestamp_ms, message in events:
            self._last_ms = max(self._last_ms, timestamp_ms)
            lines += [encode(self._last_ms, piece) for piece in split(message)]
        data = memoryview(b"".join(lines))
        self._torn = True
        while data:
            data = data[os.write(self._file, data) :]
        self._torn = False

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _end_of(file: int) -> tuple[int, bool]:
    """(last timestamp or 0, whether the last line is unfinished) of an open stream file."""
    size = os.fstat(file).st_size
    start = size
    while start > 0:
        start = max(0, start - _TAIL_BYTES)
        tail = os.pread(file, size - start, start)
        for line in reversed(tail.split(b"\n")[1 if start else 0 :]):
            try:
                return stamp(line), not tail.endswith(b"\n")
            except ValueError:
                continue
    return 0, size > 0 and os.pread(file, 1, size - 1) != b"\n"
