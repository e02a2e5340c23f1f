"""What the contracts of an executor stand on: programs to run, and a bench to run and watch them on.

Tests wait for events (a log line, a phase) up to a deadline and never for a time to pass.
"""

import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom.errors import NotFound
from darkroom.executors.base import (
    Executor,
    LogTarget,
    Observation,
    Phase,
    Task,
)
from darkroom.objects.base import ObjectStore
from darkroom.telemetry.logs import LogStore

DEADLINE_S = 240.0  # a machine may have others to serve for minutes
GROUP, BUCKET = "/jobs", "photos"
OVER = (Phase.ENDED, Phase.LOST)
PREAMBLE = """
import os, signal, socket, subprocess, sys, time
from pathlib import Path
ml = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
def wait_for_the_end():
    while True:
        signal.pause()
"""
WAIT = "print('running', flush=True); wait_for_the_end()"
SERVE = """
server = socket.socket(socket.AF_UNIX); server.bind(os.environ["DARKROOM_SOCKET"]); server.listen()
print("listening", flush=True)
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    client.close()
"""


class Bench(ABC):
    """One executor, what it stands on, and the accidents that happen to it."""

    executor: Executor
    store: ObjectStore  # with the bucket ``photos``
    logs: LogStore

    @abstractmethod
    def reopen(self) -> None:
        """Replace ``executor`` by a new one on the same folder, as a restarted server does."""

    @abstractmethod
    def kill_launcher(self, task_id: str) -> None:
        """kill -9 of the process that watches over a running task."""

    @abstractmethod
    def start_from_killed_server(self, task: Task) -> None:
        """Start a task from a server of its own, and kill -9 that once the task runs. Then ``reopen``."""

    def put(self, key: str, content: bytes) -> None:
        writer = self.store.writer()
        writer.write(content)
        self.store.put(BUCKET, key, writer.commit(), {})

    def run(self, code: str, **task: object) -> Observation:
        """Run a Python program as task ``t`` to its end."""
        self.executor.start(python("t", code, **task))
        return self.wait("t", *OVER)

    def wait(self, task_id: str, *phases: Phase) -> Observation:
        return until(lambda: (found := self.executor.observe(task_id)).phase in phases and found)

    def wait_ready(self, task_id: str) -> Observation:
        return until(lambda: (found := self.executor.observe(task_id)).ready and found)

    def wait_line(self, task_id: str, line: str) -> None:
        until(lambda: line in self.lines(task_id))

    def lines(self, task_id: str) -> list[str]:
        try:
            return [event.message for event in self.logs.events(GROUP, task_id, from_head=True).events]
        except NotFound:
            return []


def until(found: Callable[[], Any]) -> Any:
    """The first true answer. Fails after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer


def python(task_id: str, code: str, **task: object) -> Task:
    made = Task(task_id, ("{python}", "-c", PREAMBLE + code), LogTarget(GROUP, task_id))
    return replace(made, **task)


def contents(archive: Path | None) -> dict[str, bytes]:
    assert archive is not None
    with tarfile.open(archive) as tar:
        return {m.name: file.read() for m in tar if (file := tar.extractfile(m) if m.isreg() else None)}


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
