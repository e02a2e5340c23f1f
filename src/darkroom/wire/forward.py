"""Sends one HTTP request to a worker behind a unix socket and reads its answer whole. Keeps connections open.

Knows HTTP/1.1 and sockets. Its errors tell apart what a caller may do next: send again, or not.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httptools

CONNECT_S = 0.25
ANSWER_S = 60.0
MAX_ANSWER = 64 * 2**20  # bytes
MAX_IDLE = 32  # connections kept per socket

Answer = tuple[int, dict[str, str], bytes]  # status, headers by lower-case name, body


class ForwardError(Exception):
    """The worker did not answer."""


class NothingAnswered(ForwardError):
    """Not a byte of an answer came: sending the request once more is safe. (Twice more may kill another worker.)"""


class Unreachable(NothingAnswered):
    """The request was not even sent: nobody accepts connections."""


class BrokeOff(ForwardError):
    """The answer began and did not end, or was no HTTP: the request may have had its effect."""


class TookTooLong(ForwardError):
    """No whole answer in time; the worker may still be at it."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Answer] | None = None
        self.open = True
        self.begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._until_eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._until_eof and error is None:
            self._finish(self._parser.get_status_code())
        self._fail("the worker closed the connection")

    def data_received(self, data: bytes) -> None:
        if self.waiter is None:  # nobody asked: out of step, not to be used again
            self.close()
            return
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the worker's answer is no HTTP: {error}")
            self.close()

    def eof_received(self) -> None:
        """Closes the connection, as protocols do by default."""

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self.waiter is None:  # a second answer to one question
            self.open = False
        self._clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._until_eof = not self._headers.keys() & {"content-length", "transfer-encoding"}

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAX_ANSWER:
            self._fail(f"the worker's answer is larger than {MAX_ANSWER} bytes")
            self.close()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue: the answer is still to come
            return
        self.open = self.open and self._parser.should_keep_alive()
        self._finish(status)

    def _finish(self, status: int) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result((status, self._headers, b"".join(self._parts)))
        self.waiter = None

    def ask(self, head: bytes, body: bytes) -> "asyncio.Future[Answer]":
        self.begun = False
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.writelines((head, body))
        return self.waiter

    def close(self) -> None:
        self.open = False
        self.transport.abort()

    def _fail(self, text: str) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception((BrokeOff if self.begun else NothingAnswered)(text))
        self.waiter = None


class Forwarder:
    """Connections to any number of workers. Use from one event loop."""

    def __init__(self, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> None:
        self._connect_s, self._answer_s = connect_s, answer_s
        self._idle: dict[Path, list[_Connection]] = {}

    async def forward(self, socket: Path, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request, sent once. ``path`` is written as it is; content-length and host are added.

        Raises Unreachable, NothingAnswered, BrokeOff, TookTooLong.
        """
        head = _head(method, path, headers, len(body))
        connection = self._kept(socket) or await self._connect(socket)
        waiter = connection.ask(head, body)
        timer = asyncio.get_running_loop().call_later(self._answer_s, _time_out, waiter)
        try:
            answer = await waiter
        except BaseException:
            connection.close()  # cancelled, too late or broken: the connection is in an unknown state
            raise
        finally:
            timer.cancel()
        if connection.open:
            self._keep(socket, connection)
        else:
            connection.close()
        return answer

    def idle(self, socket: Path) -> int:
        """How many open connections wait for the next request."""
        return sum(connection.open for connection in self._idle.get(socket, ()))

    def _kept(self, socket: Path) -> _Connection | None:
        idle = self._idle.get(socket)
        while idle:
            if (connection := idle.pop()).open:
                return connection
        return None

    def _keep(self, socket: Path, connection: _Connection) -> None:
        idle = self._idle.setdefault(socket, [])
        if len(idle) < MAX_IDLE:
            idle.append(connection)
        else:
            connection.close()

    async def _connect(self, socket: Path) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_unix_connection(_Connection, str(socket))
        except TimeoutError:
            raise Unreachable(f"{socket} did not accept within {self._connect_s} s") from None
        except OSError as error:
            self.forget(socket)
            raise Unreachable(f"{socket} cannot be connected to: {error}") from None
        return connection

    def forget(self, socket: Path) -> None:
        """Closes the idle connections to a worker that is gone."""
        for connection in self._idle.pop(socket, ()):
            connection.close()

    def close(self) -> None:
        for socket in list(self._idle):
            self.forget(socket)


def _time_out(waiter: "asyncio.Future[Any]") -> None:
    if not waiter.done():
        waiter.set_exception(TookTooLong("the worker did not answer in time"))


def _head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{lines}\r\n".encode("latin-1")
