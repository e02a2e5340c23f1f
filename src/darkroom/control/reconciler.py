"""The one loop: look at a resource, decide, write, act; again until nothing changes.

It knows neither kinds nor states: a Keeper per kind looks, decides and acts. What makes it safe: a decision is written
by compare-and-swap before anything is done about it, and everything done is safe to do twice. A fault with one
resource is logged and tried again later; it never stops the others. Nothing waits for a poll: requests and executors
wake the loop.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Protocol

from darkroom.control.resources import Change, Kind, Resource
from darkroom.control.states.decision import Action, Decision, Facts
from darkroom.control.store.queries import Store
from darkroom.errors import NotFound

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
SWEEP_EVERY = timedelta(seconds=30)  # everything unsettled is looked at at least this often
LONGEST_PAUSE_S = 60.0
MOST_STEPS = 100  # a resource that changes more often in one go is a fault of ours


class Keeper(Protocol):
    def look(self, resource: Resource) -> Facts: ...

    def decide(self, resource: Resource, facts: Facts, now: datetime) -> Decision: ...

    def act(self, resource: Resource, action: Action) -> Mapping[str, Any]: ...


class Reconciler:
    """``admit`` is called before each round: it lets waiting resources in and answers the ids that changed."""

    def __init__(
        self,
        store: Store,
        keepers: Mapping[Kind, Keeper],
        admit: Callable[[], list[int]],
        now: Callable[[], datetime],
        owner: str = "server",
        threads: int = 4,
    ) -> None:
        self._store, self._keepers, self._admit, self._now, self._owner = store, keepers, admit, now, owner
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards what follows
        self._times: dict[int, datetime] = {}  # when to look again
        self._busy: set[int] = set()
        self._again: set[int] = set()  # woken while busy
        self._faults: dict[int, int] = {}  # in a row
        self._leases: dict[int, datetime] = {}  # ours, until when
        self._swept: datetime | None = None
        self._closing = False
        self._rested = threading.Condition()  # told after every look
        self._pool = ThreadPoolExecutor(threads, "reconcile")
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    # ---- the loop ----

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Finish what is under way and stop; tasks run on."""
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()

    def wake(self, resource_id: int) -> None:
        """Something may have changed: look at once. Callable from any thread."""
        with self._lock:
            if resource_id in self._busy:
                self._again.add(resource_id)
            self._times[resource_id] = self._now()
        self._wake.set()

    def wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``holds()``, asked after every look at any resource; False where the time ran out."""
        with self._rested:
            return self._rested.wait_for(holds, timeout_s)

    def task_changed(self, task_id: str) -> None:
        """For executors: a task shows something new. Its id ends with its resource's."""
        number = task_id.rpartition("-")[2]
        if number.isdecimal():
            self.wake(int(number))

    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                for resource_id in self._round():
                    self._pool.submit(self._tend, resource_id)
                self._wake.wait(self._pause_s())
            except Exception:
                log.exception("the reconciler's round failed; the next one follows")
                self._wake.wait(1.0)

    def _round(self) -> list[int]:
        """Ids to look at now; they count as busy from here on."""
        now = self._now()
        if self._swept is None or not timedelta(0) <= now - self._swept < SWEEP_EVERY:
            set_back = self._swept is not None and now < self._swept  # then every time we hold is far off
            self._swept = now
            unsettled = self._store.unsettled()
            with self._lock:
                for resource_id, _ in unsettled:
                    self._times.setdefault(resource_id, now)
                if set_back:
                    self._times = dict.fromkeys(self._times, now)
        for resource_id in self._admit():
            self.wake(resource_id)
        with self._lock:
            due = [i for i, time in self._times.items() if time <= self._now() and i not in self._busy]
            for resource_id in due:
                del self._times[resource_id]
            self._busy.update(due)
        return due

    def _pause_s(self) -> float | None:
        with self._lock:
            idle = [time for i, time in self._times.items() if i not in self._busy]
        latest = self._now() + SWEEP_EVERY
        return max(0.0, (min([latest, *idle]) - self._now()).total_seconds())

    def _tend(self, resource_id: int) -> None:
        """Step one resource until it rests; a fault is logged and tried again after a pause."""
        look_at: datetime | None
        try:
            look_at = self.step(resource_id)
            self._faults.pop(resource_id, None)
        except Exception:
            count = self._faults[resource_id] = self._faults.get(resource_id, 0) + 1
            pause_s = min(2.0 ** (count - 1), LONGEST_PAUSE_S)
            log.exception("resource %d: fault %d in a row; again in %.0f s", resource_id, count, pause_s)
            look_at = self._now() + timedelta(seconds=pause_s)
        with self._lock:
            self._busy.discard(resource_id)
            if resource_id in self._again:
                self._again.discard(resource_id)
                look_at = self._now()
            if look_at is not None:
                self._times[resource_id] = min(look_at, self._times.get(resource_id, look_at))
        self._wake.set()
        with self._rested:
            self._rested.notify_all()

    # ---- one resource ----

    def step(self, resource_id: int) -> datetime | None:
        """Look, decide, write and act until nothing changes; returns when to look again (None: when woken)."""
        if not self._leased(resource_id):
            return self._now() + LEASE
        for _ in range(MOST_STEPS):
            try:
                resource = self._store.load(resource_id)
            except NotFound:
                self._leases.pop(resource_id, None)
                return None
            keeper = self._keepers[resource.kind]
            decision = keeper.decide(resource, keeper.look(resource), self._now())
            moved = self._write(resource, decision)
            if moved is None:
                continue  # someone else wrote: look at it anew
            remembered = self._act(keeper, moved, decision)
            if decision.change is not None and decision.change.gone:
                return None
            if decision.change is None and not remembered:
                if decision.check_at is None and moved.next_check_at is not None:
                    self._store.rest(moved)
                return decision.check_at
        raise AssertionError(f"resource {resource_id} finds no rest")

    def _leased(self, resource_id: int) -> bool:
        """Hold the lease for at least half its time; so that looking on costs no write."""
        now = self._now()
        if self._leases.get(resource_id, now) - now > LEASE / 2:
            return True
        if not self._store.claim(resource_id, self._owner, now, now + LEASE):
            return False
        self._leases[resource_id] = now + LEASE
        return True

    def _write(self, resource: Resource, decision: Decision) -> Resource | None:
        if decision.change is None:
            return resource
        return self._store.apply(resource, decision.change, self._now())

    def _act(self, keeper: Keeper, resource: Resource, decision: Decision) -> bool:
        """Do what was decided; True where something new is to be remembered of it (it is written, or decided anew)."""
        found: dict[str, Any] = {}
        for action in decision.actions:
            found |= keeper.act(resource, action)
        if all(resource.observed.get(name) == value for name, value in found.items()):
            return False
        self._store.apply(resource, _remembering(resource, found), self._now())
        return True


def _remembering(resource: Resource, found: Mapping[str, Any]) -> Change:
    observed = {**resource.observed, **found}
    return Change(resource.state, resource.status, resource.desired, observed, next_check_at=resource.next_check_at)
