"""The log store: groups are folders, streams are files, a read token is a place in a file.

Nothing is ever copied on the way from a job to a reader: the job's launcher appends to the very file that ``events``
reads. Knows groups, streams, pages and tokens; nothing of AWS's words for them, nor of what the lines say.
"""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from darkroom.contract import logs
from darkroom.errors import Conflict, Full, Invalid, NotFound
from darkroom.telemetry.search import PAGE_BYTES, PAGE_EVENTS, Found, search
from darkroom.telemetry.streams import Event, StreamFile

MAX_FILE_NAME_BYTES = 240
SUFFIX = ".log"
ABOUT = "group.json"


@dataclass(frozen=True)
class Group:
    name: str
    created_ms: int
    size_bytes: int


@dataclass(frozen=True)
class Stream:
    """``first_ms`` and ``last_ms`` are None for a stream without events; ``written_ms``: of the last append."""

    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    written_ms: int
    size_bytes: int


@dataclass(frozen=True)
class Page:
    """``forward`` goes on after the last event (also after an empty page, later), ``backward`` before the first."""

    events: Sequence[Event]
    forward: str
    backward: str


class LogStore:
    """Call it from any thread. Raises NotFound("log group" | "log stream"), Conflict, Full and Invalid."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writing = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)

    # ---- writing ----

    def path(self, group: str, stream: str) -> Path:
        """The file that the one writer of a stream appends to (``contract.logs.Writer``); made where it is missing."""
        path = self._folder(group) / _file_name(stream)
        if not path.exists():
            self._make_group(group)
            path.touch()
        return path

    def append(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append (epoch ms, message) pairs where no job writes; times before its last event become its time."""
        with self._writing:
            writer = logs.Writer(self.path(group, stream))
            try:
                writer.write(sorted(events, key=lambda event: event[0]))
            except OSError as error:
                raise _told(error) from error
            finally:
                writer.close()

    def create_group(self, group: str, now_ms: int) -> None:
        if not self._make_group(group, now_ms):
            raise Conflict("log group", group, f"log group {group!r} exists already")

    def create_stream(self, group: str, stream: str) -> None:
        path = self._existing_group(group) / _file_name(stream)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise Conflict("log stream", stream, f"log stream {stream!r} exists already in {group!r}") from None
        except OSError as error:
            raise _told(error) from error

    def delete_group(self, group: str) -> None:
        shutil.rmtree(self._existing_group(group))

    def delete_stream(self, group: str, stream: str) -> None:
        self._existing_stream(group, stream).unlink()

    # ---- what there is ----

    def groups(
        self, prefix: str = "", *, contains: str = "", limit: int = 50, token: str | None = None
    ) -> tuple[list[Group], str | None]:
        """One page of groups by name; the token is None when nothing follows. ``contains`` in any letter case."""
        names = (unquote(entry.name) for entry in os.scandir(self._root) if entry.is_dir())
        wanted = [name for name in names if name.startswith(prefix) and contains.lower() in name.lower()]
        page, token = _page_of_names(sorted(wanted), limit, token)
        return [self._group(name) for name in page], token

    def streams(
        self,
        group: str,
        prefix: str = "",
        *,
        by_time: bool = False,
        descending: bool = False,
        limit: int = 50,
        token: str | None = None,
    ) -> tuple[list[Stream], str | None]:
        """One page of streams by name, or by the time of their last append; the token is None when nothing follows."""
        entries = [
            (entry.stat().st_mtime_ns if by_time else 0, unquote(entry.name.removesuffix(SUFFIX)))
            for entry in os.scandir(self._existing_group(group))
            if entry.name.endswith(SUFFIX) and entry.name.startswith(_quoted(prefix))
        ]
        names = [name for _, name in sorted(entries, reverse=descending)]
        page, token = _page_of_names(names, limit, token)
        return [self.stream(group, name) for name in page], token

    def stream(self, group: str, name: str) -> Stream:
        """One stream. Raises NotFound."""
        path = self._existing_stream(group, name)
        about = path.stat()
        with StreamFile(path) as file:
            first, last = next(file.forwards(0), None), next(file.backwards(file.end), None)
        written_ms = about.st_mtime_ns // 10**6
        return Stream(
            name,
            created_ms=first.timestamp_ms if first else written_ms,
            first_ms=first.timestamp_ms if first else None,
            last_ms=last.timestamp_ms if last else None,
            written_ms=written_ms,
            size_bytes=about.st_size,
        )

    # ---- reading ----

    def events(
        self,
        group: str,
        stream: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = PAGE_EVENTS,
        token: str | None = None,
        from_head: bool = False,
    ) -> Page:
        """One page, oldest event first, of start_ms <= time < end_ms. It is empty only where nothing follows.

        Without a token: the first page (``from_head``) or the last one. Tokens are ``f/<place>`` and ``b/<place>``.
        """
        direction, place = _parse_token(token)
        with StreamFile(self._existing_stream(group, stream)) as file:
            low = 0 if start_ms is None else file.place_of(start_ms)
            high = file.end if end_ms is None else file.place_of(end_ms)
            if direction == "f" or (direction is None and from_head):
                start = max(low, place or 0)
                events = _cut(file.forwards(start, high), limit)
                first, last = (events[0].start, events[-1].stop) if events else (start, start)
            else:
                stop = high if place is None else min(high, place)
                events = [e for e in _cut(file.backwards(stop), limit) if e.start >= low][::-1]
                first, last = (events[0].start, events[-1].stop) if events else (stop, stop)
        return Page(events, f"f/{last}", f"b/{first}")

    def filter(
        self,
        group: str,
        *,
        streams: Sequence[str] | None = None,
        prefix: str = "",
        start_ms: int = 0,
        end_ms: int | None = None,
        matches: Callable[[str], bool] = lambda message: True,
        limit: int = PAGE_EVENTS,
        token: str | None = None,
    ) -> Found:
        """Matching events of several streams, by time and then by stream. The token holds the last event's place."""
        folder = self._existing_group(group)
        if streams is None:
            names = sorted(unquote(e.name.removesuffix(SUFFIX)) for e in os.scandir(folder) if e.name.endswith(SUFFIX))
            names = [name for name in names if name.startswith(prefix)]
        else:
            names = sorted(set(streams))
        paths = {name: self._existing_stream(group, name) for name in names}
        return search(paths, start_ms, end_ms, matches, limit, token)

    # ---- files ----

    def _folder(self, group: str) -> Path:
        return self._root / _bounded(_quoted(group), group)

    def _make_group(self, group: str, now_ms: int | None = None) -> bool:
        folder = self._folder(group)
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise _told(error) from error
        if now_ms is not None:
            try:
                (folder / ABOUT).write_text(json.dumps({"created_ms": now_ms}))
            except OSError as error:
                with suppress(OSError):  # a writer may be faster: then the group is its own
                    (folder / ABOUT).unlink(missing_ok=True)
                    folder.rmdir()
                raise _told(error) from error
        _sync_folder(self._root)  # the launcher does the same for the streams of a group
        return True

    def _existing_group(self, group: str) -> Path:
        folder = self._folder(group)
        if not folder.is_dir():
            raise NotFound("log group", group)
        return folder

    def _existing_stream(self, group: str, stream: str) -> Path:
        path = self._existing_group(group) / _file_name(stream)
        if not path.exists():
            raise NotFound("log stream", stream)
        return path

    def _group(self, name: str) -> Group:
        folder = self._folder(name)
        sizes = [entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)]
        try:
            created_ms = int(json.loads((folder / ABOUT).read_text())["created_ms"])
        except (OSError, ValueError):  # made by its first writer, or cut short: it is as old as its oldest event
            streams, _ = self.streams(name, limit=len(sizes) + 1)
            created_ms = min((stream.created_ms for stream in streams), default=int(folder.stat().st_mtime * 1000))
        return Group(name, created_ms, sum(sizes))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _told(error: OSError) -> Exception:
    return Full() if error.errno in (errno.ENOSPC, errno.EDQUOT) else error


