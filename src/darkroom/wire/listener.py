"""uvicorn's HTTP protocol with bounds it lacks: on the size of a head, on silence, on clients that stop reading.

Pass ``SERVER`` to ``uvicorn.Config(app, **SERVER, …)``.
"""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0  # from connecting to the end of the first head
STUCK_S = 60.0  # for which a client may leave its receive buffer full


class Listener(HttpToolsProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._abort_after(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES + len(data):  # everything before this piece was head already
                self.send_400_response("The request head is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_after(STUCK_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def _abort_after(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

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
    "server_header": False,
    "timeout_keep_alive": 75,  # longer than clients keep idle connections, so that they close first
    "log_level": "warning",
}
