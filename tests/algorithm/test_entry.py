"""The algorithm as the platform runs it: a process, its lines against the real ones, its files, its exit code."""

import json
import os
import re

import pytest

from darkroom.contract import exits
from darkroom.contract.metrics import IMAGE_CLASSIFICATION, read

pytestmark = pytest.mark.slow

PREFIX = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d (?:INFO|WARNING|ERROR) \d+\] "

# Real logs of SageMaker, with numbers as patterns. A star means: once an epoch.
GRAMMAR = [
    r"Reading default configuration from \S+: \{'use_pretrained_model': 0, 'num_layers': 152, 'epochs': 30, .*\}",
    r"Merging with provided configuration from \S+/input/config/hyperparameters\.json: \{'num_classes': '3', .*\}",
    r"Final configuration: \{.*\}",
    r"Searching for \.rec files in \S+/input/data/train\.",
    r"Searching for \.rec files in \S+/input/data/validation\.",
    r"use_pretrained_model: 0",
    r"multi_label: 0",
    r"Performing random weight initialization",
    r"---- Parameters ----",
    r"num_layers: 20",
    r"data type: <class 'numpy\.float32'>",
    r"epochs: 3",
    r"optimizer: sgd",
    r"momentum: 0\.9",
    r"weight_decay: 0\.0001",
    r"learning_rate: 0\.05",
    r"num_training_samples: 100",
    r"mini_batch_size: 4",
    r"image_shape: 3,28,28",
    r"num_classes: 3",
    r"augmentation_type: None",
    r"kv_store: device",
    r"top_k: 2",
    r"checkpoint_frequency not set, will store the best model",
    r"--------------------",
    r"Setting number of threads: 1",
]
EPOCH = [
    r"Epoch\[{0}\] Batch \[20\]\tSpeed: \d+\.\d{{3}} samples/sec\taccuracy=\d\.\d{{6}}\ttop_k_accuracy_2=\d\.\d{{6}}",
    r"Epoch\[{0}\] Train-accuracy=\d\.\d{{6}}",
    r"Epoch\[{0}\] Train-top_k_accuracy_2=\d\.\d{{6}}",
    r"Epoch\[{0}\] Time cost=\d+\.\d{{3}}",
    r"Epoch\[{0}\] Validation-accuracy=\d\.\d{{6}}",
]
STORING = [
    r"Storing the best model with validation accuracy: \d\.\d{{6}}",
    r'Saved checkpoint to "\S+/model/image-classification-000{1}\.params"',
]


def test_a_job_from_its_first_line_to_its_model(job):
    job.settings(epochs=3, mini_batch_size=4, num_training_samples=100, top_k=2).colours(train=100, validation=30)
    with job.start() as process:
        lines = process.stdout.read().splitlines()
    assert process.returncode == exits.OK, lines

    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert [line for line in lines[1:] if not re.match(PREFIX, line)] == []
    messages = [re.sub(PREFIX, "", line) for line in lines[1:]]
    for message, expected in zip(messages, GRAMMAR, strict=False):
        assert re.fullmatch(expected, message), (message, expected)
    rest = messages[len(GRAMMAR) :]
    accuracies = []
    for epoch in range(3):
        for pattern in EPOCH:
            assert re.fullmatch(pattern.format(epoch), rest[0]), (rest[0], pattern)
            message = rest.pop(0)
        accuracies.append(float(message.split("=")[1]))
        if accuracies[-1] > max(accuracies[:-1], default=-1):
            for pattern in STORING:
                assert re.fullmatch(pattern.format(epoch, epoch + 1), rest[0]), (rest[0], pattern)
                message = rest.pop(0)
    assert re.fullmatch(r"Wrote report\.html: .*", rest.pop(0))
    assert re.fullmatch(r"Validation accuracy through the serving code: \d\.\d{6}", rest[0])
    assert rest[1:] == []

    best = accuracies.index(max(accuracies)) + 1
    assert max(accuracies) > 0.9  # a third of the pictures are of each colour: guessing gives 0.33
    assert float(rest[0].split(": ")[1]) == pytest.approx(max(accuracies), abs=1e-6)
    assert job.model == [
        "darkroom.txt",
        f"image-classification-000{best}.params",
        "image-classification-symbol.json",
        "model-shapes.json",
    ]
    shapes = json.loads((job.base / "model" / "model-shapes.json").read_text())
    assert shapes == [{"shape": [4, 3, 28, 28], "name": "data"}]

    seen = [name for line in lines for name, _ in read(IMAGE_CLASSIFICATION, line)]
    assert seen == ["train:accuracy", "train:accuracy:epoch", "validation:accuracy", "validation:accuracy:epoch"] * 3


def test_sigterm_during_training_leaves_a_model(job):
    job.settings(epochs=10000, mini_batch_size=8).colours(train=32, validation=0)
    with job.start(DARKROOM_SPEEDOMETER="1") as process:
        rest = process.stop_at("Epoch[0] Batch")
    assert process.returncode == exits.STOPPED, rest
    assert "Saved checkpoint to" in rest
    assert "Stopped by request; the model stored so far is kept." in rest
    assert any(name.endswith(".params") for name in job.model)


def test_sigterm_before_training_ends_the_job_at_once(job):
    job.settings().colours(train=32, validation=0)
    os.mkfifo(job.base / "input" / "config" / "inputdataconfig.json")  # reading it waits for somebody who writes
    with job.start() as process:
        rest = process.stop_at("Final configuration")
    assert process.returncode == exits.STOPPED, rest
    assert "Stopped by request." in rest
    assert not (job.base / "model").exists()
