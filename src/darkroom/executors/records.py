"""The records of one task: small JSON files in its folder, each written once, whole, and fsynced.

They are the memory that the server and the launcher share, and outlive both. Who writes what:

=============  ========  ==========================================================================
task.json      server    the Task as given; the task is known from here on
failed.json    server    staging ended the task: {failure, at_ms}
launch.json    server    all that the launcher needs; staging is complete
launched.json  launcher  {pid, at_ms, isolation}; the command may have run from here on, so never again
exited.json    launcher  {exit_code, failure, at_ms}; every line of output is in the log
packed.json    packing   {model.tar.gz, output.tar.gz: bool, failure, at_ms}; the archives are complete
restored.json  server    {file: its stamp} of the checkpoints that were laid out (see ``checkpoints``)
kept.json      server    {}; all checkpoints that the ended task left are stored
stop.json      server    {grace_s}: end the command
=============  ========  ==========================================================================

``lock`` is held by the server while it launches and then, through the inherited descriptor, by the launcher and the
packing after it: who finds it free knows that they are gone, without trusting process ids.

The launcher imports this: keep it light.
"""

import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

TASK, FAILED, LAUNCH, LAUNCHED = "task.json", "failed.json", "launch.json", "launched.json"
EXITED, PACKED, STOP = "exited.json", "packed.json", "stop.json"
RESTORED, KEPT = "restored.json", "kept.json"
LOCK = "lock"
LOCK_FD = 3  # where a launcher finds its lock
BASE = "ml"  # the job's /opt/ml
LAUNCHER_LOG = "launcher.log"  # what the launcher itself has to say; empty unless it has a fault
ARCHIVES = MODEL_ARCHIVE, OUTPUT_ARCHIVE = "model.tar.gz", "output.tar.gz"
RETRY_S = 1.0
FAILURE_CHARS = 1024  # AWS cuts FailureReason there

Record = dict[str, Any]


def read(folder: str | os.PathLike[str], name: str) -> Record | None:
    """A record, or None where it was not written."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            record: Record = json.load(file)
            return record
    except FileNotFoundError:
        return None


def write(folder: str | os.PathLike[str], name: str, record: Record) -> None:
    """Write a record so that it is there whole or not at all, also after a power cut."""
    path = os.path.join(folder, name)
    partial = f"{path}.{os.urandom(4).hex()}"
    try:
        with open(partial, "x") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            os.unlink(partial)
        raise
    sync_folder(folder)


def write_in_the_end(folder: str | os.PathLike[str], name: str, record: Record) -> None:
    """Write a record that nobody else can write again: wait until a full disk has room. Gives up with the folder."""
    while True:
        try:
            return write(folder, name, record)
        except OSError as error:
            with suppress(OSError):  # it may be the same disk
                print(f"cannot write {name}: {error}", file=sys.stderr, flush=True)
            if not os.path.isdir(folder):
                return
            time.sleep(RETRY_S)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def announce(fifo: str, task_id: str) -> None:
    """Tell the server, if one listens, that a record of a task was written. Nothing depends on its being heard."""
    try:
        pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no reader: the server is away
        return
    with suppress(OSError):  # full or closed: the server will look by itself
        os.write(pipe, task_id.encode() + b"\n")
    os.close(pipe)
