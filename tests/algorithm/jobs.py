"""A job's folder as the platform lays it out, with small pictures in it, and ways to run the algorithm there."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from darkroom.formats.lst import LstLine, write_lst
from darkroom.formats.recordio import ImageHeader, pack_image
from darkroom.formats.writing import RecordWriter

ENTRY = (sys.executable, "-m", "darkroom.algorithm", "train")


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


def meeting() -> dict[str, str]:
    """A place where the hosts of one attempt meet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}


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

    def start(self, **environ: str) -> subprocess.Popen[str]:
        """The algorithm in a process of its own, as the launcher starts it."""
        environment = os.environ | self.environ | environ
        return subprocess.Popen(
            ENTRY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
