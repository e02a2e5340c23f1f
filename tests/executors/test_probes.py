"""GET /ping: only a worker that answers 200 in time is ready."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.executors import probes
from darkroom.executors.probes import ping


@pytest.fixture
def address(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def server(address: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen()
        yield server


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"HTTP/1.1 404 200\r\n\r\n", False),
        (b"", False),
        (b"not http", False),
    ],
)
def test_the_status_decides(
    server: socket.socket, address: Path, answer: bytes, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TIMEOUT_S", 60.0)  # a busy machine may let the other thread wait
    asked = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(1000))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    assert ping(address) is ready
    thread.join()
    assert asked[0].startswith(b"GET /ping HTTP/1.1\r\n")


def test_nobody_there_is_not_ready(address: Path) -> None:
    assert ping(address) is False


def test_an_abandoned_socket_is_not_ready(server: socket.socket, address: Path) -> None:
    server.close()
    assert ping(address) is False


def test_silence_is_not_ready(server: socket.socket, address: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.05)
    assert ping(address) is False
