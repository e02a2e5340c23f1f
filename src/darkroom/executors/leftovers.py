"""Finds and kills processes of a task whose launcher was killed: they carry its folder in their environment.

Process ids and groups may have been given away since; the mark cannot have been. Knows /proc, and nothing of records.
"""

import os
import signal
import time
from contextlib import suppress

MARK = "DARKROOM_TASK"  # environment variable of every process of a task: the task's folder
PATIENCE_S = 5.0


def kill_marked(folder: str) -> None:
    """Kill every process of a task and wait until they are gone (a few seconds at most: the kernel may hold one)."""
    deadline = time.monotonic() + PATIENCE_S
    while (pids := marked(folder)) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def marked(folder: str) -> list[int]:
    """Process ids of a task, as far as they are ours to see. A zombie has no environment left and does not count."""
    mark = f"\0{MARK}={folder}\0".encode()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and mark in b"\0" + _environment(name)]


def _environment(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:  # ended meanwhile, or another user's
        return b""
