"""Training against the engines people use: images per second of whole steps, and of a whole job on real photos.

The engines take turns, each in a process of its own on all cores; ours with the environment that its jobs get.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from tests.clients.environments import python_of

from benchmarks import trainers
from benchmarks.rows import Row, Unavailable, compare
from darkroom.algorithm.learner import cpu_flags, device, half_precision
from darkroom.executors.environments import ENVIRONMENTS, variables
from darkroom.formats import folders
from darkroom.networks import artifact, resnet

ROUNDS = 8
PHOTOS = Path(__file__).resolve().parents[1] / "examples" / "photos"
PEERS = {
    "mxnet": "mxnet 1.9.1 Module",
    "torch": "torch fp32 eager, default settings",
    "torch-half": "torch autocast to 16 bits, channels_last",
}
JOB = {"num_layers": 18, "image_shape": "3,224,224", "mini_batch_size": 32, "epochs": 2, "augmentation_type": "crop"}
JOB_ROUNDS = 2
SECONDS = re.compile(r"Epoch\[1\] Time cost=([\d.]+)")
SAMPLES = re.compile(r"num_training_samples: (\d+)")


def resnet18() -> list[Row]:
    """224 x 224 pixels, batches of 32."""
    return _race("training-resnet18", 18, 224, 32, ("mxnet", "torch"))


def resnet20() -> list[Row]:
    """32 x 32 pixels, batches of 128."""
    return _race("training-resnet20", 20, 32, 128, ("mxnet",))


def job() -> list[Row]:
    """A job that decodes, cuts and trains, against the step alone on numbers that lie in memory."""
    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        base = _job_folder(Path(folder))
        with _trainer("ours-fp32", Path(folder), 18, 224, 32) as process:
            for _ in range(JOB_ROUNDS):
                steps = [seconds for _ in range(4) for seconds in _ask(process)]
                peer.append(32 / median(steps))
                ours.append(_speed(base))
    unit, name = "images/s", "the step alone, synthetic data"
    return [compare("job-vs-synthetic", ours, peer, peer_name=name, unit=unit, more_is_better=True)]


def _race(name: str, layers: int, side: int, batch: int, rivals: tuple[str, ...]) -> list[Row]:
    """Ours in 16 bits where the processor is faster for it, and then in float32, too, and torch in 16 bits.

    On a GPU the rows have names of their own, and MXNet, which is not built for it here, stays out.
    """
    where, kinds = device().type, {"ours": ""}
    if half_precision(where, cpu_flags()):
        kinds = {"ours": "; ours in 16 bits", "ours-fp32": "; ours in fp32"}
        rivals += ("torch-half",)
    if where == "cuda":
        name, rivals = f"{name}-gpu", ("torch", "torch-half")
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        _symbol(Path(folder), layers, side)
        times = _take_turns((*kinds, *rivals), Path(folder), layers, side, batch)
    speeds = {kind: [batch / seconds for seconds in found] for kind, found in times.items()}
    return [
        compare(
            f"{name}{kind.removeprefix('ours')}-vs-{rival}",
            speeds[kind],
            speeds[rival],
            peer_name=PEERS[rival] + said,
            unit="images/s",
            more_is_better=True,
        )
        for kind, said in kinds.items()
        for rival in rivals
        if (kind, rival) != ("ours-fp32", "torch-half")
    ]


def _symbol(folder: Path, layers: int, side: int) -> None:
    """The same network for MXNet."""
    net = resnet.build(layers, trainers.CLASSES, (3, side, side), generator=torch.Generator().manual_seed(0))
    artifact.save(folder, net, epoch=1, batch_size=1)


def _take_turns(kinds: tuple[str, ...], *arguments: object) -> Mapping[str, list[float]]:
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(2):  # processes anew: where their memory lies decides much
        for kind in kinds:
            with _trainer(kind, *arguments) as process:
                times[kind] += [seconds for _ in range(ROUNDS // 2) for seconds in _ask(process)]
    return times


@contextmanager
def _trainer(kind: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Raises Unavailable where it does not start."""
    python = python_of("mxnet") if kind == "mxnet" else sys.executable
    environ = {**os.environ, **(variables(ENVIRONMENTS["builtin"]) if kind.startswith("ours") else {})}
    command = [python, "-W", "ignore", trainers.__file__, kind, *map(str, arguments)]
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise Unavailable(f"{kind} did not start")
        yield process
    finally:
        process.communicate()  # the end of its input is the end of it


def _ask(process: "subprocess.Popen[str]") -> list[float]:
    print("go", file=process.stdin, flush=True)
    assert process.stdout is not None
    found: list[float] = json.loads(process.stdout.readline())
    return found


def _job_folder(folder: Path) -> Path:
    """The bundled photos four times over as a .rec: enough batches to time."""
    base = folder / "job"
    train = base / "input" / "data" / "train"
    train.mkdir(parents=True)
    config = base / "input" / "config"
    config.mkdir()
    found = folders.scan(PHOTOS)
    for copy in range(4):
        folders.pack(found.samples, train / f"photos-{copy}.rec")
    given = JOB | {"num_classes": len(found.classes), "num_training_samples": 4 * len(found.samples)}
    (config / "hyperparameters.json").write_text(json.dumps({name: str(value) for name, value in given.items()}))
    return base


def _speed(base: Path) -> float:
    """Images per second of the second epoch, by its time in the job's own log (a line's Speed leaves one batch out)."""
    environ = {**os.environ, **variables(ENVIRONMENTS["builtin"]), "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "darkroom.algorithm", "train"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280)
    seconds, samples = SECONDS.search(done.stdout), SAMPLES.search(done.stdout)
    if done.returncode or seconds is None or samples is None:
        raise RuntimeError(f"the job failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    size = int(JOB["mini_batch_size"])
    return int(samples[1]) // size * size / float(seconds[1])
