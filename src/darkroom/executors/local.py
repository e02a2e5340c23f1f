"""Runs tasks on this machine: one launcher process each, all memory in files (``records``), so that it outlives servers.

Decides nothing about jobs and knows no AWS words. ``observed`` reads the records as a pure function; a thread per task
lays out its input; one watcher thread hears of changes.
"""

import hashlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from darkroom.contract.layout import BASE_DIR, OPT_ML, SOCKET, Layout
from darkroom.errors import Conflict, Invalid, Unavailable
from darkroom.executors import isolation, locks, records
from darkroom.executors.base import Archive, Input, LogTarget, Observation, Phase, Task
from darkroom.executors.environments import ENVIRONMENTS, Environment, variables
from darkroom.executors.leftovers import MARK, kill_marked
from darkroom.executors.probes import ping
from darkroom.executors.records import Record
from darkroom.executors.staging import StagingFailed, Stopped, stage
from darkroom.executors.watcher import Watcher
from darkroom.objects.base import ObjectStore
from darkroom.telemetry.logs import LogStore

LOG = logging.getLogger(__name__)
PROBE_EVERY_S = 0.05
TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,150}")
LAUNCHER, PACKING = "darkroom.executors.launcher", "darkroom.executors.packing"


class LocalExecutor:
    """See ``executors.base`` for what it promises. ``close`` leaves the tasks running: a later one takes them over."""

    def __init__(
        self,
        root: Path,
        store: ObjectStore,
        logs: LogStore,
        environments: Mapping[str, Environment] = ENVIRONMENTS,
        isolation_mode: str = isolation.AUTO,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if isolation_mode not in isolation.MODES:
            raise Invalid(f"isolation {isolation_mode!r} is not known; use one of {', '.join(isolation.MODES)}")
        self._tasks, self._trash = root / "tasks", root / "trash"
        self._tasks.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._trash, ignore_errors=True)  # what an interrupted forget left
        self._trash.mkdir()
        self._store, self._logs, self._environments = store, logs, environments
        self._isolation, self._now = isolation_mode, now
        self._sockets = _socket_folder(root)
        self._lock = threading.Lock()
        self._ready: set[str] = set()
        self._swept: set[str] = set()  # lost tasks whose processes are known to be gone
        self._closing = threading.Event()
        self._on_change: Callable[[str], None] = lambda task_id: None
        self._watcher = Watcher(root / "changes", self._changed)
        for task_id in self.tasks():
            self._take_over(task_id)

    # ---- the protocol ----

    def watch(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change

    def start(self, task: Task) -> None:
        if not TASK_ID.fullmatch(task.id):
            raise Invalid(f"task id {task.id!r} must be letters, digits and hyphens, at most 151 of them")
        folder = self._folder(task.id)
        with self._lock:
            if records.read(folder, records.TASK) is not None:
                return
            folder.mkdir(exist_ok=True)
            records.write(folder, records.TASK, asdict(task))
            records.sync_folder(self._tasks)
        self._in_thread(self._stage_and_launch, task.id)

    def observe(self, task_id: str) -> Observation:
        folder = self._folder(task_id)
        found = self._observe(task_id)
        if found.phase is Phase.LOST and task_id not in self._swept:
            kill_marked(str(folder))
            self._swept.add(task_id)
        return found

    def stop(self, task_id: str, grace_s: float) -> None:
        folder = self._folder(task_id)
        if self._observe(task_id).phase not in (Phase.STAGING, Phase.RUNNING):
            return
        records.write(folder, records.STOP, {"grace_s": grace_s})
        launched = records.read(folder, records.LAUNCHED)
        if launched is not None:
            self._terminate(folder, launched["pid"])

    def forget(self, task_id: str) -> None:
        folder = self._folder(task_id)
        phase = self.observe(task_id).phase
        if phase not in (Phase.ABSENT, Phase.ENDED, Phase.LOST):
            raise Conflict("task", task_id, f"task {task_id} is still {phase}; stop it first")
        self._socket(task_id).unlink(missing_ok=True)
        self._ready.discard(task_id)
        self._swept.discard(task_id)
        if folder.exists():
            discarded = self._trash / task_id
            folder.rename(discarded)
            shutil.rmtree(discarded)

    def tasks(self) -> list[str]:
        return sorted(entry.name for entry in self._tasks.iterdir() if (entry / records.TASK).exists())

    def close(self) -> None:
        """Stop this object's threads, not the tasks."""
        self._closing.set()
        self._watcher.close()

    # ---- observing ----

    def _observe(self, task_id: str) -> Observation:
        return self._look(task_id)[1]

    def _look(self, task_id: str) -> tuple[bool, Observation]:
        """Whether the launcher lives, and what the records say after that was seen: a dying one leaves its record first."""
        folder = self._folder(task_id)
        alive = locks.held(folder)
        return alive, observed(_read_all(folder), folder, alive, self._socket(task_id), task_id in self._ready)

    def _changed(self, task_id: str, ended: bool) -> None:
        """A record was written, or a launcher ended. Runs in the watcher's thread."""
        alive, found = self._look(task_id)
        folder = self._folder(task_id)
        if found.phase is Phase.PACKING and not alive:  # its packing was killed
            self._spawn(task_id, PACKING)
        elif found.phase is Phase.STAGING and not alive and ended:
            self._fail(task_id, f"the launcher could not start: {_last_line(folder / records.LAUNCHER_LOG)}")
        elif found.phase in (Phase.ENDED, Phase.LOST):
            self._socket(task_id).unlink(missing_ok=True)
        self._on_change(task_id)

    def _take_over(self, task_id: str) -> None:
        """Go on with a task that an earlier server began."""
        alive, found = self._look(task_id)
        if alive:
            self._in_thread(self._adopt, task_id)
        elif found.phase is Phase.STAGING:
            self._in_thread(self._stage_and_launch, task_id)
        else:
            self._changed(task_id, ended=False)

    # ---- starting ----

    def _stage_and_launch(self, task_id: str) -> None:
        folder = self._folder(task_id)
        record = records.read(folder, records.TASK)
        if record is None:  # forgotten
            return
        task, stop = _task(record), folder / records.STOP
        try:
            spec = self._spec(task, folder)
            stage(task, folder / records.BASE, self._store, lambda: stop.exists() or self._closing.is_set())
            records.write(folder, records.LAUNCH, spec)
            self._spawn(task_id, LAUNCHER)
        except Stopped:
            if not self._closing.is_set():  # else the next server begins again
                self._fail(task_id, "")
        except StagingFailed as error:
            self._fail(task_id, str(error))
        except Exception as error:  # a fault of ours; it must not leave the task waiting for ever
            LOG.exception("starting task %s failed", task_id)
            self._fail(task_id, f"internal fault while starting: {error}")
        else:
            if task.serves:
                self._await_ready(task_id)

    def _fail(self, task_id: str, failure: str) -> None:
        record = {"failure": failure[: records.FAILURE_CHARS], "at_ms": int(self._now().timestamp() * 1000)}
        records.write(self._folder(task_id), records.FAILED, record)
        self._watcher.announce(task_id)

    def _spec(self, task: Task, folder: Path) -> Record:
        """All that the launcher needs, with no reference to us."""
        environment = self._environments.get(task.environment_name)
        if environment is None:
            known = ", ".join(sorted(self._environments))
            raise StagingFailed(f"environment {task.environment_name!r} is not known; known are: {known}")
        base = folder / records.BASE
        environ = variables(environment) | {MARK: str(folder)}
        if task.serves:
            environ[SOCKET] = str(self._socket(task.id))
        channels = [channel.channel for channel in task.inputs]
        return {
            "command": [part.replace("{python}", str(environment.python)) for part in task.command],
            "environ": {
                isolation.NAMESPACE: environ | _names(OPT_ML, channels) | dict(task.variables),
                isolation.FOLDER: environ | _names(base, channels) | {BASE_DIR: str(base)} | dict(task.variables),
            },
            "base": str(base),
            "cwd": str(Layout(base).code),
            "log": str(self._logs.path(task.log.group, task.log.stream)),
            "isolation": self._isolation,
            "packs": task.packs,
            "changes": str(self._watcher.fifo),
        }

    def _spawn(self, task_id: str, module: str) -> None:
        """Start a launcher that holds the task's lock from its first moment on; nothing where one runs already."""
        folder = self._folder(task_id)
        lock = locks.take(folder)
        if lock is None:
            return
        try:
            append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", module, str(folder)],
                dict(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, lock, records.LOCK_FD),
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(folder / records.LAUNCHER_LOG), append, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )
        finally:
            os.close(lock)
        self._watcher.watch(pid, task_id)

    def _adopt(self, task_id: str) -> None:
        """Watch over the launcher of an earlier server."""
        folder = self._folder(task_id)
        while (launched := records.read(folder, records.LAUNCHED)) is None:  # it is just starting
            if not locks.held(folder) or self._closing.wait(PROBE_EVERY_S):
                self._watcher.announce(task_id)
                return
        self._watcher.watch(launched["pid"], task_id)
        record = records.read(folder, records.TASK)
        if record is not None and record["serves"]:
            self._await_ready(task_id)

    def _await_ready(self, task_id: str) -> None:
        """Ask a serving worker until it answers or ends."""
        path = self._socket(task_id)
        while not self._closing.wait(PROBE_EVERY_S):
            if path.exists() and ping(path):
                self._ready.add(task_id)
                self._on_change(task_id)
                return
            if self._observe(task_id).phase not in (Phase.STAGING, Phase.RUNNING):
                return

    # ---- stopping ----

    def _terminate(self, folder: Path, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if locks.held(folder):  # so the id was not given to another process before we opened it
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)

    # ---- places and threads ----

    def _folder(self, task_id: str) -> Path:
        return self._tasks / task_id

    def _socket(self, task_id: str) -> Path:
        return self._sockets / f"{hashlib.sha256(task_id.encode()).hexdigest()[:16]}.sock"

    def _in_thread(self, target: Callable[[str], None], task_id: str) -> None:
        threading.Thread(target=target, args=(task_id,), name=f"task {task_id}", daemon=True).start()


