"""HTTP/1.1 as it stands on the wire: order, endings, bodies, and what a connection is worth afterwards."""

import asyncio
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from darkroom.wire.messages import FileSlice, Request, Response
from tests.wire.live import serving


class Echo:
    """Answers with what it was asked; by path, in other ways."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.file = Path()

    async def respond(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path == "/refuse":
            return Response(403, {}, b"no")
        self.bodies.append(await request.body.read(10**9))
        if request.path == "/slow":
            await asyncio.sleep(0.1)
        answers = {
            "/stream": lambda: Response(200, {}, self.pieces(b"a", b"", b"bc")),
            "/sized": lambda: Response(200, {"content-length": "3"}, self.pieces(b"a", b"bc")),
            "/short": lambda: Response(200, {"content-length": "9"}, self.pieces(b"a", b"bc")),
            "/long": lambda: Response(200, {"content-length": "2"}, self.pieces(b"a", b"bc")),
            "/file": lambda: Response(200, {}, FileSlice(self.file, 1, 200_001)),
            "/empty": lambda: Response(200, {}, FileSlice(self.file, 5, 5)),
            "/none": lambda: Response(204),
            "/odd": lambda: Response(299, {"x-odd": "a\r\nb: c\x00é漢"}, b"odd"),
        }
        return answers[request.path]() if request.path in answers else Response(200, {}, request.path.encode())

    @staticmethod
    async def pieces(*pieces: bytes):
        for piece in pieces:
            yield piece


@pytest.fixture(scope="module")
def echo(tmp_path_factory) -> Echo:
    echo = Echo()
    echo.file = tmp_path_factory.mktemp("files") / "file"
    echo.file.write_bytes(bytes(range(256)) * 1000)
    return echo


@pytest.fixture(scope="module")
def address(echo):
    with serving(echo) as port:
        yield ("127.0.0.1", port)


@pytest.fixture
def connection(address):
    with socket.create_connection(address, timeout=10) as connection:
        yield connection


def send(connection: socket.socket, *requests: bytes) -> bytes:
    """All answers, to the end of the connection, which this side half-closes."""
    connection.sendall(b"".join(requests))
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *headers, *length, "", ""]).encode() + body


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_pipelined_requests_are_answered_in_order(connection, echo):
    answers = send(connection, get("/slow"), get("/a", body=b"12", method="PUT"), get("/b"), get("/c"))
    bodies = [body_of(part) for part in answers.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/slow", b"/a", b"/b", b"/c"]
    assert echo.bodies[-3:] == [b"12", b"", b""]
    assert answers.count(b"connection: close") == 1


def test_only_so_many_may_wait(connection):
    answers = send(connection, get("/slow"), *[get(f"/{i}") for i in range(100)])
    assert 8 <= answers.count(b"HTTP/1.1 200 OK") <= 9
    assert answers.count(b"connection: close") == 1


def test_a_half_closed_connection_gets_its_answer(connection):
    assert body_of(send(connection, get("/slow"))) == b"/slow"


def test_a_connection_is_kept_and_closed_as_asked(connection):
    connection.sendall(get("/a"))
    assert b"connection: close" not in connection.recv(65536)
    connection.sendall(get("/b", "Connection: close"))
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    assert b"connection: close" in answer
    assert body_of(answer) == b"/b"


def test_http_1_0(connection):
    answer = send(connection, get("/stream", version="1.0"))
    assert (body_of(answer), b"chunked" in answer) == (b"abc", False)


def test_streams_of_unknown_length_are_chunked(connection):
    assert body_of(send(connection, get("/stream"))) == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


def test_streams_of_known_length_are_not(connection):
    assert body_of(send(connection, get("/sized"))) == b"abc"


@pytest.mark.parametrize(("path", "sent"), [("/short", b"abc"), ("/long", b"a")])
def test_a_body_that_is_not_what_was_promised_ends_the_connection(connection, caplog, path, sent):
    with caplog.at_level(logging.ERROR):
        connection.sendall(get(path))
        answer = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    assert sent.startswith(body_of(answer))
    assert "an answer could not be finished" in caplog.text


def test_files(connection, echo):
    assert body_of(send(connection, get("/file"))) == echo.file.read_bytes()[1:200_001]


def test_an_empty_slice_of_a_file(connection):
    answer = send(connection, get("/empty"))
    assert (b"content-length: 0\r\n" in answer, body_of(answer)) == (True, b"")


@pytest.mark.parametrize("path", ["/a", "/file", "/stream", "/sized"])
def test_answers_to_head_have_no_body(connection, path):
    answers = send(connection, get(path, method="HEAD"), get("/next"))
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.endswith(b"\r\n\r\n/next")


def test_no_content_has_no_length(connection):
    assert b"content-length" not in send(connection, get("/none"))


def test_values_cannot_break_a_header_line(connection):
    answer = send(connection, get("/odd"))
    assert answer.startswith(b"HTTP/1.1 299 \r\n")
    assert b"x-odd: a  b: c \xe9?\r\n" in answer


def test_chunked_requests(connection, echo):
    request = get("/a", "Transfer-Encoding: chunked", method="PUT")
    send(connection, request, b"2\r\nab\r\n1;ext=1\r\nc\r\n0\r\n\r\n")
    assert echo.bodies[-1] == b"abc"
    assert echo.requests[-1].body.length is None


def test_trailers_do_not_become_headers(connection, echo):
    """They come after the signature of the head was checked."""
    request = get("/a", "Transfer-Encoding: chunked", method="PUT")
    send(connection, request, b"2\r\nab\r\n0\r\nx-amz-acl: public-read\r\n\r\n")
    assert "x-amz-acl" not in echo.requests[-1].headers


def test_repeated_headers_are_joined(connection, echo):
    send(connection, get("/a?x=%C3%BC&y", "A: 1", "a: 2"))
    assert echo.requests[-1].headers["a"] == "1,2"
    assert echo.requests[-1].query == [("x", "ü"), ("y", "")]
    assert echo.requests[-1].raw_query == "x=%C3%BC&y"


def test_an_upgrade_is_not_taken(connection):
    answer = send(connection, get("/a", "Connection: upgrade", "Upgrade: h2c"))
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_nonsense_after_a_request_does_not_spoil_its_answer(connection):
    answer = send(connection, get("/slow"), b"\x00nonsense\r\n\r\n")
    assert body_of(answer) == b"/slow"


def test_a_refused_upload_does_not_hear_continue(connection):
    connection.sendall(get("/refuse", "Expect: 100-continue", "Content-Length: 1000000", method="PUT"))
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"connection: close" in answer


def test_a_refused_body_is_heard_out_and_the_connection_goes_on(connection):
    answers = send(connection, get("/refuse", method="PUT", body=bytes(3_000_000)), get("/next"))
    assert answers.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answers.endswith(b"/next")


def test_a_stopping_server_finishes_what_it_began():
    echo = Echo()
    with socket.socket() as connection:
        connection.settimeout(10)
        with serving(echo) as port:
            connection.connect(("127.0.0.1", port))
            connection.sendall(get("/slow"))
            while not echo.requests:
                time.sleep(0.001)
        assert connection.recv(65536).endswith(b"/slow")


def test_a_stopping_server_still_takes_the_upload_it_began():
    echo = Echo()
    with socket.socket() as connection:
        connection.settimeout(10)
        with serving(echo) as port:
            connection.connect(("127.0.0.1", port))
            request = get("/a", method="PUT", body=bytes(1000))
            connection.sendall(request[:-500])
            while not echo.requests:
                time.sleep(0.001)
            threading.Timer(0.2, connection.sendall, (request[-500:],)).start()
        assert connection.recv(65536).endswith(b"/a")
    assert echo.bodies == [bytes(1000)]
