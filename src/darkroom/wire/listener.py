"""uvicorn's HTTP protocol with bounds it lacks: on the size of a head, on silence, on clients that stop reading.

Pass ``SERVER`` to ``uvicorn.Config(app, **SERVER, …)``.
"""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0  # from connecting to the end of the first head
SILENCE_S = 60.0  # within a request, and with a full receive buffer on the client's side


class Listener(HttpToolsProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head, self._in_body = True, False
        self._heard_at = 0.0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(HEAD_S, self._abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The request head is too large.")
                return
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_body:
            self._heard_at = self.loop.time()
            if self._timer is None:
                self._arm(SILENCE_S, self._listen)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(SILENCE_S, self._abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def _listen(self) -> None:
        """Looks now and then whether the rest of a body still comes; not while we ourselves do not read."""
        self._timer = None
        if self._in_body:
            waited = 0.0 if self.flow.read_paused else self.loop.time() - self._heard_at
            if waited >= SILENCE_S:
                self._abort()
            else:
                self._arm(SILENCE_S - waited, self._listen)

    def _abort(self) -> None:
        self.transport.abort()

    def _arm(self, seconds: float, then: Any) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


SERVER: dict[str, Any] = {
    "http": Listener,
    "ws": "none",
    "loop": "uvloop",
    "lifespan": "on",
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    "timeout_keep_alive": 75,  # longer than clients keep idle connections, so that they close first
    "log_level": "warning",
}
