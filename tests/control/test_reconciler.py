import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from darkroom.control.reconciler import Reconciler
from darkroom.control.resources import Draft, Event, Kind, Resource
from darkroom.control.states.decision import Action, Decision, Facts, Start, changed
from darkroom.control.store.queries import Store
from tests.control.values import NOW

WAIT_S = 30


class Counting:
    """A keeper of things that count to three, by acting: each act adds one. ``broken`` ones cannot be looked at."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.looks: list[str] = []
        self.broken: set[str] = set()
        self.meanwhile: Callable[[Resource], None] = lambda resource: None

    def look(self, resource: Resource) -> Facts:
        self.looks.append(resource.name)
        if resource.name in self.broken:
            raise OSError("disk on fire")
        return Facts({})

    def decide(self, resource: Resource, facts: Facts, now: datetime) -> Decision:
        self.meanwhile(resource)
        count = resource.observed.get("count", 0)
        if count == 3:
            if resource.state == "done":
                return Decision()
            return Decision(changed(resource, state="done", events=(Event(now, "Done", "counted"),)))
        return Decision(actions=(Start(f"{resource.name}-{count}"),))

    def act(self, resource: Resource, action: Action) -> Mapping[str, Any]:
        assert isinstance(action, Start)
        self.acts.append(action.task_id)
        return {"count": resource.observed.get("count", 0) + 1}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Rig:
    def __init__(self, path: Path) -> None:
        self.clock, self.keeper = Clock(), Counting()
        self.store = Store(path, NOW)
        self.reconciler = Reconciler(self.store, {Kind.MODEL: self.keeper}, list, self.clock)

    def create(self, name: str = "m") -> Resource:
        return self.store.create(Draft(Kind.MODEL, name, f"arn:{name}", {}, "counting", "Counting", active=True), NOW)

    def state(self, resource: Resource) -> str:
        return self.store.load(resource.id).state


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "control.sqlite")
    yield made
    made.reconciler.close()
    made.store.close()


def test_a_step_goes_on_until_nothing_changes_and_then_rests(rig: Rig) -> None:
    made = rig.create()
    assert rig.reconciler.step(made.id) is None
    assert rig.keeper.acts == ["m-0", "m-1", "m-2"]
    assert rig.state(made) == "done"
    assert rig.store.unsettled() == []


def test_a_change_by_someone_else_is_decided_anew(rig: Rig) -> None:
    made = rig.create()

    def intervene(resource: Resource) -> None:
        if resource.observed.get("count") == 3 and resource.state != "done" and "seen" not in resource.desired:
            change = changed(resource, desired={"seen": True})
            assert change is not None
            rig.store.apply(resource, change, NOW)

    rig.keeper.meanwhile = intervene
    rig.reconciler.step(made.id)
    final = rig.store.load(made.id)
    assert (final.state, final.desired) == ("done", {"seen": True})
    assert [e.message for e in rig.store.events(made.id)] == ["counted"]


def test_a_lease_of_another_server_is_respected(rig: Rig) -> None:
    made = rig.create()
    rig.store.claim(made.id, "another", NOW, NOW + timedelta(seconds=60))
    assert rig.reconciler.step(made.id) == NOW + timedelta(seconds=60)
    assert rig.keeper.looks == []


def test_a_resource_that_is_gone_is_no_fault(rig: Rig) -> None:
    gone = rig.create()
    rig.store.remove(gone, NOW)
    assert rig.reconciler.step(gone.id) is None
    assert rig.keeper.looks == []


def test_the_loop_takes_up_what_was_left_and_what_it_is_woken_for(rig: Rig) -> None:
    before = rig.create("before")
    rig.reconciler.start()
    assert rig.reconciler.wait_for(lambda: rig.state(before) == "done", WAIT_S)
    after = rig.create("after")
    rig.reconciler.wake(after.id)
    assert rig.reconciler.wait_for(lambda: rig.state(after) == "done", WAIT_S)


def test_a_task_wakes_the_resource_that_its_id_ends_with(rig: Rig) -> None:
    rig.reconciler.start()
    made = rig.create()
    rig.reconciler.task_changed("not-ours")
    rig.reconciler.task_changed(f"some-name-123-{made.id}")
    assert rig.reconciler.wait_for(lambda: rig.state(made) == "done", WAIT_S)


def test_a_fault_stays_with_its_resource_and_is_tried_again_later(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "darkroom.control.reconciler")
    rig.keeper.broken.add("bad")
    bad, good = rig.create("bad"), rig.create("good")
    rig.reconciler.start()
    assert rig.reconciler.wait_for(lambda: rig.state(good) == "done" and "bad" in rig.keeper.looks, WAIT_S)
    assert rig.state(bad) == "counting"
    rig.keeper.broken.clear()
    rig.clock.now += timedelta(seconds=1)
    rig.reconciler.wake(good.id)  # any reason to look at the clock
    assert rig.reconciler.wait_for(lambda: rig.state(bad) == "done", WAIT_S)


def test_woken_while_busy_means_looked_at_again(rig: Rig) -> None:
    busy, go_on = threading.Event(), threading.Event()
    made = rig.create()

    def hold(resource: Resource) -> None:
        if not busy.is_set():
            busy.set()
            go_on.wait(WAIT_S)

    rig.keeper.meanwhile = hold
    rig.reconciler.start()
    assert busy.wait(WAIT_S)
    rig.reconciler.wake(made.id)
    go_on.set()
    assert rig.reconciler.wait_for(lambda: len(rig.keeper.looks) > 5, WAIT_S)
    assert rig.keeper.acts == ["m-0", "m-1", "m-2"]


def test_what_is_known_already_is_no_news(rig: Rig) -> None:
    made = rig.create()
    rig.keeper.act = lambda resource, action: {"fault": "the same"}  # type: ignore[method-assign]
    rig.reconciler.step(made.id)
    assert rig.store.load(made.id).observed == {"fault": "the same"}


def test_one_that_never_rests_is_a_fault_of_ours(rig: Rig) -> None:
    made = rig.create()
    rig.keeper.decide = lambda resource, facts, now: Decision(  # type: ignore[method-assign]
        changed(resource, observed={"n": resource.observed.get("n", 0) + 1})
    )
    with pytest.raises(AssertionError, match="finds no rest"):
        rig.reconciler.step(made.id)


def test_a_clock_that_is_set_back_does_not_put_everything_off(rig: Rig) -> None:
    later = NOW + timedelta(hours=3)
    rig.clock.now = later
    assert rig.reconciler._round() == []
    made = rig.create()
    rig.reconciler._times[made.id] = later + timedelta(seconds=2)  # the next look, as it was reckoned
    rig.clock.now = NOW
    assert rig.reconciler._round() == [made.id]
