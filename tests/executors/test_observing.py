"""What the records say: every case, without a process."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from darkroom.executors.base import Observation, Phase
from darkroom.executors.observing import OBSERVED, observed

FOLDER, SOCKET = Path("/tasks/t"), Path("/tmp/s")
AT, LATER = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 21, 1, tzinfo=UTC)


def at_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


TASK = {"task.json": {"packs": True, "serves": False}}
LAUNCHED = TASK | {"launched.json": {"pid": 7, "at_ms": at_ms(AT)}}
EXITED = LAUNCHED | {"exited.json": {"exit_code": 3, "failure": "why", "at_ms": at_ms(LATER)}}
PACKED = EXITED | {"packed.json": {"model.tar.gz": True, "output.tar.gz": False, "failure": "", "at_ms": 0}}
ENDED = Observation(Phase.ENDED, exit_code=3, failure="why", running_at=AT, ended_at=LATER)


def see(found: dict[str, Any], alive: bool, ready: bool = False) -> Observation:
    return observed(dict.fromkeys(OBSERVED) | found, FOLDER, alive, SOCKET, ready)


@pytest.mark.parametrize("alive", [False, True])
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, Observation(Phase.ABSENT)),
        (TASK, Observation(Phase.STAGING)),
        (
            TASK | {"failed.json": {"failure": "no object", "at_ms": at_ms(AT)}},
            Observation(Phase.ENDED, failure="no object", ended_at=AT),
        ),
        (
            EXITED,
            Observation(Phase.PACKING, exit_code=3, failure="why", running_at=AT, ended_at=LATER),
        ),
        (
            PACKED,
            Observation(
                Phase.ENDED,
                exit_code=3,
                failure="why",
                running_at=AT,
                ended_at=LATER,
                model_archive=FOLDER / "model.tar.gz",
            ),
        ),
        (EXITED | {"task.json": {"packs": False, "serves": False}}, ENDED),
        (
            LAUNCHED | {"exited.json": {"exit_code": None, "failure": "stopped", "at_ms": at_ms(LATER)}},
            Observation(Phase.ENDED, failure="stopped", running_at=AT, ended_at=LATER),
        ),
    ],
)
def test_records_say_more_than_life(found: dict[str, Any], alive: bool, expected: Observation) -> None:
    assert see(found, alive) == expected


def test_a_launcher_that_left_no_exit_record_is_running_or_lost() -> None:
    assert see(LAUNCHED, alive=True) == Observation(Phase.RUNNING, running_at=AT)
    assert see(LAUNCHED, alive=False) == Observation(Phase.LOST, running_at=AT)


def test_only_a_running_worker_has_a_socket_and_is_ready() -> None:
    serving = LAUNCHED | {"task.json": {"packs": False, "serves": True}}
    assert see(serving, alive=True) == Observation(Phase.RUNNING, running_at=AT, socket=SOCKET)
    assert see(serving, alive=True, ready=True).ready
    assert not see(serving, alive=False, ready=True).ready


def test_a_failed_packing_is_told() -> None:
    failed = {"packed.json": {"model.tar.gz": False, "output.tar.gz": False, "failure": "disk full", "at_ms": 0}}
    silent = {"exited.json": {"exit_code": 0, "failure": "", "at_ms": at_ms(LATER)}}
    assert see(LAUNCHED | silent | failed, alive=False).unpacked == "disk full"
