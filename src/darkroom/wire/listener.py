"""HTTP/1.1 on one connection: requests in, answers out, in order, with bounds on all a client can make us keep.

Run by uvicorn's server (sockets, signals, shutdown) in place of its own protocol: pass ``SERVER`` to
``uvicorn.Config(front, **SERVER, …)``. No ASGI lies between: for a picture it costs as much as everything else together
(docs/decisions/0101-no-asgi.md).
"""

import asyncio
import logging
from asyncio import TimerHandle, Transport
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import httptools

from darkroom.wire.front import Front
from darkroom.wire.incoming import Incoming, discard
from darkroom.wire.messages import Body, Request
from darkroom.wire.outgoing import deliver

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0  # for a head to arrive
SILENCE_S = 60.0  # within a body, and while the client does not read our answer
PIPELINED = 8  # requests that may wait behind the one being answered
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
log = logging.getLogger(__name__)


class _Exchange(NamedTuple):
    """A request whose head has arrived."""

    request: Request
    incoming: Incoming
    keep_alive: bool
    http_1_1: bool


class Listener(asyncio.Protocol):
    """``config``, ``server_state`` are uvicorn's; the app of the config is a Front."""

    transport: Transport

    def __init__(self, config: Any, server_state: Any, app_state: Any = None, _loop: Any = None) -> None:
        self._front: Front = config.loaded_app
        self._state, self._idle_s = server_state, float(config.timeout_keep_alive)
        self.loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[_Exchange] = deque()
        self._body: Incoming | None = None  # being received
        self._busy = self._in_head = False
        self._ending = False  # no further request is taken
        self._deaf = False  # nor anything else read
        self._head_bytes = 0
        self._writable: asyncio.Future[None] | None = None  # while the client does not read
        self._since = self.loop.time()  # of the last change of state
        self._limit = HEAD_S  # seconds that the present state may last
        self._timer: TimerHandle | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._state.connections.add(self)
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        self._state.connections.discard(self)
        self._deaf = True
        if self._timer is not None:
            self._timer.cancel()
        self._lose_bodies()
        self.resume_writing()

    def eof_received(self) -> bool:
        """Keeps the connection open while there is an answer to send."""
        self._deaf = True
        self._lose_bodies()
        return self._busy

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(b"The request head is too large.")
                return
        else:  # a head that comes in drops must not last for ever
            self._since = self.loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # we stay with HTTP/1.1, and cannot tell where the next request would begin
        except httptools.HttpParserError:
            self._refuse(b"Invalid HTTP request received.")

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()
        self._since = self.loop.time()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def shutdown(self) -> None:
        """Called by uvicorn: end when what has begun is done."""
        self._ending = True
        if not self._busy:
            self.transport.close()

    # Called by the parser

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", dict[str, str]()
        self._in_head, self._head_bytes, self._since = True, 0, self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: it was not there when the signature was checked
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]},{text}" if key in headers else text

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._ending |= self._deaf or len(self._queue) == PIPELINED
        if self._ending:
            return
        parser, headers = self._parser, self._headers
        url = httptools.parse_url(self._url)
        incoming = Incoming(self.transport, headers.get("expect", "").lower() == "100-continue")
        query = url.query.decode("latin-1") if url.query else ""
        length = headers.get("content-length", "" if "transfer-encoding" in headers else "0")
        request = Request(
            parser.get_method().decode("latin-1"),
            (url.path or b"/").decode("latin-1"),
            query,
            parse_qsl(query, keep_blank_values=True) if query else [],
            headers,
            Body(incoming.pieces(), int(length) if length else None),
        )
        self._body = incoming
        self._queue.append(_Exchange(request, incoming, parser.should_keep_alive(), parser.get_http_version() == "1.1"))
        if not self._busy:
            self._busy = True
            task = self.loop.create_task(self._answer_all())
            self._state.tasks.add(task)
            task.add_done_callback(self._state.tasks.discard)

    def on_body(self, piece: bytes) -> None:
        if self._body is not None:
            self._body.feed(piece)

    def on_message_complete(self) -> None:
        if self._body is not None:
            self._body.complete_now()
            self._body = None

    # Answers

    async def _answer_all(self) -> None:
        try:
            while self._queue and not self.transport.is_closing():
                await self._answer(self._queue.popleft())
        except ConnectionError:
            self.transport.abort()
        except Exception:
            log.exception("an answer could not be finished")
            self.transport.abort()
        finally:
            self._busy = False
            self._since, self._limit = self.loop.time(), self._idle_s
            if self._ending or self._deaf:
                self.transport.close()

    async def _answer(self, exchange: _Exchange) -> None:
        request, incoming, keep_alive, http_1_1 = exchange
        await self.drain()
        response = await self._front.respond(request)
        if not incoming.finished:
            await discard(incoming, request, response)
        if self.transport.is_closing():
            return
        if not keep_alive or ((self._ending or self._deaf) and not self._queue):
            response.headers["connection"] = "close"
        whole = await deliver(self, response, request.method == "HEAD", http_1_1, self._date())
        self._state.total_requests += 1
        if not whole or response.headers.get("connection") == "close":
            self._queue.clear()
            self.transport.close()

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")

    def _date(self) -> str:
        return "".join(f"{n.decode()}: {v.decode()}\r\n" for n, v in self._state.default_headers)

    # Bounds

    def _refuse(self, text: bytes) -> None:
        self._deaf = True
        self._lose_bodies()
        if not self._busy:
            self.transport.write(BAD_REQUEST % (len(text), text))
            self.transport.close()

    def _lose_bodies(self) -> None:
        if self._body is not None:
            self._body.lose()

    def _watch(self) -> None:
        """Looks now and then whether the present state has lasted too long."""
        if self.loop.time() - self._since >= self._allowed():
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(min(HEAD_S, SILENCE_S) / 4, self._watch)

    def _allowed(self) -> float:
        """Seconds that the client may let pass."""
        if self._writable is not None:
            return SILENCE_S
        if self._in_head:
            return HEAD_S
        if self._body is not None and not self._body.paused and not self._body.withheld:
            return SILENCE_S
        return float("inf") if self._busy else self._limit


SERVER: dict[str, Any] = {
    "http": Listener,
    "interface": "asgi3",  # so that uvicorn hands the front over as it is
    "ws": "none",
    "loop": "uvloop",
    "lifespan": "off",
    "proxy_headers": False,
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": 75,  # longer than clients keep idle connections, so that they close first
    "timeout_graceful_shutdown": 10,
    "log_level": "warning",
}
