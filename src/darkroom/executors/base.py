"""The seam between deciding and running: an Executor starts, observes and stops tasks. Promises in prose.

* A task id is used once. ``start`` with an id that is already known does nothing: retrying is always safe.
* ``start`` returns at once; staging (inputs hard-linked or fetched, model archive unpacked) happens behind it and shows
  as STAGING. A fault in staging ends the task: phase ENDED, ``exit_code`` None, ``failure`` says which object and why.
* A task runs as its own process group under a launcher of its own, with the folder layout of ``contract.layout``.
  The launcher outlives the server and holds the exit record: a new executor on the same folder observes the same tasks.
* Output lines go to the task's log stream in order, with timestamps, none lost, whatever dies; all of them are readable
  before the phase becomes ENDED.
* ``stop`` sends SIGTERM to the group, and SIGKILL after ``grace_s``; it returns at once and may be called again.
* After the process ends, ``/opt/ml/model`` and ``/opt/ml/output/data`` are packed (phase PACKING) where the task asks
  for it, also after a stop or a failure; the archives are complete and fsynced before ENDED.
* LOST means: the launcher is gone and left no exit record (the machine went down, someone killed it). It never ran on.
* A serving task that was ready and answers no ping for a good while is stopped by the executor itself.
* A piped channel is a named pipe ``<channel>_<epoch>`` for each epoch, from 0: who opens one is given the whole channel
  once, in order, and then its end; the pipe of the next epoch is there as soon as one is opened, and an earlier one may
  be opened again until the next but one is. Readers may leave early. Memory stays flat, nothing is asked of the server:
  what is piped was laid aside before the start. A fault on the way ends the task; it is never told as the end of data.
* Tasks of one gang find one MASTER_ADDR and MASTER_PORT in their environment, and nobody listens there when the first
  of them is started. Another gang has another. Those on one machine share its cores out by OMP_NUM_THREADS.
* With ``checkpoints`` the folder holds what is stored there before the command starts; what the task writes to it is
  stored all along, each file whole, and once more after the end, before the phase becomes ENDED or LOST. Nothing there
  is ever deleted. What cannot be stored is said in the log.
* ``forget`` removes every trace of an ended task but its log. Of one that has not ended it raises Conflict.
* A task that is stopped before its command started ends with ``exit_code`` None, too.
* ``watch`` names the one to call when ``observe`` may have a new answer. Calls come from other threads, may come too
  often, and are only hints: who was away when one was due looks by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from signal import SIGTERM
from typing import Protocol

from darkroom.contract import exits


class Source(StrEnum):
    """How a channel names its objects: by the beginning of their keys, or in a file (``formats.manifests``)."""

    PREFIX = "S3Prefix"
    MANIFEST = "ManifestFile"
    AUGMENTED = "AugmentedManifestFile"


@dataclass(frozen=True)
class Shard:
    """One host's part: every ``count``-th object (or line of an augmented manifest), from number ``index`` on."""

    index: int
    count: int


@dataclass(frozen=True)
class Pipe:
    """A channel that is read through named pipes. ``wrapped``: each object or attribute is a record of RecordIO.

    ``seed``: the objects (or lines) come in another order each epoch, and shards are cut anew from it.
    """

    wrapped: bool = False
    gzipped: bool = False  # unpacked on the way
    seed: int | None = None


@dataclass(frozen=True)
class Input:
    """One channel. A PREFIX is every object of ``bucket`` whose key starts with ``prefix`` (a raw string prefix).

    Keys below a prefix that is a folder ("data/train/", or "data/train" before "data/train/a") land at their remainder
    after it; any other prefix is the beginning of names, which land at their remainder after its last "/". Keys that
    would leave the channel's folder, or that need one path twice, end the task. For the other sources ``prefix`` is the
    key of the file; a MANIFEST's objects land by its own prefix. AUGMENTED channels are piped.
    """

    channel: str
    bucket: str
    prefix: str
    source: Source = Source.PREFIX
    attributes: tuple[str, ...] = ()  # of an augmented manifest: what is sent of each line, in this order
    shard: Shard | None = None
    pipe: Pipe | None = None


@dataclass(frozen=True)
class Checkpoints:
    """Where the content of a folder below /opt/ml is kept between tasks: objects below a prefix."""

    bucket: str
    prefix: str  # ends with "/", or is empty
    folder: str = "checkpoints"  # below /opt/ml


@dataclass(frozen=True)
class Archive:
    """A model.tar.gz in the object store, unpacked into /opt/ml/model before the process starts."""

    bucket: str
    key: str


@dataclass(frozen=True)
class LogTarget:
    group: str
    stream: str


@dataclass(frozen=True)
class Gang:
    """Tasks that work together, each a host of one job. Every one of them names the same."""

    name: str  # as a task id
    size: int


@dataclass(frozen=True)
class Task:
    """What to run. ``command`` may hold ``{python}``: the interpreter of ``environment_name``."""

    id: str  # [A-Za-z0-9][A-Za-z0-9-]{0,150}
    command: tuple[str, ...]
    log: LogTarget
    environment_name: str = "builtin"
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # text by path below /opt/ml: "input/config/….json"
    inputs: tuple[Input, ...] = ()
    archive: Archive | None = None
    packs: bool = False  # pack model and output data when the process has ended
    gang: Gang | None = None
    checkpoints: Checkpoints | None = None
    serves: bool = False  # answers GET /ping on a unix socket named by DARKROOM_SOCKET once it is ready


class Phase(StrEnum):
    ABSENT = "absent"  # never started here, or forgotten
    STAGING = "staging"
    RUNNING = "running"
    PACKING = "packing"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class Observation:
    """What is known of a task now. Times are aware UTC datetimes."""

    phase: Phase
    ready: bool = False  # serving tasks: /ping answered 200 at least once and the process still runs
    socket: Path | None = None  # serving tasks: where the worker listens
    exit_code: int | None = None  # of the process; negative: the signal that ended it
    failure: str = ""  # the failure file, or what went wrong in staging, at most 1024 characters
    unpacked: str = ""  # why what the process left could not be packed
    model_archive: Path | None = None  # model.tar.gz, after packing
    output_archive: Path | None = None  # output.tar.gz, after packing; None when there was nothing
    running_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def signal(self) -> int | None:
        """The signal that ended the process, or that it honoured; None where it left word of its own reason."""
        if self.exit_code is None or self.failure:
            return None
        if self.exit_code == exits.STOPPED:
            return SIGTERM
        return -self.exit_code if self.exit_code < 0 else None


class Executor(Protocol):
    def start(self, task: Task) -> None: ...

    def observe(self, task_id: str) -> Observation: ...

    def stop(self, task_id: str, grace_s: float) -> None: ...

    def forget(self, task_id: str) -> None: ...

    def tasks(self) -> list[str]:
        """Ids of every task not forgotten."""
        ...

    def watch(self, on_change: Callable[[str], None]) -> None:
        """Call ``on_change(task_id)`` from now on. It must return soon and be safe to call from any thread."""
        ...
