"""A request as ASGI hands it over: the head as a plain Request, the body piece by piece. Knows ASGI, and no AWS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from darkroom.wire.chunked import incomplete
from darkroom.wire.messages import Body, Request, Response, ServiceError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
DISCARDED = 16 * 2**20  # bytes of a refused body that are read and thrown away before the connection is closed
DISCARD_S = 5.0


def request_of(scope: Message, incoming: "Incoming") -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw_query = scope["query_string"].decode("latin-1")
    length = headers.get("content-length", "0" if "transfer-encoding" not in headers else "")
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        raw_query,
        parse_qsl(raw_query, keep_blank_values=True) if raw_query else [],
        headers,
        Body(incoming.pieces(), int(length) if length.isdigit() else None),
    )


class Incoming:
    """A request body as ASGI delivers it. How long a client may stay silent is the listener's business."""

    __slots__ = ("_receive", "finished", "received", "started")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.started = self.finished = False
        self.received = 0  # bytes

    async def next(self) -> bytes:
        """Some bytes, or none. Raises ServiceError (IncompleteBody) when the client is gone."""
        self.started = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.finished = True
            raise incomplete()
        self.finished = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        self.received += len(body)
        return body

    async def pieces(self) -> AsyncIterator[bytes]:
        while not self.finished:
            if piece := await self.next():
                yield piece


async def discard(incoming: Incoming, request: Request, response: Response) -> None:
    """Deals with a body that nobody wanted, so that the client can read the answer and the connection stays in step.

    A client that waits for "100 Continue" was never told to send; others are heard out within bounds.
    """
    if not incoming.started and request.headers.get("expect", "").lower() == "100-continue":
        response.headers["connection"] = "close"
        return
    try:
        async with asyncio.timeout(DISCARD_S):
            while not incoming.finished and incoming.received < DISCARDED:
                await incoming.next()
    except (TimeoutError, ServiceError):
        pass
    if not incoming.finished:
        response.headers["connection"] = "close"