def _cut(events: Iterator[Event], limit: int) -> list[Event]:
    """At most ``limit`` events and PAGE_BYTES of lines, but at least one where there is one."""
    page: list[Event] = []
    size = 0
    for event in events:
        size += event.stop - event.start
        if len(page) == limit or (page and size > PAGE_BYTES):
            break
        page.append(event)
    return page


def _parse_token(token: str | None) -> tuple[str | None, int | None]:
    if token is None:
        return None, None
    direction, _, place = token.partition("/")
    if direction not in ("f", "b"):
        raise Invalid("The specified nextToken is invalid.")
    return direction, _number(place, "nextToken")


def _page_of_names(names: Sequence[str], limit: int, token: str | None) -> tuple[Sequence[str], str | None]:
    """One page, and the last name on it as the token of the next. Raises Invalid where that name is gone."""
    start = 0
    if token is not None:
        if token not in names:
            raise Invalid("The specified nextToken is invalid.")
        start = names.index(token) + 1
    page = names[start : start + limit]
    return page, page[-1] if start + limit < len(names) else None


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Invalid(f"The specified {name} is invalid.")
    return int(text)


def _quoted(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")  # so that no name is "." or ".."


def _file_name(stream: str) -> str:
    return _bounded(_quoted(stream) + SUFFIX, stream)


def _bounded(file_name: str, name: str) -> str:
    if not name or len(file_name) > MAX_FILE_NAME_BYTES:
        raise Invalid(
            f"log name {name!r} must have between 1 and {MAX_FILE_NAME_BYTES} bytes, three for each of /.:% and others"
        )
    return file_name
