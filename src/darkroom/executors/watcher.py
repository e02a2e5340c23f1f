"""One thread that hears of changes: launchers write a task's id to a pipe, and the kernel tells of their end.

Knows process ids and a named pipe, and calls back; nothing of what the changes mean. Hints only: who misses one looks
at the records, which hold the truth.
"""

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOG = logging.getLogger(__name__)


class Watcher:
    """Calls ``changed(task_id, ended)`` from its thread: a record was written, or (``ended``) a launcher has gone."""

    def __init__(self, fifo: Path, changed: Callable[[str, bool], None]) -> None:
        if not fifo.is_fifo():
            os.mkfifo(fifo, 0o600)
        self.fifo = fifo
        self._changed = changed
        self._pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # also a writer, so that it never ends
        self._poll = select.epoll()
        self._poll.register(self._pipe, select.EPOLLIN)
        self._processes: dict[int, tuple[int, str]] = {}  # pidfd → process id, task id
        self._lock = threading.Lock()
        self._closing = self._closed = False
        self._thread = threading.Thread(target=self._run, name="executor watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, pid: int, task_id: str) -> None:
        """Hear of the end of a launcher, be it a child of ours or not. One that is gone already counts as a change."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.announce(task_id)  # nobody's zombie: an earlier server's launcher, long gone
            return
        with self._lock:
            if self._closed:
                os.close(pidfd)
                return
            self._processes[pidfd] = pid, task_id
            self._poll.register(pidfd, select.EPOLLIN)

    def announce(self, task_id: str) -> None:
        with self._lock, suppress(BlockingIOError):  # full: the thread is awake anyway
            if not self._closed:
                os.write(self._pipe, task_id.encode() + b"\n")

    def close(self) -> None:
        self._closing = True
        self.announce("")
        self._thread.join()
        with self._lock:
            self._closed = True
            for pidfd in self._processes:
                os.close(pidfd)
            self._poll.close()
            os.close(self._pipe)

    def _run(self) -> None:
        rest = b""
        while not self._closing:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._pipe:
                    *names, rest = (rest + os.read(self._pipe, 65536)).split(b"\n")
                    for name in dict.fromkeys(name.decode() for name in names if name):
                        self._call(name, False)
                else:
                    self._call(self._ended(descriptor), True)

    def _call(self, task_id: str, ended: bool) -> None:
        try:
            self._changed(task_id, ended)
        except Exception:  # one task's trouble must not deafen the others
            LOG.exception("looking after task %s failed", task_id)

    def _ended(self, pidfd: int) -> str:
        with self._lock:
            pid, task_id = self._processes.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        with suppress(ChildProcessError):  # a launcher of an earlier server
            os.waitpid(pid, os.WNOHANG)
        return task_id
