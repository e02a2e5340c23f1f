"""Writes a Response to a connection: bytes at once, files and streams piece by piece with flat memory."""

import asyncio
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import BinaryIO, Protocol

from darkroom.wire.messages import FileSlice, Response

PIECE = 2**20  # bytes read ahead and written at a time
READ_AT_ONCE = 64 * 1024  # bytes of a file read without a thread: the page cache is faster than the hop
BODILESS = frozenset({204, 304})
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Sink(Protocol):
    """Where an answer goes."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        """Returns when more may be written. Raises ConnectionError where nobody reads any more."""
        ...


async def deliver(sink: Sink, response: Response, head_only: bool, chunks: bool, date: str) -> bool:
    """Whether the end of the answer can be told without closing the connection.

    ``head_only``: the request was a HEAD. ``chunks``: the client reads chunked answers. ``date``: a header line.
    Raises ConnectionError, and whatever the body raises.
    """
    body, headers = response.body, response.headers
    if isinstance(body, bytes):
        if response.status not in BODILESS:
            headers.setdefault("content-length", str(len(body)))
        sink.write(head(response.status, headers, date) + (b"" if head_only else body))
        return True
    if isinstance(body, FileSlice):
        headers["content-length"] = str(body.stop - body.start)
    length = headers.get("content-length")
    chunked = length is None and chunks
    if chunked and not head_only:
        headers["transfer-encoding"] = "chunked"
    sink.write(head(response.status, headers, date))
    if head_only:
        return True
    pieces = file_pieces(body) if isinstance(body, FileSlice) else body
    await _stream(sink, pieces, None if length is None else int(length), chunked)
    return chunked or length is not None


async def _stream(sink: Sink, pieces: AsyncIterator[bytes], length: int | None, chunked: bool) -> None:
    written = 0
    async for piece in pieces:
        written += len(piece)
        if length is not None and written > length:
            break
        if chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        sink.write(piece)
        await sink.drain()
    if length is not None and written != length:
        raise EOFError(f"a body of {length} bytes was promised, and {written} came")
    if chunked:
        sink.write(b"0\r\n\r\n")


def head(status: int, headers: dict[str, str], date: str) -> bytes:
    """Status line and headers. Values cannot break a line, whatever they hold."""
    lines = [STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n", date]
    for name, value in headers.items():
        lines.append(f"{name}: {value if value.isprintable() else CONTROL.sub(' ', value)}\r\n")
    lines.append("\r\n")
    text = "".join(lines)
    return text.encode() if text.isascii() else text.encode("latin-1", "replace")


async def file_pieces(item: FileSlice) -> AsyncIterator[bytes]:
    """Reads the next piece in a thread while the last one is on its way."""
    size = item.stop - item.start
    with item.path.open("rb", buffering=0) as file:
        file.seek(item.start)
        if size <= READ_AT_ONCE:
            if size:
                yield _read(file, size)
            return
        loop = asyncio.get_running_loop()
        ahead = loop.run_in_executor(None, _read, file, min(PIECE, size))
        try:
            while size:
                piece = await ahead
                size -= len(piece)
                if size:
                    ahead = loop.run_in_executor(None, _read, file, min(PIECE, size))
                yield piece
        finally:
            await asyncio.wait([ahead])  # the file must not be closed under the reading thread


def _read(file: BinaryIO, size: int) -> bytes:
    """Exactly ``size`` bytes. Raises EOFError: blobs do not change, so a short one is a fault of ours."""
    parts = []
    while size:
        if not (part := file.read(size)):
            raise EOFError(f"{file.name} ended early")
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
