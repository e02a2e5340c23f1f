"""Packing a folder of photos into a .rec: our im2rec and MXNet's, taking turns on the same files, files on disk at the
end. MXNet's runs with the number of workers that is its best here."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.clients.environments import python_of

from benchmarks import photos
from benchmarks.rows import Row, compare

ROUNDS = 3


def passthrough() -> list[Row]:
    words = ["--pass-through"]
    return _race("im2rec-passthrough-vs-mxnet", words, words, workers=(1, 2, 4), count=4000)


def resize() -> list[Row]:
    words = ["--resize", "256", "--quality", "90"]
    return _race("im2rec-resize-vs-mxnet", words, words, workers=(2,), count=1500)


def _race(name: str, ours: list[str], theirs: list[str], workers: tuple[int, ...], count: int) -> list[Row]:
    tool = _mxnets()
    with tempfile.TemporaryDirectory(prefix="im2rec-") as folder:
        root = photos.copies(Path(folder) / "photos", count)
        prefixes = [Path(folder) / owner / "set" for owner in ("ours", "theirs")]
        program = [sys.executable, "-m", "darkroom.im2rec"]
        for prefix in prefixes:
            prefix.parent.mkdir()
            subprocess.run([*program, "--list", prefix, root], check=True, capture_output=True)
        trials = {n: _rate([*tool, *theirs, "--num-thread", str(n)], prefixes[1], root, count) for n in workers}
        best = max(trials, key=trials.__getitem__)
        mine, peer = list[float](), list[float]()
        for _ in range(ROUNDS):
            mine.append(_rate([*program, *ours, "--num-thread", "2"], prefixes[0], root, count))
            peer.append(_rate([*tool, *theirs, "--num-thread", str(best)], prefixes[1], root, count))
    peer_name = f"MXNet 1.9.1's im2rec, --num-thread {best}"
    return [compare(name, mine, peer, peer_name=peer_name, unit="images/s", more_is_better=True)]


def _mxnets() -> list[str]:
    python = python_of("mxnet")
    (tool,) = python.parents[1].glob("lib/python*/site-packages/mxnet/tools/im2rec.py")
    return [str(python), str(tool)]


def _rate(command: list[str], prefix: Path, root: Path, count: int) -> float:
    """Images/s of a whole run, from the start of the process until what it wrote is on the disk."""
    os.sync()
    begin = time.perf_counter()
    subprocess.run([*command, prefix, root], check=True, capture_output=True)
    with open(prefix.with_suffix(".rec"), "rb") as file:
        os.fsync(file.fileno())
    return count / (time.perf_counter() - begin)
