"""Asks a serving worker on a unix socket whether it is ready: GET /ping, as SageMaker does."""

import socket
from pathlib import Path

TIMEOUT_S = 2.0  # SageMaker's own limit
_REQUEST = b"GET /ping HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"


def ping(path: Path) -> bool:
    """Whether a worker answers 200 there, within TIMEOUT_S for each step."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(_REQUEST)
            answer = b""
            while b"\r\n" not in answer and (data := connection.recv(256)):
                answer += data
        except OSError:
            return False
    return answer.partition(b"\r\n")[0].split(b" ")[1:2] == [b"200"]
