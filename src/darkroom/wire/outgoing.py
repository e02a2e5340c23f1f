"""Sends a Response over ASGI: bytes at once, files and streams piece by piece with flat memory."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO

from darkroom.wire.incoming import Message
from darkroom.wire.messages import FileSlice, Response

Send = Callable[[Message], Awaitable[None]]
PIECE = 2**20
READ_AT_ONCE = 64 * 1024  # bytes of a file read without a thread: the page cache is faster than the hop
BODILESS = frozenset({204, 304})
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def deliver(send: Send, response: Response, head_only: bool) -> None:
    """``head_only``: the request was a HEAD."""
    body, headers = response.body, response.headers
    if isinstance(body, bytes):
        if response.status not in BODILESS:
            headers.setdefault("content-length", str(len(body)))
    elif isinstance(body, FileSlice):
        headers["content-length"] = str(body.stop - body.start)
    raw = [
        (n.encode(), v.encode("latin-1") if v.isascii() and v.isprintable() else mended(v)) for n, v in headers.items()
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    if isinstance(body, bytes) or head_only:
        await send({"type": "http.response.body", "body": b"" if head_only else body})
        return
    async for piece in file_pieces(body) if isinstance(body, FileSlice) else body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def mended(value: str) -> bytes:
    """A header value that no client can break a line with."""
    text = CONTROL.sub(" ", value)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


async def file_pieces(item: FileSlice) -> AsyncIterator[bytes]:
    """Reads the next piece in a thread while the last one is on its way."""
    size = item.stop - item.start
    with item.path.open("rb", buffering=0) as file:
        file.seek(item.start)
        if size <= READ_AT_ONCE:
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
