"""The client to workers, against a real unix-socket server that dies at every stage."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from darkroom.wire.forward import Answer, BrokeOff, Forwarder, NothingAnswered, TookTooLong, Unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def worker(folder: Path, behave: Behaviour):
    """A server whose connections behave as told, and a Forwarder to ask it with."""
    path, tasks = folder / "worker.sock", set()

    async def connected(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(connected, str(path))
    forwarder = Forwarder(connect_s=5, answer_s=30)
    try:
        yield path, forwarder
    finally:
        forwarder.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answers: bytes, then_close: bool = False) -> Behaviour:
    async def behave(reader, writer):
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
        if not then_close:
            await reader.read()

    return behave


def ask(folder: Path, behave: Behaviour, times: int = 1, body: bytes = b"body") -> list[Answer]:
    async def run():
        async with worker(folder, behave) as (path, forwarder):
            return [
                await forwarder.forward(path, "POST", "/invocations", {"accept": "*/*"}, body) for _ in range(times)
            ]

    return uvloop.run(run())


def test_a_request_and_its_answer(tmp_path):
    seen = []

    async def behave(reader, writer):
        seen.append(await read_request(reader))
        writer.write(OK)
        await reader.read()

    assert ask(tmp_path, behave) == [(200, {"content-type": "application/json", "content-length": "2"}, b"[]")]
    assert seen[0].startswith(b"POST /invocations HTTP/1.1\r\n")
    assert seen[0].endswith(b"accept: */*\r\n\r\nbody")


def test_one_connection_serves_many_requests(tmp_path):
    connections = []

    async def behave(reader, writer):
        connections.append(writer)
        await answering(OK, OK, OK)(reader, writer)

    assert [status for status, *_ in ask(tmp_path, behave, times=3)] == [200, 200, 200]
    assert len(connections) == 1


def test_a_connection_that_says_close_is_not_used_again(tmp_path):
    connections = []

    async def behave(reader, writer):
        connections.append(writer)
        await answering(OK.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))(reader, writer)

    assert len(ask(tmp_path, behave, times=2)) == 2
    assert len(connections) == 2


def test_large_bodies_pass_both_ways(tmp_path):
    large = bytes(range(256)) * 20_000

    async def behave(reader, writer):
        request = await read_request(reader)
        body = request.partition(b"\r\n\r\n")[2]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await reader.read()

    assert ask(tmp_path, behave, body=large)[0][2] == large


def test_chunked_answers_and_interim_ones(tmp_path):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert ask(tmp_path, answering(b"HTTP/1.1 100 Continue\r\n\r\n" + chunked))[0][::2] == (200, b"abc")


def test_an_answer_that_ends_with_the_connection(tmp_path):
    assert ask(tmp_path, answering(b"HTTP/1.0 200 OK\r\n\r\nabc", then_close=True))[0][::2] == (200, b"abc")


def test_errors_of_the_worker_are_answers(tmp_path):
    assert ask(tmp_path, answering(b"HTTP/1.1 415 X\r\nContent-Length: 2\r\n\r\nno"))[0][::2] == (415, b"no")


# Death at every stage


def test_nobody_listens(tmp_path):
    async def run():
        await Forwarder().forward(tmp_path / "absent.sock", "POST", "/", {}, b"")

    with pytest.raises(Unreachable, match=r"absent\.sock cannot be connected to"):
        uvloop.run(run())


async def hang_up_at_once(reader, writer):
    pass


async def hang_up_within_the_request(reader, writer):
    await reader.readexactly(10)


async def hang_up_after_the_request(reader, writer):
    await read_request(reader)


async def abort_after_the_request(reader, writer):
    await read_request(reader)
    writer.transport.abort()


@pytest.mark.parametrize(
    "behave", [hang_up_at_once, hang_up_within_the_request, hang_up_after_the_request, abort_after_the_request]
)
def test_a_worker_that_dies_before_it_answers(tmp_path, behave):
    with pytest.raises(NothingAnswered) as error:
        ask(tmp_path, behave, body=b"x" * 300_000 if behave is not hang_up_after_the_request else b"x")
    assert not isinstance(error.value, Unreachable)


@pytest.mark.parametrize("kept", [1, 8, 17, 60, len(OK) - 1])
def test_a_worker_that_dies_within_its_answer(tmp_path, kept):
    with pytest.raises(BrokeOff):
        ask(tmp_path, answering(OK[:kept], then_close=True))


def test_an_answer_that_is_no_http(tmp_path):
    with pytest.raises(BrokeOff, match="no HTTP"):
        ask(tmp_path, answering(b"hello\r\n\r\n"))


def test_a_worker_that_dies_between_two_requests_is_connected_to_anew(tmp_path):
    connections = []

    async def behave(reader, writer):
        connections.append(writer)
        await answering(OK, then_close=True)(reader, writer)

    async def run():
        async with worker(tmp_path, behave) as (path, forwarder):
            await forwarder.forward(path, "POST", "/", {}, b"")
            while forwarder.idle(path):  # until the end of the connection is noticed
                await asyncio.sleep(0)
            return await forwarder.forward(path, "POST", "/", {}, b"")

    assert uvloop.run(run())[0] == 200
    assert len(connections) == 2


def test_bytes_that_nobody_asked_for_end_a_connection(tmp_path):
    async def behave(reader, writer):
        await answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale")(reader, writer)

    async def run():
        async with worker(tmp_path, behave) as (path, forwarder):
            first = await forwarder.forward(path, "POST", "/", {}, b"")
            while forwarder.idle(path):
                await asyncio.sleep(0)
            return first, await forwarder.forward(path, "POST", "/", {}, b"")

    first, second = uvloop.run(run())
    assert first[2] == second[2] == b"[]"


def test_a_worker_that_never_answers(tmp_path):
    async def behave(reader, writer):
        await reader.read()

    async def run():
        async with worker(tmp_path, behave) as (path, _):
            with pytest.raises(TookTooLong):
                await Forwarder(connect_s=5, answer_s=0.05).forward(path, "POST", "/", {}, b"")

    uvloop.run(run())


def test_an_answer_without_end_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("darkroom.wire.forward.MAX_ANSWER", 1000)

    async def behave(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    with pytest.raises(BrokeOff, match="larger than 1000 bytes"):
        ask(tmp_path, behave)


def test_a_cancelled_request_leaves_no_connection_behind(tmp_path):
    async def behave(reader, writer):
        await read_request(reader)
        asked.set()
        await reader.read()
        hung_up.set()

    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def run():
        async with worker(tmp_path, behave) as (path, forwarder):
            task = asyncio.create_task(forwarder.forward(path, "POST", "/", {}, b""))
            await asked.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.wait_for(hung_up.wait(), 10)
            assert forwarder.idle(path) == 0

    uvloop.run(run())
