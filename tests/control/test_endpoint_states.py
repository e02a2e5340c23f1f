from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from darkroom.control.resources import Resource
from darkroom.control.states import endpoint as states
from darkroom.control.states import fleet as fleets
from darkroom.control.states import workers as staff
from darkroom.control.states.decision import Decision, Facts, Forget, Publish, Start, Stop, Withdraw
from darkroom.control.states.endpoint import State
from darkroom.control.states.workers import Worker
from darkroom.errors import Conflict, Invalid
from darkroom.executors.base import Observation, Phase
from tests.control.values import CREATED, NOW, endpoint, fleet, running

FIRST = staff.task_id(endpoint("creating", fleet()), 1)
SECOND = staff.task_id(endpoint("creating", fleet()), 2)
GONE = Observation(Phase.ABSENT)
SEEN = {
    "absent": GONE,
    "staging": Observation(Phase.STAGING),
    "running": running(ready=False, since=NOW),
    "ready": running(),
    "ended": Observation(Phase.ENDED, exit_code=1, running_at=CREATED),
    "staging failed": Observation(Phase.ENDED, failure="no object s3://b/k"),
    "lost": Observation(Phase.LOST),
}


def worker(generation: int = 1, **changes: Any) -> Worker:
    return Worker("v", generation, CREATED.isoformat(), **{"seen": True} | changes)


def observed(workers: dict[str, Worker], serving: fleets.Fleet | None = None, **more: Any) -> dict[str, Any]:
    return {
        "workers": staff.to_json(workers),
        "next_worker": len(workers) + 1,
        "crashes": {},
        "serving": fleets.to_json(serving) if serving else None,
    } | more


def at(state: State, workers: dict[str, Worker] | None = None, **more: Any) -> Resource:
    serving = fleet() if state in (State.IN_SERVICE, State.UPDATING) else None
    wanted = fleet(generation=2) if state is State.UPDATING else fleet()
    return endpoint(state, wanted, observed(workers or {}, serving, **more), states.STATUS[state])


def step(resource: Resource, seen: dict[str, Observation], now: Any = NOW) -> tuple[Resource, Decision]:
    """The resource after one decision."""
    decision = states.decide(resource, Facts(seen), now)
    change = decision.change
    if change is None:
        return resource, decision
    return replace(
        resource, state=change.state, status=change.status, desired=change.desired, observed=change.observed
    ), decision


def published(decision: Decision) -> list[tuple[str, int]]:
    return [(v.name, len(v.sockets)) for a in decision.actions if isinstance(a, Publish) for v in a.route.variants]


@pytest.mark.parametrize(("state", "seen", "ready"), list(product(State, SEEN, (False, True))))
def test_every_state_meets_every_observation(state: State, seen: str, ready: bool) -> None:
    """One worker of the serving (or first) fleet: whatever it shows, invariants hold and the endpoint comes to rest."""
    now, resource = NOW, at(state, {FIRST: worker(ready=ready)})
    for _ in range(10):
        resource, decision = step(resource, {FIRST: SEEN[seen]}, now)
        workers = staff.workers_of(resource)
        starts = [a.task_id for a in decision.actions if isinstance(a, Start)]
        assert all(task in workers for task in starts), "written down before it is started"
        assert not any(isinstance(a, Publish) for a in decision.actions) or resource.observed["serving"]
        if decision.change is None or decision.change.gone:
            break
    else:
        raise AssertionError("no rest")
    dead = seen in ("ended", "staging failed", "lost", "absent")
    if state is State.CREATING and not ready:
        expected = {"ready": "in-service", "ended": "failed", "staging failed": "failed"}.get(seen, "creating")
        assert resource.state == expected
    if state is State.IN_SERVICE:
        assert resource.state == "in-service"
        alive = [w for w in staff.workers_of(resource).values() if not w.retired]
        assert len(alive) == 1
        assert (FIRST in staff.workers_of(resource) and not staff.workers_of(resource)[FIRST].retired) == (not dead)
    if state in (State.DELETING, State.FAILED):
        assert all(w.retired for w in staff.workers_of(resource).values())
        assert Withdraw("e") in decision.actions


def test_creating_writes_its_workers_down_and_starts_them() -> None:
    created, decision = step(endpoint("creating", fleet(v=2)), {})
    assert list(staff.workers_of(created)) == [FIRST, SECOND]
    assert decision.actions == (Start(FIRST), Start(SECOND))
    again, decision = step(created, {FIRST: running(), SECOND: GONE})  # after a crash between the two starts
    assert Start(SECOND) in decision.actions
    assert Start(FIRST) not in decision.actions
    assert again.state == "creating"
    served, decision = step(again, {FIRST: running("/1"), SECOND: running("/2")})
    assert served.status == "InService"
    assert published(decision) == [("v", 2)]


def test_an_update_switches_only_when_all_are_ready_and_stops_the_old_after() -> None:
    resource = at(State.UPDATING, {FIRST: worker(ready=True)})
    resource, decision = step(resource, {FIRST: running("/1")})
    assert decision.actions == (decision.actions[0], Start(SECOND))
    assert published(decision) == [("v", 1)]
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: running("/2", ready=False)})
    assert resource.state == "updating"
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: running("/2")})
    assert resource.state == "in-service"
    assert [type(a) for a in decision.actions] == [Publish, Stop]
    assert [
        str(s) for a in decision.actions if isinstance(a, Publish) for v in a.route.variants for s in v.sockets
    ] == ["/2"]
    resource, decision = step(resource, {FIRST: SEEN["ended"], SECOND: running("/2")})
    assert Forget(FIRST) in decision.actions
    resource, decision = step(resource, {FIRST: GONE, SECOND: running("/2")})
    assert list(staff.workers_of(resource)) == [SECOND]


