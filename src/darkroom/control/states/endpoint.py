"""An endpoint's life, decided without doing anything.

    creating → in-service ⇄ updating            any → deleting → gone
        └→ failed               └→ in-service, as it was (rollback)

An update is blue/green: the new fleet's workers are all ready before the route is switched, and only then do the old
ones stop. Workers are kept in ``observed["workers"]`` by task id; one is written down before it is started, so that a
restarted server knows every worker it may have started.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from darkroom.control.resources import Event, Resource
from darkroom.control.routes import Route, Variant
from darkroom.control.states import reasons
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Publish, Start, Stop, Withdraw, changed
from darkroom.control.states.fleet import Fleet, from_json, to_json
from darkroom.errors import Conflict
from darkroom.executors.base import Observation, Phase
from darkroom.settings import Settings

STOP_GRACE_S = 30.0  # what SageMaker gives a container to finish its requests
LOOK_EVERY = timedelta(seconds=2)  # a backstop: changes wake the reconciler
LIVED_WELL = timedelta(seconds=60)  # a worker that served this long starts a new count of crashes
LONGEST_PAUSE_S = 60.0
MOST_LOSSES = 3  # of workers that vanish while an endpoint is being made


class State(StrEnum):
    CREATING = "creating"
    IN_SERVICE = "in-service"
    UPDATING = "updating"
    FAILED = "failed"
    DELETING = "deleting"


STATUS = {
    State.CREATING: "Creating",
    State.IN_SERVICE: "InService",
    State.UPDATING: "Updating",
    State.FAILED: "Failed",
    State.DELETING: "Deleting",
}
ABSENT = Observation(Phase.ABSENT)


@dataclass(frozen=True)
class Worker:
    """One serving task as the endpoint remembers it."""

    variant: str
    generation: int
    started: str  # ISO 8601
    seen: bool = False  # it was observed at least once: absent now means gone
    ready: bool = False  # it was ready at least once
    retired: bool = False  # to be stopped, forgotten, struck off


Workers = dict[str, Worker]


def fleet_of(endpoint: Resource) -> Fleet:
    """What is wanted."""
    fleet = from_json(endpoint.desired["fleet"])
    assert fleet is not None
    return fleet


def serving_fleet(endpoint: Resource) -> Fleet | None:
    """What requests are routed to; None before the endpoint is first in service."""
    return from_json(endpoint.observed.get("serving"))


def workers_of(endpoint: Resource) -> Workers:
    return {task: Worker(**values) for task, values in endpoint.observed.get("workers", {}).items()}


def instance_id(task_id: str) -> str:
    """The name of a worker's log stream, in the form of an instance's."""
    return f"i-{hashlib.sha256(task_id.encode()).hexdigest()[:17]}"


def accepted(now: datetime) -> tuple[Event, ...]:
    return (Event(now, STATUS[State.CREATING], "Creating the endpoint"),)


def update(endpoint: Resource, fleet: Fleet, now: datetime) -> Decision:
    """The user asks for another fleet. Raises Conflict unless the endpoint is in service."""
    if endpoint.state != State.IN_SERVICE:
        raise Conflict(endpoint.kind, endpoint.name, f'Cannot update in-progress endpoint "{endpoint.arn}".')
    observed = {k: v for k, v in endpoint.observed.items() if k not in ("reason", "losses")}
    desired = {**endpoint.desired, "fleet": to_json(fleet)}
    return _become(endpoint, State.UPDATING, "Updating the endpoint", observed, now, desired=desired)


def delete(endpoint: Resource, now: datetime) -> Decision:
    """The user asks for its end; a second time is the first time."""
    if endpoint.state == State.DELETING:
        return Decision()
    return _become(endpoint, State.DELETING, "Deleting the endpoint", endpoint.observed, now)


def decide(endpoint: Resource, facts: Facts, now: datetime, settings: Settings) -> Decision:
    """The next step of one endpoint, from the observations of its workers."""
    workers = _refreshed(workers_of(endpoint), facts)
    if endpoint.state in (State.DELETING, State.FAILED):
        return _wind_up(endpoint, workers, facts, now)
    fault = _fault(endpoint, workers, facts, now) if endpoint.state in (State.CREATING, State.UPDATING) else ""
    if fault:
        return _give_up(endpoint, workers, fault, now)
    return _staff(endpoint, workers, facts, now)


def _staff(endpoint: Resource, workers: Workers, facts: Facts, now: datetime) -> Decision:
    """Replace the dead, start the missing, switch when the wanted fleet is ready, retire what is not wanted."""
    wanted, serving = fleet_of(endpoint), serving_fleet(endpoint)
    observed = dict(endpoint.observed)
    crashes = _bury(workers, facts, now, observed.get("crashes", {}), [f for f in (wanted, serving) if f])
    state = State(endpoint.state)
    events: tuple[Event, ...] = ()
    if state is not State.IN_SERVICE and all(
        len(_ready(workers, facts, wanted, v.name)) >= v.count for v in wanted.variants
    ):
        state, serving = State.IN_SERVICE, wanted
        events = (Event(now, STATUS[state], "The endpoint is in service"),)
    fleets = [serving] if state is State.IN_SERVICE and serving else [f for f in (serving, wanted) if f]
    number, pause = _hire(endpoint, workers, fleets, crashes, observed.get("next_worker", 1), now)
    _retire_surplus(workers, facts, fleets)
    observed |= {
        "workers": {task: vars(worker) for task, worker in workers.items()},
        "next_worker": number,
        "crashes": crashes,
        "serving": to_json(serving) if serving else None,
    }
    check_at = min([now + LOOK_EVERY, *pause])
    change = changed(endpoint, state=state, status=STATUS[state], events=events, observed=observed, check_at=check_at)
    return Decision(change, _actions(endpoint, workers, facts, serving), check_at)


def _refreshed(workers: Workers, facts: Facts) -> Workers:
    """Workers with what this observation adds; those retired and gone are struck off."""
    kept: Workers = {}
    for task, worker in workers.items():
        seen = facts.tasks.get(task, ABSENT)
        if worker.retired and seen.phase is Phase.ABSENT:
            continue
        kept[task] = replace(
            worker, seen=worker.seen or seen.phase is not Phase.ABSENT, ready=worker.ready or seen.ready
        )
    return kept


def _dead(worker: Worker, seen: Observation) -> bool:
    return seen.phase in (Phase.ENDED, Phase.LOST, Phase.PACKING) or (worker.seen and seen.phase is Phase.ABSENT)


def _overdue(worker: Worker, seen: Observation, fleet: Fleet, now: datetime) -> bool:
    """Running but not healthy for longer than its variant allows."""
    plan = fleet.variant(worker.variant)
    if worker.ready or seen.running_at is None or seen.phase is not Phase.RUNNING or plan is None:
        return False
    return now >= seen.running_at + timedelta(seconds=plan.health_timeout_s)


def _fault(endpoint: Resource, workers: Workers, facts: Facts, now: datetime) -> str:
    """Why the wanted fleet will not come up; "" while it may. A worker that vanished gets another chance."""
    wanted = fleet_of(endpoint)
    for task, worker in workers.items():
        seen = facts.tasks.get(task, ABSENT)
        if worker.retired or worker.ready or worker.generation != wanted.generation:
            continue
        vanished = _dead(worker, seen) and seen.phase is not Phase.ENDED
        if vanished and endpoint.observed.get("crashes", {}).get(worker.variant, {}).get("count", 0) < MOST_LOSSES:
            continue
        if _dead(worker, seen) or _overdue(worker, seen, wanted, now):
            return reasons.of_worker(worker.variant, seen, facts.tails.get(task, ()))
    return ""


def _give_up(endpoint: Resource, workers: Workers, fault: str, now: datetime) -> Decision:
    """A fleet failed: back to the one that serves, or failed where there is none."""
    serving = serving_fleet(endpoint)
    generation = serving.generation if serving else None
    kept = {t: w if w.generation == generation else replace(w, retired=True) for t, w in workers.items()}
    observed = {
        **endpoint.observed,
        "workers": {task: vars(worker) for task, worker in kept.items()},
        "crashes": {},
        "reason": fault,
    }
    if serving is None:
        return _become(endpoint, State.FAILED, fault, observed, now)
    desired = {**endpoint.desired, "fleet": to_json(serving)}
    message = f"The update failed, the endpoint serves as before: {fault}"
    return _become(endpoint, State.IN_SERVICE, message, observed, now, desired=desired)


def _bury(
    workers: Workers, facts: Facts, now: datetime, crashes: Mapping[str, Any], fleets: list[Fleet]
) -> dict[str, Any]:
    """Retire dead and unhealthy workers; returns the crashes counted per variant, with the last one's time."""
    counted = dict(crashes)
    for task, worker in workers.items():
        seen = facts.tasks.get(task, ABSENT)
        overdue = any(f.generation == worker.generation and _overdue(worker, seen, f, now) for f in fleets)
        if worker.retired or not (_dead(worker, seen) or overdue):
            continue
        lived_well = now - datetime.fromisoformat(worker.started) >= LIVED_WELL and worker.ready
        before = 0 if lived_well else counted.get(worker.variant, {}).get("count", 0)
        counted[worker.variant] = {"count": before + 1, "at": now.isoformat()}
        workers[task] = replace(worker, retired=True)
    return counted


