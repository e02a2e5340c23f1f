"""A load generator that costs little: raw connections that send the same bytes again and again.

Knows just enough HTTP to see where an answer of known length ends.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """``latencies_s`` of every request, in no order."""

    requests: int
    seconds: float
    latencies_s: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def quantile_ms(self, q: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[int(q * (len(ordered) - 1))] * 1000


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, until: float, done: asyncio.Future, latencies: list[float]) -> None:
        self.request, self.until, self.done, self.latencies = request, until, done, latencies
        self.buffer = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or len(self.buffer) < end + 4 + int(LENGTH.search(self.buffer)[1]):
            return
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self.buffer[:500].decode("latin-1")))
            self.transport.abort()
            return
        self.buffer = b""
        now = time.perf_counter()
        self.latencies.append(now - self.began)
        if now < self.until:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, error) -> None:
        if not self.done.done():
            self.done.set_result(None)


def run(address: Path | int, request: bytes, clients: int, seconds: float) -> Load:
    """Sends ``request`` to a unix socket or a loopback port; raises RuntimeError for any answer but 200."""
    return uvloop.run(_run(address, request, clients, seconds))


async def _run(address: Path | int, request: bytes, clients: int, seconds: float) -> Load:
    loop, latencies = asyncio.get_running_loop(), []
    began = time.perf_counter()
    waits = []
    for _ in range(clients):
        done = loop.create_future()
        waits.append(done)

        def client(done=done):
            return _Client(request, began + seconds, done, latencies)

        if isinstance(address, Path):
            await loop.create_unix_connection(client, str(address))
        else:
            await loop.create_connection(client, "127.0.0.1", address)
    await asyncio.gather(*waits)
    return Load(len(latencies), time.perf_counter() - began, latencies)
