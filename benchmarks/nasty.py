"""Odd, damaged and hostile image files, as a training image and as a request: what each is answered, and the memory.

Needs the sample files (DARKROOM_SHARED names the folder that holds data/nasty).
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, Unavailable, compare
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


PAGE = Path(__file__).resolve().parents[1] / "docs" / "nasty.md"
PILLOW = """
import sys, warnings
warnings.simplefilter("ignore")
from PIL import Image

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

Image.init()
before = peak()
for path in sys.argv[1:]:
    try:
        Image.open(path).convert("RGB").resize((224, 224))
    except Exception:
        pass
print(peak() - before)
"""


def rows() -> list[Row]:
    """Memory that the worst file costs, against Pillow reading the same files; docs/nasty.md tells each file's fate."""
    files = [str(path) for path in sorted(FOLDER.glob("*")) if path.suffix != ".csv"]
    ours, peer = [], []
    for _ in range(3):
        report = measure()
        assert not report.crashed, "the worker did not survive"
        ours.append(report.peak_mib - report.before_mib)
        told = subprocess.run([sys.executable, "-c", PILLOW, *files], capture_output=True, text=True, check=True)
        peer.append(int(told.stdout) / 1024)
    PAGE.write_text(_page(report))
    return [compare("nasty-memory", ours, peer, peer_name="Pillow, the same files", unit="MiB", more_is_better=False)]


def _page(report: Report) -> str:
    head = (
        "# Odd, damaged and hostile images\n\nWritten by `make bench ONLY=nasty`: what each file is answered as a "
        "training image and as a request to an endpoint.\n\n| file | as a training image | as a request | ms |\n"
        "|---|---|---|---|\n"
    )
    lines = (
        f"| {o.file} | {_cell(o.as_training_image)} | {_cell(o.as_request)} | {o.request_ms:.0f} |"
        for o in report.outcomes
    )
    return head + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
