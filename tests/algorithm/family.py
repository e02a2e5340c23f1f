"""The processes of a job on a host with several GPUs, seen from outside; and ways to have one of them go wrong."""

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.algorithm.jobs import PATIENCE_S

COMPANION = "darkroom.algorithm.companion"


def companions(pid: int) -> list[int]:
    """Of the process of a job."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid and COMPANION in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def gone(pids: list[int]) -> bool:
    """Whether they end; they are nobody's children by then, and may wait as zombies for whoever has them now."""
    end = time.monotonic() + PATIENCE_S
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(_runs, pids))


def _runs(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def disturbed(folder: Path, companion: bool, code: str) -> dict[str, str]:
    """An environment in which the job's own process, or its ``companion``, runs ``code`` first: a fault of one machine
    part cannot be had otherwise."""
    folder.mkdir()
    lines = ["import sys", f"if ({COMPANION!r} in sys.orig_argv) is {companion}:"]
    lines += [f"    {line}" for line in code.splitlines()]
    (folder / "sitecustomize.py").write_text("\n".join(lines) + "\n")
    return {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
