"""Odd, damaged and hostile image files, as a training image and as a request: what each is answered, and the memory.

Needs the sample files (DARKROOM_SHARED names the folder that holds data/nasty); nothing is compared to a peer.
"""

import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Unavailable
from darkroom.imaging.decode import BadImage
from darkroom.imaging.preprocess import Preprocess
from darkroom.testing.live_worker import LiveWorker

FOLDER = Path(os.environ.get("DARKROOM_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "nasty"
PREPROCESS = Preprocess(224, 224, 3, 256)


@dataclass(frozen=True)
class Outcome:
    """``as_training_image``: the size it is resized to, or why it is refused; ``as_request``: status and, for an error,
    its text. Times in milliseconds."""

    file: str
    as_training_image: str
    decode_ms: float
    as_request: str
    request_ms: float


@dataclass(frozen=True)
class Report:
    """Memory of the worker (ResNet-18) in MiB: before the first file, and the most there ever was."""

    outcomes: tuple[Outcome, ...]
    before_mib: float
    peak_mib: float
    crashed: bool


def measure(folder: Path = FOLDER) -> Report:
    """Every file of the folder, once each way. Raises Unavailable where there are none."""
    files = [path for path in sorted(folder.glob("*")) if path.suffix != ".csv"]
    if not files:
        raise Unavailable(f"no image files in {folder}; DARKROOM_SHARED names the folder that holds data/nasty")
    with tempfile.TemporaryDirectory() as model, closing(LiveWorker(_random_model(Path(model))).ready()) as worker:
        before = worker.memory()
        outcomes = tuple(_outcome(worker, path) for path in files)
        peak, crashed = worker.memory(), worker.stop() != 0
    return Report(outcomes, before / 2**20, peak / 2**20, crashed)


def _random_model(folder: Path) -> Path:
    from darkroom.networks import artifact, resnet

    artifact.save(folder, resnet.build(18, 10), epoch=1, batch_size=32, preprocessing=PREPROCESS.to_dict())
    return folder


def _outcome(worker: LiveWorker, path: Path) -> Outcome:
    data = path.read_bytes()
    began = time.perf_counter()
    try:
        height, width, _ = PREPROCESS.resized(data).shape
        trained = f"{width} x {height}"
    except BadImage as refusal:
        trained = f"refused: {refusal}"
    decoded = time.perf_counter()
    status, _, body = worker.invoke(data)
    answered = time.perf_counter()
    told = "200" if status == 200 else f"{status} {body.decode()}"
    return Outcome(path.name, trained, (decoded - began) * 1e3, told, (answered - decoded) * 1e3)
