"""An endpoint's life, decided without doing anything.

    creating → in-service ⇄ updating            any → deleting → gone
        └→ failed               └→ in-service, as it was (rollback)

An update is blue/green: the new fleet's workers are all ready before the route is switched, and only then do the old
ones stop. What is wanted is a fleet (``fleet``); who works on it is kept in ``observed["workers"]`` (``workers``).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from darkroom.control.resources import Event, Resource
from darkroom.control.routes import Route, Variant
from darkroom.control.states import fleet as fleets
from darkroom.control.states import reasons
from darkroom.control.states import workers as staff
from darkroom.control.states.decision import Action, Decision, Facts, Forget, Publish, Start, Stop, Withdraw, changed
from darkroom.control.states.fleet import Fleet
from darkroom.control.states.workers import ABSENT, Crashes, Worker, Workers
from darkroom.errors import Conflict
from darkroom.executors.base import Phase

STOP_GRACE_S = 30.0  # what SageMaker gives a container to finish its requests
LOOK_EVERY = timedelta(seconds=2)  # a backstop: changes wake the reconciler
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


def fleet_of(endpoint: Resource) -> Fleet:
    """What is wanted."""
    fleet = fleets.from_json(endpoint.desired["fleet"])
    assert fleet is not None
    return fleet


def serving_fleet(endpoint: Resource) -> Fleet | None:
    """What requests are routed to; None before the endpoint is first in service."""
    return fleets.from_json(endpoint.observed.get("serving"))


def accepted(now: datetime) -> tuple[Event, ...]:
    return (Event(now, STATUS[State.CREATING], "Creating the endpoint"),)


def update(endpoint: Resource, fleet: Fleet, now: datetime) -> Decision:
    """The user asks for another fleet. Raises Conflict unless the endpoint is in service."""
    if endpoint.state != State.IN_SERVICE:
        raise Conflict(endpoint.kind, endpoint.name, f'Cannot update in-progress endpoint "{endpoint.arn}".')
    observed = {k: v for k, v in endpoint.observed.items() if k not in ("reason", "crashes", "start_failure")}
    desired = {**endpoint.desired, "fleet": fleets.to_json(fleet)}
    return _become(endpoint, State.UPDATING, "Updating the endpoint", observed, now, desired=desired)


def delete(endpoint: Resource, now: datetime) -> Decision:
    """The user asks for its end; a second time is the first time."""
    if endpoint.state == State.DELETING:
        return Decision()
    return _become(endpoint, State.DELETING, "Deleting the endpoint", endpoint.observed, now)


def decide(endpoint: Resource, facts: Facts, now: datetime) -> Decision:
    """The next step of one endpoint, from the observations of its workers."""
    workers = staff.refreshed(staff.workers_of(endpoint), facts.tasks)
    if endpoint.state in (State.DELETING, State.FAILED):
        return _wind_up(endpoint, workers, facts, now)
    fault = "" if endpoint.state == State.IN_SERVICE else _fault(endpoint, workers, facts, now)
    if fault:
        return _give_up(endpoint, workers, fault, now)
    return _go_on(endpoint, workers, facts, now)


def _go_on(endpoint: Resource, workers: Workers, facts: Facts, now: datetime) -> Decision:
    """Replace the dead, start the missing, switch when the wanted fleet is complete, retire what is not wanted."""
    wanted, serving = fleet_of(endpoint), serving_fleet(endpoint)
    state = State(endpoint.state)
    events: tuple[Event, ...] = ()
    if state is not State.IN_SERVICE and staff.complete(workers, facts.tasks, wanted):
        state, serving = State.IN_SERVICE, wanted
        events = (Event(now, STATUS[state], "The endpoint is in service"),)
    kept = [serving] if state is State.IN_SERVICE and serving else [f for f in (serving, wanted) if f]
    workers, crashes = staff.bury(workers, facts.tasks, kept, endpoint.observed.get("crashes", {}), now)
    workers, number, pauses = _hire(endpoint, workers, kept, crashes, now)
    workers = staff.without_surplus(workers, facts.tasks, kept)
    observed = {
        **endpoint.observed,
        "workers": staff.to_json(workers),
        "next_worker": number,
        "crashes": crashes,
        "serving": fleets.to_json(serving) if serving else None,
    }
    check_at = min([now + LOOK_EVERY, *pauses])
    change = changed(endpoint, state=state, status=STATUS[state], events=events, observed=observed, check_at=check_at)
    return Decision(change, _actions(endpoint, workers, facts, serving), check_at)


def _fault(endpoint: Resource, workers: Workers, facts: Facts, now: datetime) -> str:
    """Why the wanted fleet will not come up; "" while it may. A worker that vanished gets another chance."""
    wanted = fleet_of(endpoint)
    if "start_failure" in endpoint.observed:
        return reasons.of_start(endpoint.observed["start_failure"])
    for task, worker in workers.items():
        seen = facts.tasks.get(task, ABSENT)
        if worker.retired or worker.ready or worker.generation != wanted.generation:
            continue
        vanished = staff.dead(worker, seen) and seen.phase is not Phase.ENDED
        if vanished and endpoint.observed.get("crashes", {}).get(worker.variant, {}).get("count", 0) < MOST_LOSSES:
            continue
        if staff.dead(worker, seen) or staff.overdue(worker, seen, wanted, now):
            return reasons.of_worker(worker.variant, seen, facts.tails.get(task, ()))
    return ""


def _give_up(endpoint: Resource, workers: Workers, fault: str, now: datetime) -> Decision:
    """A fleet failed: back to the one that serves, or failed where there is none."""
    serving = serving_fleet(endpoint)
    generation = serving.generation if serving else None
    left = {t: w if w.generation == generation else replace(w, retired=True) for t, w in workers.items()}
    observed = {**endpoint.observed, "workers": staff.to_json(left), "crashes": {}, "reason": fault}
    if serving is None:
        return _become(endpoint, State.FAILED, fault, observed, now)
    desired = {**endpoint.desired, "fleet": fleets.to_json(serving)}
    message = f"The update failed, the endpoint serves as before: {fault}"
    return _become(endpoint, State.IN_SERVICE, message, observed, now, desired=desired)


def _hire(
    endpoint: Resource, workers: Workers, kept: list[Fleet], crashes: Crashes, now: datetime
) -> tuple[Workers, int, list[datetime]]:
    """Write down the workers that are missing; with the next free number, and when those that must wait are due."""
    staffed, number = dict(workers), endpoint.observed.get("next_worker", 1)
    pauses: list[datetime] = []
    for variant, generation in staff.missing(workers, kept):
        due = staff.pause_over(crashes, variant, now)
        if due is not None and now < due:
            pauses.append(due)
            continue
        staffed[staff.task_id(endpoint, number)] = Worker(variant, generation, now.isoformat())
        number += 1
    return staffed, number, pauses


def _actions(endpoint: Resource, workers: Workers, facts: Facts, serving: Fleet | None) -> tuple[Action, ...]:
    """Route first, so that no request meets a worker that is told to stop."""
    actions: list[Action] = [Publish(_route(endpoint, workers, facts, serving))] if serving else []
    actions += [
        Start(task)
        for task, worker in workers.items()
        if not worker.retired and not worker.seen and facts.tasks.get(task, ABSENT).phase is Phase.ABSENT
    ]
    return (*actions, *_farewells(workers, facts))


def _route(endpoint: Resource, workers: Workers, facts: Facts, serving: Fleet) -> Route:
    def sockets(variant: str) -> tuple[Any, ...]:
        return tuple(seen.socket for seen in staff.ready(workers, facts.tasks, serving, variant))

    return Route(endpoint.name, tuple(Variant(v.name, v.weight, sockets(v.name)) for v in serving.variants))


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
    observed = {**endpoint.observed, "workers": staff.to_json(retired)}
    gone = not retired and endpoint.state == State.DELETING
    check_at = now + LOOK_EVERY if retired else None
    change = changed(endpoint, observed=observed, check_at=check_at, gone=gone)
    return Decision(change, (Withdraw(endpoint.name), *_farewells(retired, facts)), check_at)


def _become(
    endpoint: Resource,
    state: State,
    message: str,
    observed: Mapping[str, Any],
    now: datetime,
    desired: Mapping[str, Any] | None = None,
) -> Decision:
    change = changed(
        endpoint,
        state=state,
        status=STATUS[state],
        events=(Event(now, STATUS[state], message),),
        observed=observed,
        desired=desired,
        check_at=now,
    )
    return Decision(change)
