"""The local executor on the built-in object store, in a temporary folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from darkroom.executors import launching, records
from darkroom.executors.base import Task
from darkroom.executors.local import LocalExecutor
from darkroom.objects.local import LocalStore
from darkroom.telemetry.logs import LogStore
from darkroom.testing.executor_bench import BUCKET, Bench, until

SERVER = """
import json, sys, time
from pathlib import Path
from darkroom.executors import launching
from darkroom.executors.local import LocalExecutor
from darkroom.objects.local import LocalStore
from darkroom.telemetry.logs import LogStore
root, isolation, task = sys.argv[1:]
root = Path(root)
store, logs = LocalStore(root / "objects"), LogStore(root / "logs")
executor = LocalExecutor(root / "run", store, logs, isolation=isolation)
executor.start(launching.task_from(json.loads(task)))
while executor.observe("t").phase != "running":
    time.sleep(0.01)
print("running", flush=True)
time.sleep(3600)
"""


REFUSAL = "from darkroom.executors.isolation import refusal; print(refusal('/tmp') or '')"


class LocalBench(Bench):
    def __init__(self, root: Path, isolation: str) -> None:
        self._root, self._isolation = root, isolation
        self.store = LocalStore(root / "objects")
        self.store.create_bucket(BUCKET)
        self.logs = LogStore(root / "logs")
        self.executor = self._open()

    def _open(self) -> LocalExecutor:
        return LocalExecutor(self._root / "run", self.store, self.logs, isolation=self._isolation)

    def reopen(self) -> None:
        self.executor.close()
        self.executor = self._open()

    def folder(self, task_id: str) -> Path:
        return self._root / "run" / "tasks" / task_id

    def kill_launcher(self, task_id: str) -> None:
        launched = until(lambda: records.read(self.folder(task_id), records.LAUNCHED))
        os.kill(launched["pid"], signal.SIGKILL)

    def start_from_killed_server(self, task: Task) -> None:
        self.executor.close()
        self.store.close()
        spec = launching.task_record(task)
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self._root), self._isolation, records.json.dumps(spec)],
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"running\n"
            server.kill()
        self.store = LocalStore(self._root / "objects")

    def close(self) -> None:
        for task_id in self.executor.tasks():
            self.executor.stop(task_id, 0)
            until(lambda task_id=task_id: self.executor.observe(task_id).phase in ("ended", "lost"))
        self.executor.close()
        self.store.close()


def namespace_refused() -> str | None:
    """Why this machine allows no mount namespace, tried in a process of its own."""
    tried = subprocess.run([sys.executable, "-c", REFUSAL], capture_output=True, text=True, check=True)
    return tried.stdout.strip() or None
