"""Searches several log streams at once: events by time, and then by stream, a page at a time.

Knows files and places, no groups. A page's token is the place of its last event, so that it stays good for ever.
"""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from darkroom.errors import Invalid
from darkroom.telemetry.streams import Event, StreamFile

PAGE_EVENTS = 10_000
PAGE_BYTES = 2**20
EVENTS_AT_ONCE = 50  # of each stream
Key = tuple[int, str, int]  # (epoch ms, stream, place): the order of events across streams


@dataclass(frozen=True)
class Found:
    """Events of several streams by time, with the name of each one's stream; ``next`` is None at the end."""

    events: Sequence[tuple[str, Event]]
    next: str | None


def search(
    paths: Mapping[str, Path],
    start_ms: int,
    end_ms: int | None,
    matches: Callable[[str], bool],
    limit: int,
    token: str | None,
) -> Found:
    """One page of the matching events of start_ms <= time < end_ms; ``paths`` by stream. Raises Invalid (token)."""
    after = _parsed(token)
    start_ms = max(start_ms, after[0])
    found: list[tuple[str, Event]] = []
    size = 0
    sources = [_events(path, stream, start_ms, end_ms) for stream, path in paths.items()]
    for key, event in heapq.merge(*sources, key=lambda item: item[0]):
        if key <= after or not matches(event.message):
            continue
        size += len(event.message)
        if len(found) == limit or (found and size > PAGE_BYTES):
            stream, last = found[-1]
            return Found(found, json.dumps([last.timestamp_ms, stream, last.start]))
        found.append((key[1], event))
    return Found(found, None)


def _events(path: Path, stream: str, start_ms: int, end_ms: int | None) -> Iterator[tuple[Key, Event]]:
    """The events of a stream that are there now, read a few at a time: many streams are open at once."""
    with StreamFile(path) as file:
        place = file.place_of(start_ms)
        stop = file.end if end_ms is None else file.place_of(end_ms)
    while place < stop:
        with StreamFile(path) as file:
            events = list(islice(file.forwards(place, stop), EVENTS_AT_ONCE))
        yield from (((event.timestamp_ms, stream, event.start), event) for event in events)
        if len(events) < EVENTS_AT_ONCE:
            return
        place = events[-1].stop


def _parsed(token: str | None) -> Key:
    if token is None:
        return -1, "", -1
    try:
        timestamp_ms, stream, place = json.loads(token)
        return int(timestamp_ms), str(stream), int(place)
    except (ValueError, TypeError):
        raise Invalid("The specified nextToken is invalid.") from None
