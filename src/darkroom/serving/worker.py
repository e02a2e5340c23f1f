"""The HTTP worker of one variant: GET /ping, POST /invocations, GET /execution-parameters. Raw ASGI on uvicorn.

It listens only when its model is loaded, so /ping always answers 200. Pictures are decoded in a few threads while
another runs the network, and a request body is read only when there is room for it. Knows nothing of the platform: its
world is an environment, a model folder and a socket.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from darkroom.contract import cores
from darkroom.contract.layout import SOCKET
from darkroom.serving import memory
from darkroom.serving.content import Refused
from darkroom.serving.encode import Format, default_format, negotiate
from darkroom.serving.lines import access_line, log_line
from darkroom.serving.predictor import Predictor

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PORT, BIND_TO_PORT = 8080, "SAGEMAKER_BIND_TO_PORT"
MAX_PAYLOAD_MB, PAYLOAD_MB = 100, "SAGEMAKER_MAX_PAYLOAD_IN_MB"  # the most that any way of SageMaker lets through
KEEP_ALIVE_S = 75  # the front door keeps connections; closing them early only makes it open others
GRACE_S = 25  # for requests in flight at SIGTERM; SageMaker kills after 30
BODIES_PER_THREAD = 4  # held in memory at once, for each thread that decodes; the front door sends bodies whole


@dataclass(frozen=True)
class Limits:
    decoders: int
    body_bytes: int = MAX_PAYLOAD_MB * 2**20
    cores: int = 1  # for the network

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Limits":
        """Raises ValueError for a payload limit that is no number."""
        megabytes = int(environ.get(PAYLOAD_MB, MAX_PAYLOAD_MB))
        return cls(len(os.sched_getaffinity(0)), megabytes * 2**20, cores.available(environ))


@dataclass(frozen=True)
class Reply:
    status: int
    media_type: str
    body: bytes


class Application:
    """One model behind ASGI. ``write`` takes one line of the log."""

    def __init__(
        self,
        predictor: Predictor,
        default: Format,
        limits: Limits,
        write: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._predictor, self._default, self._limits, self._write, self._now = predictor, default, limits, write, now
        self._decoders = ThreadPoolExecutor(limits.decoders, "decode")
        self._inference = ThreadPoolExecutor(predictor.streams, "infer")
        self._room = asyncio.Semaphore(BODIES_PER_THREAD * limits.decoders)

    async def warm_up(self) -> None:
        """One forward in the thread that will serve, which sets its arena and threads up. Raises UnusableModel."""
        await asyncio.get_running_loop().run_in_executor(self._inference, self._predictor.warm_up, self._limits.cores)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        reply = await self._reply(scope, receive)
        if reply is None:
            return  # the client went away
        headers = [(b"content-type", reply.media_type.encode()), (b"content-length", str(len(reply.body)).encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        if scope["path"] != "/ping":  # one every few seconds, and it says nothing
            self._write(access_line(scope, reply.status, len(reply.body), self._now(), time.perf_counter() - began))

    async def _reply(self, scope: Scope, receive: Receive) -> Reply | None:
        match scope["method"], scope["path"]:
            case ("GET" | "HEAD", "/ping"):
                return Reply(200, "application/json", b"")
            case ("GET", "/execution-parameters"):
                return Reply(200, "application/json", self._execution_parameters())
            case ("POST", "/invocations"):
                return await self._guarded(scope, receive)
        return _text(404, f"{scope['method']} {scope['path']} is not offered; POST /invocations is")

    def _execution_parameters(self) -> bytes:
        most = self._limits.body_bytes // 2**20
        parameters = {"MaxConcurrentTransforms": self._limits.decoders, "BatchStrategy": "SINGLE_RECORD"}
        return json.dumps(parameters | {"MaxPayloadInMB": min(most, 6)}).encode()

    async def _guarded(self, scope: Scope, receive: Receive) -> Reply | None:
        try:
            return await self._invoke(scope, receive)
        except Refused as refusal:
            self._write(log_line("ERROR", f"Customer Error: {refusal}", self._now()))
            return _text(refusal.status, f"ClientError: {refusal}")
        except _Gone:
            return None
        except Exception:
            self._write(log_line("ERROR", f"Algorithm Error: {traceback.format_exc()}", self._now()))
            return _text(500, "Internal Server Error: the model could not answer; the endpoint's log says why")

    async def _invoke(self, scope: Scope, receive: Receive) -> Reply:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        wanted = negotiate(headers.get(b"accept"), self._default)
        async with self._room:
            body = await _read(headers, receive, self._limits.body_bytes)
            loop, declared = asyncio.get_running_loop(), headers.get(b"content-type")
            rows = await loop.run_in_executor(self._decoders, self._predictor.input.read, body, declared)
            probabilities = await loop.run_in_executor(self._inference, self._predictor.infer, rows)
        return Reply(200, wanted.media_type, wanted.write(probabilities, self._predictor.classes))


class _Gone(Exception):
    """The client hung up before its request was whole."""


async def _read(headers: Mapping[bytes, str], receive: Receive, limit: int) -> bytes:
    """The whole body. Raises Refused(413) past ``limit`` bytes, before reading them where the client said so."""
    too_large = Refused(413, f"the body is larger than {limit} bytes, the most that this model takes")
    declared = headers.get(b"content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise too_large
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _text(status: int, message: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", message.encode())


# The process ---------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT finish the requests in flight; uvicorn's own would then die of the signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_exit)
        yield

    def _ask_to_exit(self) -> None:
        self.should_exit = True


@contextlib.asynccontextmanager
async def _listening(environ: Mapping[str, str]) -> AsyncIterator[socket.socket]:
    """The socket of the worker: DARKROOM_SOCKET's, of the owner alone; else a port of this machine's own address."""
    if path := environ.get(SOCKET):
        Path(path).unlink(missing_ok=True)  # of a worker that crashed
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
    else:
        listener = socket.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(environ.get(BIND_TO_PORT, PORT))))
    try:
        yield listener
    finally:
        listener.close()
        if path:
            Path(path).unlink(missing_ok=True)


async def serve(predictor: Predictor, environ: Mapping[str, str], write: Callable[[str], None]) -> None:
    """Answers until SIGTERM. Raises UnusableModel, ValueError for a setting, OSError for the socket."""
    application = Application(predictor, default_format(environ), Limits.of(environ), write)
    await application.warm_up()
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    async with _listening(environ) as listener:
        write(log_line("INFO", f"Listening on {listener.getsockname()}", time.time()))
        if ready := memory.readiness():
            write(log_line("INFO", f"Ready {ready}", time.time()))
        await _Server(config).serve([listener])
