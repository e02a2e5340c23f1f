"""The workers of an endpoint as it remembers them: who lives, who is ready, who is missing, who is too many. Pure.

A worker is written down before it is started, so that a restarted server knows every worker it may have started; it is
struck off when its task is stopped and forgotten.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from darkroom.control.resources import Resource
from darkroom.control.states.fleet import Fleet
from darkroom.executors.base import Observation, Phase

LIVED_WELL = timedelta(seconds=60)  # a worker that served this long starts a new count of crashes
LONGEST_PAUSE_S = 60.0
ABSENT = Observation(Phase.ABSENT)


@dataclass(frozen=True)
class Worker:
    """One serving task. Kept as plain JSON."""

    variant: str
    generation: int
    started: str  # ISO 8601
    seen: bool = False  # it was observed at least once: absent now means gone
    ready: bool = False  # it was ready at least once
    retired: bool = False  # to be stopped, forgotten, struck off


Workers = dict[str, Worker]  # by task id
Seen = Mapping[str, Observation]  # by task id
Crashes = dict[str, Any]  # by variant: {"count": in a row, "at": the last one's ISO 8601 time}


def workers_of(endpoint: Resource) -> Workers:
    return {task: Worker(**values) for task, values in endpoint.observed.get("workers", {}).items()}


def to_json(workers: Workers) -> dict[str, Any]:
    return {task: dict(vars(worker)) for task, worker in workers.items()}


def task_id(endpoint: Resource, number: int) -> str:
    """Unique even where two databases share one folder of tasks; the resource's id comes last."""
    return f"{endpoint.name}-{int(endpoint.created.timestamp() * 1000)}-{number}-{endpoint.id}"


def instance_id(task: str) -> str:
    """The name of a worker's log stream, in the form of an instance's."""
    return f"i-{hashlib.sha256(task.encode()).hexdigest()[:17]}"


def refreshed(workers: Workers, seen: Seen) -> Workers:
    """Workers with what this observation adds; those retired and gone are struck off."""
    return {
        task: replace(
            worker,
            seen=worker.seen or _of(seen, task).phase is not Phase.ABSENT,
            ready=worker.ready or _of(seen, task).ready,
        )
        for task, worker in workers.items()
        if not (worker.retired and _of(seen, task).phase is Phase.ABSENT)
    }


def dead(worker: Worker, seen: Observation) -> bool:
    return seen.phase in (Phase.ENDED, Phase.LOST, Phase.PACKING) or (worker.seen and seen.phase is Phase.ABSENT)


def overdue(worker: Worker, seen: Observation, fleet: Fleet, now: datetime) -> bool:
    """Running but not healthy for longer than its variant allows."""
    plan = fleet.variant(worker.variant)
    if worker.ready or seen.running_at is None or seen.phase is not Phase.RUNNING or plan is None:
        return False
    return now >= seen.running_at + timedelta(seconds=plan.health_timeout_s)


def ready(workers: Workers, seen: Seen, fleet: Fleet, variant: str) -> list[Observation]:
    """Observations of the variant's workers that answer requests now."""
    staff = (_of(seen, task) for task, worker in workers.items() if belongs(worker, fleet, variant))
    return [found for found in staff if found.phase is Phase.RUNNING and found.ready and found.socket is not None]


def complete(workers: Workers, seen: Seen, fleet: Fleet) -> bool:
    return all(len(ready(workers, seen, fleet, plan.name)) >= plan.count for plan in fleet.variants)


def belongs(worker: Worker, fleet: Fleet, variant: str) -> bool:
    return not worker.retired and worker.generation == fleet.generation and worker.variant == variant


def bury(
    workers: Workers, seen: Seen, fleets: Sequence[Fleet], crashes: Crashes, now: datetime
) -> tuple[Workers, Crashes]:
    """Retire the dead and the unhealthy, and count their crashes."""
    left, counted = dict(workers), dict(crashes)
    for task, worker in workers.items():
        found = _of(seen, task)
        unhealthy = any(f.generation == worker.generation and overdue(worker, found, f, now) for f in fleets)
        if worker.retired or not (dead(worker, found) or unhealthy):
            continue
        lived_well = worker.ready and now - datetime.fromisoformat(worker.started) >= LIVED_WELL
        before = 0 if lived_well else counted.get(worker.variant, {}).get("count", 0)
        counted[worker.variant] = {"count": before + 1, "at": now.isoformat()}
        left[task] = replace(worker, retired=True)
    return left, counted


def missing(workers: Workers, fleets: Sequence[Fleet]) -> list[tuple[str, int]]:
    """(variant, generation) of every worker there should be and is not."""
    return [
        (plan.name, fleet.generation)
        for fleet in merged(fleets)
        for plan in fleet.variants
        for _ in range(plan.count - sum(belongs(worker, fleet, plan.name) for worker in workers.values()))
    ]


def without_surplus(workers: Workers, seen: Seen, fleets: Sequence[Fleet]) -> Workers:
    """Retire those of other generations, and those beyond a variant's count, the ones that are not ready first."""
    kept: set[str] = set()
    for fleet in merged(fleets):
        for plan in fleet.variants:
            staff = [task for task, worker in workers.items() if belongs(worker, fleet, plan.name)]
            staff.sort(key=lambda task: not _of(seen, task).ready)
            kept.update(staff[: plan.count])
    return {task: worker if task in kept else replace(worker, retired=True) for task, worker in workers.items()}


def merged(fleets: Sequence[Fleet]) -> list[Fleet]:
    """One fleet a generation: while counts change, old and wanted fleet share workers, and the larger count is kept."""
    found: dict[int, Fleet] = {}
    for fleet in fleets:
        other = found.get(fleet.generation, fleet)
        counts = {plan.name: plan.count for plan in other.variants}
        variants = tuple(replace(plan, count=max(plan.count, counts.get(plan.name, 0))) for plan in fleet.variants)
        found[fleet.generation] = replace(fleet, variants=variants)
    return list(found.values())


def pause_over(crashes: Crashes, variant: str, now: datetime) -> datetime | None:
    """When a crashed worker may be replaced: at once (None) the first time, then after 1, 2, 4 … 60 s.

    A crash that lies in the future was noted before the clock was set back: the pause counts from now, and is over.
    """
    crash = crashes.get(variant)
    if crash is None or crash["count"] <= 1 or datetime.fromisoformat(crash["at"]) > now:
        return None
    pause_s = min(2.0 ** (crash["count"] - 2), LONGEST_PAUSE_S)
    return datetime.fromisoformat(crash["at"]) + timedelta(seconds=pause_s)


def _of(seen: Seen, task: str) -> Observation:
    return seen.get(task, ABSENT)
