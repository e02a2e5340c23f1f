"""A job's folder as the platform lays it out, with small pictures in it, and ways to run the algorithm there."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from darkroom.executors.meeting import held
from darkroom.formats.lst import LstLine, write_lst
from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

ENTRY = (sys.executable, "-m", "darkroom.algorithm", "train")
PREFIX = re.compile(r"^\[\S+ \S+ (INFO|WARNING|ERROR) \d+\] ")
PATIENCE_S = 240  # a machine may have others to serve for minutes; pytest's own patience is a little longer


def jpeg(label: int, seed: int, height: int = 36, width: int = 40) -> bytes:
    """Noise with one of the three colours well above the others: ``label`` says which."""
    pixels = np.random.default_rng((label, seed)).integers(0, 110, (height, width, 3), dtype=np.uint8)
    pixels[..., label % 3] += 110
    return cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()


def gang(base: Path, count: int, fill: Callable[["Job", int], object]) -> list["Job"]:
    """The hosts of one job, each with a folder of its own that ``fill(job, rank)`` fills."""
    names = [f"algo-{number}" for number in range(1, count + 1)]
    jobs = [Job(base / name) for name in names]
    for rank, job in enumerate(jobs):
        job.config("resourceconfig", {"current_host": names[rank], "hosts": names, "network_interface_name": "lo"})
        fill(job, rank)
    return jobs


@contextmanager
def meeting() -> Iterator[dict[str, str]]:
    """A place where the hosts of one attempt meet, which nobody else is given meanwhile."""
    with held(0) as place:
        port = place.getsockname()[1]
        yield {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}


class Host(subprocess.Popen[str]):
    """A process that no test leaves behind, and that a test which failed does not wait for."""

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)

    def stop_at(self, text: str) -> str:
        """Ask it to stop when a line has that text; gives what it prints from then on."""
        assert self.stdout is not None
        for line in self.stdout:
            if text in line:
                break
        self.send_signal(signal.SIGTERM)
        return self.stdout.read()


def ended(processes: Sequence[Host]) -> tuple[list[int], list[str]]:
    """Exit codes and (the rest of) what was printed, once all are over. None outlives this, whatever happens."""
    with ThreadPoolExecutor(len(processes)) as pool:
        reads = [pool.submit(process.stdout.read) for process in processes]
        try:
            late = wait(reads, PATIENCE_S).not_done
        finally:
            if not all(read.done() for read in reads):
                for process in processes:
                    process.kill()
        outputs = [read.result() for read in reads]
    for process in processes:
        with process:
            process.wait()
    assert not late, f"not over after {PATIENCE_S} seconds: {outputs}"
    return [process.returncode for process in processes], outputs


@dataclass(frozen=True)
class Job:
    """One /opt/ml below ``base``."""

    base: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"SAGEMAKER_BASE_DIR": str(self.base), "OMP_NUM_THREADS": "1"}

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()

    @property
    def model(self) -> list[str]:
        return sorted(path.name for path in (self.base / "model").iterdir())

    def channel(self, name: str) -> Path:
        folder = self.base / "input" / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def config(self, name: str, content: object) -> None:
        path = self.base / "input" / "config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def settings(self, **given: object) -> "Job":
        """Hyperparameters, on top of a small network for three colours."""
        small = {"num_classes": 3, "num_layers": 20, "image_shape": "3,28,28", "mini_batch_size": 16, "epochs": 1}
        given = small | {"learning_rate": 0.05} | given
        self.config("hyperparameters", {name: str(value) for name, value in given.items() if value is not None})
        return self

    def records(self, channel: str, labels: Sequence, images: Sequence[bytes] | None = None, name: str = "") -> "Job":
        """A .rec whose k-th record has ``labels[k]``, a number or a row of numbers."""
        with RecordWriter(self.channel(channel) / f"{name or channel}.rec") as writer:
            for k, label in enumerate(labels):
                data = images[k] if images else jpeg(int(np.argmax(label)) if np.ndim(label) else int(label) % 3, k)
                writer.write(pack_image(ImageHeader(np.atleast_1d(np.float32(label)), k), data), k)
        return self

    def listed(self, channel: str, paths: Sequence[str], labels: Sequence[tuple[float, ...]]) -> "Job":
        """Image files, and the .lst that names them."""
        for k, (path, label) in enumerate(zip(paths, labels, strict=True)):
            target = self.channel(channel) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(jpeg(int(label[0]) % 3, k))
        lines = [LstLine(k, tuple(label), path) for k, (path, label) in enumerate(zip(paths, labels, strict=True))]
        write_lst(self.channel(f"{channel}_lst") / f"{channel}.lst", lines)
        return self

    def folders(self, channel: str, counts: Mapping[str, int], start: int = 0) -> "Job":
        """Class folders with so many images each; the k-th name has the k-th colour."""
        for label, (name, count) in enumerate(counts.items()):
            folder = self.channel(channel) / name
            folder.mkdir(parents=True)
            for k in range(start, start + count):
                (folder / f"{k}.jpg").write_bytes(jpeg(label, k))
        return self

    def colours(self, train: int = 96, validation: int = 24) -> "Job":
        """Both channels as records, the three classes in turn."""
        self.records("train", [k % 3 for k in range(train)])
        if validation:
            images = [jpeg(k % 3, 1000 + k) for k in range(validation)]
            self.records("validation", [k % 3 for k in range(validation)], images)
        return self

    def start(self, **environ: str) -> Host:
        """The algorithm in a process of its own, as the launcher starts it."""
        environment = os.environ | self.environ | environ
        return Host(ENTRY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def over(self, **environ: str) -> tuple[int, list[str]]:
        """The same to its end: exit code and messages; what is no line of the log is one as it came."""
        with self.start(**environ) as process:
            assert process.stdout is not None
            output = process.stdout.read()
        return process.returncode, [PREFIX.sub("", line) for line in output.splitlines()]
