"""Jobs of several processes on one host, as on one with several GPUs: to whoever looks on, one process with all the
images of a batch, whatever happens to one of them."""

import os
import re
import shutil
import signal

import pytest

from darkroom.algorithm import snapshots
from darkroom.contract import exits
from tests.algorithm.family import companions, gone
from tests.algorithm.jobs import Job, jpeg
from tests.algorithm.test_resume import EVERY_STEP, model, numbers

pytestmark = pytest.mark.slow

TWO = EVERY_STEP | {"DARKROOM_PROCESSES": "2"}
CLOCKS = re.compile(r"(?<=Speed: )\S+|(?<=Time cost=)\S+|(?<=\")/\S+|/\S+/input/\S+")
GATHERED = re.compile(r"Training with \d processes, each with a part of every batch \(GPUs: 0\)\.")


def photos(job, broken=(), **given):
    """A job that cannot be learnt at once; its last validation batch is a short one."""
    images = [b"no picture" if k in broken else jpeg(k % 3 if k % 4 else (k + 1) % 3, k) for k in range(97)]
    job.settings(**{"epochs": 3, "learning_rate": 0.02} | given)
    job.records("train", [k % 3 for k in range(97)], images)
    return job.records("validation", [k % 3 for k in range(37)], [jpeg(k % 3, 500 + k) for k in range(37)])


def epochs(job):
    return snapshots.read(snapshots.found(job.base / "checkpoints")[0]).progress["epochs"]


def test_they_print_what_one_process_prints(tmp_path):
    """A network without normalisation: it does not matter who has which part of a batch. 10 images are 4, 3, 3."""
    given = {"network": "squeezenet1_1", "num_layers": None, "image_shape": "3,32,32", "mini_batch_size": 10}
    told, losses = [], []
    for count in ("1", "3"):
        job = photos(Job(tmp_path / count), (5, 40), **given, epochs=2, learning_rate=0.002, top_k=2)
        code, messages = job.over(**EVERY_STEP, DARKROOM_PROCESSES=count)
        assert code == exits.OK, messages
        told.append([CLOCKS.sub("", text) for text in messages])
        losses.append([row["train_loss"] for row in epochs(job)])
    one, several = told
    gathered = [text for text in several if GATHERED.fullmatch(text)]
    assert len(gathered) == 1
    several.remove(*gathered)
    assert several == one
    assert any("2 of the 97 images in the train channel" in text for text in one)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two processes that nothing disturbs."""
    job = photos(Job(tmp_path_factory.mktemp("whole") / "ml"))
    code, messages = job.over(**TWO)
    assert code == exits.OK, messages
    return job, messages


def test_with_normalisation_they_learn_as_one(whole, tmp_path):
    """Not to the last digit: each process normalises its own part of a batch."""
    alone = photos(Job(tmp_path / "alone"))
    assert alone.over(**EVERY_STEP)[0] == exits.OK
    ours, theirs = epochs(whole[0]), epochs(alone)
    assert [row["learning_rate"] for row in ours] == [row["learning_rate"] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], abs=0.15)
    assert ours[-1]["train_loss"] < ours[0]["train_loss"] - 0.2


def test_a_job_whose_process_is_killed_leaves_none_and_goes_on_to_the_same_model(whole, tmp_path):
    job = photos(Job(tmp_path / "ml"))
    with job.start(**TWO) as process:
        for line in process.stdout:
            if "Epoch[1] Batch [1]" in line:
                others = companions(process.pid)
                process.kill()
                break
    assert len(others) == 1
    assert gone(others)
    shutil.rmtree(job.base / "model", ignore_errors=True)
    code, messages = job.over(**TWO)
    assert code == exits.OK, messages
    assert any(text.startswith("Resuming from the checkpoint") for text in messages)
    assert model(job) == model(whole[0])
    assert numbers(messages)[-3:] == numbers(whole[1])[-3:]


def test_a_companion_that_is_killed_ends_the_job_in_the_same_way(tmp_path):
    """Without a failure file: the platform starts a job again that was killed, and not one that failed."""
    job = photos(Job(tmp_path / "ml"), epochs=1000)
    with job.start(**EVERY_STEP, DARKROOM_PROCESSES="3") as process:
        for line in process.stdout:
            if "Epoch[0] Batch [1]" in line:
                killed, other = companions(process.pid)
                os.kill(killed, signal.SIGKILL)
                break
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL, rest
    assert re.search(r"Algorithm Error: Process [23] of 3 was ended by signal 9 \(Killed\)\.", rest)
    assert not (job.base / "output" / "failure").exists()
    assert gone([killed, other])


def test_a_request_to_stop_that_only_the_jobs_own_process_hears_is_everybodys(tmp_path):
    job = photos(Job(tmp_path / "ml"), epochs=1000)
    with job.start(**TWO) as process:
        for line in process.stdout:
            if "Epoch[0] Batch [1]" in line:
                others = companions(process.pid)
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
    assert process.returncode == exits.STOPPED, rest
    assert "Stopped by request; the model stored so far is kept." in rest
    assert any(name.endswith(".params") for name in job.model)
    assert snapshots.found(job.base / "checkpoints")
    assert gone(others)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, exits.STOPPED), (signal.SIGKILL, -signal.SIGKILL)])
def test_before_training_the_end_of_the_jobs_process_is_that_of_all(tmp_path, number, code):
    job = photos(Job(tmp_path / "ml"))
    with job.start(**TWO) as process:
        for line in process.stdout:
            if "Training with 2 processes" in line:
                break
        while not (others := companions(process.pid)):
            assert process.poll() is None
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == code, rest
    assert gone(others)
    assert not (job.base / "model").exists()
