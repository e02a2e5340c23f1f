"""What a launcher is told (launch.json), and how one is started. Knows the layout of /opt/ml and the environments."""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from darkroom.contract.layout import BASE_DIR, OPT_ML, SOCKET, Layout
from darkroom.executors import locks, records
from darkroom.executors.base import Archive, Checkpoints, Gang, Input, LogTarget, Pipe, Shard, Source, Task
from darkroom.executors.environments import Environment, variables
from darkroom.executors.isolation import FOLDER, NAMESPACE
from darkroom.executors.leftovers import MARK
from darkroom.executors.records import Record

LAUNCHER, PACKING = "darkroom.executors.launcher", "darkroom.executors.packing"


def spec(
    task: Task, folder: Path, environment: Environment, isolation: str, log: Path, socket: Path, changes: Path
) -> Record:
    """All that a launcher needs. What differs by isolation is given for both: the launcher finds out which it gets."""
    return {
        "command": [part.replace("{python}", str(environment.python)) for part in task.command],
        "base": str(folder / records.BASE),
        "isolation": isolation,
        NAMESPACE: _world(task, environment, OPT_ML, folder, socket),
        FOLDER: _world(task, environment, folder / records.BASE, folder, socket),
        "log": str(log),
        "packs": task.packs,
        "pipes": any(channel.pipe for channel in task.inputs),
        "changes": str(changes),
    }


def spawn(folder: Path, module: str) -> int | None:
    """Start a launcher, holding the task's lock from its first moment on. Its process id; None where one runs already.

    It has a session of its own and no descriptor of ours but the lock. Raises OSError.
    """
    lock = locks.take(folder)
    if lock is None:
        return None
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", module, str(folder)],
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, lock, records.LOCK_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / records.LAUNCHER_LOG), _APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(lock)


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def task_record(task: Task) -> Record:
    return asdict(task)


def task_from(record: Record) -> Task:
    archive, checkpoints, gang = record["archive"], record.get("checkpoints"), record.get("gang")
    nested = {
        "command": tuple(record["command"]),
        "log": LogTarget(**record["log"]),
        "inputs": tuple(_input_from(channel) for channel in record["inputs"]),
        "archive": None if archive is None else Archive(**archive),
        "gang": None if gang is None else Gang(**gang),
        "checkpoints": None if checkpoints is None else Checkpoints(**checkpoints),
    }
    return Task(**record | nested)


def _input_from(record: Record) -> Input:
    shard, pipe = record.get("shard"), record.get("pipe")
    nested = {
        "source": Source(record.get("source", Source.PREFIX)),
        "attributes": tuple(record.get("attributes", ())),
        "shard": None if shard is None else Shard(**shard),
        "pipe": None if pipe is None else Pipe(**pipe),
    }
    return Input(**record | nested)


def _world(task: Task, environment: Environment, base: Path, folder: Path, socket: Path) -> Record:
    """The command's environment and working folder, where /opt/ml is found at ``base``."""
    environ = variables(environment) | {MARK: str(folder)} | _places(base, (channel.channel for channel in task.inputs))
    if base != OPT_ML:
        environ[BASE_DIR] = str(base)
    if task.serves:
        environ[SOCKET] = str(socket)
    return {"environ": environ | dict(task.variables), "cwd": str(Layout(base).code)}


def _places(base: Path, channels: Iterable[str]) -> dict[str, str]:
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
