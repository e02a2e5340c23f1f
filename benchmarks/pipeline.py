"""From a .rec to batches of random crops: ours, and the loaders that people train with, each in a process of its own,
taking turns. All of them on the same two threads or workers."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.clients.environments import python_of

from benchmarks import photos
from benchmarks.rows import Row, Unavailable, compare
from darkroom.executors.environments import MALLOC  # as a job has it; all of them get it

COUNT, THREADS, ROUNDS = 1024, 2, 5
LOADERS = Path(__file__).with_name("loaders.py")
NAMES = {
    "mxnet": "mxnet 1.9.1 ImageRecordIter",
    "dali": "NVIDIA DALI on the CPU",
    "torch": "torch DataLoader with Pillow",
}


def full_vs_mxnet() -> list[Row]:
    return _race("pipeline-full", "mxnet", photos.full_size)


def full_vs_dali() -> list[Row]:
    return _race("pipeline-full", "dali", photos.full_size)


def full_vs_torch() -> list[Row]:
    return _race("pipeline-full", "torch", photos.full_size)


def small_vs_mxnet() -> list[Row]:
    return _race("pipeline-256", "mxnet", photos.of_256)


def small_vs_dali() -> list[Row]:
    return _race("pipeline-256", "dali", photos.of_256)


def _race(name: str, peer: str, records: Callable[[Path, int], Path]) -> list[Row]:
    python = _python(peer)
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        rec = records(Path(folder), COUNT)
        ours, theirs = list[float](), list[float]()
        for _ in range(ROUNDS):
            ours.append(_run(sys.executable, "darkroom", rec))
            theirs.append(_run(python, peer, rec))
    return [compare(f"{name}-vs-{peer}", ours, theirs, peer_name=NAMES[peer], unit="images/s", more_is_better=True)]


def _python(peer: str) -> str:
    try:
        return sys.executable if peer == "torch" else str(python_of(peer))
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"the environment of {NAMES[peer]} could not be built: {error}") from error


def _run(python: str, engine: str, rec: Path) -> float:
    """Images/s."""
    environment = {**os.environ, **MALLOC, "OMP_NUM_THREADS": str(THREADS), "MXNET_CPU_WORKER_NTHREADS": str(THREADS)}
    command = [python, LOADERS, engine, rec, str(THREADS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Unavailable(f"{engine} failed: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])