def _hire(
    endpoint: Resource, workers: Workers, fleets: list[Fleet], crashes: Mapping[str, Any], number: int, now: datetime
) -> tuple[int, list[datetime]]:
    """Write down the workers that are missing; returns the next free number and when paused ones are due."""
    paused: list[datetime] = []
    for fleet in _newest_of_each_generation(fleets):
        for plan in fleet.variants:
            staff = [w for w in workers.values() if _belongs(w, fleet, plan.name)]
            due = _pause_over(crashes.get(plan.name))
            if len(staff) < plan.count and due is not None and now < due:
                paused.append(due)
                continue
            for _ in range(plan.count - len(staff)):
                task = f"{endpoint.name}-{int(endpoint.created.timestamp() * 1000)}-{number}-{endpoint.id}"
                workers[task] = Worker(plan.name, fleet.generation, now.isoformat())
                number += 1
    return number, paused


def _newest_of_each_generation(fleets: list[Fleet]) -> list[Fleet]:
    """While counts change, old and wanted fleet share their workers: the larger count of each variant is kept."""
    merged: dict[int, Fleet] = {}
    for fleet in fleets:
        other = merged.get(fleet.generation)
        if other is not None:
            counts = {v.name: v.count for v in other.variants}
            variants = tuple(replace(v, count=max(v.count, counts.get(v.name, 0))) for v in fleet.variants)
            fleet = replace(fleet, variants=variants)
        merged[fleet.generation] = fleet
    return list(merged.values())