def observed(found: Mapping[str, Record | None], folder: Path, alive: bool, socket: Path, ready: bool) -> Observation:
    """What the records of a task say; ``alive``: a launcher or a packing held the lock just before they were read."""
    task, failed, launched = found[records.TASK], found[records.FAILED], found[records.LAUNCHED]
    exited, packed = found[records.EXITED], found[records.PACKED]
    if task is None:
        return Observation(Phase.ABSENT)
    where = socket if task["serves"] else None
    running_at = _time(launched)
    if failed is not None:
        return Observation(Phase.ENDED, failure=failed["failure"], ended_at=_time(failed))
    if exited is not None:
        packs = task["packs"] and exited["exit_code"] is not None
        model, output = records.MODEL_ARCHIVE, records.OUTPUT_ARCHIVE
        return Observation(
            Phase.PACKING if packs and packed is None else Phase.ENDED,
            exit_code=exited["exit_code"],
            failure=exited["failure"] or (packed or {}).get("failure", ""),
            model_archive=folder / model if packed and packed[model] else None,
            output_archive=folder / output if packed and packed[output] else None,
            running_at=running_at,
            ended_at=_time(exited),
        )
    if launched is None:
        return Observation(Phase.STAGING)
    if not alive:
        return Observation(Phase.LOST, running_at=running_at)
    return Observation(Phase.RUNNING, ready=ready, socket=where, running_at=running_at)


