"""What the records of a task say about it: one pure function, and what it takes from the disk."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from darkroom.executors import records
from darkroom.executors.base import Observation, Phase
from darkroom.executors.records import Record

OBSERVED = (records.TASK, records.FAILED, records.LAUNCHED, records.EXITED, records.PACKED)


def read(folder: Path) -> dict[str, Record | None]:
    return {name: records.read(folder, name) for name in OBSERVED}


def observed(found: Mapping[str, Record | None], folder: Path, alive: bool, socket: Path, ready: bool) -> Observation:
    """The state of a task. ``alive``: a launcher or a packing held the lock just *before* the records were read.

    In that order, so that one that ends in between is seen through its exit record, and never taken for lost.
    """
    task, failed, launched = found[records.TASK], found[records.FAILED], found[records.LAUNCHED]
    if task is None:
        return Observation(Phase.ABSENT)
    if failed is not None:
        return Observation(Phase.ENDED, failure=failed["failure"], ended_at=_time(failed))
    if (exited := found[records.EXITED]) is not None:
        return _exited(task["packs"], exited, found[records.PACKED], folder, _time(launched))
    if launched is None:
        return Observation(Phase.STAGING)
    if not alive:
        return Observation(Phase.LOST, running_at=_time(launched))
    where = socket if task["serves"] else None
    return Observation(Phase.RUNNING, ready=ready, socket=where, running_at=_time(launched))


def _exited(
    packs: bool, exited: Record, packed: Record | None, folder: Path, running_at: datetime | None
) -> Observation:
    ran = exited["exit_code"] is not None  # what never ran has nothing to pack
    archives = [folder / name if packed and packed[name] else None for name in records.ARCHIVES]
    return Observation(
        Phase.PACKING if packs and ran and packed is None else Phase.ENDED,
        exit_code=exited["exit_code"],
        failure=exited["failure"],
        unpacked=packed["failure"] if packed else "",
        model_archive=archives[0],
        output_archive=archives[1],
        running_at=running_at,
        ended_at=_time(exited),
    )


def _time(record: Record | None) -> datetime | None:
    return None if record is None else datetime.fromtimestamp(record["at_ms"] / 1000, UTC)
