"""Reads one log stream's file: pages from a place forwards or backwards, the place of a time, first and last event.

Places are byte offsets of line starts. Knows the line format only through ``contract.logs``; nothing here writes.
Lines that a crash damaged are passed over, and an unfinished last line is not there yet.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from darkroom.contract import logs

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    timestamp_ms: int
    message: str
    start: int  # place of its line
    stop: int  # place of the next one


class StreamFile:
    """One open file, read as it was when opened: what is appended later is not seen."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self._file).st_size
        self.end = self._line_start_before(size)  # after the last finished line

    def __enter__(self) -> "StreamFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def forwards(self, start: int, stop: int | None = None) -> Iterator[Event]:
        """Events whose lines start at or after ``start`` and before ``stop``, oldest first."""
        stop = self.end if stop is None else min(stop, self.end)
        place = self._line_start_after(start)
        rest = b""
        while place < stop:
            block = os.pread(self._file, BLOCK_BYTES, place + len(rest))
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                following = place + len(line) + 1
                if (event := _event(line, place, following)) is not None:
                    yield event
                place = following
                if place >= stop:
                    return
            if not block:
                return

    def backwards(self, stop: int) -> Iterator[Event]:
        """Events whose lines end at or before ``stop``, newest first."""
        stop = self._line_start_before(min(stop, self.end))
        while stop > 0:
            start = max(0, stop - BLOCK_BYTES)
            start = self._line_start_before(start + 1) if start else 0
            yield from reversed(list(self.forwards(start, stop)))
            stop = start

    def place_of(self, timestamp_ms: int) -> int:
        """Where the first event at or after that time starts; the end where there is none. Reads O(log size) blocks."""
        low, high = 0, self.end
        while high - low > BLOCK_BYTES:
            middle = (low + high) // 2
            event = next(self.forwards(middle, high), None)
            if event is not None and event.timestamp_ms < timestamp_ms:
                low = event.stop
            else:
                high = middle
        return next((e.start for e in self.forwards(low) if e.timestamp_ms >= timestamp_ms), self.end)

    def _line_start_after(self, place: int) -> int:
        """The first line start at or after a place."""
        if place <= 0 or place >= self.end:
            return min(max(place, 0), self.end)
        place -= 1
        while block := os.pread(self._file, BLOCK_BYTES, place):
            found = block.find(b"\n")
            if found >= 0:
                return min(place + found + 1, self.end)
            place += len(block)
        return self.end

    def _line_start_before(self, place: int) -> int:
        """The last line start at or before a place."""
        while place > 0:
            start = max(0, place - BLOCK_BYTES)
            found = os.pread(self._file, place - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            place = start
        return 0


def _event(line: bytes, start: int, stop: int) -> Event | None:
    try:
        timestamp_ms, message = logs.decode(line + b"\n")
    except ValueError:
        return None
    return Event(timestamp_ms, message, start, stop)