def _retire_surplus(workers: Workers, facts: Facts, fleets: list[Fleet]) -> None:
    """Keep as many workers of each variant as wanted, the ready ones first, and none of other generations."""
    keep: set[str] = set()
    for fleet in _newest_of_each_generation(fleets):
        for plan in fleet.variants:
            staff = [t for t, w in workers.items() if _belongs(w, fleet, plan.name)]
            staff.sort(key=lambda task: not facts.tasks.get(task, ABSENT).ready)
            keep.update(staff[: plan.count])
    for task in set(workers) - keep:
        workers[task] = replace(workers[task], retired=True)


def _belongs(worker: Worker, fleet: Fleet, variant: str) -> bool:
    return not worker.retired and worker.generation == fleet.generation and worker.variant == variant


def _ready(workers: Workers, facts: Facts, fleet: Fleet, variant: str) -> list[Observation]:
    found = (facts.tasks.get(t, ABSENT) for t, w in workers.items() if _belongs(w, fleet, variant))
    return [seen for seen in found if seen.phase is Phase.RUNNING and seen.ready and seen.socket is not None]


def _pause_over(crash: Mapping[str, Any] | None) -> datetime | None:
    """When a crashed variant's worker may be replaced: at once the first time, then after 1, 2, 4 … 60 s."""
    if not crash or crash["count"] <= 1:
        return None
    pause_s = min(2.0 ** (crash["count"] - 2), LONGEST_PAUSE_S)
    return datetime.fromisoformat(crash["at"]) + timedelta(seconds=pause_s)


def _actions(endpoint: Resource, workers: Workers, facts: Facts, serving: Fleet | None) -> tuple[Action, ...]:
    """Route first, so that no request meets a worker that is told to stop."""
    actions: list[Action] = []
    if serving:
        variants = tuple(
            Variant(v.name, v.weight, tuple(s.socket for s in _ready(workers, facts, serving, v.name) if s.socket))
            for v in serving.variants
        )
        actions.append(Publish(Route(endpoint.name, variants)))
    actions += [
        Start(task)
        for task, worker in workers.items()
        if not worker.retired and not worker.seen and facts.tasks.get(task, ABSENT).phase is Phase.ABSENT
    ]
    return (*actions, *_farewells(workers, facts))


def _farewells(workers: Workers, facts: Facts) -> list[Action]:
    actions: list[Action] = []
    for task, worker in workers.items():
        phase = facts.tasks.get(task, ABSENT).phase
        if worker.retired and phase in (Phase.STAGING, Phase.RUNNING):
            actions.append(Stop(task, STOP_GRACE_S))
        elif worker.retired and phase in (Phase.ENDED, Phase.LOST):
            actions.append(Forget(task))
    return actions


def _wind_up(endpoint: Resource, workers: Workers, facts: Facts, now: datetime) -> Decision:
    """Stop and forget every worker; an endpoint being deleted is gone after the last."""
    retired = {task: replace(worker, retired=True) for task, worker in workers.items()}
    withdraw = (Withdraw(endpoint.name),)
    if not retired and endpoint.state == State.DELETING:
        return Decision(changed(endpoint, observed={**endpoint.observed, "workers": {}}, gone=True), withdraw)
    observed = {**endpoint.observed, "workers": {task: vars(worker) for task, worker in retired.items()}}
    check_at = now + LOOK_EVERY if retired else None
    return Decision(
        changed(endpoint, observed=observed, check_at=check_at), (*withdraw, *_farewells(retired, facts)), check_at
    )


def _become(
    endpoint: Resource,
    state: State,
    message: str,
    observed: Mapping[str, Any],
    now: datetime,
    desired: Mapping[str, Any] | None = None,
) -> Decision:
    events = (Event(now, STATUS[state], message),)
    return Decision(
        changed(
            endpoint, state=state, status=STATUS[state], events=events, observed=observed, desired=desired, check_at=now
        )
    )
