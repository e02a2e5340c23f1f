"""Ports for gangs: whoever else looks for one goes past those that are held, and the gang's own task listens there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import Unavailable
from darkroom.executors import meeting
from darkroom.executors.base import Gang
from darkroom.executors.meeting import ADDRESS, Meetings, held

GANG = Gang("g-1", 2)


@pytest.fixture
def meetings(tmp_path: Path) -> Iterator[Meetings]:
    meetings = Meetings(tmp_path / "gangs")
    yield meetings
    meetings.close()


def port(meetings: Meetings, gang: Gang = GANG) -> int:
    return int(meetings.variables(gang)["MASTER_PORT"])


def test_all_tasks_of_a_gang_are_told_the_same(meetings: Meetings) -> None:
    assert meetings.variables(GANG) == meetings.variables(GANG)
    assert port(meetings) != port(meetings, Gang("g-2", 2))


def test_nobody_else_is_given_the_port(meetings: Meetings) -> None:
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((ADDRESS, port(meetings)))
    assert held(port(meetings)) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, port(meetings)), timeout=10)


def test_two_executors_never_choose_the_same(meetings: Meetings, tmp_path: Path) -> None:
    other = Meetings(tmp_path / "others")  # which begins to look at the same place
    assert port(other) != port(meetings)
    other.close()


def test_a_task_of_the_gang_listens_there_and_once_more(meetings: Meetings) -> None:
    for _ in range(2):
        with socket.create_server((ADDRESS, port(meetings))) as server:
            with socket.create_connection((ADDRESS, port(meetings)), timeout=10) as call:
                call.sendall(b"hello")
            with server.accept()[0] as answer:
                assert answer.recv(5) == b"hello"


def test_the_next_executor_holds_what_nobody_listens_at(meetings: Meetings, tmp_path: Path) -> None:
    known = port(meetings), port(meetings, Gang("g-2", 2))
    meetings.close()
    with socket.create_server((ADDRESS, known[0])):
        again = Meetings(tmp_path / "gangs")
    assert (port(again), port(again, Gang("g-2", 2))) == known
    assert held(known[1]) is None
    with held(known[0]) as free:  # its task had it, and has left
        assert free is not None
    again.close()


def test_what_is_asked_after_the_end_is_answered_and_not_held(meetings: Meetings) -> None:
    meetings.close()
    with held(port(meetings)) as free:
        assert free is not None


def test_what_is_forgotten_is_free(meetings: Meetings) -> None:
    known = port(meetings)
    meetings.forget(GANG.name)
    with held(known) as free:
        assert free is not None
    meetings.forget("nobody")


def test_when_all_are_taken_it_says_which(meetings: Meetings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "PORTS", 1)
    monkeypatch.setattr(meeting, "FIRST", known := port(meetings))
    with pytest.raises(Unavailable, match=f"no TCP port from {known} to {known} is free"):
        meetings.variables(Gang("g-2", 2))