def _read_all(folder: Path) -> dict[str, Record | None]:
    names = (records.TASK, records.FAILED, records.LAUNCHED, records.EXITED, records.PACKED)
    return {name: records.read(folder, name) for name in names}


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it left no word")


def _time(record: Record | None) -> datetime | None:
    return None if record is None else datetime.fromtimestamp(record["at_ms"] / 1000, UTC)


def _task(record: Record) -> Task:
    archive = record["archive"]
    nested = {
        "command": tuple(record["command"]),
        "log": LogTarget(**record["log"]),
        "inputs": tuple(Input(**channel) for channel in record["inputs"]),
        "archive": None if archive is None else Archive(**archive),
    }
    return Task(**record | nested)


def _names(base: Path, channels: list[str]) -> dict[str, str]:
    """Where things are, in the variables that training scripts read."""
    layout = Layout(base)
    return {
        "SM_MODEL_DIR": str(layout.model),
        "SM_INPUT_DIR": str(layout.base / "input"),
        "SM_INPUT_CONFIG_DIR": str(layout.config),
        "SM_OUTPUT_DIR": str(layout.base / "output"),
        "SM_OUTPUT_DATA_DIR": str(layout.output_data),
        **{f"SM_CHANNEL_{channel.upper()}": str(layout.channel(channel)) for channel in channels},
    }


def _socket_folder(root: Path) -> Path:
    """A short private folder: the path of a unix socket has at most 107 bytes. Raises Unavailable where someone else has it."""
    mark = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"darkroom-{os.geteuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
        raise Unavailable(f"{folder} belongs to someone else; remove it, or set TMPDIR to a folder of your own")
    return folder