def test_an_update_that_fails_leaves_what_serves_alone() -> None:
    resource = at(State.UPDATING, {FIRST: worker(ready=True), SECOND: worker(generation=2)})
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: SEEN["ended"]})
    assert (resource.state, resource.status) == ("in-service", "InService")
    assert states.fleet_of(resource).generation == 1
    assert "exit code 1" in resource.observed["reason"]
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: SEEN["ended"]})
    assert published(decision) == [("v", 1)]
    assert Forget(SECOND) in decision.actions


def test_health_has_its_time_and_not_more() -> None:
    resource = at(State.CREATING, {FIRST: worker()})
    slow = {FIRST: running(ready=False, since=CREATED)}
    before, _ = step(resource, slow, CREATED + timedelta(seconds=239))
    assert before.state == "creating"
    after, _ = step(resource, slow, CREATED + timedelta(seconds=240))
    assert after.state == "failed"
    assert "did not pass the ping health check" in after.observed["reason"]


def test_what_can_never_start_fails() -> None:
    failed, _ = step(at(State.CREATING, {FIRST: worker(seen=False)}, start_failure="no such image"), {})
    assert failed.state == "failed"
    assert failed.observed["reason"].endswith("no such image")


def test_a_worker_lost_while_creating_gets_three_more_chances() -> None:
    resource, now = at(State.CREATING, {FIRST: worker()}), NOW
    for _ in range(20):
        seen = {task: Observation(Phase.LOST) for task in staff.workers_of(resource)}
        resource, _ = step(resource, seen, now)
        now += timedelta(seconds=30)
        if resource.state == "failed":
            break
    assert resource.state == "failed"
    assert resource.observed["next_worker"] == 5


def test_crashes_are_replaced_at_once_and_then_ever_later() -> None:
    resource, now = at(State.IN_SERVICE, {FIRST: worker(ready=True)}), NOW
    pauses = []
    for _ in range(9):
        (alive,) = [t for t, w in staff.workers_of(resource).items() if not w.retired]
        died = now
        seen = dict.fromkeys(staff.workers_of(resource), GONE) | {alive: SEEN["ended"]}
        resource, decision = step(resource, seen, now)
        while not [w for w in staff.workers_of(resource).values() if not w.retired]:
            assert decision.check_at is not None
            now = decision.check_at
            resource, decision = step(resource, seen, now)
        pauses.append((now - died).total_seconds())
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_worker_that_lived_well_starts_a_new_count() -> None:
    crashes = {"v": {"count": 5, "at": CREATED.isoformat()}}
    resource = at(State.IN_SERVICE, {FIRST: worker(ready=True)}, crashes=crashes)
    resource, decision = step(resource, {FIRST: SEEN["ended"]}, CREATED + timedelta(seconds=60))
    assert Start(SECOND) in decision.actions


def test_counts_change_without_new_workers_for_the_old() -> None:
    serving = at(State.IN_SERVICE, {FIRST: worker(ready=True)})
    change = states.update(
        serving, states.fleet_of(serving).with_capacities([{"VariantName": "v", "DesiredInstanceCount": 2}]), NOW
    )
    assert change.change is not None
    resource = replace(
        serving, state=change.change.state, desired=change.change.desired, observed=change.change.observed
    )
    resource, decision = step(resource, {FIRST: running("/1")})
    assert [a for a in decision.actions if isinstance(a, Start)] == [Start(SECOND)]
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: running("/2")})
    assert published(decision) == [("v", 2)]
    fewer = states.update(
        resource, states.fleet_of(resource).with_capacities([{"VariantName": "v", "DesiredInstanceCount": 1}]), NOW
    )
    assert fewer.change is not None
    resource = replace(resource, state=fewer.change.state, desired=fewer.change.desired)
    resource, decision = step(resource, {FIRST: running("/1"), SECOND: running("/2", ready=False)})
    assert Stop(SECOND, states.STOP_GRACE_S) in decision.actions
    assert resource.state == "in-service"


def test_deleting_is_over_when_the_last_worker_is_forgotten() -> None:
    resource = at(State.DELETING, {FIRST: worker(ready=True)})
    resource, decision = step(resource, {FIRST: running()})
    assert decision.actions == (Withdraw("e"), Stop(FIRST, states.STOP_GRACE_S))
    resource, decision = step(resource, {FIRST: SEEN["ended"]})
    assert decision.actions == (Withdraw("e"), Forget(FIRST))
    _, decision = step(resource, {FIRST: GONE})
    assert decision.change is not None
    assert decision.change.gone


@pytest.mark.parametrize("state", [s for s in State if s is not State.IN_SERVICE])
def test_only_an_endpoint_in_service_is_updated(state: State) -> None:
    with pytest.raises(Conflict, match='Cannot update in-progress endpoint "arn:aws'):
        states.update(at(state), fleet(2), NOW)


def test_unknown_variants_are_named() -> None:
    with pytest.raises(Invalid, match="'w'; the endpoint has: v"):
        fleet().with_capacities([{"VariantName": "w"}])


def test_weights_and_counts_are_retained_by_name() -> None:
    old = fleet(a=3, b=2)
    new = fleet(generation=2, a=1, c=1)
    assert {v.name: v.count for v in new.retaining(old, {"count", "weight"}).variants} == {"a": 3, "c": 1}
    assert new.retaining(old, {"weight"}) == new.retaining(old, ()) == new


def test_a_crash_noted_before_the_clock_was_set_back_holds_nobody_up() -> None:
    crashes = {"a": {"count": 5, "at": (NOW + timedelta(hours=3)).isoformat()}}
    assert staff.pause_over(crashes, "a", NOW) is None
    assert staff.pause_over(crashes, "a", NOW + timedelta(hours=3)) == NOW + timedelta(hours=3, seconds=8)
