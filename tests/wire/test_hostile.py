"""What clients send by mistake or out of malice: nothing of it may hurt the server or take it long."""

import logging
import socket
import struct
import threading
import time
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.wire import listener
from tests.wire.live import Shelf, front_of, serving
from tests.wire.test_front import exchange, signed_head

HEALTH = b"GET /_darkroom/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LINES = [
    *(b"GET / HTTP/1.1", b"PUT /b/k HTTP/1.1", b"POST /endpoints/e/invocations HTTP/1.1", b"BREW / HTTP/1.1"),
    *(b"GET //b//k HTTP/1.1", b"GET /%00/%ff HTTP/1.1", b"GET http://x/b/k HTTP/1.1", b"OPTIONS * HTTP/1.1"),
    b"GET /b?x=%zz&&=&a HTTP/1.1",
    b"GET /b/k?X-Amz-Signature=1&X-Amz-Credential=%E6%BC%A2/20260101/a/s3/aws4_request HTTP/1.1",
    b"GET /b/k?AWSAccessKeyId=AKTEST&Signature=%C3%BC&Expires=99999999999 HTTP/1.1",
    *(b"CONNECT x:1 HTTP/1.1", b"GET /b/k HTTP/9.9", b"PRI * HTTP/2.0"),
]
SIGNED = (
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKTEST/20260101/r/%s/aws4_request, SignedHeaders=host, Signature=%s"
)
HEADERS = [
    *(b"Host: x", b"Host: .s3.amazonaws.com", b"Host: b.localhost", b"Host: [::1]:80", b"Host:"),
    *(b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 5, 5", b"Transfer-Encoding: chunked"),
    *(b"Transfer-Encoding: gzip", b"Expect: 100-continue", b"Upgrade: websocket", b"Connection: upgrade"),
    *(b"X-Amz-Target: SageMaker.ListModels", b"X-Amz-Target: \xff\xfe", b"X-Amz-Date: now", b"Range: bytes=9-1"),
    *(b"Content-Type: application/x-www-form-urlencoded", b"Content-Encoding: gzip", b"Content-Encoding: aws-chunked"),
    *(b"x-amz-content-sha256: UNSIGNED-PAYLOAD", b"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    *(b"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"x-amz-decoded-content-length: 5"),
    *(SIGNED % (b"sagemaker", b"0"), SIGNED % (b"sagemaker", b"0" * 64), SIGNED % (b"s3", b"0" * 64)),
    *(b"Authorization: \xff", b"x-amz-copy-source: %ff"),
]
BODIES = [
    *(b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"{}", b"<x/>", b"Action=ListMetrics", b"\x1f\x8b\x08\x00"),
    bytes(70_000),
]


class Faults(logging.Handler):
    """Errors that the server logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@pytest.fixture(scope="module", autouse=True)
def calm(port):
    """After everything in this module: nothing was logged as a fault, and the server still answers at once."""
    faults = Faults()
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "darkroom", "asyncio")]
    for logger in loggers:
        logger.addHandler(faults)
    yield
    began = time.monotonic()
    assert b'"status":"ok"' in exchange(port, HEALTH, b"}")
    assert time.monotonic() - began < 6
    for logger in loggers:
        logger.removeHandler(faults)
    assert faults.records == []


def send_and_leave(port: int, data: bytes) -> bytes:
    """Sends all of it, says that no more will come, and reads until the server closes or is silent for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
        answer = b""
        with suppress(OSError):  # a server may well hang up on this
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_random_bytes(port, data):
    answer = send_and_leave(port, data)
    assert b" 500 " not in answer.split(b"\r\n")[0]


@given(st.sampled_from(LINES), st.lists(st.sampled_from(HEADERS), max_size=6, unique=True), st.sampled_from(BODIES))
@settings(max_examples=250, deadline=None)
def test_odd_requests_are_never_a_fault_of_ours(port, line, headers, body):
    answer = send_and_leave(port, line + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body)
    assert b" 500 " not in answer.split(b"\r\n")[0], (line, headers, body, answer)


def test_an_upload_cut_off_anywhere_stores_nothing(connect, port, shelf):
    body = bytes(300_000)
    head = signed_head(connect("s3"), "cut", body).replace(b"Expect: 100-continue\r\n", b"")
    shelf.stored.clear()
    for kept in (1, 50, len(head) - 1, len(head), len(head) + 1, len(head) + 200_000, len(head) + len(body) - 1):
        send_and_leave(port, (head + body)[:kept])
    assert shelf.stored == {}
    assert exchange(port, head + body, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert shelf.stored == {"cut": body}


def test_connections_that_are_reset_hurt_nobody(port):
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
        connection.close()
    assert b'"status":"ok"' in exchange(port, HEALTH, b"}")


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\nA: b\r\n"])
def test_heads_without_end_are_refused(port, start):
    more = b"x: yyyyy\r\n" * 1000 if start.endswith(b"\n") else b"x" * 10_000
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, pytest.raises(ConnectionError):
        connection.sendall(start + more * 1000)


def test_garbage_from_many_connections_leaves_the_server_quick(port):
    stop = threading.Event()

    def pester(seed: int) -> None:
        random = Random(seed)
        while not stop.is_set():
            send_and_leave(port, random.randbytes(random.randint(1, 100_000)))

    threads = [threading.Thread(target=pester, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        began = time.monotonic()
        for _ in range(20):
            assert b'"status":"ok"' in exchange(port, HEALTH, b"}")
        assert time.monotonic() - began < 6
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def impatient(monkeypatch, tmp_path):
    """A server that waits for clients a tenth of a second."""
    monkeypatch.setattr(listener, "HEAD_S", 0.1)
    monkeypatch.setattr(listener, "SILENCE_S", 0.1)
    shelf = Shelf(tmp_path)
    shelf.stored["large"] = bytes(30_000_000)
    with serving(front_of(shelf)) as port:
        yield port


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HT",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
def test_clients_that_fall_silent_are_hung_up_on(impatient, data):
    with socket.create_connection(("127.0.0.1", impatient), timeout=10) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):
            assert connection.recv(65536) == b""


def test_clients_that_stop_reading_are_hung_up_on(impatient):
    with socket.create_connection(("127.0.0.1", impatient), timeout=10) as connection:
        connection.sendall(b"GET /b/large HTTP/1.1\r\nHost: x\r\n\r\n")
        threading.Event().wait(0.5)
        received = 0
        with suppress(ConnectionResetError):
            while piece := connection.recv(1_000_000):
                received += len(piece)
        assert received < 30_000_000
