"""MXNet's Module and our jobs, on the same records: one accuracy of a stored model, one change by one step, as good a
model after training.

The pictures are stripes of one of four directions under noise: hard enough that no network is always right."""

import json
import re

import cv2
import numpy as np
import pytest
import torch

from darkroom.algorithm.hyperparameters import parse
from darkroom.algorithm.learner import Learner
from darkroom.formats import params
from darkroom.networks import artifact, catalogue
from darkroom.networks.architecture import PREACT_RESNET, Architecture
from tests.algorithm.jobs import Job

pytestmark = [pytest.mark.clients, pytest.mark.slow]

CLASSES, SIDE, BATCH, RATE, RUNS = 4, 28, 16, 0.05, 3
EPOCHS, DROP = 6, 4
TRAIN, VALIDATION = 320, 160


def stripes(label: int, draws: np.random.Generator, side: int = SIDE) -> bytes:
    """PNG, which every decoder reads alike."""
    down, right = np.mgrid[:side, :side]
    angle = np.pi * label / CLASSES + draws.normal(scale=0.12)
    wave = np.sin((down * np.sin(angle) + right * np.cos(angle)) * draws.uniform(0.5, 1.1) + draws.uniform(0, 6.3))
    colour = draws.uniform(10, 50, 3)
    pixels = 128 + wave[..., None] * colour + draws.normal(scale=85, size=(side, side, 3))
    return cv2.imencode(".png", pixels.clip(0, 255).astype(np.uint8))[1].tobytes()


@pytest.fixture
def job(tmp_path):
    job, draws = Job(tmp_path / "ml"), np.random.default_rng(4)
    for channel, count in (("train", TRAIN), ("validation", VALIDATION)):
        labels = [k % CLASSES for k in range(count)]
        job.records(channel, labels, [stripes(label, draws) for label in labels])
    return job.settings(
        num_classes=CLASSES, mini_batch_size=BATCH, epochs=EPOCHS, learning_rate=RATE, lr_scheduler_step=3
    )


def accuracies(job: Job, seed: int) -> list[str]:
    """What a job prints after each epoch."""
    process = job.start(DARKROOM_SEED=str(seed))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return re.findall(r"Validation-accuracy=([\d.]+)", said)


def rec(job: Job, channel: str) -> str:
    return str(job.channel(channel) / f"{channel}.rec")


def test_module_finds_the_accuracy_that_the_job_printed(job, mxnet, tmp_path):
    ours = max(map(float, accuracies(job, 0)))
    epoch = next(int(name[-11:-7]) for name in job.model if name.endswith(".params"))
    for file in (job.base / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    mxnet("score_records", epoch, rec(job, "validation"), SIDE, SIDE, BATCH)
    theirs = json.loads((tmp_path / "accuracy.json").read_text())
    assert round(theirs * VALIDATION) == round(ours * VALIDATION) < VALIDATION


def test_one_step_changes_every_weight_alike(mxnet, tmp_path):
    draws, architecture = np.random.default_rng(6), Architecture.of(20, CLASSES, (3, SIDE, SIDE), PREACT_RESNET)
    labels = draws.permutation(np.arange(BATCH) % CLASSES)
    photos = [cv2.imdecode(np.frombuffer(stripes(label, draws), np.uint8), -1) for label in labels]
    images = np.stack(photos)  # (N, height, width, channels)
    net = catalogue.build(architecture, torch.Generator().manual_seed(1))
    artifact.save(tmp_path, net, epoch=0, batch_size=BATCH)
    np.savez(tmp_path / "batches.npz", images=images.transpose(0, 3, 1, 2)[None], labels=labels[None])
    mxnet("follow", 0, RATE, 1)
    Learner(net, parse({"num_classes": str(CLASSES)}), torch.device("cpu")).update(images, labels, RATE)
    before = params.load(tmp_path / "image-classification-0000.params")
    artifact.save(tmp_path / "ours", net, epoch=1, batch_size=BATCH)
    ours = params.load(tmp_path / "ours" / "image-classification-0001.params")
    for name, theirs in params.load(tmp_path / "followed-1.params").items():
        if name == "arg:bn_data_gamma":
            continue  # fixed at 1, whatever a file says
        change, expected = ours[name] - before[name], theirs - before[name]
        # a value that rounds to the other side of a ReLU moves some gradients by hundredths
        np.testing.assert_array_less(np.linalg.norm(change - expected), 0.05 * np.linalg.norm(expected) + 1e-7, name)


def test_module_learns_no_more_than_our_jobs_and_no_less(job, mxnet, tmp_path):
    ours = np.array([float(accuracies(job, seed)[-1]) for seed in range(RUNS)])
    symbol = "image-classification-symbol.json"
    (tmp_path / symbol).write_bytes((job.base / "model" / symbol).read_bytes())
    settings = {
        "side": SIDE,
        "batch": BATCH,
        "epochs": EPOCHS,
        "learning_rate": RATE,
        "drop_after": DROP * TRAIN // BATCH,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    mxnet("fit_records", rec(job, "train"), rec(job, "validation"), RUNS)
    theirs = np.array(json.loads((tmp_path / "accuracies.json").read_text()))
    noise = np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / RUNS)
    assert abs(ours.mean() - theirs.mean()) < max(3 * noise, 0.05), (ours, theirs)
    assert min(ours.mean(), theirs.mean()) > 0.7, (ours, theirs)
