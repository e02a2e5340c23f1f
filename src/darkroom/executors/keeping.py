"""One thread that keeps the checkpoints of all tasks that have some, until each has ended and all of it is stored.

Knows when, not how (``checkpoints``). That all is stored is a record of the task, so that no restart forgets it.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.errors import DarkroomError
from darkroom.executors import records
from darkroom.executors.base import LogTarget, Observation, Phase, Task
from darkroom.executors.checkpoints import Keeper
from darkroom.objects.base import ObjectStore
from darkroom.telemetry.logs import LogStore

LOG = logging.getLogger(__name__)
EVERY_S = 1.0
OVER = (Phase.ENDED, Phase.LOST)


def shown(seen: Observation, folder: Path) -> Observation:
    """A task is not over before what it left is stored: until then it is seen as still packing, or running."""
    if seen.phase not in OVER or not _owes(folder):
        return seen
    return replace(seen, phase=Phase.RUNNING if seen.phase is Phase.LOST else Phase.PACKING)


def _owes(folder: Path) -> bool:
    """Whether there may be checkpoints of the task that are not stored."""
    task = records.read(folder, records.TASK)
    ran = records.read(folder, records.LAUNCHED) is not None
    return task is not None and bool(task.get("checkpoints")) and ran and records.read(folder, records.KEPT) is None


@dataclass(frozen=True)
class _Kept:
    keeper: Keeper
    log: LogTarget
    folder: Path


class Keeping:
    """``look`` observes a task, ``stored`` is told of one whose checkpoints are all stored."""

    def __init__(
        self, store: ObjectStore, logs: LogStore, look: Callable[[str], Observation], stored: Callable[[str], None]
    ) -> None:
        self._store, self._logs, self._look, self._stored = store, logs, look, stored
        self._tasks: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def add(self, task: Task, folder: Path) -> None:
        """From now on, if the task has checkpoints; again after the server was away."""
        if task.checkpoints is None or records.read(folder, records.KEPT) is not None:
            return
        with self._lock:
            self._tasks[task.id] = _Kept(Keeper(task.checkpoints, folder, self._store), task.log, folder)
            if not self._thread.is_alive() and not self._closing:
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """A task may have ended."""
        self._woken.set()

    def close(self) -> None:
        with self._lock:
            self._closing = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        looked_at = time.monotonic()
        while not self._closing:
            self._woken.wait(EVERY_S)
            self._woken.clear()
            rested = time.monotonic() - looked_at >= EVERY_S
            looked_at = time.monotonic() if rested else looked_at
            for task_id, kept in list(self._tasks.items()):
                self._step(task_id, kept, rested)

    def _step(self, task_id: str, kept: _Kept, rested: bool) -> None:
        try:
            phase = self._look(task_id).phase
            if phase is Phase.ABSENT or (phase in OVER and not _owes(kept.folder)):
                self._drop(task_id)
            elif phase is Phase.RUNNING and rested:
                kept.keeper.keep()
            elif phase not in (Phase.STAGING, Phase.RUNNING) and kept.keeper.keep(over=True):
                self._say(kept)
                records.write(kept.folder, records.KEPT, {})
                self._drop(task_id)
                self._stored(task_id)
        except Exception:  # one task's trouble must not cost the others their checkpoints; it is tried again
            LOG.exception("keeping the checkpoints of task %s failed", task_id)

    def _say(self, kept: _Kept) -> None:
        """The task has ended: its log is ours now."""
        now_ms = time.time_ns() // 10**6
        lines = [(now_ms, f"darkroom: {trouble}") for trouble in kept.keeper.troubles.values()]
        with suppress(DarkroomError):  # a full disk; the checkpoints count more
            if lines:
                self._logs.append(kept.log.group, kept.log.stream, lines)

    def _drop(self, task_id: str) -> None:
        with self._lock:
            self._tasks.pop(task_id, None)
