"""Runs tasks on this machine: a launcher process each, all memory in files (``records``), so that it outlives servers.

Decides nothing about jobs and knows no AWS words. A thread per task lays out its input and starts its launcher; one
watcher thread hears of changes; observing only reads files.
"""

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from darkroom.errors import Conflict, Invalid
from darkroom.executors import keeping, launching, locks, observing, records, sockets
from darkroom.executors.base import Observation, Phase, Task
from darkroom.executors.checkpoints import restore
from darkroom.executors.environments import ENVIRONMENTS, Environment
from darkroom.executors.faults import StagingFailed, Stopped
from darkroom.executors.isolation import AUTO, MODES
from darkroom.executors.keeping import Keeping
from darkroom.executors.launching import LAUNCHER, PACKING
from darkroom.executors.leftovers import kill_marked
from darkroom.executors.meeting import Meetings
from darkroom.executors.probes import ping
from darkroom.executors.removal import remove
from darkroom.executors.staging import stage
from darkroom.executors.watcher import Watcher
from darkroom.objects.base import ObjectStore
from darkroom.telemetry.logs import LogStore

LOG = logging.getLogger(__name__)
PROBE_EVERY_S = 0.05
HEALTH_EVERY_S = 5.0
SILENT_S = 90.0  # longer than one request may take: a worker that answers them one by one is not ill
RETRY_EVERY_S = 1.0
TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,150}")


