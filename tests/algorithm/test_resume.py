"""Going on after an interruption: the same numbers and the same model, byte for byte, wherever it was interrupted."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from darkroom.algorithm import snapshots
from darkroom.contract import exits
from tests.algorithm.jobs import Job, jpeg

pytestmark = pytest.mark.slow

EVERY_STEP = {"DARKROOM_CHECKPOINTS": "1", "DARKROOM_CHECKPOINT_SECONDS": "0", "DARKROOM_SPEEDOMETER": "1"}
TIMES = re.compile(r"(?<=Speed: )\S+|(?<=Time cost=)\S+|(?<=Saved checkpoint to \")\S+/")
PREFIX = re.compile(r"(?m)^\[\S+ \S+ INFO \d+\] ")


def numbers(messages):
    """Lines of training, without what a clock says and without what is said once a start."""
    told = [TIMES.sub("", PREFIX.sub("", message)) for message in messages]
    return [text for text in told if text.startswith(("Epoch[", "Storing", "Saved", "Early", "Validation accuracy"))]


def model(job):
    return {path.name: path.read_bytes() for path in (job.base / "model").iterdir()}


def moved(job, base, checkpoints):
    """The same job on another machine, which is given the checkpoints."""
    shutil.copytree(job.base / "input", base / "input")
    shutil.copytree(checkpoints, base / "checkpoints")
    return Job(base)


WAYS = [
    {"epochs": 3, "augmentation_type": "crop_color", "top_k": 2},
    {"epochs": 4, "optimizer": "adam", "learning_rate": 0.005, "checkpoint_frequency": 2},
    {"epochs": 6, "early_stopping": True, "early_stopping_min_epochs": 1, "early_stopping_patience": 2}
    | {"learning_rate": 0.0, "optimizer": "nag"},
]


@pytest.mark.parametrize("given", WAYS, ids=["best", "every-other", "early"])
def test_from_any_step_on_it_is_the_same_training(job, run, tmp_path, monkeypatch, given):
    images = [jpeg(k % 3, k) for k in range(52)]
    images[5] = b"no picture"
    job.settings(**given).records("train", [k % 3 for k in range(52)], images).records("validation", [0, 1, 2] * 3)
    states = []
    write = snapshots.write

    def write_and_copy(folder, snapshot):
        path = write(folder, snapshot)
        states.append(tmp_path / f"state{len(states)}")
        shutil.copytree(folder, states[-1])
        return path

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "write", write_and_copy)
        code, whole = run(**EVERY_STEP)
    assert code == exits.OK
    expected, last = model(job), numbers(whole)
    epochs = len([text for text in last if "Train-accuracy" in text])
    assert len(states) == epochs * 4  # three batches and the end of each epoch
    for state in states[:: 3 if given["epochs"] > 3 else 1]:
        again = moved(job, tmp_path / f"{state.name}-ml", state)
        found = snapshots.read(snapshots.found(state)[0])
        code, messages = run(SAGEMAKER_BASE_DIR=str(again.base), DARKROOM_SPEEDOMETER="1")
        assert code == exits.OK
        place = f"epoch {found.epoch}, batch {found.batch}."
        assert f"Resuming from the checkpoint {found.name}: {place}" in messages
        assert model(again) == expected
        told = numbers(messages)
        assert told == last[len(last) - len(told) :]


def test_a_killed_job_ends_as_if_it_had_not_been(job, run, tmp_path):
    job.settings(epochs=3, mini_batch_size=8, augmentation_type="crop").colours(train=48, validation=9)
    whole = Job(tmp_path / "whole")
    shutil.copytree(job.base / "input", whole.base / "input")
    expected = numbers(run(SAGEMAKER_BASE_DIR=str(whole.base), DARKROOM_SPEEDOMETER="1")[1])
    told = []
    for place in ("Epoch[0] Batch [2]", "Epoch[1] Train-", "Epoch[2] Batch [4]"):
        with job.start(**EVERY_STEP) as process:
            for line in process.stdout:
                told.append(line.rstrip())
                if place in line:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            told += process.stdout.read().splitlines()
        assert process.returncode == -signal.SIGKILL, told
        shutil.rmtree(job.base / "model", ignore_errors=True)  # a new attempt gets a new one
    told += run(**EVERY_STEP)[1]
    assert model(job) == model(whole)
    assert set(expected) == set(numbers(told))
    assert numbers(told)[-3:] == expected[-3:]
    written = {path.name for path in (job.base / "checkpoints").iterdir()}
    assert {*snapshots.NAMES, *model(job)} <= written
    assert len(written) <= len(snapshots.NAMES) + len(model(job)) + 1  # the best before, if it was another


def test_sigterm_leaves_a_checkpoint_that_another_job_goes_on_from(job, run, tmp_path):
    job.settings(epochs=2, mini_batch_size=8).colours(train=48, validation=9)
    whole = Job(tmp_path / "whole")
    shutil.copytree(job.base / "input", whole.base / "input")
    expected = numbers(run(SAGEMAKER_BASE_DIR=str(whole.base), DARKROOM_SPEEDOMETER="1")[1])
    with job.start(DARKROOM_CHECKPOINTS="1", DARKROOM_SPEEDOMETER="1") as process:
        rest = process.stop_at("Epoch[0] Batch")
    assert process.returncode == exits.STOPPED, rest
    assert any(name.endswith(".params") for name in job.model)
    again = moved(job, tmp_path / "again", job.base / "checkpoints")
    code, told = run(SAGEMAKER_BASE_DIR=str(again.base), DARKROOM_SPEEDOMETER="1")
    assert code == exits.OK
    assert any(re.match("Resuming from the checkpoint .*: epoch 0, batch", message) for message in told)
    assert model(again) == model(whole)
    assert numbers(told)[-4:] == expected[-4:]


@pytest.fixture
def checkpoints(job, run):
    """Those of a job that is over."""
    job.settings(epochs=1).colours(train=32, validation=3)
    assert run(DARKROOM_CHECKPOINTS="1", DARKROOM_CHECKPOINT_SECONDS="0")[0] == exits.OK
    shutil.rmtree(job.base / "model")
    return job.base / "checkpoints"


def test_a_job_that_was_over_has_its_model_again(job, run, checkpoints):
    code, messages = run()
    assert code == exits.OK
    assert not [message for message in messages if "Epoch[" in message]
    assert "image-classification-0001.params" in job.model


def test_more_epochs_go_on(job, run, checkpoints):
    job.settings(epochs=2)
    code, messages = run()
    assert code == exits.OK
    assert next(message for message in messages if "Time cost" in message).startswith("Epoch[1]")


@pytest.mark.parametrize(
    ("given", "environ", "words"),
    [
        ({"learning_rate": 0.01}, {}, "learning_rate is 0.01, there 0.05"),
        ({}, {"DARKROOM_SEED": "3"}, "DARKROOM_SEED is 3, there 0"),
        ({}, {"DARKROOM_CLASSES": '["r", "g", "b"]'}, "class names is ['r', 'g', 'b'], there None"),
        (
            {"mini_batch_size": 8, "optimizer": "adam"},
            {},
            "mini_batch_size is 8, there 16; optimizer is adam, there sgd",
        ),
    ],
)
def test_a_checkpoint_of_another_job_is_refused(job, run, checkpoints, given, environ, words):
    job.settings(epochs=1, **given)
    assert run(**environ)[0] == exits.CLIENT_ERROR
    assert re.match(r"ClientError: The checkpoint darkroom-checkpoint-[01]\.safetensors is of", job.failure)
    assert words in job.failure
    assert "Give this job a CheckpointConfig.S3Uri of its own" in job.failure


def test_other_images_are_another_job(job, run, checkpoints):
    job.records("train", [k % 3 for k in range(1, 33)])
    assert run()[0] == exits.CLIENT_ERROR
    assert "images and labels of the train channel is 32 (" in job.failure


def test_a_broken_checkpoint_is_passed_over_for_the_one_before(job, run, checkpoints):
    newest, before = snapshots.found(checkpoints)
    newest.write_bytes(newest.read_bytes()[:-100])
    code, messages = run()
    assert code == exits.OK
    assert any(message.startswith(f"WARNING Passed over: {newest.name} is no complete") for message in messages)
    assert any(f"Resuming from the checkpoint {before.name}: epoch 0, batch 2." in message for message in messages)


def test_a_checkpoint_without_its_model_is_passed_over(job, run, checkpoints):
    (checkpoints / "image-classification-0001.params").unlink()
    code, messages = run()
    assert code == exits.OK
    assert any("needs the file image-classification-0001.params" in message for message in messages)


def test_a_checkpoint_beside_which_another_job_left_its_model_is_passed_over(job, run, checkpoints):
    """Of the same size, as the models of all jobs with such a network are."""
    theirs = checkpoints / "image-classification-0001.params"
    theirs.write_bytes(bytes(theirs.stat().st_size))
    code, messages = run()
    assert code == exits.OK
    assert any("needs the file image-classification-0001.params" in message for message in messages)
    assert not any("cannot be served" in message for message in messages)


def test_without_checkpoints_none_are_written(job, run):
    job.settings().colours(train=16, validation=0)
    (job.base / "checkpoints").mkdir(parents=True)
    assert run()[0] == exits.OK
    assert list((job.base / "checkpoints").iterdir()) == []


def test_checkpoints_may_have_another_folder(job, run):
    job.settings().colours(train=16, validation=0)
    assert run(DARKROOM_CHECKPOINTS="mine/here")[0] == exits.OK
    assert snapshots.found(job.base / "mine" / "here")
    assert not (job.base / "checkpoints").exists()


def test_a_full_disk_ends_no_training(job, run, monkeypatch):
    def full(folder: Path, snapshot: object) -> Path:
        raise OSError(28, "No space left on device")

    job.settings().colours(train=16, validation=3)
    monkeypatch.setattr(snapshots, "write", full)
    code, messages = run(DARKROOM_CHECKPOINTS="1")
    assert code == exits.OK
    assert any("could not be written ([Errno 28] No space left" in message for message in messages)


def test_the_time_between_checkpoints_is_a_number(job, run):
    job.settings().colours(train=16, validation=0)
    assert run(DARKROOM_CHECKPOINT_SECONDS="-1")[0] == exits.CLIENT_ERROR
    assert "DARKROOM_CHECKPOINT_SECONDS must be a number, not '-1'" in job.failure
