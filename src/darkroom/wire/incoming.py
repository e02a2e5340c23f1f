"""A request body on its way in: pieces as they come from the connection, with backpressure. Knows no AWS."""

import asyncio
from asyncio import Future, Transport
from collections.abc import AsyncIterator

from darkroom.wire.chunked import incomplete
from darkroom.wire.messages import Request, Response, ServiceError

HIGH_WATER = 256 * 1024  # bytes that wait to be read before the connection is paused
DISCARDED = 16 * 2**20  # bytes of a refused body that are read and thrown away before the connection is closed
DISCARD_S = 5.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Incoming:
    """One body. The connection feeds it, one reader takes it."""

    __slots__ = ("_expects", "_held", "_pieces", "_transport", "_waiter", "complete", "gone", "paused", "started")

    def __init__(self, transport: Transport, expects_continue: bool) -> None:
        self._transport, self._expects = transport, expects_continue
        self._pieces: list[bytes] = []
        self._held = 0
        self._waiter: Future[None] | None = None
        self.complete = False  # all of it arrived
        self.gone = False  # the rest will not come
        self.paused = False
        self.started = False  # somebody asked for it

    @property
    def finished(self) -> bool:
        """Nothing is left to read."""
        return (self.complete or self.gone) and not self._pieces

    @property
    def withheld(self) -> bool:
        """The client waits for "100 Continue" and will not hear it."""
        return self._expects and not self.started

    # The connection's side

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > HIGH_WATER and not self.paused:
            self.paused = True
            self._transport.pause_reading()
        self._wake()

    def complete_now(self) -> None:
        self.complete = True
        self._wake()

    def lose(self) -> None:
        if not self.complete:
            self.gone = True
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The reader's side

    async def next(self) -> bytes:
        """All that has arrived; b"" at the end. Raises ServiceError (IncompleteBody) where the client is gone."""
        if not self.started:
            self.started = True
            if self._expects and not self.complete:
                self._transport.write(CONTINUE)
        while not self._pieces:
            if self.complete:
                return b""
            if self.gone:
                raise incomplete()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self.paused:
            self.paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        while piece := await self.next():
            yield piece


async def discard(incoming: Incoming, request: Request, response: Response) -> None:
    """Deals with a body that nobody wanted, so that the client can read the answer and the connection stays in step.

    A client that waits for "100 Continue" was never told to send; others are heard out within bounds.
    """
    if incoming.withheld:
        response.headers["connection"] = "close"
        return
    read = 0
    try:
        async with asyncio.timeout(DISCARD_S):
            while read < DISCARDED and (piece := await incoming.next()):
                read += len(piece)
    except (TimeoutError, ServiceError):
        pass
    if not incoming.finished:
        response.headers["connection"] = "close"