class LocalExecutor:
    """See ``executors.base`` for what it promises. ``close`` leaves the tasks running: a later one takes them over."""

    def __init__(
        self,
        root: Path,
        store: ObjectStore,
        logs: LogStore,
        environments: Mapping[str, Environment] = ENVIRONMENTS,
        isolation: str = AUTO,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if isolation not in MODES:
            raise Invalid(f"isolation {isolation!r} is not known; use one of {', '.join(MODES)}")
        self._root, self._tasks, self._trash = root, root / "tasks", root / "trash"
        self._tasks.mkdir(parents=True, exist_ok=True)
        self._trash.mkdir(exist_ok=True)
        for left in self._trash.iterdir():  # by a forget that was interrupted
            remove(left)
        self._meetings = Meetings(root / "gangs")
        self._store, self._logs, self._environments = store, logs, environments
        self._isolation, self._now = isolation, now
        self._starting = threading.Lock()
        self._ready: set[str] = set()
        self._cleared: set[str] = set()  # lost tasks whose processes are known to be gone
        self._closing = threading.Event()
        self._on_change: Callable[[str], None] = lambda task_id: None
        self._keeping = Keeping(store, logs, self._seen, lambda task_id: self._on_change(task_id))
        self._watcher = Watcher(root / "changes", self._changed)
        self._watcher.start()
        for task_id in self.tasks():
            self._take_over(task_id)

    # ---- the protocol ----

    def watch(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change

    def start(self, task: Task) -> None:
        if not TASK_ID.fullmatch(task.id):
            raise Invalid(f"task id {task.id!r} must be letters, digits and hyphens, at most 151 of them")
        if task.gang and not TASK_ID.fullmatch(task.gang.name):
            raise Invalid(f"gang {task.gang.name!r} must be letters, digits and hyphens, at most 151 of them")
        folder = self._folder(task.id)
        with self._starting:
            if records.read(folder, records.TASK) is not None:
                return
            folder.mkdir(exist_ok=True)
            records.write(folder, records.TASK, launching.task_record(task))
            records.sync_folder(self._tasks)
        self._in_thread(self._stage_and_launch, task.id)

    def observe(self, task_id: str) -> Observation:
        return keeping.shown(self._seen(task_id), self._folder(task_id))

    def stop(self, task_id: str, grace_s: float) -> None:
        folder = self._folder(task_id)
        if self._look(task_id)[1].phase not in (Phase.STAGING, Phase.RUNNING):
            return
        try:
            records.write(folder, records.STOP, {"grace_s": grace_s})
        except FileNotFoundError:  # it has ended and was forgotten since it was looked at
            return
        launched = records.read(folder, records.LAUNCHED)
        if launched is not None:  # else its launcher will find stop.json before it starts the command
            _terminate(folder, launched["pid"])

    def forget(self, task_id: str) -> None:
        phase = self.observe(task_id).phase
        if phase not in (Phase.ABSENT, Phase.ENDED, Phase.LOST):
            raise Conflict("task", task_id, f"task {task_id} is still {phase}; stop it first")
        sockets.discard(self._socket(task_id))
        self._ready.discard(task_id)
        self._cleared.discard(task_id)
        gang = self._gang(task_id)
        with suppress(FileNotFoundError):
            remove(self._folder(task_id).rename(self._trash / task_id))
        if gang and gang not in map(self._gang, self.tasks()):
            self._meetings.forget(gang)

    def tasks(self) -> list[str]:
        return sorted(entry.name for entry in self._tasks.iterdir() if (entry / records.TASK).exists())

    def dismiss_workers(self, grace_s: float) -> None:
        """Stop every worker that serves: nobody can reach it while no server runs. The next server starts others.

        Workers that are not ready yet go on, lest their end be taken for a fault of the model.
        """
        for task_id in sorted(self._ready):
            self.stop(task_id, grace_s)

    def close(self) -> None:
        """Stop this object's threads, not the tasks. May be called again."""
        if not self._closing.is_set():
            self._closing.set()
            self._watcher.close()
            self._keeping.close()
            self._meetings.close()

    # ---- observing ----

    def _look(self, task_id: str) -> tuple[bool, Observation]:
        """Whether a launcher lives, and what the records say."""
        folder = self._folder(task_id)
        alive = locks.held(folder)
        found = observing.read(folder)
        return alive, observing.observed(found, folder, alive, self._socket(task_id), task_id in self._ready)

    def _seen(self, task_id: str) -> Observation:
        """What the records say; of a task that is lost nothing runs on."""
        found = self._look(task_id)[1]
        if found.phase is Phase.LOST and task_id not in self._cleared:
            kill_marked(str(self._folder(task_id)))
            self._cleared.add(task_id)
        return found

    def _changed(self, task_id: str, ended: bool) -> None:
        """A record was written, or (``ended``) a launcher has gone. Runs in the watcher's thread."""
        alive, found = self._look(task_id)
        if found.phase is Phase.PACKING and not alive:  # its packing was killed
            self._spawn(task_id, PACKING)
        elif found.phase is Phase.STAGING and not alive and ended:
            said = _last_line(self._folder(task_id) / records.LAUNCHER_LOG)
            self._fail(task_id, f"the launcher of the job could not start: {said}")
        elif found.phase in (Phase.ENDED, Phase.LOST):
            sockets.discard(self._socket(task_id))
        self._keeping.wake()
        self._on_change(task_id)

    # ---- starting ----

    def _take_over(self, task_id: str) -> None:
        """Go on with a task that an earlier server began."""
        alive, found = self._look(task_id)
        self._keep(task_id)
        if alive:
            self._in_thread(self._adopt, task_id)
        elif found.phase is Phase.STAGING:
            self._in_thread(self._stage_and_launch, task_id)
        else:
            self._changed(task_id, ended=False)

    def _keep(self, task_id: str) -> None:
        record = records.read(self._folder(task_id), records.TASK)
        if record is not None and records.read(self._folder(task_id), records.LAUNCH) is not None:
            self._keeping.add(launching.task_from(record), self._folder(task_id))

    def _stage_and_launch(self, task_id: str) -> None:
        folder = self._folder(task_id)
        record = records.read(folder, records.TASK)
        if record is None:  # forgotten
            return
        task = launching.task_from(record)
        try:
            environment = self._environment(task.environment_name)
            if task.serves:
                sockets.prepare(self._socket(task_id))
            self._lay_out(task, folder)
            log = self._logs.path(task.log.group, task.log.stream)
            if task.gang is not None:
                task = replace(task, variables={**self._meetings.variables(task.gang), **task.variables})
            spec = launching.spec(
                task, folder, environment, self._isolation, log, self._socket(task_id), self._watcher.fifo
            )
            records.write(folder, records.LAUNCH, spec)
            self._keeping.add(task, folder)
            self._spawn(task_id, LAUNCHER)
        except Stopped:
            self._fail(task_id, "")
        except StagingFailed as error:
            self._fail(task_id, str(error))
        except Exception as error:  # a fault of ours; it must not leave the task waiting for ever
            LOG.exception("starting task %s failed", task_id)
            self._fail(task_id, f"internal fault while the job was started: {error}")
        else:
            if task.serves:
                self._await_ready(task_id)

    def _lay_out(self, task: Task, folder: Path) -> None:
        def stopped() -> bool:
            return (folder / records.STOP).exists() or self._closing.is_set()

        stage(task, folder / records.BASE, self._store, stopped)
        if task.checkpoints is not None:
            restore(task.checkpoints, folder / records.BASE, self._store, stopped)

    def _environment(self, name: str) -> Environment:
        try:
            return self._environments[name]
        except KeyError:
            known = ", ".join(sorted(self._environments))
            raise StagingFailed(f"environment {name!r} is not known; known are: {known}") from None

    def _spawn(self, task_id: str, module: str) -> None:
        pid = launching.spawn(self._folder(task_id), module)
        if pid is not None:
            self._watcher.watch(pid, task_id)

    def _fail(self, task_id: str, failure: str) -> None:
        record = {"failure": failure[: records.FAILURE_CHARS], "at_ms": int(self._now().timestamp() * 1000)}
        while not self._closing.is_set():  # closing may be the very reason; the next server begins again
            try:
                records.write(self._folder(task_id), records.FAILED, record)
                self._watcher.announce(task_id)
                return
            except OSError as error:
                LOG.error("cannot write down that task %s failed, trying again: %s", task_id, error)
                self._closing.wait(RETRY_EVERY_S)

    def _adopt(self, task_id: str) -> None:
        """Watch over the launcher of an earlier server."""
        folder = self._folder(task_id)
        while (launched := records.read(folder, records.LAUNCHED)) is None:  # it is just starting
            if not locks.held(folder) or self._closing.wait(PROBE_EVERY_S):
                self._watcher.announce(task_id)
                return
        self._watcher.watch(launched["pid"], task_id)
        task = records.read(folder, records.TASK)
        if task is not None and task["serves"]:
            self._await_ready(task_id)

    def _await_ready(self, task_id: str) -> None:
        """Ask a serving worker until it answers or ends."""
        socket = self._socket(task_id)
        while not self._closing.wait(PROBE_EVERY_S):
            if socket.exists() and ping(socket):
                self._ready.add(task_id)
                self._on_change(task_id)
                self._look_after(task_id)
                return
            if self._look(task_id)[1].phase not in (Phase.STAGING, Phase.RUNNING):
                return

    def _look_after(self, task_id: str) -> None:
        """End a worker that has stopped answering: it would keep its place, and its requests, for ever."""
        silent_since: float | None = None
        while not self._closing.wait(HEALTH_EVERY_S):
            if self._look(task_id)[1].phase is not Phase.RUNNING:
                return
            now = time.monotonic()
            if ping(self._socket(task_id)):
                silent_since = None
            elif silent_since is None:
                silent_since = now
            elif now - silent_since >= SILENT_S:
                LOG.warning("worker %s has not answered a ping for %.0f s: it is ended", task_id, now - silent_since)
                self.stop(task_id, 0)
                return

    # ---- places and threads ----

    def _folder(self, task_id: str) -> Path:
        return self._tasks / task_id

    def _gang(self, task_id: str) -> str:
        record = records.read(self._folder(task_id), records.TASK)
        gang = record.get("gang") if record else None
        return str(gang["name"]) if gang else ""

    def _socket(self, task_id: str) -> Path:
        return sockets.path_for(self._root, task_id)

    def _in_thread(self, target: Callable[[str], None], task_id: str) -> None:
        threading.Thread(target=target, args=(task_id,), name=f"task {task_id}", daemon=True).start()


def _terminate(folder: Path, pid: int) -> None:
    """SIGTERM to a launcher. While it holds its lock, its process id is its own."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            if locks.held(folder):
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        finally:
            os.close(pidfd)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it left no word")
